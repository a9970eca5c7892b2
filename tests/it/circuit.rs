//! The circuit to the inventory, as clients, operators and the inventory itself see it.

use crate::harness::{Setup, TestApp};
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/circuit";

async fn circuit(app: &TestApp) -> Value {
    app.internal(Method::GET, PATH, &[]).await.json()
}

async fn series(app: &TestApp, name: &str) -> String {
    let metrics = app.internal(Method::GET, "/metrics", &[]).await;
    let line = metrics.text().lines().find(|line| line.starts_with(name));
    line.map_or(String::new(), |line| line[name.len()..].trim().to_owned())
}

/// Reads products that are not cached until the circuit is open.
async fn until_open(app: &TestApp) {
    for number in 1..=5 {
        app.get(&format!("/products/P-{number:06}")).await;
        if circuit(app).await["state"] == "open" {
            return;
        }
    }
    panic!("it stays {}", circuit(app).await);
}

#[tokio::test(start_paused = true)]
async fn with_the_circuit_open_hits_are_served_and_the_inventory_is_left_alone() {
    let app = Setup::products(20).cold().await;
    app.get("/products/P-000020").await;
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(500));
    until_open(&app).await;
    let calls = app.inventory.calls();
    for _ in 0..100 {
        assert!(app.get("/products/P-000020").await.is_ok());
    }
    let began = app.clock.now();
    let paths: Vec<_> = (6..=19).map(|n| format!("/products/P-{n:06}")).collect();
    for answer in join_all(paths.iter().map(|path| app.get(path))).await {
        assert_eq!(answer.status(), 503);
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((28..=30).contains(&wait), "{wait}");
    }
    assert_eq!(app.clock.now(), began, "nobody waited");
    assert_eq!(app.inventory.calls(), calls);
    let rejected = "catalog_upstream_rejections_total{cause=\"circuit_open\"}";
    // Other tests count into the same metrics.
    assert!(series(&app, rejected).await.parse::<u64>().unwrap() >= 14);
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_comes_back_is_found_by_one_call_at_a_time() {
    let app = Setup::products(200).cold().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(503));
    until_open(&app).await;
    app.inventory.knobs().set(product_catalog::demo::Faults {
        latency_ms: 200,
        ..Default::default()
    });
    let calls = app.inventory.calls();
    app.later(Duration::from_millis(29_800)).await;
    assert_eq!(app.inventory.calls(), calls, "too early");
    app.later(Duration::from_millis(201)).await;
    // Whether these or the health probe come first: one of them tries.
    let paths: Vec<_> = (1..=50).map(|n| format!("/products/P-{n:06}")).collect();
    let answers = join_all(paths.iter().map(|path| app.get(path))).await;
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(answered <= 1, "{answered}");
    assert_eq!(app.inventory.calls(), calls + 1);
    app.later(Duration::from_secs(3)).await;
    assert_eq!(circuit(&app).await["state"], "closed");
    assert!(app.get("/products/P-000100").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nothing_the_inventory_says_about_a_request_opens_the_circuit() {
    for status in [400, 401, 403, 404, 409, 410, 412, 422, 429] {
        let app = Setup::products(40)
            .set("UPSTREAM_MAX_ATTEMPTS", "1")
            .cold()
            .await;
        app.inventory
            .knobs()
            .turn(|faults| faults.status = Some(status));
        for number in 1..=40 {
            app.get(&format!("/products/P-{number:06}")).await;
        }
        assert_eq!(app.inventory.calls_of("get"), 40, "{status}");
        let circuit = circuit(&app).await;
        assert_eq!(circuit["state"], "closed", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_circuit_refuses_is_known_not_to_be_sent() {
    let app = Setup::products(10).cold().await;
    app.get("/products/P-000010").await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    until_open(&app).await;
    let calls = app.inventory.calls();
    let product = json!({"name": "Other", "price": {"amount": 1, "currency": "EUR"}});
    let answer = app.write(Method::PUT, "/products/P-000010", &product).await;
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(app.inventory.calls(), calls);
    // So what is held is as good as it was.
    let held = app.get("/products/P-000010").await;
    assert!(
        held.header("cache-status").contains("hit"),
        "{:?}",
        held.headers()
    );
}

#[tokio::test(start_paused = true)]
async fn the_circuit_is_in_health_and_metrics() {
    let app = Setup::products(10).cold().await;
    let check = async || {
        let health = app.get("/health").await.json();
        let checks = health["checks"].as_array().unwrap().clone();
        let circuit = checks.into_iter().find(|check| check["name"] == "circuit");
        circuit.unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(check().await, "Healthy");
    app.get("/products/P-000010").await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    until_open(&app).await;
    assert_eq!(check().await, "Degraded");
    // Other tests have circuits of their own in the same metrics.
    for state in ["closed", "open", "half_open"] {
        let name = format!("catalog_circuit_state{{state=\"{state}\"}}");
        assert_ne!(series(&app, &name).await, "", "{state}");
    }
    let changes = "catalog_circuit_transitions_total{to=\"open\"}";
    assert_ne!(series(&app, changes).await, "0");
}

#[tokio::test(start_paused = true)]
async fn an_operator_holds_the_circuit_open_and_lets_it_go() {
    let app = Setup::products(10).cold().await;
    let open = app
        .operate(Method::PUT, PATH, &json!({"state": "open"}))
        .await;
    assert_eq!(open.status(), 200);
    assert_eq!(open.header("cache-control"), "no-store");
    let body = open.json();
    assert_eq!(
        (&body["state"], &body["forced"]),
        (&json!("open"), &json!(true))
    );
    assert_eq!(
        (&body["openedTotal"], &body["remainingMs"]),
        (&json!(1), &Value::Null)
    );
    app.later(Duration::from_secs(3600)).await;
    let calls = app.inventory.calls();
    let refused = app.get("/products/P-000001").await;
    assert_eq!(
        (refused.status(), refused.header("retry-after")),
        (503, "30")
    );
    assert_eq!(app.inventory.calls(), calls);
    app.operate(Method::PUT, PATH, &json!({"state": "auto"}))
        .await;
    app.later(Duration::from_secs(2)).await;
    assert!(app.get("/products/P-000001").await.is_ok());
    assert_eq!(circuit(&app).await["forced"], false);

    app.operate(Method::PUT, PATH, &json!({"state": "closed"}))
        .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    for number in 2..=10 {
        app.get(&format!("/products/P-{number:06}")).await;
    }
    assert_eq!(circuit(&app).await["state"], "closed");
}

#[tokio::test(start_paused = true)]
async fn orders_to_the_circuit_take_the_token_and_are_read_strictly() {
    let app = Setup::products(1).cold().await;
    assert_eq!(app.internal(Method::PUT, PATH, &[]).await.status(), 401);
    for body in [
        json!({}),
        json!([]),
        json!("open"),
        json!({"state": "ajar"}),
        json!({"state": 1}),
        json!({"state": null}),
        json!({"state": "open", "for": 3}),
    ] {
        let answer = app.operate(Method::PUT, PATH, &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.codes(), ["INVALID_FIELD"], "{body}");
        assert!(!answer.text().contains("ajar"));
    }
    assert_eq!(
        app.operate(Method::PUT, PATH, &Value::Null).await.status(),
        400
    );
    assert_eq!(circuit(&app).await["state"], "closed");
    assert_eq!(
        app.operate(Method::DELETE, PATH, &Value::Null)
            .await
            .status(),
        405
    );
}
