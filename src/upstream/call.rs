//! What the layers of the stack know about a call beside its request.

use super::transport::{BodyLimit, TransportError};
use crate::clock::Moment;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Request extension: one call of the inventory, the same through all its attempts.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What it does.
    pub(super) operation: Operation,
    /// When it must have ended.
    pub(super) deadline: Moment,
    /// Whether an attempt that failed may be made again.
    pub(super) repeats: bool,
    sent: Arc<AtomicBool>,
    doubtful: Arc<AtomicBool>,
}

/// What a call does; the label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gets one product.
    Get,
    /// Lists or counts products.
    List,
    /// Creates a product.
    Create,
    /// Replaces a product.
    Replace,
    /// Changes parts of a product.
    Patch,
    /// Deletes a product.
    Delete,
    /// Asks for live stock.
    Availability,
    /// Asks for the inventory's health.
    Health,
}

/// How one attempt ended; the label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A usable answer.
    Ok,
    /// 304.
    NotModified,
    /// 404 or 410.
    NotFound,
    /// Another 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke.
    ConnectError,
    /// An answer that is not what the API promises.
    Invalid,
    /// Not sent: the circuit was open, no slot or turn was free in time, or the credential is not here yet.
    Rejected,
}

// === impl Call ===

impl Call {
    pub(super) fn new(operation: Operation, deadline: Moment) -> Self {
        Self {
            operation,
            deadline,
            repeats: true,
            sent: Arc::default(),
            doubtful: Arc::default(),
        }
    }

    /// The same in one attempt, whatever comes of it.
    pub(super) fn once(self) -> Self {
        Self {
            repeats: false,
            ..self
        }
    }

    /// An attempt begins: from now on the call may have an effect.
    pub(super) fn mark_sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    /// An attempt ended without saying whether it had an effect, and another is made.
    pub(super) fn mark_doubtful(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether an attempt before the last may have had an effect.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Whether both are the same call, at whichever attempt.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sent, &other.sent)
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }
}

// === impl Operation ===

impl Operation {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Availability => "availability",
            Self::Health => "health",
        }
    }

    /// Whether it changes products.
    pub const fn is_write(self) -> bool {
        match self {
            Self::Create | Self::Replace | Self::Patch | Self::Delete => true,
            Self::Get | Self::List | Self::Availability | Self::Health => false,
        }
    }

    /// The longest body of its answer, in bytes after decoding.
    pub(super) const fn body_limit(self) -> BodyLimit {
        match self {
            Self::List => BodyLimit(super::MAX_PAGE_BYTES),
            Self::Get | Self::Create | Self::Replace | Self::Patch => {
                BodyLimit(super::MAX_PRODUCT_BYTES)
            }
            Self::Delete | Self::Availability | Self::Health => BodyLimit(super::MAX_SMALL_BYTES),
        }
    }
}

// === impl AttemptOutcome ===

impl AttemptOutcome {
    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotModified => "not_modified",
            Self::NotFound => "not_found",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::ConnectError => "connect_error",
            Self::Invalid => "invalid",
            Self::Rejected => "rejected",
        }
    }

    /// What a status says about an attempt; of a 2xx, that it is worth reading.
    pub(super) fn of_status(status: http::StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Ok,
            304 => Self::NotModified,
            404 | 410 => Self::NotFound,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Invalid,
        }
    }

    /// What an error of the transport says about an attempt.
    pub(super) fn of_error(error: &tower::BoxError) -> Self {
        match error.downcast_ref::<TransportError>() {
            Some(TransportError::TooLong(_)) => Self::Invalid,
            _ => Self::ConnectError,
        }
    }
}
