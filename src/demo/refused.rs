//! How the inventory says no.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// Why a write is not done.
pub(super) enum Refused {
    /// The body is no product: says why.
    Invalid(String),
    /// There is one with this id.
    Exists,
    /// It is not the one that the caller knows.
    Changed,
    /// The patch can not be applied to it.
    Unpatched(String),
    /// The patch makes something else than a product of it.
    Unprocessable(String),
    /// The patch is of another kind.
    UnknownKind,
    /// There is none.
    Absent,
    /// The write's key was used for another one.
    OtherWrite,
}

// === impl Refused ===

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(reason) => refusal(StatusCode::BAD_REQUEST, &reason),
            Self::Exists => refusal(StatusCode::CONFLICT, "there is a product with this id"),
            Self::Changed => refusal(StatusCode::PRECONDITION_FAILED, "the product has changed"),
            Self::Unpatched(reason) => refusal(StatusCode::CONFLICT, &reason),
            Self::Unprocessable(reason) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &reason),
            Self::UnknownKind => refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send a JSON Patch"),
            Self::Absent => no_such_product(),
            Self::OtherWrite => refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the idempotency key was used for another body",
            ),
        }
    }
}

/// An answer that says no.
pub(super) fn refusal(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({"error": reason}))).into_response()
}

/// There is no product of this id.
pub(super) fn no_such_product() -> Response {
    refusal(StatusCode::NOT_FOUND, "no such product")
}
