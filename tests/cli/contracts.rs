//! A freshness contract kept by the real binary, measured by a client from the data itself.

use crate::client::Connection;
use crate::process::Launch;
use crate::upstream::Upstream;
use product_catalog::demo::{Catalogue, Inventory};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// What is promised.
const WINDOW: Duration = Duration::from_millis(500);

/// How often the data changes.
const CHANGES: Duration = Duration::from_millis(50);

const PRODUCTS: usize = 20;

#[expect(
    clippy::disallowed_methods,
    reason = "the time that a real client measures"
)]
fn now() -> Instant {
    Instant::now()
}

/// Puts the time since the start into every product's price until told to stop, and tells after how long
/// at worst: a busy machine may be late.
async fn change(inventory: Inventory, began: Instant, stop: Arc<AtomicBool>) -> Duration {
    let (mut last, mut longest) = (now(), CHANGES);
    while !stop.load(Ordering::Relaxed) {
        for number in 1..=PRODUCTS {
            let since = u64::try_from(began.elapsed().as_millis()).unwrap();
            inventory
                .put(&json!({"id": format!("P-{number:06}"), "name": "Clock",
                    "price": {"amount": since, "currency": "EUR"}}))
                .unwrap();
        }
        sleep(CHANGES).await;
        longest = longest.max(last.elapsed());
        last = now();
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_minute_no_answer_is_older_than_half_a_second() {
    let inventory = Inventory::new(Catalogue::generated(PRODUCTS, 1));
    let upstream = Upstream::serving(inventory).await;
    let (began, stop) = (now(), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (inventory, stop) = (upstream.clone(), Arc::clone(&stop));
        TaskTracker::new().spawn(change(inventory, began, stop))
    };
    sleep(2 * CHANGES).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("contracts.yaml");
    let contract = format!(
        "- name: prices\n  key_pattern: 'product:*'\n  fresh_within: {}\n  grace_period: 0\n  on_degrade: ReturnError\n",
        WINDOW.as_millis()
    );
    std::fs::write(&file, contract).unwrap();
    let process = Launch::serve(&upstream)
        .set("CONTRACTS_ENABLED", "true")
        .set("CONTRACTS_FILE", file.to_str().unwrap())
        .warm()
        .await;
    let mut connection = Connection::open(process.http()).await.unwrap();
    let (mut answers, mut oldest, mut failed) = (0_u32, Duration::ZERO, 0_u32);
    let until = now() + Duration::from_secs(60);
    while now() < until {
        let path = format!("/products/P-{:06}", answers as usize % PRODUCTS + 1);
        let asked = began.elapsed();
        let answer = connection.call("GET", &path, &[], "").await.unwrap();
        answers += 1;
        if answer.status != 200 {
            failed += 1;
            continue;
        }
        let stamped = answer.json()["price"]["amount"].as_u64().unwrap();
        // As old as it was when it was asked for: the way to the client does not count.
        oldest = oldest.max(asked.saturating_sub(Duration::from_millis(stamped)));
        sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let longest = writer.await.unwrap();
    assert!(answers > 1000, "{answers}");
    assert_eq!(failed, 0, "of {answers}");
    assert!(
        oldest <= WINDOW + longest,
        "{oldest:?} with changes every {longest:?} at worst, in {answers} answers"
    );
    process.stop().await;
}
