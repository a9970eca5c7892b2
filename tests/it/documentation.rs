//! The documents: the OpenAPI document, the page that shows it, and that both tell the truth about the routes.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use http::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Routes that are no operations: probes for orchestrators, and the page.
const NO_OPERATIONS: [&str; 5] = [
    "/",
    "/docs",
    "/docs/assets/{name}",
    "/health/live",
    "/health/ready",
];

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

async fn document(app: &TestApp) -> Value {
    app.get("/openapi").await.json()
}

/// The addresses that the page loads.
fn assets(page: &str) -> Vec<String> {
    let places = page.split("\"docs/assets/").skip(1);
    places
        .map(|rest| format!("/docs/assets/{}", rest.split('"').next().unwrap()))
        .collect()
}

fn check_revalidation(full: &Answer, again: &Answer) {
    assert_eq!(again.status(), 304);
    assert_eq!(again.text(), "");
    assert_eq!(again.header("etag"), full.header("etag"));
    assert_eq!(again.header("cache-control"), full.header("cache-control"));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_to_the_root_is_sent_to_the_page() {
    let app = Setup::products(0).cold().await;
    let answer = app.get("/").await;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.header("location"), "/docs");
    assert_ne!(
        answer.header("cache-control"),
        "",
        "every GET says how long"
    );
}

#[tokio::test(start_paused = true)]
async fn the_page_asks_nobody_but_this_replica() {
    let app = Setup::products(0).cold().await;
    let page = app.get("/docs").await;
    assert!(page.is_ok());
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        page.header("cache-control"),
        "public, max-age=300, must-revalidate"
    );
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
    let text = page.text();
    assert!(!text.contains("://") && !text.contains("<script>"));

    let etag = page.header("etag").to_owned();
    let again = app.get_with("/docs", &[("if-none-match", &etag)]).await;
    check_revalidation(&page, &again);
}

#[tokio::test(start_paused = true)]
async fn what_the_page_loads_is_named_by_its_content_and_kept_for_good() {
    let app = Setup::products(0).cold().await;
    let addresses = assets(app.get("/docs").await.text());
    assert_eq!(addresses.len(), 4);
    for address in addresses {
        let asset = app.get(&address).await;
        assert!(asset.is_ok(), "{address}");
        assert_eq!(
            asset.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        let etag = asset.header("etag").to_owned();
        assert!(etag.starts_with('"'), "strong");
        let again = app.get_with(&address, &[("if-none-match", &etag)]).await;
        check_revalidation(&asset, &again);
        let head = app.send(Method::HEAD, &address, &[], "").await;
        assert_eq!(head.header("etag"), etag);
        assert_eq!(head.text(), "");

        let other = app.get(&address.replace(".", "0.")).await;
        assert_eq!(
            (other.status(), other.codes()),
            (404, vec!["ROUTE_NOT_FOUND".to_owned()])
        );
    }
    for nowhere in [
        "/docs/",
        "/docs/assets",
        "/docs/assets/",
        "/docs/assets/a/b",
        "/docs/assets/%ff",
    ] {
        assert_eq!(app.get(nowhere).await.status(), 404, "{nowhere}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_is_json_or_yaml_and_says_the_same_in_both() {
    let app = Setup::products(0).cold().await;
    let json = app.get("/openapi").await;
    assert_eq!(json.header("content-type"), "application/json");
    let accept = [("accept", "application/yaml")];
    let yaml = app.get_with("/openapi", &accept).await;
    assert_eq!(yaml.header("content-type"), "application/yaml");
    assert_eq!(yaml.text(), include_str!("../../interfaces/openapi.yaml"));
    let parsed: Value = yaml_serde::from_str(yaml.text()).unwrap();
    assert_eq!(parsed, json.json());
    assert_ne!(yaml.header("etag"), json.header("etag"));
}

/// Every operation of the document is routed, every other method of its path is a 405 that lists the
/// operations, and every route is an operation or one of [`NO_OPERATIONS`].
#[tokio::test(start_paused = true)]
async fn the_document_and_the_router_know_the_same_operations() {
    let app = Setup::products(1).warm().await;
    let document = document(&app).await;
    let paths: BTreeMap<String, BTreeSet<String>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| {
            (
                path.clone(),
                item.as_object().unwrap().keys().cloned().collect(),
            )
        })
        .collect();
    for (template, operations) in &paths {
        let path = template
            .replace("{productId}", "P-000001")
            .replace("{categoryId}", "tea")
            .replace("{brandId}", "tea");
        assert!(
            !path.contains('{'),
            "{template} has a parameter this test does not know"
        );
        for method in METHODS {
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let headers = [("x-api-key", WRITE_KEY)];
            let answer = app.send(verb, &path, &headers, "").await;
            let is_routed = match answer.status() {
                405 => false,
                404 => answer.codes() != ["ROUTE_NOT_FOUND"],
                _ => true,
            };
            let what = format!("{method} {template}: {}", answer.status());
            assert_eq!(is_routed, operations.contains(method), "{what}");
            if !is_routed {
                assert_eq!(answer.status(), 405, "{what}");
                let allowed: BTreeSet<_> = answer
                    .header("allow")
                    .split(',')
                    .map(|name| name.trim().to_lowercase())
                    .collect();
                for operation in operations {
                    assert!(allowed.contains(operation), "{what}: {allowed:?}");
                }
            }
        }
    }

    // Routes beside the document are few, and known.
    let source = include_str!("../../src/http.rs");
    let beside: BTreeSet<_> = source
        .split(".route(\"")
        .skip(1)
        .filter(|rest| !rest.lines().next().unwrap().contains("any(nowhere)"))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(
        beside,
        NO_OPERATIONS.into(),
        "add operations to the document, by `routes!`"
    );
}
