//! The collection of products. Each handler translates; decisions live in [`catalog`].

use super::caching::Policies;
use super::extract::{Conditions, Query};
use super::fault::Fault;
use super::link;
use super::list::{self, Listing};
use super::media::Accepted;
use super::openapi::{ProductAnswer, Status};
use crate::catalog::{self, Asked, Catalog, Seal, Version};
use crate::telemetry::Conversation;
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use std::sync::Arc;

/// Query products.
///
/// One page of the products that meet all conditions, in the order asked for or that of ids. Also answers HEAD.
///
/// **Conditions**: a field, one of `=` `<>` `>` `>=` `<` `<=`, and a value: `price>=1000` (on the wire
/// `price%3E=1000`). Fields are those below and `attributes.NAME`, a scalar under `attributes`. Values may be quoted with `'`,
/// which is doubled inside. A field may be there with several operators: that is a range. Texts compare by code
/// point; a missing value meets `<>` alone; `tags` has `=` (any of them is equal) and `<>` only.
/// More than 2,000 characters of conditions go to `POST /products/search`.
///
/// **Counting**: with the flag `count`, which has neither `=` nor a value, the answer is the number of products
/// that meet the conditions, a bare integer; order, page and choice do not matter.
///
/// **Reading many**: `id=a,b,c` answers those products in the order asked, and tells which are `missing`. It goes with
/// `select` and nothing else.
#[utoipa::path(
    get,
    path = "/products",
    operation_id = "queryProducts",
    tag = "products",
    params(
        ("limit" = Option<u8>, Query, description = "Products on the page at most.", minimum = 1, maximum = 100, example = 20),
        ("after" = Option<String>, Query, description = "The page after this cursor; not beside `before`. A cursor belongs to its conditions and order."),
        ("before" = Option<String>, Query, description = "The page before this cursor; not beside `after`."),
        ("sortby" = Option<String>, Query, description = "Up to five fields, each once, the first weighing most: behind `+` (also as the space it decodes to) ascending, behind `-` or nothing descending. A missing value sorts last. Texts sort by their first 128 characters; ties by id, in the direction of the last field.", pattern = "^[+ -]?(id|sku|name|description|category|brand|price|currency|status|createdAt|updatedAt)(,[+ -]?(id|sku|name|description|category|brand|price|currency|status|createdAt|updatedAt)){0,4}$", example = "-price,+name"),
        ("select" = Option<String>, Query, description = "The members that products are answered with; no others.", pattern = "^(id|sku|name|description|category|brand|price|status|tags|attributes|createdAt|updatedAt)(,(id|sku|name|description|category|brand|price|status|tags|attributes|createdAt|updatedAt))*$", example = "id,name,price"),
        ("id" = Option<String>, Query, description = "With `=`: up to 100 ids, separated by commas. With another operator: a condition.", pattern = "^[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}(,[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}){0,99}$", example = "KETTLE-17,KETTLE-21"),
        ("sku" = Option<String>, Query, description = "Condition on the stock keeping unit.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$", example = "KT-17-STEEL"),
        ("name" = Option<String>, Query, description = "Condition on the name.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$", example = "Steel kettle, 1.7 l"),
        ("description" = Option<String>, Query, description = "Condition on the description.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$"),
        ("category" = Option<String>, Query, description = "Condition on the category.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$", example = "kitchen"),
        ("brand" = Option<String>, Query, description = "Condition on the brand.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$", example = "Norvik"),
        ("price" = Option<i64>, Query, description = "Condition on the amount, in the currency's minor units.", example = 5122),
        ("currency" = Option<String>, Query, description = "Condition on the currency.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$", example = "EUR"),
        ("status" = Option<Status>, Query, description = "Condition on the status."),
        ("tags" = Option<String>, Query, description = "Condition on the tags.", min_length = 1, pattern = "^([^'][\\s\\S]*|'([^']|'')*')$", example = "steel"),
        ("createdAt" = Option<String>, Query, description = "Condition on the creation, an RFC 3339 time.", format = DateTime, example = "2026-03-02T09:14:00Z"),
        ("updatedAt" = Option<String>, Query, description = "Condition on the last change, an RFC 3339 time.", format = DateTime, example = "2026-11-18T16:40:12Z"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
    ),
    responses(
        (status = 200, description = "The page; with `count`, the number of products; with a list of ids, those and which are missing.", body = ProductAnswer, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag, one for each choice of members."),
            ("cache-control" = String, description = "How long a copy is good; `no-store` when part of it is stale."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("link" = Option<String>, description = "The next and the previous page (RFC 8288)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."),
            ("x-cache-stale" = Option<String>, description = "`true` when part of it is past its window."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 400, description = "The query can not be understood; every problem is listed."),
    )
)]
pub(super) async fn query_products(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    uri: Uri,
    Query(query): Query,
    conversation: Conversation,
    accepted: Accepted,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let (asked, form) = (uri.query().unwrap_or_default(), accepted.number());
    if let Some((page, worth)) = catalog.page_that_stands(asked, form).await {
        let kept = &page.rendered;
        return Ok(list::answer_kept(&policies, &conditions, kept, worth));
    }
    let (found, seal) = find(&catalog, &query, accepted.version, conversation).await?;
    let Some(seal) = seal else {
        return found.answer(&policies, &conditions, accepted).await;
    };
    let worth = found.worth();
    let page = found.render(&policies, accepted).await?;
    let response = list::answer_kept(&policies, &conditions, &page, worth);
    catalog.keep_page(asked, form, page, seal);
    Ok(response)
}

/// What a query asks for; with a seal if it is a page that may be kept.
pub(super) async fn find(
    catalog: &Catalog,
    query: &catalog::Query,
    version: Version,
    conversation: Conversation,
) -> Result<(Listing, Option<Seal>), Fault> {
    let select = query.select;
    match &query.asked {
        Asked::Page(page) => {
            // Only plain pages come from the inventory while there is no index.
            if select.is_some() {
                catalog.standing()?;
            }
            let (found, seal) = catalog.page_to_keep(page, conversation).await?;
            let link = link::of_page(page, select, found.after.as_ref(), found.before.as_ref());
            let listing = Listing::page(&found, version, select)?;
            Ok((listing.linked(link), seal))
        }
        Asked::Count(criteria) => {
            let standing = catalog.standing()?;
            let count = catalog.count(criteria).await?;
            Ok((Listing::known(count.to_string(), standing), None))
        }
        Asked::Many(ids) => {
            let found = catalog.many(ids, conversation).await?;
            Ok((Listing::many(&found, version, select)?, None))
        }
    }
}
