//! `Idempotency-Key` over real sockets: an answer that went out is there after kill -9, also without
//! the inventory.

use crate::client::{Answer, Connection};
use crate::process::{Launch, Process};
use crate::upstream::{Upstream, draft, write_key};
use std::time::Duration;

async fn post(service: &Process, key: &str, name: &str) -> Answer {
    let headers = [
        ("x-api-key", write_key().0),
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let mut connection = Connection::open(service.http()).await.unwrap();
    let body = draft(name);
    let answer = connection.call("POST", "/products", &headers, &body);
    answer.await.unwrap()
}

fn key(number: u32) -> String {
    format!("8e03978e-40d5-43e8-bc93-{number:012x}")
}

#[tokio::test]
async fn an_answer_that_went_out_is_given_again_after_a_kill_without_asking_the_inventory() {
    let upstream = Upstream::of(50).await;
    let store = tempfile::tempdir().unwrap();
    let launch = || {
        Launch::serve(&upstream)
            .store(store.path())
            .set("WRITE_API_KEYS", &write_key().1)
    };
    let mut told = Vec::new();
    for round in 0..3_u32 {
        let service = launch().warm().await;
        for number in 0..20 {
            let (key, name) = (key(round * 100 + number), format!("{round}-{number}"));
            let answer = post(&service, &key, &name).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            assert_eq!(answer.header("x-idempotency-replayed"), None);
            told.push((key, name, answer));
        }
        // At once: the flush that comes each second has not come.
        assert_eq!(service.kill().code(), None);
    }
    let created = upstream.calls_of("create");
    upstream.go_away().await;
    let service = launch().listening().await;
    for (key, name, first) in &told {
        let again = post(&service, key, name).await;
        assert_eq!(again.status, 201, "{key}: {}", again.text());
        assert_eq!(again.header("x-idempotency-replayed"), Some("true"));
        assert_eq!(again.text(), first.text());
        for header in ["location", "etag", "content-type", "idempotency-key"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
    }
    let other = post(&service, &told[0].0, "another").await;
    assert_eq!(other.status, 422);
    assert_eq!(service.stop().await.code(), Some(0));
    assert_eq!(upstream.calls_of("create"), created);
}

#[tokio::test]
async fn a_kill_while_a_create_is_under_way_creates_it_once() {
    let upstream = Upstream::of(5).await;
    let store = tempfile::tempdir().unwrap();
    let launch = || {
        Launch::serve(&upstream)
            .store(store.path())
            .set("WRITE_API_KEYS", &write_key().1)
    };
    for round in 0..4_u32 {
        let service = launch().warm().await;
        let (key, name) = (key(round), format!("round {round}"));
        let before = upstream.len();
        // Sooner or later than the inventory's acceptance, and than our record of it.
        let posting = post(&service, &key, &name);
        let pause = Duration::from_millis(u64::from(round) * 3);
        let answered = tokio::time::timeout(pause, posting).await;
        assert_eq!(service.kill().code(), None);

        let service = launch().warm().await;
        let answer = post(&service, &key, &name).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        if let Ok(first) = answered {
            assert_eq!(answer.text(), first.text());
        }
        assert_eq!(upstream.len(), before + 1, "created once");
        assert_eq!(service.stop().await.code(), Some(0));
    }
}
