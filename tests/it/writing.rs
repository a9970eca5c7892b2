//! Writing through: the inventory first, then the cache, then the answer.

use crate::harness::{Setup, TestApp, WRITE_KEY};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn product(name: &str) -> Value {
    json!({"name": name, "price": {"amount": 1999, "currency": "EUR"}})
}

async fn name(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/products/{id}")).await.json()["name"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_write_is_read_back_at_once_and_without_a_call() {
    let app = Setup::products(5).warm().await;
    let gets = app.inventory.calls_of("get");
    let written = app
        .write(Method::PUT, "/products/P-000001", &product("New"))
        .await;
    assert_eq!(
        (written.status(), written.header("cache-control")),
        (200, "no-store")
    );
    let read = app.get("/products/P-000001").await;
    assert_eq!(read.body(), written.body());
    assert_eq!(read.header("etag"), written.header("etag"));
    assert_eq!(app.inventory.calls_of("get"), gets);
    assert_eq!(app.inventory.calls_of("replace"), 1);
}

#[tokio::test(start_paused = true)]
async fn put_creates_what_is_not_there_and_lists_it() {
    let app = Setup::products(2).warm().await;
    assert_eq!(app.get("/products/A-1").await.status(), 404);
    let created = app
        .write(Method::PUT, "/products/A-1", &product("First"))
        .await;
    assert_eq!(
        (created.status(), created.header("location")),
        (201, "/products/A-1")
    );
    assert_eq!(name(&app, "A-1").await, "First");
    assert_eq!(
        app.get("/products").await.ids(),
        ["A-1", "P-000001", "P-000002"]
    );
}

#[tokio::test(start_paused = true)]
async fn post_creates_with_the_callers_id_or_one_of_the_inventorys() {
    let app = Setup::products(1).warm().await;
    let mut body = product("Mine");
    let created = app.write(Method::POST, "/products", &body).await;
    assert_eq!(created.status(), 201, "{}", created.text());
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("/products/{id}"));
    assert_eq!(name(&app, &id).await, "Mine");
    body["id"] = "chosen".into();
    let chosen = app.write(Method::POST, "/products", &body).await;
    assert_eq!(
        (chosen.status(), chosen.header("location")),
        (201, "/products/chosen")
    );
    let again = app.write(Method::POST, "/products", &body).await;
    assert_eq!(again.status(), 409);
}

#[tokio::test(start_paused = true)]
async fn delete_removes_it_here_and_there() {
    let app = Setup::products(3).warm().await;
    let deleted = app
        .write(Method::DELETE, "/products/P-000002", &Value::Null)
        .await;
    assert_eq!((deleted.status(), deleted.body().len()), (204, 0));
    let read = app.get("/products/P-000002").await;
    assert_eq!(
        (read.status(), read.header("cache-status")),
        (404, "product-catalog; hit; detail=negative")
    );
    assert_eq!(app.get("/products").await.ids(), ["P-000001", "P-000003"]);
    let again = app
        .write(Method::DELETE, "/products/P-000002", &Value::Null)
        .await;
    assert_eq!(again.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_changes_nothing() {
    let app = Setup::products(3).warm().await;
    let before = app.get("/products/P-000001").await;
    for (status, expected) in [
        (400, 400),
        (409, 409),
        (412, 412),
        (422, 400),
        (401, 503),
        (429, 503),
    ] {
        app.inventory
            .knobs()
            .turn(|faults| faults.status = Some(status));
        let answer = app
            .write(Method::PUT, "/products/P-000001", &product("Refused"))
            .await;
        assert_eq!(answer.status(), expected, "inventory {status}");
        app.inventory.knobs().reset();
        let after = app.get("/products/P-000001").await;
        assert_eq!(after.body(), before.body(), "inventory {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_forgets_the_product_and_answers_504() {
    let app = Setup::products(3).warm().await;
    for fault in ["hang", "truncate"] {
        app.get("/products/P-000001").await;
        app.inventory.knobs().turn(|faults| match fault {
            "hang" => faults.hang = true,
            _ => faults.truncate = true,
        });
        let answer = app
            .write(Method::PUT, "/products/P-000001", &product(fault))
            .await;
        assert_eq!(
            (answer.status(), answer.header("cache-control")),
            (504, "no-store"),
            "{fault}"
        );
        app.inventory.knobs().reset();
        let gets = app.inventory.calls_of("get");
        assert!(app.get("/products/P-000001").await.is_ok());
        assert_eq!(
            app.inventory.calls_of("get"),
            gets + 1,
            "{fault}: asked again"
        );
    }
    // The truncated answer was to a write that had been applied.
    assert_eq!(name(&app, "P-000001").await, "truncate");
}

#[tokio::test(start_paused = true)]
async fn a_failing_inventory_leaves_the_old_value_but_it_is_checked_before_it_is_trusted() {
    let app = Setup::products(1).warm().await;
    let before = app.get("/products/P-000001").await;
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(500));
    let answer = app
        .write(Method::PUT, "/products/P-000001", &product("Maybe"))
        .await;
    assert_eq!(answer.status(), 503);
    let during = app.get("/products/P-000001").await;
    assert_eq!(
        (during.body(), during.header("x-cache-stale")),
        (before.body(), "true")
    );
    app.inventory.knobs().reset();
    app.later(Duration::from_secs(2)).await;
    assert_eq!(
        app.get("/products/P-000001").await.header("x-cache-stale"),
        ""
    );
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_was_never_reached_changes_nothing() {
    let app = Setup::products(1).warm().await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let answer = app
        .write(Method::DELETE, "/products/P-000001", &Value::Null)
        .await;
    assert_eq!(answer.status(), 503);
    let read = app.get("/products/P-000001").await;
    assert_eq!((read.status(), read.header("x-cache-stale")), (200, ""));
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_never_undoes_a_write() {
    let app = Setup::products(1).cold().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 500);
    let slow = app.get("/products/P-000001");
    let write = async {
        app.later(Duration::from_millis(100)).await;
        app.inventory.knobs().reset();
        app.write(Method::PUT, "/products/P-000001", &product("Written"))
            .await
    };
    let (_, written) = tokio::join!(slow, write);
    assert!(written.is_ok());
    app.later(Duration::from_secs(2)).await;
    assert_eq!(name(&app, "P-000001").await, "Written");
}

#[tokio::test(start_paused = true)]
async fn writers_of_one_product_take_turns() {
    let app = Setup::products(1).warm().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 50);
    let names: Vec<_> = (0..8)
        .map(|number| product(&format!("Number {number}")))
        .collect();
    let writes = names
        .iter()
        .map(|body| app.write(Method::PUT, "/products/P-000001", body));
    let answers = futures_util::future::join_all(writes).await;
    assert!(answers.iter().all(|answer| answer.is_ok()));
    assert_eq!(app.inventory.max_in_flight(), 1);
    let read = app.get("/products/P-000001").await.body().clone();
    app.operate(
        Method::POST,
        "/cache/invalidations",
        &json!({"ids": ["P-000001"], "mode": "hard"}),
    )
    .await;
    assert_eq!(
        app.get("/products/P-000001").await.body(),
        &read,
        "what we held is what they hold"
    );
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_hangs_up_still_updates_the_cache() {
    let app = Setup::products(1).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 1000);
    let body = product("Written");
    let write = app.write(Method::PUT, "/products/P-000001", &body);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), write)
            .await
            .is_err()
    );
    app.later(Duration::from_secs(2)).await;
    assert_eq!(name(&app, "P-000001").await, "Written");
}

