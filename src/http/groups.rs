//! Categories and brands: which there are, and how many products have them.

use super::caching::{Keys, Policies};
use super::extract::{Conditions, GroupName, Groups, NoQuery};
use super::fault::{ErrorCode, Fault};
use super::link;
use super::list::{Listing, paging};
use super::media::Accepted;
use super::openapi::{Group as GroupBody, GroupPage};
use crate::catalog::{Catalog, Group, GroupQuery, GroupRun, Grouping, Standing};
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

/// What products are grouped by, and what its routes answer for it.
struct Kind {
    by: Grouping,
    path: &'static str,
    unknown: ErrorCode,
    /// The keys that one of the groups is purged by.
    keys: fn(&str) -> Keys,
}

const CATEGORIES: Kind = Kind {
    by: Grouping::Category,
    path: "/categories",
    unknown: ErrorCode::CategoryNotFound,
    keys: Keys::of_category,
};

const BRANDS: Kind = Kind {
    by: Grouping::Brand,
    path: "/brands",
    unknown: ErrorCode::BrandNotFound,
    keys: Keys::of_brand,
};

/// Query categories.
///
/// The categories that products have, in the order of their names, each with the number of its products; one page. Also
/// answers HEAD.
#[utoipa::path(
    get,
    path = "/categories",
    operation_id = "queryCategories",
    tag = "categories",
    params(
        ("limit" = Option<u8>, Query, description = "Categories on the page at most.", minimum = 1, maximum = 100, example = 20),
        ("after" = Option<String>, Query, description = "The page after this cursor; not beside `before`."),
        ("before" = Option<String>, Query, description = "The page before this cursor; not beside `after`."),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
    ),
    responses(
        (status = 200, description = "The page.", body = GroupPage, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("cache-control" = String, description = "How long a copy is good."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("link" = Option<String>, description = "The next and the previous page (RFC 8288)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 400, description = "The query can not be understood."),
    )
)]
pub(super) async fn query_categories(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    Groups(query): Groups,
    accepted: Accepted,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let page = CATEGORIES.page(&catalog, &query)?;
    page.answer(&policies, &conditions, accepted).await
}

/// Get a category.
///
/// How many products have it. Its id is its name. Also answers HEAD.
#[utoipa::path(
    get,
    path = "/categories/{categoryId}",
    operation_id = "getCategory",
    tag = "categories",
    params(
        ("categoryId" = String, Path, description = "The category's name.", example = "kitchen"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
    ),
    responses(
        (status = 200, description = "The category.", body = GroupBody, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("cache-control" = String, description = "How long a copy is good."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 404, description = "No product has this category."),
    )
)]
pub(super) async fn get_category(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    GroupName(name): GroupName,
    _: NoQuery,
    accepted: Accepted,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let group = CATEGORIES.one(&catalog, &name)?;
    group.answer(&policies, &conditions, accepted).await
}

/// Query brands.
///
/// The brands that products have, in the order of their names, each with the number of its products; one page. Also
/// answers HEAD.
#[utoipa::path(
    get,
    path = "/brands",
    operation_id = "queryBrands",
    tag = "brands",
    params(
        ("limit" = Option<u8>, Query, description = "Brands on the page at most.", minimum = 1, maximum = 100, example = 20),
        ("after" = Option<String>, Query, description = "The page after this cursor; not beside `before`."),
        ("before" = Option<String>, Query, description = "The page before this cursor; not beside `after`."),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
    ),
    responses(
        (status = 200, description = "The page.", body = GroupPage, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("cache-control" = String, description = "How long a copy is good."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("link" = Option<String>, description = "The next and the previous page (RFC 8288)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 400, description = "The query can not be understood."),
    )
)]
pub(super) async fn query_brands(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    Groups(query): Groups,
    accepted: Accepted,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let page = BRANDS.page(&catalog, &query)?;
    page.answer(&policies, &conditions, accepted).await
}

/// Get a brand.
///
/// How many products have it. Its id is its name. Also answers HEAD.
#[utoipa::path(
    get,
    path = "/brands/{brandId}",
    operation_id = "getBrand",
    tag = "brands",
    params(
        ("brandId" = String, Path, description = "The brand's name.", example = "Norvik"),
        ("if-none-match" = Option<String>, Header, description = "Entity tags of copies at hand; 304 when one is current."),
    ),
    responses(
        (status = 200, description = "The brand.", body = GroupBody, content_type = "application/json;v=2",
            headers(
            ("etag" = String, description = "Strong entity tag."),
            ("cache-control" = String, description = "How long a copy is good."),
            ("cache-status" = String, description = "How the cache satisfied the read (RFC 9211)."),
            ("vary" = String, description = "`Accept, Accept-Encoding`."))),
        (status = 304, description = "The copy at hand is current."),
        (status = 404, description = "No product has this brand."),
    )
)]
pub(super) async fn get_brand(
    State(catalog): State<Arc<Catalog>>,
    State(policies): State<Arc<Policies>>,
    GroupName(name): GroupName,
    _: NoQuery,
    accepted: Accepted,
    conditions: Conditions,
) -> Result<Response, Fault> {
    let group = BRANDS.one(&catalog, &name)?;
    group.answer(&policies, &conditions, accepted).await
}

