//! A call as an operation describes it, and the request it becomes.

use super::call::{Call, Operation};
use super::{Expected, Validators};
use crate::secrets::Secret;
use crate::telemetry::Conversation;
use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CONVERSATION: HeaderName = HeaderName::from_static("x-conversation");

/// Says that a write with the same value is the same write, to be done once.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A call as an operation describes it, before it becomes a request.
pub(super) struct Asked {
    pub(super) operation: Operation,
    method: Method,
    url: String,
    /// Conditions (`If-…`), the body's type, the write's key.
    headers: HeaderMap,
    body: Bytes,
}

// === impl Asked ===

impl Asked {
    /// A GET.
    pub(super) fn new(operation: Operation, url: String) -> Self {
        Self {
            operation,
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// With a JSON body.
    pub(super) fn writing(self, method: Method, body: Bytes) -> Self {
        self.sending(method, "application/json", body)
    }

    /// With a JSON Patch (RFC 6902).
    pub(super) fn patching(self, body: Bytes) -> Self {
        self.sending(Method::PATCH, "application/json-patch+json", body)
    }

    fn sending(mut self, method: Method, kind: &'static str, body: Bytes) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self {
            method,
            body,
            ..self
        }
    }

    /// The same write as every other with this key: done once, however often it is asked for.
    pub(super) fn once(mut self, key: Option<Uuid>) -> Self {
        let value = key.and_then(|key| HeaderValue::try_from(key.to_string()).ok());
        self.headers
            .extend(value.map(|value| (IDEMPOTENCY_KEY, value)));
        self
    }

    pub(super) fn deleting(self) -> Self {
        Self {
            method: Method::DELETE,
            ..self
        }
    }

    pub(super) fn is_conditional(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Asks for an answer only if the product is no longer the one with these validators.
    pub(super) fn unless_changed(mut self, known: Option<&Validators>) -> Self {
        let known = known.cloned().unwrap_or_default();
        self.condition(IF_NONE_MATCH, known.etag);
        self.condition(IF_MODIFIED_SINCE, known.last_modified);
        self
    }

    /// Asks for a write only if the product is as expected.
    ///
    /// `If-Match` compares strongly (RFC 9110 section 13.1.1), so a weak tag is of no use there; then
    /// the date has to do, which may miss a second change within its second.
    pub(super) fn if_expected(mut self, expected: &Expected) -> Self {
        match expected {
            Expected::Anything => {}
            Expected::Nothing => self.condition(IF_NONE_MATCH, Some("*".into())),
            Expected::Unchanged(known) => match known.strong_etag() {
                Some(etag) => self.condition(IF_MATCH, Some(etag.into())),
                None => self.condition(IF_UNMODIFIED_SINCE, known.last_modified.clone()),
            },
        }
        self
    }

    fn condition(&mut self, name: HeaderName, value: Option<Box<str>>) {
        let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
        self.headers.extend(value.map(|value| (name, value)));
    }

    /// The request: with our credential where it may have it, on behalf of `cause`.
    ///
    /// # Errors
    /// Where the address is too long, or the credential has characters that no header may have.
    /// The error repeats neither.
    pub(super) fn request(
        self,
        call: Call,
        key: Option<&Secret>,
        cause: Conversation,
    ) -> Result<http::Request<Bytes>, http::Error> {
        let key = key.map(|key| HeaderValue::from_str(key.expose()));
        let key = key.transpose()?.map(|mut key| {
            key.set_sensitive(true);
            (API_KEY, key)
        });
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(self.url)
            .header(CONVERSATION, cause.to_string())
            .header(ACCEPT, "application/json")
            .extension(self.operation.body_limit())
            .extension(call)
            .body(self.body)?;
        request.headers_mut().extend(key);
        request.headers_mut().extend(self.headers);
        Ok(request)
    }
}
