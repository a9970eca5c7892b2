//! Which representation a client gets: versions, codings, and the headers that go with them.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use futures_util::future::join_all;
use http::Method;
use product_catalog::demo::{Catalogue, Inventory};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;

const V2: &str = "application/json;v=2";
const V1: &str = "application/json;v=1";

/// A thing to ask for, and what it comes as.
#[derive(Clone, Copy)]
struct Route {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    status: u16,
    /// The preferred type first; none where nothing is negotiated.
    types: &'static [&'static str],
    /// The preferred coding first, identity last.
    codings: [&'static str; 4],
    /// Too short to be encoded, but for those who refuse identity.
    is_short: bool,
    /// It is never encoded, and the same by whichever name.
    is_plain: bool,
}

const KEPT: [&str; 4] = ["br", "zstd", "gzip", "identity"];
const ONCE: [&str; 4] = ["zstd", "br", "gzip", "identity"];

const ROUTES: [Route; 16] = [
    route("/products/long", 200, &[V2, V1], KEPT, false),
    route("/products/short", 200, &[V2, V1], KEPT, true),
    route("/products?limit=2", 200, &[V2, V1], ONCE, false),
    route(
        "/openapi",
        200,
        &["application/json", "application/yaml"],
        KEPT,
        false,
    ),
    route("/products/absent", 404, &[V2, V1], KEPT, true),
    route(
        "/products/long?select=description",
        200,
        &[V2, V1],
        ONCE,
        false,
    ),
    route("/products?count", 200, &[V2, V1], ONCE, true),
    route("/categories", 200, &[V2, V1], ONCE, true),
    route("/brands/Norvik", 200, &[V2, V1], ONCE, true),
    Route {
        method: "POST",
        body: "{}",
        ..route("/products/search", 200, &[V2, V1], ONCE, false)
    },
    plain("GET", "/products/long/availability", "", 200),
    // Nobody reads a body whose answer is not taken.
    plain("POST", "/products/batch", "{}", 400),
    plain("PATCH", "/products/batch", "{}", 400),
    plain("DELETE", "/products/batch", "{}", 400),
    route("/health", 200, &[], KEPT, true),
    route("/nowhere", 404, &[], KEPT, true),
];

/// Media ranges, from the least specific to the most.
const RANGES: [&str; 8] = [
    "*/*",
    "application/*",
    "application/json",
    "application/yaml",
    "text/html",
    V1,
    V2,
    "application/json;v=3",
];

const CODINGS: [&str; 6] = ["gzip", "br", "zstd", "identity", "*", "deflate"];

