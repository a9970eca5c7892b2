//! Reading one product.

use crate::harness::{Setup, WRITE_KEY};
use http::Method;
use product_catalog::demo::{Catalogue, Inventory};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_fresh_product_is_served_without_asking_the_inventory() {
    let app = Setup::products(5).cold().await;
    let first = app.get("/products/P-000001").await;
    assert_eq!(
        (first.status(), first.header("cache-status")),
        (200, "product-catalog; fwd=uri-miss; stored; ttl=3600")
    );
    let calls = app.inventory.calls();

    app.later(Duration::from_secs(30)).await;

    let second = app.get("/products/P-000001").await;
    assert_eq!(second.body(), first.body());
    assert_eq!(
        second.header("cache-status"),
        "product-catalog; hit; ttl=3570"
    );
    assert_eq!(app.inventory.calls_of("get"), 1);
    assert!(app.inventory.calls() - calls <= 4, "probes at most");
}

#[tokio::test(start_paused = true)]
async fn a_product_has_the_headers_and_members_it_should() {
    let app = Setup::products(5).warm().await;
    let answer = app.get("/products/P-000002").await;
    assert_eq!(answer.header("content-type"), "application/json;v=2");
    assert_eq!(answer.header("vary"), "Accept, Accept-Encoding");
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=300, stale-while-revalidate=60"
    );
    assert!(
        answer.header("etag").starts_with("\"v2-"),
        "{}",
        answer.header("etag")
    );
    assert!(answer.header("last-modified").ends_with(" GMT"));
    for absent in ["expires", "age", "x-cache-stale"] {
        assert_eq!(answer.header(absent), "", "{absent}");
    }
    let product = answer.json();
    assert_eq!(product["id"], "P-000002");
    assert!(product["price"]["amount"].is_u64());
    assert_eq!(product["price"]["currency"], "EUR");
}

