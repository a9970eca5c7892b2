//! What stands around every answer: security headers, CORS, and the rate limit.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use crate::issuer::{Published, Signer, claims};
use http::Method;
use std::time::Duration;

const PRODUCT: &str = "/products/P-000001";
const SHOP: &str = "https://shop.example";
const DESK: &str = "https://desk.example";

/// An answer of every kind and status there is without trouble.
async fn answers(app: &TestApp) -> Vec<(String, Answer)> {
    let etag = app.get(PRODUCT).await.header("etag").to_owned();
    let key = ("x-api-key", WRITE_KEY);
    let json = ("content-type", "application/json");
    let long = format!("/products?{}", "x".repeat(9000));
    let body = r#"{"name":"A","price":{"amount":1,"currency":"EUR"}}"#;
    let mut all = Vec::new();
    for (method, path, headers, body) in [
        (Method::GET, PRODUCT, &[][..], ""),
        (Method::HEAD, PRODUCT, &[], ""),
        (
            Method::GET,
            PRODUCT,
            &[("if-none-match", etag.as_str())],
            "",
        ),
        (Method::OPTIONS, PRODUCT, &[], ""),
        (Method::GET, "/products", &[], ""),
        (Method::GET, "/health", &[], ""),
        (Method::GET, "/health/live", &[], ""),
        (Method::GET, "/health/ready", &[], ""),
        (Method::GET, "/openapi", &[], ""),
        (Method::GET, "/docs", &[], ""),
        (Method::GET, "/", &[], ""),
        (Method::GET, "/products/unknown", &[], ""),
        (Method::GET, "/products/-", &[], ""),
        (Method::GET, "/nowhere", &[], ""),
        (Method::GET, "/docs/assets/nothing", &[], ""),
        (Method::GET, "/products?limit=x", &[], ""),
        (Method::GET, "/products?token=x", &[], ""),
        (Method::GET, &long, &[], ""),
        (Method::DELETE, "/products", &[], ""),
        (Method::PUT, PRODUCT, &[json], body),
        (Method::PUT, PRODUCT, &[key], body),
        (Method::PUT, PRODUCT, &[key, json], body),
        (Method::PUT, PRODUCT, &[key, json], "{"),
        (Method::POST, "/products", &[key, json], body),
        (Method::DELETE, PRODUCT, &[key], ""),
    ] {
        let answer = app.send(method.clone(), path, headers, body).await;
        let path = path.chars().take(40).collect::<String>();
        all.push((format!("{method} {path}: {}", answer.status()), answer));
    }
    app.inventory.knobs().turn(|faults| faults.away = true);
    let away = app.get("/products/not-cached").await;
    assert_eq!(away.status(), 503);
    all.push(("503".to_owned(), away));
    let statuses: std::collections::BTreeSet<_> =
        all.iter().map(|(_, answer)| answer.status()).collect();
    assert!(statuses.len() >= 12, "{statuses:?}");
    for status in [205, 300, 305, 306, 402, 407, 428, 431, 505, 511] {
        assert!(!statuses.contains(&status), "{status}");
    }
    all
}

fn is_guarded(what: &str, answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("x-frame-options"), "DENY", "{what}");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src"), "{what}: {policy}");
    // This listener speaks plain HTTP: that is for whoever ends TLS to say.
    assert_eq!(answer.header("strict-transport-security"), "", "{what}");
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_both_listeners_has_the_security_headers() {
    let app = Setup::products(2).warm().await;
    for (what, answer) in answers(&app).await {
        is_guarded(&what, &answer);
        for name in answer.headers().keys() {
            let name = name.as_str();
            assert!(!name.starts_with("access-control-"), "{what}: {name}");
            assert!(!name.starts_with("ratelimit-"), "{what}: {name}");
        }
    }
    for (method, path) in [
        (Method::GET, "/metrics"),
        (Method::GET, "/cache/stats"),
        (Method::GET, "/nowhere"),
        (Method::POST, "/metrics"),
        (Method::POST, "/cache/invalidations"),
    ] {
        let answer = app.internal(method, path, &[]).await;
        is_guarded(path, &answer);
    }
}

