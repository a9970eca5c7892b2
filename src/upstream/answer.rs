//! What the inventory's answers and failures mean.

use super::breaker::service::CircuitOpen;
use super::bulkhead::Crowded;
use super::call::Operation;
use super::deadline::DeadlinePassed;
use super::observe::{Attempt, Observer, Rejection};
use super::retry::retry_after;
use super::transport::TransportError;
use super::{UpstreamError, Validators};
use crate::clock::Moment;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, ETAG, HeaderName, LAST_MODIFIED, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde_json::value::RawValue;
use std::time::Duration;
use tower::BoxError;

/// A validator longer than this is not kept.
const MAX_VALIDATOR_LEN: usize = 1024;

/// A 2xx or 304, still to be read.
pub(super) struct Answer {
    /// When the request was sent.
    pub(super) sent_at: Moment,
    operation: Operation,
    response: Response<Bytes>,
    attempt: Option<Attempt>,
    observer: Observer,
}

/// The inventory did what was asked, and then said something that can not be read.
#[derive(Debug, thiserror::Error)]
#[error("its answer is not usable: {0}")]
struct Unreadable(String);

// === impl Answer ===

impl Answer {
    /// Sorts the end of a call into answers worth reading and errors.
    ///
    /// `now` is when the call began or later: it stands in where no attempt says when it was sent.
    pub(super) fn of(
        operation: Operation,
        result: Result<Response<Bytes>, BoxError>,
        observer: &Observer,
        now: Moment,
    ) -> Result<Self, UpstreamError> {
        let response = result.map_err(|error| failure(operation, error, observer))?;
        let status = response.status();
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            return Err(refusal(operation, &response, now));
        }
        let attempt = response.extensions().get::<Attempt>().cloned();
        Ok(Self {
            sent_at: attempt.as_ref().map_or(now, Attempt::began),
            operation,
            response,
            attempt,
            observer: observer.clone(),
        })
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The inventory's validators, verbatim. A date without a tag beside it only if it is a strong
    /// one: two changes within its second would have the same.
    pub(super) fn validators(&self) -> Validators {
        let headers = self.response.headers();
        let etag = validator(headers, &ETAG);
        let last_modified = validator(headers, &LAST_MODIFIED)
            .filter(|modified| etag.is_some() || is_strong(modified, headers));
        Validators {
            etag,
            last_modified,
        }
    }

    /// The body as it came.
    pub(super) fn body(&self) -> &Bytes {
        self.response.body()
    }

    /// Reads the body as JSON with `read`, and reports whether that worked.
    ///
    /// # Errors
    /// What is wrong: [`UpstreamError::Invalid`], or for a write, which was accepted and whose
    /// result is not known, [`UpstreamError::Unknown`].
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&RawValue) -> Result<T, String>,
    ) -> Result<T, UpstreamError> {
        self.accept(json(&self.response).and_then(read))
    }

    /// As [`Answer::read`], but the body is looked at as it is, once: whether it is JSON at all is asked only
    /// where `read` can not make anything of it.
    ///
    /// # Errors
    /// As [`Answer::read`].
    pub(super) fn read_whole<'a, T>(
        &'a self,
        read: impl FnOnce(&'a [u8]) -> Result<T, String>,
    ) -> Result<T, UpstreamError> {
        let result = match is_usable_type(&self.response) {
            true => read(self.response.body()),
            false => Err(String::new()),
        };
        self.accept(result.map_err(|what| json(&self.response).err().unwrap_or(what)))
    }

    /// Reports whether the answer could be used.
    pub(super) fn accept<T>(&self, result: Result<T, String>) -> Result<T, UpstreamError> {
        // Anything but a 2xx was judged by its status already.
        if let Some(attempt) = &self.attempt
            && self.status().is_success()
        {
            self.observer.read(attempt, result.is_ok());
        }
        result.map_err(|what| match self.operation.is_write() {
            true => UpstreamError::Unknown(Unreadable(what).into()),
            false => UpstreamError::Invalid {
                what,
                too_long: false,
            },
        })
    }
}

/// Whether a body says that it is JSON, or does not say what it is.
pub(super) fn is_usable_type(response: &Response<Bytes>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_none_or(|kind| kind.to_str().is_ok_and(is_json))
}

