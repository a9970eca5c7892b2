//! Bad input: a clear message, nothing lost, no panic.

use crate::client;
use crate::process::{Launch, Process};
use crate::upstream::{Upstream, product};
use std::fs;

/// Waits for a warning or error that contains `text`, and returns it.
async fn complained(service: &Process, text: &str) -> serde_json::Value {
    service
        .logged(text, |line| {
            matches!(line["Level"].as_str(), Some("WARN" | "ERROR")).then(|| line.clone())
        })
        .await
}

async fn stopped_without_a_panic(service: Process) {
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    assert!(!ended.all().contains("panicked"), "{}", ended.all());
}

#[tokio::test]
async fn a_catalogue_file_that_can_not_be_used_is_named_with_the_place_in_it() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        fs::write(path(name), text).unwrap();
        path(name)
    };
    let good = r#"{"id":"a","name":"A","price":{"amount":1,"currency":"EUR"}}"#;
    let broken = format!("[{good},\n{{\"id\":\"b\",}}]");
    let second = format!("[{good},{{\"id\":\"b\",\"name\":\"B\"}}]");
    let lines = format!("{good}\n{{\"id\":\"b\",\"name\":\"B\"}}\n");
    let twice = format!("{good}\n{good}\n");
    fs::write(path("latin-1.json"), b"[\"\xe9\"]").unwrap();
    for (file, complaints) in [
        (path("none.json"), &["can not be read", "No such file"][..]),
        (
            place.path().to_str().unwrap().to_owned(),
            &["can not be read"],
        ),
        (path("latin-1.json"), &["can not be read", "UTF-8"]),
        (write("empty.json", ""), &["products"]),
        (write("no-items.json", "[]"), &["no products"]),
        (write("number.json", "7"), &["products"]),
        (write("broken.json", &broken), &["not JSON at line 2"]),
        (write("second.json", &second), &["1", "price"]),
        (write("lines.ndjson", &lines), &["line 2", "price"]),
        (write("twice.ndjson", &twice), &["line 2", "line 1", "`a`"]),
    ] {
        let ended = Launch::new(&["demo", "--catalogue", &file]).run().await;
        assert_eq!(ended.code(), Some(1), "{file}: {}", ended.all());
        assert!(ended.stderr.contains(&file), "{}", ended.stderr);
        for complaint in complaints {
            assert!(
                ended.stderr.contains(complaint),
                "{complaint}: {}",
                ended.stderr
            );
        }
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_real_catalogue_in_the_common_shop_shape_is_served() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("shop.json");
    let item = |id: u32| format!(r#"{{"id":{id},"title":"No {id}","price":9.99,"stock":{id}}}"#);
    let items: Vec<_> = (1..=150).map(item).collect();
    fs::write(&file, format!(r#"{{"products":[{}]}}"#, items.join(","))).unwrap();
    let launch = Launch::new(&["demo", "--catalogue", file.to_str().unwrap()]);
    let demo = launch.warm().await;
    assert_eq!(client::ids(demo.http()).await.len(), 150);
    let one = demo.get("/products/77").await.json();
    assert_eq!(one["name"], "No 77");
    assert_eq!(
        one["price"],
        serde_json::json!({"amount": 999, "currency": "USD"})
    );
    assert_eq!(one["attributes"]["stock"], 77);
    stopped_without_a_panic(demo).await;
}

#[tokio::test]
async fn an_inventory_that_answers_html_loses_nothing_and_is_named_in_the_log() {
    let upstream = Upstream::of(60).await;
    let store = tempfile::tempdir().unwrap();
    let launch = || {
        Launch::serve(&upstream)
            .store(store.path())
            .set("HEALTH_PROBE_SECONDS", "1")
    };
    let service = launch().warm().await;
    let ids = client::ids(service.http()).await;
    assert_eq!(service.stop().await.code(), Some(0));

    upstream.knobs().turn(|faults| faults.garbage = true);
    let service = launch().listening().await;
    let line = complained(&service, "inventory").await;
    assert!(!line.to_string().contains("<h1>"), "{line}");
    assert_eq!(service.health("Degraded").await.status, 200);
    assert_eq!(client::ids(service.http()).await, ids);
    for id in &ids {
        assert_eq!(service.get(&format!("/products/{id}")).await.status, 200);
    }
    let answer = service.get("/products/not-known-here").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("<h1>"));

    upstream.knobs().reset();
    service.warmed().await;
    service.health("Healthy").await;
    assert_eq!(client::ids(service.http()).await, ids);
    stopped_without_a_panic(service).await;
}

#[tokio::test]
async fn broken_products_in_a_page_are_skipped_named_and_counted_and_the_others_served() {
    let upstream = Upstream::of(0).await;
    for number in 1..=99 {
        let id = format!("good-{number:02}");
        upstream.put(&product(&id, "Good")).unwrap();
    }
    let mut broken = product("good-50-broken", "Broken");
    broken.as_object_mut().unwrap().remove("price");
    upstream.put(&broken).unwrap();
    let service = Launch::serve(&upstream).warm().await;
    let line = complained(&service, "Skipped 1 products").await;
    assert_eq!(line["first"], "good-50-broken: member `price` is missing");
    let listed = service.logged("Listed 99 products", |line| line["skipped"].as_u64());
    assert_eq!(listed.await, 1);
    assert_eq!(client::ids(service.http()).await.len(), 99);
    let answer = service.get("/products/good-50-broken").await;
    assert_eq!(answer.status, 503, "it exists, and can not be had");
    stopped_without_a_panic(service).await;
}

#[tokio::test]
async fn a_product_that_breaks_later_is_kept_as_it_was() {
    let upstream = Upstream::of(100).await;
    let store = tempfile::tempdir().unwrap();
    let launch = || Launch::serve(&upstream).store(store.path());
    let service = launch().warm().await;
    let ids = client::ids(service.http()).await;
    assert_eq!(service.stop().await.code(), Some(0));
    upstream.knobs().turn(|faults| faults.broken_every = 10);
    let service = launch().warm().await;
    let skipped = service.logged("Listed 90 products", |line| {
        Some((line["skipped"].as_u64()?, line["removed"].as_u64()?))
    });
    assert_eq!(skipped.await, (10, 0));
    assert_eq!(client::ids(service.http()).await, ids);
    for id in &ids {
        assert_eq!(service.get(&format!("/products/{id}")).await.status, 200);
    }
    stopped_without_a_panic(service).await;
}

#[tokio::test]
async fn truncated_answers_are_failures_and_never_products() {
    let upstream = Upstream::of(30).await;
    upstream.put(&product("whole", "Whole")).unwrap();
    upstream.knobs().turn(|faults| faults.truncate = true);
    let service = Launch::serve(&upstream).listening().await;
    complained(&service, "inventory").await;
    assert_eq!(service.get("/products/whole").await.status, 503);
    upstream.knobs().reset();
    service.warmed().await;
    assert_eq!(client::ids(service.http()).await.len(), 31);
    stopped_without_a_panic(service).await;
}
