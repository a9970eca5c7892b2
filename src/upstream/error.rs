//! What can go wrong with a call to the inventory.

use super::bulkhead::Crowded;
use http::StatusCode;
use std::time::Duration;

/// Why a call to the inventory did not give an answer, in terms of what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Our own credential has not arrived yet. Retry later.
    #[error("the credential for the inventory (API_KEY) has not been resolved yet")]
    NotReady,
    /// It could not be reached: nothing was sent. Retry later.
    #[error("the inventory can not be reached")]
    Unreachable(#[source] tower::BoxError),
    /// The circuit is open: nothing was sent. Retry then.
    #[error("the circuit to the inventory is open")]
    CircuitOpen {
        /// When it may be closed again.
        retry_after: Duration,
    },
    /// Too many calls are under way or waiting already: nothing was sent. Retry later.
    #[error("too many calls to the inventory: {0}")]
    Crowded(Crowded),
    /// No complete answer in time, or the connection broke after sending. A write may have been applied.
    #[error("the inventory did not answer in time, or broke off")]
    Unknown(#[source] tower::BoxError),
    /// It answered 429 or 5xx. Retry later.
    #[error("the inventory answered {status}")]
    Failing {
        /// Its status.
        status: http::StatusCode,
        /// What its `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// It answered 401 or 403: our credential is wrong. An operator must act.
    #[error("the inventory refused our credential with {status}")]
    Denied {
        /// Its status.
        status: http::StatusCode,
    },
    /// It answered something that is not what the API promises.
    #[error("the inventory's answer is not usable: {what}")]
    Invalid {
        /// What is wrong with it: no excerpt of the answer.
        what: String,
        /// Whether all that is wrong is its length: less may be asked for.
        too_long: bool,
    },
    /// It does not know the cursor that a page of its list was asked for with.
    #[error("the inventory refused the page's cursor with {status}")]
    BadCursor {
        /// 400, 404, 410, 414 or 422.
        status: http::StatusCode,
    },
    /// It refused a write with 400, 409, 412 or 422. Nothing was changed.
    #[error("the inventory refused the request with {status}")]
    Refused {
        /// Its status.
        status: http::StatusCode,
    },
    /// There is no such product to write to (404 or 410).
    #[error("the inventory has no such product")]
    Gone {
        /// 404 or 410.
        status: http::StatusCode,
    },
}

// === impl UpstreamError ===

impl UpstreamError {
    /// When a call is worth trying again, where somebody said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failing { retry_after, .. } => *retry_after,
            Self::CircuitOpen { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// What it means that a page of the list was refused: one behind a cursor, that the inventory does not
    /// know this cursor, which may be a client's own making; any other, that it breaks its promise.
    pub(super) fn of_page(self, has_cursor: bool) -> Self {
        match self {
            Self::Refused { status } | Self::Gone { status } if has_cursor => {
                Self::BadCursor { status }
            }
            Self::Refused { status } => Self::Invalid {
                what: format!("it answered {status} to `list`"),
                too_long: false,
            },
            other => other,
        }
    }

    /// What the end of a write means after an earlier attempt at it that may have been carried out: an
    /// end that would say that nothing happened, or that something else is in the way, says no more
    /// than that it is not known.
    pub(super) fn in_doubt(self) -> Self {
        let unknown = match &self {
            Self::NotReady
            | Self::Unreachable(_)
            | Self::CircuitOpen { .. }
            | Self::Crowded(_)
            | Self::Denied { .. }
            | Self::Gone { .. } => true,
            Self::Refused { status } => *status == StatusCode::CONFLICT,
            Self::Failing { status, .. } => !status.is_server_error(),
            Self::Unknown(_) | Self::Invalid { .. } | Self::BadCursor { .. } => false,
        };
        match unknown {
            true => Self::Unknown(self.into()),
            false => self,
        }
    }
}
