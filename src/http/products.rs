//! Reading one product. Each handler translates; decisions live in [`catalog`](crate::catalog).

use super::caching::Policies;
use super::demands::Demanded;
use super::extract::{Conditions, Id, NoQuery, Selected};
use super::fault::{Fault, JSON, NO_STORE};
use super::list;
use super::media::{Accepted, AcceptsJson};
use super::openapi::{AnyProduct, Availability};
use crate::catalog::{Catalog, Outcome};
use crate::telemetry::Conversation;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED};
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
        ("select" = Option<String>, Query, description = "The members that the product is answered with; no others. Each choice has an entity tag of its own.", pattern = "^(id|sku|name|description|category|brand|price|status|tags|attributes|createdAt|updatedAt)(,(id|sku|name|description|category|brand|price|status|tags|attributes|createdAt|updatedAt))*$", example = "id,name,price"),
        ("cache-control" = Option<String>, Header, description = "`max-age` (in seconds) and `no-cache` ask for a product that the inventory vouched for no longer ago, `only-if-cached` for one that it need not be asked for. Heeded for callers with a credential, within their budget; else ignored.", example = "max-age=2"),
        ("if-match" = Option<String>, Header, description = "Entity tags of the representation asked for; 412 when none is current."),
        ("if-unmodified-since" = Option<String>, Header, description = "Ignored beside If-Match; 412 when the product changed after it."),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
        ("if-modified-since" = Option<String>, Header, description = "Ignored beside If-None-Match; 304 when nothing changed since."),
    ),
    responses(
        (status = 200, description = "The product, or what is selected of it.", body = AnyProduct, content_type = "application/json;v=2",
            headers(
            ("etag" = Option<String>, description = "Strong entity tag; absent from a stand-in."),
            ("last-modified" = Option<String>, description = "When the product last changed; absent where the inventory has no date for that, or was last asked less than two seconds after it, when another change could still have the same date."),
            ("cache-control" = String, description = "How long a copy is good; `no-store` when served stale."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."),
            ("x-cache-stale" = Option<String>, description = "`true` when served past its window."),
            ("x-cache-fallback" = Option<String>, description = "`true` when this is the stand-in of the product's freshness contract."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 400, description = "The query can not be understood."),
        (status = 403, description = "The id breaks the pattern of ids."),
        (status = 404, description = "There is no such product."),
        (status = 410, description = "The product is gone for good."),
        (status = 412, description = "The representation is not the one that If-Match or If-Unmodified-Since asks for."),
        (status = 504, description = "With `only-if-cached`: no copy that may answer is held."),
    )
)]
pub(super) async fn get_product(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    Id(id): Id,
    Selected(select): Selected,
    conversation: Conversation,
    accepted: Accepted,
    (demanded, conditions): (Demanded, Conditions),
) -> Result<Response, Fault> {
    let (demand, heed) = demanded.of(&catalog, &id);
    let served = catalog.get_with(&id, conversation, demand).await?;
    // A stand-in is no version of the product: it has no validators, and no condition is about it.
    let is_stand_in = served.outcome == Outcome::Fallback;
    let conditions = match is_stand_in {
        true => Conditions::default(),
        false => conditions,
    };
    let mut response = match select {
        Some(select) => {
            list::selected(&policies, &conditions, accepted, &served, select, heed).await?
        }
        None => {
            let shape = accepted.shape();
            let rendition = catalog.rendition(&id, &served.stored, shape).await?;
            policies.product(&conditions, &served, rendition, heed)
        }
    };
    if is_stand_in {
        response.headers_mut().remove(ETAG);
        response.headers_mut().remove(LAST_MODIFIED);
    }
    Ok(response)
}

/// Get a product's live stock.
///
/// Asked for in the inventory each time and never kept, so it has no validators and no conditions. Also
/// answers HEAD.
#[utoipa::path(
    get,
    path = "/products/{productId}/availability",
    operation_id = "getAvailability",
    tag = "products",
    params(("productId" = String, Path, description = "The product's id.", example = "KETTLE-17")),
    responses(
        (status = 200, description = "The stock, as the inventory says it.", body = Availability, content_type = "application/json",
            headers(("cache-control" = String, description = "Always `no-store`."))),
        (status = 403, description = "The id breaks the pattern of ids."),
        (status = 404, description = "There is no such product."),
        (status = 410, description = "The product is gone for good."),
    )
)]
pub(super) async fn get_availability(
    State(catalog): State<Arc<Catalog>>,
    Id(id): Id,
    _: NoQuery,
    _: AcceptsJson,
    conversation: Conversation,
) -> Result<Response, Fault> {
    let stock = catalog.availability(&id, conversation).await?;
    let mut response = Response::new(Body::from(stock));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    Ok(response)
}
