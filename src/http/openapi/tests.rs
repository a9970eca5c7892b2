//! The document against the file, and against what is parsed and rendered.

use super::*;
use crate::catalog::{Draft, ProductId};
use crate::http::fault::ErrorCode;
use serde_json::{Value, json};

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

/// What `value` refers to within the document; itself where it is no reference.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => document
            .pointer(place.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{place} is not in the document")),
        None => value,
    }
}

/// Every operation, with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |path: &String, item: &'_ Value| {
        let names = item.as_object().unwrap().keys();
        names
            .map(|method| (format!("{method} {path}"), method.clone(), path.clone()))
            .collect::<Vec<_>>()
    };
    paths
        .iter()
        .flat_map(|(path, item)| of(path, item))
        .map(|(name, method, path)| (name, &document["paths"][path][method]))
        .collect()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn is_sentence(text: &Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    text.len() > 3 && (text.ends_with('.') || text.ends_with('`') || text.ends_with(')'))
}

#[test]
fn every_operation_is_described_in_full() {
    let document = as_json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["x-status"], "stable");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags = document["tags"].as_array().unwrap();
    assert!(tags.iter().all(|tag| is_sentence(&tag["description"])));
    let mut ids = Vec::new();
    for (name, operation) in operations(&document) {
        for member in ["summary", "description"] {
            assert!(is_sentence(&operation[member]), "{name}: {member}");
        }
        let first = operation["summary"].as_str().unwrap().split(' ').next();
        let verbs = ["Get", "Create", "Update", "Delete", "Query"];
        assert!(verbs.contains(&first.unwrap()), "{name}: summary");
        for tag in operation["tags"].as_array().unwrap() {
            assert!(
                tags.iter().any(|known| known["name"] == *tag),
                "{name}: tag"
            );
        }
        assert!(operation["security"].is_array(), "{name}: security");
        let id = operation["operationId"].as_str().unwrap();
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
        ids.push(id);
        for parameter in operation["parameters"].as_array().unwrap() {
            let parameter = resolved(&document, parameter);
            let name = format!("{name}: {}", parameter["name"]);
            assert!(is_sentence(&parameter["description"]), "{name}");
            // Cursors and entity tags mean nothing out of their place; an id is needed by everybody.
            let has_example = parameter["example"].is_string();
            assert!(has_example || parameter["in"] != "path", "{name}: example");
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operationIds are unique");
}

#[test]
fn every_answer_is_described_and_has_an_example_of_its_schema() {
    let document = as_json();
    for (name, operation) in operations(&document) {
        for (status, response) in members(&operation["responses"]) {
            let name = format!("{name} {status}");
            assert!(is_sentence(&response["description"]), "{name}: description");
            assert!(response["headers"]["x-conversation"].is_object(), "{name}");
            for (header, described) in members(&response["headers"]) {
                let described = resolved(&document, described);
                assert!(is_sentence(&described["description"]), "{name}: {header}");
                assert!(described["schema"].is_object(), "{name}: {header}");
            }
            let has_content = !matches!(status.as_str(), "204" | "304");
            assert_eq!(response["content"].is_object(), has_content, "{name}");
            for (media, content) in members(&response["content"]) {
                check_content(&document, &format!("{name} {media}"), content);
            }
        }
        for (media, content) in members(&operation["requestBody"]["content"]) {
            check_content(&document, &format!("{name} {media}"), content);
        }
    }
}

/// Every example of `content` is valid, and there is one.
fn check_content(document: &Value, name: &str, content: &Value) {
    let named =
        members(&content["examples"]).map(|(_, example)| &resolved(document, example)["value"]);
    let examples: Vec<_> = content.get("example").into_iter().chain(named).collect();
    assert!(!examples.is_empty(), "{name}: no example");
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for example in examples {
        if let Err(error) = validator.validate(example) {
            panic!("{name}: {error} in {example}");
        }
    }
}

#[test]
fn every_error_answer_shows_the_codes_it_may_have() {
    let document = as_json();
    let mut shown = Vec::new();
    for (name, operation) in operations(&document) {
        for (status, response) in members(&operation["responses"]) {
            let name = format!("{name} {status}");
            let content = &response["content"]["application/json"];
            if content["schema"]["$ref"] != "#/components/schemas/Fault" {
                continue;
            }
            assert!(!status.starts_with('2'), "{name}");
            assert!(
                content["examples"].is_object(),
                "{name}: no code has this status here"
            );
            for (code, example) in members(&content["examples"]) {
                let example = &resolved(&document, example)["value"]["fault"]["errors"][0];
                let known = ErrorCode::ALL
                    .into_iter()
                    .find(|known| known.as_str() == code);
                let Some(known) = known else {
                    assert!(
                        status.starts_with('5') && code == "SERVER_ERROR",
                        "{name}: {code}"
                    );
                    assert_eq!(*example, json!({"description": "Internal Server Error"}));
                    continue;
                };
                assert_eq!(example["errorCode"], *code, "{name}");
                assert_eq!(known.status().as_str(), status, "{name}: {code}");
                shown.push(known);
            }
        }
    }
    // What no operation answers is answered where there is no operation, or by the internal listener.
    for code in ErrorCode::ALL {
        let elsewhere = matches!(
            code,
            ErrorCode::RouteNotFound
                | ErrorCode::MethodNotAllowed
                | ErrorCode::AdminDisabled
                | ErrorCode::EntryNotFound
                | ErrorCode::InvalidationNotFound
                | ErrorCode::InvalidSelector
                | ErrorCode::ContractsDisabled
                | ErrorCode::ContractNotFound
                | ErrorCode::ContractExists
                | ErrorCode::ContractPatternTaken
                | ErrorCode::ContractReadOnly
                | ErrorCode::TooManyContracts
        );
        assert_eq!(shown.contains(&code), !elsewhere, "{}", code.as_str());
    }
}

#[test]
fn every_member_of_every_schema_is_described() {
    let document = as_json();
    for (name, schema) in members(&document["components"]["schemas"]) {
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
        assert!(is_sentence(&schema["description"]), "{name}");
        for (member, rules) in members(&schema["properties"]) {
            assert!(is_sentence(&rules["description"]), "{name}.{member}");
            assert!(
                member.starts_with(|c: char| c.is_ascii_lowercase()),
                "{name}.{member}"
            );
            assert!(!member.contains('_'), "{name}.{member}");
        }
    }
}

#[test]
fn the_schemas_require_something() {
    assert!(is_valid("Health", &schema::health("Degraded")));
    assert!(!is_valid("Health", &schema::health("Fine")));
    assert!(!is_valid("Product", &json!({"id": "p-1"})));
    assert!(!is_valid("Fault", &json!({"fault": {"errors": []}})));
}

#[test]
fn what_is_parsed_and_rendered_follows_the_schemas() {
    let body = schema::example("NewProduct").unwrap().to_string();
    let id = ProductId::parse("KETTLE-17").unwrap();
    let draft = Draft::parse(body.as_bytes(), Some(&id)).unwrap();
    let mut rendered: Value = serde_json::from_slice(draft.product.render(0).body()).unwrap();
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

#[test]
fn version_1_is_described_beside_version_2() {
    let document = as_json();
    let (v1, v2) = ("application/json;v=1", "application/json;v=2");
    for (name, operation) in operations(&document) {
        let answers = members(&operation["responses"]).map(|(_, response)| response);
        for body in answers.chain([&operation["requestBody"]]) {
            let content = &body["content"];
            assert_eq!(content[v1].is_object(), content[v2].is_object(), "{name}");
        }
    }
    let mut flat = schema::example("ProductPage").unwrap();
    assert!(!is_valid("ProductPageV1", &flat));
    versions::flatten_example(&mut flat);
    assert!(is_valid("ProductPageV1", &flat));
    assert!(!is_valid("ProductPage", &flat));
    assert!(is_valid("ProductV1", &flat["data"][0]));
    assert!(is_valid("NewProductV1", &flat["data"][0]));
    let mut unpriced = flat["data"][0].clone();
    unpriced.as_object_mut().unwrap().remove("currency");
    assert!(!is_valid("ProductV1", &unpriced));
}
