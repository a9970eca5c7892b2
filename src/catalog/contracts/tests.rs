//! Contracts as operators write them, right and wrong.

use super::recall::recorded;
use super::*;
use crate::cache::{Degrade, Pattern};
use crate::product::ProblemCode;
use serde_json::{Map, Value, json};
use std::time::Duration;

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other}"),
    }
}

/// A contract with nothing wrong, with these members in place of its own; null removes one.
fn with(changes: Value) -> Map<String, Value> {
    let mut all = members(json!({
        "name": "live-prices", "key_pattern": "product:LAPTOP-*", "fresh_within": 2000,
        "grace_period": 30_000, "on_degrade": "ServeStale"
    }));
    for (name, value) in members(changes) {
        match value {
            Value::Null => drop(all.remove(&name)),
            value => drop(all.insert(name, value)),
        }
    }
    all
}

fn problems(changes: Value) -> Vec<(ProblemCode, String)> {
    let wrong = Declared::read(with(changes), None, &anywhere).unwrap_err();
    let of = |problem: crate::product::Problem| {
        assert!(
            problem
                .description
                .starts_with(&format!("`{}`", problem.field)),
            "{problem:?}"
        );
        (problem.code, problem.field)
    };
    wrong.into_iter().map(of).collect()
}

/// Takes every URL.
fn anywhere(text: &str) -> Result<bool, String> {
    Ok(text.contains("{id}"))
}

fn read(members: Map<String, Value>) -> Result<Declared, Vec<crate::product::Problem>> {
    Declared::read(members, None, &anywhere)
}

fn fallback() -> Value {
    json!({"name": "Gift card", "price": {"amount": 2500, "currency": "EUR"}})
}

#[test]
fn a_contract_is_read_with_all_it_says() {
    let all =
        with(json!({"on_degrade": "ServeFallback", "idle_after": 60_000, "fallback": fallback()}));
    let declared = Declared::read(all.clone(), None, &anywhere).unwrap();
    assert_eq!((declared.name(), declared.members()), ("live-prices", &all));
    let contract = declared.contract();
    assert_eq!(
        contract.pattern,
        Pattern::Prefix(b"LAPTOP-".as_slice().into())
    );
    assert_eq!(contract.fresh_within, Duration::from_secs(2));
    assert_eq!(contract.grace_period, Duration::from_secs(30));
    assert_eq!(contract.idle_after, Duration::from_secs(60));
    assert_eq!(contract.on_degrade, Degrade::ServeFallback);
    assert_eq!(contract.fallback.as_ref().unwrap().name, "Gift card");
    let bare = Declared::read(with(json!({})), Some("live-prices"), &anywhere).unwrap();
    assert!(bare.contract().idle_after.is_zero() && bare.contract().fallback.is_none());
}

