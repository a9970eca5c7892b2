//! Writing products, through to the inventory. Each handler translates; decisions live in
//! [`catalog`](crate::catalog).

use super::auth::Writer;
use super::caching::{Media, NoBody};
use super::conditional::Preconditions;
use super::extract::{Id, JsonBody, NoQuery, PatchBody};
use super::fault::{Fault, NO_STORE};
use super::idempotency::IdempotencyKey;
use super::media::AcceptedVersion;
use super::openapi::{JsonPatch, NewProduct, Product};
use super::uri;
use crate::catalog::{Catalog, Shape, Written};
use crate::telemetry::Conversation;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LOCATION, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Create a product.
///
/// Written to the inventory first; once this answers, every read on this replica sees it.
#[utoipa::path(
    post,
    path = "/products",
    operation_id = "createProduct",
    tag = "products",
    security(("apiKey" = [])),
    params(("idempotency-key" = Option<String>, Header, description = "A UUID. The same request under the same key is carried out once, and answered the same for 24 hours, unless that was a 5xx: then it is tried again. The answer is the first one, also where `Accept` is another.", example = "8e03978e-40d5-43e8-bc93-6894a57f9324")),
    request_body(content = NewProduct, content_type = "application/json", description = "The product; the inventory chooses the id where none is given."),
    responses(
        (status = 201, description = "The product as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(
            ("location" = String, description = "Where the product is: `/products/ID`; for the ids `search` and `batch`, which are routes there, `/products?id=ID`."),
            ("content-location" = Option<String>, description = "The product itself: the content here is what a GET of it would have been answered with, and the entity tag is that of this content, not of what was sent. Absent for the ids `search` and `batch`."),
            ("etag" = String, description = "Strong entity tag."))),
        (status = 400, description = "The body is not a product; every problem is listed."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off."),
        (status = 409, description = "The product conflicts with one that exists."),
        (status = 408, description = "The body did not arrive in time; nothing was written."),
        (status = 412, description = "A condition does not hold: a collection has no entity tag of its own."),
        (status = 413, description = "The body is larger than 1 MiB."),
        (status = 415, description = "The body is not announced as JSON."),
        (status = 504, description = "Whether the product was created is not known; read before trying again."),
    )
)]
pub(super) async fn create_product(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    key: IdempotencyKey,
    accepted: AcceptedVersion,
    conversation: Conversation,
    conditions: Preconditions,
    body: JsonBody,
) -> Result<Response, Fault> {
    let request = key.with(&writer, "/products", &body);
    let (keys, writing) = (request.write_keys(), Arc::clone(&catalog));
    let carry_out = async move {
        let draft = body.into_draft(None)?;
        conditions.hold_for_collection()?;
        let written = writing.create(draft, keys.nth(0), conversation).await?;
        answer(&writing, &writer, accepted, &written).await
    };
    request.once(&catalog, conversation, carry_out).await
}

/// Create or update a product.
///
/// Written to the inventory first; once this answers, every read on this replica sees it.
#[utoipa::path(
    put,
    path = "/products/{productId}",
    operation_id = "replaceProduct",
    tag = "products",
    security(("apiKey" = [])),
    params(
        ("productId" = String, Path, description = "The product's id.", example = "KETTLE-17"),
        ("if-match" = Option<String>, Header, description = "Entity tags, of any version or coding, one of which the product must have; `*` for any.", example = json!("\"v2-6851e99359d5b90e5c19973672e877d2\"")),
        ("if-unmodified-since" = Option<String>, Header, description = "A date that the product must not have changed after; ignored beside If-Match, and where it is no HTTP date.", example = "Sat, 21 Nov 2026 06:40:56 GMT"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags none of which the product may have; `*`: there must be no such product.", example = "*"),
    ),
    request_body(content = NewProduct, content_type = "application/json", description = "The whole product; its id, where given, is the path's."),
    responses(
        (status = 200, description = "The product as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(
            ("content-location" = String, description = "The product itself: the content here is what a GET of it would have been answered with, and the entity tag is that of this content, not of what was sent."),
            ("etag" = String, description = "Strong entity tag."))),
        (status = 201, description = "The product was created, as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(
            ("location" = String, description = "Where the product is."),
            ("content-location" = String, description = "The product itself: the content here is what a GET of it would have been answered with, and the entity tag is that of this content, not of what was sent."),
            ("etag" = String, description = "Strong entity tag."))),
        (status = 400, description = "The body is not a product; every problem is listed."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off, or the id breaks the pattern of ids."),
        (status = 409, description = "The write conflicts with the product's state."),
        (status = 410, description = "The product is gone for good."),
        (status = 412, description = "A condition does not hold, or the product changed meanwhile; nothing was written."),
        (status = 404, description = "The inventory has no such product and does not create it."),
        (status = 408, description = "The body did not arrive in time; nothing was written."),
        (status = 413, description = "The body is larger than 1 MiB."),
        (status = 415, description = "The body is not announced as JSON."),
        (status = 504, description = "Whether the product was written is not known; read before trying again."),
    )
)]
pub(super) async fn replace_product(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    Id(id): Id,
    accepted: AcceptedVersion,
    conversation: Conversation,
    conditions: Preconditions,
    body: JsonBody,
) -> Result<Response, Fault> {
    let draft = body.into_draft(Some(&id))?;
    let written = catalog
        .replace(id, draft, conditions.into(), conversation)
        .await?;
    answer(&catalog, &writer, accepted, &written).await
}

