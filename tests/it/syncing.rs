//! Keeping up between passes: what changed is asked for by its date, every `SYNC_INTERVAL_SECONDS`.

use crate::harness::{Setup, TestApp};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use product_catalog::upstream::transport::in_process;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn syncing() -> Setup {
    Setup::products(30)
        .set("SYNC_INTERVAL_SECONDS", "10")
        .set("CACHE_TTL_SECONDS", "86400")
}

/// Somebody else changes a product in the inventory, now.
fn change(app: &TestApp, id: &str, name: &str) {
    let now =
        jiff::Timestamp::from_millisecond(app.clock.now().as_millis().try_into().unwrap()).unwrap();
    let price = json!({"amount": 1, "currency": "EUR"});
    let product = json!({"id": id, "name": name, "price": price, "updatedAt": now.to_string()});
    app.inventory.put(&product).unwrap();
}

async fn name_of(app: &TestApp, id: &str) -> String {
    let answer = app.get(&format!("/products/{id}")).await;
    answer.json()["name"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_changed_is_here_an_interval_later_without_a_pass_or_a_load() {
    let app = syncing().warm().await;
    for round in ["one", "two", "three"] {
        app.later(Duration::from_secs(61)).await;
        change(&app, "P-000007", round);
        change(&app, "Z-1", round);
        app.later(Duration::from_secs(12)).await;
        assert_eq!(name_of(&app, "P-000007").await, round);
        assert_eq!(name_of(&app, "Z-1").await, round);
    }
    assert_eq!(app.inventory.calls_of("get"), 0);
    assert_eq!(app.catalog().progress().borrow().passes, 1);
    assert_eq!(app.catalog().known(), (31, true));
}

#[tokio::test(start_paused = true)]
async fn without_an_interval_nobody_asks() {
    let app = syncing().set("SYNC_INTERVAL_SECONDS", "0").warm().await;
    let lists = app.inventory.calls_of("list");
    app.later(Duration::from_secs(600)).await;
    assert_eq!(app.inventory.calls_of("list"), lists);
}

#[tokio::test(start_paused = true)]
async fn a_sync_removes_nothing_and_vouches_for_no_more_than_it_lists() {
    let app = syncing().set("CACHE_TTL_SECONDS", "1000").warm().await;
    app.inventory.remove("P-000001");
    app.later(Duration::from_secs(300)).await;
    assert!(app.get("/products/P-000001").await.is_ok());
    let ttl = |answer: &crate::harness::Answer| {
        let status = answer.header("cache-status");
        let ttl = status.split("ttl=").nth(1).unwrap();
        ttl.parse::<u64>().unwrap()
    };
    let unchanged = app.get("/products/P-000002").await;
    assert!(ttl(&unchanged) <= 700, "its age is that of the pass");
    change(&app, "P-000002", "Changed");
    app.later(Duration::from_secs(11)).await;
    assert!(ttl(&app.get("/products/P-000002").await) > 850);
}

#[tokio::test(start_paused = true)]
async fn what_changed_during_an_outage_is_asked_for_when_it_ends() {
    let app = syncing().warm().await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    app.later(Duration::from_secs(15)).await;
    change(&app, "P-000003", "Changed in the dark");
    app.later(Duration::from_secs(300)).await;
    app.inventory.knobs().reset();
    app.later(Duration::from_secs(60)).await;
    assert_eq!(name_of(&app, "P-000003").await, "Changed in the dark");
}

#[tokio::test(start_paused = true)]
async fn many_changes_come_in_pages() {
    let app = syncing().set("UPSTREAM_PAGE_SIZE", "10").warm().await;
    app.later(Duration::from_secs(61)).await;
    for number in 1..=25 {
        change(&app, &format!("P-{number:06}"), "Changed");
    }
    let lists = app.inventory.calls_of("list");
    app.later(Duration::from_secs(11)).await;
    assert_eq!(app.inventory.calls_of("list") - lists, 3);
    assert_eq!(name_of(&app, "P-000025").await, "Changed");
}

/// A service whose inventory does with lists by date what `instead` says.
async fn with_lists_by_date(
    instead: impl Fn(Request) -> Result<Request, StatusCode> + Clone + Send + Sync + 'static,
) -> TestApp {
    let setup = syncing();
    let router = setup.inventory.router().layer(from_fn(
        move |request: Request,
              next: Next|
              -> std::pin::Pin<Box<dyn Future<Output = Response> + Send>> {
            let by_date = request
                .uri()
                .query()
                .is_some_and(|q| q.contains("updatedAt"));
            let request = match by_date {
                true => instead(request),
                false => Ok(request),
            };
            Box::pin(async move {
                match request {
                    Ok(request) => next.run(request).await,
                    Err(status) => status.into_response(),
                }
            })
        },
    ));
    let app = setup.start_through(in_process(router)).await;
    app.passes(1).await;
    app
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_refuses_lists_by_date_is_asked_less_and_less_often() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let app = with_lists_by_date(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Err(StatusCode::BAD_REQUEST)
    })
    .await;
    app.later(Duration::from_secs(3600)).await;
    let asked = asked.load(Ordering::Relaxed);
    assert!((5..=10).contains(&asked), "10, 20, 40 … seconds: {asked}");
    let unheeded = r#"catalog_syncs_total{result="unheeded"}"#;
    let metrics = app.internal(http::Method::GET, "/metrics", &[]).await;
    assert!(metrics.text().contains(unheeded));
    assert!(app.get("/products/P-000001").await.is_ok());
    assert_eq!(app.get("/health").await.json()["status"], "Healthy");
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_lists_everything_whatever_the_date_is_not_paged_through() {
    let app = with_lists_by_date(|mut request| {
        *request.uri_mut() = "/products?limit=10".parse().unwrap();
        Ok(request)
    })
    .await;
    let lists = app.inventory.calls_of("list");
    app.later(Duration::from_secs(3600)).await;
    let asked = app.inventory.calls_of("list") - lists;
    // 10, 20, 40 … seconds: not 360 times, and no second page.
    assert!((5..=10).contains(&asked), "{asked}");
    assert!(app.get("/products/P-000001").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_a_pass_what_changes_after_the_start_is_synced_all_the_same() {
    let app = syncing().cold().await;
    app.later(Duration::from_secs(30)).await;
    change(&app, "P-000005", "Changed");
    app.later(Duration::from_secs(11)).await;
    assert_eq!(name_of(&app, "P-000005").await, "Changed");
    assert_eq!(app.inventory.calls_of("get"), 0);
}
