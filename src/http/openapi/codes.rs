//! Which operation may answer which error code, told by what the operation is like; and what a fault with
//! that code looks like.

use crate::http::fault::ErrorCode;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

/// The name of the example of a fault that explains nothing.
pub(super) const UNEXPLAINED: &str = "SERVER_ERROR";

/// What an operation is like, as far as it decides which errors it may answer.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own about the operation"
)]
pub(super) struct Traits {
    /// It tells how the service does, to anybody and at any time.
    pub is_health: bool,
    /// It asks who is calling: a write always, a read where `READ_REQUIRES_AUTH` is on.
    pub is_guarded: bool,
    /// It heeds conditions that may fail.
    pub is_conditional: bool,
    /// Its body is a JSON Patch.
    pub is_patch: bool,
    /// It changes products.
    pub is_write: bool,
    /// It reads a body.
    pub has_body: bool,
    /// It has query parameters.
    pub has_query: bool,
    /// It can be asked for another page.
    pub has_cursors: bool,
    /// A product's id is in its path.
    pub names_product: bool,
    /// A category is in its path.
    pub names_category: bool,
    /// A brand is in its path.
    pub names_brand: bool,
    /// What it answers depends on `Accept`.
    pub is_negotiated: bool,
    /// It answers nobody who does not take what it has.
    pub heeds_accept: bool,
    /// It may be repeated under a key.
    pub takes_key: bool,
    /// It is many in one: what a product alone would be refused for is told item by item.
    pub is_batch: bool,
    /// Its answers have versions.
    pub has_versions: bool,
}

// === impl Traits ===

impl Traits {
    /// Reads them off the operation's annotation.
    pub fn of(operation: &Operation, is_safe: bool) -> Self {
        let has = |kind: ParameterIn, name: Option<&str>| {
            let parameters = operation.parameters.iter().flatten();
            parameters
                .filter_map(|parameter| match parameter {
                    RefOr::T(parameter) => Some(parameter),
                    RefOr::Ref(_) => None,
                })
                .any(|parameter| {
                    parameter.parameter_in == kind && name.is_none_or(|name| parameter.name == name)
                })
        };
        let needs_credential = operation
            .security
            .as_ref()
            .is_some_and(|any| !any.is_empty());
        let is_tagged = |name| operation.tags.iter().flatten().any(|tag| tag == name);
        Self {
            is_health: is_tagged("health"),
            is_guarded: !is_tagged("health") && !is_tagged("documentation"),
            is_write: needs_credential && !is_safe,
            is_conditional: needs_credential && !is_safe
                || has(ParameterIn::Header, Some("if-match"))
                || has(ParameterIn::Header, Some("if-none-match")),
            is_patch: takes_patches(operation),
            has_body: operation.request_body.is_some(),
            has_query: has(ParameterIn::Query, None),
            has_cursors: has(ParameterIn::Query, Some("after")),
            names_product: has(ParameterIn::Path, Some("productId")),
            names_category: has(ParameterIn::Path, Some("categoryId")),
            names_brand: has(ParameterIn::Path, Some("brandId")),
            is_negotiated: answers(operation, |types| {
                types.len() > 1 || types.iter().any(|media| media.contains("v="))
            }),
            heeds_accept: !is_tagged("health") && answers(operation, |types| !types.is_empty()),
            has_versions: answers(operation, |types| {
                types.iter().any(|media| media.contains("v="))
            }),
            takes_key: has(ParameterIn::Header, Some("idempotency-key")),
            is_batch: operation.responses.responses.contains_key("207"),
        }
    }

    /// The codes that the operation may answer.
    pub fn codes(self) -> impl Iterator<Item = ErrorCode> {
        ErrorCode::ALL
            .into_iter()
            .filter(move |code| self.may_answer(*code))
    }

    /// Its answers come from the cache.
    pub fn is_cached(self) -> bool {
        self.is_guarded && self.has_versions && !self.is_write
    }

    /// It reads a body and changes nothing.
    fn is_search(self) -> bool {
        self.has_body && !self.is_write
    }

    fn may_answer(self, code: ErrorCode) -> bool {
        match code {
            // What has no operation, and what only the internal listener answers.
            ErrorCode::RouteNotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::AdminDisabled
            | ErrorCode::EntryNotFound
            | ErrorCode::InvalidationNotFound
            | ErrorCode::InvalidSelector
            | ErrorCode::ContractsDisabled
            | ErrorCode::ContractNotFound
            | ErrorCode::ContractExists
            | ErrorCode::ContractPatternTaken
            | ErrorCode::ContractReadOnly
            | ErrorCode::TooManyContracts => false,
            ErrorCode::UriTooLong
            | ErrorCode::CredentialInQuery
            | ErrorCode::InvalidHeader
            | ErrorCode::InvalidRequest => true,
            ErrorCode::NotAcceptable => self.heeds_accept,
            ErrorCode::UnknownParameter => self.is_guarded,
            ErrorCode::InvalidParameter | ErrorCode::RepeatedParameter => self.has_query,
            ErrorCode::ConflictingParameters | ErrorCode::InvalidCursor => {
                self.has_cursors || self.is_search()
            }
            ErrorCode::InvalidProductId | ErrorCode::ProductNotFound | ErrorCode::ProductGone => {
                self.names_product
            }
            ErrorCode::CategoryNotFound => self.names_category,
            ErrorCode::BrandNotFound => self.names_brand,
            ErrorCode::ProductChanged | ErrorCode::ProductConflict => {
                self.is_write && !self.is_batch
            }
            ErrorCode::PreconditionFailed => self.is_conditional,
            ErrorCode::PatchTestFailed
            | ErrorCode::PatchPathMissing
            | ErrorCode::PatchResultInvalid
            | ErrorCode::PatchTooCostly => self.is_patch,
            ErrorCode::ProductRejected => self.is_write && self.has_body && !self.is_batch,
            ErrorCode::IdempotencyConflict | ErrorCode::IdempotencyInFlight => self.takes_key,
            ErrorCode::BatchSizeExceeded => self.is_batch,
            ErrorCode::UnsupportedMediaType
            | ErrorCode::BodyTooLarge
            | ErrorCode::BodyTimeout
            | ErrorCode::MalformedBody
            | ErrorCode::InvalidField => self.has_body,
            ErrorCode::RequiredFieldMissing => self.has_body && !self.is_search(),
            ErrorCode::UnknownField => self.has_body && !self.is_patch,
            ErrorCode::IdMismatch => self.has_body && self.names_product && !self.is_patch,
            ErrorCode::HeadersTooLarge => true,
            ErrorCode::TooManyRequests => !self.is_health,
            ErrorCode::Unauthorized
            | ErrorCode::ConflictingCredentials
            | ErrorCode::InsufficientScope => self.is_guarded,
            ErrorCode::WritesDisabled => self.is_write,
        }
    }
}

