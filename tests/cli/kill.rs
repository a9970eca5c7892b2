//! kill -9 in the middle of writes: what was flushed is there, and nothing is trusted too early.

use crate::client::{self, Connection};
use crate::process::{Launch, Process};
use crate::upstream::{Upstream, draft, write_key};
use std::collections::BTreeMap;
use std::time::Duration;

const ROUNDS: u64 = 5;
const PRODUCTS: usize = 250;
const WRITTEN: usize = 40;

/// What a writer was told, by id: the last name that was acknowledged, and the one after it, which
/// may have been written or not.
type Told = BTreeMap<String, (Option<String>, String)>;

/// Writes until the process is gone.
async fn write_until_killed(service: &Process, round: u64, told: &mut Told) {
    let (key, _) = write_key();
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    let mut connection = Connection::open(service.http()).await.unwrap();
    for number in 0.. {
        let id = format!("written-{}", number % WRITTEN);
        let name = format!("{round}-{number}");
        let entry = told.entry(id.clone()).or_default();
        entry.1.clone_from(&name);
        let path = format!("/products/{id}");
        match connection.call("PUT", &path, &headers, &draft(&name)).await {
            Ok(answer) => assert!(matches!(answer.status, 200 | 201), "{}", answer.text()),
            Err(_) => return,
        }
        entry.0 = Some(name);
    }
}

/// Every id is answered, from the store alone and marked as stale.
async fn answers_stale(service: &Process, ids: &[String]) {
    let mut connection = Connection::open(service.http()).await.unwrap();
    for id in ids {
        let answer = connection.get(&format!("/products/{id}")).await.unwrap();
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        assert!(answer.is_stale(), "{id} has not been confirmed yet");
    }
}

/// Every id is answered and fresh, and what was acknowledged is there.
async fn answers_fresh(service: &Process, ids: &[String], told: &Told) {
    let mut connection = Connection::open(service.http()).await.unwrap();
    for id in ids.iter().chain(told.keys()) {
        let answer = connection.get(&format!("/products/{id}")).await.unwrap();
        // Written to the inventory or not: nobody was told.
        let never = told.get(id).is_some_and(|(last, _)| last.is_none());
        assert!(answer.status == 200 || never, "{id}: {}", answer.text());
        if answer.status == 200 {
            assert!(!answer.is_stale(), "{id} has been confirmed");
        }
        if let Some((Some(last), next)) = told.get(id) {
            let name = answer.json()["name"].as_str().unwrap().to_owned();
            assert!(name == *last || name == *next, "{id}: {name}, not {last}");
        }
    }
}

#[tokio::test]
async fn after_a_kill_in_the_middle_of_writes_everything_is_answered_and_marked_until_confirmed() {
    let upstream = Upstream::of(PRODUCTS).await;
    let store = tempfile::tempdir().unwrap();
    let launch = || {
        Launch::serve(&upstream)
            .store(store.path())
            .set("WRITE_API_KEYS", &write_key().1)
    };
    let service = launch().warm().await;
    let ids = client::ids(service.http()).await;
    assert_eq!(ids.len(), PRODUCTS);
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());

    let mut told = Told::new();
    let mut flushed = PRODUCTS as u64;
    for round in 0..ROUNDS {
        let service = launch().warm().await;
        let writing = write_until_killed(&service, round, &mut told);
        let pause = Duration::from_millis(300 + 350 * round);
        // Sooner or later than the flush that comes each second.
        assert!(tokio::time::timeout(pause, writing).await.is_err());
        let killed = service.kill();
        assert_eq!(killed.code(), None);

        upstream.knobs().turn(|faults| faults.latency_ms = 1_500);
        let service = launch().listening().await;
        let restored =
            |line: &serde_json::Value| Some((line["rows"].as_u64()?, line["clean"].as_bool()?));
        let (rows, clean) = service.logged("Restored", restored).await;
        assert!(!clean, "it was killed");
        assert!(rows >= flushed, "{rows} of {flushed} flushed rows");
        answers_stale(&service, &ids).await;
        upstream.knobs().reset();
        service.warmed().await;
        service.health("Healthy").await;
        answers_fresh(&service, &ids, &told).await;
        let ended = service.stop().await;
        assert_eq!(ended.code(), Some(0), "{}", ended.all());
        assert!(!ended.stdout.contains("panicked"), "{}", ended.stdout);
        let line = ended
            .stdout
            .lines()
            .find(|l| l.contains("flushed and closed"));
        let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        flushed = line["rows"].as_u64().unwrap();
        assert!(flushed >= (PRODUCTS + told.len() - 1) as u64);
    }
}
