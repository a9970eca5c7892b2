//! Misbehaviour on request, in-process and over sockets.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(start_paused = true)]
async fn faults_come_on_request_and_go_again() {
    let inventory = inventory(4);
    let knobs = inventory.knobs();
    knobs.turn(|faults| (faults.status, faults.retry_after) = (Some(503), Some(7)));
    let answer = get(&inventory, "/products").await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"7".parse().unwrap())
    );
    knobs.turn(|faults| faults.probability = 0.0);
    assert_eq!(get(&inventory, "/products").await.status, StatusCode::OK);
    knobs.set(Faults {
        garbage: true,
        ..Faults::default()
    });
    assert_eq!(
        get(&inventory, "/products").await.headers["content-type"],
        "text/html; charset=utf-8"
    );
    knobs.set(Faults {
        away: true,
        ..Faults::default()
    });
    assert!(get(&inventory, "/products").await.body.is_err());
    knobs.set(Faults {
        truncate: true,
        ..Faults::default()
    });
    assert!(get(&inventory, "/products").await.body.is_err());
    knobs.set(Faults {
        broken_every: 2,
        ..Faults::default()
    });
    let page = get(&inventory, "/products").await.body.unwrap();
    let named = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].is_string());
    assert_eq!(named.collect::<Vec<_>>(), [true, false, true, false]);
    knobs.set(Faults {
        hang: true,
        ..Faults::default()
    });
    let patience = Duration::from_secs(3600);
    assert!(
        tokio::time::timeout(patience, get(&inventory, "/products"))
            .await
            .is_err()
    );
    knobs.reset();
    assert_eq!(get(&inventory, "/products").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_is_counted() {
    let inventory = inventory(1);
    inventory.knobs().turn(|faults| faults.latency_ms = 1000);
    let started = tokio::time::sleep(Duration::ZERO).deadline();
    tokio::join!(
        get(&inventory, "/products"),
        get(&inventory, "/health"),
        get(&inventory, "/health")
    );
    let ended = tokio::time::sleep(Duration::ZERO).deadline();
    assert_eq!(ended.duration_since(started).as_secs(), 1);
    assert_eq!(
        (
            inventory.calls(),
            inventory.calls_of("health"),
            inventory.max_in_flight()
        ),
        (3, 2, 3)
    );
    assert_eq!(inventory.last_conversation(), None);
    inventory.knobs().reset();
    get_if(&inventory, "/products", "x-conversation", "c-1").await;
    assert_eq!(inventory.last_conversation().as_deref(), Some("c-1"));
}

#[tokio::test]
async fn knobs_are_turned_over_http_whatever_they_say() {
    let inventory = inventory(1);
    assert_eq!(
        call(&inventory, "PUT", "/knobs", json!({"away": true}))
            .await
            .status,
        StatusCode::OK
    );
    assert!(inventory.knobs().faults().away);
    let shown = get(&inventory, "/knobs").await.body.unwrap();
    assert_eq!(
        (&shown["away"], &shown["latencyMs"]),
        (&json!(true), &json!(0))
    );
    for body in [
        json!({"awya": true}),
        json!({"probability": 2}),
        json!({"status": 99}),
        json!({"slowShare": -0.1}),
        json!({"operations": ["fetch"]}),
        json!({"upCalls": 3}),
        json!({"downCalls": 3}),
        json!({"latencySpreadMs": -1}),
        json!(7),
    ] {
        let answer = call(&inventory, "PUT", "/knobs", body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    call(&inventory, "PUT", "/knobs", json!({})).await;
    assert_eq!(inventory.knobs().faults(), Faults::default());
    assert_eq!(inventory.calls(), 0);
}

#[tokio::test]
async fn products_change_behind_the_callers_back() {
    let inventory = inventory(1);
    let before = get(&inventory, "/products/P-000001").await.headers["etag"].clone();
    inventory
        .put(&json!({"id": "P-000001", "name": "Other"}))
        .unwrap();
    assert_ne!(
        get(&inventory, "/products/P-000001").await.headers["etag"],
        before
    );
    assert!(inventory.remove("P-000001") && !inventory.remove("P-000001"));
    assert_eq!(
        get(&inventory, "/products/P-000001").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(inventory.put(&json!({"name": "No id"})).is_err());
}

#[tokio::test(start_paused = true)]
async fn faults_may_be_for_some_calls_only_and_come_and_go() {
    let inventory = inventory(3);
    let status = async |path: &str| get(&inventory, path).await.status.as_u16();
    inventory.knobs().set(Faults {
        status: Some(503),
        operations: vec!["get".to_owned()],
        id_prefix: "P-000002".to_owned(),
        up_calls: 2,
        down_calls: 1,
        ..Faults::default()
    });
    for _ in 0..3 {
        for (path, expected) in [
            ("/products", 200),
            ("/products/P-000001", 200),
            ("/products/P-000002", 200),
            ("/products/P-000002/availability", 200),
            ("/products/P-000002", 200),
            ("/health", 200),
            ("/products/P-000002", 503),
        ] {
            assert_eq!(status(path).await, expected, "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn latency_is_spread_and_some_calls_are_slow() {
    let faults = Faults {
        latency_ms: 10,
        latency_spread_ms: 20,
        slow_share: 0.5,
        slow_ms: 1000,
        ..Faults::default()
    };
    let took: Vec<_> = (0..500).map(|_| faults.latency().as_millis()).collect();
    assert!(
        took.iter()
            .all(|ms| (10..=30).contains(ms) || (1010..=1030).contains(ms))
    );
    let slow = took.iter().filter(|ms| **ms >= 1000).count();
    assert!((150..=350).contains(&slow), "{slow}");
    assert!(took.iter().any(|ms| *ms != took[0]));
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_break_and_an_answer_say_that_it_is_something_else() {
    let inventory = inventory(1);
    inventory.knobs().turn(|faults| faults.reset = true);
    assert!(get(&inventory, "/products/P-000001").await.body.is_err());
    inventory.knobs().set(Faults {
        wrong_type: true,
        ..Faults::default()
    });
    let answer = get(&inventory, "/products/P-000001").await;
    assert_eq!(answer.headers["content-type"], "text/plain");
}

/// All that a socket sends back for one request.
async fn over_a_socket(address: std::net::SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request =
        b"GET /products/P-000001 HTTP/1.1\r\nhost: inventory\r\nconnection: close\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn over_a_socket_away_is_silence_and_truncated_is_less_than_declared() {
    let inventory = inventory(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let talk = async {
        let whole = over_a_socket(address).await;
        inventory.knobs().turn(|faults| faults.away = true);
        let away = over_a_socket(address).await;
        inventory.knobs().set(Faults {
            truncate: true,
            ..Faults::default()
        });
        let half = over_a_socket(address).await;
        stop.cancel();
        (whole, away, half)
    };
    let (served, (whole, away, half)) =
        tokio::join!(inventory.clone().serve(listener, stop.clone()), talk);
    served.unwrap();
    let length = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("content-length"))
            .map(str::to_owned)
    };
    assert!(whole.ends_with("Z\"}"), "{whole}");
    assert_eq!(away, "");
    assert_eq!(length(&half), length(&whole));
    assert!(
        half.len() < whole.len() && whole.starts_with(&half[..20]),
        "{half}"
    );
}

#[tokio::test]
async fn a_call_that_hangs_does_not_hold_up_the_end() {
    let inventory = inventory(1);
    inventory.knobs().turn(|faults| faults.hang = true);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let talk = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket
            .write_all(b"GET /products HTTP/1.1\r\nhost: inventory\r\n\r\n")
            .await
            .unwrap();
        while inventory.calls() == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        socket
    };
    let served = inventory.clone().serve(listener, stop.clone());
    let both = async { tokio::join!(served, talk) };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), both)
            .await
            .is_ok()
    );
}
