//! Many writes in one request: each for itself, in order, within a time.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/products/batch";

fn product(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "price": {"amount": 1999, "currency": "EUR"}})
}

/// The statuses of the results, whose places and sum are checked on the way.
fn statuses(answer: &Answer) -> Vec<u64> {
    let body = answer.json();
    let Some(results) = body["results"].as_array() else {
        panic!("no batch: {}", answer.text());
    };
    let statuses: Vec<u64> = results
        .iter()
        .enumerate()
        .map(|(index, result)| {
            assert_eq!(result["index"], index);
            result["status"].as_u64().unwrap()
        })
        .collect();
    let failed = statuses.iter().filter(|status| **status >= 400).count();
    let summary = json!({
        "total": statuses.len(), "succeeded": statuses.len() - failed, "failed": failed
    });
    assert_eq!(body["summary"], summary);
    assert_eq!(answer.status() == 207, failed > 0);
    assert_eq!(answer.header("cache-control"), "no-store");
    statuses
}

fn codes(answer: &Answer, index: usize) -> Vec<String> {
    let errors = answer.json()["results"][index]["errors"].clone();
    let errors = errors.as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|error| error["errorCode"].as_str().unwrap_or("").to_owned())
        .collect()
}

/// An item that gives a product another name.
fn set_name(id: &str, name: &str) -> Value {
    json!({"id": id, "patch": [{"op": "replace", "path": "/name", "value": name}]})
}

async fn create(app: &TestApp, items: &[Value]) -> Answer {
    app.write(Method::POST, PATH, &json!({"items": items}))
        .await
}

