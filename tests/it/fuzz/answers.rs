//! What every answer has to be.

use super::requests::{Asked, MARK, SECRET};
use crate::answers;
use crate::harness::WRITE_KEY;
use axum::body::{Body, Bytes, to_bytes};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, EXPIRES, LINK, LOCATION,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use uuid::Uuid;

/// Status codes that the rules exclude.
const EXCLUDED: [u16; 10] = [205, 300, 305, 306, 402, 407, 428, 431, 505, 511];

/// What an answer is held against.
pub struct Rules {
    /// Every code that `docs/errors.md` explains.
    codes: BTreeSet<String>,
}

/// What an answer tells the next request.
#[derive(Debug, Default)]
pub struct Seen {
    pub tag: Option<String>,
    pub cursor: Option<String>,
}

/// Says no, in words, unless.
macro_rules! must {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

// === impl Rules ===

impl Rules {
    /// Reads which error codes are documented.
    pub fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
        let text = std::fs::read_to_string(file).unwrap();
        let first = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let codes: BTreeSet<_> = text.lines().filter_map(first).collect();
        assert!(codes.len() > 20, "docs/errors.md has a table of codes");
        Self { codes }
    }

    /// Reads an answer to its end, and holds it against the rules. The error says which it breaks.
    pub async fn check(&self, asked: &Asked, answer: Response<Body>) -> Result<Seen, String> {
        let (head, body) = answer.into_parts();
        let body = to_bytes(body, usize::MAX).await;
        let body = body.map_err(|error| format!("the body breaks off: {error}"))?;
        let status = head.status;
        must!(!status.is_server_error(), "{status}: {body:?}");
        must!(!status.is_informational(), "{status}");
        must!(!EXCLUDED.contains(&status.as_u16()), "{status} is excluded");
        let headers = &head.headers;
        answers::check(&asked.method, &asked.uri, status, headers, &body)?;
        headers_follow_the_rules(asked, status, headers)?;
        nothing_is_repeated(status, headers, &body)?;
        if asked.method == Method::HEAD {
            must!(body.is_empty(), "HEAD with a body");
            return Ok(Seen::default());
        }
        let json = readable(headers, &body)?;
        if status.is_client_error() {
            let fault = json.as_ref().filter(|json| json["fault"].is_object());
            let fault = fault.ok_or_else(|| format!("{status} without a fault: {body:?}"))?;
            self.is_a_fault(headers, fault)?;
        }
        let cursors = json.map(|json| json["paging"]["cursors"].clone());
        let cursor = cursors.and_then(|all| Some(all["after"].as_str()?.to_owned()));
        let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        Ok(Seen {
            tag: tag.map(str::to_owned),
            cursor,
        })
    }

    fn is_a_fault(&self, headers: &HeaderMap, body: &Value) -> Result<(), String> {
        let fault = &body["fault"];
        let uuid = |value: &Value| value.as_str().and_then(|text| Uuid::parse_str(text).ok());
        must!(uuid(&fault["faultId"]).is_some(), "no faultId: {body}");
        must!(
            fault["traceId"].as_str() == text(headers, &HeaderName::from_static("x-conversation")),
            "traceId is not x-conversation: {body}"
        );
        let errors = fault["errors"].as_array().map_or(&[][..], Vec::as_slice);
        must!(!errors.is_empty(), "no errors: {body}");
        for error in errors {
            let code = error["errorCode"].as_str().unwrap_or_default();
            must!(self.codes.contains(code), "`{code}` is not documented");
            let description = error["description"].as_str().unwrap_or_default();
            must!(!description.is_empty(), "no description: {body}");
            for name in ["field", "parameter", "header"] {
                let named = error[name].as_str().unwrap_or_default();
                must!(
                    named.len() <= 256 && !named.contains(char::is_control),
                    "{name}: {body}"
                );
            }
        }
        Ok(())
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn headers_follow_the_rules(
    asked: &Asked,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), String> {
    let cache = text(headers, &CACHE_CONTROL);
    must!(!headers.contains_key(EXPIRES), "Expires");
    let is_read = [Method::GET, Method::HEAD].contains(&asked.method);
    must!(
        !is_read || cache.is_some(),
        "{status} without Cache-Control"
    );
    if status.is_client_error() {
        must!(cache == Some("no-store"), "{status} with {cache:?}");
        let kind = text(headers, &CONTENT_TYPE);
        must!(kind == Some("application/json"), "{status} as {kind:?}");
    }
    let conversation = text(headers, &HeaderName::from_static("x-conversation"));
    let is_uuid = conversation.is_some_and(|text| Uuid::parse_str(text).is_ok());
    must!(is_uuid, "x-conversation: {conversation:?}");
    match status {
        StatusCode::UNAUTHORIZED => {
            must!(
                headers.contains_key(WWW_AUTHENTICATE),
                "401 without a scheme"
            );
        }
        StatusCode::METHOD_NOT_ALLOWED => must!(headers.contains_key(ALLOW), "405 without Allow"),
        StatusCode::CREATED if !asked.uri.contains("/batch") => {
            must!(headers.contains_key(LOCATION), "201 without Location");
        }
        _ => {}
    }
    Ok(())
}

/// Credentials never come back, and hostile text only as part of a product that has it, or encoded as part of
/// the query that a link to the next page repeats.
fn nothing_is_repeated(
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(), String> {
    const ENCODED: &str = "zq%3C7";
    const MARKS: [&str; 4] = [MARK, ENCODED, "zq&lt;7", "zq\\u003c7"];
    let body = String::from_utf8_lossy(body);
    let is_product = status.is_success() && status != StatusCode::MULTI_STATUS;
    let marks = MARKS.into_iter().filter(|_| !is_product);
    for planted in marks.chain([SECRET, WRITE_KEY]) {
        must!(!body.contains(planted), "repeats {planted}: {body}");
    }
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let is_link = status.is_success() && name == LINK;
        for planted in MARKS.into_iter().chain([SECRET, WRITE_KEY]) {
            let is_query = is_link && planted == ENCODED;
            must!(
                is_query || !value.contains(planted),
                "repeats {planted}: {name}: {value}"
            );
        }
    }
    Ok(())
}

/// The body as JSON, where it claims to be that and is not encoded.
fn readable(headers: &HeaderMap, body: &Bytes) -> Result<Option<Value>, String> {
    let kind = text(headers, &CONTENT_TYPE).unwrap_or_default();
    must!(
        body.is_empty() || !kind.is_empty(),
        "a body without Content-Type"
    );
    if body.is_empty()
        || headers.contains_key(CONTENT_ENCODING)
        || !kind.starts_with("application/json")
    {
        return Ok(None);
    }
    let json = serde_json::from_slice(body);
    json.map(Some)
        .map_err(|error| format!("{kind} that is none: {error}"))
}
