//! The inventory API: its routes, and what they answer.

use super::Inventory;
use super::faulty;
use super::knobs::Faults;
use super::refused::{Refused, no_such_product, refusal};
use super::shelf::{Kept, Products};
use crate::product::{Attributes, Patch, ProductId, PublishedMembers, parse_timestamp};
use crate::upstream::wire;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{
    CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, LOCATION,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Products on a page where the caller does not say.
const DEFAULT_LIMIT: usize = 100;
/// The most products on a page; who asks for more gets these.
const MAX_LIMIT: usize = 1000;

/// The media type of patches.
const JSON_PATCH: HeaderValue = HeaderValue::from_static("application/json-patch+json");

/// What a list is asked for.
#[derive(Default)]
struct ListQuery {
    count: bool,
    limit: Option<usize>,
    after: Option<ProductId>,
    since: Option<Timestamp>,
}

/// The routes; `/knobs` works whatever the knobs say.
pub(super) fn router(inventory: &Inventory) -> Router {
    let passing = middleware::from_fn_with_state(inventory.clone(), faulty::pass);
    Router::new()
        .route("/products", get(list).post(create))
        .route(
            "/products/{id}",
            get(read).put(replace).patch(patch).delete(delete),
        )
        .route("/products/{id}/availability", get(availability))
        .route("/health", get(health))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no such path"))
        .layer(passing)
        .route("/knobs", get(show_knobs).put(set_knobs))
        .with_state(inventory.clone())
}

/// The current time, in whole milliseconds like the inventory's dates.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

async fn health() -> Json<Value> {
    Json(json!({"status": "Healthy", "version": "1.4.0"}))
}

async fn show_knobs(State(inventory): State<Inventory>) -> Json<Faults> {
    Json(inventory.knobs.faults())
}

async fn set_knobs(State(inventory): State<Inventory>, body: Bytes) -> Response {
    match Faults::parse(&body) {
        Ok(faults) => {
            inventory.knobs.set(faults);
            show_knobs(State(inventory)).await.into_response()
        }
        Err(reason) => refusal(StatusCode::BAD_REQUEST, &reason),
    }
}

async fn list(
    State(inventory): State<Inventory>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let query = match ListQuery::parse(&pairs) {
        Ok(query) => query,
        Err(reason) => return refusal(StatusCode::BAD_REQUEST, reason),
    };
    if query.count {
        return Json(inventory.len()).into_response();
    }
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let mut items = {
        let products = inventory.shelf.read();
        products.page(query.after.as_ref(), query.since, limit + 1)
    };
    let is_last = items.len() <= limit;
    items.truncate(limit);
    let after = items.last().filter(|_| !is_last).map(|(id, _)| cursor(id));
    let broken_every = inventory.knobs.faults().broken_every;
    json_body(page(&items, after.as_deref(), broken_every))
}

async fn read(
    State(inventory): State<Inventory>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(kept) = inventory.shelf.read().get(&id).cloned() else {
        return no_such_product();
    };
    let mut response = match is_unchanged(&headers, &kept) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => json_body(kept.body.clone()),
    };
    response.headers_mut().extend(validators(&kept));
    response
}

async fn availability(State(inventory): State<Inventory>, Path(id): Path<String>) -> Response {
    let products = inventory.shelf.read();
    let Some(kept) = products.get(&id) else {
        return no_such_product();
    };
    let product: Value = serde_json::from_slice(&kept.body).unwrap_or_default();
    let stock = product.pointer("/attributes/stock").and_then(Value::as_u64);
    let available = stock.unwrap_or_default();
    Json(json!({"id": id, "available": available, "asOf": now().to_string()})).into_response()
}

async fn create(State(inventory): State<Inventory>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok());
    match create_once(&mut inventory.shelf.write(), key, &body) {
        Ok((id, kept)) => {
            let mut response = written(StatusCode::CREATED, &kept);
            let location = format!("/products/{id}").parse();
            response
                .headers_mut()
                .extend(location.ok().map(|place| (LOCATION, place)));
            response
        }
        Err(refused) => refused.into_response(),
    }
}

async fn replace(
    State(inventory): State<Inventory>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut products = inventory.shelf.write();
    match accept(&mut products, Some(&id), &body, &headers) {
        Ok((_, kept, true)) => written(StatusCode::CREATED, &kept),
        Ok((_, kept, false)) => written(StatusCode::OK, &kept),
        Err(refused) => refused.into_response(),
    }
}

