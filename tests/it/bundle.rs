//! The bundle: `pacto.yaml`, `configuration/schema.json`, and the files the contract names.

use product_catalog::contract::{
    Configuration, Contract, Dependency, Document, Endpoint, Image, Interface, Lifecycle,
    Persistence, Runtime, Scaling, Service, State, Value,
};
use std::collections::BTreeMap;
use std::path::Path;

fn in_bundle(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schema() -> serde_json::Value {
    let text = std::fs::read_to_string(in_bundle("configuration/schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The service contract, value by value, as it was agreed.
fn agreed() -> Document {
    Document {
        pacto_version: "1.0".into(),
        service: Service {
            name: "product-catalog".into(),
            version: "2.0.1".parse().unwrap(),
            owner: "team/catalog".into(),
            image: Image {
                reference: "ghcr.io/acme/product-catalog:2.0.1".into(),
                private: true,
            },
        },
        interfaces: vec![
            Interface {
                name: "rest-api".into(),
                kind: "http".into(),
                port: 8080,
                visibility: "public".into(),
                contract: Some("interfaces/openapi.yaml".into()),
            },
            Interface {
                name: "metrics".into(),
                kind: "http".into(),
                port: 9090,
                visibility: "internal".into(),
                contract: None,
            },
        ],
        configurations: vec![Configuration {
            name: "default".into(),
            schema: "configuration/schema.json".into(),
            values: agreed_values(),
        }],
        dependencies: vec![Dependency {
            name: "inventory".into(),
            reference: "oci://ghcr.io/acme/inventory-pacto@sha256:789abc".into(),
            required: true,
            compatibility: "^1.0.0".parse().unwrap(),
        }],
        runtime: agreed_runtime(),
        scaling: Scaling { min: 2, max: 6 },
        metadata: [
            ("team", "catalog"),
            ("tier", "standard"),
            ("cache-strategy", "write-through"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    }
}

fn agreed_values() -> BTreeMap<String, Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    [
        ("UPSTREAM_API", text("https://inventory.internal/api")),
        ("CACHE_MAX_SIZE_MB", Value::Integer(512)),
        ("CACHE_TTL_SECONDS", Value::Integer(3600)),
        ("WARMUP_ON_START", Value::Boolean(true)),
        (
            "API_KEY",
            text("secret://vault/product-catalog/upstream-api-key"),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn agreed_runtime() -> Runtime {
    Runtime {
        workload: "service".into(),
        state: State {
            kind: "hybrid".into(),
            persistence: Persistence {
                scope: "local".into(),
                durability: "persistent".into(),
            },
            data_criticality: "low".into(),
        },
        lifecycle: Lifecycle {
            upgrade_strategy: "rolling".into(),
            graceful_shutdown_seconds: 10,
        },
        health: Endpoint {
            interface: "rest-api".into(),
            path: "/health".into(),
        },
        metrics: Endpoint {
            interface: "metrics".into(),
            path: "/metrics".into(),
        },
    }
}

#[test]
fn the_contract_says_what_was_agreed_value_by_value() {
    let contract = Contract::embedded().unwrap();
    assert_eq!(contract.document(), &agreed());
    assert_eq!(contract.version().to_string(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_file_the_contract_names_is_in_the_bundle() {
    let contract = Contract::embedded().unwrap();
    let document = contract.document();
    let interfaces = document
        .interfaces
        .iter()
        .filter_map(|i| i.contract.as_ref());
    let schemas = document.configurations.iter().map(|c| &c.schema);
    for path in interfaces.chain(schemas) {
        assert!(in_bundle(path).is_file(), "{path} is not in the bundle");
    }
}

#[test]
fn the_rules_are_a_valid_schema_of_the_2020_12_dialect() {
    let schema = schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
        panic!("{error}");
    }
    for (name, rules) in schema["properties"].as_object().unwrap() {
        assert!(rules.get("type").is_some(), "{name} has no type");
        let description = rules["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{name} is not described");
        for (ending, unit) in [
            ("_SECONDS", "second"),
            ("_MS", "milliseconds"),
            ("_MB", "MB"),
            ("_KB", "KB"),
        ] {
            assert!(
                !name.ends_with(ending) || description.contains(unit),
                "{name} has no unit"
            );
        }
    }
}

#[test]
fn the_contracts_values_and_the_schemas_defaults_keep_the_rules() {
    let schema = schema();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let yaml = std::fs::read_to_string(in_bundle("pacto.yaml")).unwrap();
    let contract: serde_json::Value = yaml_serde::from_str(&yaml).unwrap();
    let values = &contract["configurations"][0]["values"];
    assert!(validator.is_valid(values), "{values}");

    let properties = schema["properties"].as_object().unwrap();
    let defaults: serde_json::Map<_, _> = properties
        .iter()
        .filter_map(|(name, rules)| Some((name.clone(), rules.get("default")?.clone())))
        .collect();
    for (name, value) in values.as_object().unwrap() {
        assert_eq!(defaults.get(name), Some(value), "{name}");
    }
    let defaults = serde_json::Value::Object(defaults);
    assert!(validator.is_valid(&defaults), "{defaults}");

    for wrong in [
        serde_json::json!({"CACHE_TTL_SECONDS": -1}),
        serde_json::json!({"CACHE_TTL_SECONDS": "3600"}),
        serde_json::json!({"CACHE_TTL": 3600}),
        serde_json::json!({"LOG_FORMAT": "xml"}),
        serde_json::json!({"UPSTREAM_API": "inventory"}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