#[test]
fn patterns_name_one_product_or_those_that_begin_so() {
    let pattern = |text: &str| {
        let declared =
            Declared::read(with(json!({ "key_pattern": text })), None, &anywhere).ok()?;
        Some(declared.contract().pattern.clone())
    };
    let longest = "x".repeat(128);
    for (text, expected) in [
        ("product:SKU-1", Pattern::Exact(b"SKU-1".as_slice().into())),
        ("product:a:b", Pattern::Exact(b"a:b".as_slice().into())),
        ("product:*", Pattern::Prefix(b"".as_slice().into())),
        ("product:A*", Pattern::Prefix(b"A".as_slice().into())),
        (
            &format!("product:{longest}"),
            Pattern::Exact(longest.as_bytes().into()),
        ),
        (
            &format!("product:{longest}*"),
            Pattern::Prefix(longest.as_bytes().into()),
        ),
    ] {
        assert_eq!(pattern(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "*",
        "product",
        "product:",
        "Product:a",
        "supplier:a",
        "product:a b",
        "product:**",
        "product:*a",
        "product:a*b",
        "product:-*",
        "product:/",
        "SKU-1",
        &format!("product:{longest}x"),
        &format!("product:{longest}x*"),
    ] {
        assert_eq!(pattern(text), None, "{text}");
    }
}

/// Values that a member can not have.
fn wrong_values() -> Vec<(&'static str, Value)> {
    let (long, year) = ("a".repeat(65), 365 * 24 * 3600 * 1000u64);
    let table = json!({
        "name": ["", "Live", "a_b", "a--b", "-a", "a-", "ä", long, 7],
        "key_pattern": ["SKU-1", ["product:*"], null],
        "fresh_within": [0, -1, 1.5, "2000", year + 1, true],
        "grace_period": [-1, 0.5, "0", year + 1],
        "idle_after": [-1, "1h", year + 1],
        "on_degrade": ["serve_stale", "ServeFresh", 1],
    });
    let names = [
        "name",
        "key_pattern",
        "fresh_within",
        "grace_period",
        "idle_after",
        "on_degrade",
    ];
    let of = |name: &'static str| {
        let values = table[name].as_array().unwrap().clone();
        values.into_iter().map(move |value| (name, value))
    };
    names.into_iter().flat_map(of).collect()
}

#[test]
fn every_member_that_is_wrong_is_named() {
    use ProblemCode::{InvalidField, RequiredFieldMissing, UnknownField};
    for (member, value) in wrong_values() {
        let mut all = with(json!({}));
        all.insert(member.to_owned(), value.clone());
        let wrong = Declared::read(all, None, &anywhere).unwrap_err();
        let found: Vec<_> = wrong
            .iter()
            .map(|problem| (problem.code, &*problem.field))
            .collect();
        assert_eq!(found, [(InvalidField, member)], "{member}: {value}");
    }
    for member in [
        "name",
        "key_pattern",
        "fresh_within",
        "grace_period",
        "on_degrade",
    ] {
        let found = problems(json!({ member: null }));
        assert_eq!(found, [(RequiredFieldMissing, member.to_owned())]);
    }
    assert_eq!(
        problems(json!({"ttl": 1})),
        [(UnknownField, "ttl".to_owned())]
    );
    let year = 365 * 24 * 3600 * 1000u64;
    for right in [
        json!({"fresh_within": 1, "grace_period": 0, "idle_after": 0}),
        json!({"fresh_within": year, "grace_period": year, "idle_after": year, "name": "a".repeat(64)}),
    ] {
        assert!(
            Declared::read(with(right.clone()), None, &anywhere).is_ok(),
            "{right}"
        );
    }
}

#[test]
fn a_fallback_goes_with_its_policy_and_is_a_whole_product() {
    use ProblemCode::{InvalidField, RequiredFieldMissing, UnknownField};
    let serving =
        |value: Value| problems(json!({"on_degrade": "ServeFallback", "fallback": value}));
    let at = |code, field: &str| vec![(code, field.to_owned())];
    assert_eq!(serving(Value::Null), at(RequiredFieldMissing, "fallback"));
    assert_eq!(serving(json!("none")), at(InvalidField, "fallback"));
    assert_eq!(
        problems(json!({"fallback": fallback()})),
        at(InvalidField, "fallback")
    );
    let broken = |name: &str, value: Value| {
        let mut product = members(fallback());
        match value {
            Value::Null => drop(product.remove(name)),
            value => drop(product.insert(name.to_owned(), value)),
        }
        serving(product.into())
    };
    assert_eq!(
        broken("name", Value::Null),
        at(RequiredFieldMissing, "fallback.name")
    );
    assert_eq!(
        broken("price", json!({"amount": 1})),
        at(RequiredFieldMissing, "fallback.price.currency")
    );
    assert_eq!(
        broken("price", json!({"amount": -1, "currency": "EUR"})),
        at(InvalidField, "fallback.price.amount")
    );
    assert_eq!(
        broken("colour", json!("red")),
        at(UnknownField, "fallback.colour")
    );
    assert_eq!(broken("id", json!("a b")), at(InvalidField, "fallback.id"));
}

#[test]
fn all_problems_are_reported_at_once_and_none_repeats_a_value() {
    let secret = "hunter2-secret";
    let wrong = json!({
        "name": secret.to_uppercase(), "key_pattern": secret, "fresh_within": secret, "grace_period": secret,
        "on_degrade": secret, "idle_after": secret, "fallback": {"name": 1, "price": secret},
        "bad name": secret, "other": secret
    });
    let found = Declared::read(members(wrong), None, &anywhere).unwrap_err();
    assert_eq!(found.len(), 10, "{found:?}");
    assert!(
        !format!("{found:?}").to_lowercase().contains("hunter2"),
        "{found:?}"
    );
}

#[test]
fn a_name_in_the_path_counts() {
    let named = |path| Declared::read(with(json!({"name": null})), Some(path), &anywhere);
    assert_eq!(named("other").unwrap().name(), "other");
    assert_eq!(named("Other").unwrap_err()[0].field, "name");
    let differs = Declared::read(with(json!({})), Some("other"), &anywhere).unwrap_err();
    assert_eq!(differs[0].code, ProblemCode::IdMismatch);
}

#[test]
fn the_example_is_a_file_of_contracts() {
    let text = include_str!("../../../configuration/contracts.example.yaml");
    let all = parse_file(text, &anywhere).unwrap();
    let names: Vec<_> = all.iter().map(Declared::name).collect();
    assert_eq!(names, ["gift-card", "limited-edition", "live-prices"]);
}

#[test]
fn a_file_is_json_or_yaml_and_an_array_or_an_object() {
    let one = Value::from(with(json!({})));
    let yaml = "- name: live-prices\n  key_pattern: product:LAPTOP-*\n  fresh_within: 2000\n  grace_period: 30000\n  on_degrade: ServeStale\n";
    for text in [
        json!([one]).to_string(),
        json!({"contracts": [one]}).to_string(),
        serde_json::to_string_pretty(&json!({"contracts": [one]})).unwrap(),
        yaml.to_owned(),
        format!("# prices\ncontracts:\n{yaml}"),
    ] {
        let found =
            parse_file(&text, &anywhere).unwrap_or_else(|rules| panic!("{text}: {rules:?}"));
        assert_eq!(
            found,
            [Declared::read(with(json!({})), None, &anywhere).unwrap()]
        );
    }
    assert_eq!(parse_file("[]", &anywhere), Ok(Vec::new()));
    assert_eq!(parse_file("contracts: []", &anywhere), Ok(Vec::new()));
}

#[test]
fn what_is_wrong_with_a_file_is_said_a_line_each_with_the_contract() {
    for (text, lines) in [
        (
            "",
            vec!["must be YAML or JSON in which no member is named twice, line 1"],
        ),
        ("7", vec!["must be an array of contracts, or"]),
        ("hunter2", vec!["must be an array of contracts, or"]),
        (
            "{",
            vec!["must be YAML or JSON in which no member is named twice, line "],
        ),
        (
            "contracts: {}",
            vec!["must have an array under `contracts`"],
        ),
        ("rules: []", vec!["must have no member beside `contracts`"]),
        (
            "- a\n- b",
            vec![
                "contract 1 must be an object",
                "contract 2 must be an object",
            ],
        ),
        (
            "[{name: a, name: b}]",
            vec!["must be YAML or JSON in which no member is named twice"],
        ),
    ] {
        let found = parse_file(text, &anywhere).unwrap_err();
        assert_eq!(found.len(), lines.len(), "{text}: {found:?}");
        for (found, line) in found.iter().zip(lines) {
            assert!(found.starts_with(line), "{text}: {found}");
        }
    }
    let good = with(json!({}));
    let file = json!([
        good,
        with(json!({"name": "second", "fresh_within": 0, "ttl": 1})),
        with(json!({"key_pattern": "product:x"})),
        with(json!({"name": "fourth"})),
        with(json!({"name": "Fifth", "key_pattern": "product:y"}))
    ]);
    let found = parse_file(&file.to_string(), &anywhere).unwrap_err();
    assert_eq!(
        found,
        [
            "contract 2 (second): `fresh_within` must be a whole number of milliseconds from 1 to 31536000000",
            "contract 2 (second): `ttl` is not a member of a contract",
            "contract 3 (live-prices): `name` is that of another contract above",
            "contract 4 (fourth): `key_pattern` is that of live-prices too",
            "contract 5: `name` must be words of lower case letters and digits joined by hyphens, at most 64 characters",
        ]
    );
}

#[test]
fn there_may_be_a_thousand() {
    let file = |count: usize| {
        let one =
            |at| with(json!({"name": format!("c-{at}"), "key_pattern": format!("product:{at}")}));
        Value::from(
            (0..count)
                .map(|at| Value::from(one(at)))
                .collect::<Vec<_>>(),
        )
        .to_string()
    };
    assert_eq!(
        parse_file(&file(1000), &anywhere).map(|all| all.len()),
        Ok(1000)
    );
    let refused = parse_file(&file(1001), &anywhere).unwrap_err();
    assert_eq!(refused, ["must have at most 1000 contracts, and has 1001"]);
}

#[test]
fn what_is_on_disk_comes_back_and_what_is_none_is_left_out() {
    let mut book = Book::default();
    book.add(
        Declared::read(
            with(json!({"name": "of-file", "key_pattern": "product:f"})),
            None,
            &anywhere,
        )
        .unwrap(),
        Origin::File,
    )
    .unwrap();
    let own = with(json!({"on_degrade": "ServeFallback", "fallback": fallback()}));
    let own = Declared::read(own, None, &anywhere).unwrap();
    book.add(own.clone(), Origin::Operator).unwrap();
    let bytes = record(&book).unwrap();
    assert_eq!(recorded(&bytes, read), std::slice::from_ref(&own));
    let damaged = json!([own.members(), {"name": "x"}]).to_string();
    assert_eq!(recorded(damaged.as_bytes(), read), [own]);
    assert!(recorded(b"[{", read).is_empty());
}

#[test]
fn operators_contracts_are_bounded_together() {
    let large = json!({"name": "x", "price": {"amount": 1, "currency": "EUR"}, "attributes": {"a": "x".repeat(250_000)}});
    let mut book = Book::default();
    let refused = (0..20).find_map(|at| {
        let name = format!("c-{at}");
        let pattern = format!("product:{at}");
        let changes = json!({"name": name, "key_pattern": pattern, "on_degrade": "ServeFallback", "fallback": large});
        book.add(Declared::read(with(changes), None, &anywhere).unwrap(), Origin::Operator).unwrap();
        record(&book).err().map(|refused| (at, refused))
    });
    assert_eq!(refused, Some((16, Refused::TooMany)));
}

#[test]
fn refreshes_ask_where_they_may_and_for_one_product_each() {
    let base = "http://inventory.test/api".parse().unwrap();
    let others = RefreshOrigin::list("https://prices.test").unwrap();
    let judge = |text: &str| judge_url(text, &base, &others);
    let read = |pattern: &str, url: &str| {
        let members = with(json!({"key_pattern": pattern, "refresh_from": url}));
        Declared::read(members, None, &judge)
    };
    for (pattern, url) in [
        ("product:*", "http://inventory.test/prices/{id}"),
        ("product:A*", "https://prices.test/?of={id}"),
        ("product:A", "https://prices.test/a"),
        ("product:A", "https://prices.test/{id}"),
    ] {
        let declared = read(pattern, url).unwrap();
        assert_eq!(declared.contract().refresh_from.as_deref(), Some(url));
    }
    for (pattern, url, rule) in [
        ("product:*", "https://prices.test/all", "must have {id}"),
        (
            "product:*",
            "https://elsewhere.test/{id}",
            "must be at one of these origins: http://inventory.test, https://prices.test",
        ),
        (
            "product:*",
            "http://prices.test/{id}",
            "must be at one of these origins",
        ),
        (
            "product:*",
            "https://user:hunter2@prices.test/{id}",
            "must not have credentials",
        ),
        ("product:*", "/prices/{id}", "must be an http or https URL"),
    ] {
        let wrong = read(pattern, url).unwrap_err();
        assert_eq!(
            (wrong.len(), &*wrong[0].field),
            (1, "refresh_from"),
            "{url}"
        );
        let start = format!("`refresh_from` {rule}");
        assert!(wrong[0].description.starts_with(&start), "{wrong:?}");
        assert!(!wrong[0].description.contains("hunter2"));
    }
}