async fn patch(
    State(inventory): State<Inventory>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut products = inventory.shelf.write();
    let result = patched(&products, &id, &body, &headers).and_then(|result| {
        accept(&mut products, Some(&id), &result, &headers).map_err(|refused| match refused {
            Refused::Invalid(reason) => Refused::Unprocessable(reason),
            other => other,
        })
    });
    match result {
        Ok((_, kept, _)) => written(StatusCode::OK, &kept),
        Err(refused) => refused.into_response(),
    }
}

async fn delete(
    State(inventory): State<Inventory>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut products = inventory.shelf.write();
    let before = products.get(&id);
    if !is_expected(&headers, before) {
        return Refused::Changed.into_response();
    }
    match products.remove(&id) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => no_such_product(),
    }
}

// === impl ListQuery ===

impl ListQuery {
    fn parse(pairs: &[(String, String)]) -> Result<Self, &'static str> {
        let mut query = Self::default();
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("count", "") => query.count = true,
                ("limit", limit) => {
                    let limit = limit.parse().ok().filter(|limit| *limit > 0);
                    query.limit = Some(limit.ok_or("limit must be a positive integer")?);
                }
                ("after", after) => {
                    query.after = Some(from_cursor(after).ok_or("after is not a cursor")?);
                }
                // `updatedAt>=T` arrives split at its `=`, unless that was encoded too.
                ("updatedAt>", since) => query.since = Some(time(since)?),
                (name, "") if name.starts_with("updatedAt>=") => {
                    query.since = Some(time(name.trim_start_matches("updatedAt>="))?);
                }
                _ => return Err("unknown parameter"),
            }
        }
        Ok(query)
    }
}

/// What a JSON Patch makes of a product.
fn patched(
    products: &Products,
    id: &str,
    body: &[u8],
    headers: &HeaderMap,
) -> Result<Vec<u8>, Refused> {
    if headers.get(CONTENT_TYPE) != Some(&JSON_PATCH) {
        return Err(Refused::UnknownKind);
    }
    let kept = products.get(id).ok_or(Refused::Absent)?;
    if !is_expected(headers, Some(kept)) {
        return Err(Refused::Changed);
    }
    let patch =
        Patch::parse(body).map_err(|_| Refused::Invalid("the body is no JSON Patch".to_owned()))?;
    let mut product: Value = serde_json::from_slice(&kept.body).unwrap_or_default();
    patch
        .apply(&mut product)
        .map_err(|problem| Refused::Unpatched(problem.description))?;
    Ok(product.to_string().into_bytes())
}

/// Creates a product, unless that was done under the same key.
fn create_once(
    products: &mut Products,
    key: Option<&str>,
    body: &[u8],
) -> Result<(ProductId, Kept), Refused> {
    if let Some(key) = key {
        let done = products.repeats.find(key, body);
        if let Some(done) = done.map_err(|_| Refused::OtherWrite)? {
            return Ok(done);
        }
    }
    let (id, kept, _) = accept(products, None, body, &HeaderMap::new())?;
    if let Some(key) = key {
        let (id, kept) = (id.clone(), kept.clone());
        products.repeats.remember(key, body, id, kept);
    }
    Ok((id, kept))
}

/// Stores a written product; as `id`, or where that is `None` as a new one. True when it is new.
fn accept(
    products: &mut Products,
    id: Option<&str>,
    body: &[u8],
    headers: &HeaderMap,
) -> Result<(ProductId, Kept, bool), Refused> {
    let invalid = |reason: String| Refused::Invalid(reason);
    let mut members: Attributes =
        serde_json::from_slice(body).map_err(|_| invalid("the body is no object".to_owned()))?;
    match (id, members.get("id").and_then(Value::as_str)) {
        (Some(path), Some(own)) if path != own => {
            return Err(invalid("the ids differ".to_owned()));
        }
        (Some(path), _) => drop(members.insert("id".to_owned(), path.into())),
        (None, Some(own)) if products.get(own).is_some() => return Err(Refused::Exists),
        (None, Some(_)) => {}
        (None, None) => drop(members.insert("id".to_owned(), products.fresh_id().into())),
    }
    let before = id.and_then(|id| products.get(id));
    if !is_expected(headers, before) {
        return Err(Refused::Changed);
    }
    let created = before.and_then(|kept| serde_json::from_slice::<Value>(&kept.body).ok());
    let created = created.and_then(|product| product.get("createdAt").cloned());
    let (is_new, updated_at) = (before.is_none(), now());
    let now = Value::from(updated_at.to_string());
    members.insert("updatedAt".to_owned(), now.clone());
    members.insert("createdAt".to_owned(), created.unwrap_or(now));
    let json = serde_json::value::to_raw_value(&members).map_err(|e| invalid(e.to_string()))?;
    let product = wire::product(json.get(), &PublishedMembers::None);
    let product = product.map_err(|error| invalid(error.to_string()))?;
    let kept = Kept {
        body: Bytes::copy_from_slice(json.get().as_bytes()),
        updated_at: Some(updated_at),
    };
    products.put(product.id.clone(), kept.clone());
    Ok((product.id, kept, is_new))
}

