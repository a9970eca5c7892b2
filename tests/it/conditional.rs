//! Conditional requests: every combination of headers, method and state against a table that was derived
//! from RFC 9110 section 13, and what conditions on writes are for: no update is lost.

use crate::harness::{Answer, Setup, TestApp, WRITE_KEY};
use axum::middleware::{from_fn, map_response};
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderValue, Method, Request};
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::upstream::transport::in_process;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ID: &str = "kettle";
const PATH: &str = "/products/kettle";

/// A list of entity tags, seen from the representation that is served.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tags {
    Absent,
    Current,
    OtherCoding,
    Weak,
    InAList,
    Others,
    Any,
    Malformed,
}

/// A date, seen from the `Last-Modified` that is served.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Date {
    Absent,
    Before,
    Equal,
    After,
    Invalid,
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// A product.
    Exists,
    /// A product that the inventory has changed since we asked.
    Outdated,
    /// None.
    Unknown,
    /// None for good.
    Gone,
}

/// The headers of one request.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    if_match: Tags,
    if_unmodified_since: Date,
    if_none_match: Tags,
    if_modified_since: Date,
}

const TAGS: [Tags; 8] = [
    Tags::Absent,
    Tags::Current,
    Tags::OtherCoding,
    Tags::Weak,
    Tags::InAList,
    Tags::Others,
    Tags::Any,
    Tags::Malformed,
];
const DATES: [Date; 5] = [
    Date::Absent,
    Date::Before,
    Date::Equal,
    Date::After,
    Date::Invalid,
];

impl Conditions {
    fn all() -> impl Iterator<Item = Self> {
        TAGS.into_iter().flat_map(|if_match| {
            DATES.into_iter().flat_map(move |if_unmodified_since| {
                TAGS.into_iter().flat_map(move |if_none_match| {
                    DATES.into_iter().map(move |if_modified_since| Self {
                        if_match,
                        if_unmodified_since,
                        if_none_match,
                        if_modified_since,
                    })
                })
            })
        })
    }

