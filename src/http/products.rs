//! The `/products` endpoints. Each handler translates; decisions live in [`catalog`](crate::catalog).

use super::auth::Writer;
use super::caching::{MEDIA_TYPE, NoBody, Policies};
use super::extract::{Conditions, Id, JsonBody, Query};
use super::fault::{Fault, NO_STORE};
use super::list;
use super::openapi::{NewProduct, Product, ProductPage};
use crate::catalog::{Catalog, Written};
use crate::telemetry::Conversation;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Get a product.
///
/// Answered from memory while the copy there is fresh. Also answers HEAD.
#[utoipa::path(
    get,
    path = "/products/{productId}",
    operation_id = "getProduct",
    tag = "products",
    params(
        ("productId" = String, Path, description = "The product's id.", example = "KETTLE-17"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
        ("if-modified-since" = Option<String>, Header, description = "Ignored beside If-None-Match; 304 when nothing changed since."),
    ),
    responses(
        (status = 200, description = "The product.", body = Product, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("last-modified" = String, description = "When the product last changed."),
            ("cache-control" = String, description = "How long a copy is good; `no-store` when served stale."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."),
            ("x-cache-stale" = Option<String>, description = "`true` when served past its window."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 403, description = "The id breaks the pattern of ids."),
        (status = 404, description = "There is no such product."),
        (status = 410, description = "The product is gone for good."),
    )
)]
pub(super) async fn get_product(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    Id(id): Id,
    conversation: Conversation,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let served = catalog.get(&id, conversation).await?;
    Ok(policies.product(&conditions, &served))
}

/// Query products.
///
/// One page, in the order of ids. Also answers HEAD.
#[utoipa::path(
    get,
    path = "/products",
    operation_id = "queryProducts",
    tag = "products",
    params(
        ("limit" = Option<u8>, Query, description = "Products on the page at most.", minimum = 1, maximum = 100, example = 20),
        ("after" = Option<String>, Query, description = "The page after this cursor; not beside `before`."),
        ("before" = Option<String>, Query, description = "The page before this cursor; not beside `after`."),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
    ),
    responses(
        (status = 200, description = "The page.", body = ProductPage, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("cache-control" = String, description = "How long a copy is good; `no-store` when part of it is stale."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."),
            ("x-cache-stale" = Option<String>, description = "`true` when part of it is past its window."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 400, description = "The query can not be understood."),
    )
)]
pub(super) async fn query_products(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    Query(query): Query,
    conversation: Conversation,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let page = catalog.page(&query, conversation).await?;
    Ok(list::answer(&policies, &conditions, &page))
}

/// Create a product.
///
/// Written to the inventory first; once this answers, every read on this replica sees it.
#[utoipa::path(
    post,
    path = "/products",
    operation_id = "createProduct",
    tag = "products",
    security(("apiKey" = [])),
    request_body(content = NewProduct, content_type = "application/json", description = "The product; the inventory chooses the id where none is given."),
    responses(
        (status = 201, description = "The product as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(
            ("location" = String, description = "Where the product is."),
            ("etag" = String, description = "Strong entity tag."))),
        (status = 400, description = "The body is not a product; every problem is listed."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off."),
        (status = 409, description = "The product conflicts with one that exists."),
        (status = 408, description = "The body did not arrive in time; nothing was written."),
        (status = 412, description = "The inventory's state has changed; nothing was written."),
        (status = 413, description = "The body is larger than 1 MiB."),
        (status = 415, description = "The body is not announced as JSON."),
        (status = 504, description = "Whether the product was created is not known; read before trying again."),
    )
)]
pub(super) async fn create_product(
    State(catalog): State<Arc<Catalog>>,
    writer: Writer,
    conversation: Conversation,
    body: JsonBody,
) -> Result<Response, Fault> {
    let draft = body.into_draft(None)?;
    let written = catalog.create(draft, conversation).await?;
    Ok(stored(&writer, &written))
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
    params(("productId" = String, Path, description = "The product's id.", example = "KETTLE-17")),
    request_body(content = NewProduct, content_type = "application/json", description = "The whole product; its id, where given, is the path's."),
    responses(
        (status = 200, description = "The product as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(("etag" = String, description = "Strong entity tag."))),
        (status = 201, description = "The product was created, as it was stored.", body = Product, content_type = "application/json;v=2",
            headers(
            ("location" = String, description = "Where the product is."),
            ("etag" = String, description = "Strong entity tag."))),
        (status = 400, description = "The body is not a product; every problem is listed."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off, or the id breaks the pattern of ids."),
        (status = 409, description = "The write conflicts with the product's state."),
        (status = 410, description = "The product is gone for good."),
        (status = 412, description = "The product has changed."),
        (status = 404, description = "The inventory has no such product and does not create it."),
        (status = 408, description = "The body did not arrive in time; nothing was written."),
        (status = 413, description = "The body is larger than 1 MiB."),
        (status = 415, description = "The body is not announced as JSON."),
        (status = 504, description = "Whether the product was written is not known; read before trying again."),
    )
)]
pub(super) async fn replace_product(
    State(catalog): State<Arc<Catalog>>,
    writer: Writer,
    Id(id): Id,
    conversation: Conversation,
    body: JsonBody,
) -> Result<Response, Fault> {
    let draft = body.into_draft(Some(&id))?;
    let written = catalog.replace(id, draft, conversation).await?;
    Ok(stored(&writer, &written))
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
    params(("productId" = String, Path, description = "The product's id.", example = "KETTLE-17")),
    responses(
        (status = 204, description = "The product is gone."),
        (status = 401, description = "The key is missing or wrong."),
        (status = 403, description = "Writes are switched off, or the id breaks the pattern of ids."),
        (status = 404, description = "There is no such product."),
        (status = 409, description = "The deletion conflicts with the product's state."),
        (status = 410, description = "The product is gone for good."),
        (status = 412, description = "The product has changed."),
        (status = 504, description = "Whether the product was deleted is not known; read before trying again."),
    )
)]
pub(super) async fn delete_product(
    State(catalog): State<Arc<Catalog>>,
    writer: Writer,
    Id(id): Id,
    conversation: Conversation,
) -> Result<Response, Fault> {
    let product = id.as_str().to_owned();
    catalog.delete(id, conversation).await?;
    tracing::info!(writer = writer.name, product, "Product deleted");
    Ok((
        StatusCode::NO_CONTENT,
        [(CACHE_CONTROL, NO_STORE)],
        Body::new(NoBody),
    )
        .into_response())
}

/// Answers a write with what was stored.
fn stored(writer: &Writer, written: &Written) -> Response {
    let product = written.id.as_str();
    let created = written.created;
    tracing::info!(writer = writer.name, product, created, "Product written");

    let representation = &written.served.stored.representation;
    let mut response = Response::new(Body::from(representation.body.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(ETAG, representation.etag.clone());
    if let Some(modified) = &representation.last_modified {
        headers.insert(LAST_MODIFIED, modified.header.clone());
    }
    // An id has only characters that a path takes as they are.
    if let (true, Ok(location)) = (
        created,
        HeaderValue::try_from(format!("/products/{product}")),
    ) {
        headers.insert(LOCATION, location);
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}
