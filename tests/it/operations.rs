//! The internal listener: metrics, statistics, and what operators do to the cache.

use crate::harness::Setup;
use http::Method;
use product_catalog::catalog::{EvictionCause, Outcome};
use product_catalog::telemetry::metrics;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn metrics_tell_what_happened() {
    let app = Setup::products(10).warm().await;
    app.get("/products/P-000001").await;
    app.get("/products/unknown").await;
    let text = app
        .internal(Method::GET, "/metrics", &[])
        .await
        .text()
        .to_owned();
    for series in [
        "catalog_cache_requests_total{outcome=\"hit\"}",
        "catalog_cache_requests_total{outcome=\"miss\"}",
        "catalog_cache_entries ",
        "catalog_cache_bytes ",
        "catalog_cache_capacity_bytes 536870912",
        "catalog_upstream_requests_total{operation=\"list\",outcome=\"ok\"}",
        "catalog_upstream_request_duration_seconds_bucket{operation=\"get\"",
        "catalog_warmup_products_total",
        "catalog_warmup_progress_ratio 1",
        "catalog_index_complete 1",
        "http_server_request_duration_seconds_count{method=\"GET\",route=\"/products/{productId}\",status=\"200\"}",
        "process_",
    ] {
        assert!(text.contains(series), "{series} is missing in\n{text}");
    }
    assert!(!text.contains("P-000001"), "never a product id");
}

#[tokio::test(start_paused = true)]
async fn every_label_is_of_the_words_the_code_uses() {
    let labels = |name: &str, label: &str| -> Vec<&str> {
        let metric = metrics::ALL
            .iter()
            .find(|metric| metric.name == name)
            .unwrap();
        let label = metric
            .labels
            .iter()
            .find(|other| other.name == label)
            .unwrap();
        let mut values = label.values.to_vec();
        values.sort_unstable();
        values
    };
    let mut outcomes: Vec<_> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.as_str())
        .collect();
    outcomes.sort_unstable();
    assert_eq!(labels("catalog_cache_requests_total", "outcome"), outcomes);
    let mut causes: Vec<_> = EvictionCause::ALL
        .iter()
        .map(|cause| cause.as_str())
        .collect();
    causes.sort_unstable();
    assert_eq!(labels("catalog_cache_evictions_total", "cause"), causes);
}