#[tokio::test(start_paused = true)]
async fn options_needs_no_credential_and_says_what_is_allowed() {
    let setup = Setup::products(1).set("READ_REQUIRES_AUTH", "true");
    let app = setup.warm().await;
    for (path, least) in [
        (PRODUCT, &["GET", "HEAD", "PUT", "DELETE"][..]),
        ("/products", &["GET", "HEAD", "POST"]),
        ("/health", &["GET", "HEAD"]),
        ("/openapi", &["GET", "HEAD"]),
    ] {
        let answer = app.send(Method::OPTIONS, path, &[], "").await;
        assert_eq!(answer.status(), 204, "{path}");
        let allowed: Vec<_> = answer.header("allow").split(',').collect();
        assert!(
            least.iter().all(|method| allowed.contains(method)),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.body().is_empty());
        assert!(!answer.headers().contains_key("content-length"), "{path}");
    }
    let nowhere = app.send(Method::OPTIONS, "/nowhere", &[], "").await;
    assert_eq!(nowhere.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_preflight_is_answered_for_the_origins_that_are_listed_and_no_other() {
    for origins in [SHOP.to_owned(), format!("{SHOP}, {DESK}")] {
        let app = Setup::products(1)
            .set("CORS_ALLOWED_ORIGINS", &origins)
            .warm()
            .await;
        let ask = async |origin: &str| {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "PUT"),
                ("access-control-request-headers", "x-api-key,content-type"),
            ];
            app.send(Method::OPTIONS, PRODUCT, &headers, "").await
        };
        let answer = ask(SHOP).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.header("access-control-allow-origin"), SHOP);
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("PUT")
        );
        assert_eq!(answer.header("access-control-max-age"), "86400");
        let headers = answer.header("access-control-allow-headers");
        for name in [
            "authorization",
            "content-type",
            "x-conversation",
            "x-api-key",
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
            "idempotency-key",
        ] {
            let mut names = headers.split(", ");
            assert!(names.any(|other| other == name), "{name}: {headers}");
        }
        for origin in ["https://evil.example", "null", "https://shop.example.evil"] {
            let answer = ask(origin).await;
            assert_eq!(answer.status(), 204);
            assert_ne!(answer.header("access-control-allow-origin"), origin);
            assert_ne!(answer.header("access-control-allow-origin"), "*");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_allowed_reads_every_answer_errors_included() {
    let app = Setup::products(2)
        .set("CORS_ALLOWED_ORIGINS", SHOP)
        .warm()
        .await;
    for (what, answer) in answers(&app).await {
        assert_eq!(answer.header("access-control-allow-origin"), SHOP, "{what}");
        let exposed = answer.header("access-control-expose-headers");
        for name in ["etag", "link", "location", "retry-after", "x-conversation"] {
            assert!(exposed.contains(name), "{what}: {exposed}");
        }
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        let vary: Vec<_> = answer.headers().get_all("vary").iter().collect();
        assert!(
            !vary.iter().any(|vary| *vary == "Origin"),
            "{what}: one copy does for all"
        );
        is_guarded(&what, &answer);
    }
}

#[tokio::test(start_paused = true)]
async fn with_several_origins_caches_are_told_that_answers_differ() {
    let app = Setup::products(1)
        .set("CORS_ALLOWED_ORIGINS", &format!("{SHOP},{DESK}"))
        .warm()
        .await;
    for (origin, expected) in [
        (Some(SHOP), SHOP),
        (Some(DESK), DESK),
        (Some("https://evil.example"), ""),
        (None, ""),
    ] {
        let headers: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        let answer = app.get_with(PRODUCT, &headers).await;
        assert_eq!(answer.header("access-control-allow-origin"), expected);
        let vary: Vec<_> = answer.headers().get_all("vary").iter().collect();
        assert!(
            vary.iter().any(|vary| *vary == "Origin"),
            "{origin:?}: {vary:?}"
        );
        assert!(vary.len() >= 2, "what it varied by before stays: {vary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_too_many_is_429_and_says_when_to_come_back() {
    let app = Setup::products(1)
        .set("RATE_LIMIT_PER_SECOND", "3")
        .warm()
        .await;
    let ask = async || app.get_from("192.0.2.1", PRODUCT, &[]).await;
    for remaining in ["2", "1", "0"] {
        let answer = ask().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("ratelimit-limit"), "3");
        assert_eq!(answer.header("ratelimit-remaining"), remaining);
        let reset: u64 = answer.header("ratelimit-reset").parse().unwrap();
        let now = app.clock.now().as_secs();
        assert!((now..=now + 2).contains(&reset), "{reset} at {now}");
    }
    let refused = ask().await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.codes(), ["TOO_MANY_REQUESTS"]);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit-limit"), "3");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert_eq!(refused.header("cache-control"), "no-store");

    assert_eq!(app.get_from("192.0.2.2", PRODUCT, &[]).await.status(), 200);
    app.later(Duration::from_secs(1)).await;
    for _ in 0..3 {
        assert_eq!(ask().await.status(), 200);
    }
    assert_eq!(ask().await.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_every_kind_count_and_tell_what_is_left() {
    let app = Setup::products(1)
        .set("RATE_LIMIT_PER_SECOND", "4")
        .warm()
        .await;
    for (path, status) in [
        ("/nowhere", 404),
        ("/products?limit=x", 400),
        ("/products?token=x", 400),
        ("/products/-", 403),
        (PRODUCT, 429),
        ("/nowhere", 429),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.header("ratelimit-limit"), "4", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn health_and_operations_are_not_counted() {
    let app = Setup::products(1)
        .set("RATE_LIMIT_PER_SECOND", "1")
        .warm()
        .await;
    for _ in 0..20 {
        for path in ["/health", "/health/live", "/health/ready"] {
            let answer = app.get(path).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.header("ratelimit-limit"), "");
        }
        let answer = app.internal(Method::GET, "/metrics", &[]).await;
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(app.get("/healthy").await.status(), 404);
    for beside in ["/healthy", "/health/anything"] {
        assert_eq!(app.get(beside).await.status(), 429, "{beside}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_are_told_apart_by_credential_and_the_rest_by_address() {
    let signer = Signer::new("EdDSA", "one");
    let app = Setup::products(1)
        .tokens(&Published::of(&[&signer]))
        .set("RATE_LIMIT_PER_SECOND", "1")
        .warm()
        .await;
    let now = app.clock.now().as_secs();
    let token = |subject: &str| {
        let mut claims = claims(now, "");
        claims["sub"] = subject.into();
        format!("Bearer {}", signer.token(&claims))
    };
    let (one, two) = (token("one"), token("two"));
    let from = async |peer: &str, headers: &[(&str, &str)]| {
        app.get_from(peer, PRODUCT, headers).await.status()
    };
    let key = [("x-api-key", WRITE_KEY)];
    assert_eq!(from("192.0.2.1", &key).await, 200);
    assert_eq!(from("192.0.2.2", &key).await, 429, "wherever it comes from");
    assert_eq!(from("192.0.2.1", &[("authorization", &one)]).await, 200);
    assert_eq!(from("192.0.2.1", &[("authorization", &one)]).await, 429);
    assert_eq!(from("192.0.2.1", &[("authorization", &two)]).await, 200);
    // What is not good names nobody: its address counts.
    assert_eq!(from("192.0.2.1", &[("x-api-key", "guess")]).await, 200);
    assert_eq!(from("192.0.2.1", &[("x-api-key", "another")]).await, 429);
    assert_eq!(from("192.0.2.1", &[]).await, 429);
    let forged = [
        ("x-forwarded-for", "198.51.100.7"),
        ("forwarded", "for=198.51.100.7"),
    ];
    assert_eq!(from("192.0.2.1", &forged).await, 429, "anybody can say so");
    assert_eq!(from("192.0.2.3", &[]).await, 200);
    assert_eq!(from("2001:db8:1:2::1", &[]).await, 200);
    assert_eq!(from("2001:db8:1:2:f::9", &[]).await, 429, "one network");
    assert_eq!(from("2001:db8:1:3::1", &[]).await, 200);
}