#[tokio::test(start_paused = true)]
async fn max_age_never_outlives_the_window() {
    let app = Setup::products(1)
        .set("CACHE_TTL_SECONDS", "100")
        .set("HTTP_MAX_AGE_SECONDS", "60")
        .cold()
        .await;
    app.get("/products/P-000001").await;
    // Else what is read is refreshed before its window ends.
    app.inventory.knobs().turn(|faults| faults.away = true);
    for (after, expected) in [
        (30, "public, max-age=60, stale-while-revalidate=10"),
        (20, "public, max-age=50"),
        (49, "public, max-age=1"),
        (1, "public, max-age=0"),
    ] {
        app.later(Duration::from_secs(after)).await;
        let answer = app.get("/products/P-000001").await;
        assert_eq!(answer.header("cache-control"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_the_product_gets_304_until_it_changes() {
    let app = Setup::products(3).warm().await;
    let first = app.get("/products/P-000001").await;
    let (etag, modified) = (first.header("etag"), first.header("last-modified"));
    for conditions in [
        vec![("if-none-match", etag)],
        vec![("if-none-match", "*")],
        vec![
            ("if-none-match", "\"other\", W/\"v2-x\""),
            ("if-none-match", etag),
        ],
        vec![("if-modified-since", modified)],
        // If-None-Match wins over the date beside it (RFC 9110 section 13.1.3).
        vec![
            ("if-none-match", etag),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ],
    ] {
        let answer = app.get_with("/products/P-000001", &conditions).await;
        assert_eq!(
            (answer.status(), answer.body().len()),
            (304, 0),
            "{conditions:?}"
        );
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(
            answer.header("cache-control"),
            first.header("cache-control")
        );
        assert_eq!(answer.header("vary"), "Accept, Accept-Encoding");
        assert_eq!(answer.header("content-type"), "");
    }
    let changed = json!({"name": "Another", "price": {"amount": 1, "currency": "EUR"}});
    let written = app.write(Method::PUT, "/products/P-000001", &changed).await;
    assert!(written.is_ok(), "{}", written.text());
    let answer = app
        .get_with("/products/P-000001", &[("if-none-match", etag)])
        .await;
    assert!(answer.is_ok());
    assert_ne!(answer.header("etag"), etag);
    assert_eq!(answer.json()["name"], "Another");
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_the_body() {
    let app = Setup::products(3).warm().await;
    for path in ["/products/P-000001", "/products?limit=2", "/health"] {
        let get = app.get(path).await;
        let head = app.send(Method::HEAD, path, &[], "").await;
        assert_eq!((head.status(), head.body().len()), (200, 0), "{path}");
        assert_eq!(
            head.header("content-length"),
            get.body().len().to_string(),
            "{path}"
        );
        for name in [
            "content-type",
            "etag",
            "last-modified",
            "cache-control",
            "vary",
        ] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_product_is_404_and_remembered_for_a_while() {
    let app = Setup::products(1).cold().await;
    let missing = app.get("/products/nothing").await;
    assert_eq!(
        (missing.status(), missing.header("cache-control")),
        (404, "no-store")
    );
    let again = app.get("/products/nothing").await;
    assert_eq!(
        again.header("cache-status"),
        "product-catalog; hit; detail=negative"
    );
    assert_eq!(app.inventory.calls_of("get"), 1);
    app.inventory
        .put(&json!({"id": "nothing", "name": "Now", "price": {"amount": 1, "currency": "EUR"}}))
        .unwrap();
    app.later(Duration::from_secs(31)).await;
    assert!(app.get("/products/nothing").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_breaks_the_pattern_is_403_and_never_asked_for() {
    let app = Setup::products(1).cold().await;
    let long = format!("/products/{}", "x".repeat(129));
    for path in [
        "/products/-x",
        "/products/a%20b",
        "/products/%F0%9F%A6%80",
        &long,
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status(), 403, "{path}: {}", answer.text());
    }
    assert_eq!(app.inventory.calls_of("get"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_readers_of_one_cold_product_make_one_call() {
    let app = Setup::products(3).cold().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 200);
    let readers = (0..1000).map(|_| app.get("/products/P-000002"));
    let answers = futures_util::future::join_all(readers).await;
    assert!(answers.iter().all(|answer| answer.is_ok()));
    assert_eq!(app.inventory.calls_of("get"), 1);
    assert_eq!(app.catalog().stats().coalesced, 999);
}

#[tokio::test(start_paused = true)]
async fn a_stale_product_is_revalidated_without_moving_its_body() {
    let app = Setup::products(1)
        .set("CACHE_TTL_SECONDS", "100")
        .cold()
        .await;
    let first = app.get("/products/P-000001").await;
    app.later(Duration::from_secs(130)).await;
    let stale = app.get("/products/P-000001").await;
    assert_eq!(stale.body(), first.body());
    assert_eq!(
        (stale.header("cache-control"), stale.header("x-cache-stale")),
        ("no-store", "true")
    );
    app.later(Duration::from_secs(1)).await;
    let fresh = app.get("/products/P-000001").await;
    assert_eq!(fresh.header("x-cache-stale"), "");
    assert_eq!(fresh.header("cache-control"), "public, max-age=99");
    assert_eq!(app.inventory.calls_of("get"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_echoed_and_follows_the_call_to_the_inventory() {
    let app = Setup::products(2).cold().await;
    let id = "0b6f4c1e-6f0c-4e6e-9d0c-2a4b7d1f9e55";
    let answer = app
        .get_with("/products/P-000001", &[("x-conversation", id)])
        .await;
    assert_eq!(answer.header("x-conversation"), id);
    assert_eq!(app.inventory.last_conversation().as_deref(), Some(id));
    let answer = app
        .get_with("/products/P-000001", &[("x-conversation", "no uuid")])
        .await;
    assert!(answer.is_ok());
    assert_eq!(answer.header("x-conversation").len(), 36);
    let fault = app.get_with("/nowhere", &[("x-conversation", id)]).await;
    assert_eq!(fault.json()["fault"]["traceId"], id);
}

#[tokio::test(start_paused = true)]
async fn only_members_that_may_be_published_are() {
    let product = json!({
        "id": "p-1", "name": "One", "price": {"amount": 1, "currency": "EUR", "cost": 2},
        "margin": 0.4, "supplier": "secret", "attributes": {"colour": "red"}
    });
    let none = Inventory::new(Catalogue::default());
    none.put(&product).unwrap();
    let app = Setup::of(none.clone()).cold().await;
    let answer = app.get("/products/p-1").await;
    assert_eq!(answer.json()["attributes"], json!({"colour": "red"}));
    assert!(!answer.text().contains("secret") && !answer.text().contains("cost"));

    let app = Setup::of(none)
        .set("PUBLISHED_MEMBERS", "margin")
        .cold()
        .await;
    let answer = app.get("/products/p-1").await;
    assert_eq!(
        answer.json()["attributes"],
        json!({"colour": "red", "margin": 0.4})
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_taken_from_the_query() {
    let app = Setup::products(1).cold().await;
    let answer = app
        .get(&format!(
            "/products/P-000001?x-api-key={}",
            WRITE_KEY.replace(' ', "+")
        ))
        .await;
    assert_eq!(answer.status(), 400);
    assert!(!answer.text().contains("key-for"));
}
