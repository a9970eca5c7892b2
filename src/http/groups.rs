//! Categories and brands: which there are, and how many products have them.

use super::caching::Policies;
use super::extract::{Conditions, GroupName, Groups, NoQuery};
use super::fault::{ErrorCode, Fault};
use super::link;
use super::list::{Listing, paging};
use super::media::Accepted;
use super::openapi::{Group as GroupBody, GroupPage};
use crate::catalog::{Catalog, Group, GroupPosition, GroupQuery, Grouping};
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

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
    let groups = catalog.groups(Grouping::Category)?;
    let page = page("/categories", &groups, &query);
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
    let groups = catalog.groups(Grouping::Category)?;
    let group = find(&groups, &name).ok_or_else(|| Fault::new(ErrorCode::CategoryNotFound))?;
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
    let groups = catalog.groups(Grouping::Brand)?;
    let page = page("/brands", &groups, &query);
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
    let groups = catalog.groups(Grouping::Brand)?;
    let group = find(&groups, &name).ok_or_else(|| Fault::new(ErrorCode::BrandNotFound))?;
    group.answer(&policies, &conditions, accepted).await
}

/// One page of groups, which are in the order of their names.
fn page(path: &str, groups: &[Group], query: &GroupQuery) -> Listing {
    let passed = groups.partition_point(|group| query.position.is_behind(&group.name));
    let (first, last) = match query.position {
        GroupPosition::Start | GroupPosition::After(_) => {
            (passed, passed.saturating_add(query.limit).min(groups.len()))
        }
        GroupPosition::Before(_) => (passed.saturating_sub(query.limit), passed),
    };
    let page = groups.get(first..last).unwrap_or_default();
    let data: Vec<_> = page.iter().map(body).collect();
    let cursor = |group: Option<&Group>| group.map(|group| GroupQuery::cursor(&group.name));
    let after = cursor(page.last()).filter(|_| last < groups.len());
    let before = cursor(page.first()).filter(|_| first > 0);
    let text = format!(
        "{{\"data\":[{}],{}}}",
        data.join(","),
        paging(after.as_deref(), before.as_deref())
    );
    Listing::known(text).linked(link::of_groups(path, query, after, before))
}

/// The group called `name`.
fn find(groups: &[Group], name: &str) -> Option<Listing> {
    let at = groups
        .binary_search_by(|group| (*group.name).cmp(name))
        .ok()?;
    groups.get(at).map(|group| Listing::known(body(group)))
}

fn body(group: &Group) -> String {
    let (name, count) = (Value::from(&*group.name), group.count);
    format!("{{\"name\":{name},\"count\":{count}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn groups(count: usize) -> Vec<Group> {
        let group = |n| Group {
            name: format!("g\"{n:03}").into(),
            count: 1 + n as u64,
        };
        (0..count).map(group).collect()
    }

    /// The names and cursors of a page.
    fn read(groups: &[Group], query: &str) -> (Vec<String>, Option<String>, Option<String>) {
        let query = GroupQuery::parse(query).unwrap();
        let text = page("/brands", groups, &query).text();
        let body: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names = body["data"].as_array().unwrap().iter();
        let names = names.map(|group| group["name"].as_str().unwrap().to_owned());
        let cursor = |which| body["paging"]["cursors"][which].as_str().map(str::to_owned);
        (names.collect(), cursor("after"), cursor("before"))
    }

    proptest! {
        #[test]
        fn a_walk_visits_every_group_once_there_and_back(count in 0..40_usize, limit in 1..9_usize) {
            let groups = groups(count);
            let names: Vec<_> = groups.iter().map(|group| group.name.to_string()).collect();
            let (mut seen, mut pages, mut query) = (Vec::new(), Vec::new(), format!("limit={limit}"));
            loop {
                let (names, after, before) = read(&groups, &query);
                prop_assert_eq!(before.is_some(), !pages.is_empty());
                seen.extend(names.iter().cloned());
                pages.push((names, before));
                match after {
                    Some(after) => query = format!("limit={limit}&after={after}"),
                    None => break,
                }
            }
            prop_assert_eq!(seen, names);
            while let Some((_, Some(before))) = pages.pop() {
                let (names, after, _) = read(&groups, &format!("limit={limit}&before={before}"));
                prop_assert_eq!(&names, &pages.last().unwrap().0);
                prop_assert!(after.is_some());
            }
        }
    }

    #[test]
    fn a_group_that_went_meanwhile_is_a_place_all_the_same() {
        let mut groups = groups(5);
        let after = GroupQuery::cursor(&groups.remove(2).name);
        let (names, _, before) = read(&groups, &format!("limit=1&after={after}"));
        assert_eq!(names, ["g\"003"]);
        assert!(before.is_some());
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let groups = groups(3);
        let found = find(&groups, "g\"001").map(|listing| listing.text());
        assert_eq!(found.as_deref(), Some(r#"{"name":"g\"001","count":2}"#));
        assert!(find(&groups, "g").is_none() && find(&groups, "").is_none());
    }
}
