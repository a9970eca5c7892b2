//! `PATCH` and live stock: what a patch may do, and what the inventory is told.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use http::Method;
use product_catalog::demo::{Catalogue, Inventory};
use serde_json::{Value, json};

const PATH: &str = "/products/P-000001";

/// Patches that are refused: with which status and code, and what the fault names.
const WRONG: [(&str, u16, &str, &str); 13] = [
    ("", 400, "MALFORMED_BODY", ""),
    ("{}", 400, "MALFORMED_BODY", ""),
    (
        r#"[{"op":"add","op":"add","path":"/a","value":1}]"#,
        400,
        "MALFORMED_BODY",
        "",
    ),
    (
        r#"[{"op":"add","path":"/name"}]"#,
        400,
        "REQUIRED_FIELD_MISSING",
        "0.value",
    ),
    (
        r#"[{"op":"spam","path":"/name"}]"#,
        400,
        "INVALID_FIELD",
        "0.op",
    ),
    (
        r#"[{"op":"test","path":"/name","value":"no"}]"#,
        409,
        "PATCH_TEST_FAILED",
        "0.value",
    ),
    (
        r#"[{"op":"remove","path":"/tags/99"}]"#,
        409,
        "PATCH_PATH_MISSING",
        "0.path",
    ),
    (
        r#"[{"op":"copy","from":"/no","path":"/sku"}]"#,
        409,
        "PATCH_PATH_MISSING",
        "0.from",
    ),
    (
        r#"[{"op":"remove","path":""}]"#,
        422,
        "PATCH_RESULT_INVALID",
        "",
    ),
    (
        r#"[{"op":"remove","path":"/id"}]"#,
        422,
        "PATCH_RESULT_INVALID",
        "id",
    ),
    (
        r#"[{"op":"replace","path":"/id","value":"other"}]"#,
        422,
        "PATCH_RESULT_INVALID",
        "id",
    ),
    (
        r#"[{"op":"remove","path":"/name"}]"#,
        422,
        "PATCH_RESULT_INVALID",
        "name",
    ),
    (
        r#"[{"op":"add","path":"/colour","value":"red"}]"#,
        422,
        "PATCH_RESULT_INVALID",
        "colour",
    ),
];

async fn patch(app: &TestApp, patch: &Value) -> Answer {
    send(app, "application/json-patch+json", &patch.to_string()).await
}

async fn send(app: &TestApp, kind: &str, body: &str) -> Answer {
    let headers = [("x-api-key", WRITE_KEY), ("content-type", kind)];
    app.send(Method::PATCH, PATH, &headers, body.to_owned())
        .await
}