/// The body as one JSON value of any kind.
fn json(response: &Response<Bytes>) -> Result<&RawValue, String> {
    if !is_usable_type(response) {
        return Err("its content type is not JSON".to_owned());
    }
    serde_json::from_slice(response.body()).map_err(|error| {
        let rule = match error.is_eof() {
            true => "its body ends in the middle of the JSON",
            false => "its body is not JSON",
        };
        rule.to_owned()
    })
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<Box<str>> {
    let value = headers.get(name)?.to_str().ok()?;
    (1..=MAX_VALIDATOR_LEN)
        .contains(&value.len())
        .then(|| value.into())
}

/// Whether a `Last-Modified` lies so far before the answer's `Date` that nothing can have changed
/// since without changing it ([RFC 9110 section 8.8.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2)).
fn is_strong(modified: &str, headers: &HeaderMap) -> bool {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let age = date.and_then(|date| {
        let date = httpdate::parse_http_date(date).ok()?;
        let modified = httpdate::parse_http_date(modified).ok()?;
        date.duration_since(modified).ok()
    });
    age.is_some_and(|age| age >= Duration::from_secs(2))
}

/// What it means that there is no answer.
fn failure(operation: Operation, error: BoxError, observer: &Observer) -> UpstreamError {
    if let Some(passed) = error.downcast_ref::<DeadlinePassed>() {
        if passed.sent {
            return UpstreamError::Unknown(error);
        }
        observer.rejected(operation, Rejection::Deadline);
        return UpstreamError::Unreachable(error);
    }
    if let Some(&CircuitOpen { retry_after }) = error.downcast_ref() {
        observer.rejected(operation, Rejection::CircuitOpen);
        return UpstreamError::CircuitOpen { retry_after };
    }
    if let Some(&crowded) = error.downcast_ref::<Crowded>() {
        observer.rejected(operation, Rejection::Crowded(crowded));
        return UpstreamError::Crowded(crowded);
    }
    match error.downcast_ref() {
        Some(TransportError::NotSent(_)) => UpstreamError::Unreachable(error),
        Some(TransportError::TooLong(_)) if !operation.is_write() => UpstreamError::Invalid {
            what: error.to_string(),
            too_long: true,
        },
        Some(TransportError::TooLong(_) | TransportError::Broken(_)) | None => {
            UpstreamError::Unknown(error)
        }
    }
}

/// What a status other than 2xx and 304 means.
fn refusal(operation: Operation, response: &Response<Bytes>, now: Moment) -> UpstreamError {
    let status = response.status();
    match status.as_u16() {
        401 | 403 => UpstreamError::Denied { status },
        404 | 410 => UpstreamError::Gone { status },
        // A write with the same key is still under way there.
        409 if operation == Operation::Create && response.headers().contains_key(RETRY_AFTER) => {
            UpstreamError::Failing {
                status,
                retry_after: retry_after(response.headers(), now),
            }
        }
        400 | 409 | 412 | 422 if operation.is_write() => UpstreamError::Refused { status },
        400 | 414 | 422 if operation == Operation::List => UpstreamError::Refused { status },
        429 | 500..=599 => UpstreamError::Failing {
            status,
            retry_after: retry_after(response.headers(), now),
        },
        _ => UpstreamError::Invalid {
            what: format!("it answered {status} to `{}`", operation.as_str()),
            too_long: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_by_several_names() {
        for kind in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/hal+json",
        ] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in ["text/html", "", "application/jsonp", "text/plain"] {
            assert!(!is_json(kind), "{kind}");
        }
    }

    #[test]
    fn each_status_says_what_the_caller_can_do() {
        use Operation::{Get, List, Replace};
        for (operation, status, expected) in [
            (Get, 401, "refused our credential"),
            (Get, 403, "refused our credential"),
            (Get, 404, "no such product"),
            (Replace, 410, "no such product"),
            (Replace, 400, "refused the request"),
            (Replace, 409, "refused the request"),
            (Replace, 412, "refused the request"),
            (Replace, 422, "refused the request"),
            (List, 400, "refused the request"),
            (List, 409, "not usable"),
            (Get, 400, "not usable"),
            (Get, 412, "not usable"),
            (Replace, 405, "not usable"),
            (Get, 302, "not usable"),
            (Get, 429, "answered 429"),
            (Replace, 500, "answered 500"),
            (Get, 503, "answered 503"),
        ] {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let error = refusal(operation, &response, Moment::default()).to_string();
            assert!(error.contains(expected), "{status}: {error}");
        }
    }
}
