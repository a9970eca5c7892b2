//! The inventory API as its callers meet it.

mod faults;

use super::*;
use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Result<Value, String>,
}

fn inventory(count: usize) -> Inventory {
    Inventory::new(Catalogue::generated(count, 1))
}

async fn send(inventory: &Inventory, request: Request<Body>) -> Answer {
    let response: Response<Body> = inventory.router().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await;
    Answer {
        status: head.status,
        headers: head.headers,
        body: body
            .map(|bytes| serde_json::from_slice(&bytes).unwrap_or_default())
            .map_err(|error| error.to_string()),
    }
}

async fn call(inventory: &Inventory, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder().method(method).uri(path);
    send(
        inventory,
        request.body(Body::from(body.to_string())).unwrap(),
    )
    .await
}

async fn get(inventory: &Inventory, path: &str) -> Answer {
    send(inventory, Request::get(path).body(Body::empty()).unwrap()).await
}

async fn get_if(inventory: &Inventory, path: &str, name: &str, value: &str) -> StatusCode {
    let request = Request::get(path).header(name, value);
    send(inventory, request.body(Body::empty()).unwrap())
        .await
        .status
}

fn ids(answer: &Answer) -> Vec<String> {
    let data = answer.body.as_ref().unwrap()["data"].as_array().unwrap();
    data.iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

fn tea() -> Value {
    json!({"name": "Tea", "price": {"amount": 5, "currency": "EUR"}})
}

#[tokio::test]
async fn a_walk_through_the_list_meets_every_product_once_in_order() {
    let inventory = inventory(25);
    let (mut seen, mut path) = (Vec::new(), "/products?limit=10".to_owned());
    loop {
        let page = get(&inventory, &path).await;
        seen.extend(ids(&page));
        match page.body.unwrap()["paging"]["cursors"]["after"].as_str() {
            Some(after) => path = format!("/products?limit=10&after={}", after.replace('=', "%3D")),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=25).map(|n| format!("P-{n:06}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(inventory.calls_of("list"), 3);
}

#[tokio::test]
async fn the_last_full_page_says_that_it_is_the_last() {
    let page = get(&inventory(10), "/products?limit=10")
        .await
        .body
        .unwrap();
    assert_eq!(page["paging"]["cursors"]["after"], Value::Null);
}

#[tokio::test]
async fn a_list_may_be_counted_or_cut_to_what_changed() {
    let inventory = inventory(10);
    assert_eq!(get(&inventory, "/products?count").await.body, Ok(json!(10)));
    let later = json!({"id": "new", "updatedAt": "2026-05-01T00:00:00Z"});
    inventory.put(&later).unwrap();
    for path in [
        "/products?updatedAt%3E=2026-02-01T00:00:00Z",
        "/products?updatedAt%3E%3D2026-02-01T00:00:00Z",
    ] {
        assert_eq!(ids(&get(&inventory, path).await), ["new"]);
    }
    for path in [
        "/products?limit=0",
        "/products?after=%21",
        "/products?updatedAt%3E=x",
        "/products?colour=red",
    ] {
        assert_eq!(
            get(&inventory, path).await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_product_has_validators_that_answer_304() {
    let inventory = inventory(1);
    let answer = get(&inventory, "/products/P-000001").await;
    let etag = answer.headers["etag"].to_str().unwrap();
    let modified = answer.headers["last-modified"].to_str().unwrap();
    for (name, value, expected) in [
        ("if-none-match", etag, 304),
        ("if-none-match", &format!("\"other\", W/{etag}"), 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        assert_eq!(
            get_if(&inventory, "/products/P-000001", name, value).await,
            expected,
            "{name}: {value}"
        );
    }
    assert_eq!(
        get(&inventory, "/products/none").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        get(&inventory, "/products/P-000001/availability")
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn writes_create_replace_and_delete() {
    let inventory = inventory(2);
    let created = call(&inventory, "POST", "/products", tea()).await;
    assert_eq!(
        (created.status, &created.headers["location"]),
        (StatusCode::CREATED, &"/products/P-000003".parse().unwrap())
    );
    let mut taken = tea();
    taken["id"] = "P-000003".into();
    assert_eq!(
        call(&inventory, "POST", "/products", taken).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        call(&inventory, "PUT", "/products/a", tea()).await.status,
        StatusCode::CREATED
    );
    let replaced = call(&inventory, "PUT", "/products/P-000003", tea()).await;
    assert_eq!(replaced.status, StatusCode::OK);
    assert_eq!(
        replaced.body.unwrap()["createdAt"],
        created.body.unwrap()["createdAt"]
    );
    for body in [json!([]), json!({"name": "Tea"}), json!({"id": "other"})] {
        assert_eq!(
            call(&inventory, "PUT", "/products/a", body).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(
        call(&inventory, "PUT", "/products/-bad", tea())
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        call(&inventory, "DELETE", "/products/a", Value::Null)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        call(&inventory, "DELETE", "/products/a", Value::Null)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(inventory.len(), 3);
}

async fn post_once(inventory: &Inventory, key: &str, body: &Value) -> Answer {
    let request = Request::post("/products").header("idempotency-key", key);
    send(
        inventory,
        request.body(Body::from(body.to_string())).unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_create_with_a_key_is_done_once_and_refused_for_another_body() {
    let inventory = inventory(1);
    let body = json!({"name": "Tea", "price": {"amount": 1, "currency": "EUR"}});
    let first = post_once(&inventory, "k-1", &body).await;
    let again = post_once(&inventory, "k-1", &body).await;
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    assert_eq!(first.body, again.body);
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(inventory.len(), 2);
    let mut other = body.clone();
    other["name"] = "Coffee".into();
    let refused = post_once(&inventory, "k-1", &other).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        post_once(&inventory, "k-2", &other).await.status,
        StatusCode::CREATED
    );
    // A refusal is not remembered.
    let empty = json!({});
    assert_eq!(
        post_once(&inventory, "k-3", &empty).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        post_once(&inventory, "k-3", &body).await.status,
        StatusCode::CREATED
    );
    assert_eq!(inventory.len(), 4);
}

#[tokio::test]
async fn a_write_to_another_version_than_expected_is_refused() {
    let inventory = inventory(1);
    let known = get(&inventory, "/products/P-000001").await.headers["etag"].clone();
    let write = |method: &'static str, path: &'static str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("if-match", known.clone());
        send(
            &inventory,
            request.body(Body::from(tea().to_string())).unwrap(),
        )
    };
    assert_eq!(
        write("PUT", "/products/none").await.status,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        write("PUT", "/products/P-000001").await.status,
        StatusCode::OK
    );
    assert_eq!(
        write("PUT", "/products/P-000001").await.status,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        write("DELETE", "/products/P-000001").await.status,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(inventory.len(), 1);
}

#[tokio::test]
async fn a_key_is_asked_for_where_one_is_set() {
    let inventory = inventory(1).with_key("k-1");
    assert_eq!(
        get(&inventory, "/products").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        get_if(&inventory, "/products", "x-api-key", "k-2").await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        get_if(&inventory, "/products", "x-api-key", "k-1").await,
        StatusCode::OK
    );
    assert_eq!(get(&inventory, "/knobs").await.status, StatusCode::OK);
}
