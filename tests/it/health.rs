//! Health: from state kept in memory, never by calling anybody in the request.

use crate::harness::{Setup, TestApp};
use std::time::Duration;

async fn check(app: &TestApp, name: &str) -> (String, String) {
    let health = app.get("/health").await.json();
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    let text = |member: &str| check[member].as_str().unwrap().to_owned();
    (text("status"), text("description"))
}

#[tokio::test(start_paused = true)]
async fn a_warm_replica_is_healthy_live_and_ready() {
    let app = Setup::products(5).warm().await;
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = app.get(path).await;
        assert_eq!(
            (answer.status(), answer.header("cache-control")),
            (200, "no-store"),
            "{path}"
        );
        let body = answer.json();
        assert_eq!(body["status"], "Healthy", "{path}");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{path}");
    }
    let health = app.get("/health").await.json();
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        !health.to_string().contains("inventory.test"),
        "no addresses"
    );
}

#[tokio::test(start_paused = true)]
async fn without_its_inventory_a_warm_replica_is_degraded_and_serves() {
    let app = Setup::products(5).warm().await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    app.later(Duration::from_secs(25)).await;
    let health = app.get("/health").await;
    assert_eq!(
        (health.status(), &health.json()["status"]),
        (200, &"Degraded".into())
    );
    assert_eq!(check(&app, "inventory").await.0, "Degraded");
    assert!(app.get("/health/ready").await.is_ok());
    assert!(app.get("/products/P-000001").await.is_ok());
    app.inventory.knobs().reset();
    app.later(Duration::from_secs(35)).await;
    assert_eq!(app.get("/health").await.json()["status"], "Healthy");
}

#[tokio::test(start_paused = true)]
async fn with_nothing_cached_and_no_inventory_it_is_unhealthy_but_alive() {
    let setup = Setup::products(5);
    setup.inventory.knobs().turn(|faults| faults.away = true);
    let app = setup.start().await;
    app.later(Duration::from_secs(15)).await;
    let health = app.get("/health").await;
    assert_eq!((health.status(), health.header("retry-after")), (503, "30"));
    assert_eq!(health.json()["status"], "Unhealthy");
    assert_eq!(app.get("/health/ready").await.status(), 503);
    assert!(app.get("/health/live").await.is_ok());
    // It heals by itself.
    app.inventory.knobs().reset();
    app.passes(1).await;
    assert_eq!(app.get("/health").await.json()["status"], "Healthy");
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_degraded_and_says_whose_move_it_is() {
    let app = Setup::products(5).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(401));
    app.get("/products/unknown").await;
    let (status, description) = check(&app, "inventory").await;
    assert_eq!(status, "Degraded");
    assert!(description.contains("API_KEY"), "{description}");
}

#[tokio::test(start_paused = true)]
async fn a_draining_replica_is_not_ready_and_asks_clients_to_leave() {
    let app = Setup::products(5).warm().await;
    app.app().draining().begin();
    let ready = app.get("/health/ready").await;
    assert_eq!((ready.status(), ready.header("connection")), (503, "close"));
    let product = app.get("/products/P-000001").await;
    assert_eq!(
        (product.status(), product.header("connection")),
        (200, "close")
    );
    assert!(app.get("/health/live").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn health_asks_nobody() {
    let app = Setup::products(1).warm().await;
    let calls = app.inventory.calls();
    for _ in 0..100 {
        app.get("/health").await;
    }
    assert_eq!(app.inventory.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_copies_have_all_expired_is_not_ready() {
    let app = Setup::products(5)
        .set("CACHE_TTL_SECONDS", "600")
        .set("CACHE_GRACE_SECONDS", "600")
        .warm()
        .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    app.later(Duration::from_secs(1000)).await;
    assert!(
        app.get("/health/ready").await.is_ok(),
        "stale is better than nothing"
    );
    app.later(Duration::from_secs(400)).await;
    assert_eq!(app.get("/health/ready").await.status(), 503);
    assert_eq!(app.get("/health").await.json()["status"], "Unhealthy");
}
