//! Shadow checks: a share of fresh hits is compared with the inventory, and counted by age.

use crate::harness::{Setup, TestApp};
use http::Method;
use serde_json::json;
use std::time::Duration;

const PRODUCT: &str = "/products/P-000001";

/// How often a check came to this. Metrics are the process's, and each test runs in one of its own.
async fn checks(app: &TestApp, result: &str, age: &str) -> u64 {
    let metrics = app.internal(Method::GET, "/metrics", &[]).await;
    let lines = metrics.text().lines();
    let of = |line: &&str| {
        line.starts_with("catalog_shadow_checks_total{")
            && line.contains(&format!("result=\"{result}\""))
            && line.contains(&format!("age=\"{age}"))
    };
    let counts = lines
        .filter(of)
        .map(|line| line.rsplit(' ').next().unwrap());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

async fn name(app: &TestApp) -> String {
    app.get(PRODUCT).await.json()["name"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn by_default_nothing_is_checked() {
    let app = Setup::products(3).warm().await;
    for _ in 0..100 {
        app.get(PRODUCT).await;
    }
    app.later(Duration::from_secs(1)).await;
    assert_eq!(app.inventory.calls_of("get"), 0);
}

#[tokio::test(start_paused = true)]
async fn hits_are_compared_by_age_and_what_differs_is_replaced_and_told() {
    let app = Setup::products(3)
        .set("SHADOW_CHECK_RATE", "1")
        .warm()
        .await;
    app.later(Duration::from_secs(30)).await;
    let before = name(&app).await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(checks(&app, "same", "le_1m").await, 1);

    let price = json!({"amount": 1, "currency": "EUR"});
    app.inventory
        .put(&json!({"id": "P-000001", "name": "Changed", "price": price}))
        .unwrap();
    app.later(Duration::from_secs(4)).await;
    assert_eq!(name(&app).await, before, "the reader does not wait for it");
    app.later(Duration::from_secs(1)).await;
    assert_eq!(checks(&app, "different", "le_10s").await, 1);
    assert_eq!(name(&app).await, "Changed");
    let counted = app.internal(Method::GET, "/metrics", &[]).await;
    let event = "catalog_events_total{type=\"shadow_difference\"} 1";
    assert!(counted.text().contains(event));

    app.later(Duration::from_secs(1)).await;
    app.inventory.remove("P-000001");
    app.get(PRODUCT).await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(checks(&app, "gone", "le_1s").await, 1);
    assert_eq!(app.get(PRODUCT).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_costs_readers_nothing() {
    let app = Setup::products(3)
        .set("SHADOW_CHECK_RATE", "1")
        .warm()
        .await;
    app.later(Duration::from_secs(5)).await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let answer = app.get(PRODUCT).await;
    assert_eq!((answer.status(), answer.header("x-cache-stale")), (200, ""));
    app.later(Duration::from_secs(30)).await;
    assert_eq!(checks(&app, "failed", "le_10s").await, 1);
    let answer = app.get(PRODUCT).await;
    assert_eq!((answer.status(), answer.header("x-cache-stale")), (200, ""));
}

#[tokio::test(start_paused = true)]
async fn four_checks_at_once_are_the_most() {
    let app = Setup::products(60)
        .set("SHADOW_CHECK_RATE", "1")
        .warm()
        .await;
    app.later(Duration::from_secs(5)).await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 500);
    for number in 1..=50 {
        app.get(&format!("/products/P-{number:06}")).await;
    }
    app.later(Duration::from_secs(5)).await;
    assert_eq!(app.inventory.calls_of("get"), 4);
}
