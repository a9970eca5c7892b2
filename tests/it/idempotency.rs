//! `Idempotency-Key`: a POST is carried out once under a key, and answered the same again for a day.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use http::Method;
use product_catalog::clock::Clock;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";
const OTHER_KEY: &str = "0b53d9fc-1d3c-4f8e-9ad9-55a1ab3b8f70";

fn product(name: &str) -> Value {
    json!({"name": name, "price": {"amount": 1999, "currency": "EUR"}})
}

async fn post_as(app: &TestApp, who: &str, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [
        ("x-api-key", who),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    app.send(Method::POST, path, &headers, body.to_string())
        .await
}

async fn post(app: &TestApp, key: &str, body: &Value) -> Answer {
    post_as(app, WRITE_KEY, "/products", key, body).await
}

/// What makes two answers the same: all but what belongs to the request.
fn essence(answer: &Answer) -> (u16, Vec<u8>, Vec<(String, String)>) {
    let own = ["x-conversation", "x-idempotency-replayed"];
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    headers.sort();
    (answer.status(), answer.body().to_vec(), headers)
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("x-idempotency-replayed") == "true"
}

#[tokio::test(start_paused = true)]
async fn a_repeated_post_is_answered_the_same_and_carried_out_once() {
    let app = Setup::products(2).warm().await;
    let first = post(&app, KEY, &product("Tea")).await;
    assert_eq!(first.status(), 201, "{}", first.text());
    assert_eq!(first.header("idempotency-key"), KEY);
    assert!(!is_replay(&first));
    for _ in 0..3 {
        let again = post(&app, KEY, &product("Tea")).await;
        assert!(is_replay(&again));
        assert_eq!(essence(&again), essence(&first));
    }
    assert_eq!(app.inventory.calls_of("create"), 1);
    assert_eq!(app.inventory.len(), 3);
    // The product is read at once and without a call.
    let gets = app.inventory.calls_of("get");
    assert!(app.get(first.header("location")).await.is_ok());
    assert_eq!(app.inventory.calls_of("get"), gets);
}

#[tokio::test(start_paused = true)]
async fn another_body_under_the_same_key_is_a_conflict() {
    let app = Setup::products(1).warm().await;
    let first = post(&app, KEY, &product("Tea")).await;
    let other = post(&app, KEY, &product("Coffee")).await;
    assert_eq!(
        (other.status(), other.codes()),
        (422, vec!["IDEMPOTENCY_CONFLICT".to_owned()])
    );
    assert_eq!(other.header("idempotency-key"), KEY);
    assert_eq!(
        essence(&post(&app, KEY, &product("Tea")).await),
        essence(&first)
    );
    assert_eq!(
        post(&app, OTHER_KEY, &product("Coffee")).await.status(),
        201
    );
    assert_eq!(app.inventory.calls_of("create"), 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_first_is_under_way_the_same_is_told_to_come_back() {
    let app = Setup::products(1).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 1_000);
    let body = product("Tea");
    let mut first = Box::pin(post(&app, KEY, &body));
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    app.later(Duration::from_millis(100)).await;
    let same = post(&app, KEY, &body).await;
    assert_eq!(
        (same.status(), same.codes()),
        (409, vec!["IDEMPOTENCY_IN_FLIGHT".to_owned()])
    );
    assert_eq!(
        (same.header("retry-after"), same.header("idempotency-key")),
        ("1", KEY)
    );
    assert_eq!(post(&app, KEY, &product("Coffee")).await.status(), 422);
    let first = first.await;
    assert_eq!(first.status(), 201);
    assert_eq!(essence(&post(&app, KEY, &body).await), essence(&first));
    assert_eq!(app.inventory.calls_of("create"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_finds_its_answer_when_it_comes_back() {
    let app = Setup::products(1).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 1_000);
    let body = product("Tea");
    let hung_up = tokio::time::timeout(Duration::from_millis(100), post(&app, KEY, &body)).await;
    assert!(hung_up.is_err());
    app.later(Duration::from_secs(2)).await;
    let again = post(&app, KEY, &body).await;
    assert_eq!((again.status(), is_replay(&again)), (201, true));
    assert_eq!(app.inventory.calls_of("create"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_kept_byte_for_byte_and_a_failure_is_not() {
    let app = Setup::products(1).warm().await;
    let taken = json!({"id": "P-000001", "name": "x", "price": {"amount": 1, "currency": "EUR"}});
    for (body, status) in [(json!({"name": ""}), 400), (taken, 409)] {
        let key = if status == 400 { KEY } else { OTHER_KEY };
        let first = post(&app, key, &body).await;
        assert_eq!(first.status(), status);
        assert_eq!(first.header("idempotency-key"), key);
        let again = post(&app, key, &body).await;
        assert!(is_replay(&again));
        assert_eq!(essence(&again), essence(&first), "fault id and all");
    }
    let third = "11111111-2222-4333-8444-555555555555";
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(500));
    let failed = post(&app, third, &product("Tea")).await;
    assert_eq!(
        (failed.status(), failed.header("idempotency-key")),
        (503, third)
    );
    app.inventory.knobs().reset();
    let done = post(&app, third, &product("Tea")).await;
    assert_eq!((done.status(), is_replay(&done)), (201, false));
}

#[tokio::test(start_paused = true)]
async fn after_an_unknown_outcome_the_same_key_finds_out_and_creates_nothing_twice() {
    let app = Setup::products(1).warm().await;
    app.inventory.knobs().turn(|faults| faults.truncate = true);
    let unknown = post(&app, KEY, &product("Tea")).await;
    assert_eq!(unknown.status(), 504, "{}", unknown.text());
    assert!(
        app.inventory.calls_of("create") > 1,
        "it is safe to try again"
    );
    assert_eq!(app.inventory.len(), 2, "it was created, once");
    app.inventory.knobs().reset();
    let found = post(&app, KEY, &product("Tea")).await;
    assert_eq!((found.status(), is_replay(&found)), (201, false));
    assert_eq!(app.inventory.len(), 2);
    assert!(app.get(found.header("location")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_tells_of_the_past_is_checked_before_it_is_read() {
    let app = Setup::products(1).warm().await;
    let mut body = product("Tea");
    body["id"] = "tea".into();
    app.inventory.knobs().turn(|faults| faults.truncate = true);
    assert_eq!(post(&app, KEY, &body).await.status(), 504);
    app.inventory.knobs().reset();
    // Somebody changes what the first attempt created.
    let changed = app
        .write(Method::PUT, "/products/tea", &product("Green tea"))
        .await;
    assert_eq!(changed.status(), 200);
    let found = post(&app, KEY, &body).await;
    assert_eq!(
        (found.status(), found.json()["name"].as_str()),
        (201, Some("Tea"))
    );
    let read = app.get("/products/tea").await;
    assert_eq!(read.json()["name"], "Green tea");
}

#[tokio::test(start_paused = true)]
async fn a_key_belongs_to_its_caller_and_its_path() {
    let digest = |key: &str| -> String {
        let digest = Sha256::digest(key);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let keys = format!("tests:{},other:{}", digest(WRITE_KEY), digest("other"));
    let app = Setup::products(1).set("WRITE_API_KEYS", &keys).warm().await;
    let body = product("Tea");
    assert_eq!(post(&app, KEY, &body).await.status(), 201);
    let others = post_as(&app, "other", "/products", KEY, &product("Coffee")).await;
    assert_eq!((others.status(), is_replay(&others)), (201, false));
    let batch = json!({"items": [product("Tea")]});
    let batch = post_as(&app, WRITE_KEY, "/products/batch", KEY, &batch).await;
    assert_eq!(
        (batch.status(), is_replay(&batch)),
        (201, false),
        "{}",
        batch.text()
    );
    assert_eq!(app.inventory.len(), 4);
    // Elsewhere it is ignored.
    for name in ["One", "Two"] {
        let headers = [
            ("x-api-key", WRITE_KEY),
            ("content-type", "application/json"),
            ("idempotency-key", KEY),
        ];
        let body = product(name).to_string();
        let put = app
            .send(Method::PUT, "/products/P-000001", &headers, body)
            .await;
        assert_eq!(
            (put.status(), put.json()["name"].as_str()),
            (200, Some(name))
        );
        assert_eq!(put.header("idempotency-key"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_uuid_is_refused_and_what_comes_before_the_body_is_not_kept() {
    let app = Setup::products(1).warm().await;
    for key in ["", "order-17", "8e03978e40d543e8bc936894a57f9324"] {
        let answer = post(&app, key, &product("Tea")).await;
        assert_eq!(
            (answer.status(), answer.codes()),
            (400, vec!["INVALID_HEADER".to_owned()])
        );
        assert_eq!(
            answer.json()["fault"]["errors"][0]["header"],
            "idempotency-key"
        );
    }
    let twice = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("idempotency-key", KEY),
        ("idempotency-key", OTHER_KEY),
    ];
    let answer = app.send(Method::POST, "/products", &twice, "{}").await;
    assert_eq!(answer.status(), 400);
    let unknown = post_as(&app, "nobody", "/products", KEY, &product("Tea")).await;
    assert_eq!(unknown.status(), 401);
    let text = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "text/plain"),
        ("idempotency-key", KEY),
    ];
    let answer = app.send(Method::POST, "/products", &text, "{}").await;
    assert_eq!(answer.status(), 415);
    assert_eq!(post(&app, KEY, &product("Tea")).await.status(), 201);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_a_day() {
    let app = Setup::products(1)
        .set("CACHE_TTL_SECONDS", "0")
        .warm()
        .await;
    let first = post(&app, KEY, &product("Tea")).await;
    app.later(Duration::from_secs(24 * 3600 - 1)).await;
    assert_eq!(
        essence(&post(&app, KEY, &product("Tea")).await),
        essence(&first)
    );
    app.later(Duration::from_secs(1)).await;
    let other = post(&app, KEY, &product("Coffee")).await;
    // The inventory of the tests remembers the key for longer.
    assert_eq!((other.status(), is_replay(&other)), (400, false));
}

#[tokio::test]
async fn a_restart_forgets_no_answer_and_the_time_between_counts() {
    let dir = tempfile::tempdir().unwrap();
    let wall = Clock::start().now();
    let started = |hours: u64, inventory| {
        let clock = Clock::starting_at(wall + Duration::from_secs(hours * 3600));
        Setup::of(inventory).store(dir.path()).clock(clock)
    };
    let inventory = Setup::products(1).inventory;
    let app = started(0, inventory.clone()).warm().await;
    let first = post(&app, KEY, &product("Tea")).await;
    assert_eq!(first.status(), 201);
    app.stop().await;
    for (hours, replayed) in [(23, true), (25, false)] {
        let app = started(hours, inventory.clone()).warm().await;
        let again = post(&app, KEY, &product("Tea")).await;
        assert_eq!(
            (again.status(), is_replay(&again)),
            (201, replayed),
            "{hours}"
        );
        assert_eq!(again.body(), first.body(), "{hours}");
        app.stop().await;
    }
    assert_eq!(inventory.calls_of("create"), 2);
    assert_eq!(inventory.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_posted_is_answered_the_same_again_or_is_no_answer_yet(
        name in "\\PC{0,20}",
        amount in -5i64..5,
        batch: bool,
        inventory_status in proptest::option::of(400u16..600),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let app = Setup::products(1).warm().await;
            app.inventory.knobs().turn(|faults| faults.status = inventory_status);
            let item = json!({"name": name, "price": {"amount": amount, "currency": "EUR"}});
            let (path, body) = match batch {
                true => ("/products/batch", json!({"items": [item, product("Tea")]})),
                false => ("/products", item),
            };
            let first = post_as(&app, WRITE_KEY, path, KEY, &body).await;
            let again = post_as(&app, WRITE_KEY, path, KEY, &body).await;
            let failed = first.status() >= 500
                || (first.status() == 207 && first.json()["results"].as_array().unwrap()
                    .iter().any(|result| result["status"].as_u64() >= Some(500)));
            prop_assert_eq!(is_replay(&again), !failed);
            if !failed {
                prop_assert_eq!(essence(&again), essence(&first));
            }
            Ok(())
        })?;
    }
}
