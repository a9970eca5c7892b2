//! What a batch is answered with: one result per item, in their order, and how many there are of which.

use crate::catalog::ProductId;
use crate::http::auth::Writer;
use crate::http::fault::{ErrorBody, Fault, JSON, NO_STORE};
use crate::http::idempotency::NotKept;
use crate::http::openapi::{JsonPatch, NewProduct};
use crate::http::uri;
use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// The longest `Location`: what a URI may have.
const LONGEST_LOCATION: usize = 8 * 1024;

/// New products.
#[derive(ToSchema)]
pub(in crate::http) struct NewBatch {
    /// The products; the inventory chooses the ids that are not given.
    #[schema(min_items = 1, max_items = 100)]
    #[expect(dead_code, reason = "for the document")]
    pub items: Vec<NewProduct>,
}

/// Patches of products.
#[derive(ToSchema)]
pub(in crate::http) struct PatchBatch {
    /// One patch per item.
    #[schema(min_items = 1, max_items = 100)]
    #[expect(dead_code, reason = "for the document")]
    pub items: Vec<ProductPatch>,
}

/// A patch of one product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::http) struct ProductPatch {
    /// The product's id.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}$")]
    #[expect(dead_code, reason = "for the document")]
    pub id: String,
    /// What is done to it.
    #[expect(dead_code, reason = "for the document")]
    pub patch: JsonPatch,
    /// Entity tags, of which the product must have one, as in the header `If-Match`.
    #[schema(nullable = false)]
    #[expect(dead_code, reason = "for the document")]
    pub if_match: Option<String>,
}

/// Products to delete.
#[derive(ToSchema)]
pub(in crate::http) struct DeleteBatch {
    /// Their ids.
    #[schema(min_items = 1, max_items = 500)]
    #[expect(dead_code, reason = "for the document")]
    pub ids: Vec<String>,
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct BatchAnswer {
    /// How many items there are of which kind.
    summary: BatchSummary,
    /// One result per item, in their order.
    results: Vec<BatchResult>,
}

/// How many items there are of which kind.
#[derive(Serialize, ToSchema)]
struct BatchSummary {
    /// All of them.
    total: usize,
    /// Those with a status below 400.
    succeeded: usize,
    /// The others.
    failed: usize,
}

/// What became of an item.
#[derive(Serialize, ToSchema)]
struct BatchResult {
    /// The item's place, from 0.
    index: usize,
    /// What the item would have been answered alone.
    #[schema(minimum = 200, maximum = 599)]
    status: u16,
    /// The product's id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    /// Where the product is, where it was created; for `search` and `batch` a list of it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    location: Option<String>,
    /// Everything that is wrong, where it failed. A 5xx says `Internal Server Error`, and no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<ErrorBody>>,
}

/// What an item came to.
pub(super) struct Outcome {
    id: Option<ProductId>,
    result: Result<StatusCode, Fault>,
}

// === impl Outcome ===

impl Outcome {
    /// It was written.
    pub(super) fn done(status: StatusCode, id: Option<ProductId>) -> Self {
        Self {
            id,
            result: Ok(status),
        }
    }

    /// It was not, or nobody knows.
    pub(super) fn failed(id: Option<ProductId>, fault: Fault) -> Self {
        Self {
            id,
            result: Err(fault),
        }
    }

    fn status(&self) -> StatusCode {
        match &self.result {
            Ok(status) => *status,
            Err(fault) => fault.status(),
        }
    }

    fn location(&self) -> Option<String> {
        let id = self.id.as_ref()?;
        (self.status() == StatusCode::CREATED).then(|| uri::of_product(id))
    }

