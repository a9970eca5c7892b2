//! Pages, lists of ids, counts and selections, from stored bodies.

use super::*;
use crate::catalog::Entry;
use crate::catalog::{Criteria, Cursor, Place, ProductId, Representation, Stored};
use crate::clock::Moment;
use axum::body::to_bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use std::sync::Arc;

fn served(id: &str, outcome: Outcome, remaining: u64) -> Served {
    let body = format!("{{\"id\":\"{id}\",\"name\":\"N\"}}");
    let stored = Stored::from(Representation::new(body.as_bytes(), None, &[]));
    Served {
        stored: Arc::new(Entry::new(stored, Moment::default(), 0, 0)),
        outcome,
        remaining: Duration::from_secs(remaining),
        contract: None,
        collapsed: false,
        is_kept: false,
        was_past_window: false,
    }
}

/// An index that was confirmed a good while ago.
const WHOLE: Standing = Standing {
    outcome: Outcome::Hit,
    remaining: Duration::from_secs(1800),
};

fn hit(id: &str) -> Served {
    served(id, Outcome::Hit, 900)
}

fn page(items: Vec<Served>) -> Page {
    let cursor = |id| {
        let (keys, id) = (Vec::new(), ProductId::parse(id).unwrap());
        Some(Cursor::at(&Criteria::default(), Place { keys, id }))
    };
    Page {
        items,
        before: cursor("a"),
        after: cursor("b"),
        standing: WHOLE,
    }
}

fn id(text: &str) -> ProductId {
    ProductId::parse(text).unwrap()
}

async fn answered(listing: Listing, headers: HeaderMap) -> Response {
    let policies = Policies::new(Duration::from_secs(300));
    let accepted = Accepted::of(&headers).unwrap();
    let conditions = Conditions::new(headers);
    listing
        .answer(&policies, &conditions, accepted)
        .await
        .unwrap()
}

