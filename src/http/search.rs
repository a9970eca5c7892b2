//! Searching products: what a URL can ask for and a text, in a body.

use super::caching::Policies;
use super::collection::find;
use super::extract::{NoQuery, SearchBody};
use super::fault::Fault;
use super::media::Accepted;
use super::openapi::{ProductAnswer, Search};
use crate::catalog::Catalog;
use crate::telemetry::Conversation;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

/// Query products by a body.
///
/// For what is too long for a URL, and for full-text queries. Changes nothing, and may not be kept.
#[utoipa::path(
    post,
    path = "/products/search",
    operation_id = "searchProducts",
    tag = "products",
    request_body(content = Search, content_type = "application/json", description = "What is looked for; every member is optional."),
    responses(
        (status = 200, description = "The page; with `count`, the number of products alone.", body = ProductAnswer, content_type = "application/json;v=2",
            headers(
            ("cache-control" = String, description = "Always `no-store`."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."),
            ("x-cache-stale" = Option<String>, description = "`true` when part of it is past its window."))),
        (status = 400, description = "The search can not be understood; every problem is listed."),
        (status = 408, description = "The body did not arrive in time."),
        (status = 413, description = "The body is larger than 1 MiB."),
        (status = 415, description = "The body is not announced as JSON."),
    )
)]
pub(super) async fn search_products(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    conversation: Conversation,
    accepted: Accepted,
    _: NoQuery,
    SearchBody(query): SearchBody,
) -> Result<Response, Fault> {
    let (found, _) = find(&catalog, &query, accepted.version, conversation).await?;
    found.answer_once(&policies, accepted).await
}