#[tokio::test(start_paused = true)]
async fn statistics_count_what_the_cache_did() {
    let app = Setup::products(10).warm().await;
    for _ in 0..3 {
        app.get("/products/P-000001").await;
    }
    app.get("/products/unknown").await;
    let stats = app.internal(Method::GET, "/cache/stats", &[]).await.json();
    assert_eq!(stats["entries"], 10);
    assert_eq!(
        (&stats["requests"]["hit"], &stats["requests"]["miss"]),
        (&3.into(), &1.into())
    );
    assert_eq!(stats["hitRatio"], 0.75);
    assert_eq!(
        (&stats["known"], &stats["indexComplete"]),
        (&10.into(), &true.into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_entry_can_be_looked_at_without_touching_it() {
    let app = Setup::products(1).warm().await;
    app.later(Duration::from_secs(60)).await;
    let entry = app
        .internal(Method::GET, "/cache/entries/P-000001", &[])
        .await
        .json();
    assert_eq!(
        (&entry["state"], &entry["trust"]),
        (&"fresh".into(), &"confirmed".into())
    );
    assert_eq!(entry["ageMs"], 60_000);
    assert!(entry["weightBytes"].as_u64().unwrap() > 500);
    let missing = app
        .internal(Method::GET, "/cache/entries/unknown", &[])
        .await;
    assert_eq!(missing.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn changes_need_the_token() {
    let app = Setup::products(1).warm().await;
    let path = "/cache/entries/P-000001";
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer wrong")], 401),
        (vec![("authorization", "Basic YTpi")], 401),
    ] {
        let answer = app.internal(Method::DELETE, path, &headers).await;
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    assert_eq!(
        app.operate(Method::DELETE, path, &Value::Null)
            .await
            .status(),
        204
    );
    let off = Setup::products(1).unset("ADMIN_TOKEN").warm().await;
    assert_eq!(off.internal(Method::DELETE, path, &[]).await.status(), 403);
    assert_eq!(
        off.operate(Method::DELETE, path, &Value::Null)
            .await
            .status(),
        403
    );
}

#[tokio::test(start_paused = true)]
async fn a_purged_product_is_asked_for_anew() {
    let app = Setup::products(3).warm().await;
    let gets = app.inventory.calls_of("get");
    app.operate(Method::DELETE, "/cache/entries/P-000001", &Value::Null)
        .await;
    assert!(app.get("/products/P-000001").await.is_ok());
    assert_eq!(app.inventory.calls_of("get"), gets + 1);
}

#[tokio::test(start_paused = true)]
async fn a_softly_invalidated_product_is_waited_for_and_answered_from_the_old_only_if_need_be() {
    let app = Setup::products(3).warm().await;
    let changed =
        json!({"id": "P-000001", "name": "Changed", "price": {"amount": 1, "currency": "EUR"}});
    app.inventory.put(&changed).unwrap();
    let answer = app
        .operate(
            Method::POST,
            "/cache/invalidations",
            &json!({"ids": ["P-000001"]}),
        )
        .await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(
        app.get("/products/P-000001").await.json()["name"],
        "Changed"
    );
    app.operate(
        Method::POST,
        "/cache/invalidations",
        &json!({"ids": ["P-000002"]}),
    )
    .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let old = app.get("/products/P-000002").await;
    assert_eq!((old.status(), old.header("x-cache-stale")), (200, "true"));
}

#[tokio::test(start_paused = true)]
async fn invalidating_everything_serves_stale_answers_while_one_pass_refills() {
    let app = Setup::products(1200).warm().await;
    let (gets, lists) = (
        app.inventory.calls_of("get"),
        app.inventory.calls_of("list"),
    );
    app.inventory.knobs().turn(|faults| faults.latency_ms = 100);
    let answer = app
        .operate(Method::POST, "/cache/invalidations", &json!({"all": true}))
        .await;
    assert_eq!(answer.status(), 202, "{}", answer.text());
    let stale = app.get("/products/P-000001").await;
    assert_eq!(
        (stale.status(), stale.header("x-cache-stale")),
        (200, "true")
    );
    app.passes(2).await;
    let fresh = app.get("/products/P-000002").await;
    assert_eq!(fresh.header("x-cache-stale"), "");
    assert_eq!(app.inventory.calls_of("list") - lists, 3, "pages of 500");
    assert!(
        app.inventory.calls_of("get") - gets <= 1,
        "what was read meanwhile"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_and_does_nothing_and_selectors_select() {
    let app = Setup::products(100).warm().await;
    let body = app.get("/products/P-000001").await.json();
    let (category, brand) = (&body["category"], &body["brand"]);
    for (selector, at_least, at_most) in [
        (
            json!({"ids": ["P-000001", "unknown"], "dryRun": true}),
            1,
            1,
        ),
        (json!({"prefix": "P-00000", "dryRun": true}), 9, 9),
        (json!({"category": category, "dryRun": true}), 1, 50),
        (json!({"brand": brand, "dryRun": true}), 1, 50),
        (
            json!({"all": true, "mode": "hard", "dryRun": true}),
            100,
            100,
        ),
    ] {
        let answer = app
            .operate(Method::POST, "/cache/invalidations", &selector)
            .await;
        assert_eq!(answer.status(), 200, "{selector}: {}", answer.text());
        let products = answer.json()["products"].as_u64().unwrap();
        assert!(
            (at_least..=at_most).contains(&products),
            "{selector}: {products}"
        );
    }
    assert_eq!(
        app.get("/products/P-000001").await.header("x-cache-stale"),
        ""
    );
    for bad in [
        json!({}),
        json!({"all": false}),
        json!({"ids": [], "all": true}),
        json!({"ids": "x"}),
        json!([]),
        json!({"all": true, "mode": "?"}),
    ] {
        let answer = app
            .operate(Method::POST, "/cache/invalidations", &bad)
            .await;
        assert_eq!(answer.status(), 400, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hard_purge_of_everything_leaves_nothing_but_still_answers() {
    let app = Setup::products(30).warm().await;
    app.operate(
        Method::POST,
        "/cache/invalidations",
        &json!({"all": true, "mode": "hard"}),
    )
    .await;
    assert_eq!(app.catalog().stats().entries, 0);
    assert!(app.get("/products/P-000001").await.is_ok());
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn no_product_is_answered_here() {
    let app = Setup::products(1).warm().await;
    for path in ["/products", "/products/P-000001", "/health"] {
        assert_eq!(
            app.internal(Method::GET, path, &[]).await.status(),
            404,
            "{path}"
        );
    }
    let answer = app.internal(Method::GET, "/metrics", &[]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
}
