//! Pages that are kept: nobody can tell them from pages that are composed anew, but by the time they take.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PAGE: &str = "/products?limit=5&sortby=%2Bprice";

/// The same page, composed anew: answers to a POST are never kept.
async fn anew(app: &TestApp) -> Value {
    let search = json!({"limit": 5, "sortby": "+price"}).to_string();
    let headers = [("content-type", "application/json")];
    let answer = app
        .send(Method::POST, "/products/search", &headers, search)
        .await;
    assert!(answer.is_ok(), "{}", answer.text());
    answer.json()
}

/// Whether a page was answered from the very bytes of an earlier one.
fn is_kept(before: &Answer, after: &Answer) -> bool {
    before.body().as_ptr() == after.body().as_ptr()
}

/// What a product is written with.
fn draft(name: &str, price: i64) -> Value {
    json!({"name": name, "price": {"amount": price, "currency": "EUR"}})
}

async fn write(app: &TestApp, id: &str, price: i64) {
    let path = format!("/products/{id}");
    let written = app.write(Method::PUT, &path, &draft(id, price)).await;
    assert!(written.status() < 300, "{}", written.text());
}

async fn purge(app: &TestApp, target: &Value) {
    let done = app
        .operate(Method::POST, "/cache/invalidations", target)
        .await;
    assert!(done.status() < 300, "{}", done.text());
}

#[tokio::test(start_paused = true)]
async fn a_page_is_kept_and_gets_older() {
    let app = Setup::products(40).warm().await;
    let first = app.get(PAGE).await;
    assert_eq!(first.json(), anew(&app).await);
    app.later(Duration::from_secs(100)).await;
    let second = app.get(PAGE).await;
    assert!(is_kept(&first, &second));
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(first.header("link"), second.header("link"));
    let ttl = |answer: &Answer| -> u64 {
        let status = answer.header("cache-status").to_owned();
        status.rsplit_once("ttl=").unwrap().1.parse().unwrap()
    };
    assert_eq!(ttl(&first), ttl(&second) + 100);
    let tag = [("if-none-match", first.header("etag"))];
    let third = app.get_with(PAGE, &tag).await;
    assert_eq!((third.status(), third.header("link")), (304, ""));

    // Each form has a page of its own, and HEAD is answered from it too.
    for headers in [
        vec![("accept", "application/json;v=1")],
        vec![("accept-encoding", "gzip")],
    ] {
        let first = app.get_with(PAGE, &headers).await;
        let second = app.get_with(PAGE, &headers).await;
        assert!(is_kept(&first, &second) && first.body() != third.body());
        let head = app.send(Method::HEAD, PAGE, &headers, "").await;
        let same = |name| head.header(name) == second.header(name);
        assert!(
            [
                "etag",
                "link",
                "cache-control",
                "content-type",
                "content-encoding"
            ]
            .map(same)
                == [true; 5]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_of_no_concern_to_a_page_leaves_it_alone() {
    let app = Setup::products(40).warm().await;
    let first = app.get(PAGE).await;
    write(&app, "dear", 99_999_999).await;
    assert!(is_kept(&first, &app.get(PAGE).await));
    write(&app, "cheap", 0).await;
    let second = app.get(PAGE).await;
    assert!(!is_kept(&first, &second));
    assert_eq!(second.ids()[0], "cheap");
    assert_eq!(second.json(), anew(&app).await);
    write(&app, "cheap", 99_999_999).await;
    assert_eq!(app.get(PAGE).await.json(), first.json());
    let deleted = format!("/products/{}", first.ids()[0]);
    app.write(Method::DELETE, &deleted, &Value::Null).await;
    let third = app.get(PAGE).await;
    assert_eq!(third.ids()[0], first.ids()[1]);
    assert_eq!(third.json(), anew(&app).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_against_a_product_is_said_against_its_pages() {
    let app = Setup::products(40).warm().await;
    let first = app.get(PAGE).await;
    let id = &first.ids()[2];
    for order in [
        json!({"mode": "soft", "ids": [id]}),
        json!({"mode": "hard", "ids": [id]}),
        json!({"mode": "soft", "all": true}),
        json!({"mode": "hard", "all": true}),
    ] {
        let before = app.get(PAGE).await;
        assert!(is_kept(&before, &app.get(PAGE).await), "{order}");
        purge(&app, &order).await;
        assert!(!is_kept(&before, &app.get(PAGE).await), "{order}");
        app.later(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_products_under_a_contract_are_composed_anew() {
    let app = Setup::products(40)
        .set("CONTRACTS_ENABLED", "true")
        .warm()
        .await;
    let first = app.get(PAGE).await;
    assert!(is_kept(&first, &app.get(PAGE).await));
    let contract = json!({
        "name": "close", "key_pattern": format!("product:{}", first.ids()[0]),
        "fresh_within": 60_000, "grace_period": 60_000, "on_degrade": "ServeStale"
    });
    let made = app.operate(Method::POST, "/contracts", &contract).await;
    assert_eq!(made.status(), 201, "{}", made.text());
    let second = app.get(PAGE).await;
    assert!(!is_kept(&first, &second));
    assert!(!is_kept(&second, &app.get(PAGE).await));
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_a_kept_page_is_the_one_that_would_be_composed() {
    let app = Setup::products(30)
        .set("CACHE_TTL_SECONDS", "300")
        .set("SYNC_INTERVAL_SECONDS", "20")
        .warm()
        .await;
    let mut random = fastrand::Rng::with_seed(11);
    let (mut kept, mut last) = (0, None);
    for step in 0..600 {
        let id = format!("P-{:06}", random.u32(1..35));
        match random.u32(0..12) {
            0 => write(&app, &id, random.i64(0..20_000)).await,
            1 => drop(
                app.write(Method::DELETE, &format!("/products/{id}"), &Value::Null)
                    .await,
            ),
            2 => {
                let mut product = draft("from elsewhere", random.i64(0..20_000));
                product["id"] = json!(id);
                app.inventory.put(&product).unwrap();
            }
            3 => purge(&app, &json!({"mode": "hard", "ids": [id]})).await,
            4 => purge(&app, &json!({"mode": "soft", "ids": [id]})).await,
            5 => app.later(Duration::from_secs(random.u64(1..40))).await,
            _ => {}
        }
        // What changed elsewhere is taken in on threads of its own, between any two answers.
        let mut composed = anew(&app).await;
        let page = loop {
            let page = app.get(PAGE).await;
            let behind = anew(&app).await;
            if std::mem::replace(&mut composed, behind.clone()) == behind {
                break page;
            }
        };
        assert_eq!(page.json(), composed, "step {step}");
        kept += u32::from(last.as_ref().is_some_and(|last| is_kept(last, &page)));
        last = Some(page);
    }
    assert!(kept > 100, "only {kept} pages of 600 were kept ones");
}
