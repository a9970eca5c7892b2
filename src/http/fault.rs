//! Faults: the only place where errors become status codes.
//!
//! A [`Fault`] travels in its response's extensions. The outermost layer renders it, because only
//! that one knows the conversation; it also gives faults to errors that the framework makes.

mod code;
mod reason;

pub use code::ErrorCode;
pub use reason::Reason;

pub(super) use reason::ErrorBody;

use super::caching::{CACHE_STATUS, cache_status};
use crate::catalog::{CatalogError, Unrenderable};
use crate::telemetry::Conversation;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// How long clients should wait where nothing better is known, and what an overloaded replica asks for.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that clients are asked for, whatever the inventory asked of us.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// An error answer.
#[derive(Clone, Debug)]
pub struct Fault(Box<Inner>);

/// A fault on its way out: what goes on the wire, and what goes in the log.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// One per occurrence; the same on the wire and in the log.
    pub fault_id: Uuid,
    /// The first reason's code; 5xx have none.
    pub code: Option<ErrorCode>,
    /// What lies behind it. For the log only.
    pub cause: Option<String>,
}

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    reasons: Vec<Reason>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

/// An error answer, as it goes over the wire.
#[derive(Serialize, ToSchema)]
#[schema(as = Fault)]
pub(super) struct FaultBody {
    /// What went wrong.
    fault: Details,
}

/// One occurrence of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = FaultDetails)]
#[serde(rename_all = "camelCase")]
struct Details {
    /// One per occurrence; also in the log.
    #[schema(format = Uuid)]
    fault_id: String,
    /// The request's `x-conversation`.
    #[schema(format = Uuid)]
    trace_id: String,
    /// Everything that is wrong. A 5xx says `Internal Server Error`, and no more.
    #[schema(min_items = 1)]
    errors: Vec<ErrorBody>,
}

// === impl Fault ===

impl Fault {
    /// A refusal for one reason, in that reason's own words.
    pub fn new(code: ErrorCode) -> Self {
        Self::because(code.status(), vec![Reason::new(code)])
    }

    /// A refusal for all of `reasons`, with the status of the first.
    pub fn all(reasons: Vec<Reason>) -> Self {
        let status = reasons
            .first()
            .map_or(StatusCode::BAD_REQUEST, |reason| reason.code.status());
        Self::because(status, reasons)
    }

    /// 401, naming the scheme that would do ([RFC 9110 §11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
    pub fn unauthorized(scheme: &'static str) -> Self {
        Self::new(ErrorCode::Unauthorized).with(WWW_AUTHENTICATE, HeaderValue::from_static(scheme))
    }

    /// 412: the condition in this header does not hold.
    pub fn precondition_failed(header: &'static str) -> Self {
        let code = ErrorCode::PreconditionFailed;
        Self::all(vec![Reason::header(code, header, code.description())])
    }

