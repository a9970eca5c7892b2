use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

fn read(json: &serde_json::Value, published: &PublishedMembers) -> Result<Product, String> {
    product(&json.to_string(), published).map_err(|error| error.to_string())
}

/// A usable product with `name` set to `value`.
fn with(name: &str, value: serde_json::Value) -> serde_json::Value {
    let mut json = json!({"id": "p-1", "name": "Tea", "price": {"amount": 500, "currency": "EUR"}});
    json[name] = value;
    json
}

#[test]
fn a_full_product_is_read_as_it_is() {
    let json = json!({
        "id": "p-1", "sku": "S", "name": "T\u{e9}", "description": "D", "category": "C", "brand": "B",
        "price": {"amount": 500, "currency": "EUR"}, "status": "active", "tags": ["a"],
        "attributes": {"k": [1, 2.5]}, "createdAt": "2024-01-01T00:00:00Z", "updatedAt": "2024-01-01T00:00:00.5Z",
    });
    let product = read(&json, &PublishedMembers::None).unwrap();
    assert_eq!(serde_json::to_value(product).unwrap(), json);
}

#[test]
fn escapes_in_names_and_values_are_understood() {
    let json =
        r#"{"\u0069d":"p\u002d1","name":"T\u00e9\n","price":{"amount":5,"c\u0075rrency":"EUR"}}"#;
    let product = product(json, &PublishedMembers::None).unwrap();
    assert_eq!(
        (product.id.as_str(), product.name.as_str()),
        ("p-1", "T\u{e9}\n")
    );
}

#[test]
fn ids_may_be_integers_and_leading_zeros_of_strings_stay() {
    for (id, expected) in [
        (json!(42), "42"),
        (json!("0042"), "0042"),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        assert_eq!(
            read(&with("id", id), &PublishedMembers::None)
                .unwrap()
                .id
                .as_str(),
            expected
        );
    }
}

#[test]
fn a_broken_required_member_is_named() {
    const ID: &str = "member `id` must follow the pattern of product ids";
    for (member, value, expected) in [
        ("id", json!("a b"), ID),
        ("id", json!(""), ID),
        (
            "id",
            json!(-5),
            "member `id` must be a string or an integer",
        ),
        (
            "id",
            json!(1.5),
            "member `id` must be a string or an integer",
        ),
        (
            "id",
            json!(null),
            "member `id` must be a string or an integer",
        ),
        ("name", json!(null), "member `name` must be a string"),
        ("name", json!(" "), "member `name` must not be empty"),
        (
            "price",
            json!(5),
            "member `price` must be an object with `amount` and `currency`",
        ),
        (
            "price",
            json!({"amount": 1.5, "currency": "EUR"}),
            "member `price.amount` must be an integer in minor units",
        ),
        (
            "price",
            json!({"currency": "EUR"}),
            "member `price.amount` must be an integer in minor units",
        ),
        (
            "price",
            json!({"amount": 1}),
            "member `price.currency` must be an ISO 4217 code",
        ),
        (
            "price",
            json!({"amount": 1, "currency": "eur"}),
            "member `price.currency` must be an ISO 4217 code",
        ),
    ] {
        assert_eq!(
            read(&with(member, value), &PublishedMembers::None),
            Err(expected.to_owned())
        );
    }
}

#[test]
fn a_missing_required_member_is_named() {
    for member in ["id", "name", "price"] {
        let mut json = with("id", "p-1".into());
        json.as_object_mut().unwrap().remove(member);
        assert_eq!(
            read(&json, &PublishedMembers::None),
            Err(format!("member `{member}` is missing"))
        );
    }
    assert_eq!(
        read(&json!([]), &PublishedMembers::None),
        Err("member `product` must be an object".into())
    );
}

#[test]
fn a_broken_optional_member_is_dropped_and_the_product_kept() {
    let plain = read(&with("name", "Tea".into()), &PublishedMembers::None).unwrap();
    for (member, value) in [
        ("sku", json!(5)),
        ("description", json!(null)),
        ("status", json!("resting")),
        ("tags", json!("a,b")),
        ("tags", json!(["a", 1])),
        ("attributes", json!([])),
        ("createdAt", json!("yesterday")),
        ("updatedAt", json!(1_700_000_000)),
    ] {
        let product = read(&with(member, value), &PublishedMembers::None);
        assert_eq!(product.as_ref(), Ok(&plain), "{member}");
    }
}