    fn result(&self, index: usize) -> BatchResult {
        BatchResult {
            index,
            status: self.status().as_u16(),
            id: self.id.as_ref().map(ToString::to_string),
            location: self.location(),
            errors: self.result.as_ref().err().map(Fault::errors),
        }
    }
}

/// The answer: `all_done` where every item was written, else 207.
pub(super) fn of(writer: &Writer, all_done: StatusCode, outcomes: &[Outcome]) -> Response {
    let total = outcomes.len();
    let failed = outcomes.iter().filter(|item| item.result.is_err()).count();
    let answer = BatchAnswer {
        summary: BatchSummary {
            total,
            succeeded: total - failed,
            failed,
        },
        results: (0..)
            .zip(outcomes)
            .map(|(index, outcome)| outcome.result(index))
            .collect(),
    };
    tracing::info!(writer = writer.name, total, failed, "Batch written");

    // Numbers and strings: nothing here can fail to serialise.
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    if failed == 0 {
        headers.extend(location(outcomes).map(|location| (LOCATION, location)));
        *response.status_mut() = all_done;
    } else {
        *response.status_mut() = StatusCode::MULTI_STATUS;
    }
    if tell_of_failures(outcomes) {
        response.extensions_mut().insert(NotKept);
    }
    response
}

/// Where all that were created can be read at once.
fn location(outcomes: &[Outcome]) -> Option<HeaderValue> {
    let mut location = "/products?id=".to_owned();
    for (place, outcome) in outcomes.iter().enumerate() {
        outcome.location()?;
        if place > 0 {
            location.push(',');
        }
        // Of what an id may have, a query means something else only by the plus.
        let id = outcome.id.as_ref()?.as_str();
        location.push_str(&id.replace('+', "%2B"));
    }
    (location.len() <= LONGEST_LOCATION)
        .then(|| HeaderValue::try_from(location).ok())
        .flatten()
}

/// Says in the log why items could not be written that are not the caller's doing. True if there are any.
fn tell_of_failures(outcomes: &[Outcome]) -> bool {
    let failures = |outcome: &&Outcome| outcome.status().is_server_error();
    let count = outcomes.iter().filter(failures).count();
    let first = outcomes.iter().find(failures);
    let cause = first.and_then(|outcome| outcome.result.as_ref().err()?.cause());
    if count > 0 {
        tracing::warn!(
            count,
            error = cause,
            "Items of a batch could not be written; the first one's cause is told"
        );
    }
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fault::ErrorCode;
    use axum::body::to_bytes;
    use proptest::prelude::*;
    use serde_json::Value;

    fn outcome(kind: u8, number: usize) -> Outcome {
        let id = ProductId::parse(&format!("p+{number}")).ok();
        match kind {
            0 => Outcome::done(StatusCode::CREATED, id),
            1 => Outcome::done(StatusCode::NO_CONTENT, id),
            2 => Outcome::failed(id, Fault::new(ErrorCode::ProductConflict)),
            3 => Outcome::failed(None, Fault::new(ErrorCode::InvalidField)),
            _ => Outcome::failed(id, Fault::outcome_unknown("10.0.0.7 broke off")),
        }
    }

    async fn answered(kinds: &[u8]) -> (Response, Value) {
        let outcomes: Vec<_> = (0..)
            .zip(kinds)
            .map(|(n, kind)| outcome(*kind, n))
            .collect();
        let writer = Writer {
            name: "tests".to_owned(),
        };
        let mut response = of(&writer, StatusCode::CREATED, &outcomes);
        let body = std::mem::take(response.body_mut());
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (response, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_server_error_of_an_item_says_nothing_and_keeps_the_answer_from_being_kept() {
        let (response, body) = answered(&[0, 4]).await;
        assert_eq!(response.status(), 207);
        assert!(response.extensions().get::<NotKept>().is_some());
        let errors = serde_json::json!([{"description": "Internal Server Error"}]);
        assert_eq!(body["results"][1]["errors"], errors);
        assert_eq!(body["results"][1]["status"], 504);
        assert!(!body.to_string().contains("10.0.0.7"));
    }

    #[test]
    fn what_has_the_name_of_a_route_is_located_in_a_list() {
        for (id, expected) in [
            ("search", "/products?id=search"),
            ("batch", "/products?id=batch"),
            ("batches", "/products/batches"),
        ] {
            let created = Outcome::done(StatusCode::CREATED, ProductId::parse(id).ok());
            assert_eq!(created.location().unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn what_was_created_is_located_one_by_one_and_together() {
        let (response, body) = answered(&[0, 0]).await;
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[LOCATION], "/products?id=p%2B0,p%2B1");
        assert_eq!(body["results"][1]["location"], "/products/p+1");
        let (response, _) = answered(&[0, 2]).await;
        assert!(response.headers().get(LOCATION).is_none());
    }

    proptest! {
        #[test]
        fn a_summary_equals_its_results(kinds in proptest::collection::vec(0u8..5, 1..100)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (response, body) = runtime.block_on(answered(&kinds));
            let results = body["results"].as_array().unwrap();
            let failed = results.iter().filter(|r| r["status"].as_u64() >= Some(400)).count();
            prop_assert_eq!(results.len(), kinds.len());
            prop_assert_eq!(&body["summary"]["total"], kinds.len());
            prop_assert_eq!(&body["summary"]["failed"], failed);
            prop_assert_eq!(&body["summary"]["succeeded"], kinds.len() - failed);
            prop_assert_eq!(response.status() == 207, failed > 0);
            for (index, result) in results.iter().enumerate() {
                prop_assert_eq!(&result["index"], index);
                let failed = result["status"].as_u64() >= Some(400);
                prop_assert_eq!(result.get("errors").is_some(), failed);
                prop_assert_eq!(result.get("location").is_some(), result["status"] == 201);
            }
        }
    }
}