fn json_body(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn written(status: StatusCode, kept: &Kept) -> Response {
    let mut response = json_body(kept.body.clone());
    *response.status_mut() = status;
    response.headers_mut().extend(validators(kept));
    response
}

/// A page's JSON, composed of its products' as they are.
fn page(items: &[(ProductId, Bytes)], after: Option<&str>, broken_every: usize) -> Bytes {
    let size: usize = items.iter().map(|(_, body)| body.len() + 1).sum();
    let mut out = BytesMut::with_capacity(size + 256);
    out.put_slice(b"{\"data\":[");
    for (place, (id, body)) in (1..).zip(items) {
        if place > 1 {
            out.put_u8(b',');
        }
        if broken_every > 0 && place % broken_every == 0 {
            out.put_slice(format!("{{\"id\":\"{id}\",\"name\":null}}").as_bytes());
        } else {
            out.put_slice(body);
        }
    }
    let after = after.map_or("null".to_owned(), |after| format!("\"{after}\""));
    out.put_slice(format!("],\"paging\":{{\"cursors\":{{\"after\":{after}}}}}}}").as_bytes());
    out.freeze()
}

fn cursor(id: &ProductId) -> String {
    URL_SAFE.encode(id.as_str())
}

fn from_cursor(text: &str) -> Option<ProductId> {
    let id = URL_SAFE.decode(text).ok()?;
    ProductId::parse(std::str::from_utf8(&id).ok()?).ok()
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    parse_timestamp(text).ok_or("updatedAt must be compared with an RFC 3339 time")
}

/// Whole seconds since the epoch when a product changed.
fn changed_at(kept: &Kept) -> Option<SystemTime> {
    let secs = u64::try_from(kept.updated_at?.as_second()).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(secs))
}

fn validators(kept: &Kept) -> HeaderMap {
    let modified = changed_at(kept).map(httpdate::fmt_http_date);
    [(ETAG, Some(kept.etag())), (LAST_MODIFIED, modified)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.parse().ok()?)))
        .collect()
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Whether a list of entity tags has this one, by weak comparison.
fn matches(list: &str, etag: &str) -> bool {
    let mut tags = list.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// Whether the caller's copy is current (RFC 9110 section 13.2.2, steps 3 and 4).
fn is_unchanged(headers: &HeaderMap, kept: &Kept) -> bool {
    match headers
        .get(IF_NONE_MATCH)
        .and_then(|list| list.to_str().ok())
    {
        Some(list) => matches(list, &kept.etag()),
        None => changed_at(kept)
            .zip(date(headers, IF_MODIFIED_SINCE))
            .is_some_and(|(changed, known)| changed <= known),
    }
}

/// Whether the product is the one that a conditional write is for (steps 1 to 3).
fn is_expected(headers: &HeaderMap, kept: Option<&Kept>) -> bool {
    let list = |name| headers.get(name).and_then(|list| list.to_str().ok());
    let is_old = match list(IF_MATCH) {
        Some(list) => kept.is_some_and(|kept| !list.contains("W/") && matches(list, &kept.etag())),
        None => kept
            .and_then(changed_at)
            .zip(date(headers, IF_UNMODIFIED_SINCE))
            .is_none_or(|(changed, known)| changed <= known),
    };
    let is_new = list(IF_NONE_MATCH)
        .zip(kept)
        .is_none_or(|(list, kept)| !matches(list, &kept.etag()));
    is_old && is_new
}