// === impl Kind ===

impl Kind {
    fn page(&self, catalog: &Catalog, query: &GroupQuery) -> Result<Listing, Fault> {
        let standing = catalog.standing()?;
        let groups = catalog.groups(self.by, query)?;
        Ok(page(self.path, &groups, query, standing))
    }

    fn one(&self, catalog: &Catalog, name: &str) -> Result<Listing, Fault> {
        let standing = catalog.standing()?;
        let group = catalog.group(self.by, name)?;
        let group = group.ok_or_else(|| Fault::new(self.unknown))?;
        Ok(Listing::known(body(&group), standing).about((self.keys)(name)))
    }
}

/// One page of groups.
fn page(path: &str, groups: &GroupRun, query: &GroupQuery, standing: Standing) -> Listing {
    let page = &groups.page;
    let data: Vec<_> = page.iter().map(body).collect();
    let cursor = |group: Option<&Group>| group.map(|group| GroupQuery::cursor(&group.name));
    let after = cursor(page.last()).filter(|_| groups.has_after);
    let before = cursor(page.first()).filter(|_| groups.has_before);
    let text = format!(
        "{{\"data\":[{}],{}}}",
        data.join(","),
        paging(after.as_deref(), before.as_deref())
    );
    Listing::known(text, standing).linked(link::of_groups(path, query, after, before))
}

fn body(group: &Group) -> String {
    let (name, count) = (Value::from(&*group.name), group.count);
    format!("{{\"name\":{name},\"count\":{count}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Outcome;
    use std::time::Duration;

    #[test]
    fn a_page_has_cursors_at_the_ends_where_there_is_more() {
        let group = |n: u64| Group {
            name: format!("g\"{n}").into(),
            count: n,
        };
        for (has_before, has_after) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let run = GroupRun {
                page: vec![group(1), group(2)],
                has_before,
                has_after,
            };
            let standing = Standing {
                outcome: Outcome::Hit,
                remaining: Duration::MAX,
            };
            let text = page("/brands", &run, &GroupQuery::default(), standing).text();
            let body: Value = serde_json::from_str(&text).unwrap();
            let data =
                serde_json::json!([{"name": "g\"1", "count": 1}, {"name": "g\"2", "count": 2}]);
            assert_eq!(body["data"], data);
            let cursor = |which: &str| body["paging"]["cursors"][which].as_str().map(str::to_owned);
            assert_eq!(
                cursor("before"),
                has_before.then(|| GroupQuery::cursor("g\"1"))
            );
            assert_eq!(
                cursor("after"),
                has_after.then(|| GroupQuery::cursor("g\"2"))
            );
        }
    }
}
