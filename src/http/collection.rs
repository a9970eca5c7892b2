//! The collection of products. Each handler translates; decisions live in [`catalog`](crate::catalog).

use super::caching::Policies;
use super::extract::{Conditions, Query};
use super::fault::Fault;
use super::list;
use super::media::Accepted;
use super::openapi::ProductPage;
use crate::catalog::Catalog;
use crate::telemetry::Conversation;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

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
    accepted: Accepted,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let page = catalog.page(&query, conversation).await?;
    list::answer(&policies, &conditions, accepted, &page).await
}