#[test]
fn members_of_nobody_leak_only_where_they_are_published() {
    let mut json = with("cost", 300.into());
    json["stock"] = 7.into();
    json["leaf"] = "published".into();
    json["attributes"] = json!({"leaf": "own"});
    json["price"]["net"] = 1.into();
    let attributes =
        |published| serde_json::to_value(read(&json, &published).unwrap().attributes).unwrap();
    assert_eq!(attributes(PublishedMembers::None), json!({"leaf": "own"}));
    let named = PublishedMembers::Named(["stock".to_owned(), "leaf".to_owned()].into());
    assert_eq!(attributes(named), json!({"leaf": "own", "stock": 7}));
    assert_eq!(
        attributes(PublishedMembers::All),
        json!({"leaf": "own", "stock": 7, "cost": 300})
    );
}

#[test]
fn a_page_needs_its_products_and_its_cursors() {
    for (text, after) in [
        (
            r#"{"data":[1,{}],"paging":{"cursors":{"after":"x=="}}}"#,
            Some("x=="),
        ),
        (
            r#"{"data":[1,2],"paging":{"cursors":{"after":null}}}"#,
            None,
        ),
        (r#"{"data":[1,2],"paging":{"cursors":{}},"more":1}"#, None),
        (
            r#"{"data":[1,2],"paging":{"cursors":{"after":1234}}}"#,
            Some("1234"),
        ),
    ] {
        let page = page(text).unwrap();
        assert_eq!((page.items.len(), page.after.as_deref()), (2, after));
    }
    for text in [
        "[]",
        r#"{"data":[]}"#,
        r#"{"data":{},"paging":{"cursors":{}}}"#,
        r#"{"paging":{"cursors":{}}}"#,
        r#"{"data":[],"paging":{"cursors":{"after":{}}}}"#,
    ] {
        assert!(page(text).is_err(), "{text}");
    }
}

#[test]
fn a_written_body_has_an_id_only_where_there_is_one() {
    let draft = Draft::parse(
        br#"{"name":"Tea","price":{"amount":1,"currency":"EUR"}}"#,
        None,
    )
    .unwrap();
    let id = ProductId::parse("p-1").unwrap();
    let parsed = |body: Bytes| serde_json::from_slice::<serde_json::Value>(&body).unwrap();
    assert_eq!(parsed(body(&draft, None)).get("id"), None);
    let sent = parsed(body(&draft, Some(&id)));
    assert_eq!((&sent["id"], &sent["name"]), (&json!("p-1"), &json!("Tea")));
}

const MEMBERS: &[&str] = &[
    r#""id""#,
    r#""sku""#,
    r#""n\u0061me""#,
    r#""description""#,
    r#""category""#,
    r#""brand""#,
    r#""price""#,
    r#""status""#,
    r#""tags""#,
    r#""attributes""#,
    r#""createdAt""#,
    r#""updatedAt""#,
    r#""cost""#,
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "7",
    "-7",
    "1.5",
    "1e999",
    "18446744073709551616",
    r#""text""#,
    r#"" ""#,
    r#""\n\u00e9""#,
    r#""\ud800""#,
    r#""active""#,
    r#""2024-01-01T00:00:00.5Z""#,
    r#"["a","b"]"#,
    r#"["a",1]"#,
    r#"[5,"EUR"]"#,
    r#"{"amount":5,"currency":"USD"}"#,
    r#"{"amount":5,"currency":"USD","net":4}"#,
    r#"{"amount":5.0,"currency":"USD"}"#,
    r#"{"amount":5,"amount":6,"currency":"USD"}"#,
    r#"{"a":[1,{"b":null}],"cost":"own"}"#,
    r#"{"a":1e999}"#,
];

#[test]
fn a_product_whose_members_are_as_they_should_be_is_read_in_one_pass() {
    let json = with("tags", json!(["a"]));
    for published in [PublishedMembers::None, PublishedMembers::All] {
        assert!(exact::product(&json.to_string(), &published).is_some());
    }
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(text in r#"\{("(id|name|price|tags|x)":("p"|1|\{"amount":1\}|null|\[\]),?){0,6}\}"#) {
        let _ = product(&text, &PublishedMembers::All);
    }

    #[test]
    fn what_is_read_in_one_pass_is_what_the_tolerant_reader_makes_of_it(
        members in vec((select(MEMBERS), select(VALUES)), 0..10),
        is_usable: bool,
        published in select(vec![PublishedMembers::None, PublishedMembers::All]),
    ) {
        let usable = is_usable.then_some(r#""id":"p-1","name":"Tea","price":{"amount":500,"currency":"EUR"}"#);
        let members = members.iter().map(|(name, value)| format!("{name}:{value}"));
        let members = usable.map(str::to_owned).into_iter().chain(members).collect::<Vec<_>>();
        let json = format!("{{{}}}", members.join(","));
        if let Some(product) = exact::product(&json, &published) {
            prop_assert_eq!(tolerant(&json, &published), Ok(product));
        }
    }
}