/// Update parts of a product.
///
/// The patch is applied to the version 2 document; without conditions, to what the inventory has by then.
/// What it does not change stays as the inventory has it.
#[utoipa::path(
    patch,
    path = "/products/{productId}",
    operation_id = "patchProduct",
    tag = "products",
    security(("apiKey" = [])),
    params(
        ("productId" = String, Path, description = "The product's id.", example = "KETTLE-17"),
        ("if-match" = Option<String>, Header, description = "Entity tags, of any version or coding, one of which the product must have; `*` for any.", example = json!("\"v2-6851e99359d5b90e5c19973672e877d2\"")),
        ("if-unmodified-since" = Option<String>, Header, description = "A date that the product must not have changed after; ignored beside If-Match, and where it is no HTTP date.", example = "Sat, 21 Nov 2026 06:40:56 GMT"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags none of which the product may have; `*`: there must be no such product.", example = "*"),
    ),
    request_body(content = JsonPatch, content_type = "application/json-patch+json", description = "A JSON Patch (RFC 6902) of at most 1000 operations. `id` can not change."),
    responses(
        (status = 200, description = "The product as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(
            ("content-location" = String, description = "The product itself: the content here is what a GET of it would have been answered with, and the entity tag is that of this content, not of what was sent."),
            ("etag" = String, description = "Strong entity tag."))),
        (status = 400, description = "The body is not a JSON Patch; every problem is listed."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off, or the id breaks the pattern of ids."),
        (status = 404, description = "There is no such product."),
        (status = 408, description = "The body did not arrive in time; nothing was written."),
        (status = 409, description = "A test fails, or a path leads nowhere; nothing was written."),
        (status = 410, description = "The product is gone for good."),
        (status = 412, description = "A condition does not hold, or the product changed meanwhile; nothing was written."),
        (status = 413, description = "The body is larger than 1 MiB."),
        (status = 415, description = "The body is not announced as a JSON Patch.",
            headers(("accept-patch" = String, description = "The media type that would do."))),
        (status = 422, description = "What the patch makes is not a product, or another one; nothing was written."),
        (status = 504, description = "Whether the product was written is not known; read before trying again."),
    )
)]
pub(super) async fn patch_product(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    Id(id): Id,
    accepted: AcceptedVersion,
    conversation: Conversation,
    conditions: Preconditions,
    PatchBody(patch): PatchBody,
) -> Result<Response, Fault> {
    let written = catalog
        .patch(id, patch, conditions.into(), conversation)
        .await?;
    answer(&catalog, &writer, accepted, &written).await
}

/// Delete a product.
///
/// Deleted in the inventory first; once this answers, every read on this replica says 404.
#[utoipa::path(
    delete,
    path = "/products/{productId}",
    operation_id = "deleteProduct",
    tag = "products",
    security(("apiKey" = [])),
    params(
        ("productId" = String, Path, description = "The product's id.", example = "KETTLE-17"),
        ("if-match" = Option<String>, Header, description = "Entity tags, of any version or coding, one of which the product must have; `*` for any.", example = json!("\"v2-6851e99359d5b90e5c19973672e877d2\"")),
        ("if-unmodified-since" = Option<String>, Header, description = "A date that the product must not have changed after; ignored beside If-Match, and where it is no HTTP date.", example = "Sat, 21 Nov 2026 06:40:56 GMT"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags none of which the product may have; `*`: there must be no such product.", example = "*"),
    ),
    responses(
        (status = 204, description = "The product is gone."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off, or the id breaks the pattern of ids."),
        (status = 404, description = "There is no such product."),
        (status = 409, description = "The deletion conflicts with the product's state."),
        (status = 410, description = "The product is gone for good."),
        (status = 412, description = "A condition does not hold, or the product changed meanwhile; nothing was written."),
        (status = 504, description = "Whether the product was deleted is not known; read before trying again."),
    )
)]
pub(super) async fn delete_product(
    State(catalog): State<Arc<Catalog>>,
    (writer, NoQuery): (Writer, NoQuery),
    Id(id): Id,
    conversation: Conversation,
    conditions: Preconditions,
) -> Result<Response, Fault> {
    let product = id.as_str().to_owned();
    catalog.delete(id, conditions.into(), conversation).await?;
    tracing::info!(writer = writer.name, product, "Product deleted");
    Ok((
        StatusCode::NO_CONTENT,
        [(CACHE_CONTROL, NO_STORE)],
        Body::new(NoBody),
    )
        .into_response())
}

/// Answers a write with what was stored, in the version that the client takes.
async fn answer(
    catalog: &Catalog,
    writer: &Writer,
    AcceptedVersion(version): AcceptedVersion,
    written: &Written,
) -> Result<Response, Fault> {
    let product = written.id.as_str();
    let created = written.created;
    tracing::info!(writer = writer.name, product, created, "Product written");

    let stored = &written.served.stored;
    let shape = Shape {
        version,
        ..Shape::default()
    };
    let rendition = catalog.rendition(&written.id, stored, shape).await?;
    let mut response = Response::new(Body::from(rendition.body));
    let headers = response.headers_mut();
    Media::Versioned(version).describe(headers);
    headers.insert(CACHE_CONTROL, NO_STORE);
    // RFC 9110 section 9.3.4 keeps the tag from the answer to a PUT whose content was not stored as it is, lest
    // it be taken for that of what was sent. Content-Location says that it is not (section 8.7): it is that of
    // the content here, which is the product as it is now. Writers need it for their next If-Match.
    headers.insert(ETAG, rendition.etag);
    let location = HeaderValue::try_from(uri::of_product(&written.id)).ok();
    if !uri::is_route(&written.id) {
        headers.extend(location.clone().map(|own| (CONTENT_LOCATION, own)));
    }
    if created {
        headers.extend(location.map(|location| (LOCATION, location)));
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}
