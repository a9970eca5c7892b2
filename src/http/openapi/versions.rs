//! The deprecated version beside the current one: whatever comes as `application/json;v=2` comes as
//! `application/json;v=1` too, with prices flattened in schemas and examples.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use utoipa::openapi::content::Content;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::schema::{Components, Schema};
use utoipa::openapi::{OpenApi, Ref, RefOr};

const CURRENT: &str = "application/json;v=2";
const DEPRECATED: &str = "application/json;v=1";
/// What a written body comes as that does not say its version, which is then the current one.
const UNSAID: &str = "application/json";

/// Where schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// Adds version 1 wherever version 2 is.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    let changed = add_schemas(components);
    let flat = |content: &RefOr<Content>| flat_content(content, &changed);
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            if let Some(RefOr::T(body)) = &mut operation.request_body
                && let Some(plain) = body.content.get(UNSAID).cloned()
                && names_changed(&plain, &changed)
            {
                body.content.insert(DEPRECATED.to_owned(), flat(&plain));
                body.content.insert(CURRENT.to_owned(), plain);
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response
                    && let Some(current) = response.content.get(CURRENT)
                {
                    let deprecated = flat(current);
                    response.content.insert(DEPRECATED.to_owned(), deprecated);
                }
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    let all = [
        &mut path.get,
        &mut path.put,
        &mut path.post,
        &mut path.delete,
        &mut path.patch,
    ];
    all.into_iter().flatten()
}

/// Adds the schemas that are different in version 1, under names of their own. Returns what they are
/// called in version 2.
fn add_schemas(components: &mut Components) -> BTreeSet<String> {
    let schemas: Vec<(String, Value)> = components
        .schemas
        .iter()
        .filter_map(|(name, schema)| Some((name.clone(), serde_json::to_value(schema).ok()?)))
        .collect();
    let mut changed = BTreeSet::new();
    // What refers to something that changes, changes: a few rounds find everything.
    while let Some((name, _)) = schemas
        .iter()
        .find(|(name, schema)| !changed.contains(name) && is_changed(schema, &changed))
    {
        changed.insert(name.clone());
    }
    for (name, schema) in &schemas {
        let flat = flat_schema(schema, &schemas, &changed);
        if changed.contains(name)
            && let Ok(schema) = serde_json::from_value::<Schema>(flat)
        {
            components.schemas.insert(deprecated(name), schema.into());
        }
    }
    changed
}

/// Whether a schema has a price, or something that has one.
fn is_changed(schema: &Value, changed: &BTreeSet<String>) -> bool {
    match schema {
        Value::Object(members) => {
            price_of(members).is_some()
                || referred(schema).is_some_and(|name| changed.contains(name))
                || members.values().any(|member| is_changed(member, changed))
        }
        Value::Array(items) => items.iter().any(|item| is_changed(item, changed)),
        _ => false,
    }
}

/// The name of the schema of the property `price`.
fn price_of(schema: &Map<String, Value>) -> Option<&str> {
    referred(schema.get("properties")?.get("price")?)
}

fn flat_schema(schema: &Value, all: &[(String, Value)], changed: &BTreeSet<String>) -> Value {
    match schema {
        Value::Array(items) => {
            let items = items.iter().map(|item| flat_schema(item, all, changed));
            Value::Array(items.collect())
        }
        Value::Object(members) => {
            if let Some(name) = referred(schema).filter(|name| changed.contains(*name)) {
                return serde_json::json!({ "$ref": format!("{SCHEMAS}{}", deprecated(name)) });
            }
            let flat = members.iter().map(|(name, member)| {
                let flat = match (name.as_str(), member.as_object()) {
                    // The same, in the only way that is read back.
                    ("additionalProperties", Some(any)) if any.is_empty() => Value::Bool(true),
                    _ => flat_schema(member, all, changed),
                };
                (name.clone(), flat)
            });
            let mut flat: Map<_, _> = flat.collect();
            let price = price_of(members)
                .and_then(|price| all.iter().find(|(name, _)| name == price))
                .and_then(|(_, price)| price["properties"].as_object());
            if let (Some(price), Some(properties)) = (price, object(&mut flat, "properties")) {
                for (from, to) in [("amount", "price"), ("currency", "currency")] {
                    let property = price.get(from).cloned().unwrap_or_default();
                    properties.insert(to.to_owned(), property);
                }
                let required = flat.get_mut("required").and_then(Value::as_array_mut);
                let is_price = |name: &Value| name == "price";
                if let Some(required) = required.filter(|names| names.iter().any(is_price)) {
                    required.push("currency".into());
                }
            }
            Value::Object(flat)
        }
        other => other.clone(),
    }
}

fn object<'a>(
    members: &'a mut Map<String, Value>,
    name: &str,
) -> Option<&'a mut Map<String, Value>> {
    members.get_mut(name)?.as_object_mut()
}

/// The same content in version 1.
fn flat_content(content: &RefOr<Content>, changed: &BTreeSet<String>) -> RefOr<Content> {
    let mut flat = content.clone();
    if let RefOr::T(content) = &mut flat {
        if let Some(RefOr::Ref(schema)) = &mut content.schema
            && let Some(name) = schema_name(schema).filter(|name| changed.contains(*name))
        {
            *schema = Ref::from_schema_name(deprecated(name));
        }
        if let Some(example) = &mut content.example {
            flatten_example(example);
        }
        for example in content.examples.values_mut() {
            if let RefOr::T(example) = example
                && let Some(value) = &mut example.value
            {
                flatten_example(value);
            }
        }
    }
    flat
}

fn names_changed(content: &RefOr<Content>, changed: &BTreeSet<String>) -> bool {
    match content {
        RefOr::T(content) => match &content.schema {
            Some(RefOr::Ref(schema)) => {
                schema_name(schema).is_some_and(|name| changed.contains(name))
            }
            _ => false,
        },
        RefOr::Ref(_) => false,
    }
}

/// Flattens every price in an example.
pub(super) fn flatten_example(example: &mut Value) {
    match example {
        Value::Array(items) => items.iter_mut().for_each(flatten_example),
        Value::Object(members) => {
            let price = members.get("price").and_then(Value::as_object).cloned();
            if let Some(mut price) = price {
                members.insert(
                    "price".to_owned(),
                    price.remove("amount").unwrap_or_default(),
                );
                let currency = price.remove("currency").unwrap_or_default();
                members.insert("currency".to_owned(), currency);
            }
            members.values_mut().for_each(flatten_example);
        }
        _ => {}
    }
}

fn deprecated(name: &str) -> String {
    format!("{name}V1")
}

fn schema_name(schema: &Ref) -> Option<&str> {
    schema.ref_location.strip_prefix(SCHEMAS)
}

fn referred(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix(SCHEMAS)
}