/// A list as a client may send it: members with weights in tenths.
type List = Vec<(&'static str, u32)>;

const fn route(
    path: &'static str,
    status: u16,
    types: &'static [&'static str],
    codings: [&'static str; 4],
    is_short: bool,
) -> Route {
    Route {
        method: "GET",
        path,
        body: "",
        status,
        types,
        codings,
        is_short,
        is_plain: false,
    }
}

/// JSON without versions and codings, by any of its names.
const fn plain(method: &'static str, path: &'static str, body: &'static str, status: u16) -> Route {
    Route {
        method,
        body,
        is_plain: true,
        ..route(path, status, &["application/json", V2, V1], KEPT, true)
    }
}

/// No list, and every list of one or two of `members`, with every weight.
fn lists(members: &[&'static str]) -> Vec<List> {
    const WEIGHTS: [u32; 3] = [10, 5, 0];
    let mut lists = vec![vec![]];
    for (at, first) in members.iter().enumerate() {
        for weight in WEIGHTS {
            lists.push(vec![(*first, weight)]);
            for second in &members[at + 1..] {
                lists.extend(WEIGHTS.map(|other| vec![(*second, other), (*first, weight)]));
            }
        }
    }
    lists
}

fn text(list: &List) -> String {
    let members = list.iter().map(|(name, weight)| match weight {
        10 => (*name).to_owned(),
        weight => format!("{name};q=0.{weight}"),
    });
    members.collect::<Vec<_>>().join(", ")
}

/// How much `accept` wants a type, by RFC 9110 section 12.5.1: the most specific range that matches says.
fn wanted(accept: &List, kind: &str) -> u32 {
    if accept.is_empty() {
        return 10;
    }
    let (bare, _) = kind.split_once(';').unwrap_or((kind, ""));
    let (family, _) = kind.split_once('/').unwrap();
    let by_specificity = [
        kind.to_owned(),
        bare.to_owned(),
        format!("{family}/*"),
        "*/*".to_owned(),
    ];
    let mut matching = by_specificity
        .iter()
        .filter_map(|range| accept.iter().find(|(name, _)| name == range));
    matching.next().map_or(0, |(_, weight)| *weight)
}

/// How much `list` wants a coding, by section 12.5.3; `None` is nothing said, which suits identity.
fn wanted_coding(list: &List, coding: &str) -> Option<u32> {
    let of = |wanted| list.iter().find(|(name, _)| *name == wanted);
    of(coding).or(of("*")).map(|(_, weight)| *weight)
}

/// The status, type and coding that a request is answered with.
fn expected(route: &Route, accept: &List, encoding: &List) -> (u16, &'static str, &'static str) {
    const REFUSED: (u16, &str, &str) = (406, "application/json", "identity");
    if route.types.is_empty() {
        return (route.status, "application/json", "identity");
    }
    let best = route
        .types
        .iter()
        .map(|kind| wanted(accept, kind))
        .max()
        .unwrap();
    if best == 0 {
        return REFUSED;
    }
    let kind = route
        .types
        .iter()
        .find(|kind| wanted(accept, kind) == best)
        .unwrap();
    let identity = wanted_coding(encoding, "identity");
    if route.is_plain {
        return match identity {
            Some(0) => REFUSED,
            _ => (route.status, "application/json", "identity"),
        };
    }
    let scores = route
        .codings
        .map(|coding| match (coding, wanted_coding(encoding, coding)) {
            ("identity", None) => 1,
            (_, weight) => weight.unwrap_or(0) * 10,
        });
    let best = scores.into_iter().max().unwrap();
    if best == 0 {
        return REFUSED;
    }
    if route.status != 200 {
        return (route.status, "application/json", "identity");
    }
    let at = scores.iter().position(|score| *score == best).unwrap();
    if encoding.is_empty() || (route.is_short && identity != Some(0)) {
        return (200, kind, "identity");
    }
    (200, kind, route.codings[at])
}

fn decoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "gzip" => drop(
            flate2::read::GzDecoder::new(body)
                .read_to_end(&mut plain)
                .unwrap(),
        ),
        "br" => brotli::BrotliDecompress(&mut &body[..], &mut plain).unwrap(),
        "zstd" => plain = zstd::stream::decode_all(body).unwrap(),
        _ => plain.extend_from_slice(body),
    }
    plain
}

fn product(id: &str, description: &str) -> Value {
    json!({
        "id": id, "name": "A product", "description": description,
        "price": {"amount": 1999, "currency": "EUR"},
        "attributes": {"price": {"amount": 1, "currency": "of another kind"}},
    })
}

/// Text that can be compressed, but not to nothing.
fn prose(words: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let words = (0..words).map(|_| format!("{:x} ", random.u16(..)));
    words.collect()
}

async fn app() -> TestApp {
    let inventory = Inventory::new(Catalogue::generated(0, 1));
    inventory.put(&product("long", &prose(500))).unwrap();
    let mut short = product("short", "Short.");
    short["brand"] = "Norvik".into();
    inventory.put(&short).unwrap();
    Setup::of(inventory).warm().await
}

async fn ask(app: &TestApp, route: &Route, accept: &List, encoding: &List) -> Answer {
    let (accept, encoding) = (text(accept), text(encoding));
    let mut headers = vec![
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
    ];
    if !accept.is_empty() {
        headers.push(("accept", accept.as_str()));
    }
    if !encoding.is_empty() {
        headers.push(("accept-encoding", encoding.as_str()));
    }
    let method = Method::from_bytes(route.method.as_bytes()).unwrap();
    app.send(method, route.path, &headers, route.body).await
}

fn coding_of(answer: &Answer) -> &str {
    match answer.header("content-encoding") {
        "" => "identity",
        coding => coding,
    }
}

