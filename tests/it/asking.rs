//! What callers may ask of the cache: `Cache-Control` on requests, within a budget, and `Cache-Status`.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use crate::issuer::{Published, Signer, claims};
use serde_json::json;
use std::time::Duration;

const PRODUCT: &str = "/products/P-000001";

/// A read with a credential.
async fn ask(app: &TestApp, path: &str, cache_control: &str) -> Answer {
    let headers = [("x-api-key", WRITE_KEY), ("cache-control", cache_control)];
    app.get_with(path, &headers).await
}

fn status(answer: &Answer) -> &str {
    let status = answer.header("cache-status");
    status.strip_prefix("product-catalog; ").unwrap_or(status)
}

fn change(app: &TestApp, name: &str) {
    let price = json!({"amount": 1, "currency": "EUR"});
    let product = json!({"id": "P-000001", "name": name, "price": price});
    app.inventory.put(&product).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_gets_a_product_no_older_than_it_asks_for() {
    let app = Setup::products(3).warm().await;
    app.later(Duration::from_secs(10)).await;
    change(&app, "Changed");
    let recent = ask(&app, PRODUCT, "max-age=10").await;
    assert!(status(&recent).starts_with("hit; ttl=3"));
    assert_ne!(recent.json()["name"], "Changed");
    let forced = ask(&app, PRODUCT, "max-age=2").await;
    assert_eq!(forced.json()["name"], "Changed");
    assert_eq!(status(&forced), "fwd=request; stored; ttl=3600");
    assert_eq!(app.inventory.calls_of("get"), 1);
    // Everybody has it now.
    let after = app.get(PRODUCT).await;
    assert_eq!(
        (after.json()["name"].as_str(), status(&after)),
        (Some("Changed"), "hit; ttl=3600")
    );
    app.later(Duration::from_secs(1)).await;
    assert_eq!(
        status(&ask(&app, PRODUCT, "no-cache").await),
        "fwd=request; stored; ttl=3600"
    );
    let selected = ask(&app, "/products/P-000002?select=id", "no-cache").await;
    assert_eq!(status(&selected), "fwd=request; stored; ttl=3600");
    assert_eq!(app.inventory.calls_of("get"), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_good_credential_nothing_can_be_asked_for() {
    let app = Setup::products(3).warm().await;
    app.later(Duration::from_secs(10)).await;
    for headers in [
        vec![("cache-control", "no-cache")],
        vec![("cache-control", "max-age=0, only-if-cached")],
        vec![("cache-control", "no-cache"), ("x-api-key", "a guess")],
        vec![
            ("cache-control", "no-cache"),
            ("authorization", "Bearer x.y.z"),
        ],
        vec![("pragma", "no-cache"), ("x-api-key", WRITE_KEY)],
    ] {
        let answer = app.get_with(PRODUCT, &headers).await;
        assert!(status(&answer).starts_with("hit; ttl="), "{headers:?}");
    }
    assert_eq!(
        app.get_with("/products/none", &[("cache-control", "only-if-cached")])
            .await
            .status(),
        404
    );
    assert_eq!(app.inventory.calls_of("get"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bearer_token_is_as_good_as_a_key() {
    let signer = Signer::new("ES256", "one");
    let published = Published::of(&[&signer]);
    let app = Setup::products(3).tokens(&published).warm().await;
    app.later(Duration::from_secs(10)).await;
    let token = format!(
        "Bearer {}",
        signer.token(&claims(app.clock.now().as_secs(), ""))
    );
    let headers = [
        ("authorization", token.as_str()),
        ("cache-control", "max-age=1"),
    ];
    let answer = app.get_with(PRODUCT, &headers).await;
    assert_eq!(status(&answer), "fwd=request; stored; ttl=3600");
}

#[tokio::test(start_paused = true)]
async fn beyond_its_budget_a_caller_is_answered_like_anybody_else() {
    let app = Setup::products(9)
        .set("REVALIDATION_BUDGET_PER_SECOND", "3")
        .warm()
        .await;
    app.later(Duration::from_secs(10)).await;
    let mut statuses = Vec::new();
    for number in 1..=5 {
        let answer = ask(&app, &format!("/products/P-00000{number}"), "max-age=5").await;
        assert!(answer.is_ok());
        statuses.push(status(&answer).to_owned());
    }
    let forced = "fwd=request; stored; ttl=3600";
    assert_eq!(statuses[..3], [forced, forced, forced]);
    assert!(statuses[3].starts_with("hit; ttl=3") && statuses[3].ends_with("; detail=budget"));
    assert_eq!(app.inventory.calls_of("get"), 3);
    // What needs no call costs nothing, and a third of a second later there is one more.
    for _ in 0..10 {
        assert!(status(&ask(&app, PRODUCT, "max-age=5").await).starts_with("hit; ttl=3600"));
        assert_eq!(ask(&app, PRODUCT, "only-if-cached").await.status(), 200);
    }
    app.later(Duration::from_millis(334)).await;
    assert_eq!(
        status(&ask(&app, "/products/P-000006", "no-cache").await),
        forced
    );
    assert!(status(&ask(&app, "/products/P-000007", "no-cache").await).ends_with("budget"));
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_requests_are_not_listened_to() {
    let app = Setup::products(3)
        .set("REVALIDATION_BUDGET_PER_SECOND", "0")
        .warm()
        .await;
    app.later(Duration::from_secs(10)).await;
    assert!(status(&ask(&app, PRODUCT, "no-cache").await).starts_with("hit; ttl="));
    assert_eq!(
        ask(&app, "/products/none", "only-if-cached").await.status(),
        404
    );
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_never_asks_the_inventory() {
    let app = Setup::products(3)
        .set("CACHE_TTL_SECONDS", "100")
        .cold()
        .await;
    let absent = ask(&app, PRODUCT, "only-if-cached").await;
    assert_eq!(absent.status(), 504, "{}", absent.text());
    assert_eq!(absent.header("cache-control"), "no-store");
    app.get(PRODUCT).await;
    app.later(Duration::from_secs(50)).await;
    assert_eq!(
        status(&ask(&app, PRODUCT, "only-if-cached").await),
        "hit; ttl=50"
    );
    assert_eq!(
        ask(&app, PRODUCT, "only-if-cached, max-age=20")
            .await
            .status(),
        504
    );
    app.later(Duration::from_secs(51)).await;
    let stale = ask(&app, PRODUCT, "only-if-cached").await;
    assert_eq!(
        (stale.status(), stale.header("x-cache-stale")),
        (200, "true")
    );
    assert_eq!(
        app.inventory.calls_of("get"),
        1,
        "not even behind the reader's back"
    );
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_what_can_not_be_had_is_told_so_and_others_are_served() {
    let app = Setup::products(3).warm().await;
    app.later(Duration::from_secs(10)).await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    assert_eq!(ask(&app, PRODUCT, "max-age=2").await.status(), 503);
    assert!(status(&app.get(PRODUCT).await).starts_with("hit; ttl="));
    assert_eq!(ask(&app, PRODUCT, "max-age=600").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_as_absent_can_be_asked_for_anew() {
    let app = Setup::products(1).cold().await;
    assert_eq!(ask(&app, "/products/N-1", "max-age=5").await.status(), 404);
    let price = json!({"amount": 1, "currency": "EUR"});
    app.inventory
        .put(&json!({"id": "N-1", "name": "New", "price": price}))
        .unwrap();
    assert_eq!(app.get("/products/N-1").await.status(), 404);
    assert_eq!(ask(&app, "/products/N-1", "no-cache").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_malformed_is_ignored() {
    let app = Setup::products(1).warm().await;
    app.later(Duration::from_secs(10)).await;
    for value in [
        "max-age",
        "max-age=x",
        "max-age=-1",
        "no-cache=1",
        "\"",
        ",,,",
        "only-if-cached=\"\"",
    ] {
        let answer = ask(&app, PRODUCT, value).await;
        assert!(status(&answer).starts_with("hit; ttl="), "{value}");
    }
    assert_eq!(app.inventory.calls_of("get"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_why_the_inventory_was_asked_and_who_shared_the_answer() {
    let app = Setup::products(9)
        .set("CACHE_TTL_SECONDS", "100")
        .set("CACHE_STALE_WHILE_REVALIDATE_SECONDS", "0")
        .cold()
        .await;
    app.inventory.knobs().turn(|faults| faults.latency_ms = 100);
    let both = tokio::join!(app.get(PRODUCT), app.get(PRODUCT));
    assert_eq!(status(&both.0), "fwd=uri-miss; stored; ttl=99");
    assert_eq!(status(&both.1), "fwd=uri-miss; stored; collapsed; ttl=99");
    app.later(Duration::from_secs(120)).await;
    assert_eq!(status(&app.get(PRODUCT).await), "fwd=stale; stored; ttl=99");

    let without = Setup::products(1)
        .set("CACHE_MAX_SIZE_MB", "0")
        .start()
        .await;
    assert_eq!(status(&without.get(PRODUCT).await), "fwd=bypass");
}