async fn delete(app: &TestApp, ids: &[&str]) -> Answer {
    app.write(Method::DELETE, PATH, &json!({"ids": ids})).await
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_new_products_is_created_and_read_at_once() {
    let app = Setup::products(1).warm().await;
    let unnamed = json!({"name": "Mug", "price": {"amount": 1, "currency": "EUR"}});
    let items = [product("a", "A"), unnamed, product("b+1", "B")];
    let answer = create(&app, &items).await;
    assert_eq!(
        (answer.status(), statuses(&answer)),
        (201, vec![201, 201, 201])
    );
    let body = answer.json();
    let given = body["results"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(body["results"][1]["location"], format!("/products/{given}"));
    assert_eq!(
        answer.header("location"),
        format!("/products?id=a,{given},b%2B1")
    );
    let together = app.get(answer.header("location")).await;
    assert_eq!(together.ids(), ["a", &given, "b+1"], "{}", together.text());
    let gets = app.inventory.calls_of("get");
    for id in ["a", &given, "b+1"] {
        assert!(app.get(&format!("/products/{id}")).await.is_ok());
    }
    assert_eq!(app.inventory.calls_of("get"), gets);
    assert_eq!(app.inventory.calls_of("create"), 3);
}

#[tokio::test(start_paused = true)]
async fn every_item_succeeds_or_fails_for_itself() {
    let app = Setup::products(3).warm().await;
    let items = [
        product("a", "A"),
        json!({"id": "b", "name": ""}),
        product("P-000001", "Taken"),
        json!("no product"),
        product("c", "C"),
    ];
    let answer = create(&app, &items).await;
    assert_eq!(
        (answer.status(), statuses(&answer)),
        (207, vec![201, 400, 409, 400, 201])
    );
    assert_eq!(
        codes(&answer, 1),
        ["INVALID_FIELD", "REQUIRED_FIELD_MISSING"]
    );
    assert_eq!(answer.json()["results"][1]["errors"][1]["field"], "price");
    assert_eq!(codes(&answer, 2), ["PRODUCT_CONFLICT"]);
    assert_eq!(answer.json()["results"][2]["id"], "P-000001");
    assert_eq!(codes(&answer, 3), ["MALFORMED_BODY"]);
    assert!(!answer.text().contains("no product"), "nothing is echoed");
    assert_eq!(answer.header("location"), "");

    let answer = delete(&app, &["a", "unknown", "no id/", "c"]).await;
    assert_eq!(
        (answer.status(), statuses(&answer)),
        (207, vec![204, 404, 403, 204])
    );
    assert_eq!(codes(&answer, 1), ["PRODUCT_NOT_FOUND"]);
    assert_eq!(codes(&answer, 2), ["INVALID_PRODUCT_ID"]);
    assert_eq!(app.get("/products/a").await.status(), 404);
    let answer = delete(&app, &["P-000001", "P-000002"]).await;
    assert_eq!((answer.status(), statuses(&answer)), (200, vec![204, 204]));
    assert_eq!(app.get("/products").await.ids(), ["P-000003"]);
}

#[tokio::test(start_paused = true)]
async fn patches_are_done_one_by_one_and_in_order_for_one_product() {
    let app = Setup::products(3).warm().await;
    let tag = app
        .get("/products/P-000001")
        .await
        .header("etag")
        .to_owned();
    let set = set_name;
    let items =
        json!({"items": [set("P-000001", "A"), set("P-000002", "B"), set("P-000001", "C")]});
    let answer = app.write(Method::PATCH, PATH, &items).await;
    assert_eq!(
        (answer.status(), statuses(&answer)),
        (200, vec![200, 200, 200]),
        "{}",
        answer.text()
    );
    let name = async |id: &str| app.get(&format!("/products/{id}")).await.json()["name"].clone();
    assert_eq!(
        (name("P-000001").await, name("P-000002").await),
        (json!("C"), json!("B"))
    );

    let mut stale = set("P-000001", "D");
    stale["ifMatch"] = json!(tag);
    let mut current = set("P-000002", "D");
    current["ifMatch"] = json!(app.get("/products/P-000002").await.header("etag"));
    let mut malformed = set("P-000003", "D");
    malformed["ifMatch"] = json!("tag");
    let mut unknown = set("P-000003", "D");
    unknown["ifmatch"] = json!("*");
    let items = json!({"items": [
        stale,
        current,
        malformed,
        unknown,
        set("unknown", "D"),
        set("no id/", "D"),
        {"id": "P-000003", "patch": [{"op": "test", "path": "/name", "value": "no"}]},
        {"id": "P-000003", "patch": [{"op": "replace", "path": "/name", "value": ""}]},
        {"id": "P-000003", "patch": {}},
        {"id": "P-000003"},
        {"patch": []},
        17,
    ]});
    let answer = app.write(Method::PATCH, PATH, &items).await;
    assert_eq!(
        statuses(&answer),
        [412, 200, 400, 400, 404, 403, 409, 422, 400, 400, 400, 400],
        "{}",
        answer.text()
    );
    assert_eq!(codes(&answer, 2), ["INVALID_FIELD"]);
    assert_eq!(codes(&answer, 3), ["UNKNOWN_FIELD"]);
    assert_eq!(codes(&answer, 6), ["PATCH_TEST_FAILED"]);
    assert_eq!(codes(&answer, 9), ["REQUIRED_FIELD_MISSING"]);
    assert_eq!(
        (name("P-000001").await, name("P-000002").await),
        (json!("C"), json!("D"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_condition_on_the_whole_does_not_hold_as_it_has_no_tag() {
    let app = Setup::products(3).warm().await;
    let tag = app
        .get("/products/P-000001")
        .await
        .header("etag")
        .to_owned();
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("if-match", tag.as_str()),
    ];
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        let body = match method {
            Method::DELETE => json!({"ids": ["P-000001"]}),
            _ => json!({"items": [set_name("P-000001", "E")]}),
        };
        let answer = app.send(method, PATH, &headers, body.to_string()).await;
        assert_eq!(answer.status(), 412);
    }
    assert!(app.get("/products/P-000001").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn items_about_one_product_are_written_in_their_order() {
    let app = Setup::products(20).warm().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 20);
    for round in 0..5 {
        let id = format!("same-{round}");
        let mut items = vec![product(&id, "First"); 3];
        items.insert(1, product(&format!("other-{round}"), "Other"));
        items[2]["name"] = "Second".into();
        let answer = create(&app, &items).await;
        assert_eq!(statuses(&answer), [201, 201, 409, 409]);
        assert_eq!(
            app.get(&format!("/products/{id}")).await.json()["name"],
            "First"
        );
        let answer = delete(&app, &[&id, &id, "P-000020"]).await;
        assert_eq!(statuses(&answer)[..2], [204, 404]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_one_to_so_many_items() {
    let app = Setup::products(1).warm().await;
    let item = |n: usize| product(&format!("n-{n}"), "N");
    let ids =
        |count: usize| json!({"ids": (0..count).map(|n| format!("n-{n}")).collect::<Vec<_>>()});
    let most = json!({"items": (0..100).map(item).collect::<Vec<_>>()});
    let answer = app.write(Method::POST, PATH, &most).await;
    assert_eq!((answer.status(), statuses(&answer).len()), (201, 100));
    assert!(app.inventory.max_in_flight() <= 8 + 1, "a few at a time");
    let answer = app.write(Method::DELETE, PATH, &ids(500)).await;
    assert_eq!(
        statuses(&answer)
            .iter()
            .filter(|status| **status == 204)
            .count(),
        100
    );

    let more = json!({"items": (0..101).map(item).collect::<Vec<_>>()});
    let creates = app.inventory.calls_of("create");
    for (method, body, count, most) in [
        (Method::POST, more, 101, 100),
        (Method::DELETE, ids(501), 501, 500),
    ] {
        let answer = app.write(method, PATH, &body).await;
        assert_eq!(
            (answer.status(), answer.codes()),
            (400, vec!["BATCH_SIZE_EXCEEDED".to_owned()])
        );
        let error = answer.json()["fault"]["errors"][0].clone();
        assert_eq!(
            (&error["itemCount"], &error["maxAllowed"]),
            (&json!(count), &json!(most))
        );
    }
    for (method, body) in [
        (Method::POST, json!({"items": []})),
        (Method::POST, json!({})),
        (Method::POST, json!([])),
        (Method::POST, json!({"ids": ["a"]})),
        (Method::POST, json!({"items": [], "more": 1})),
        (Method::DELETE, json!({"ids": []})),
        (Method::DELETE, json!({"ids": "a"})),
        (Method::DELETE, json!({"items": []})),
        (Method::DELETE, Value::Null),
    ] {
        let answer = app.write(method, PATH, &body).await;
        assert_eq!(answer.status(), 400, "{body}");
    }
    assert_eq!(app.inventory.calls_of("create"), creates);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_writes_no_batch_and_other_methods_are_not_there() {
    let app = Setup::products(1).warm().await;
    let json = [("content-type", "application/json")];
    for method in [Method::POST, Method::DELETE] {
        let answer = app.send(method.clone(), PATH, &json, "{}").await;
        assert_eq!(answer.status(), 401);
        let headers = [("x-api-key", WRITE_KEY), ("content-type", "text/plain")];
        assert_eq!(app.send(method, PATH, &headers, "{}").await.status(), 415);
    }
    for method in [Method::GET, Method::PUT] {
        let answer = app.send(method, PATH, &json, "").await;
        assert_eq!(answer.status(), 405);
        assert!(answer.header("allow").contains("POST"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_error_of_an_item_tells_nothing_and_changes_nothing() {
    let app = Setup::products(3).warm().await;
    for (status, expected) in [(429, 503), (500, 503), (401, 503)] {
        app.inventory
            .knobs()
            .turn(|faults| faults.status = Some(status));
        let answer = delete(&app, &["P-000001", "no id/"]).await;
        assert_eq!(
            (answer.status(), statuses(&answer)),
            (207, vec![expected, 403])
        );
        let result = answer.json()["results"][0].clone();
        assert_eq!(
            result["errors"],
            json!([{"description": "Internal Server Error"}])
        );
        assert_eq!(result["id"], "P-000001");
    }
    app.inventory.knobs().reset();
    app.inventory.knobs().turn(|faults| faults.truncate = true);
    let answer = create(&app, &[product("a", "A")]).await;
    assert_eq!((answer.status(), statuses(&answer)), (207, vec![504]));
    app.inventory.knobs().reset();
    // The outcome was unknown, so the product is asked for.
    assert_eq!(app.get("/products/a").await.json()["name"], "A");
    assert!(app.get("/products/P-000001").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_has_no_time_left_is_not_begun_and_the_rest_is_told() {
    // None of these calls is slow enough to count as a failure.
    let app = Setup::products(200)
        .set("UPSTREAM_TIMEOUT_MS", "9000")
        .warm()
        .await;
    // Ten seconds are three rounds of eight at most, and whatever began ends.
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 2_900);
    let ids: Vec<String> = (1..=100).map(|n| format!("P-{n:06}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let started = app.clock.now();
    let answer = delete(&app, &ids).await;
    let took = app.clock.now().since(started);
    assert!(took < Duration::from_secs(13), "{took:?}");
    let statuses = statuses(&answer);
    let done = statuses.iter().filter(|status| **status == 204).count();
    let not_begun = statuses.iter().filter(|status| **status == 503).count();
    assert_eq!((done, not_begun), (32, 68));
    assert_eq!(app.inventory.calls_of("delete"), 32);
    app.inventory.knobs().reset();
    assert_eq!(app.inventory.len(), 200 - 32);
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_hangs_costs_each_item_its_outcome_and_never_the_whole_answer() {
    let app = Setup::products(30)
        .set("UPSTREAM_TIMEOUT_MS", "10000")
        .warm()
        .await;
    app.inventory.knobs().turn(|faults| faults.hang = true);
    let ids: Vec<String> = (1..=30).map(|n| format!("P-{n:06}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let answer = delete(&app, &ids).await;
    let statuses = statuses(&answer);
    assert_eq!(statuses[..8], [504; 8]);
    assert!(
        statuses[8..].iter().all(|status| *status == 503),
        "{statuses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_leaves_no_write_half_done() {
    let app = Setup::products(100).warm().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 500);
    let ids: Vec<String> = (1..=20).map(|n| format!("P-{n:06}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let hung_up = tokio::time::timeout(Duration::from_millis(100), delete(&app, &ids)).await;
    assert!(hung_up.is_err());
    app.later(Duration::from_secs(5)).await;
    app.inventory.knobs().reset();
    assert_eq!(app.inventory.len(), 92, "what had begun");
    for id in &ids[..8] {
        assert_eq!(app.get(&format!("/products/{id}")).await.status(), 404);
    }
    assert_eq!(app.inventory.calls_of("get"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_key_that_failed_in_part_is_finished_under_the_same_key() {
    let app = Setup::products(1).warm().await;
    let closed = json!({"state": "closed"});
    assert!(app.operate(Method::PUT, "/circuit", &closed).await.is_ok());
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
    ];
    let items: Vec<Value> = (0..20).map(|n| product(&format!("n-{n}"), "N")).collect();
    let body = json!({"items": items}).to_string();
    app.inventory.knobs().turn(|faults| {
        faults.status = Some(503);
        faults.probability = 0.8;
    });
    let mut answers = 0;
    loop {
        let answer = app.send(Method::POST, PATH, &headers, body.clone()).await;
        answers += 1;
        let statuses = statuses(&answer);
        assert!(
            statuses.iter().all(|s| matches!(s, 201 | 503)),
            "{statuses:?}"
        );
        assert_eq!(answer.header("x-idempotency-replayed"), "");
        if answer.status() == 201 {
            break;
        }
        app.inventory
            .knobs()
            .turn(|faults| faults.probability /= 2.0);
    }
    assert!(answers > 1);
    assert_eq!(app.inventory.len(), 21);
    let again = app.send(Method::POST, PATH, &headers, body).await;
    assert_eq!(
        (again.status(), again.header("x-idempotency-replayed")),
        (201, "true")
    );
}