    /// As headers, where `etag` is served.
    fn headers(self, etag: &str) -> Vec<(&'static str, String)> {
        let other = etag.replace('"', "").replace("v2-", "");
        let tags = |tags| match tags {
            Tags::Absent => None,
            Tags::Current => Some(etag.to_owned()),
            Tags::OtherCoding => Some(format!("\"v1-{other}-gzip\"")),
            Tags::Weak => Some(format!("W/{etag}")),
            Tags::InAList => Some(format!("\"x\",, {etag} ,W/\"y\"")),
            Tags::Others => Some("\"x\", \"v2-0123\"".to_owned()),
            Tags::Any => Some("*".to_owned()),
            Tags::Malformed => Some("v2-0123".to_owned()),
        };
        let date = |date| match date {
            Date::Absent => None,
            Date::Before => Some("Thursday, 01-Jan-26 23:59:59 GMT"),
            Date::Equal => Some("Fri Jan  2 00:00:00 2026"),
            Date::After => Some("Fri, 02 Jan 2026 00:00:01 GMT"),
            Date::Invalid => Some("2026-01-02T00:00:00Z"),
        };
        [
            ("if-match", tags(self.if_match)),
            (
                "if-unmodified-since",
                date(self.if_unmodified_since).map(str::to_owned),
            ),
            ("if-none-match", tags(self.if_none_match)),
            (
                "if-modified-since",
                date(self.if_modified_since).map(str::to_owned),
            ),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// The table: RFC 9110 sections 13.1 and 13.2, and what docs/errors.md and the README add to it.
fn expected(method: &Method, state: State, given: Conditions) -> u16 {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let is_post = *method == Method::POST;
    let unreadable = given.if_match == Tags::Malformed || given.if_none_match == Tags::Malformed;
    if !is_read && unreadable {
        return 400;
    }
    let unconditional = match (method.as_str(), state) {
        ("POST", _) | ("PUT", State::Unknown) => 201,
        (_, State::Gone) => 410,
        (_, State::Unknown) => 404,
        ("DELETE", _) => 204,
        _ => 200,
    };
    // 13.2.1: no conditions where the answer would be neither 2xx nor 412 without them. What a PUT to what
    // is gone would be is not known before the inventory is asked, so its conditions come first.
    if unconditional >= 400 && *method != Method::PUT {
        return unconditional;
    }
    let exists = is_post || matches!(state, State::Exists | State::Outdated);
    // A write is judged by what the inventory has: there, the tags and dates of the copy are old ones.
    let is_old = state == State::Outdated && !is_read;
    let has_tags = exists && !is_post && !is_old;
    let has_date = exists && !is_post;
    let names = |tags: Tags, weakly: bool| match tags {
        Tags::Current | Tags::InAList => has_tags,
        Tags::Weak => has_tags && weakly,
        Tags::OtherCoding => has_tags && !is_read,
        Tags::Any => exists,
        Tags::Absent | Tags::Others | Tags::Malformed => false,
    };
    let modified_after = |date: Date| match date {
        Date::Before => has_date,
        Date::Equal | Date::After => has_date && is_old,
        Date::Absent | Date::Invalid => false,
    };
    // 13.2.2, steps 1 and 2.
    if given.if_match != Tags::Absent {
        if !names(given.if_match, false) {
            return 412;
        }
    } else if modified_after(given.if_unmodified_since) {
        return 412;
    }
    // Steps 3 and 4.
    if given.if_none_match != Tags::Absent {
        if names(given.if_none_match, true) {
            return if is_read { 304 } else { 412 };
        }
    } else if is_read && matches!(given.if_modified_since, Date::Equal | Date::After) {
        return 304;
    }
    unconditional
}

fn kettle(name: &str, day: u8) -> Value {
    json!({"id": ID, "name": name, "price": {"amount": 1999, "currency": "EUR"},
        "updatedAt": format!("2026-01-{day:02}T00:00:00Z")})
}

/// Brings service and inventory into a state. Returns the tag that is served.
async fn arrange(app: &TestApp, state: State) -> String {
    app.inventory.knobs().reset();
    app.inventory.remove(ID);
    if matches!(state, State::Exists | State::Outdated) {
        app.inventory.put(&kettle("First", 2)).unwrap();
    }
    let purge = json!({"ids": [ID], "mode": "hard"});
    let purged = app
        .operate(Method::POST, "/cache/invalidations", &purge)
        .await;
    assert!(purged.is_ok());
    let served = app.get(PATH).await;
    match state {
        State::Outdated => drop(app.inventory.put(&kettle("Second", 3)).unwrap()),
        State::Gone => {
            app.inventory
                .knobs()
                .turn(|faults| faults.status = Some(410));
            app.operate(Method::POST, "/cache/invalidations", &purge)
                .await;
        }
        State::Exists | State::Unknown => {}
    }
    match served.header("etag") {
        "" => "\"v2-none\"".to_owned(),
        etag => etag.to_owned(),
    }
}

async fn ask(app: &TestApp, method: &Method, given: Conditions, etag: &str) -> Answer {
    let mut headers: Vec<(&str, String)> = given.headers(etag);
    headers.push(("x-api-key", WRITE_KEY.to_owned()));
    let (path, kind, body) = match method.as_str() {
        "POST" => ("/products", "application/json", without_id("Posted")),
        "PUT" => (PATH, "application/json", without_id("Put")),
        "PATCH" => (
            PATH,
            "application/json-patch+json",
            json!([{"op": "replace", "path": "/name", "value": "Patched"}]).to_string(),
        ),
        _ => (PATH, "application/json", String::new()),
    };
    headers.push(("content-type", kind.to_owned()));
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    app.send(method.clone(), path, &headers, body).await
}

fn without_id(name: &str) -> String {
    json!({"name": name, "price": {"amount": 1, "currency": "EUR"}}).to_string()
}

/// Walks all combinations of headers for a method in a state.
async fn walk(method: Method, state: State) {
    let inventory = Inventory::new(Catalogue::generated(1, 1));
    let app = Setup::of(inventory).cold().await;
    let mut etag = arrange(&app, state).await;
    for given in Conditions::all() {
        let writes = ["create", "replace", "patch", "delete"];
        let calls = || -> u64 { writes.iter().map(|op| app.inventory.calls_of(op)).sum() };
        let before = calls();
        let answer = ask(&app, &method, given, &etag).await;
        let expected = expected(&method, state, given);
        let told = format!("{method} {state:?} {given:?}: {}", answer.text());
        assert_eq!(answer.status(), expected, "{told}");
        if [400, 412].contains(&expected) && method != Method::HEAD {
            let code = ["INVALID_HEADER", "PRECONDITION_FAILED"][usize::from(expected == 412)];
            assert!(answer.codes().iter().all(|told| told == code), "{told}");
            // What has changed behind our back, the inventory has to tell.
            let is_told = state == State::Outdated && expected == 412;
            assert!(is_told || calls() == before, "nothing is sent: {told}");
        }
        if expected == 304 {
            assert_eq!(answer.header("etag"), etag, "{told}");
            assert!(answer.body().is_empty(), "{told}");
            for absent in ["content-type", "content-length", "last-modified", "expires"] {
                assert_eq!(answer.header(absent), "", "{told}");
            }
        }
        let changed = expected < 300 && ![Method::GET, Method::HEAD].contains(&method);
        let told_new = state == State::Outdated && method != Method::GET && method != Method::HEAD;
        if changed && method != Method::POST || told_new {
            etag = arrange(&app, state).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_get_is_as_the_rfc_says() {
    for state in [State::Exists, State::Outdated, State::Unknown, State::Gone] {
        walk(Method::GET, state).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_head_is_as_the_rfc_says() {
    for state in [State::Exists, State::Outdated, State::Unknown, State::Gone] {
        walk(Method::HEAD, state).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_put_is_as_the_rfc_says() {
    for state in [State::Exists, State::Outdated, State::Unknown, State::Gone] {
        walk(Method::PUT, state).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_patch_is_as_the_rfc_says() {
    for state in [State::Exists, State::Outdated, State::Unknown, State::Gone] {
        walk(Method::PATCH, state).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_delete_is_as_the_rfc_says() {
    for state in [State::Exists, State::Outdated, State::Unknown, State::Gone] {
        walk(Method::DELETE, state).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_post_is_as_the_rfc_says() {
    walk(Method::POST, State::Exists).await;
}

/// What else has a tag, and whether it has a date: those of the product that it is made of.
const REPRESENTATIONS: [(&str, bool); 9] = [
    ("/products/kettle?select=name", true),
    ("/products?limit=5", false),
    ("/products?id=kettle", false),
    ("/products?count", false),
    ("/categories", false),
    ("/categories/tea", false),
    ("/brands", false),
    ("/openapi", false),
    ("/docs", false),
];

/// What conditions on a read of something that exists come to. Dates mean nothing where it has none.
fn expected_of(has_date: bool, given: Conditions) -> u16 {
    let date = |date| if has_date { date } else { Date::Absent };
    let given = Conditions {
        if_unmodified_since: date(given.if_unmodified_since),
        if_modified_since: date(given.if_modified_since),
        ..given
    };
    expected(&Method::GET, State::Exists, given)
}

#[tokio::test(start_paused = true)]
async fn every_combination_of_conditions_on_whatever_has_a_tag_is_as_the_rfc_says() {
    let setup = Setup::products(3);
    let mut tea = kettle("First", 2);
    tea["category"] = "tea".into();
    setup.inventory.put(&tea).unwrap();
    let app = setup.warm().await;
    for (path, has_date) in REPRESENTATIONS {
        let full = app.get(path).await;
        let etag = full.header("etag").to_owned();
        assert_ne!(etag, "", "{path}");
        assert_eq!(
            full.headers().contains_key(LAST_MODIFIED),
            has_date,
            "{path}"
        );
        let both = |given| [(Method::GET, given), (Method::HEAD, given)];
        for (method, given) in Conditions::all().flat_map(both) {
            let headers = given.headers(&etag);
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = app.send(method.clone(), path, &headers, "").await;
            let expected = expected_of(has_date, given);
            let told = format!("{method} {path} {given:?}: {}", answer.text());
            assert_eq!(answer.status(), expected, "{told}");
            if expected == 304 {
                assert_eq!(answer.header("etag"), etag, "{told}");
                let policy = answer.header("cache-control");
                assert_eq!(policy, full.header("cache-control"), "{told}");
                assert!(answer.body().is_empty(), "{told}");
                assert_eq!(answer.header("last-modified"), "", "{told}");
            }
            if expected == 412 && method == Method::GET {
                assert_eq!(answer.codes(), ["PRECONDITION_FAILED"], "{told}");
            }
        }
    }
}

/// A service that holds the first kettle, with its validators.
async fn holding() -> (TestApp, String) {
    let app = Setup::products(3).warm().await;
    let etag = arrange(&app, State::Exists).await;
    (app, etag)
}

async fn put_if(app: &TestApp, name: &str, etag: &str) -> Answer {
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("if-match", etag),
    ];
    app.send(Method::PUT, PATH, &headers, without_id(name))
        .await
}

async fn patch_if(app: &TestApp, patch: &Value, etag: Option<&str>) -> Answer {
    let mut headers = vec![
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json-patch+json"),
    ];
    headers.extend(etag.map(|etag| ("if-match", etag)));
    app.send(Method::PATCH, PATH, &headers, patch.to_string())
        .await
}

#[tokio::test(start_paused = true)]
async fn a_change_behind_our_back_is_not_overwritten() {
    let (app, etag) = holding().await;
    app.inventory.put(&kettle("Theirs", 3)).unwrap();
    let refused = put_if(&app, "Ours", &etag).await;
    assert_eq!(refused.status(), 412);
    assert_eq!(
        refused.json()["fault"]["errors"][0]["header"],
        "if-match",
        "{}",
        refused.text()
    );
    assert_eq!(
        app.inventory.calls_of("replace"),
        1,
        "the inventory said so"
    );
    let read = app.get(PATH).await;
    assert_eq!(read.json()["name"], "Theirs");
    let accepted = put_if(&app, "Ours", read.header("etag")).await;
    assert_eq!(accepted.status(), 200);
    assert_eq!(app.get(PATH).await.json()["name"], "Ours");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_another_replica_gave_is_good_here_too() {
    let (app, _) = holding().await;
    let other = Setup::of(app.inventory.clone()).cold().await;
    let written = other
        .write(
            Method::PUT,
            PATH,
            &serde_json::from_str(&without_id("Theirs")).unwrap(),
        )
        .await;
    assert_eq!(written.status(), 200);
    assert_eq!(app.get(PATH).await.json()["name"], "First", "not told yet");
    let accepted = put_if(&app, "Ours", written.header("etag")).await;
    assert_eq!(accepted.status(), 200, "{}", accepted.text());
}

#[tokio::test(start_paused = true)]
async fn of_many_writers_with_one_tag_one_wins() {
    let (app, etag) = holding().await;
    let other = Setup::of(app.inventory.clone()).cold().await;
    let names: Vec<String> = (0..10).map(|number| format!("Writer {number}")).collect();
    let writes = names.iter().enumerate().map(|(at, name)| {
        let app = if at % 2 == 0 { &app } else { &other };
        put_if(app, name, &etag)
    });
    let answers = futures_util::future::join_all(writes).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost = answers.iter().filter(|answer| answer.status() == 412);
    assert_eq!((won, lost.count()), (1, 9));
}

#[tokio::test(start_paused = true)]
async fn a_listed_product_is_read_once_before_it_is_guarded() {
    let app = Setup::products(1).warm().await;
    let path = "/products/P-000001";
    let etag = app.get(path).await.header("etag").to_owned();
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("if-match", etag.as_str()),
    ];
    let calls = || {
        (
            app.inventory.calls_of("get"),
            app.inventory.calls_of("replace"),
        )
    };
    assert_eq!(calls(), (0, 0));
    let written = app
        .send(Method::PUT, path, &headers, without_id("New"))
        .await;
    assert_eq!(written.status(), 200, "{}", written.text());
    assert_eq!(calls(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn while_the_inventory_is_away_conditions_are_not_guessed() {
    let (app, etag) = holding().await;
    app.inventory.knobs().turn(|faults| faults.away = true);
    app.later(Duration::from_secs(1)).await;
    for tag in [etag.as_str(), "\"x\""] {
        assert_eq!(put_if(&app, "Ours", tag).await.status(), 503, "{tag}");
    }
    assert!(app.get(PATH).await.is_ok());
    app.inventory.knobs().reset();
    app.later(Duration::from_secs(2)).await;
    assert_eq!(app.get(PATH).await.header("x-cache-stale"), "");
}

#[tokio::test(start_paused = true)]
async fn create_only_if_there_is_none_is_checked_by_the_inventory() {
    let app = Setup::products(1).warm().await;
    let headers = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("if-none-match", "*"),
    ];
    assert_eq!(app.get(PATH).await.status(), 404);
    app.inventory.put(&kettle("Theirs", 2)).unwrap();
    let refused = app
        .send(Method::PUT, PATH, &headers, without_id("Ours"))
        .await;
    assert_eq!(refused.status(), 412, "{}", refused.text());
    assert_eq!(app.get(PATH).await.json()["name"], "Theirs");
}

#[tokio::test(start_paused = true)]
async fn where_the_inventory_has_weak_tags_or_none_dates_and_reading_anew_have_to_do() {
    for weaken in [true, false] {
        let inventory = Inventory::new(Catalogue::generated(1, 1));
        inventory.put(&kettle("First", 2)).unwrap();
        let weakened = map_response(move |mut response: axum::response::Response| async move {
            let headers = response.headers_mut();
            match (weaken, headers.remove(ETAG)) {
                (true, Some(tag)) => {
                    let tag = format!("W/{}", tag.to_str().unwrap());
                    headers.insert(ETAG, HeaderValue::try_from(tag).unwrap());
                }
                _ => drop(headers.remove(LAST_MODIFIED)),
            }
            response
        });
        let transport = in_process(inventory.router().layer(weakened));
        let setup = Setup::of(inventory).set("WARMUP_ON_START", "false");
        let app = setup.start_through(transport).await;
        let etag = app.get(PATH).await.header("etag").to_owned();
        app.inventory.put(&kettle("Theirs", 3)).unwrap();
        let refused = put_if(&app, "Ours", &etag).await;
        assert_eq!(refused.status(), 412, "{weaken}: {}", refused.text());
        let etag = app.get(PATH).await.header("etag").to_owned();
        assert_eq!(put_if(&app, "Ours", &etag).await.status(), 200, "{weaken}");
    }
}

/// A service whose inventory is changed by somebody else just before the first write reaches it.
async fn overtaken(change: Value) -> TestApp {
    let inventory = Inventory::new(Catalogue::generated(1, 1));
    inventory.put(&kettle("First", 2)).unwrap();
    let (shelf, done) = (inventory.clone(), Arc::new(AtomicBool::new(false)));
    let overtaking = from_fn(
        move |request: Request<axum::body::Body>, next: axum::middleware::Next| {
            if request.method() != Method::GET && !done.swap(true, Ordering::Relaxed) {
                shelf.put(&change).unwrap();
            }
            next.run(request)
        },
    );
    let transport = in_process(inventory.router().layer(overtaking));
    let setup = Setup::of(inventory).set("WARMUP_ON_START", "false");
    let app = setup.start_through(transport).await;
    app.get(PATH).await;
    app
}

#[tokio::test(start_paused = true)]
async fn a_patch_without_conditions_that_was_overtaken_is_applied_to_what_is_there_then() {
    let app = overtaken(kettle("Theirs", 3)).await;
    let patch = json!([{"op": "replace", "path": "/price/amount", "value": 7}]);
    let patched = patch_if(&app, &patch, None).await;
    assert_eq!(patched.status(), 200, "{}", patched.text());
    let product = patched.json();
    assert_eq!(
        (&product["name"], &product["price"]["amount"]),
        (&json!("Theirs"), &json!(7))
    );
    assert_eq!(app.get(PATH).await.body(), patched.body());
}

#[tokio::test(start_paused = true)]
async fn a_test_sees_what_the_inventory_has_and_not_what_we_held() {
    let app = overtaken(kettle("Theirs", 3)).await;
    let patch = json!([
        {"op": "test", "path": "/name", "value": "First"},
        {"op": "replace", "path": "/name", "value": "Ours"},
    ]);
    let refused = patch_if(&app, &patch, None).await;
    assert_eq!(
        (refused.status(), refused.codes()),
        (409, vec!["PATCH_TEST_FAILED".to_owned()])
    );
    assert_eq!(app.get(PATH).await.json()["name"], "Theirs");
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_fits_what_the_inventory_has_is_not_refused_for_what_we_held() {
    let (app, _) = holding().await;
    app.inventory.put(&kettle("Theirs", 3)).unwrap();
    let patch = json!([
        {"op": "test", "path": "/name", "value": "Theirs"},
        {"op": "replace", "path": "/name", "value": "Ours"},
    ]);
    let patched = patch_if(&app, &patch, None).await;
    assert_eq!(patched.status(), 200, "{}", patched.text());
}

#[tokio::test(start_paused = true)]
async fn a_patch_with_a_tag_that_was_overtaken_is_refused() {
    let app = overtaken(kettle("Theirs", 3)).await;
    let etag = app.get(PATH).await.header("etag").to_owned();
    let patch = json!([{"op": "replace", "path": "/name", "value": "Ours"}]);
    assert_eq!(patch_if(&app, &patch, Some(&etag)).await.status(), 412);
}

/// Puts a kettle into the inventory that changed at `secs`, and has the service forget the one before.
async fn changed_at(app: &TestApp, secs: u64, name: &str) {
    let mut kettle = kettle(name, 1);
    let at = jiff::Timestamp::from_second(secs.try_into().unwrap()).unwrap();
    kettle["updatedAt"] = json!(at.to_string());
    app.inventory.put(&kettle).unwrap();
    let purge = json!({"ids": [ID], "mode": "hard"});
    app.operate(Method::POST, "/cache/invalidations", &purge)
        .await;
}

#[tokio::test(start_paused = true)]
async fn two_changes_within_a_second_are_told_apart_although_their_dates_are_the_same() {
    let now = product_catalog::clock::Moment::from_millis(1_800_000_000_000);
    let clock = product_catalog::clock::Clock::starting_at(now);
    let app = Setup::products(1).clock(clock).cold().await;
    let date = "Fri, 15 Jan 2027 08:00:00 GMT";
    let since = [("if-modified-since", date)];
    let unless = [
        ("x-api-key", WRITE_KEY),
        ("content-type", "application/json"),
        ("if-unmodified-since", date),
    ];
    changed_at(&app, now.as_secs(), "First").await;
    let first = app.get(PATH).await;
    assert_eq!(first.json()["name"], "First");
    assert_eq!(first.header("last-modified"), "", "not fit to be told");

    changed_at(&app, now.as_secs(), "Second").await;
    assert_eq!(app.get_with(PATH, &since).await.json()["name"], "Second");
    let lost = app
        .send(Method::PUT, PATH, &unless, without_id("Lost"))
        .await;
    assert_eq!(
        (lost.status(), lost.codes()),
        (412, vec!["PRECONDITION_FAILED".to_owned()])
    );

    // Once nothing more can happen in that second, its date says enough.
    app.later(Duration::from_secs(3)).await;
    changed_at(&app, now.as_secs(), "Third").await;
    let third = app.get(PATH).await;
    assert_eq!(
        (third.json()["name"].as_str(), third.header("last-modified")),
        (Some("Third"), date)
    );
    assert_eq!(app.get_with(PATH, &since).await.status(), 304);
    let selected = app.get_with("/products/kettle?select=name", &since).await;
    assert_eq!(selected.status(), 304);
    let kept = app
        .send(Method::PUT, PATH, &unless, without_id("Kept"))
        .await;
    assert_eq!(kept.status(), 200, "{}", kept.text());
}

#[tokio::test(start_paused = true)]
async fn the_tag_of_a_write_is_that_of_the_content_it_is_answered_with() {
    let (app, _) = holding().await;
    let put = app
        .write(
            Method::PUT,
            PATH,
            &serde_json::from_str(&without_id("Put")).unwrap(),
        )
        .await;
    let patch = json!([{"op": "replace", "path": "/name", "value": "Patched"}]);
    let check = async |written: Answer, path: &str| {
        assert_eq!(written.header("content-location"), path);
        assert_eq!(written.header("last-modified"), "");
        let read = app.get(path).await;
        assert_eq!(read.header("etag"), written.header("etag"));
        assert_eq!(read.body(), written.body());
    };
    check(put, PATH).await;
    check(patch_if(&app, &patch, None).await, PATH).await;
    let mut new: Value = serde_json::from_str(&without_id("New")).unwrap();
    new["id"] = json!("new");
    let created = app.write(Method::POST, "/products", &new).await;
    check(created, "/products/new").await;
    new["id"] = json!("search");
    let created = app.write(Method::POST, "/products", &new).await;
    assert_eq!(
        (created.status(), created.header("content-location")),
        (201, "")
    );
}

#[tokio::test(start_paused = true)]
async fn ranges_are_not_offered() {
    let (app, etag) = holding().await;
    let whole = app.get(PATH).await;
    let headers = [("range", "bytes=0-3"), ("if-range", etag.as_str())];
    let answer = app.get_with(PATH, &headers).await;
    assert_eq!((answer.status(), answer.body()), (200, whole.body()));
}
