//! What clients can do to a listener, and which listener answers what.

use crate::client::{self, Connection};
use crate::process::Launch;
use crate::upstream::Upstream;
use product_catalog::clock::Clock;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::sleep;

/// Sends a byte of a head each second; how long until the connection is closed.
async fn slow_head(addr: SocketAddr) -> Duration {
    let clock = Clock::start();
    let began = clock.now();
    let mut slow = Connection::open(addr).await.unwrap();
    let mut other = b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-padding: ".to_vec();
    other.resize(200, b'a');
    for byte in other.chunks(1).take(60) {
        if slow.send(byte).await.is_err() {
            return clock.now().since(began);
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("a head may take forever");
}

/// An idle connection answers after more time than a head may take.
async fn idle(addr: SocketAddr) {
    let mut idle = Connection::open(addr).await.unwrap();
    assert_eq!(idle.get("/health/live").await.unwrap().status, 200);
    let mut silent = Connection::open(addr).await.unwrap();
    sleep(Duration::from_millis(12_500)).await;
    for connection in [&mut idle, &mut silent] {
        assert_eq!(connection.get("/health/live").await.unwrap().status, 200);
    }
}

/// A body may take longer than a head.
async fn slow_body(addr: SocketAddr) {
    let mut slow = Connection::open(addr).await.unwrap();
    let head = b"PUT /products/a HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n";
    slow.send(head).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    slow.send(b"null").await.unwrap();
    assert_eq!(slow.answer().await.unwrap().status, 403, "writes are off");
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_an_idle_connection_is_not() {
    let upstream = Upstream::of(1).await;
    let service = Launch::serve(&upstream).warm().await;
    let addr = service.http();
    let (cut, internal, (), ()) = tokio::join!(
        slow_head(addr),
        slow_head(service.internal()),
        idle(addr),
        slow_body(addr)
    );
    for took in [cut, internal] {
        let bounds = Duration::from_secs(9)..Duration::from_secs(14);
        assert!(bounds.contains(&took), "{took:?}");
    }
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused_and_ordinary_ones_are_not() {
    let upstream = Upstream::of(1).await;
    let service = Launch::serve(&upstream).warm().await;
    let path = format!("/products?q={}", "a".repeat(8 * 1024));
    let answer = service.get(&path).await;
    assert_eq!(answer.status, 414);
    assert_eq!(
        answer.json()["fault"]["errors"][0]["errorCode"],
        "URI_TOO_LONG"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    for (bytes, status) in [(30 * 1024, 200), (64 * 1024, 400), (128 * 1024, 431)] {
        let padding = "a".repeat(bytes);
        let mut connection = Connection::open(service.http()).await.unwrap();
        let head = [("x-padding", padding.as_str())];
        let answer = connection.call("GET", "/health/live", &head, "").await;
        assert_eq!(answer.unwrap().status, status, "{bytes}");
    }
    assert_eq!(service.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_costs_nobody_else_anything() {
    let upstream = Upstream::of(1).await;
    let service = Launch::serve(&upstream).warm().await;
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"HELO\r\n\r\n",
        b"GET /<> HTTP/1.1\r\n\r\n",
    ] {
        let mut connection = Connection::open(service.http()).await.unwrap();
        connection.send(nonsense).await.unwrap();
        connection.send(b"\r\n\r\n").await.unwrap();
        assert_eq!(connection.answer().await.unwrap().status, 400);
        assert!(connection.closed().await);
    }
    assert_eq!(service.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn each_listener_answers_its_own_routes_only() {
    let upstream = Upstream::of(3).await;
    let service = Launch::serve(&upstream).warm().await;
    let id = &client::ids(service.http()).await[0];
    let product = format!("/products/{id}");
    let public = [&product, "/products", "/health", "/openapi"];
    for path in public {
        assert_eq!(
            client::get(service.http(), path).await.status,
            200,
            "{path}"
        );
        let answer = client::get(service.internal(), path).await;
        assert_eq!(answer.status, 404, "{path} on the internal listener");
        assert_eq!(
            answer.json()["fault"]["errors"][0]["errorCode"],
            "ROUTE_NOT_FOUND"
        );
    }
    let entry = format!("/cache/entries/{id}");
    for path in ["/metrics", "/cache/stats", &entry] {
        assert_eq!(
            client::get(service.internal(), path).await.status,
            200,
            "{path}"
        );
        assert_eq!(
            client::get(service.http(), path).await.status,
            404,
            "{path}"
        );
    }
    let path = "/cache/invalidations";
    let json = [("content-type", "application/json")];
    let answer = client::call(service.http(), "POST", path, &json, "{\"all\":true}").await;
    assert_eq!(answer.status, 404);
    let answer = client::call(service.internal(), "POST", path, &json, "{\"all\":true}").await;
    assert_eq!(answer.status, 403, "without ADMIN_TOKEN it is switched off");
}
