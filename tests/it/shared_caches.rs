//! What shared caches in front are told with `CDN_HEADERS`; with a real one in tests/shared_cache.rs.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use serde_json::json;

async fn app() -> TestApp {
    let setup = Setup::products(3).set("CDN_HEADERS", "true");
    let kettle = json!({
        "id": "KETTLE-17", "name": "Kettle", "category": "Small appliances", "brand": "Acme",
        "price": {"amount": 3999, "currency": "EUR"},
    });
    setup.inventory.put(&kettle).unwrap();
    setup.warm().await
}

fn told(answer: &Answer) -> (Option<&str>, Option<&str>) {
    let text = |name| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    };
    (text("cdn-cache-control"), text("surrogate-key"))
}

#[tokio::test(start_paused = true)]
async fn a_product_may_be_kept_as_long_as_it_is_fresh_and_is_purged_by_its_keys() {
    let app = app().await;
    let keys = "product:KETTLE-17 category:Small%20appliances brand:Acme";
    let first = app.get("/products/KETTLE-17").await;
    let (policy, key) = told(&first);
    assert_eq!(key, Some(keys));
    let policy = policy.unwrap();
    let max_age: u64 = policy["max-age=".len()..policy.find(',').unwrap()]
        .parse()
        .unwrap();
    assert!((3200..=3600).contains(&max_age), "{policy}");
    assert_eq!(policy, format!("max-age={max_age}, stale-if-error=86400"));
    // Told again where a copy is confirmed, and of each version and selection.
    let etag = first.header("etag");
    let confirmed = app
        .get_with("/products/KETTLE-17", &[("if-none-match", etag)])
        .await;
    assert_eq!(confirmed.status(), 304);
    assert_eq!(told(&confirmed), told(&first));
    let flat = [("accept", "application/json;v=1")];
    assert_eq!(
        told(&app.get_with("/products/KETTLE-17", &flat).await),
        told(&first)
    );
    assert_eq!(
        told(&app.get("/products/KETTLE-17?select=name").await),
        told(&first)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_made_of_products_has_their_keys_and_its_own() {
    let app = app().await;
    let list = app.get("/products?brand=Acme").await;
    let (policy, key) = told(&list);
    assert!(policy.unwrap().starts_with("max-age=60,"), "{policy:?}");
    assert_eq!(
        key,
        Some("products product:KETTLE-17 category:Small%20appliances brand:Acme")
    );
    for (path, keys) in [
        ("/products?count", "products"),
        ("/categories", "products"),
        ("/brands", "products"),
        ("/brands/Acme", "products brand:Acme"),
        (
            "/categories/Small%20appliances",
            "products category:Small%20appliances",
        ),
        (
            "/products?id=none,KETTLE-17&select=id",
            "products product:none product:KETTLE-17 category:Small%20appliances brand:Acme",
        ),
    ] {
        assert_eq!(told(&app.get(path).await).1, Some(keys), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_kept_or_is_no_product_says_nothing_to_shared_caches() {
    let app = app().await;
    for path in [
        "/openapi",
        "/docs",
        "/products/none",
        "/health",
        "/products/KETTLE-17/availability",
    ] {
        assert_eq!(told(&app.get(path).await), (None, None), "{path}");
    }
    let body = json!({"name": "Tea", "price": {"amount": 1, "currency": "EUR"}});
    let written = app.write(Method::PUT, "/products/KETTLE-17", &body).await;
    assert_eq!((written.status(), told(&written)), (200, (None, None)));

    let private = Setup::products(3)
        .set("CDN_HEADERS", "true")
        .set("READ_REQUIRES_AUTH", "true")
        .warm()
        .await;
    let key = [("x-api-key", crate::harness::WRITE_KEY)];
    let list = private.get_with("/products", &key).await;
    assert_eq!(list.status(), 200);
    assert_eq!(told(&list), (None, None));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_where_nobody_asked_for_it() {
    let app = Setup::products(3).warm().await;
    for path in ["/products", "/products?count"] {
        assert_eq!(told(&app.get(path).await), (None, None), "{path}");
    }
}
