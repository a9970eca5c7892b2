//! Every answer of every test, held against the OpenAPI document: the operation is known, and status,
//! media type, headers and body are as it says.

use http::{HeaderMap, Method, StatusCode};
use jsonschema::Validator;
use rustc_hash::FxBuildHasher;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::BuildHasher;
use std::sync::{LazyLock, Mutex, OnceLock};

/// Headers of the message and the connection; `content-type` is a matter of `content` there.
const UNSAID: [&str; 4] = ["connection", "content-length", "content-type", "date"];

static DOCUMENT: LazyLock<Vec<Path>> = LazyLock::new(read);

/// A path of the document, by its segments.
struct Path {
    segments: Vec<String>,
    /// By status, for each method in lower case.
    operations: BTreeMap<String, BTreeMap<u16, Response>>,
}

/// What the document says of an answer.
struct Response {
    headers: BTreeSet<String>,
    required: BTreeSet<String>,
    /// The schema of each media type, made a validator at first need.
    content: BTreeMap<String, (Value, OnceLock<Validator>)>,
}

/// Says no, in words, unless.
macro_rules! must {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

/// Holds an answer of the public listener against the document. The error says what is otherwise.
pub fn check(
    method: &Method,
    path: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), String> {
    let path = path.split('?').next().unwrap();
    let Some(operations) = operations(path) else {
        return Ok(());
    };
    let is_head = method == Method::HEAD;
    let name = if is_head { "get" } else { method.as_str() }.to_lowercase();
    let what = format!("{method} {path}: {status}");
    let Some(responses) = operations.get(&name) else {
        // What comes before the route, and what the framework says of all routes.
        let known = [204, 400, 401, 403, 405, 414, 429, 503];
        must!(known.contains(&status.as_u16()), "{what}: no operation");
        return Ok(());
    };
    let response = responses.get(&status.as_u16());
    let response = response.ok_or_else(|| format!("{what} is not in the document"))?;
    for header in headers.keys().map(http::HeaderName::as_str) {
        must!(
            UNSAID.contains(&header) || response.headers.contains(header),
            "{what}: the document does not know the header {header}"
        );
    }
    for header in &response.required {
        must!(headers.contains_key(header), "{what}: {header} is missing");
    }
    let kind = headers
        .get("content-type")
        .map(|kind| kind.to_str().unwrap());
    let Some(kind) = kind else {
        must!(body.is_empty(), "{what}: a body of no type");
        let is_bodiless = is_head || response.content.is_empty();
        must!(is_bodiless, "{what}: the document has a body");
        return Ok(());
    };
    let schema = response.content.get(kind);
    let (schema, validator) =
        schema.ok_or_else(|| format!("{what}: {kind} is not in the document"))?;
    let is_plain =
        !headers.contains_key("content-encoding") && kind.starts_with("application/json");
    if is_plain && !is_head && is_new(schema, body) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let validator = validator.get_or_init(|| jsonschema::validator_for(schema).unwrap());
        let errors: Vec<_> = validator
            .iter_errors(&body)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        must!(errors.is_empty(), "{what}: {errors:?} in {body}");
    }
    Ok(())
}

/// Whether it is the first time that this body is held against this schema: many are asked for again and again.
fn is_new(schema: &Value, body: &[u8]) -> bool {
    static SEEN: LazyLock<Mutex<HashSet<u64>>> = LazyLock::new(Mutex::default);
    let hash = FxBuildHasher.hash_one((std::ptr::from_ref(schema), body));
    SEEN.lock().unwrap().insert(hash)
}

/// The operations of the path that a request's path belongs to: the one with the fewest parameters.
fn operations(path: &str) -> Option<&'static BTreeMap<String, BTreeMap<u16, Response>>> {
    let segments: Vec<_> = path.split('/').collect();
    let fits = |known: &&Path| {
        known.segments.len() == segments.len()
            && known
                .segments
                .iter()
                .zip(&segments)
                .all(|(known, segment)| {
                    known == segment || known.starts_with('{') && !segment.is_empty()
                })
    };
    let parameters = |path: &&Path| {
        path.segments
            .iter()
            .filter(|it| it.starts_with('{'))
            .count()
    };
    let path = DOCUMENT.iter().filter(fits).min_by_key(parameters)?;
    Some(&path.operations)
}

fn read() -> Vec<Path> {
    let document: Value =
        yaml_serde::from_str(include_str!("../../interfaces/openapi.yaml")).unwrap();
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let schemas = &document["components"]["schemas"];
    let response = |response: &Value| {
        let headers = object(&response["headers"]);
        let is_required = |header: &Value| {
            let shared = header["$ref"].as_str().map(|name| {
                let name = name.strip_prefix('#').unwrap();
                document.pointer(name).unwrap()
            });
            shared.unwrap_or(header)["required"] == true
        };
        let content = object(&response["content"])
            .into_iter()
            .map(|(kind, content)| {
                let mut schema = content["schema"].clone();
                schema["components"] = json!({ "schemas": schemas });
                (kind, (schema, OnceLock::new()))
            });
        Response {
            required: headers
                .iter()
                .filter(|(_, header)| is_required(header))
                .map(|(name, _)| name.clone())
                .collect(),
            headers: headers.into_iter().map(|(name, _)| name).collect(),
            content: content.collect(),
        }
    };
    let responses = |operation: &Value| {
        let responses = object(&operation["responses"]).into_iter();
        responses
            .map(|(status, it)| (status.parse().unwrap(), response(&it)))
            .collect()
    };
    let paths = object(&document["paths"]).into_iter();
    paths
        .map(|(path, item)| Path {
            segments: path.split('/').map(str::to_owned).collect(),
            operations: object(&item)
                .into_iter()
                .map(|(method, operation)| (method, responses(&operation)))
                .collect(),
        })
        .collect()
}
