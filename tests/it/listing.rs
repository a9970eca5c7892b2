//! Reading pages of products.

use crate::harness::{Setup, TestApp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;
use std::time::Duration;

async fn walk(app: &TestApp, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = format!("/products?limit={limit}");
    loop {
        let page = app.get(&path).await;
        assert!(page.is_ok(), "{}", page.text());
        ids.extend(page.ids());
        match page.cursor("after") {
            Some(after) => path = format!("/products?limit={limit}&after={after}"),
            None => return ids,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_visits_every_product_once_in_id_order() {
    let app = Setup::products(194).warm().await;
    let calls = app.inventory.calls_of("list");
    for limit in [1, 7, 20, 97, 100] {
        let ids = walk(&app, limit).await;
        assert_eq!(ids.len(), 194, "limit {limit}");
        assert!(ids.is_sorted());
    }
    assert_eq!(
        app.inventory.calls_of("list"),
        calls,
        "from the local index"
    );
}

#[tokio::test(start_paused = true)]
async fn a_walk_back_mirrors_a_walk_on() {
    let app = Setup::products(50).warm().await;
    let first = app.get("/products?limit=20").await;
    assert_eq!(first.cursor("before"), None);
    let after = first.cursor("after").unwrap();
    let second = app.get(&format!("/products?limit=20&after={after}")).await;
    let before = second.cursor("before").unwrap();
    let back = app
        .get(&format!("/products?limit=20&before={before}"))
        .await;
    assert_eq!(back.ids(), first.ids());
    assert_eq!(back.body(), first.body());
}

#[tokio::test(start_paused = true)]
async fn a_page_has_a_tag_of_its_own_and_answers_304() {
    let app = Setup::products(50).warm().await;
    let first = app.get("/products").await;
    assert_eq!(first.ids().len(), 20);
    assert_eq!(
        first.header("cache-control"),
        "public, max-age=60, stale-while-revalidate=60"
    );
    assert_eq!(first.header("last-modified"), "");
    let etag = first.header("etag");
    let again = app.get_with("/products", &[("if-none-match", etag)]).await;
    assert_eq!((again.status(), again.body().len()), (304, 0));
    let other = app.get("/products?limit=19").await;
    assert_ne!(other.header("etag"), etag);
    app.write(
        Method::PUT,
        "/products/P-000003",
        &json!({"name": "Changed", "price": {"amount": 5, "currency": "EUR"}}),
    )
    .await;
    let changed = app.get_with("/products", &[("if-none-match", etag)]).await;
    assert_eq!(changed.status(), 200);
    assert_eq!(changed.json()["data"][2]["name"], "Changed");
}

#[tokio::test(start_paused = true)]
async fn a_page_is_fresh_only_as_long_as_its_oldest_product() {
    let app = Setup::products(3)
        .set("CACHE_TTL_SECONDS", "1000")
        .set("CACHE_GRACE_SECONDS", "5000")
        .warm()
        .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    // Jitter shortens each window by up to a tenth.
    app.later(Duration::from_secs(880)).await;
    let page = app.get("/products").await;
    let max_age = page.header("cache-control");
    assert!(max_age.starts_with("public, max-age="), "{max_age}");
    app.later(Duration::from_secs(150)).await;
    let page = app.get("/products").await;
    assert_eq!(
        (page.status(), page.header("cache-control")),
        (200, "no-store")
    );
    assert_eq!(page.header("x-cache-stale"), "true");
}

#[tokio::test(start_paused = true)]
async fn bad_queries_are_400_and_name_the_parameter() {
    let app = Setup::products(3).warm().await;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("after=garbage", "after"),
        ("before=garbage", "before"),
        ("offset=20", "offset"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
    ] {
        let answer = app.get(&format!("/products?{query}")).await;
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer.text().contains(parameter),
            "{query}: {}",
            answer.text()
        );
    }
    let both = app
        .get("/products?after=AmzjsMRCmPwcFAAIUC0wMDAwMDI&before=AmzjsMRCmPwcFAAIUC0wMDAwMDI")
        .await;
    assert_eq!(both.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn until_the_index_is_complete_a_walk_goes_through_the_inventory_to_its_end() {
    let app = Setup::products(45).cold().await;
    let first = app.get("/products?limit=20").await;
    assert_eq!(first.ids().len(), 20);
    // The first list has started a pass: the index is complete soon.
    app.passes(1).await;
    let after = first.cursor("after").unwrap();
    let calls = app.inventory.calls_of("list");
    let second = app.get(&format!("/products?limit=20&after={after}")).await;
    assert_eq!(
        app.inventory.calls_of("list"),
        calls + 1,
        "a walk begun there ends there"
    );
    let after = second.cursor("after").unwrap();
    let third = app.get(&format!("/products?limit=20&after={after}")).await;
    assert_eq!((third.ids().len(), third.cursor("after")), (5, None));
    // What came that way is cached.
    let gets = app.inventory.calls_of("get");
    assert!(app.get("/products/P-000001").await.is_ok());
    assert_eq!(app.inventory.calls_of("get"), gets);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_pretends_to_be_the_inventorys_is_the_clients_fault() {
    for app in [
        Setup::products(5).warm().await,
        Setup::products(5).cold().await,
    ] {
        for words in [
            "nonsense",
            "P-000001",
            "{}",
            "\u{e9}",
            "\n",
            &"x".repeat(2000),
        ] {
            let cursor = URL_SAFE_NO_PAD.encode(format!("\u{2}u{words}"));
            let page = app.get(&format!("/products?after={cursor}")).await;
            assert_eq!(
                (page.status(), page.codes()),
                (400, vec!["INVALID_CURSOR".to_owned()]),
                "{words}"
            );
        }
        let health = app.get("/health").await.json();
        assert_eq!(health["status"], "Healthy", "{health}");
    }
}

#[tokio::test(start_paused = true)]
async fn products_that_were_evicted_are_loaded_for_their_page() {
    let app = Setup::products(3000)
        .set("CACHE_MAX_SIZE_MB", "2")
        .set("CACHE_MAX_ENTRY_KB", "64")
        .warm()
        .await;
    let stats = app.catalog().stats();
    assert!(stats.entries < 1800, "{stats:?}");
    assert_eq!(app.catalog().known(), (3000, true));
    let ids = walk(&app, 100).await;
    assert_eq!(ids.len(), 3000);
    let stats = app.catalog().stats();
    assert!(stats.bytes <= stats.capacity_bytes);
}

#[tokio::test(start_paused = true)]
async fn a_page_with_a_product_that_can_not_be_loaded_is_503() {
    let app = Setup::products(3).warm().await;
    app.operate(
        Method::POST,
        "/cache/invalidations",
        &json!({"ids": ["P-000002"], "mode": "hard"}),
    )
    .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let page = app.get("/products").await;
    assert_eq!(page.status(), 503);
    assert_ne!(page.header("retry-after"), "");
    // Products that are held are not affected.
    assert!(app.get("/products/P-000001").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_product_that_turns_out_to_be_gone_leaves_its_page_full() {
    let app = Setup::products(10).warm().await;
    app.operate(
        Method::POST,
        "/cache/invalidations",
        &json!({"ids": ["P-000002"], "mode": "hard"}),
    )
    .await;
    app.inventory.remove("P-000002");
    let page = app.get("/products?limit=3").await;
    assert_eq!(page.ids(), ["P-000001", "P-000003", "P-000004"]);
}
