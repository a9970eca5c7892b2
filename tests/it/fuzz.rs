//! Malformed and hostile requests, over every operation that the document has: whatever comes, the
//! answer is one that the rules allow.
//!
//! `FUZZ_REQUESTS` (default 3,000) says how many, `FUZZ_SEED` where to begin; a failure names both, and
//! the request.

mod answers;
mod requests;

use crate::harness::{Setup, TestApp};
use answers::Rules;
use axum::body::Body;
use http::Response;
use product_catalog::http::Front;
use requests::{Asked, Generator};
use std::collections::BTreeMap;
use tower::ServiceExt;

/// Products to begin with.
const PRODUCTS: usize = 60;

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect(name))
}

/// Asks the service, like a connection does. `None` where the request is none that HTTP could carry.
async fn answer(front: &Front, asked: &Asked) -> Option<Response<Body>> {
    let request = asked.request()?;
    let answer = front.clone().oneshot(request).await.unwrap();
    Some(answer.map(Body::new))
}

async fn started() -> TestApp {
    Setup::products(PRODUCTS)
        .set("CACHE_NEGATIVE_TTL_SECONDS", "1")
        .warm()
        .await
}

#[tokio::test(start_paused = true)]
async fn no_request_gets_an_answer_that_the_rules_forbid() {
    let app = started().await;
    let front = app.app().public();
    let document = app
        .get_with("/openapi", &[("accept", "application/json")])
        .await;
    let seed = variable("FUZZ_SEED", 1);
    let mut generator = Generator::new(&document.json(), seed);
    let rules = Rules::read();
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    for number in 0..variable("FUZZ_REQUESTS", 3_000) {
        let asked = generator.next_request();
        let Some(answer) = answer(&front, &asked).await else {
            continue;
        };
        *statuses.entry(answer.status().as_u16()).or_default() += 1;
        match rules.check(&asked, answer).await {
            Ok(seen) => generator.learn(&asked, seen),
            Err(broken) => panic!("request {number} of FUZZ_SEED={seed}: {broken}\n{asked}"),
        }
    }
    // A generator that is refused at the door tests nothing behind it.
    for status in [200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 414, 415] {
        assert!(
            statuses.contains_key(&status),
            "no {status} in {statuses:?}"
        );
    }
}