#[tokio::test(start_paused = true)]
async fn a_patch_changes_what_it_says_and_is_read_back_at_once() {
    let app = Setup::products(2).warm().await;
    let before = app.get(PATH).await.json();
    let patched = patch(
        &app,
        &json!([
            {"op": "test", "path": "/id", "value": "P-000001"},
            {"op": "replace", "path": "/price/amount", "value": 4999},
            {"op": "add", "path": "/tags/-", "value": "sale"},
            {"op": "add", "path": "/attributes/a~1b", "value": {"c": [1]}},
            {"op": "remove", "path": "/description"},
        ]),
    )
    .await;
    assert_eq!(patched.status(), 200, "{}", patched.text());
    assert_eq!(patched.header("cache-control"), "no-store");
    let mut expected = before.clone();
    expected["price"]["amount"] = 4999.into();
    expected["tags"].as_array_mut().unwrap().push("sale".into());
    expected["attributes"]["a/b"] = json!({"c": [1]});
    expected.as_object_mut().unwrap().remove("description");
    let mut result = patched.json();
    assert!(result["updatedAt"].as_str() > before["updatedAt"].as_str());
    result["updatedAt"] = before["updatedAt"].clone();
    assert_eq!(result, expected);
    let gets = app.inventory.calls_of("get");
    let read = app.get(PATH).await;
    assert_eq!(
        (read.body(), read.header("etag")),
        (patched.body(), patched.header("etag"))
    );
    assert_eq!(app.inventory.calls_of("get"), gets);
    assert_eq!(app.inventory.calls_of("patch"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_published_survives_a_patch() {
    let inventory = Inventory::new(Catalogue::generated(0, 1));
    let whole = json!({"id": "P-000001", "name": "Tea", "internalCost": 3, "stock": 9,
        "price": {"amount": 5, "currency": "EUR", "list": 6}, "sku": 17});
    inventory.put(&whole).unwrap();
    let app = Setup::of(inventory)
        .set("PUBLISHED_MEMBERS", "stock")
        .warm()
        .await;
    let shown = app.get(PATH).await.json();
    assert_eq!(shown["attributes"], json!({"stock": 9}));
    let steps = json!([{"op": "replace", "path": "/price/amount", "value": 7}, {"op": "add", "path": "/tags/-", "value": "x"}]);
    let patched = patch(&app, &steps).await;
    assert_eq!(patched.status(), 200, "{}", patched.text());
    let other = Setup::of(app.inventory.clone())
        .set("PUBLISHED_MEMBERS", "*")
        .warm()
        .await;
    let all = other.get(PATH).await.json();
    assert_eq!(all["attributes"], json!({"stock": 9, "internalCost": 3}));
    assert_eq!(
        (&all["price"]["amount"], &all["tags"]),
        (&json!(7), &json!(["x"]))
    );
}

#[tokio::test(start_paused = true)]
async fn each_way_a_patch_can_be_wrong_has_its_status() {
    let app = Setup::products(1).warm().await;
    for (body, status, codes, field) in WRONG {
        let answer = send(&app, "application/json-patch+json", body).await;
        assert_eq!(answer.status(), status, "{body}: {}", answer.text());
        assert_eq!(answer.codes(), [codes], "{body}");
        let told = &answer.json()["fault"]["errors"][0]["field"];
        assert_eq!(told.as_str().unwrap_or_default(), field, "{body}");
    }
    let bomb: Value = (0..64)
        .map(
            |at| json!({"op": "copy", "from": "/attributes", "path": format!("/attributes/x{at}")}),
        )
        .collect();
    let answer = patch(&app, &bomb).await;
    assert_eq!(
        (answer.status(), answer.codes()),
        (422, vec!["PATCH_TOO_COSTLY".to_owned()])
    );
    assert_eq!(app.inventory.calls_of("patch"), 0);
}

#[tokio::test(start_paused = true)]
async fn only_json_patch_is_taken() {
    let app = Setup::products(1).warm().await;
    for kind in [
        "application/json",
        "application/merge-patch+json",
        "application/json-patch+json;v=1",
        "text/plain",
        "",
    ] {
        let answer = send(&app, kind, "[]").await;
        assert_eq!(
            (answer.status(), answer.header("accept-patch")),
            (415, "application/json-patch+json"),
            "{kind}"
        );
    }
    let kind = "Application/JSON-Patch+json; charset=utf-8";
    assert_eq!(send(&app, kind, "[]").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_patch_needs_a_product_a_key_and_an_inventory() {
    let app = Setup::products(1).warm().await;
    let headers = [("content-type", "application/json-patch+json")];
    let nobody = app.send(Method::PATCH, PATH, &headers, "[]").await;
    assert_eq!(nobody.status(), 401);
    app.inventory.remove("P-000001");
    assert_eq!(patch(&app, &json!([])).await.status(), 404);
    assert_eq!(app.get(PATH).await.status(), 404);
    let app = Setup::products(1).warm().await;
    for (status, expected) in [
        (422, 422),
        (400, 400),
        (409, 409),
        (410, 410),
        (500, 503),
        (401, 503),
    ] {
        // It is read first, so that only the write is refused.
        app.get(PATH).await;
        patch(&app, &json!([])).await;
        app.inventory
            .knobs()
            .turn(|faults| faults.status = Some(status));
        assert_eq!(patch(&app, &json!([])).await.status(), expected, "{status}");
        app.inventory.knobs().reset();
        app.later(std::time::Duration::from_secs(40)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn live_stock_is_asked_for_each_time_and_never_kept() {
    let app = Setup::products(2).warm().await;
    let path = format!("{PATH}/availability");
    for asked in 1..=3 {
        let stock = app.get(&path).await;
        assert_eq!(
            (
                stock.status(),
                stock.header("cache-control"),
                stock.header("etag")
            ),
            (200, "no-store", "")
        );
        assert_eq!(stock.header("content-type"), "application/json");
        assert_eq!(stock.json()["id"], "P-000001");
        assert_eq!(app.inventory.calls_of("availability"), asked);
    }
    let head = app.send(Method::HEAD, &path, &[], "").await;
    assert_eq!((head.status(), head.body().len()), (200, 0));
    assert_eq!(app.get("/products/nobody/availability").await.status(), 404);
    assert_eq!(app.get("/products/search/availability").await.status(), 404);
    assert_eq!(app.get("/products/-/availability").await.status(), 403);
    for (turn, status) in [("away", 503), ("garbage", 503)] {
        app.inventory.knobs().turn(|faults| match turn {
            "away" => faults.away = true,
            _ => faults.garbage = true,
        });
        let answer = app.get(&path).await;
        assert_eq!(
            (answer.status(), answer.header("cache-control")),
            (status, "no-store")
        );
        app.inventory.knobs().reset();
    }
    let counted = app.catalog().stats().requests;
    let of = |wanted: &str| {
        let found = counted
            .iter()
            .find(|(outcome, _)| outcome.as_str() == wanted);
        found.map_or(0, |(_, count)| *count)
    };
    assert_eq!((of("bypass"), of("error"), of("hit")), (5, 2, 0));
}
