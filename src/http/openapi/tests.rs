//! The document against the file, and against what is parsed and rendered.

use super::*;
use crate::catalog::{Draft, ProductId};

fn as_json() -> Value {
    serde_json::from_str(&build().to_json().unwrap()).unwrap()
}

fn is_valid(name: &str, instance: &Value) -> bool {
    let mut schema = as_json();
    schema["$ref"] = json!(format!("#/components/schemas/{name}"));
    jsonschema::validator_for(&schema)
        .unwrap()
        .is_valid(instance)
}

#[test]
fn the_file_is_what_the_code_says() {
    assert!(
        include_str!("../../../interfaces/openapi.yaml") == document(),
        "interfaces/openapi.yaml is stale; run: \
         cargo run -- openapi > interfaces/openapi.yaml"
    );
}

#[test]
fn every_operation_is_described_in_full() {
    let document = as_json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["x-status"], "stable");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            for member in ["operationId", "summary", "description", "tags", "security"] {
                assert!(!operation[member].is_null(), "{name}: {member}");
            }
            let is_open = operation["security"] == json!([]);
            assert_eq!(is_open, method == "get", "{name}: security");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let name = format!("{name} {status}");
                assert!(response["description"].is_string(), "{name}");
                assert!(response["headers"]["x-conversation"].is_object(), "{name}");
                for content in response["content"].as_object().into_iter().flatten() {
                    assert!(content.1["example"].is_object(), "{name}: example");
                }
                let has_content = !matches!(status.as_str(), "204" | "304");
                assert_eq!(response["content"].is_object(), has_content, "{name}");
            }
        }
    }
}

#[test]
fn the_examples_follow_the_schemas() {
    for name in ["Product", "NewProduct", "ProductPage"] {
        assert!(is_valid(name, &schema::example(name).unwrap()), "{name}");
    }
    assert!(is_valid("Health", &schema::health("Degraded")));
    assert!(!is_valid("Health", &schema::health("Fine")));
    for status in [400, 404, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        assert!(is_valid("Fault", &fault_example(status, true)), "{status}");
    }
    assert!(
        !is_valid("Product", &json!({"id": "p-1"})),
        "the schema requires something"
    );
}

#[test]
fn what_is_parsed_and_rendered_follows_the_schemas() {
    let body = schema::example("NewProduct").unwrap().to_string();
    let id = ProductId::parse("KETTLE-17").unwrap();
    let draft = Draft::parse(body.as_bytes(), Some(&id)).unwrap();
    let mut rendered: Value = serde_json::from_slice(&draft.product.render(0).body).unwrap();
    rendered["id"] = json!("KETTLE-17");
    assert!(is_valid("Product", &rendered), "{rendered}");
}

#[test]
fn a_written_product_is_held_to_the_bounds_of_the_document() {
    let plain = json!({"name": "Tea", "price": {"amount": 0, "currency": "EUR"}});
    let with = |path: &str, value: Value| {
        let mut body = plain.clone();
        *body.pointer_mut(path).unwrap_or(&mut Value::Null) = value.clone();
        match path.rsplit_once('/') {
            Some(("", name)) => body[name] = value,
            _ => assert_eq!(body.pointer(path), Some(&value)),
        }
        body
    };
    let document = as_json();
    let schemas = &document["components"]["schemas"];
    let mut bodies = vec![
        (plain.clone(), true),
        (with("/price/amount", json!(-1)), false),
        (with("/unknown", json!(1)), false),
        (
            with("/price", json!({"amount": 1, "currency": "EUR", "net": 1})),
            false,
        ),
        (with("/createdAt", json!("2026-01-31T12:00:00Z")), true),
        (with("/updatedAt", json!("2026-01-31T12:00:00Z")), true),
    ];
    for name in ["sku", "name", "description", "category", "brand"] {
        let rules = &schemas["NewProduct"]["properties"][name];
        let most = rules["maxLength"].as_u64().expect(name);
        let least = rules["minLength"].as_u64().unwrap_or(0);
        let path = format!("/{name}");
        for (length, fits) in [(0, least == 0), (1, true), (most, true), (most + 1, false)] {
            bodies.push((with(&path, json!("x".repeat(length as usize))), fits));
        }
    }
    let most = schemas["Tag"]["maxLength"].as_u64().unwrap() as usize;
    let tags = schemas["NewProduct"]["properties"]["tags"]["maxItems"]
        .as_u64()
        .unwrap() as usize;
    for (count, length, fits) in [
        (0, 1, true),
        (tags, most, true),
        (tags + 1, 1, false),
        (1, most + 1, false),
        (1, 0, false),
    ] {
        bodies.push((with("/tags", json!(vec!["x".repeat(length); count])), fits));
    }
    for (body, fits) in bodies {
        let parsed = Draft::parse(body.to_string().as_bytes(), None);
        assert_eq!(parsed.is_ok(), fits, "{parsed:?}");
        assert_eq!(is_valid("NewProduct", &body), fits, "{body}");
    }
}
