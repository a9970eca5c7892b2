//! Listing passes: at start, again before entries expire, and through whatever the inventory does.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use product_catalog::catalog::{Criteria, GroupQuery, Grouping};
use product_catalog::clock::Clock;
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::product::{Comparison, Field, Operand, Term};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn warm_up_pages_through_the_list_and_then_asks_for_nothing() {
    let app = Setup::products(1234).warm().await;
    assert_eq!(app.inventory.calls_of("list"), 3, "pages of 500");
    for id in ["P-000001", "P-000777", "P-001234"] {
        assert!(app.get(&format!("/products/{id}")).await.is_ok());
    }
    assert_eq!(app.inventory.calls_of("get"), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_during_warm_up_take_the_miss_path() {
    let setup = Setup::products(600);
    setup
        .inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 1000);
    let app = setup.start().await;
    let early = app.get("/products/P-000600").await;
    assert_eq!(
        early.header("cache-status"),
        "product-catalog; fwd=uri-miss; stored; ttl=3599"
    );
    app.passes(1).await;
    assert!(
        app.get("/products/P-000001")
            .await
            .header("cache-status")
            .contains("hit")
    );
}

#[tokio::test(start_paused = true)]
async fn passes_repeat_so_that_nothing_ever_expires() {
    let app = Setup::products(300)
        .set("CACHE_TTL_SECONDS", "600")
        .warm()
        .await;
    for _ in 0..40 {
        app.later(Duration::from_secs(61)).await;
        for id in ["P-000001", "P-000150", "P-000300"] {
            let answer = app.get(&format!("/products/{id}")).await;
            assert_eq!((answer.status(), answer.header("x-cache-stale")), (200, ""));
        }
    }
    assert_eq!(
        app.inventory.calls_of("get"),
        0,
        "a catalogue is revalidated by paging"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pass_brings_what_changed_and_removes_what_is_no_longer_listed() {
    let app = Setup::products(20)
        .set("CACHE_TTL_SECONDS", "600")
        .warm()
        .await;
    let old = app
        .get("/products/P-000002")
        .await
        .header("etag")
        .to_owned();
    app.inventory.remove("P-000001");
    let changed =
        json!({"id": "P-000002", "name": "Changed", "price": {"amount": 1, "currency": "EUR"}});
    app.inventory.put(&changed).unwrap();
    let new = json!({"id": "Z-1", "name": "New", "price": {"amount": 1, "currency": "EUR"}});
    app.inventory.put(&new).unwrap();
    app.passes(2).await;
    assert_eq!(app.get("/products/P-000001").await.status(), 404);
    assert_ne!(app.get("/products/P-000002").await.header("etag"), old);
    let ids = app.get("/products?limit=100").await.ids();
    assert_eq!((ids.len(), ids.last().unwrap().as_str()), (20, "Z-1"));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_is_asked_for_again_until_it_comes() {
    let setup = Setup::products(1100);
    setup.inventory.knobs().turn(|faults| faults.away = true);
    let app = setup.start().await;
    app.later(Duration::from_secs(120)).await;
    assert_eq!(app.catalog().progress().borrow().passes, 0);
    app.inventory.knobs().reset();
    app.passes(1).await;
    assert_eq!(app.catalog().known(), (1100, true));
}

#[tokio::test(start_paused = true)]
async fn html_instead_of_json_loses_nothing() {
    let app = Setup::products(50)
        .set("CACHE_TTL_SECONDS", "600")
        .warm()
        .await;
    app.inventory.knobs().turn(|faults| faults.garbage = true);
    app.later(Duration::from_secs(1200)).await;
    let answer = app.get("/products/P-000001").await;
    assert_eq!(
        (answer.status(), answer.header("x-cache-stale")),
        (200, "true")
    );
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 50);
    app.inventory.knobs().reset();
    app.passes(2).await;
    assert_eq!(
        app.get("/products/P-000001").await.header("x-cache-stale"),
        ""
    );
}

#[tokio::test(start_paused = true)]
async fn broken_products_are_skipped_counted_and_do_not_cost_what_we_hold_of_them() {
    let app = Setup::products(100)
        .set("CACHE_TTL_SECONDS", "600")
        .warm()
        .await;
    app.inventory
        .knobs()
        .turn(|faults| faults.broken_every = 10);
    app.passes(2).await;
    assert_eq!(app.catalog().progress().borrow().skipped, 10);
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 100);
    let fresh = Setup::products(100);
    fresh
        .inventory
        .knobs()
        .turn(|faults| faults.broken_every = 10);
    let app = fresh.warm().await;
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 90);
}

#[tokio::test(start_paused = true)]
async fn an_inventory_that_lists_nothing_is_not_believed_at_once() {
    let app = Setup::products(3)
        .set("CACHE_TTL_SECONDS", "600")
        .warm()
        .await;
    for id in ["P-000001", "P-000002", "P-000003"] {
        app.inventory.remove(id);
    }
    app.passes(2).await;
    assert!(
        app.get("/products/P-000001").await.is_ok(),
        "until it expires"
    );
}

#[tokio::test(start_paused = true)]
async fn the_bytes_held_stay_below_the_cap_and_every_product_still_answers() {
    let setup = Setup::products(48_000).set("CACHE_MAX_SIZE_MB", "8");
    let app = setup.start().await;
    let watch = async {
        while app.catalog().progress().borrow().passes == 0 {
            let stats = app.catalog().stats();
            assert!(stats.bytes <= stats.capacity_bytes, "{stats:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(watch, app.passes(1));
    for number in (1..=48_000).step_by(97) {
        let answer = app.get(&format!("/products/P-{number:06}")).await;
        assert!(answer.is_ok(), "{number}");
        let stats = app.catalog().stats();
        assert!(stats.bytes <= stats.capacity_bytes, "{stats:?}");
    }
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 100);
}

/// A service with a store, and a window that the time a store takes (which paused time does not wait
/// for) does not use up.
fn lasting(inventory: Inventory, dir: &Path) -> Setup {
    Setup::of(inventory)
        .store(dir)
        .set("CACHE_TTL_SECONDS", "36000")
        .set("HTTP_MAX_AGE_SECONDS", "36000")
}

async fn restart(app: TestApp, dir: &Path, down_for: Duration) -> TestApp {
    let now = app.clock.now();
    let inventory = app.inventory.clone();
    app.stop().await;
    let app = lasting(inventory, dir)
        .clock(Clock::starting_at(now + down_for))
        .start()
        .await;
    app.catalog().restored().await;
    app
}

fn max_age(answer: &Answer) -> u64 {
    let policy = answer.header("cache-control");
    let seconds = policy.strip_prefix("public, max-age=").unwrap();
    seconds.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_restart_answers_from_the_store_with_the_true_age_and_no_inventory() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = Inventory::new(Catalogue::generated(300, 7));
    let app = lasting(inventory, dir.path()).warm().await;
    let before = app.get("/products/P-000001").await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let app = restart(app, dir.path(), Duration::from_secs(3600)).await;
    let after = app.get("/products/P-000001").await;
    assert_eq!(after.body(), before.body());
    assert_eq!(after.header("etag"), before.header("etag"));
    let (first, second) = (max_age(&before), max_age(&after));
    assert!(
        second + 3600 <= first,
        "the age includes the time it was down: {first}, {second}"
    );
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 100);
    app.later(Duration::from_secs(15)).await;
    assert_eq!(app.get("/health").await.json()["status"], "Degraded");
    assert_eq!(app.inventory.calls_of("get"), 0);
    app.stop().await;
}

/// Bodies come and go; what queries ask stays in the store.
#[tokio::test(start_paused = true)]
async fn a_restart_finds_products_whose_bodies_are_not_held() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = Inventory::new(Catalogue::generated(3000, 7));
    let small = |setup: Setup| {
        setup
            .set("CACHE_MAX_SIZE_MB", "3")
            .set("CACHE_MAX_ENTRY_KB", "64")
    };
    let app = small(lasting(inventory.clone(), dir.path())).warm().await;
    let entries = app.catalog().stats().entries;
    assert!(entries < 2700, "{entries} of 3000");
    let groups = app
        .catalog()
        .groups(Grouping::Category, &GroupQuery::default())
        .unwrap();
    let kitchen = Criteria {
        text: Some("kettle".into()),
        filter: vec![Term {
            field: Field::Category,
            comparison: Comparison::Equal,
            operand: Operand::Text("kitchen".into()),
        }],
        ..Criteria::default()
    };
    let found = app.catalog().count(&kitchen).await.unwrap();
    assert!(found > 0);
    let now = app.clock.now();
    app.stop().await;
    let lists = inventory.calls_of("list");
    inventory.knobs().turn(|faults| faults.away = true);

    let app = small(lasting(inventory, dir.path()))
        .clock(Clock::starting_at(now))
        .set("WARMUP_ON_START", "false")
        .start()
        .await;
    app.catalog().restored().await;
    assert_eq!(app.catalog().known(), (3000, true));
    assert_eq!(
        app.catalog()
            .groups(Grouping::Category, &GroupQuery::default())
            .unwrap(),
        groups
    );
    assert_eq!(app.catalog().count(&kitchen).await.unwrap(), found);
    assert_eq!(app.inventory.calls_of("list"), lists, "nobody was asked");
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deletions_and_writes_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = Inventory::new(Catalogue::generated(10, 7));
    let app = lasting(inventory, dir.path()).warm().await;
    let body = json!({"name": "Written", "price": {"amount": 1, "currency": "EUR"}});
    app.write(Method::PUT, "/products/P-000001", &body).await;
    app.write(Method::DELETE, "/products/P-000002", &Value::Null)
        .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let app = restart(app, dir.path(), Duration::ZERO).await;
    let written = app.get("/products/P-000001").await;
    assert_eq!(written.json()["name"], "Written");
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 9);
    let deleted = app.get("/products/P-000002").await;
    assert_eq!(deleted.status(), 503, "not known, and nobody to ask");
    app.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_during_which_readers_fail_costs_no_product_its_place() {
    let app = Setup::products(50)
        .set("CACHE_TTL_SECONDS", "600")
        .set("CACHE_GRACE_SECONDS", "60")
        .warm()
        .await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    // Long enough for a pass to be due and for everything to expire, with readers all the time.
    for _ in 0..120 {
        app.later(Duration::from_secs(10)).await;
        app.get("/products/P-000007").await;
    }
    app.inventory.knobs().reset();
    app.passes(2).await;
    assert_eq!(app.catalog().known(), (50, true));
    assert_eq!(app.get("/products?limit=100").await.ids().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn lists_during_a_warm_up_do_not_make_it_run_twice() {
    let setup = Setup::products(1200);
    setup
        .inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 500);
    let app = setup.start().await;
    for _ in 0..5 {
        app.get("/products?limit=1").await;
    }
    app.passes(1).await;
    app.later(Duration::from_secs(60)).await;
    assert_eq!(app.catalog().progress().borrow().passes, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_there_are_no_passes_however_many_lists_are_asked_for() {
    let app = Setup::products(1200)
        .set("CACHE_MAX_SIZE_MB", "0")
        .start()
        .await;
    for _ in 0..5 {
        assert!(app.get("/products?limit=1").await.is_ok());
    }
    app.later(Duration::from_secs(60)).await;
    assert_eq!(app.inventory.calls_of("list"), 5);
    let health = app.get("/health").await.json().to_string();
    assert!(health.contains("switched off"), "{health}");
}

#[tokio::test(start_paused = true)]
async fn an_index_that_does_not_fit_sends_lists_to_the_inventory_and_says_so() {
    let app = Setup::products(12_000)
        .set("CACHE_MAX_SIZE_MB", "1")
        .set("CACHE_MAX_ENTRY_KB", "64")
        .warm()
        .await;
    let (lists, passes) = (app.inventory.calls_of("list"), 1);
    for _ in 0..5 {
        assert_eq!(app.get("/products?limit=2").await.ids().len(), 2);
    }
    app.later(Duration::from_secs(60)).await;
    assert_eq!(app.inventory.calls_of("list"), lists + 5);
    assert_eq!(app.catalog().progress().borrow().passes, passes);
    assert_eq!(app.get("/health").await.json()["status"], "Degraded");
}
