//! What freshness contracts promise, seen by clients over a long time: measured from the data itself.

use crate::harness::{Setup, TestApp};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn declare(app: &TestApp, contract: &Value) -> Value {
    let answer = app.operate(Method::POST, "/contracts", contract).await;
    assert_eq!(answer.status(), 201, "{}", answer.text());
    answer.json()
}

async fn stats(app: &TestApp, name: &str) -> Value {
    let path = format!("/contracts/{name}/stats");
    app.internal(Method::GET, &path, &[]).await.json()
}

/// Puts the time into a product's price, as somebody else who writes to the inventory.
fn stamp(app: &TestApp, id: &str) {
    let now = app.clock.now().as_millis();
    let product = json!({"id": id, "name": "Clock", "price": {"amount": now, "currency": "EUR"}});
    app.inventory.put(&product).unwrap();
}

#[tokio::test(start_paused = true)]
async fn for_an_hour_no_answer_is_older_than_its_window() {
    const WINDOW: u64 = 2_000;
    const CHANGES: u64 = 500;
    let app = Setup::products(20)
        .set("CONTRACTS_ENABLED", "true")
        .warm()
        .await;
    // Under a fifth of the window.
    app.inventory.knobs().turn(|faults| faults.latency_ms = 390);
    let contract = json!({"name": "prices", "key_pattern": "product:P-*", "fresh_within": WINDOW,
        "grace_period": 1000, "on_degrade": "ReturnError"});
    declare(&app, &contract).await;
    let ids = ["P-000001", "P-000007", "P-000020"];
    let mut oldest = 0;
    for step in 0..3600 * 2 {
        ids.iter().for_each(|id| stamp(&app, id));
        app.later(millis(CHANGES)).await;
        let id = ids[step as usize % ids.len()];
        let answer = app.get(&format!("/products/{id}")).await;
        assert_eq!(answer.status(), 200, "{step}: {}", answer.text());
        let stamped = answer.json()["price"]["amount"].as_u64().unwrap();
        // Generated prices are small; what is answered was right until it was stamped again.
        if stamped > 1_000_000_000 {
            let wrong_for = app.clock.now().as_millis() - stamped;
            oldest = oldest.max(wrong_for);
            assert!(wrong_for <= WINDOW + CHANGES, "{step}: {wrong_for} ms");
        }
    }
    assert!(oldest > 1_000, "{oldest}: it was served from memory");
    let stats = stats(&app, "prices").await;
    assert_eq!(stats["compliance_pct"], 100.0, "{stats}");
    assert_eq!(stats["checks_total"], stats["checks_fresh"], "{stats}");
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_the_inventory_allows_too_little_the_most_read_are_fresh_and_it_was_said_beforehand()
{
    let app = Setup::products(200)
        .set("CONTRACTS_ENABLED", "true")
        .set("UPSTREAM_RATE_LIMIT_PER_SECOND", "10")
        .set("CACHE_TTL_SECONDS", "36000")
        .warm()
        .await;
    let mut last = Value::Null;
    for number in 1..=200 {
        let contract = json!({"name": format!("c-{number}"), "key_pattern": format!("product:P-{number:06}"),
            "fresh_within": 2000, "grace_period": 600_000, "on_degrade": "ServeStale"});
        last = declare(&app, &contract).await;
    }
    let note = &last["feasibility"];
    assert_eq!(note["feasible"], false, "{note}");
    let limit = note["allowedRefreshesPerSecond"].as_f64();
    assert!(limit.is_none_or(|limit| limit <= 10.0), "{note}");
    let calls = app.inventory.calls_of("get");
    for _ in 0..1200 {
        app.later(millis(100)).await;
        for number in 1..=10 {
            let answer = app.get(&format!("/products/P-{number:06}")).await;
            assert_eq!(answer.status(), 200);
        }
    }
    let seconds = 120;
    assert!(app.inventory.calls_of("get") - calls <= 10 * (seconds + 2));
    let mut compliance = Vec::new();
    for number in 1..=200 {
        let stats = stats(&app, &format!("c-{number}")).await;
        compliance.push(stats["compliance_pct"].as_f64().unwrap());
    }
    let (hot, cold) = compliance.split_at(10);
    let worst = hot.iter().copied().fold(f64::INFINITY, f64::min);
    let best = cold.iter().copied().fold(0.0, f64::max);
    assert!(worst > 90.0 && worst > best, "{hot:?} {best}");
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_everything_was_cleared_the_inventory_meets_no_flood_and_hits_are_back_in_time() {
    for mode in ["soft", "hard"] {
        clear_everything(mode).await;
    }
}

async fn clear_everything(mode: &str) {
    let app = Setup::products(3000)
        .set("UPSTREAM_MAX_CONCURRENT", "8")
        .set("UPSTREAM_PAGE_SIZE", "100")
        .warm()
        .await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 40);
    // Long enough for somebody to notice.
    app.later(Duration::from_secs(15)).await;
    let everything = |dry_run| json!({"all": true, "mode": mode, "dryRun": dry_run});
    let path = "/cache/invalidations";
    let plan = app
        .operate(Method::POST, path, &everything(true))
        .await
        .json();
    let promised = plan["estimatedSeconds"].as_u64().unwrap();
    assert!(promised > 0, "{plan}");
    app.operate(Method::POST, path, &everything(false)).await;
    let began = app.clock.now();
    let hits = || {
        let requests = app.catalog().stats().requests;
        let count = |word: &str| {
            let of = requests
                .iter()
                .filter(|(outcome, _)| outcome.as_str() == word);
            of.map(|(_, count)| *count).sum::<u64>()
        };
        (
            count("hit"),
            count("hit") + count("miss") + count("error") + count("stale"),
        )
    };
    let mut random = fastrand::Rng::with_seed(7);
    let mut before = hits();
    loop {
        let reads: Vec<_> = (0..100)
            .map(|_| format!("/products/P-{:06}", random.u32(1..=3000)))
            .collect();
        let reads = futures_util::future::join_all(reads.iter().map(|path| app.get(path)));
        for answer in reads.await {
            assert!(matches!(answer.status(), 200 | 503), "{}", answer.status());
        }
        app.later(millis(100)).await;
        let now = hits();
        let ratio = (now.0 - before.0) as f64 / (now.1 - before.1) as f64;
        before = now;
        if ratio > 0.99 {
            break;
        }
        let waited = app.clock.now().since(began);
        assert!(
            waited <= Duration::from_secs(promised),
            "{mode}: {waited:?} of {promised} s: {ratio}"
        );
    }
    assert!(app.inventory.max_in_flight() <= 8);
    app.stop().await;
}
