//! Logs, as whoever collects them sees them.

use crate::client::{self, Connection};
use crate::process::{Launch, PATIENCE};
use crate::upstream::Upstream;
use futures_util::future::join_all;
use tokio::time::timeout;

const EVERY_LINE: [&str; 11] = [
    "timestamp",
    "Level",
    "LogType",
    "Message",
    "MessageTemplate",
    "Application",
    "Feature",
    "FeatureVersion",
    "Environment",
    "InstanceId",
    "Hostname",
];

const EVERY_REQUEST: [&str; 8] = [
    "TraceId",
    "RequestId",
    "HttpMethod",
    "request_uri",
    "HttpStatus",
    "ResponseStatusCode",
    "request_time",
    "UserAgent",
];

#[tokio::test]
async fn every_line_is_a_json_object_with_the_members_that_the_rules_ask_for() {
    let upstream = Upstream::of(3).await;
    let service = Launch::serve(&upstream)
        .set("LOG_ENVIRONMENT", "testing")
        .warm()
        .await;
    let conversation = "0b9c7a52-5f0e-4a57-9d4e-8f6f3a0c2d11";
    let headers = [
        ("x-conversation", conversation),
        ("user-agent", "a\t\"quoted\" agent"),
        ("x-api-key", "planted-key-of-a-client"),
        ("authorization", "Bearer planted-token-of-a-client"),
    ];
    let path = "/products/none?x-api-key=planted-key-in-a-query";
    let answer = client::call(service.http(), "GET", path, &headers, "").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("x-conversation"), Some(conversation));
    let fault = answer.json()["fault"]["faultId"]
        .as_str()
        .unwrap()
        .to_owned();
    let access = service
        .until("the access line", async || {
            let lines = service.logs();
            lines
                .into_iter()
                .find(|line| line["TraceId"] == conversation)
        })
        .await;
    for member in EVERY_REQUEST {
        assert!(access.get(member).is_some(), "{member}: {access}");
    }
    assert_eq!(access["LogType"], "Access");
    assert_eq!(access["HttpStatus"], 400);
    assert!(access.to_string().contains(&fault), "{access}");

    let ended = service.stop().await;
    assert!(!ended.all().contains("planted"), "{}", ended.all());
    assert_eq!(ended.stderr, "");
    assert!(ended.stdout.ends_with('\n'), "the last line is whole");
    for line in ended.stdout.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for member in EVERY_LINE {
            let value = line[member].as_str();
            assert!(
                value.is_some_and(|value| !value.is_empty()),
                "{member}: {line}"
            );
        }
        assert_eq!(line["Team"], "catalog");
        assert_eq!(line["Application"], "product-catalog");
        assert_eq!(line["FeatureVersion"], "2.0.1");
        assert_eq!(line["Environment"], "testing");
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_the_log_stops_no_request_and_no_stop() {
    const CONNECTIONS: usize = 8;
    const REQUESTS: usize = 1_500;
    // The pipe holds 64 KiB, the queue 8192 lines: more than both.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let upstream = Upstream::of(3).await;
    let launch = Launch::serve(&upstream).set("HTTP_ADDR", &addr.to_string());
    let service = launch.start_unread();
    service
        .until("it to listen", async || Connection::open(addr).await.ok())
        .await;
    let clients = (0..CONNECTIONS).map(async |_| {
        let mut connection = Connection::open(addr).await.unwrap();
        for _ in 0..REQUESTS {
            assert_eq!(
                connection.get("/products?limit=1").await.unwrap().status,
                200
            );
        }
    });
    timeout(PATIENCE, join_all(clients))
        .await
        .expect("answers, log or no log");
    let ended = service.stop().await;
    assert_eq!(ended.code(), Some(0), "{}", ended.all());
}

#[tokio::test]
async fn the_pretty_format_is_for_people_and_quieter_levels_are_quiet() {
    let upstream = Upstream::of(3).await;
    let pretty = Launch::serve(&upstream).set("LOG_FORMAT", "pretty").start();
    pretty
        .until("a line", async || {
            let out = pretty.out();
            out.contains("Serving products on http://").then_some(())
        })
        .await;
    assert!(!pretty.out().contains('{'), "{}", pretty.out());
    assert_eq!(pretty.stop().await.code(), Some(0));

    let lists = upstream.calls_of("list");
    let quiet = Launch::serve(&upstream).set("RUST_LOG", "error").start();
    quiet
        .until("a listing", async || {
            (upstream.calls_of("list") > lists).then_some(())
        })
        .await;
    let ended = quiet.stop().await;
    assert_eq!((ended.code(), ended.all().as_str()), (Some(0), ""));
}
