//! Stopping: on a signal, in time, with everything under way finished.

use crate::client::{self, Connection};
use crate::process::{Launch, Process};
use crate::upstream::Upstream;
use product_catalog::clock::Clock;
use std::io::ErrorKind;
use std::time::Duration;

/// A service that has yet to load what it is asked for, from a slow inventory.
async fn cold(upstream: &Upstream, latency: u64) -> Process {
    upstream.knobs().turn(|faults| faults.latency_ms = latency);
    Launch::serve(upstream)
        .set("WARMUP_ON_START", "false")
        .set("DRAIN_DELAY_SECONDS", "1")
        .listening()
        .await
}

async fn stops_in_order_on(signal: &str) {
    let upstream = Upstream::of(0).await;
    upstream
        .put(&crate::upstream::product("slow", "Slow"))
        .unwrap();
    let service = cold(&upstream, 2_000).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut connection = Connection::open(service.http()).await.unwrap();
        assert_eq!(connection.get("/health/live").await.unwrap().status, 200);
        idle.push(connection);
    }
    let loads = upstream.calls_of("get");
    let in_flight = async {
        let answer = service.get("/products/slow").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    };
    let clock = Clock::start();
    let stopping = async {
        service
            .until("the load to begin", async || {
                (upstream.calls_of("get") > loads).then_some(())
            })
            .await;
        let told = clock.now();
        service.signal(signal);
        service.logged("Stopping", |_| Some(())).await;
        let ready = service.get("/health/ready").await;
        assert_eq!(ready.status, 503);
        assert_eq!(ready.header("connection"), Some("close"));
        let live = idle[0].get("/health/live").await.unwrap();
        assert_eq!(
            (live.status, live.header("connection")),
            (200, Some("close"))
        );
        assert!(idle[0].closed().await);
        told
    };
    let (_, told) = tokio::join!(in_flight, stopping);
    let ended = service.ended().await;
    let took = clock.now().since(told);
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    assert!(
        took < Duration::from_secs(5),
        "{took:?} of 10 s for stopping"
    );
    assert!(ended.stdout.contains("\"cut\":0"), "{}", ended.stdout);
    for mut connection in idle {
        assert!(connection.closed().await, "closed without a word");
    }
}

#[tokio::test]
async fn sigterm_lets_requests_finish_and_idle_connections_do_not_delay_it() {
    stops_in_order_on("TERM").await;
}

#[tokio::test]
async fn sigint_stops_as_sigterm_does() {
    stops_in_order_on("INT").await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off_and_counted_and_the_exit_code_is_0() {
    let upstream = Upstream::of(1).await;
    let service = Launch::serve(&upstream)
        .set("WARMUP_ON_START", "false")
        .set("GRACEFUL_SHUTDOWN_SECONDS", "2")
        .listening()
        .await;
    service.logged("reports version", |_| Some(())).await;
    upstream.knobs().turn(|faults| faults.hang = true);
    let mut waiting = Connection::open(service.http()).await.unwrap();
    let request = b"GET /products/never HTTP/1.1\r\nhost: x\r\n\r\n";
    waiting.send(request).await.unwrap();
    service
        .until("the load to begin", async || {
            (upstream.calls_of("get") > 0).then_some(())
        })
        .await;
    let clock = Clock::start();
    let told = clock.now();
    let ended = service.stop().await;
    let took = clock.now().since(told);
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
    assert!(
        took < Duration::from_millis(2_500),
        "{took:?} of 2 s for stopping"
    );
    assert!(ended.stdout.contains("\"cut\":1"), "{}", ended.stdout);
    assert!(waiting.closed().await, "cut off without an answer");
}

#[tokio::test]
async fn after_stopping_nobody_answers() {
    let upstream = Upstream::of(1).await;
    let service = Launch::serve(&upstream).warm().await;
    let (http, internal) = (service.http(), service.internal());
    assert_eq!(client::get(http, "/health").await.status, 200);
    assert_eq!(service.stop().await.code(), Some(0));
    for addr in [http, internal] {
        let error = Connection::open(addr).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
