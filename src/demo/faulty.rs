//! What every call passes before the API answers it: counting, the credential, faults on request.

use super::Inventory;
use super::knobs::Faults;
use super::refused::refusal;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use std::io;

/// Counts the call, misbehaves as told, checks the credential, and else lets the API answer.
pub(super) async fn pass(
    State(inventory): State<Inventory>,
    request: Request,
    next: Next,
) -> Response {
    let conversation = header(request.headers(), "x-conversation").map(str::to_owned);
    let operation = operation(request.method(), request.uri());
    let _in_flight = inventory.counters.begin(operation, conversation);
    let faults = inventory.knobs.for_call(operation, request.uri().path());
    let latency = faults.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if faults.hang {
        return std::future::pending().await;
    }
    if let Some(instead) = instead(&faults) {
        return instead;
    }
    let given = header(request.headers(), "x-api-key");
    if inventory.key.is_some() && inventory.key.as_deref() != given {
        return refusal(StatusCode::UNAUTHORIZED, "x-api-key is missing or wrong");
    }
    let mut response = next.run(request).await;
    if faults.wrong_type {
        let plain = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, plain);
    }
    match faults.truncate {
        true => half(response).await,
        false => response,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Which call it is, by method and path alone.
fn operation(method: &Method, uri: &Uri) -> &'static str {
    let path = uri.path().trim_start_matches('/');
    let query = uri.query().unwrap_or_default();
    let mut segments = path.split('/');
    let segments = (segments.next(), segments.next(), segments.next());
    match (method.as_str(), segments) {
        ("GET", (Some("products"), None, _)) if query.split('&').any(|term| term == "count") => {
            "count"
        }
        ("GET", (Some("products"), None, _)) => "list",
        ("GET", (Some("products"), Some(_), None)) => "get",
        ("GET", (Some("products"), Some(_), Some("availability"))) => "availability",
        ("POST", (Some("products"), None, _)) => "create",
        ("PUT", (Some("products"), Some(_), None)) => "replace",
        ("PATCH", (Some("products"), Some(_), None)) => "patch",
        ("DELETE", (Some("products"), Some(_), None)) => "delete",
        ("GET", (Some("health"), None, _)) => "health",
        _ => "other",
    }
}

/// The answer that the faults ask for instead of the API's.
fn instead(faults: &Faults) -> Option<Response> {
    if faults.away {
        return Some(broken(&[], io::ErrorKind::ConnectionRefused));
    }
    if faults.reset {
        return Some(broken(b"{", io::ErrorKind::ConnectionReset));
    }
    let status = faults
        .status
        .and_then(|status| StatusCode::from_u16(status).ok());
    if let Some(status) = status.filter(|_| fastrand::f64() < faults.probability) {
        let mut response = refusal(status, "on request");
        if let Some(secs) = faults.retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        return Some(response);
    }
    let page = "<!doctype html><title>Sign in</title><h1>Please sign in to the network</h1>";
    faults.garbage.then(|| Html(page).into_response())
}

/// An answer whose body ends in an error after `begun`. Where that is nothing, the server closes the
/// connection without having sent anything, and in-process the transport sees a refused connection.
fn broken(begun: &'static [u8], kind: io::ErrorKind) -> Response {
    let begun = (!begun.is_empty()).then(|| Ok(Bytes::from_static(begun)));
    let has_begun = begun.is_some();
    let end = stream::once(async move {
        if has_begun {
            // A pause lets the server send what it has before it hears of the error.
            tokio::task::yield_now().await;
        }
        Err(io::Error::from(kind))
    });
    Body::from_stream(stream::iter(begun).chain(end)).into_response()
}

/// The same answer with only half of its body, which its length still promises.
async fn half(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if body.is_end_stream() {
        return Response::from_parts(head, body);
    }
    let whole = body.collect().await.map(|body| body.to_bytes());
    let whole = whole.unwrap_or_default();
    head.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let sent = stream::iter([Ok(whole.slice(..whole.len() / 2))]);
    let cut = stream::once(async {
        // A pause lets the server send what it has before it hears of the error.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    });
    Response::from_parts(head, Body::from_stream(sent.chain(cut)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart() {
        for (method, uri, expected) in [
            (Method::GET, "/products?limit=5&after=x", "list"),
            (Method::GET, "/products?count", "count"),
            (Method::GET, "/products/p-1", "get"),
            (Method::GET, "/products/p-1/availability", "availability"),
            (Method::POST, "/products", "create"),
            (Method::PUT, "/products/p-1", "replace"),
            (Method::DELETE, "/products/p-1", "delete"),
            (Method::GET, "/health", "health"),
            (Method::PATCH, "/products/p-1", "patch"),
            (Method::PATCH, "/products", "other"),
        ] {
            assert_eq!(
                operation(&method, &Uri::from_static(uri)),
                expected,
                "{method} {uri}"
            );
        }
    }
}
