//! How long answers are good that the index alone gives: no longer than the listing that confirmed it.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use product_catalog::clock::Clock;
use serde_json::json;
use std::time::Duration;

/// What the index answers, with products and without.
const ASKED: [&str; 8] = [
    "/products?count",
    "/products?category=zzz",
    "/products?category=zzz&select=id",
    "/products?limit=2",
    "/categories",
    "/brands",
    "/categories/garden",
    "/brands/Norvik",
];

const STALE: (u16, &str, &str, &str) = (
    200,
    "no-store",
    "true",
    "product-catalog; hit; detail=stale",
);

fn setup(ttl: &str) -> Setup {
    let setup = Setup::products(20)
        .set("CACHE_TTL_SECONDS", ttl)
        .set("CACHE_GRACE_SECONDS", "100");
    let kettle = json!({
        "id": "KETTLE-17", "name": "Kettle", "category": "garden", "brand": "Norvik",
        "price": {"amount": 3999, "currency": "EUR"},
    });
    setup.inventory.put(&kettle).unwrap();
    setup
}

fn said(answer: &Answer) -> (u16, &str, &str, &str) {
    (
        answer.status(),
        answer.header("cache-control"),
        answer.header("x-cache-stale"),
        answer.header("cache-status"),
    )
}

async fn all_are_stale(app: &TestApp) {
    for path in ASKED {
        assert_eq!(said(&app.get(path).await), STALE, "{path}");
    }
}

async fn none_is_kept_longer_than(app: &TestApp, secs: u64) {
    for path in ASKED {
        let answer = app.get(path).await;
        let control = answer.header("cache-control");
        let promised: u64 = control
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse::<u64>().ok())
            .sum();
        assert!(
            control.starts_with("public") && promised <= secs,
            "{path}: {control}"
        );
        assert_eq!(answer.header("x-cache-stale"), "", "{path}");
    }
}

fn away(app: &TestApp, is_away: bool) {
    app.inventory.knobs().turn(|faults| faults.away = is_away);
}

#[tokio::test(start_paused = true)]
async fn what_the_index_says_is_kept_no_longer_than_its_window_and_is_stale_beyond() {
    let app = setup("5").warm().await;
    none_is_kept_longer_than(&app, 5).await;
    away(&app, true);
    app.later(Duration::from_secs(3)).await;
    none_is_kept_longer_than(&app, 2).await;
    app.later(Duration::from_secs(6)).await;
    all_are_stale(&app).await;

    // Past grace nobody may have it.
    app.later(Duration::from_secs(100)).await;
    for path in ASKED {
        let answer = app.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_ne!(answer.header("retry-after"), "", "{path}");
    }

    away(&app, false);
    app.later(Duration::from_secs(90)).await;
    none_is_kept_longer_than(&app, 5).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_that_never_ends_needs_no_confirmation() {
    let app = setup("0").warm().await;
    away(&app, true);
    app.later(Duration::from_secs(20_000)).await;
    let count = app.get("/products?count").await;
    assert_eq!(
        said(&count),
        (
            200,
            "public, max-age=60, stale-while-revalidate=60",
            "",
            "product-catalog; hit"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_broad_invalidation_makes_the_index_stale_until_the_next_listing() {
    let app = setup("1000").warm().await;
    away(&app, true);
    let selector = json!({"category": "no-such"});
    app.operate(Method::POST, "/cache/invalidations", &selector)
        .await;
    assert_eq!(said(&app.get("/products?count").await), STALE);
    away(&app, false);
    app.passes(2).await;
    none_is_kept_longer_than(&app, 1000).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_the_age_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let app = setup("36000").store(dir.path()).warm().await;
    let (inventory, began) = (app.inventory.clone(), app.clock.now());
    none_is_kept_longer_than(&app, 36000).await;
    app.stop().await;

    inventory.knobs().turn(|faults| faults.away = true);
    for (secs, left) in [(30_000, Some(6000)), (36_001, None)] {
        let app = Setup::of(inventory.clone())
            .set("CACHE_TTL_SECONDS", "36000")
            .store(dir.path())
            .clock(Clock::starting_at(began + Duration::from_secs(secs)))
            .start()
            .await;
        app.catalog().restored().await;
        match left {
            Some(left) => none_is_kept_longer_than(&app, left).await,
            None => all_are_stale(&app).await,
        }
        app.stop().await;
    }
}