#[tokio::test(start_paused = true)]
async fn only_those_with_a_key_may_write() {
    let app = Setup::products(1).warm().await;
    let body = product("Mine").to_string();
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![json], 401),
        (vec![json, ("x-api-key", "wrong")], 401),
        (vec![json, ("x-api-key", "")], 401),
        (vec![json, ("x-api-key", WRITE_KEY)], 200),
    ] {
        let answer = app
            .send(Method::PUT, "/products/P-000001", &headers, body.clone())
            .await;
        assert_eq!(answer.status(), status, "{headers:?}");
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401);
    }
    let closed = Setup::products(1).unset("WRITE_API_KEYS").warm().await;
    for headers in [vec![json], vec![json, ("x-api-key", WRITE_KEY)]] {
        let answer = closed
            .send(Method::PUT, "/products/P-000001", &headers, body.clone())
            .await;
        assert_eq!(answer.status(), 403);
    }
    assert_eq!(closed.inventory.calls_of("replace"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_body_is_refused_with_all_that_is_wrong_before_anyone_is_asked() {
    let app = Setup::products(1).warm().await;
    let bad = json!({"name": 7, "price": {"amount": 9.99, "currency": "EURO"}, "colour": "red", "id": "other"});
    let answer = app.write(Method::PUT, "/products/P-000001", &bad).await;
    assert_eq!(answer.status(), 400);
    let text = answer.text();
    for field in ["name", "price.amount", "price.currency", "colour", "id"] {
        assert!(text.contains(&format!("\"{field}\"")), "{field}: {text}");
    }
    assert!(!text.contains("EURO"), "values are not echoed");
    let headers = [("x-api-key", WRITE_KEY), ("content-type", "text/plain")];
    let answer = app
        .send(Method::PUT, "/products/P-000001", &headers, "{}")
        .await;
    assert_eq!(answer.status(), 415);
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
    ];
    for body in ["", "{", "[]", "null", "{\"name\":"] {
        let answer = app.send(Method::POST, "/products", &headers, body).await;
        assert_eq!(answer.status(), 400, "{body}");
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1 << 20));
    let answer = app.send(Method::POST, "/products", &headers, large).await;
    assert_eq!(answer.status(), 413);
    assert_eq!(
        app.inventory.calls_of("replace") + app.inventory.calls_of("create"),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_product_that_is_created_while_the_list_is_read_is_not_removed_by_it() {
    let setup = Setup::products(1500).set("CACHE_TTL_SECONDS", "600");
    let app = setup.warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 2000);
    app.operate(Method::POST, "/cache/invalidations", &json!({"all": true}))
        .await;
    // Sent just before the pass begins, or beside its first page, which it sorts before.
    let created = app
        .write(Method::PUT, "/products/A-1", &product("First"))
        .await;
    assert_eq!(created.status(), 201);
    app.passes(2).await;
    let gets = app.inventory.calls_of("get");
    assert_eq!(app.get("/products?limit=1").await.ids(), ["A-1"]);
    assert!(app.get("/products/A-1").await.is_ok());
    assert_eq!(app.inventory.calls_of("get"), gets);
}

#[tokio::test(start_paused = true)]
async fn the_location_of_what_has_the_name_of_a_route_leads_to_it() {
    let app = Setup::products(1).warm().await;
    for id in ["search", "batch"] {
        let body = json!({"id": id, "name": "Tea", "price": {"amount": 1, "currency": "EUR"}});
        let created = app.write(Method::POST, "/products", &body).await;
        assert_eq!(created.status(), 201, "{}", created.text());
        let found = app.get(created.header("location")).await;
        assert_eq!((found.status(), found.ids()), (200, vec![id.to_owned()]));
    }
}
