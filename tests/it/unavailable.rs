//! The three questions of production caching: a miss, a stale value, and a cache or an inventory that
//! is not there.

use crate::harness::Setup;
use http::Method;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_stale_copy_is_served_while_the_inventory_is_down_and_not_past_its_grace() {
    let app = Setup::products(1)
        .set("CACHE_TTL_SECONDS", "100")
        .set("CACHE_GRACE_SECONDS", "1000")
        .cold()
        .await;
    app.get("/products/P-000001").await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    for (after, status, stale) in [
        (90, 200, ""),
        (60, 200, "true"),
        (900, 200, "true"),
        (60, 503, ""),
    ] {
        app.later(Duration::from_secs(after)).await;
        let answer = app.get("/products/P-000001").await;
        assert_eq!(
            (answer.status(), answer.header("x-cache-stale")),
            (status, stale),
            "{after}"
        );
    }
    app.inventory.knobs().reset();
    // The circuit has to close first: half a minute, and two calls that work.
    app.later(Duration::from_secs(35)).await;
    assert!(app.get("/products/P-000001").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_failing_product_is_not_asked_for_again_at_once() {
    let app = Setup::products(1)
        .set("UPSTREAM_MAX_ATTEMPTS", "1")
        .cold()
        .await;
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(500));
    for _ in 0..50 {
        assert_eq!(app.get("/products/P-000001").await.status(), 503);
    }
    assert_eq!(app.inventory.calls_of("get"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_moment_is_tried_again_before_anyone_notices() {
    let app = Setup::products(20).cold().await;
    // By chance half of the first ten attempts may fail, which would open it.
    let closed = serde_json::json!({"state": "closed"});
    app.operate(Method::PUT, "/circuit", &closed).await;
    app.inventory.knobs().turn(|faults| {
        faults.status = Some(503);
        faults.probability = 0.2;
    });
    let mut answered = 0;
    for number in 1..=20 {
        let answer = app.get(&format!("/products/P-{number:06}")).await;
        answered += usize::from(answer.is_ok());
    }
    assert!(answered >= 17, "{answered} of 20");
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_hangs_costs_its_deadline_and_no_more() {
    let app = Setup::products(1).cold().await;
    app.inventory.knobs().turn(|faults| faults.hang = true);
    let began = app.clock.now();
    assert_eq!(app.get("/products/P-000001").await.status(), 503);
    let took = app.clock.now().since(began);
    assert!(took <= Duration::from_secs(12), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_inventory_never_sees_more_calls_at_once_than_it_may() {
    let app = Setup::products(500)
        .set("UPSTREAM_MAX_CONCURRENT", "8")
        .cold()
        .await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 20);
    let paths: Vec<_> = (1..=200)
        .map(|number| format!("/products/P-{number:06}"))
        .collect();
    let answers = futures_util::future::join_all(paths.iter().map(|path| app.get(path))).await;
    assert!(answers.iter().all(|answer| answer.is_ok()));
    assert!(
        app.inventory.max_in_flight() <= 8,
        "{}",
        app.inventory.max_in_flight()
    );
}

#[tokio::test(start_paused = true)]
async fn with_the_cache_switched_off_everything_comes_from_the_inventory() {
    let app = Setup::products(5)
        .set("CACHE_MAX_SIZE_MB", "0")
        .cold()
        .await;
    for _ in 0..3 {
        let answer = app.get("/products/P-000001").await;
        assert_eq!(
            (answer.status(), answer.header("cache-status")),
            (200, "product-catalog; fwd=bypass")
        );
    }
    assert_eq!(app.inventory.calls_of("get"), 3);
    assert_eq!(app.get("/products").await.ids().len(), 5);
    assert_eq!(app.catalog().stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_not_be_used_degrades_and_breaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, b"not a directory").unwrap();
    let app = Setup::products(5).store(&file).warm().await;
    assert!(app.get("/products/P-000001").await.is_ok());
    let health = app.get("/health").await;
    assert_eq!(
        (health.status(), &health.json()["status"]),
        (200, &"Degraded".into())
    );
    let metrics = app.internal(Method::GET, "/metrics", &[]).await;
    assert!(
        metrics
            .text()
            .contains("catalog_store_errors_total{operation=\"open\"}")
    );
    app.stop().await;
}
