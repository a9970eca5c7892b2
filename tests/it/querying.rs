//! Queries: conditions, orders, choices, counts, lists of ids, searches, categories and brands.

use crate::harness::{Answer, Setup, TestApp};
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Every product there is, as it is answered.
async fn all(app: &TestApp) -> Vec<Value> {
    let mut products = Vec::new();
    let mut path = "/products?limit=100".to_owned();
    loop {
        let page = app.get(&path).await;
        products.extend(page.json()["data"].as_array().unwrap().iter().cloned());
        match page.cursor("after") {
            Some(after) => path = format!("/products?limit=100&after={after}"),
            None => return products,
        }
    }
}

fn ids(products: &[Value]) -> Vec<String> {
    let ids = products
        .iter()
        .map(|product| product["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn search(app: &TestApp, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    app.send(Method::POST, "/products/search", &headers, body.to_string())
        .await
}

fn product(name: &str, category: &str, amount: i64) -> Value {
    json!({"name": name, "category": category, "price": {"amount": amount, "currency": "EUR"}})
}

#[tokio::test(start_paused = true)]
async fn conditions_choose_and_an_order_sorts() {
    let app = Setup::products(150).warm().await;
    let products = all(&app).await;
    let amount = |product: &Value| product["price"]["amount"].as_i64().unwrap();
    let mut expected: Vec<Value> = products
        .iter()
        .filter(|product| (1000..5000).contains(&amount(product)))
        .cloned()
        .collect();
    assert!(expected.len() > 5, "the test has something to find");
    expected.sort_by_key(|product| {
        (
            std::cmp::Reverse(amount(product)),
            product["id"].as_str().unwrap().to_owned(),
        )
    });
    let path = "/products?limit=100&price%3E=1000&price%3C5000&sortby=-price,%2Bid";
    let page = app.get(path).await;
    assert_eq!(
        page.ids(),
        ids(&expected)[..expected.len().min(100)],
        "{}",
        page.text()
    );
    let count = app.get("/products?count&price%3E=1000&price%3C5000").await;
    assert_eq!(count.text(), expected.len().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_page_links_to_its_neighbours_and_the_links_can_be_followed() {
    let app = Setup::products(30).warm().await;
    let path = "/products?limit=10&sortby=%2Bname&select=id,name&price%3E=0";
    let first = app.get(path).await;
    let link = first.header("link");
    assert!(link.ends_with("&price%3E=0>; rel=\"next\""), "{link}");
    let target = link.trim_start_matches('<').split('>').next().unwrap();
    let second = app.get(target).await;
    assert_eq!(second.ids().len(), 10);
    let link = second.header("link");
    let previous = link.split(", <").nth(1).unwrap().split('>').next().unwrap();
    assert_eq!(app.get(previous).await.body(), first.body());
}

#[tokio::test(start_paused = true)]
async fn a_choice_leaves_those_members_alone_and_has_a_tag_of_its_own() {
    let app = Setup::products(5).warm().await;
    let whole = app.get("/products/P-000002").await;
    let some = app.get("/products/P-000002?select=name,id,name").await;
    assert_eq!(
        some.json(),
        json!({"id": "P-000002", "name": whole.json()["name"]})
    );
    let same = app.get("/products/P-000002?select=id,name").await;
    assert_eq!(same.header("etag"), some.header("etag"));
    assert_ne!(whole.header("etag"), some.header("etag"));
    assert_eq!(whole.header("last-modified"), some.header("last-modified"));
    let tag = some.header("etag");
    let again = app
        .get_with(
            "/products/P-000002?select=id,name",
            &[("if-none-match", tag)],
        )
        .await;
    assert_eq!(again.status(), 304);
    let page = app.get("/products?select=id").await;
    assert_eq!(page.json()["data"][0], json!({"id": "P-000001"}));
    for path in [
        "/products?select=colour",
        "/products/P-000002?select=",
        "/products/P-000002?limit=5",
    ] {
        assert_eq!(app.get(path).await.status(), 400, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_products_come_in_the_order_asked_with_those_that_are_missing() {
    let app = Setup::products(5).warm().await;
    let gets = app.inventory.calls_of("get");
    let answer = app
        .get("/products?id=P-000004,P-000001,nobody,P-000004&select=id")
        .await;
    assert_eq!(
        answer.json(),
        json!({
            "data": [{"id": "P-000004"}, {"id": "P-000001"}],
            "missing": ["nobody"], "paging": {"cursors": {}},
        })
    );
    assert_eq!(
        app.inventory.calls_of("get"),
        gets + 1,
        "what is held is not asked for"
    );
    // That there is no such product is remembered for CACHE_NEGATIVE_TTL_SECONDS.
    for (query, wait, max_age, status) in [
        ("id=P-000004,nobody", 10, 20, "hit; ttl=20"),
        ("id=nobody", 0, 20, "hit; detail=negative"),
        ("id=no1,no2", 0, 30, "fwd=uri-miss"),
        ("id=no1,nobody", 0, 20, "hit; detail=negative"),
    ] {
        app.later(std::time::Duration::from_secs(wait)).await;
        let answer = app.get(&format!("/products?{query}")).await;
        let control = format!("public, max-age={max_age}");
        let status = format!("product-catalog; {status}");
        assert_eq!(answer.header("cache-control"), control, "{query}");
        assert_eq!(answer.header("cache-status"), status, "{query}");
    }
    for (query, code) in [
        ("id=a%20%3C", "INVALID_PARAMETER"),
        ("id=a&limit=5", "CONFLICTING_PARAMETERS"),
        ("id=a&price=5", "CONFLICTING_PARAMETERS"),
    ] {
        let answer = app.get(&format!("/products?{query}")).await;
        assert_eq!(
            (answer.status(), answer.codes()),
            (400, vec![code.to_owned()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_is_a_bare_integer_with_a_tag() {
    let app = Setup::products(42).warm().await;
    let count = app.get("/products?count").await;
    assert_eq!(count.text(), "42");
    assert_eq!(
        count.header("cache-control"),
        "public, max-age=60, stale-while-revalidate=60"
    );
    let again = app
        .get_with(
            "/products?count",
            &[("if-none-match", count.header("etag"))],
        )
        .await;
    assert_eq!(again.status(), 304);
    app.write(Method::PUT, "/products/new", &product("New", "x", 1))
        .await;
    assert_eq!(
        app.get("/products?count&limit=7&select=id").await.text(),
        "43"
    );
    for query in ["count=", "count=1", "count=true"] {
        assert_eq!(
            app.get(&format!("/products?{query}")).await.status(),
            400,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_asks_the_same_in_a_body_and_may_not_be_kept() {
    let app = Setup::products(60).warm().await;
    let body = json!({
        "filter": {"price": {">=": 1000, "<": 90000}}, "sortby": "-price,+id", "select": ["id"], "limit": 7,
    });
    let found = search(&app, &body).await;
    let query = "/products?price%3E=1000&price%3C90000&sortby=-price,%2Bid&select=id&limit=7";
    let page = app.get(query).await;
    assert_eq!((found.status(), found.body()), (200, page.body()));
    assert_eq!(found.header("cache-control"), "no-store");
    assert_eq!(
        (found.header("etag"), found.header("last-modified")),
        ("", "")
    );
    let mut next = body.clone();
    next["after"] = json!(found.cursor("after").unwrap());
    let second = search(&app, &next).await;
    assert!(second.is_ok() && second.ids() != found.ids());
    let count = search(&app, &json!({"count": true})).await;
    assert_eq!(count.text(), "60");
}

#[tokio::test(start_paused = true)]
async fn a_search_that_can_not_be_understood_says_everything_that_is_wrong() {
    let app = Setup::products(3).warm().await;
    let body = json!({"filter": {"price": {">=": "x"}, "colour": 1}, "limit": 0, "page": 1});
    let answer = search(&app, &body).await;
    assert_eq!(answer.status(), 400);
    for field in ["filter.price", "filter.colour", "limit", "page"] {
        let named = format!("\"field\":\"{field}\"");
        assert!(answer.text().contains(&named), "{field}: {}", answer.text());
    }
    assert_eq!(search(&app, &json!([])).await.codes(), ["MALFORMED_BODY"]);
    let headers = [("content-type", "text/plain")];
    let plain = app
        .send(Method::POST, "/products/search", &headers, "{}")
        .await;
    assert_eq!(plain.status(), 415);
    assert_eq!(app.get("/products/search").await.status(), 405);
}

#[tokio::test(start_paused = true)]
async fn until_the_index_is_complete_only_plain_pages_are_answered() {
    let app = Setup::products(45).cold().await;
    app.inventory
        .knobs()
        .turn(|faults| faults.latency_ms = 5000);
    for path in [
        "/products?sortby=name",
        "/products?price=5",
        "/products?select=id",
        "/products?count",
        "/categories",
        "/brands",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_ne!(answer.header("retry-after"), "", "{path}");
    }
    assert_eq!(search(&app, &json!({"q": "tea"})).await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn categories_and_brands_have_counts() {
    let app = Setup::products(120).warm().await;
    let products = all(&app).await;
    for (path, member) in [("/categories", "category"), ("/brands", "brand")] {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for product in &products {
            if let Some(name) = product[member].as_str() {
                *counts.entry(name).or_default() += 1;
            }
        }
        let expected: Vec<_> = counts
            .iter()
            .map(|(name, count)| json!({"name": name, "count": count}))
            .collect();
        let mut seen = Vec::new();
        let mut next = format!("{path}?limit=3");
        loop {
            let page = app.get(&next).await;
            assert!(page.is_ok(), "{}", page.text());
            seen.extend(page.json()["data"].as_array().unwrap().iter().cloned());
            match page.cursor("after") {
                Some(after) => next = format!("{path}?limit=3&after={after}"),
                None => break,
            }
        }
        assert_eq!(seen, expected);
    }
    let one = app
        .write(Method::PUT, "/products/n", &product("N", "a/b ü", 1))
        .await;
    assert_eq!(one.status(), 201);
    let category = app.get("/categories/a%2Fb%20%C3%BC").await;
    assert_eq!(category.json(), json!({"name": "a/b ü", "count": 1}));
    for (path, code) in [
        ("/categories/nothing", "CATEGORY_NOT_FOUND"),
        ("/categories/%FF", "CATEGORY_NOT_FOUND"),
        ("/brands/nobody", "BRAND_NOT_FOUND"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(
            (answer.status(), answer.codes()),
            (404, vec![code.to_owned()])
        );
    }
    for query in ["limit=0", "offset=1", "after=x", "sortby=name"] {
        assert_eq!(
            app.get(&format!("/brands?{query}")).await.status(),
            400,
            "{query}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_parameters_says_so_and_does_nothing() {
    let app = Setup::products(3).warm().await;
    let (product, some) = ("/products/P-000001", &json!({}));
    for (method, path) in [
        (Method::POST, "/products"),
        (Method::PUT, product),
        (Method::PATCH, product),
        (Method::DELETE, product),
        (Method::POST, "/products/batch"),
        (Method::PATCH, "/products/batch"),
        (Method::DELETE, "/products/batch"),
        (Method::POST, "/products/search"),
        (Method::GET, "/products/P-000001/availability"),
        (Method::GET, "/categories/any"),
        (Method::GET, "/brands/any"),
    ] {
        let answer = app.write(method, &format!("{path}?dry-run=1"), some).await;
        let error = &answer.json()["fault"]["errors"][0];
        assert_eq!(
            (answer.status(), &error["errorCode"], &error["parameter"]),
            (400, &json!("UNKNOWN_PARAMETER"), &json!("dry-run")),
            "{path}"
        );
    }
    assert_eq!(app.get(product).await.status(), 200);
}

/// What happens between two pages of a walk.
#[derive(Clone, Debug)]
enum Change {
    Insert(u16, i64),
    Remove(u16),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (100..140_u16, 0..2000_i64).prop_map(|(number, amount)| Change::Insert(number, amount)),
        (100..140_u16).prop_map(Change::Remove),
    ]
}

/// Walks through all products in this order, with changes to others in between, there and back.
async fn walk(order: &str, back: bool, limit: usize, changes: &[Change]) {
    let app = Setup::products(40).warm().await;
    let stays: BTreeSet<String> = ids(&all(&app).await).into_iter().collect();
    let query = format!("limit={limit}&sortby={order}&price%3E=0");
    let direction = if back { "before" } else { "after" };
    let mut next = format!("/products?{query}");
    if back {
        // The page before a place at the end: what comes after everything else.
        while let Some(after) = app.get(&next).await.cursor("after") {
            next = format!("/products?{query}&after={after}");
        }
    }
    let (mut seen, mut changes) = (Vec::new(), changes.iter());
    loop {
        let page = app.get(&next).await;
        assert!(page.is_ok(), "{next}: {}", page.text());
        assert!(page.ids().len() <= limit);
        seen.extend(page.ids());
        let Some(cursor) = page.cursor(direction) else {
            break;
        };
        next = format!("/products?{query}&{direction}={cursor}");
        for change in changes.by_ref().take(2) {
            let (method, number, body) = match change {
                Change::Insert(number, amount) => (
                    Method::PUT,
                    number,
                    product(&format!("N{amount}"), "x", *amount),
                ),
                Change::Remove(number) => (Method::DELETE, number, Value::Null),
            };
            app.write(method, &format!("/products/X-{number}"), &body)
                .await;
        }
    }
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    for id in &stays {
        let times = seen.iter().filter(|other| *other == id).count();
        assert_eq!(times, 1, "{id} in the order {order}");
    }
    assert!(distinct.is_superset(&stays));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_walk_in_any_order_visits_what_stays_once_while_others_come_and_go(
        order in proptest::sample::subsequence(
            vec!["id", "sku", "name", "category", "brand", "price", "currency", "status", "createdAt", "updatedAt"], 1..=5,
        ).prop_shuffle(),
        ascending in proptest::collection::vec(any::<bool>(), 5),
        back: bool, limit in 1..20_usize, changes in proptest::collection::vec(change(), 0..40),
    ) {
        let order: Vec<_> = order
            .iter()
            .zip(ascending)
            .map(|(field, ascending)| format!("{}{field}", if ascending { "%2B" } else { "-" }))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(walk(&order.join(","), back, limit, &changes));
    }
}
