//! `serve`: warm from the inventory, and warm from the store when the inventory is gone.

use crate::client::{self, Connection};
use crate::process::{Launch, Process};
use crate::upstream::Upstream;
use product_catalog::clock::Clock;
use std::time::Duration;

const GETS: &str = "operation=\"get\"";

/// All answers of products, by id.
async fn bodies(service: &Process, ids: &[String]) -> Vec<String> {
    let mut connection = Connection::open(service.http()).await.unwrap();
    let mut bodies = Vec::new();
    for id in ids {
        let answer = connection.get(&format!("/products/{id}")).await.unwrap();
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        assert!(!answer.is_stale(), "{id}");
        bodies.push(answer.text());
    }
    bodies
}

#[tokio::test]
async fn a_service_warms_itself_over_real_http_and_answers_from_memory() {
    let upstream = Upstream::of(1_200).await;
    let service = Launch::serve(&upstream).warm().await;
    let listed = service.logged("Listed 1200 products", |line| line["skipped"].as_u64());
    assert_eq!(listed.await, 0);
    assert!(upstream.calls_of("list") >= 3, "pages of 500");
    service.health("Healthy").await;
    let ids = client::ids(service.http()).await;
    assert_eq!(ids.len(), 1_200);
    assert_eq!(bodies(&service, &ids).await.len(), 1_200);
    assert_eq!(upstream.calls_of("get"), 0);
    assert_eq!(service.stats().await["requests"]["hit"], 1_200);
}

#[tokio::test]
async fn without_its_inventory_a_restarted_service_answers_everything_from_the_store() {
    let upstream = Upstream::of(300).await;
    let store = tempfile::tempdir().unwrap();
    // A window below the longest `max-age`, so that what remains of it shows.
    let launch = || {
        Launch::serve(&upstream)
            .store(store.path())
            .set("CACHE_TTL_SECONDS", "200")
            .set("CACHE_STALE_WHILE_REVALIDATE_SECONDS", "0")
    };
    let clock = Clock::start();
    let first = launch().warm().await;
    let ids = client::ids(first.http()).await;
    let before = bodies(&first, &ids).await;
    let one = format!("/products/{}", ids[0]);
    let answer = first.get(&one).await;
    let (then, left) = (clock.now(), answer.max_age().unwrap());
    let etag = answer.header("etag").unwrap().to_owned();
    assert!((175..200).contains(&left), "{left}");
    assert_eq!(first.stop().await.code(), Some(0));

    upstream.go_away().await;
    // The downtime itself, which has to count as age.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = launch().listening().await;
    let restored = second
        .logged("Restored", |line| line["rows"].as_u64())
        .await;
    assert_eq!(restored, 300);
    let answer = second.get(&one).await;
    let (passed, shrunk) = (clock.now().since(then), left - answer.max_age().unwrap());
    assert!(
        shrunk >= 3 && Duration::from_secs(shrunk) <= passed + Duration::from_secs(1),
        "{shrunk} s after {passed:?}"
    );
    assert_eq!(
        answer.header("etag"),
        Some(&*etag),
        "the same over restarts"
    );
    assert_eq!(client::ids(second.http()).await, ids);
    assert_eq!(bodies(&second, &ids).await, before);
    assert_eq!(second.health("Degraded").await.status, 200);
    assert_eq!(second.get("/health/ready").await.status, 200);
    let requests = "catalog_upstream_requests_total";
    assert!(second.metric(requests, "").await > 0.0, "it looks for it");
    assert!(
        second.metric(requests, GETS).await == 0.0,
        "never for a read"
    );

    let _upstream = upstream.come_back().await;
    second.warmed().await;
    second.health("Healthy").await;
}

#[tokio::test]
async fn without_inventory_and_without_store_a_service_starts_and_waits_for_either() {
    let upstream = Upstream::of(5).await;
    upstream.go_away().await;
    let service = Launch::serve(&upstream).listening().await;
    let health = service.health("Unhealthy").await;
    assert_eq!(
        (health.status, health.header("retry-after")),
        (503, Some("30"))
    );
    assert_eq!(service.get("/health/ready").await.status, 503);
    assert_eq!(service.get("/health/live").await.status, 200);
    let answer = service.get("/products/p-1").await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    let _upstream = upstream.come_back().await;
    service.warmed().await;
    service.health("Healthy").await;
    assert_eq!(client::ids(service.http()).await.len(), 5);
}
