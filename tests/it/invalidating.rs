//! Invalidations: jobs with progress, one refill for all that was ordered, and dry runs that keep their word.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn order(app: &TestApp, body: Value) -> Answer {
    app.operate(Method::POST, "/cache/invalidations", &body)
        .await
}

async fn job(app: &TestApp, location: &str) -> Value {
    let answer = app.internal(Method::GET, location, &[]).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

async fn pending(app: &TestApp) -> f64 {
    let metrics = app.internal(Method::GET, "/metrics", &[]).await;
    let name = "catalog_invalidation_oldest_pending_seconds ";
    let lines = metrics.text().lines();
    let line = lines.filter_map(|line| line.strip_prefix(name)).next();
    line.unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_broad_invalidation_is_a_job_that_tells_how_far_it_is() {
    let app = Setup::products(2000).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 1000);
    // So that somebody notices how slow it is by now.
    app.get("/products/none").await;
    let accepted = order(&app, json!({"prefix": "P-0000"})).await;
    assert_eq!(accepted.status(), 202, "{}", accepted.text());
    let location = accepted.header("location").to_owned();
    let begun = accepted.json();
    assert_eq!(
        location,
        format!("/cache/invalidations/{}", begun["id"].as_str().unwrap())
    );
    assert_eq!(begun["state"], "running");
    assert_eq!(begun["selector"], json!({"prefix": "P-0000"}));
    assert_eq!(
        (&begun["mode"], &begun["products"]),
        (&json!("soft"), &json!(99))
    );
    assert!(begun["bytes"].as_u64().unwrap() > 99 * 200);
    // Four pages, and the number of products.
    assert_eq!(begun["refillCalls"], 5);

    let mut ratios = vec![];
    while job(&app, &location).await["state"] == "running" {
        let now = job(&app, &location).await;
        ratios.push(now["refill"]["ratio"].as_f64().unwrap());
        assert!(pending(&app).await <= now["estimatedSeconds"].as_f64().unwrap());
        app.later(Duration::from_millis(500)).await;
    }
    assert!(ratios.is_sorted() && ratios.len() > 5, "{ratios:?}");
    assert!(
        ratios.iter().any(|ratio| (0.2..0.9).contains(ratio)),
        "{ratios:?}"
    );
    let done = job(&app, &location).await;
    assert_eq!(done["state"], "done");
    assert_eq!(
        done["refill"],
        json!({"confirmed": 2000, "total": 2000, "ratio": 1.0})
    );
    assert!(done["seconds"].as_f64().unwrap() >= 5.0, "{done}");
    assert!(done["endedAt"].as_str() > done["orderedAt"].as_str());
    assert!(pending(&app).await.abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn what_was_ordered_together_is_refilled_by_one_pass() {
    let app = Setup::products(1200).warm().await;
    let lists = app.inventory.calls_of("list");
    app.inventory.knobs().turn(|faults| faults.latency_ms = 100);
    for body in [
        json!({"brand": "Norvik"}),
        json!({"category": "kitchen", "mode": "hard"}),
        json!({"all": true}),
    ] {
        assert_eq!(order(&app, body).await.status(), 202);
        app.later(Duration::from_millis(50)).await;
    }
    app.later(Duration::from_secs(60)).await;
    assert_eq!(app.inventory.calls_of("list") - lists, 3, "pages of 500");
    assert_eq!(app.catalog().progress().borrow().passes, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_ordered_during_a_refill_is_refilled_by_the_next_and_supersedes_what_it_covers() {
    let app = Setup::products(1200).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 1000);
    let first = order(&app, json!({"brand": "Norvik"})).await;
    app.later(Duration::from_millis(2500)).await;
    let again = order(&app, json!({"brand": "Norvik"})).await;
    let other = order(&app, json!({"prefix": "P-0001"})).await;
    let state = async |answer: &Answer| job(&app, answer.header("location")).await["state"].clone();
    assert_eq!(state(&first).await, "superseded");
    assert_eq!(
        job(&app, first.header("location")).await["supersededBy"],
        again.json()["id"]
    );
    app.passes(2).await;
    assert_eq!(
        state(&again).await,
        "running",
        "the pass under way began before it"
    );
    assert_eq!(
        job(&app, again.header("location")).await["refill"]["confirmed"],
        0
    );
    app.passes(3).await;
    assert_eq!(
        (state(&again).await, state(&other).await),
        (json!("done"), json!("done"))
    );
    app.later(Duration::from_secs(60)).await;
    assert_eq!(app.catalog().progress().borrow().passes, 3);

    let listed = app.internal(Method::GET, "/cache/invalidations", &[]).await;
    let listed = listed.json();
    let ids: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["id"])
        .collect();
    assert_eq!(
        ids,
        [
            &other.json()["id"],
            &again.json()["id"],
            &first.json()["id"]
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refill_that_hangs_shows_as_what_has_been_pending_for_long_and_says_why() {
    let app = Setup::products(600).warm().await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let first = order(&app, json!({"all": true})).await;
    app.later(Duration::from_secs(300)).await;
    let now = job(&app, first.header("location")).await;
    assert_eq!(now["state"], "running");
    assert!(
        now["trouble"].as_str().unwrap().contains("inventory"),
        "{now}"
    );
    // Ordering it again does not hide how long that has been so.
    order(&app, json!({"all": true})).await;
    assert!(pending(&app).await >= 300.0);
    let stale = app.get("/products/P-000001").await;
    assert_eq!(
        (stale.status(), stale.header("x-cache-stale")),
        (200, "true")
    );
    app.inventory.knobs().reset();
    app.later(Duration::from_secs(120)).await;
    assert!(pending(&app).await.abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_refill_by_an_inventory_that_lists_nothing_has_failed() {
    let app = Setup::products(2).warm().await;
    app.inventory.remove("P-000001");
    app.inventory.remove("P-000002");
    let accepted = order(&app, json!({"all": true})).await;
    app.passes(2).await;
    let failed = job(&app, accepted.header("location")).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["reason"], "the inventory lists no products at all");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_names_a_time_within_which_everything_is_fresh_again() {
    for latency_ms in [0, 70, 900, 2500] {
        let app = Setup::products(3000).warm().await;
        app.inventory
            .knobs()
            .turn(|faults| faults.latency_ms = latency_ms);
        // Somebody notices how slow it is by now, and a pass may be on its way.
        app.get("/products/none").await;
        order(&app, json!({"brand": "Norvik"})).await;
        app.later(Duration::from_millis(300)).await;
        let dry = order(&app, json!({"all": true, "dryRun": true})).await;
        let named = dry.json()["estimatedSeconds"].as_u64().unwrap();
        assert!(
            named > 0 && named < 10 + latency_ms / 40,
            "{latency_ms}: {named}"
        );
        assert_eq!(dry.json()["refillCalls"], 7);
        order(&app, json!({"all": true})).await;
        app.later(Duration::from_secs(named)).await;
        for id in ["P-000001", "P-001500", "P-003000"] {
            let answer = app.get(&format!("/products/{id}")).await;
            assert!(
                answer.header("cache-status").contains("; hit; ttl"),
                "{latency_ms}: {named}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_knows_is_a_404_and_without_a_cache_there_is_nothing_to_wait_for() {
    let app = Setup::products(3)
        .set("CACHE_MAX_SIZE_MB", "0")
        .start()
        .await;
    for id in ["x", "6f1f1c0e-3c5b-4b68-9c0f-3df28a1d7c11", "%00"] {
        let answer = app
            .internal(Method::GET, &format!("/cache/invalidations/{id}"), &[])
            .await;
        assert_eq!(
            (answer.status(), answer.codes()),
            (404, vec!["INVALIDATION_NOT_FOUND".to_owned()])
        );
    }
    let accepted = order(&app, json!({"all": true})).await;
    assert_eq!(accepted.status(), 202);
    assert_eq!(accepted.json()["state"], "done");
    assert_eq!(accepted.json()["estimatedSeconds"], 0);
}

/// Lists take long, so that a refill does; single products can be had at once.
fn slow_lists(app: &TestApp) {
    app.inventory.knobs().turn(|faults| {
        faults.latency_ms = 2500;
        faults.operations = vec!["list".to_owned(), "count".to_owned()];
    });
}

async fn is_stale(app: &TestApp, id: &str) -> bool {
    let answer = app.get(&format!("/products/{id}")).await;
    assert_eq!(answer.status(), 200, "{id}: {}", answer.text());
    answer.header("x-cache-stale") == "true"
}

fn two_shelves() -> product_catalog::demo::Inventory {
    let inventory =
        product_catalog::demo::Inventory::new(product_catalog::demo::Catalogue::generated(0, 7));
    for (id, category, brand) in [
        ("A-1", "kitchen", "x"),
        ("A-2", "garden", "x"),
        ("B-1", "kitchen", "y"),
    ] {
        let price = json!({"amount": 1, "currency": "EUR"});
        let product =
            json!({"id": id, "name": id, "price": price, "category": category, "brand": brand});
        inventory.put(&product).unwrap();
    }
    inventory
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_is_stale_at_once_and_what_is_loaded_later_is_not() {
    for (selector, meant) in [
        (json!({"category": "kitchen"}), ["A-1", "B-1"].as_slice()),
        (json!({"brand": "x"}), &["A-1", "A-2"]),
        (json!({"prefix": "B-"}), &["B-1"]),
        (json!({"all": true}), &["A-1", "A-2", "B-1"]),
        (json!({"category": "none"}), &[]),
    ] {
        let app = Setup::of(two_shelves()).warm().await;
        slow_lists(&app);
        order(&app, selector.clone()).await;
        for id in ["A-1", "A-2", "B-1"] {
            assert_eq!(
                is_stale(&app, id).await,
                meant.contains(&id),
                "{selector} {id}"
            );
        }
        app.later(Duration::from_secs(1)).await;
        for id in meant {
            let headers = [
                ("x-api-key", crate::harness::WRITE_KEY),
                ("cache-control", "no-cache"),
            ];
            let newer = app.get_with(&format!("/products/{id}"), &headers).await;
            assert_eq!((newer.status(), newer.header("x-cache-stale")), (200, ""));
            assert!(!is_stale(&app, id).await, "{selector} {id}");
        }
        assert_eq!(app.catalog().progress().borrow().passes, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_counts_for_what_comes_back_from_disk() {
    for mode in ["soft", "hard"] {
        let dir = tempfile::tempdir().unwrap();
        let inventory = two_shelves();
        let lasting = |clock| {
            Setup::of(inventory.clone())
                .store(dir.path())
                .clock(clock)
                .set("CACHE_TTL_SECONDS", "36000")
        };
        let app = lasting(product_catalog::clock::Clock::start()).warm().await;
        app.inventory.knobs().turn(|faults| faults.away = true);
        let accepted = order(&app, json!({"category": "kitchen", "mode": mode})).await;
        assert_eq!(accepted.json()["products"], 2);
        let now = app.clock.now();
        app.stop().await;
        let app = lasting(product_catalog::clock::Clock::starting_at(now))
            .start()
            .await;
        app.catalog().restored().await;
        assert!(!is_stale(&app, "A-2").await);
        for id in ["A-1", "B-1"] {
            match mode {
                "soft" => assert!(is_stale(&app, id).await, "{id}"),
                _ => assert_eq!(
                    app.get(&format!("/products/{id}")).await.status(),
                    503,
                    "{id}"
                ),
            }
        }
        app.inventory.knobs().reset();
        app.passes(1).await;
        for id in ["A-1", "A-2", "B-1"] {
            assert!(!is_stale(&app, id).await, "{id}");
        }
        app.stop().await;
    }
}
