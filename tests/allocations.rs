//! What an answer from memory allocates: no more than the answer itself needs. In a process of its own,
//! because every allocation of the process counts.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use axum::body::Body;
use http::header::{HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt;
use product_catalog::app::App;
use product_catalog::clock::Clock;
use product_catalog::config::{Config, Environment, Profile};
use product_catalog::contract::Contract;
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::http::Front;
use product_catalog::upstream::transport::in_process;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use tower::Service;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PRODUCT: &str = "/products/P-000007";
const PAGE: &str = "/products?limit=20";

/// A connection: it asks one thing after the other, and gives the header map of each answer to the next
/// request, as hyper does.
struct Connection {
    front: Front,
    headers: HeaderMap,
}

impl Connection {
    /// How many allocations answering takes, from the request as parsed to the last byte of the body.
    async fn ask(&mut self, path: &str, more: &HeaderMap) -> (u16, usize) {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        headers.insert(HOST, HeaderValue::from_static("shop.example"));
        headers.insert(USER_AGENT, HeaderValue::from_static("test"));
        headers.extend(more.clone());
        *request.headers_mut() = headers;
        let region = Region::new(ALLOCATOR);
        let answer = self.front.call(request).await.unwrap();
        let (head, mut body) = answer.into_parts();
        while let Some(frame) = body.frame().await {
            drop(frame.unwrap());
        }
        let change = region.change();
        self.headers = head.headers;
        let allocations = change.allocations + change.reallocations;
        (head.status.as_u16(), allocations)
    }
}

async fn warm() -> App {
    let environment: Environment = [
        ("UPSTREAM_API", "http://inventory.test"),
        ("API_KEY", "none"),
    ]
    .into_iter()
    .collect();
    let contract = Contract::embedded().unwrap();
    let transport = in_process(Inventory::new(Catalogue::generated(50, 7)).router());
    let config = Config::load(&contract, &environment, &Profile::Serve, transport.clone());
    let mut config = config.await.unwrap();
    config.cache.dir = None;
    let mut app = App::build(config, transport, Clock::start());
    app.start().unwrap();
    let mut progress = app.catalog().progress();
    progress
        .wait_for(|progress| progress.passes > 0)
        .await
        .unwrap();
    app
}

#[tokio::test]
async fn an_answer_from_memory_allocates_what_the_answer_itself_needs() {
    let app = warm().await;
    let mut connection = Connection {
        front: app.public(),
        headers: HeaderMap::new(),
    };
    let none = HeaderMap::new();
    let mut tag = HeaderMap::new();
    for (path, status, most) in [
        // A hold on the body. Header values share a buffer.
        (PRODUCT, 200, 1),
        (PRODUCT, 304, 1),
        (PAGE, 200, 0),
    ] {
        // What is made at first need is not what an answer costs.
        for _ in 0..3 {
            connection.ask(path, &none).await;
        }
        if status == 304 {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = connection.front.call(request).await.unwrap();
            tag.insert(IF_NONE_MATCH, answer.headers()["etag"].clone());
        }
        // Other threads may allocate meanwhile: the least of many counts.
        let mut least = usize::MAX;
        for _ in 0..50 {
            let (answered, allocations) = connection.ask(path, &tag).await;
            assert_eq!(answered, status);
            least = least.min(allocations);
        }
        assert!(
            least <= most,
            "{status} of {path} takes {least} allocations"
        );
        tag.clear();
    }
}
