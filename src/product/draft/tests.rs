use super::ProblemCode::*;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(body: &Value) -> Result<Draft, Vec<Problem>> {
    Draft::parse(body.to_string().as_bytes(), None)
}

fn problems(body: &Value) -> Vec<(ProblemCode, String)> {
    let problems = parse(body).unwrap_err().into_iter();
    problems
        .map(|problem| (problem.code, problem.field))
        .collect()
}

/// A valid body with `name` set to `value`.
fn with(name: &str, value: Value) -> Value {
    let mut body = json!({"name": "Tea", "price": {"amount": 1, "currency": "EUR"}});
    body[name] = value;
    body
}

#[test]
fn an_amount_with_a_decimal_point_is_told_from_an_integer() {
    let body = br#"{"name":"T","price":{"amount":10.0,"currency":"EUR"}}"#;
    let problems = Draft::parse(body, None).unwrap_err();
    assert_eq!(problems[0].field, "price.amount");
    let rule = &problems[0].description;
    assert!(
        rule.contains("without a decimal point, in minor units"),
        "{rule}"
    );
}

#[test]
fn a_full_body_is_read_as_it_is() {
    let body = json!({
        "id": "p-1", "sku": "S", "name": "Tea", "description": "two\nlines", "category": "C",
        "brand": "B", "price": {"amount": 5122, "currency": "EUR"}, "status": "draft",
        "tags": ["a", "b"], "attributes": {"free": [1]}, "createdAt": "2024-01-01T00:00:00Z",
        "updatedAt": "2024-01-01T00:00:00Z",
    });
    let draft = parse(&body).unwrap();
    assert_eq!(serde_json::to_value(&draft.product).unwrap(), body);
    assert_eq!(draft.id, Some(draft.product.id));
}

#[test]
fn the_id_may_be_in_the_body_the_path_both_or_neither() {
    let path = ProductId::parse("p-1").unwrap();
    let bare = with("name", "Tea".into()).to_string();
    let named = with("id", "p-1".into()).to_string();
    assert_eq!(Draft::parse(bare.as_bytes(), None).unwrap().id, None);
    for (body, path_id) in [(&bare, Some(&path)), (&named, None), (&named, Some(&path))] {
        let draft = Draft::parse(body.as_bytes(), path_id).unwrap();
        assert_eq!((draft.id.as_ref(), &draft.product.id), (Some(&path), &path));
    }
    let other = ProductId::parse("p-2").unwrap();
    let found = Draft::parse(named.as_bytes(), Some(&other)).unwrap_err();
    assert_eq!(
        (found.len(), found[0].code, found[0].field.as_str()),
        (1, IdMismatch, "id")
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let body = json!({
        "price": {"amount": 1.5, "currency": "euro", "net": 1},
        "id": 7, "status": "sold", "tags": ["ok", "", 3], "attributes": [], "sku": null,
        "createdAt": "yesterday", "colour": "red", "<b>": 1, "<i>": 2,
    });
    let expected = [
        (InvalidField, "id"),
        (RequiredFieldMissing, "name"),
        (InvalidField, "price.amount"),
        (InvalidField, "price.currency"),
        (UnknownField, "price.net"),
        (InvalidField, "sku"),
        (InvalidField, "status"),
        (InvalidField, "tags.1"),
        (InvalidField, "tags.2"),
        (InvalidField, "attributes"),
        (InvalidField, "createdAt"),
        (UnknownField, "colour"),
        (UnknownField, ""),
    ];
    assert_eq!(
        problems(&body),
        expected.map(|(code, field)| (code, field.to_owned()))
    );
}

#[test]
fn bounds_hold_at_their_edges() {
    for (field, value, valid) in [
        ("name", json!("ä".repeat(512)), true),
        ("name", json!("ä".repeat(513)), false),
        ("name", json!("  "), false),
        ("name", json!("a\nb"), false),
        ("description", json!(""), true),
        ("description", json!("x".repeat(20_001)), false),
        ("brand", json!(""), false),
        ("tags", json!(vec!["x"; 100]), true),
        ("tags", json!(vec!["x"; 101]), false),
        ("attributes", json!({"a": "x".repeat(262_136)}), true),
        ("attributes", json!({"a": "x".repeat(262_137)}), false),
        ("price", json!({"amount": 0, "currency": "JPY"}), true),
        (
            "price",
            json!({"amount": i64::MAX, "currency": "BHD"}),
            true,
        ),
        ("price", json!({"amount": -1, "currency": "EUR"}), false),
        (
            "price",
            json!({"amount": 1u64 << 63, "currency": "EUR"}),
            false,
        ),
        ("price", json!({"amount": "1", "currency": "EUR"}), false),
        ("price", json!({"amount": 1, "currency": "eur"}), false),
        ("price", json!(5), false),
    ] {
        assert_eq!(
            parse(&with(field, value.clone())).is_ok(),
            valid,
            "{field} {value:.60}"
        );
    }
}

#[test]
fn a_body_that_is_no_object_is_one_problem() {
    for body in ["", "[]", "{\"name\":\"a\",\"name\":\"b\"}"] {
        let found = Draft::parse(body.as_bytes(), None).unwrap_err();
        assert_eq!((found.len(), found[0].code), (1, MalformedBody), "{body}");
    }
}

#[test]
fn a_flood_of_problems_is_cut() {
    let body: Map<_, _> = (0..5000).map(|n| (format!("m{n}"), json!(1))).collect();
    assert_eq!(parse(&Value::Object(body)).unwrap_err().len(), 100);
}

proptest! {
    #[test]
    fn values_are_never_repeated_to_the_caller(value in "[<>%$]{6,20}", at in 0usize..8) {
        let field = ["id", "status", "price", "tags", "createdAt", "attributes", "<x>", "sku"][at];
        let value = if field == "sku" { format!("{value}\u{0}") } else { value };
        for problem in parse(&with(field, value.clone().into())).unwrap_err() {
            prop_assert!(!problem.description.contains(&value) && !problem.field.contains(&value));
        }
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Draft::parse(&body, None);
    }
}

#[test]
fn a_member_named_like_a_tag_is_unknown() {
    let mut body = with("tags", json!(["a"]));
    body["tags.0"] = json!("b");
    assert_eq!(problems(&body), [(UnknownField, String::new())]);
}
