//! Freshness contracts, declared and managed on the internal listener.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn enabled(products: usize) -> Setup {
    Setup::products(products).set("CONTRACTS_ENABLED", "true")
}

fn contract(name: &str, pattern: &str) -> Value {
    json!({"name": name, "key_pattern": pattern, "fresh_within": 10_000, "grace_period": 60_000,
           "on_degrade": "ServeStale"})
}

async fn declare(app: &TestApp, contract: &Value) -> Answer {
    app.operate(Method::POST, "/contracts", contract).await
}

async fn look(app: &TestApp, path: &str) -> Answer {
    app.internal(Method::GET, path, &[]).await
}

async fn names(app: &TestApp) -> Vec<String> {
    let all = look(app, "/contracts").await.json();
    let all = all["contracts"].as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A file of contracts in a directory of its own.
fn file(contracts: &Value) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("contracts.json");
    std::fs::write(&path, contracts.to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[tokio::test(start_paused = true)]
async fn a_contract_is_declared_read_replaced_and_removed() {
    let app = enabled(5).warm().await;
    assert_eq!(
        look(&app, "/contracts").await.json(),
        json!({"contracts": [], "enforced": true})
    );
    let wanted = contract("live-prices", "product:P-*");
    let created = declare(&app, &wanted).await;
    assert_eq!(
        (created.status(), created.header("location")),
        (201, "/contracts/live-prices")
    );
    let body = created.json();
    for (member, value) in wanted.as_object().unwrap() {
        assert_eq!(body[member], *value, "{member}");
    }
    assert_eq!(
        (&body["origin"], &body["enforced"]),
        (&json!("operator"), &json!(true))
    );
    assert_eq!(body["durable"], false, "there is no store");

    let mut other = wanted.clone();
    other["fresh_within"] = 5000.into();
    let replaced = app
        .operate(Method::PUT, "/contracts/live-prices", &other)
        .await;
    assert_eq!(
        (replaced.status(), &replaced.json()["fresh_within"]),
        (200, &json!(5000))
    );
    other.as_object_mut().unwrap().remove("name");
    other["key_pattern"] = "product:other".into();
    let created = app.operate(Method::PUT, "/contracts/another", &other).await;
    assert_eq!(
        (created.status(), &created.json()["name"]),
        (201, &json!("another"))
    );
    assert_eq!(names(&app).await, ["another", "live-prices"]);

    let removed = app
        .operate(Method::DELETE, "/contracts/another", &Value::Null)
        .await;
    assert_eq!((removed.status(), removed.text()), (204, ""));
    let gone = look(&app, "/contracts/another").await;
    assert_eq!(
        (gone.status(), gone.codes()),
        (404, vec!["CONTRACT_NOT_FOUND".to_owned()])
    );
    for path in ["/contracts/another", "/contracts/another/stats"] {
        assert_eq!(look(&app, path).await.status(), 404);
    }
    let again = app
        .operate(Method::DELETE, "/contracts/another", &Value::Null)
        .await;
    assert_eq!(again.status(), 404);
    assert_eq!(names(&app).await, ["live-prices"]);
}

#[tokio::test(start_paused = true)]
async fn names_and_patterns_are_taken_once() {
    let app = enabled(5).warm().await;
    declare(&app, &contract("one", "product:P-*")).await;
    for (wanted, code) in [
        (contract("one", "product:x"), "CONTRACT_EXISTS"),
        (contract("two", "product:P-*"), "CONTRACT_PATTERN_TAKEN"),
    ] {
        let refused = declare(&app, &wanted).await;
        assert_eq!(
            (refused.status(), refused.codes()),
            (409, vec![code.to_owned()])
        );
    }
    let refused = app
        .operate(
            Method::PUT,
            "/contracts/two",
            &contract("two", "product:P-*"),
        )
        .await;
    assert_eq!(refused.codes(), ["CONTRACT_PATTERN_TAKEN"]);
    assert_eq!(refused.json()["fault"]["errors"][0]["field"], "key_pattern");
    assert!(declare(&app, &contract("two", "product:P-")).await.status() == 201);
    assert_eq!(names(&app).await, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_with_anything_wrong_changes_nothing() {
    let app = enabled(5).warm().await;
    declare(&app, &contract("one", "product:P-*")).await;
    let before = look(&app, "/contracts").await.json();
    for (member, value, code) in [
        ("name", json!("One"), "INVALID_FIELD"),
        ("key_pattern", json!("P-*"), "INVALID_FIELD"),
        ("fresh_within", json!(0), "INVALID_FIELD"),
        ("grace_period", json!(-1), "INVALID_FIELD"),
        ("on_degrade", json!("Guess"), "INVALID_FIELD"),
        ("idle_after", json!("x"), "INVALID_FIELD"),
        ("fallback", json!({}), "INVALID_FIELD"),
        ("ttl", json!(1), "UNKNOWN_FIELD"),
    ] {
        let mut wanted = contract("two", "product:x");
        wanted[member] = value;
        for (method, path) in [
            (Method::POST, "/contracts"),
            (Method::PUT, "/contracts/two"),
        ] {
            let refused = app.operate(method.clone(), path, &wanted).await;
            assert_eq!(refused.status(), 400, "{method} {member}");
            let errors = refused.json()["fault"]["errors"].clone();
            let is_named = |error: &Value| error["field"] == member && error["errorCode"] == code;
            assert!(
                errors.as_array().unwrap().iter().any(is_named),
                "{method} {member}: {errors}"
            );
        }
    }
    for member in ["key_pattern", "fresh_within", "grace_period", "on_degrade"] {
        let mut wanted = contract("two", "product:x");
        wanted.as_object_mut().unwrap().remove(member);
        let refused = declare(&app, &wanted).await;
        assert_eq!(
            (refused.status(), refused.codes()),
            (400, vec!["REQUIRED_FIELD_MISSING".to_owned()])
        );
    }
    for body in [json!([]), json!("x"), json!(7)] {
        assert_eq!(declare(&app, &body).await.codes(), ["MALFORMED_BODY"]);
    }
    let refused = app
        .operate(Method::PUT, "/contracts/one", &contract("two", "product:x"))
        .await;
    assert_eq!(
        (refused.status(), refused.codes()),
        (400, vec!["ID_MISMATCH".to_owned()])
    );
    let refused = app
        .operate(Method::PUT, "/contracts/One", &contract("two", "product:x"))
        .await;
    assert_eq!(refused.status(), 400);
    assert_eq!(look(&app, "/contracts").await.json(), before);
}

#[tokio::test(start_paused = true)]
async fn changes_need_the_token_and_reading_does_not() {
    let app = enabled(5).warm().await;
    declare(&app, &contract("one", "product:P-*")).await;
    for (method, path) in [
        (Method::POST, "/contracts"),
        (Method::PUT, "/contracts/one"),
        (Method::DELETE, "/contracts/one"),
    ] {
        assert_eq!(app.internal(method, path, &[]).await.status(), 401);
    }
    for path in ["/contracts", "/contracts/one", "/contracts/one/stats"] {
        assert!(look(&app, path).await.is_ok());
    }
    assert_eq!(
        look(&app, "/contracts/one").await.header("cache-control"),
        "no-store"
    );
}

#[tokio::test(start_paused = true)]
async fn those_of_the_file_are_there_from_the_start_and_stay() {
    let (_dir, path) = file(&json!([contract("of-file", "product:P-*")]));
    let app = enabled(5).set("CONTRACTS_FILE", &path).warm().await;
    let held = look(&app, "/contracts/of-file").await.json();
    assert_eq!(
        (&held["origin"], &held["enforced"]),
        (&json!("file"), &json!(true))
    );
    let replaced = app
        .operate(
            Method::PUT,
            "/contracts/of-file",
            &contract("of-file", "product:x"),
        )
        .await;
    assert_eq!(
        (replaced.status(), replaced.codes()),
        (409, vec!["CONTRACT_READ_ONLY".to_owned()])
    );
    let removed = app
        .operate(Method::DELETE, "/contracts/of-file", &Value::Null)
        .await;
    assert_eq!(
        (removed.status(), removed.codes()),
        (409, vec!["CONTRACT_READ_ONLY".to_owned()])
    );
    assert_eq!(
        declare(&app, &contract("of-file", "product:x"))
            .await
            .codes(),
        ["CONTRACT_EXISTS"]
    );
    assert_eq!(
        look(&app, "/contracts/of-file").await.json()["key_pattern"],
        "product:P-*"
    );
}

#[tokio::test(start_paused = true)]
async fn switched_off_they_are_listed_and_can_not_be_changed() {
    let (_dir, path) = file(&json!([contract("of-file", "product:P-*")]));
    let app = Setup::products(5).set("CONTRACTS_FILE", &path).warm().await;
    let listed = look(&app, "/contracts").await.json();
    assert_eq!(listed["enforced"], false);
    assert_eq!(listed["contracts"][0]["enforced"], false);
    assert_eq!(listed["contracts"][0]["name"], "of-file");
    for (method, path) in [
        (Method::POST, "/contracts"),
        (Method::PUT, "/contracts/one"),
        (Method::DELETE, "/contracts/of-file"),
    ] {
        let refused = app
            .operate(method, path, &contract("one", "product:x"))
            .await;
        assert_eq!(
            (refused.status(), refused.codes()),
            (403, vec!["CONTRACTS_DISABLED".to_owned()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_declared_here_survives_a_restart_and_the_file_wins() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || enabled(5).store(dir.path());
    let app = setup().warm().await;
    app.catalog().restored().await;
    app.later(Duration::from_secs(1)).await;
    for (name, pattern) in [
        ("one", "product:1*"),
        ("two", "product:2*"),
        ("three", "product:3*"),
    ] {
        let created = declare(&app, &contract(name, pattern)).await;
        assert_eq!(
            (created.status(), &created.json()["durable"]),
            (201, &json!(true))
        );
    }
    app.operate(Method::DELETE, "/contracts/three", &Value::Null)
        .await;
    app.stop().await;

    // One has another's name, and one another's pattern.
    let (_dir, path) = file(&json!([
        contract("one", "product:9*"),
        contract("new", "product:2*")
    ]));
    let app = setup().set("CONTRACTS_FILE", &path).warm().await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(names(&app).await, ["new", "one"]);
    assert_eq!(look(&app, "/contracts/one").await.json()["origin"], "file");
    app.stop().await;

    let app = setup().warm().await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(names(&app).await, ["one", "two"]);
    assert_eq!(
        look(&app, "/contracts/one").await.json()["key_pattern"],
        "product:1*"
    );
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_declared_before_the_store_was_read_joins_what_is_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || enabled(5).store(dir.path());
    let app = setup().warm().await;
    app.later(Duration::from_secs(1)).await;
    declare(&app, &contract("on-disk", "product:1*")).await;
    app.stop().await;

    // The store is still being opened.
    let app = setup().start().await;
    declare(&app, &contract("early", "product:2*")).await;
    app.passes(1).await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(names(&app).await, ["early", "on-disk"]);
    app.stop().await;
    let app = setup().warm().await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(names(&app).await, ["early", "on-disk"]);
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_removed_before_the_store_was_read_does_not_come_back_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || enabled(5).store(dir.path());
    let app = setup().warm().await;
    app.later(Duration::from_secs(1)).await;
    declare(&app, &contract("gone", "product:1*")).await;
    declare(&app, &contract("stays", "product:2*")).await;
    app.stop().await;

    // The store is still being opened.
    let app = setup().start().await;
    declare(&app, &contract("gone", "product:3*")).await;
    let removed = app
        .operate(Method::DELETE, "/contracts/gone", &Value::Null)
        .await;
    // On a machine that is slow elsewhere the store may have been read by now; then this is durable.
    assert_eq!(removed.status(), 204);
    app.passes(1).await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(names(&app).await, ["stays"]);
    app.stop().await;
    let app = setup().warm().await;
    app.later(Duration::from_secs(1)).await;
    assert_eq!(names(&app).await, ["stays"]);
    let removed = app
        .operate(Method::DELETE, "/contracts/stays", &Value::Null)
        .await;
    assert_eq!((removed.status(), removed.header("durable")), (204, "true"));
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_declares_one_is_told_whether_it_can_be_kept() {
    let app = enabled(100).warm().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 40);
    for id in 1..=20 {
        // What is held is not asked for.
        app.operate(
            Method::DELETE,
            &format!("/cache/entries/P-{id:06}"),
            &Value::Null,
        )
        .await;
        assert!(app.get(&format!("/products/P-{id:06}")).await.is_ok());
    }
    let noted = |answer: &Answer| answer.json()["feasibility"].clone();
    let wide = noted(&declare(&app, &contract("wide", "product:P-*")).await);
    assert_eq!(
        (&wide["keysMatched"], &wide["feasible"]),
        (&json!(100), &json!(true))
    );
    assert_eq!(
        wide["refreshesPerSecond"],
        json!({"allKeys": 12.5, "keysInUse": null})
    );
    assert_eq!(wide["upstreamLatencyMs"]["samples"], 20);
    assert_eq!(wide["upstreamLatencyMs"]["p50"], 40.0);
    assert_eq!(wide["allowedRefreshesPerSecond"], 800.0);

    // A fifth of 200 ms is 40 ms, of which a tick is lost.
    let mut tight = contract("tight", "product:P-000001");
    tight["fresh_within"] = 200.into();
    let tight = noted(&declare(&app, &tight).await);
    assert_eq!(
        (&tight["keysMatched"], &tight["feasible"]),
        (&json!(1), &json!(false))
    );
    assert!(
        tight["advice"].to_string().contains("95 of 100 calls"),
        "{tight}"
    );
    assert_eq!(noted(&look(&app, "/contracts/tight").await), tight);
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_is_kept_and_counted_until_it_is_removed() {
    let app = enabled(5).warm().await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 10);
    let mut wanted = contract("live-prices", "product:P-*");
    wanted["fresh_within"] = 2000.into();
    declare(&app, &wanted).await;
    app.later(Duration::from_secs(20)).await;
    let stats = look(&app, "/contracts/live-prices/stats").await.json();
    assert_eq!(
        (&stats["keys"], &stats["keys_fresh"]),
        (&json!(5), &json!(5))
    );
    assert_eq!(
        (&stats["compliance_pct"], &stats["refreshes_failed"]),
        (&json!(100.0), &json!(0))
    );
    // One each 1.6 s or a little more, of five, for 20 s.
    let refreshes = stats["refreshes_triggered"].as_u64().unwrap();
    assert!((50..=65).contains(&refreshes), "{stats}");
    let checks = stats["checks_total"].as_u64().unwrap();
    assert!((5 * 380..=5 * 401).contains(&checks), "{stats}");
    let listed = look(&app, "/contracts").await.json();
    assert_eq!(listed["contracts"][0]["stats"], stats);
    let metrics = look(&app, "/metrics").await;
    for series in [
        format!("catalog_contract_checks_total{{contract=\"live-prices\"}} {checks}"),
        format!(
            "catalog_contract_refreshes_triggered_total{{contract=\"live-prices\"}} {refreshes}"
        ),
        "catalog_contract_compliance_ratio{contract=\"live-prices\"} 1\n".to_owned(),
    ] {
        assert!(
            metrics.text().contains(&series),
            "{series} in {}",
            metrics.text()
        );
    }

    app.operate(Method::DELETE, "/contracts/live-prices", &Value::Null)
        .await;
    app.later(Duration::from_secs(1)).await;
    let calls = app.inventory.calls_of("get");
    app.later(Duration::from_secs(20)).await;
    assert_eq!(
        app.inventory.calls_of("get"),
        calls,
        "nobody refreshes any more"
    );
    assert!(!look(&app, "/metrics").await.text().contains("live-prices"));
}

#[tokio::test(start_paused = true)]
async fn contracts_are_in_force_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let setup = || enabled(5).store(dir.path());
    let app = setup().warm().await;
    app.later(Duration::from_secs(1)).await;
    declare(&app, &contract("live-prices", "product:P-*")).await;
    app.stop().await;
    let app = setup().warm().await;
    app.later(Duration::from_secs(60)).await;
    let stats = look(&app, "/contracts/live-prices/stats").await.json();
    assert_eq!(
        (&stats["keys"], &stats["compliance_pct"]),
        (&json!(5), &json!(100.0))
    );
    assert!(
        stats["refreshes_triggered"].as_u64().unwrap() >= 5 * 6,
        "{stats}"
    );
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_contracts_beside_ten_calls_a_second_are_said_not_to_be_kept() {
    let one = |at: usize| {
        let mut one = contract(&format!("c-{at}"), &format!("product:P-{at:06}"));
        one["fresh_within"] = 2000.into();
        one
    };
    let (_dir, path) = file(&(1..=200).map(one).collect());
    let app = enabled(200)
        .set("CONTRACTS_FILE", &path)
        .set("UPSTREAM_RATE_LIMIT_PER_SECOND", "10")
        .warm()
        .await;
    for at in [1, 100, 200] {
        let found = look(&app, &format!("/contracts/c-{at}")).await.json();
        assert_eq!(found["feasibility"]["keysMatched"], 1);
        assert_eq!(found["feasibility"]["feasible"], false, "{found}");
        assert_eq!(
            found["stats"]["keys"], 1,
            "they are in force from the start"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn with_idle_after_what_is_in_use_is_what_counts() {
    let app = enabled(100)
        .set("UPSTREAM_RATE_LIMIT_PER_SECOND", "10")
        .warm()
        .await;
    app.later(Duration::from_secs(2)).await;
    let mut wanted = contract("live-prices", "product:P-*");
    wanted["fresh_within"] = 1000.into();
    wanted["idle_after"] = 60_000.into();
    declare(&app, &wanted).await;
    for id in 1..=4 {
        assert!(app.get(&format!("/products/P-{id:06}")).await.is_ok());
    }
    let noted = look(&app, "/contracts/live-prices").await.json()["feasibility"].clone();
    assert_eq!(
        noted["refreshesPerSecond"],
        json!({"allKeys": 125.0, "keysInUse": 5.0})
    );
    app.later(Duration::from_secs(61)).await;
    let noted = look(&app, "/contracts/live-prices").await.json()["feasibility"].clone();
    assert_eq!(noted["refreshesPerSecond"]["keysInUse"], 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_contract_that_would_refresh_from_elsewhere_is_refused() {
    let app = enabled(5)
        .set("CONTRACTS_REFRESH_ORIGINS", "https://prices.test")
        .warm()
        .await;
    let mut wanted = contract("one", "product:P-*");
    for url in [
        "https://elsewhere.test/{id}",
        "http://prices.test/{id}",
        "http://169.254.169.254/{id}",
        "https://prices.test.elsewhere.test/{id}",
        "https://prices.test/all",
        "//prices.test/{id}",
    ] {
        wanted["refresh_from"] = url.into();
        let refused = declare(&app, &wanted).await;
        assert_eq!(refused.status(), 400, "{url}");
        let error = &refused.json()["fault"]["errors"][0];
        assert_eq!(error["field"], "refresh_from", "{url}");
    }
    assert!(names(&app).await.is_empty());
    for url in [
        "https://prices.test/{id}",
        "http://inventory.test/live/{id}",
    ] {
        wanted["refresh_from"] = url.into();
        let made = app.operate(Method::PUT, "/contracts/one", &wanted).await;
        assert_eq!(made.json()["refresh_from"], url);
    }
}
