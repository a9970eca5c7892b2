//! Many writes in one request. Each item succeeds or fails for itself, and has a result of its own.

mod answer;
mod envelope;

use super::auth::Writer;
use super::extract::JsonBody;
use super::fault::{ErrorCode, Fault, Reason};
use super::idempotency::IdempotencyKey;
use crate::catalog::{BatchDone, BatchWrite, Catalog, CatalogError, Draft, ProductId, Version};
use crate::telemetry::Conversation;
use answer::Outcome;
pub(super) use answer::{BatchAnswer, DeleteBatch, NewBatch};
use axum::extract::State;
use axum::response::Response;
use envelope::Envelope;
use http::StatusCode;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The path, also for the layer that gives a batch more time.
pub(super) const PATH: &str = "/products/batch";

/// What a batch of new products looks like.
const CREATE: Envelope = Envelope {
    member: "items",
    most: 100,
};

/// What a batch of ids looks like.
const DELETE: Envelope = Envelope {
    member: "ids",
    most: 500,
};

/// An item of a batch, read: what to write, or why not.
type Item = Result<BatchWrite, Fault>;

/// Create products.
///
/// Up to 100 at once; atomicity is best-effort, per item: each succeeds or fails for itself, and every
/// item has a result, in the order of the items. An item with the same id as one before it is written
/// after that. Items that did not get their turn within the deadline of a call to the inventory
/// (`UPSTREAM_DEADLINE_MS`) are not begun: 503.
#[utoipa::path(
    post,
    path = "/products/batch",
    operation_id = "createProducts",
    tag = "products",
    security(("apiKey" = [])),
    params(("idempotency-key" = Option<String>, Header, description = "A UUID. The same request under the same key is carried out once, and answered the same for 24 hours, unless an item has a 5xx: then it is tried again.", example = "8e03978e-40d5-43e8-bc93-6894a57f9324")),
    request_body(content = NewBatch, content_type = "application/json", description = "1 to 100 products, as for `POST /products`; 1 MiB at most."),
    responses(
        (status = 201, description = "All were created.", body = BatchAnswer, content_type = "application/json",
            headers(("location" = Option<String>, description = "Where all of them can be read at once; absent where that would be longer than 8 KiB."))),
        (status = 207, description = "Some or all failed; each item's result says.", body = BatchAnswer, content_type = "application/json"),
        (status = 400, description = "The body is no batch, or one with too many items. Nothing was written."),
    )
)]
pub(super) async fn create_products(
    State(catalog): State<Arc<Catalog>>,
    writer: Writer,
    key: IdempotencyKey,
    conversation: Conversation,
    body: JsonBody,
) -> Result<Response, Fault> {
    let request = key.with(&writer, PATH, &body);
    let (keys, writing) = (request.write_keys(), Arc::clone(&catalog));
    let carry_out = async move {
        let version = body.1;
        let drafts = CREATE.read(&body.0)?.into_iter().enumerate();
        let items = drafts.map(|(index, item)| {
            let draft = Box::new(draft(item, version)?);
            let key = keys.nth(index);
            Ok(BatchWrite::Create { draft, key })
        });
        let outcomes = write(&writing, items.collect(), conversation).await;
        Ok(answer::of(&writer, StatusCode::CREATED, &outcomes))
    };
    request.once(&catalog, conversation, carry_out).await
}

/// Delete products.
///
/// Up to 500 at once; atomicity is best-effort, per item, as for creating. An id that is there twice is
/// deleted once, and not found after that.
#[utoipa::path(
    delete,
    path = "/products/batch",
    operation_id = "deleteProducts",
    tag = "products",
    security(("apiKey" = [])),
    request_body(content = DeleteBatch, content_type = "application/json", description = "1 to 500 ids; 1 MiB at most."),
    responses(
        (status = 200, description = "All were deleted.", body = BatchAnswer, content_type = "application/json"),
        (status = 207, description = "Some or all failed; each item's result says.", body = BatchAnswer, content_type = "application/json"),
        (status = 400, description = "The body is no batch, or one with too many items. Nothing was deleted."),
    )
)]
pub(super) async fn delete_products(
    State(catalog): State<Arc<Catalog>>,
    writer: Writer,
    conversation: Conversation,
    body: JsonBody,
) -> Result<Response, Fault> {
    let ids = DELETE.read(&body.0)?.into_iter();
    let items = ids.map(|item| id(item).map(BatchWrite::Delete));
    let outcomes = write(&catalog, items.collect(), conversation).await;
    Ok(answer::of(&writer, StatusCode::OK, &outcomes))
}

/// Writes the items that could be read, and puts the others' problems between their results.
async fn write(catalog: &Catalog, items: Vec<Item>, conversation: Conversation) -> Vec<Outcome> {
    let ids: Vec<_> = items
        .iter()
        .map(|item| item.as_ref().ok().and_then(BatchWrite::product).cloned())
        .collect();
    let (mut writes, mut refused) = (Vec::new(), Vec::with_capacity(items.len()));
    for item in items {
        refused.push(item.map(|write| writes.push(write)).err());
    }
    let mut results = catalog.batch(writes, conversation).await.into_iter();
    let outcomes = ids
        .into_iter()
        .zip(refused)
        .map(|(id, refused)| match refused {
            Some(fault) => Outcome::failed(id, fault),
            None => outcome(id, results.next()),
        });
    outcomes.collect()
}

fn outcome(id: Option<ProductId>, result: Option<Result<BatchDone, CatalogError>>) -> Outcome {
    match result {
        Some(Ok(BatchDone::Created(id))) => Outcome::done(StatusCode::CREATED, Some(id)),
        Some(Ok(BatchDone::Deleted)) => Outcome::done(StatusCode::NO_CONTENT, id),
        Some(Err(error)) => Outcome::failed(id, Fault::from(error)),
        None => Outcome::failed(id, Fault::internal("a write of a batch has no result")),
    }
}

fn draft(item: &RawValue, version: Version) -> Result<Draft, Fault> {
    Draft::parse_version(version, item.get().as_bytes(), None)
        .map_err(|problems| Fault::all(problems.into_iter().map(Reason::from).collect()))
}

fn id(item: &RawValue) -> Result<ProductId, Fault> {
    let text: String = serde_json::from_str(item.get()).map_err(|_| {
        let reason = Reason::new(ErrorCode::InvalidField);
        Fault::all(vec![reason.saying("an id must be a string")])
    })?;
    ProductId::parse(&text).map_err(|_| Fault::new(ErrorCode::InvalidProductId))
}
