//! Many writes in one request. Each item succeeds or fails for itself, and has a result of its own.

mod answer;
mod envelope;
mod item;

use super::auth::Writer;
use super::conditional::Preconditions;
use super::extract::{JsonBody, NoQuery};
use super::fault::Fault;
use super::idempotency::IdempotencyKey;
use super::media::AcceptsJson;
use crate::catalog::{BatchDone, BatchWrite, Catalog, CatalogError, ProductId};
use crate::telemetry::Conversation;
use answer::Outcome;
pub(super) use answer::{BatchAnswer, DeleteBatch, NewBatch, PatchBatch};
use axum::extract::State;
use axum::response::Response;
use envelope::Envelope;
use http::StatusCode;
use std::sync::Arc;

/// The path, also for the layer that gives a batch more time.
pub(super) const PATH: &str = "/products/batch";

/// What a batch of new products looks like.
const CREATE: Envelope = Envelope {
    member: "items",
    most: 100,
};

/// What a batch of patches looks like.
const PATCH: Envelope = CREATE;

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
    params(("idempotency-key" = Option<String>, Header, description = "A UUID. The same request under the same key is carried out once, and answered the same for 24 hours, unless an item has a 5xx: then it is tried again. The answer is the first one, also where `Accept` is another.", example = "8e03978e-40d5-43e8-bc93-6894a57f9324")),
    request_body(content = NewBatch, content_type = "application/json", description = "1 to 100 products, as for `POST /products`; 1 MiB at most."),
    responses(
        (status = 201, description = "All were created.", body = BatchAnswer, content_type = "application/json",
            headers(("location" = Option<String>, description = "Where all of them can be read at once; absent where that would be longer than 8 KiB."))),
        (status = 207, description = "Some or all failed; each item's result says.", body = BatchAnswer, content_type = "application/json"),
        (status = 400, description = "The body is no batch, or one with too many items. Nothing was written."),
        (status = 412, description = "A condition does not hold: a collection has no entity tag of its own."),
    )
)]
pub(super) async fn create_products(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    _: AcceptsJson,
    key: IdempotencyKey,
    conversation: Conversation,
    conditions: Preconditions,
    body: JsonBody,
) -> Result<Response, Fault> {
    let request = key.with(&writer, PATH, &body);
    let (keys, writing) = (request.write_keys(), Arc::clone(&catalog));
    let carry_out = async move {
        let version = body.1;
        let drafts = CREATE.read(&body.0)?.into_iter().enumerate();
        let items = drafts.map(|(index, item)| item::create(item, version, keys.nth(index)));
        conditions.hold_for_collection()?;
        let outcomes = write(&writing, items.collect(), conversation).await;
        Ok(answer::of(&writer, StatusCode::CREATED, &outcomes))
    };
    request.once(&catalog, conversation, carry_out).await
}

/// Update products.
///
/// Up to 100 JSON Patches at once; atomicity is best-effort, per item, as for creating: each patch is
/// done whole or not at all. Patches of the same product are done in their order.
#[utoipa::path(
    patch,
    path = "/products/batch",
    operation_id = "updateProducts",
    tag = "products",
    security(("apiKey" = [])),
    request_body(content = PatchBatch, content_type = "application/json", description = "1 to 100 patches; 1 MiB at most."),
    responses(
        (status = 200, description = "All were updated.", body = BatchAnswer, content_type = "application/json"),
        (status = 207, description = "Some or all failed; each item's result says.", body = BatchAnswer, content_type = "application/json"),
        (status = 400, description = "The body is no batch, or one with too many items. Nothing was written."),
        (status = 412, description = "A condition does not hold: a collection has no entity tag of its own. Tags of products go into `ifMatch`."),
    )
)]
pub(super) async fn patch_products(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    _: AcceptsJson,
    conversation: Conversation,
    conditions: Preconditions,
    body: JsonBody,
) -> Result<Response, Fault> {
    let items = PATCH.read(&body.0)?.into_iter().map(item::patch);
    conditions.hold_for_collection()?;
    let outcomes = write(&catalog, items.collect(), conversation).await;
    Ok(answer::of(&writer, StatusCode::OK, &outcomes))
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
        (status = 412, description = "A condition does not hold: a collection has no entity tag of its own."),
    )
)]
pub(super) async fn delete_products(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    _: AcceptsJson,
    conversation: Conversation,
    conditions: Preconditions,
    body: JsonBody,
) -> Result<Response, Fault> {
    let ids = DELETE.read(&body.0)?.into_iter();
    let items = ids.map(item::delete);
    conditions.hold_for_collection()?;
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
        Some(Ok(BatchDone::Updated)) => Outcome::done(StatusCode::OK, id),
        Some(Ok(BatchDone::Deleted)) => Outcome::done(StatusCode::NO_CONTENT, id),
        Some(Err(error)) => Outcome::failed(id, Fault::from(error)),
        None => Outcome::failed(id, Fault::internal("a write of a batch has no result")),
    }
}
