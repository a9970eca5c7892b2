use super::*;
use serde_json::{Value, json};

const SHOP: &str = r#"[
  {"id": 1, "title": "Mascara", "price": 9.99, "category": "beauty", "brand": "Essence",
   "sku": "BEA-1", "tags": ["beauty", "mascara"], "rating": 2.56, "dimensions": {"width": 15.14},
   "meta": {"createdAt": "2025-04-30T09:41:02.053Z", "updatedAt": "2025-05-30T09:41:02Z", "barcode": "578"}},
  {"id": "0042", "title": "Green tea", "price": 120, "currency": "JPY"},
  {"id": 3, "title": "Dates", "price": "1.234", "currency": "BHD"}
]"#;

fn parse(text: &str) -> Result<Catalogue, String> {
    Catalogue::parse(text, Path::new("shop.json")).map_err(|error| error.to_string())
}

fn bodies(text: &str) -> Vec<Value> {
    let items = parse(text).unwrap().items.into_iter();
    items
        .map(|item| serde_json::from_slice(&item.body).unwrap())
        .collect()
}

#[test]
fn the_shop_shape_becomes_the_inventorys_own() {
    let bodies = bodies(SHOP);
    assert_eq!(
        bodies[0],
        json!({
            "id": "1", "name": "Mascara", "price": {"amount": 999, "currency": "USD"},
            "category": "beauty", "brand": "Essence", "sku": "BEA-1", "tags": ["beauty", "mascara"],
            "createdAt": "2025-04-30T09:41:02.053Z", "updatedAt": "2025-05-30T09:41:02Z",
            "attributes": {
                "rating": 2.56, "dimensions": {"width": 15.14},
                "meta": {"createdAt": "2025-04-30T09:41:02.053Z", "updatedAt": "2025-05-30T09:41:02Z", "barcode": "578"},
            },
        })
    );
    assert_eq!(bodies[1]["id"], "0042");
    assert_eq!(
        bodies[1]["price"],
        json!({"amount": 120, "currency": "JPY"})
    );
    assert_eq!(
        bodies[2]["price"],
        json!({"amount": 1234, "currency": "BHD"})
    );
}

#[test]
fn the_inventorys_own_shape_is_kept() {
    let own = json!({
        "id": "p-1", "name": "Tea", "price": {"amount": 500, "currency": "EUR"},
        "status": "active", "tags": [], "attributes": {"leaf": "whole"}, "stock": 7,
    });
    let body = &bodies(&format!("[{own}]"))[0];
    assert_eq!(body["attributes"], json!({"leaf": "whole", "stock": 7}));
    assert_eq!(body["price"], own["price"]);
}

#[test]
fn products_may_be_wrapped_or_one_a_line() {
    let line = r#"{"id":ID,"title":"T","price":1}"#;
    let [a, b] = ["1", "2"].map(|id| line.replace("ID", id));
    for text in [
        format!("[{a},{b}]"),
        format!("{{\"products\":[{a},{b}],\"total\":2}}"),
        format!("{{\"data\":[{a},{b}],\"paging\":{{}}}}"),
        format!("{a}\n{b}\n"),
        format!("\u{feff}{a}\r\n\r\n{b}"),
    ] {
        assert_eq!(parse(&text).unwrap().len(), 2, "{text}");
    }
    assert_eq!(parse(&a).unwrap().len(), 1);
}

/// Texts that are no catalogues, and what is said of them.
const BAD: &[(&str, &str)] = &[
    ("", "shop.json: has no products in it"),
    (" \n", "shop.json: has no products in it"),
    ("[]", "shop.json: has no products in it"),
    (
        "{\"a\":1}",
        "shop.json: must be an array, an object with an array under `products` or `data`, or NDJSON",
    ),
    (
        "{\"products\":7}",
        "shop.json: must be an array, an object with an array under `products` or `data`, or NDJSON",
    ),
    (
        "7",
        "shop.json: must be an array, an object with an array under `products` or `data`, or NDJSON",
    ),
    ("[\n1,\n", "shop.json: not JSON at line 3, column 0"),
    ("<html>", "shop.json: not JSON at line 1, column 1"),
    (
        "[7]",
        "shop.json: item 0: member `product` must be an object",
    ),
    (
        r#"[{"id":1,"title":"T"}]"#,
        "shop.json: item 0: member `name` is missing",
    ),
    (
        r#"[{"id":1,"title":"T","price":12.345}]"#,
        "shop.json: item 0: member `price` has more decimals than its currency",
    ),
    (
        r#"[{"id":1,"title":"T","price":true}]"#,
        "shop.json: item 0: member `price` must be a decimal number",
    ),
    (
        r#"[{"id":1,"title":"T","price":1,"currency":"XAU"}]"#,
        "shop.json: item 0: member `currency` has no minor unit",
    ),
    (
        r#"[{"id":1,"title":"T","price":1,"currency":"usd"}]"#,
        "shop.json: item 0: member `currency` must be an ISO 4217 code",
    ),
    (
        r#"[{"id":"a b","title":"T","price":1}]"#,
        "shop.json: item 0: member `id` must follow the pattern of product ids",
    ),
    (
        r#"[{"id":1,"price":1}]"#,
        "shop.json: item 0: member `title` is missing",
    ),
    (
        "{\"id\":1,\"title\":\"T\",\"price\":1}\n\n{\"id\":2}",
        "shop.json: line 3: member `name` is missing",
    ),
    (
        "{\"id\":1,\"title\":\"T\",\"price\":1}\n{\"id\":\"1\",\"title\":\"U\",\"price\":2}",
        "shop.json: line 2: id `1` is taken by line 1",
    ),
];

#[test]
fn errors_name_file_place_member_and_rule() {
    for (text, expected) in BAD {
        assert_eq!(parse(text).unwrap_err(), *expected, "{text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Catalogue::read(Path::new("no/such/file.json")).unwrap_err();
    assert_eq!(error.to_string(), "no/such/file.json: can not be read");
    assert!(
        std::error::Error::source(&error).is_some(),
        "which says why"
    );
}