/// Whether the operation's body is a JSON Patch.
fn takes_patches(operation: &Operation) -> bool {
    match &operation.request_body {
        Some(RefOr::T(body)) => body
            .content
            .keys()
            .any(|media| media.contains("json-patch")),
        _ => false,
    }
}

/// Whether the media types of an answer of the operation are such.
fn answers(operation: &Operation, are_such: impl Fn(&[&str]) -> bool) -> bool {
    let mut responses = operation.responses.responses.values();
    responses.any(|response| match response {
        RefOr::T(response) => {
            let types: Vec<_> = response.content.keys().map(String::as_str).collect();
            are_such(&types)
        }
        RefOr::Ref(_) => false,
    })
}

/// What an answer of this status is about, where the operation says nothing of its own.
pub(super) fn meaning(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The request can not be understood.",
        StatusCode::UNAUTHORIZED => "The credential is missing or wrong.",
        StatusCode::FORBIDDEN => "It is not allowed.",
        StatusCode::NOT_FOUND => "There is no such product.",
        StatusCode::NOT_ACCEPTABLE => "No representation is as `Accept` and `Accept-Encoding` ask.",
        StatusCode::REQUEST_TIMEOUT => "The body did not arrive in time; nothing was written.",
        StatusCode::CONFLICT => "It conflicts with the current state; nothing was written.",
        StatusCode::GONE => "The product is gone for good.",
        StatusCode::PRECONDITION_FAILED => "A condition does not hold; nothing was written.",
        StatusCode::PAYLOAD_TOO_LARGE => "The body is larger than 1 MiB.",
        StatusCode::URI_TOO_LONG => "Path and query together are longer than 8 KiB.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body's media type is not one that is read here.",
        StatusCode::UNPROCESSABLE_ENTITY => {
            "The request is understood, but what comes of it is not valid."
        }
        StatusCode::TOO_MANY_REQUESTS => "Too many requests; see Retry-After.",
        StatusCode::INTERNAL_SERVER_ERROR => "A defect.",
        StatusCode::SERVICE_UNAVAILABLE => "Not now; see Retry-After.",
        StatusCode::GATEWAY_TIMEOUT => {
            "Whether it was written is not known; read before trying again."
        }
        _ => "The request failed.",
    }
}

/// What a fault with this code typically looks like; without one, a server error.
pub(super) fn example(code: Option<ErrorCode>) -> Value {
    let error = code.map_or_else(
        || json!({ "description": "Internal Server Error" }),
        typical,
    );
    json!({ "fault": {
        "faultId": "1f0c7f9a-3a53-4a44-9f0e-5e7a5f5c3f10",
        "traceId": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        "errors": [error],
    }})
}

/// One error with this code, with the members that say what it is about.
fn typical(code: ErrorCode) -> Value {
    let about = |member: &str, name: &str, description: &str| json!({ "errorCode": code.as_str(), "description": description, member: name });
    match code {
        ErrorCode::InvalidHeader => {
            about("header", "accept", "`accept` must be a list of media types")
        }
        ErrorCode::InvalidParameter => about("parameter", "limit", "`limit` must be 1 to 100"),
        ErrorCode::UnknownParameter => about(
            "parameter",
            "page",
            "there is no parameter `page`; there are none",
        ),
        ErrorCode::RepeatedParameter => about("parameter", "limit", "`limit` can be given once"),
        ErrorCode::ConflictingParameters => about(
            "parameter",
            "before",
            "`before` can not be given beside `after`",
        ),
        ErrorCode::RequiredFieldMissing => {
            about("field", "price.amount", "`price.amount` is required")
        }
        ErrorCode::InvalidField => about(
            "field",
            "price.currency",
            "`price.currency` must be an ISO 4217 code in capitals, such as EUR",
        ),
        ErrorCode::UnknownField => about(
            "field",
            "colour",
            "`colour` is not a member of a product; free members go into `attributes`",
        ),
        ErrorCode::BatchSizeExceeded => json!({
            "errorCode": code.as_str(),
            "description": "`items` must have at most 100 items",
            "field": "items",
            "itemCount": 120,
            "maxAllowed": 100,
        }),
        ErrorCode::IdMismatch => about("field", "id", "`id` must be equal to the id in the path"),
        _ => json!({ "errorCode": code.as_str(), "description": code.description() }),
    }
}