/// What every answer has to say for itself, whatever was asked.
fn check_headers(answer: &Answer, name: &str) {
    assert!(!answer.header("cache-control").is_empty(), "{name}");
    assert!(answer.header("expires").is_empty(), "{name}");
    let is_v1 = answer.is_ok() && answer.header("content-type") == V1;
    for header in ["sunset", "deprecation", "warning", "link"] {
        assert_eq!(!answer.header(header).is_empty(), is_v1, "{name}: {header}");
    }
    let is_negotiated = answer.is_ok() && !answer.header("etag").is_empty();
    if is_negotiated || answer.status() == 406 {
        assert_eq!(answer.header("vary"), "Accept, Accept-Encoding", "{name}");
    }
    if answer.status() == 406 {
        assert_eq!(answer.codes(), ["NOT_ACCEPTABLE"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_gets_what_rfc_9110_says() {
    let app = app().await;
    let (accepts, encodings) = (lists(&RANGES), lists(&CODINGS));
    let few = |lists: &[List]| [0, 1, lists.len() / 3, lists.len() - 1].map(|at| lists[at].clone());
    let mut pairs = Vec::new();
    for accept in &accepts {
        pairs.extend(few(&encodings).map(|encoding| (accept.clone(), encoding)));
    }
    for encoding in &encodings {
        pairs.extend(few(&accepts).map(|accept| (accept, encoding.clone())));
    }
    // Every form by its name, also where it has to be encoded.
    for kind in [V1, V2, "application/json", "application/yaml"] {
        for coding in KEPT {
            pairs.push((vec![(kind, 10)], vec![(coding, 10)]));
            let strict = vec![("identity", 0), (coding, 10)];
            if coding != "identity" {
                pairs.push((vec![(kind, 10)], strict));
            }
        }
    }
    assert!(pairs.len() > 1500, "{}", pairs.len());
    // By route, type and coding: the tag, and the bytes.
    let mut seen: BTreeMap<_, (String, Vec<u8>)> = BTreeMap::new();
    for (accept, encoding) in &pairs {
        for route in &ROUTES {
            let (method, path) = (route.method, route.path);
            let name = format!("{method} {path} {:?} {:?}", text(accept), text(encoding));
            let answer = ask(&app, route, accept, encoding).await;
            let got = (
                answer.status(),
                answer.header("content-type"),
                coding_of(&answer),
            );
            assert_eq!(got, expected(route, accept, encoding), "{name}");
            check_headers(&answer, &name);
            if answer.header("etag").is_empty() {
                continue;
            }
            let key = (route.path, got.1.to_owned(), got.2.to_owned());
            let form = (answer.header("etag").to_owned(), answer.body().to_vec());
            let first = seen.entry(key).or_insert_with(|| form.clone());
            assert_eq!(
                *first, form,
                "{name}: the same form has the same tag and bytes"
            );
        }
    }
    assert_eq!(seen.len(), 8 * 2 * 4, "every form of every route was seen");
    let tags: std::collections::BTreeSet<_> = seen.values().map(|(tag, _)| tag).collect();
    assert_eq!(tags.len(), seen.len(), "each has a tag of its own");
    for ((path, kind, coding), (tag, bytes)) in &seen {
        let identity = &seen[&(*path, kind.clone(), "identity".to_owned())];
        assert!(!tag.starts_with("W/"));
        assert_eq!(decoded(coding, bytes), identity.1, "{path} {kind} {coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_says_what_the_get_does_and_a_tag_spares_the_body() {
    let app = app().await;
    for path in ["/products/long", "/products?limit=2"] {
        for accept in [V2, V1] {
            for coding in KEPT {
                let headers = [("accept", accept), ("accept-encoding", coding)];
                let get = app.get_with(path, &headers).await;
                let head = app.send(Method::HEAD, path, &headers, "").await;
                let name = format!("{path} {accept} {coding}");
                assert!(head.body().is_empty(), "{name}");
                assert_eq!(
                    head.header("content-length"),
                    get.body().len().to_string(),
                    "{name}"
                );
                for (header, value) in get.headers() {
                    if header != "x-conversation" {
                        assert_eq!(head.headers().get(header), Some(value), "{name}: {header}");
                    }
                }
                for other in KEPT {
                    let headers = [
                        ("accept", accept),
                        ("accept-encoding", other),
                        ("if-none-match", get.header("etag")),
                    ];
                    let again = app.get_with(path, &headers).await;
                    let status = if other == coding { 304 } else { 200 };
                    assert_eq!(again.status(), status, "{name}, then {other}");
                    if status == 304 {
                        assert!(again.body().is_empty(), "{name}");
                        assert_eq!(again.header("vary"), "Accept, Accept-Encoding");
                        assert_eq!(again.header("sunset"), "", "{name}");
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn version_1_is_flat_and_says_that_it_ends() {
    let app = app().await;
    let v2 = app.get("/products/short").await;
    let v1 = app.get_with("/products/short", &[("accept", V1)]).await;
    let mut flat = v2.json();
    flat["currency"] = flat["price"]["currency"].clone();
    flat["price"] = flat["price"]["amount"].clone();
    assert_eq!(v1.json(), flat);
    assert_eq!(v1.header("sunset"), "Fri, 31 Dec 2027 23:59:59 GMT");
    assert!(v1.header("deprecation").starts_with('@'));
    assert!(v1.header("warning").starts_with("299 - \""));
    assert!(v1.header("link").contains("rel=\"successor-version\""));
    let digest = v2.header("etag").trim_start_matches("\"v2-");
    assert_eq!(v1.header("etag"), format!("\"v1-{digest}"));

    let page = app.get_with("/products", &[("accept", V1)]).await;
    assert_eq!(page.json()["data"][1], flat);
}

#[tokio::test(start_paused = true)]
async fn headers_that_can_not_be_read_are_named() {
    let app = app().await;
    for (header, value) in [("accept", "json"), ("accept-encoding", "gzip;q=high")] {
        for path in ["/products/short", "/products", "/openapi"] {
            let answer = app.get_with(path, &[(header, value)]).await;
            assert_eq!(answer.status(), 400, "{path} {value}");
            let fault = answer.json();
            let error = &fault["fault"]["errors"][0];
            assert_eq!(
                (&error["errorCode"], &error["header"]),
                (&json!("INVALID_HEADER"), &json!(header))
            );
            assert!(
                !answer.text().contains("high"),
                "nothing unread is repeated"
            );
        }
    }
    // YAML goes by older names too.
    let aliased = app.get_with("/openapi", &[("accept", "text/yaml")]).await;
    assert_eq!(aliased.header("content-type"), "application/yaml");
    // Java's own client sends this.
    let java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    assert!(
        app.get_with("/products/short", &[("accept", java)])
            .await
            .is_ok()
    );
}

async fn write(
    app: &TestApp,
    method: Method,
    path: &str,
    kind: &str,
    accept: &str,
    body: Value,
) -> Answer {
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", kind),
        ("accept", accept),
    ];
    app.send(method, path, &headers, body.to_string()).await
}

#[tokio::test(start_paused = true)]
async fn bodies_and_answers_of_writes_have_versions_of_their_own() {
    let app = app().await;
    let flat = json!({"name": "Flat", "price": 500, "currency": "EUR"});
    let nested = json!({"name": "Nested", "price": {"amount": 700, "currency": "EUR"}});
    for (kind, body, amount) in [
        (V1, &flat, 500),
        (V2, &nested, 700),
        ("application/json", &nested, 700),
    ] {
        for accept in [V1, V2, "*/*"] {
            let answer = write(&app, Method::PUT, "/products/w", kind, accept, body.clone()).await;
            assert!(matches!(answer.status(), 200 | 201), "{}", answer.text());
            let as_v1 = accept == V1;
            assert_eq!(answer.header("content-type"), if as_v1 { V1 } else { V2 });
            assert_eq!(answer.header("sunset").is_empty(), !as_v1);
            let price = &answer.json()["price"];
            assert_eq!(if as_v1 { price } else { &price["amount"] }, amount);
            let read = app.get_with("/products/w", &[("accept", accept)]).await;
            assert_eq!(
                (read.body(), read.header("etag")),
                (answer.body(), answer.header("etag"))
            );
        }
    }
    for (kind, body) in [(V1, &nested), (V2, &flat)] {
        let answer = write(&app, Method::PUT, "/products/w", kind, V2, body.clone()).await;
        assert_eq!(answer.status(), 400, "{kind}: {}", answer.text());
    }
    let missing = write(
        &app,
        Method::PUT,
        "/products/w",
        V1,
        V2,
        json!({"name": "x"}),
    )
    .await;
    let fault = missing.json();
    let fields: Vec<_> = fault["fault"]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["field"])
        .collect();
    assert_eq!(fields, ["price", "currency"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_nobody_takes_is_not_made() {
    let app = app().await;
    let body = product("w", "");
    for (method, path) in [(Method::PUT, "/products/w"), (Method::POST, "/products")] {
        let refused = write(&app, method.clone(), path, V2, "text/html", body.clone()).await;
        assert_eq!(
            (refused.status(), refused.codes()),
            (406, vec!["NOT_ACCEPTABLE".to_owned()])
        );
        let headers = [
            ("x-api-key", WRITE_KEY),
            ("content-type", V2),
            ("accept-encoding", "gzip, identity;q=0"),
        ];
        let encoded = app
            .send(method.clone(), path, &headers, body.to_string())
            .await;
        assert_eq!(
            (encoded.status(), encoded.codes()),
            (406, vec!["NOT_ACCEPTABLE".to_owned()])
        );
        let unread = write(&app, method, path, "application/json;v=3", V2, body.clone()).await;
        assert_eq!(
            (unread.status(), unread.header("accept")),
            (415, "application/json;v=2, application/json;v=1")
        );
    }
    assert_eq!(
        app.inventory.calls_of("replace") + app.inventory.calls_of("create"),
        0
    );
    assert_eq!(app.get("/products/w").await.status(), 404);
}

#[tokio::test]
async fn a_form_is_made_once_however_many_need_it_and_again_when_the_product_changed() {
    let app = app().await;
    // Long enough to be encoded on another thread, so that the others come while that goes on.
    let body = |words| json!({"name": "x", "description": prose(words), "price": {"amount": 1, "currency": "EUR"}});
    for (round, words) in [(1, 3900), (2, 3800)] {
        let written = app.write(Method::PUT, "/products/w", &body(words)).await;
        assert!(matches!(written.status(), 200 | 201), "{}", written.text());
        for coding in ["br", "zstd", "gzip"] {
            let made = app.catalog().renditions_made();
            let headers = [("accept-encoding", coding)];
            let answers = join_all((0..50).map(|_| app.get_with("/products/w", &headers))).await;
            assert!(answers.iter().all(|answer| coding_of(answer) == coding));
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.body() == answers[0].body())
            );
            assert_eq!(app.catalog().renditions_made(), made + 1, "round {round}");
            assert_eq!(decoded(coding, answers[0].body()), *written.body());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn forms_count_against_the_cap_and_leave_with_their_product() {
    let inventory = Inventory::new(Catalogue::generated(0, 1));
    for at in 0..300 {
        inventory
            .put(&product(&format!("p{at}"), &prose(600 + at)))
            .unwrap();
    }
    let setup = Setup::of(inventory)
        .set("CACHE_MAX_SIZE_MB", "1")
        .set("CACHE_MAX_ENTRY_KB", "64");
    let app = setup.warm().await;
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..1500 {
        let path = format!("/products/p{}", random.u32(..300));
        let headers = [
            ("accept", *random.choice(&[V1, V2]).unwrap()),
            ("accept-encoding", random.choice(KEPT).unwrap()),
        ];
        assert!(app.get_with(&path, &headers).await.is_ok());
        let stats = app.catalog().stats();
        assert!(stats.bytes <= stats.capacity_bytes, "{stats:?}");
    }
    let stats = app.catalog().stats();
    assert!(stats.entries > 20 && stats.entries < 200, "{stats:?}");
    app.operate(
        Method::POST,
        "/cache/invalidations",
        &json!({"all": true, "mode": "hard"}),
    )
    .await;
    app.later(std::time::Duration::from_secs(60)).await;
    let before = app.catalog().renditions_made();
    app.get_with("/products/p1", &[("accept", V1)]).await;
    assert_eq!(app.catalog().renditions_made(), before + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Equal tags are equal bytes, and equal bytes of one version and coding are equal tags.
    #[test]
    fn the_tag_changes_exactly_when_the_bytes_do(
        writes in proptest::collection::vec((0_usize..3, 0_u8..3, 0_i64..3), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let app = app().await;
            let mut by_tag: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            let mut by_bytes: BTreeMap<Vec<u8>, String> = BTreeMap::new();
            for (words, name, amount) in writes {
                let body = json!({
                    "name": format!("name {name}"), "description": prose(words * 300),
                    "price": {"amount": amount, "currency": "EUR"}, "updatedAt": "2026-01-01T00:00:00Z",
                });
                app.write(Method::PUT, "/products/w", &body).await;
                for path in ["/products/w", "/products?limit=100"] {
                    for accept in [V1, V2] {
                        for coding in KEPT {
                            let headers = [("accept", accept), ("accept-encoding", coding)];
                            let answer = app.get_with(path, &headers).await;
                            let (tag, bytes) = (answer.header("etag").to_owned(), answer.body().to_vec());
                            assert_eq!(by_tag.entry(tag.clone()).or_insert_with(|| bytes.clone()), &bytes);
                            assert_eq!(by_bytes.entry(bytes).or_insert_with(|| tag.clone()), &tag);
                        }
                    }
                }
            }
        });
    }
}
