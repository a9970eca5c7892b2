//! What is answered ahead of the router is what the router would answer.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use product_catalog::telemetry::metrics;
use std::time::Duration;

const QUICK: &str = "/products/P-000001";
/// The same product, spelled so that only the router knows it.
const ROUTED: &str = "/products/%50-000001";

/// Everything that does not differ from one answer to the next.
fn said(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| *name != "x-conversation" && *name != "content-length")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let is_fault = answer.status() >= 400;
    let body = if is_fault {
        vec![]
    } else {
        answer.body().to_vec()
    };
    (answer.status(), headers, body)
}

async fn same(app: &TestApp, headers: &[(&str, &str)]) -> u16 {
    let quick = app.get_with(QUICK, headers).await;
    let routed = app.get_with(ROUTED, headers).await;
    assert_eq!(said(&quick), said(&routed), "{headers:?}");
    quick.status()
}

#[tokio::test(start_paused = true)]
async fn an_answer_ahead_of_the_router_is_the_routers_answer() {
    let app = Setup::products(9).warm().await;
    let etag = app.get(QUICK).await.header("etag").to_owned();
    let modified = app.get(QUICK).await.header("last-modified").to_owned();
    let etag = etag.as_str();
    // What is encoded once is at hand from then on.
    for _ in 0..2 {
        for (headers, status) in [
            (vec![], 200),
            (vec![("accept", "*/*"), ("user-agent", "test")], 200),
            (vec![("accept", "application/json;v=1")], 200),
            (vec![("accept", "text/html")], 406),
            (vec![("accept", ";")], 400),
            (vec![("accept-encoding", "gzip, br")], 200),
            (vec![("accept-encoding", "identity;q=0, gzip")], 200),
            (vec![("accept-encoding", "identity;q=0")], 406),
            (vec![("if-none-match", etag)], 304),
            (vec![("if-none-match", "\"other\", *")], 200),
            (vec![("if-none-match", "*")], 304),
            (vec![("if-match", etag), ("if-none-match", etag)], 304),
            (vec![("if-match", "\"other\"")], 412),
            (vec![("if-modified-since", modified.as_str())], 304),
            (
                vec![("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT")],
                412,
            ),
            (
                vec![("x-request-id", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff")],
                200,
            ),
            (vec![("cache-control", "no-cache")], 200),
            (vec![("range", "bytes=0-1")], 200),
        ] {
            assert_eq!(same(&app, &headers).await, status, "{headers:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_stands_around_an_answer_stands_around_these_too() {
    let app = Setup::products(9)
        .set(
            "CORS_ALLOWED_ORIGINS",
            "https://a.example,https://b.example",
        )
        .set("CDN_HEADERS", "true")
        .warm()
        .await;
    for origin in ["https://a.example", "https://c.example"] {
        assert_eq!(same(&app, &[("origin", origin)]).await, 200);
    }
    let answer = app.get(QUICK).await;
    assert!(answer.header("surrogate-key").contains("P-000001"));
    app.app().draining().begin();
    same(&app, &[]).await;
    assert_eq!(app.get(QUICK).await.header("connection"), "close");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_too_much_is_refused_ahead_of_the_router_too() {
    let app = Setup::products(9)
        .set("RATE_LIMIT_PER_SECOND", "2")
        .warm()
        .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(app.get(QUICK).await.status());
    }
    assert_eq!(statuses, [200, 200, 429]);
    let hits = app.catalog().stats().requests;
    app.later(Duration::from_secs(2)).await;
    assert_eq!(app.get(QUICK).await.header("ratelimit-remaining"), "1");
    assert_ne!(app.catalog().stats().requests, hits);
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_counted_once_wherever_it_is_answered() {
    let app = Setup::products(9).warm().await;
    for path in [QUICK, ROUTED, QUICK] {
        let before = app.catalog().stats().requests;
        assert!(app.get(path).await.is_ok());
        let after = app.catalog().stats().requests;
        let more = |at: usize| after[at].1 - before[at].1;
        assert_eq!(more(0), 1, "{path}");
        assert!((1..after.len()).all(|at| more(at) == 0), "{path}");
    }
    let route = "_count{method=\"GET\",route=\"/products/{productId}\",status=\"200\"}";
    let answered = || {
        let text = metrics::render();
        let line = text.lines().find(|line| line.contains(route)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = answered();
    for path in [QUICK, ROUTED] {
        app.send(Method::GET, path, &[], "").await;
    }
    assert!(answered() >= before + 2);
}

#[tokio::test(start_paused = true)]
async fn paths_that_are_no_product_are_the_routers() {
    let app = Setup::products(9).warm().await;
    for (path, status) in [
        ("/products/", 404),
        ("/products/search", 405),
        ("/products/batch", 405),
        ("/products/P-000001/", 404),
        ("/products/P-000001/availability", 200),
        ("/products/nobody", 404),
        ("/products/-", 403),
        ("/products/P-000001?", 200),
        ("/products/P-000001?select=id", 200),
        ("/products/P-000001?token=planted", 400),
    ] {
        assert_eq!(app.get(path).await.status(), status, "{path}");
    }
}