    /// 500: something here is broken. `cause` goes to the log.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::because(StatusCode::INTERNAL_SERVER_ERROR, Vec::new()).caused_by(cause)
    }

    /// 500 for a handler that panicked. What it said may hold anything, so that is left out; the
    /// log has the place in the source.
    pub fn panicked() -> Self {
        Self::internal("a handler panicked")
    }

    /// 503: not now. `Retry-After` is rounded up to whole seconds, from one to 60.
    pub fn unavailable(retry_after: Duration, cause: impl Into<String>) -> Self {
        let retry_after = retry_after.min(LONGEST_PAUSE);
        let partial = u64::from(retry_after.subsec_nanos() > 0);
        let seconds = retry_after.as_secs().saturating_add(partial).max(1);
        Self::because(StatusCode::SERVICE_UNAVAILABLE, Vec::new())
            .with(RETRY_AFTER, HeaderValue::from(seconds))
            .caused_by(cause)
    }

    /// 503: this replica has as much to do as it can.
    pub fn overloaded() -> Self {
        Self::unavailable(PAUSE, "too many requests in flight")
    }

    /// 503: it took too long. For requests that change nothing.
    pub fn timed_out() -> Self {
        Self::unavailable(PAUSE, "the request's deadline passed")
    }

    /// 408: the body took too long. The rest of it may still come, so the connection is of no use.
    pub fn body_timed_out() -> Self {
        Self::new(ErrorCode::BodyTimeout).with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 504: the caller takes only what is cached, and that is not
    /// ([RFC 9111 section 5.2.1.7](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1.7)).
    pub fn not_cached() -> Self {
        Self::because(StatusCode::GATEWAY_TIMEOUT, Vec::new())
    }

    /// 504: whether the write was applied is not known.
    pub fn outcome_unknown(cause: impl Into<String>) -> Self {
        Self::because(StatusCode::GATEWAY_TIMEOUT, Vec::new()).caused_by(cause)
    }

    /// The fault for an error status that came without one, from the framework.
    pub fn for_status(status: StatusCode) -> Self {
        let code = match status {
            status if status.is_server_error() => {
                return Self::because(status, Vec::new());
            }
            StatusCode::NOT_FOUND => ErrorCode::RouteNotFound,
            StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::BodyTooLarge,
            StatusCode::REQUEST_TIMEOUT => ErrorCode::BodyTimeout,
            StatusCode::URI_TOO_LONG => ErrorCode::UriTooLong,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
            _ => ErrorCode::InvalidRequest,
        };
        Self::because(status, vec![Reason::new(code)])
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Writes the fault into `response`: headers and body. `None` where the answer is not an error,
    /// or has a JSON body of its own (health has). One that was rendered before is left as it is where
    /// its [`Rendered`] is in the extensions.
    pub fn render(response: &mut Response, conversation: Conversation) -> Option<Rendered> {
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return None;
        }
        if let Some(rendered) = response.extensions_mut().remove::<Rendered>() {
            return Some(rendered);
        }
        let fault = match response.extensions_mut().remove::<Self>() {
            Some(fault) => fault,
            None if response.headers().get(CONTENT_TYPE) == Some(&JSON) => return None,
            None => Self::for_status(status),
        };
        let fault_id = Uuid::new_v4();
        *response.body_mut() = Body::from(fault.body(fault_id, conversation));
        let headers = response.headers_mut();
        // What described the framework's own body does not describe ours; Allow does.
        let allow = headers.remove(ALLOW);
        headers.clear();
        headers.extend(allow.map(|allow| (ALLOW, allow)));
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.extend(fault.0.headers);
        Some(Rendered {
            fault_id,
            code: fault.0.reasons.first().map(|reason| reason.code),
            cause: fault.0.cause,
        })
    }

    fn because(status: StatusCode, reasons: Vec<Reason>) -> Self {
        Self(Box::new(Inner {
            status,
            reasons,
            headers: Vec::new(),
            cause: None,
        }))
    }

    fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What is wrong, as it goes over the wire. 5xx say nothing but that they are: what is behind them
    /// is nobody's business outside.
    pub(super) fn errors(&self) -> Vec<ErrorBody> {
        let mut errors: Vec<_> = self.0.reasons.iter().map(ErrorBody::from).collect();
        if errors.is_empty() {
            errors.push(ErrorBody::unexplained());
        }
        errors
    }

    /// What lies behind it, for the log.
    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The first reason's code; 5xx have none.
    #[cfg(test)]
    pub(super) fn code(&self) -> Option<ErrorCode> {
        self.0.reasons.first().map(|reason| reason.code)
    }

    fn body(&self, fault_id: Uuid, conversation: Conversation) -> Vec<u8> {
        let fault = Details {
            fault_id: fault_id.to_string(),
            trace_id: conversation.to_string(),
            errors: self.errors(),
        };
        // Strings and ids only: nothing here can fail to serialise.
        serde_json::to_vec(&FaultBody { fault }).unwrap_or_default()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Unrenderable> for Fault {
    fn from(error: Unrenderable) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<CatalogError> for Fault {
    fn from(error: CatalogError) -> Self {
        let cause = error.to_string();
        match error {
            CatalogError::NotFound { outcome } => Self::new(ErrorCode::ProductNotFound)
                .with(CACHE_STATUS, cache_status(outcome, Duration::ZERO)),
            CatalogError::Gone => Self::new(ErrorCode::ProductGone),
            CatalogError::Changed => Self::new(ErrorCode::ProductChanged),
            CatalogError::PreconditionFailed { header } => Self::precondition_failed(header),
            CatalogError::PatchRejected => Self::new(ErrorCode::PatchResultInvalid),
            CatalogError::Patch(problems) => {
                Self::all(problems.into_iter().map(Reason::from).collect())
            }
            CatalogError::Conflict => Self::new(ErrorCode::ProductConflict),
            CatalogError::Rejected => Self::new(ErrorCode::ProductRejected),
            CatalogError::BadCursor => Self::new(ErrorCode::InvalidCursor),
            CatalogError::Unavailable { retry_after, .. } => Self::unavailable(retry_after, cause),
            CatalogError::NotCached => Self::not_cached(),
            CatalogError::OutcomeUnknown { .. } => Self::outcome_unknown(cause),
        }
    }
}

/// The media type of faults and of everything that is not a versioned representation.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What errors, health, write answers and the internal listener say about caching.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Outcome, Problem, ProblemCode};
    use crate::product::{QueryProblem, QueryProblemCode};
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    async fn rendered(response: Response) -> (Response, Value, Option<Rendered>) {
        let conversation = Conversation::new();
        let mut response = response;
        let log = Fault::render(&mut response, conversation);
        let body = std::mem::take(response.body_mut());
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if log.is_some() {
            assert_eq!(body["fault"]["traceId"], conversation.to_string());
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
        (response, body, log)
    }

    #[tokio::test]
    async fn a_client_error_names_every_reason() {
        let fault = Fault::all(vec![
            Reason::from(Problem {
                code: ProblemCode::RequiredFieldMissing,
                field: "price.amount".to_owned(),
                description: "price.amount is required".to_owned(),
            }),
            Reason::from(QueryProblem {
                code: QueryProblemCode::InvalidParameter,
                parameter: "limit".to_owned(),
                description: "limit is 1 to 100".to_owned(),
            }),
        ]);
        let (response, body, log) = rendered(fault.into_response()).await;
        assert_eq!(response.status(), 400);
        assert_eq!(
            body["fault"]["errors"],
            json!([
                {"errorCode": "REQUIRED_FIELD_MISSING", "description": "price.amount is required", "field": "price.amount"},
                {"errorCode": "INVALID_PARAMETER", "description": "limit is 1 to 100", "parameter": "limit"},
            ])
        );
        let log = log.unwrap();
        assert_eq!(body["fault"]["faultId"], log.fault_id.to_string());
        assert_eq!(log.code, Some(ErrorCode::RequiredFieldMissing));
    }

    #[tokio::test]
    async fn a_server_error_says_nothing_and_logs_its_cause() {
        let secret = "connection to 10.0.0.7 refused";
        for fault in [
            Fault::internal(secret),
            Fault::unavailable(Duration::from_millis(1500), secret),
            Fault::outcome_unknown(secret),
            Fault::panicked(),
            Fault::for_status(StatusCode::BAD_GATEWAY),
        ] {
            let (_, body, log) = rendered(fault.into_response()).await;
            assert_eq!(
                body["fault"]["errors"],
                json!([{"description": "Internal Server Error"}])
            );
            assert!(!body.to_string().contains("10.0.0.7"));
            assert_eq!(log.unwrap().code, None);
        }
    }

    #[tokio::test]
    async fn retry_after_is_rounded_up_from_a_second_to_a_minute() {
        for (pause, expected) in [
            (0, "1"),
            (1, "1"),
            (1000, "1"),
            (1001, "2"),
            (30_000, "30"),
            (60_001, "60"),
            (u64::MAX, "60"),
        ] {
            let fault = Fault::unavailable(Duration::from_millis(pause), "");
            let (response, _, _) = rendered(fault.into_response()).await;
            assert_eq!(response.headers()[RETRY_AFTER], expected, "{pause} ms");
        }
    }

    #[tokio::test]
    async fn errors_of_the_framework_become_faults_and_lose_their_text() {
        let answer = (StatusCode::BAD_REQUEST, "expected `,` at line 1").into_response();
        let (response, body, _) = rendered(answer).await;
        assert_eq!(response.status(), 400);
        assert_eq!(body["fault"]["errors"][0]["errorCode"], "INVALID_REQUEST");
        assert!(!body.to_string().contains("line 1"));
    }

    #[tokio::test]
    async fn answers_that_are_no_faults_are_left_alone() {
        let ok = (StatusCode::OK, "fine").into_response();
        assert!(rendered(ok).await.2.is_none());
        let health = (
            StatusCode::SERVICE_UNAVAILABLE,
            [(CONTENT_TYPE, JSON)],
            "{}",
        );
        let (_, body, log) = rendered(health.into_response()).await;
        assert_eq!((body, log.is_none()), (json!({}), true));
    }

    #[test]
    fn every_catalogue_error_has_its_status() {
        let cause = String::new;
        for (error, status) in [
            (
                CatalogError::NotFound {
                    outcome: Outcome::Negative,
                },
                404,
            ),
            (CatalogError::Gone, 410),
            (CatalogError::Changed, 412),
            (CatalogError::PreconditionFailed { header: "if-match" }, 412),
            (CatalogError::PatchRejected, 422),
            (CatalogError::Conflict, 409),
            (CatalogError::Rejected, 400),
            (CatalogError::BadCursor, 400),
            (
                CatalogError::Unavailable {
                    retry_after: PAUSE,
                    cause: cause(),
                },
                503,
            ),
            (CatalogError::NotCached, 504),
            (CatalogError::OutcomeUnknown { cause: cause() }, 504),
        ] {
            assert_eq!(Fault::from(error).status(), status);
        }
    }
}