async fn plainly(page: &Page, headers: HeaderMap) -> Response {
    let listing = Listing::page(page, Version::V2, None).unwrap();
    answered(listing, headers).await
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn stored_bodies_become_one_document() {
    for count in 0..3 {
        let page = page((0..count).map(|n| hit(&n.to_string())).collect());
        let response = plainly(&page, HeaderMap::new()).await;
        let document: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        let data: Vec<_> = (0..count)
            .map(|n| json!({"id": n.to_string(), "name": "N"}))
            .collect();
        assert_eq!(document["data"], json!(data));
        let after = document["paging"]["cursors"]["after"].as_str().unwrap();
        assert_eq!(Cursor::parse(after), page.after);
    }
}

#[tokio::test]
async fn the_only_page_has_no_cursors() {
    let mut page = page(vec![hit("1")]);
    (page.after, page.before) = (None, None);
    let response = plainly(&page, HeaderMap::new()).await;
    assert_eq!(
        text(response).await,
        r#"{"data":[{"id":"1","name":"N"}],"paging":{"cursors":{}}}"#
    );
}

#[tokio::test]
async fn a_list_of_ids_says_which_are_missing() {
    for (found, expected) in [
        (
            vec![
                (id("b"), Ok(hit("b"))),
                (id("x"), Err(WHOLE)),
                (id("a"), Ok(hit("a"))),
            ],
            r#"{"data":[{"id":"b"},{"id":"a"}],"missing":["x"],"paging":{"cursors":{}}}"#,
        ),
        (
            vec![(id("x"), Err(WHOLE)), (id("y"), Err(WHOLE))],
            r#"{"data":[],"missing":["x","y"],"paging":{"cursors":{}}}"#,
        ),
        (
            vec![(id("a"), Ok(hit("a")))],
            r#"{"data":[{"id":"a"}],"missing":[],"paging":{"cursors":{}}}"#,
        ),
    ] {
        let listing = Listing::many(&found, Version::V2, Select::of(["id"])).unwrap();
        assert_eq!(
            text(answered(listing, HeaderMap::new()).await).await,
            expected
        );
    }
}

#[tokio::test]
async fn a_page_lives_no_longer_than_its_oldest_item() {
    for (items, expected, status) in [
        (
            vec![],
            "public, max-age=60, stale-while-revalidate=60",
            "product-catalog; hit; ttl=1800",
        ),
        (
            vec![hit("1"), served("2", Outcome::Hit, 70)],
            "public, max-age=60, stale-while-revalidate=10",
            "product-catalog; hit; ttl=70",
        ),
        (
            vec![
                served("1", Outcome::Miss, 900),
                served("2", Outcome::Hit, 5),
            ],
            "public, max-age=5",
            "product-catalog; fwd=uri-miss",
        ),
        (
            vec![hit("1"), served("2", Outcome::Stale, 0)],
            "no-store",
            "product-catalog; hit; detail=stale",
        ),
    ] {
        let response = plainly(&page(items), HeaderMap::new()).await;
        assert_eq!(response.headers()[CACHE_CONTROL], expected);
        assert_eq!(response.headers()["cache-status"], status);
        let marked = response.headers().contains_key("x-cache-stale");
        assert_eq!(marked, expected == "no-store");
    }
}

#[tokio::test]
async fn an_answer_from_the_index_lives_no_longer_than_that_was_confirmed_for() {
    let short = |outcome, secs| Standing {
        outcome,
        remaining: Duration::from_secs(secs),
    };
    for (standing, expected, status) in [
        (
            short(Outcome::Hit, 7),
            "public, max-age=7",
            "product-catalog; hit; ttl=7",
        ),
        (
            short(Outcome::Miss, 7),
            "public, max-age=7",
            "product-catalog; fwd=uri-miss",
        ),
        (
            short(Outcome::Stale, 0),
            "no-store",
            "product-catalog; hit; detail=stale",
        ),
    ] {
        let of = |items| Page {
            standing,
            ..page(items)
        };
        let pages = [of(Vec::new()), of(vec![hit("1")])];
        let pages = pages.map(|page| Listing::page(&page, Version::V2, None).unwrap());
        for listing in pages.into_iter().chain([Listing::known("7", standing)]) {
            let response = answered(listing, HeaderMap::new()).await;
            assert_eq!(response.headers()[CACHE_CONTROL], expected);
            assert_eq!(response.headers()["cache-status"], status);
        }
    }
}

#[tokio::test]
async fn a_list_of_ids_lives_no_longer_than_its_absences_are_remembered() {
    let absent = |outcome, secs| {
        Err(Standing {
            outcome,
            remaining: Duration::from_secs(secs),
        })
    };
    let known = |secs| absent(Outcome::Negative, secs);
    for (found, expected, status) in [
        (
            vec![known(30), known(20)],
            "public, max-age=20",
            "product-catalog; hit; detail=negative",
        ),
        (
            vec![known(30), Ok(hit("a"))],
            "public, max-age=30",
            "product-catalog; hit; ttl=30",
        ),
        (
            vec![absent(Outcome::Miss, 30), known(30), Ok(hit("a"))],
            "public, max-age=30",
            "product-catalog; fwd=uri-miss",
        ),
    ] {
        let found: Vec<_> = found.into_iter().map(|served| (id("x"), served)).collect();
        let listing = Listing::many(&found, Version::V2, None).unwrap();
        let response = answered(listing, HeaderMap::new()).await;
        assert_eq!(response.headers()[CACHE_CONTROL], expected);
        assert_eq!(response.headers()["cache-status"], status);
    }
}

#[tokio::test]
async fn the_tag_tells_products_versions_cursors_and_choices_apart() {
    let one = page(vec![hit("1"), hit("2")]);
    let mut shorter = one.clone();
    shorter.after = None;
    let mut listings: Vec<_> = [
        &one,
        &page(vec![hit("2"), hit("1")]),
        &page(vec![hit("1")]),
        &shorter,
    ]
    .into_iter()
    .map(|page| Listing::page(page, Version::V2, None).unwrap())
    .collect();
    for select in [["id"].as_slice(), &["name"], &["id", "name"]] {
        let select = Select::of(select.iter().copied());
        listings.push(Listing::page(&one, Version::V2, select).unwrap());
    }
    listings.push(Listing::known("7", WHOLE));
    listings.push(Listing::known("8", WHOLE));
    let mut tags = Vec::new();
    for listing in listings {
        tags.push(answered(listing, HeaderMap::new()).await.headers()[ETAG].clone());
    }
    for (at, tag) in tags.iter().enumerate() {
        assert!(tag.to_str().unwrap().starts_with("\"v2-"), "strong");
        assert!(!tags[at + 1..].contains(tag));
    }
    let again = plainly(&one, HeaderMap::new()).await;
    assert_eq!(again.headers()[ETAG], tags[0]);

    let known = HeaderMap::from_iter([(IF_NONE_MATCH, tags[0].clone())]);
    let link = HeaderValue::from_static("</products>; rel=\"next\"");
    let listing = Listing::page(&one, Version::V2, None)
        .unwrap()
        .linked(Some(link.clone()));
    let response = answered(listing, known).await;
    assert_eq!(response.status(), 304);
    for name in [CONTENT_LENGTH, LINK] {
        assert!(!response.headers().contains_key(name));
    }
    let listing = Listing::known("7", WHOLE).linked(Some(link.clone()));
    assert_eq!(
        answered(listing, HeaderMap::new()).await.headers()[LINK],
        link
    );
}

#[tokio::test]
async fn a_count_is_a_bare_integer() {
    let response = answered(Listing::known("42", WHOLE), HeaderMap::new()).await;
    assert_eq!(
        response.headers()[CACHE_CONTROL],
        "public, max-age=60, stale-while-revalidate=60"
    );
    assert_eq!(text(response).await, "42");
}

#[tokio::test]
async fn a_search_may_not_be_kept_and_has_no_validator() {
    let policies = Policies::new(Duration::from_secs(300));
    let listing = Listing::page(&page(vec![hit("1")]), Version::V2, None).unwrap();
    let response = listing
        .answer_once(&policies, Accepted::default())
        .await
        .unwrap();
    let headers = response.headers();
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[CONTENT_TYPE], "application/json;v=2");
    assert_eq!(headers[VARY], "Accept, Accept-Encoding");
    assert!(!headers.contains_key(ETAG));
    assert_eq!(response.status(), 200);
}
