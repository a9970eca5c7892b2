//! Every error is a fault of one shape, also those the framework makes.

use crate::harness::{Setup, WRITE_KEY};
use axum::Router;
use axum::routing::any;
use http::{Method, StatusCode};
use product_catalog::upstream::transport::in_process;

#[tokio::test(start_paused = true)]
async fn every_client_error_is_a_fault_that_says_what_is_wrong() {
    let app = Setup::products(1).warm().await;
    let json = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
    ];
    let long = format!("/products/x?{}", "y".repeat(9000));
    for (method, path, headers, body, status) in [
        (Method::GET, "/nowhere", &[][..], "", 404),
        (Method::GET, "/products/", &[], "", 404),
        (Method::GET, "/products/P-000001/", &[], "", 404),
        (Method::GET, "/metrics", &[], "", 404),
        (Method::GET, "/cache/stats", &[], "", 404),
        (Method::GET, "/products/unknown", &[], "", 404),
        (Method::POST, "/products/P-000001", &json, "{}", 405),
        (Method::PATCH, "/products/P-000001", &json, "[]", 415),
        (Method::DELETE, "/products", &json, "", 405),
        (Method::POST, "/health", &json, "{}", 405),
        (Method::GET, "/products?limit=x", &[], "", 400),
        (Method::POST, "/products", &json, "{", 400),
        (Method::POST, "/products", &json[..1], "{}", 415),
        (Method::POST, "/products", &json[1..], "{}", 401),
        (Method::GET, "/products/-", &[], "", 403),
        (Method::GET, &long, &[], "", 414),
    ] {
        let answer = app.send(method.clone(), path, headers, body).await;
        let what = format!("{method} {path}: {}", answer.text());
        assert_eq!(answer.status(), status, "{what}");
        assert_eq!(answer.header("content-type"), "application/json", "{what}");
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert_eq!(answer.header("expires"), "", "{what}");
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{what}");
        let fault = &answer.json()["fault"];
        assert_eq!(fault["traceId"], answer.header("x-conversation"), "{what}");
        assert_eq!(fault["faultId"].as_str().map(str::len), Some(36), "{what}");
        let codes = answer.codes();
        assert!(
            !codes.is_empty() && codes.iter().all(|code| !code.is_empty()),
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_error_says_nothing_of_what_is_behind_it() {
    let app = Setup::products(0).cold().await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    let answer = app.get("/products/P-000001").await;
    assert_eq!(answer.status(), 503);
    assert_ne!(answer.header("retry-after"), "");
    let errors = &answer.json()["fault"]["errors"];
    assert_eq!(
        errors.to_string(),
        r#"[{"description":"Internal Server Error"}]"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_500_fault_and_the_service_goes_on() {
    // The transport runs inside the load's task; a panic there releases its readers.
    let panics = Router::new().fallback(any(|| async {
        panic!("a bug");
        #[allow(unreachable_code)]
        StatusCode::OK
    }));
    let app = Setup::products(1)
        .set("WARMUP_ON_START", "false")
        .start_through(in_process(panics))
        .await;
    let answer = app.get("/products/P-000001").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.json()["fault"]["faultId"].is_string());
    assert!(app.get("/health/live").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_inventorys_key_appears_in_no_answer() {
    let app = Setup::products(2).warm().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.status = Some(401));
    for path in ["/products/unknown", "/products", "/health", "/openapi"] {
        let answer = app.get(path).await;
        assert!(!answer.text().contains("planted-api-key"), "{path}");
        assert!(
            !format!("{:?}", answer.headers()).contains("planted-api-key"),
            "{path}"
        );
    }
    for path in ["/metrics", "/cache/stats", "/cache/entries/P-000001"] {
        let answer = app.internal(Method::GET, path, &[]).await;
        assert!(!answer.text().contains("planted-api-key"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn reserved_paths_are_nowhere_whatever_the_method() {
    let app = Setup::products(1).warm().await;
    for path in ["/products/%73earch", "/products/%62atch"] {
        // Known as a product's path by then, where there is no POST.
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let headers = [("x-api-key", WRITE_KEY)];
            let answer = app.send(method.clone(), path, &headers, "").await;
            assert_eq!(answer.status(), 404, "{method} {path}");
            assert_eq!(answer.codes(), ["ROUTE_NOT_FOUND"]);
            assert_eq!(answer.header("allow"), "");
        }
    }
}
