//! `Idempotency-Key`: a request that may be repeated is carried out once, and answered the same again.
//!
//! What comes before the body is known (401, 403, 406, 408, 413, 415, a key that is no UUID) is answered
//! anew each time. From then on every answer below 500 is kept, byte for byte: a fault's `faultId` and
//! `traceId` too, because it is the same occurrence. A 5xx is never kept: the same key tries again.

use super::auth::Writer;
use super::extract::JsonBody;
use super::fault::{ErrorCode, Fault, Reason};
use crate::catalog::{Catalog, KeptAnswer, NotRepeatable, Once, Repeatable};
use crate::telemetry::Conversation;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::pin::pin;
use uuid::Uuid;

/// The header that carries the key, both ways.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer is one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("x-idempotency-replayed");

/// The request's `Idempotency-Key`, where it has one.
#[derive(Clone, Debug)]
pub(super) struct IdempotencyKey(Option<(Uuid, HeaderValue)>);

/// A request, and the key it may be repeated under.
#[derive(Debug)]
pub(super) struct Keyed(Option<(Repeatable, HeaderValue)>);

/// The keys of a request's writes; none where it has no key itself.
#[derive(Clone, Debug)]
pub(super) struct WriteKeys(Option<Repeatable>);

/// Response extension: though no 5xx, the answer has one in it, and is not to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotKept;

// === impl IdempotencyKey ===

impl IdempotencyKey {
    /// The request that `writer` makes of `route`, a path template, with this body.
    pub(super) fn with(self, writer: &Writer, route: &str, body: &JsonBody) -> Keyed {
        Keyed(self.0.map(|(key, echo)| {
            // The same bytes in another version are another request.
            let version = body.1.number().as_bytes();
            let request = Repeatable::new(&writer.name, route, key, version, &body.0);
            (request, echo)
        }))
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => parse(value).map(|key| (key, value.clone())),
            (Some(_), Some(_)) => None,
        };
        match key {
            Some(key) => Ok(Self(Some(key))),
            None => Err(Fault::all(vec![Reason::header(
                ErrorCode::InvalidHeader,
                "idempotency-key",
                "`Idempotency-Key` must be one UUID, such as 8e03978e-40d5-43e8-bc93-6894a57f9324",
            )])),
        }
    }
}

// === impl Keyed ===

impl Keyed {
    /// The keys under which its writes go to the inventory.
    pub(super) fn write_keys(&self) -> WriteKeys {
        WriteKeys(self.0.as_ref().map(|(request, _)| request.clone()))
    }

    /// Answers with what `carry_out` comes to, or came to when the same request was made before. With a
    /// key a caller that hangs up stops nothing.
    ///
    /// # Errors
    /// Without a key, those of `carry_out`.
    pub(super) async fn once(
        self,
        catalog: &Catalog,
        conversation: Conversation,
        carry_out: impl Future<Output = Result<Response, Fault>> + Send + 'static,
    ) -> Result<Response, Fault> {
        let Some((request, echo)) = self.0 else {
            return carry_out.await;
        };
        let carry_out = async move {
            let mut carry_out = pin!(carry_out);
            let answer = poll_fn(|cx| conversation.scope(|| carry_out.as_mut().poll(cx)));
            let answer = answer.await.unwrap_or_else(Fault::into_response);
            settle(answer, conversation).await
        };
        let response = match catalog.once(&request, carry_out).await {
            Ok(Once::Done(response)) => response,
            Ok(Once::Repeated(kept)) => replay(kept),
            Err(error) => refusal(error).into_response(),
        };
        Ok(with_header(response, IDEMPOTENCY_KEY, echo))
    }
}

// === impl WriteKeys ===

impl WriteKeys {
    /// The key of the `index`th write.
    pub(super) fn nth(&self, index: usize) -> Option<Uuid> {
        self.0.as_ref().map(|request| request.write_key(index))
    }
}

/// A UUID with hyphens, plain or as the string of a structured field
/// ([RFC 9651 section 3.3.3](https://www.rfc-editor.org/rfc/rfc9651#section-3.3.3)).
fn parse(value: &HeaderValue) -> Option<Uuid> {
    let text = value.as_bytes();
    let quoted = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    Conversation::parse(quoted.unwrap_or(text)).map(|id| id.0)
}

/// An answer as it goes out, and as it is kept.
async fn settle(
    mut response: Response,
    conversation: Conversation,
) -> (Response, Option<KeptAnswer>) {
    let is_passing = response.extensions().get::<NotKept>().is_some();
    if is_passing || response.status().is_server_error() {
        return (response, None);
    }
    let rendered = Fault::render(&mut response, conversation);
    let (mut parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return (Fault::internal(error.to_string()).into_response(), None),
    };
    let kept = KeptAnswer {
        status: parts.status,
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    // For the access line.
    if let Some(rendered) = rendered {
        parts.extensions.insert(rendered);
    }
    (Response::from_parts(parts, Body::from(body)), Some(kept))
}

fn replay(kept: KeptAnswer) -> Response {
    tracing::info!("A repeated request was answered like the first one");
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = kept.status;
    *response.headers_mut() = kept.headers;
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn refusal(error: NotRepeatable) -> Fault {
    match error {
        NotRepeatable::OtherRequest => Fault::new(ErrorCode::IdempotencyConflict),
        NotRepeatable::UnderWay => Fault::new(ErrorCode::IdempotencyInFlight)
            .with(RETRY_AFTER, HeaderValue::from_static("1")),
        NotRepeatable::Crashed => Fault::outcome_unknown(error.to_string()),
    }
}

/// Adds a header, also to a fault that is still to be rendered.
fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    match response.extensions_mut().remove::<Fault>() {
        Some(fault) => fault.with(name, value).into_response(),
        None => {
            response.headers_mut().insert(name, value);
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_uuid_plain_or_quoted() {
        let key = Uuid::parse_str("8e03978e-40d5-43e8-bc93-6894a57f9324").ok();
        for (text, expected) in [
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", key),
            ("8E03978E-40D5-43E8-BC93-6894A57F9324", key),
            ("\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", key),
            ("\"8e03978e-40d5-43e8-bc93-6894a57f9324", None),
            ("8e03978e40d543e8bc936894a57f9324", None),
            ("{8e03978e-40d5-43e8-bc93-6894a57f9324}", None),
            ("order-17", None),
            ("", None),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(parse(&value), expected, "{text}");
        }
    }
}
