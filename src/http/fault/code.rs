//! The error codes of 4xx faults. `docs/errors.md` explains each; a test compares the two.

use http::StatusCode;

/// Why a request was refused: stable, for programs to decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// No operation lives at this path.
    RouteNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The path and query are too long.
    UriTooLong,
    /// A credential was sent in the query.
    CredentialInQuery,
    /// A header has a value it can not have.
    InvalidHeader,
    /// The client takes none of the representations there are.
    NotAcceptable,
    /// A request the framework refused for a reason that has no code of its own.
    InvalidRequest,
    /// A query parameter has a value it can not have, or not beside another.
    InvalidParameter,
    /// A query parameter that does not exist here.
    UnknownParameter,
    /// A query parameter that is there more than once.
    RepeatedParameter,
    /// Two query parameters that exclude each other.
    ConflictingParameters,
    /// The cursor belongs to no page of this collection.
    InvalidCursor,
    /// The id in the path breaks the pattern of ids.
    InvalidProductId,
    /// There is no such product.
    ProductNotFound,
    /// No product has this category.
    CategoryNotFound,
    /// No product has this brand.
    BrandNotFound,
    /// The product is gone for good.
    ProductGone,
    /// The product changed since the caller last saw it.
    ProductChanged,
    /// A condition of the caller's `If-…` headers does not hold.
    PreconditionFailed,
    /// A `test` of a JSON Patch found another value.
    PatchTestFailed,
    /// A path of a JSON Patch leads nowhere.
    PatchPathMissing,
    /// What a JSON Patch makes of the product is not a product.
    PatchResultInvalid,
    /// A JSON Patch copies, nests or moves too much.
    PatchTooCostly,
    /// The write conflicts with the inventory's state.
    ProductConflict,
    /// The inventory refused the product.
    ProductRejected,
    /// The body's media type is not one we read.
    UnsupportedMediaType,
    /// The body is too large.
    BodyTooLarge,
    /// The body took too long to arrive.
    BodyTimeout,
    /// The body is not JSON, or broke off.
    MalformedBody,
    /// A required member is missing.
    RequiredFieldMissing,
    /// A member has the wrong type or value.
    InvalidField,
    /// A member that the model does not know.
    UnknownField,
    /// The body's id differs from the path's.
    IdMismatch,
    /// The head of the request is too large.
    HeadersTooLarge,
    /// The client asks for more than it may in a second.
    TooManyRequests,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyConflict,
    /// The first request with this `Idempotency-Key` is still under way.
    IdempotencyInFlight,
    /// The batch has more items than one may have.
    BatchSizeExceeded,
    /// The credential is missing or wrong.
    Unauthorized,
    /// The request carries two credentials.
    ConflictingCredentials,
    /// The credential is good, and not for this.
    InsufficientScope,
    /// Writes are switched off here.
    WritesDisabled,
    /// Changes through the internal listener are switched off here.
    AdminDisabled,
    /// The cache holds nothing under this id.
    EntryNotFound,
    /// None of the last invalidations has this id.
    InvalidationNotFound,
    /// An invalidation must say which entries, in exactly one way.
    InvalidSelector,
    /// Freshness contracts are switched off here.
    ContractsDisabled,
    /// There is no contract of this name.
    ContractNotFound,
    /// Another contract has this name.
    ContractExists,
    /// Another contract has this pattern.
    ContractPatternTaken,
    /// The contract is declared in a file.
    ContractReadOnly,
    /// There are as many contracts as can be kept.
    TooManyContracts,
}

// === impl ErrorCode ===

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 52] = [
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::UriTooLong,
        Self::CredentialInQuery,
        Self::InvalidHeader,
        Self::NotAcceptable,
        Self::InvalidRequest,
        Self::InvalidParameter,
        Self::UnknownParameter,
        Self::RepeatedParameter,
        Self::ConflictingParameters,
        Self::InvalidCursor,
        Self::InvalidProductId,
        Self::ProductNotFound,
        Self::CategoryNotFound,
        Self::BrandNotFound,
        Self::ProductGone,
        Self::ProductChanged,
        Self::PreconditionFailed,
        Self::PatchTestFailed,
        Self::PatchPathMissing,
        Self::PatchResultInvalid,
        Self::PatchTooCostly,
        Self::ProductConflict,
        Self::ProductRejected,
        Self::UnsupportedMediaType,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::MalformedBody,
        Self::RequiredFieldMissing,
        Self::InvalidField,
        Self::UnknownField,
        Self::IdMismatch,
        Self::HeadersTooLarge,
        Self::TooManyRequests,
        Self::IdempotencyConflict,
        Self::IdempotencyInFlight,
        Self::BatchSizeExceeded,
        Self::Unauthorized,
        Self::ConflictingCredentials,
        Self::InsufficientScope,
        Self::WritesDisabled,
        Self::AdminDisabled,
        Self::EntryNotFound,
        Self::InvalidationNotFound,
        Self::InvalidSelector,
        Self::ContractsDisabled,
        Self::ContractNotFound,
        Self::ContractExists,
        Self::ContractPatternTaken,
        Self::ContractReadOnly,
        Self::TooManyContracts,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RouteNotFound => "ROUTE_NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::UriTooLong => "URI_TOO_LONG",
            Self::CredentialInQuery => "CREDENTIAL_IN_QUERY",
            Self::InvalidHeader => "INVALID_HEADER",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InvalidParameter => "INVALID_PARAMETER",
            Self::UnknownParameter => "UNKNOWN_PARAMETER",
            Self::RepeatedParameter => "REPEATED_PARAMETER",
            Self::ConflictingParameters => "CONFLICTING_PARAMETERS",
            Self::InvalidCursor => "INVALID_CURSOR",
            Self::InvalidProductId => "INVALID_PRODUCT_ID",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::CategoryNotFound => "CATEGORY_NOT_FOUND",
            Self::BrandNotFound => "BRAND_NOT_FOUND",
            Self::ProductGone => "PRODUCT_GONE",
            Self::ProductChanged => "PRODUCT_CHANGED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::PatchTestFailed => "PATCH_TEST_FAILED",
            Self::PatchPathMissing => "PATCH_PATH_MISSING",
            Self::PatchResultInvalid => "PATCH_RESULT_INVALID",
            Self::PatchTooCostly => "PATCH_TOO_COSTLY",
            Self::ProductConflict => "PRODUCT_CONFLICT",
            Self::ProductRejected => "PRODUCT_REJECTED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::BodyTimeout => "BODY_TIMEOUT",
            Self::MalformedBody => "MALFORMED_BODY",
            Self::RequiredFieldMissing => "REQUIRED_FIELD_MISSING",
            Self::InvalidField => "INVALID_FIELD",
            Self::UnknownField => "UNKNOWN_FIELD",
            Self::IdMismatch => "ID_MISMATCH",
            Self::HeadersTooLarge => "HEADERS_TOO_LARGE",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::IdempotencyInFlight => "IDEMPOTENCY_IN_FLIGHT",
            Self::BatchSizeExceeded => "BATCH_SIZE_EXCEEDED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::ConflictingCredentials => "CONFLICTING_CREDENTIALS",
            Self::InsufficientScope => "INSUFFICIENT_SCOPE",
            Self::WritesDisabled => "WRITES_DISABLED",
            Self::AdminDisabled => "ADMIN_DISABLED",
            Self::EntryNotFound => "ENTRY_NOT_FOUND",
            Self::InvalidationNotFound => "INVALIDATION_NOT_FOUND",
            Self::InvalidSelector => "INVALID_SELECTOR",
            Self::ContractsDisabled => "CONTRACTS_DISABLED",
            Self::ContractNotFound => "CONTRACT_NOT_FOUND",
            Self::ContractExists => "CONTRACT_EXISTS",
            Self::ContractPatternTaken => "CONTRACT_PATTERN_TAKEN",
            Self::ContractReadOnly => "CONTRACT_READ_ONLY",
            Self::TooManyContracts => "TOO_MANY_CONTRACTS",
        }
    }

    /// The status it comes with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::CredentialInQuery
            | Self::InvalidHeader
            | Self::InvalidRequest
            | Self::InvalidParameter
            | Self::UnknownParameter
            | Self::RepeatedParameter
            | Self::ConflictingParameters
            | Self::InvalidCursor
            | Self::ProductRejected
            | Self::MalformedBody
            | Self::RequiredFieldMissing
            | Self::InvalidField
            | Self::UnknownField
            | Self::IdMismatch
            | Self::HeadersTooLarge
            | Self::ConflictingCredentials
            | Self::BatchSizeExceeded
            | Self::InvalidSelector => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::InvalidProductId
            | Self::InsufficientScope
            | Self::WritesDisabled
            | Self::AdminDisabled
            | Self::ContractsDisabled => StatusCode::FORBIDDEN,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::RouteNotFound
            | Self::ProductNotFound
            | Self::CategoryNotFound
            | Self::BrandNotFound
            | Self::EntryNotFound
            | Self::InvalidationNotFound
            | Self::ContractNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::ProductConflict
            | Self::PatchTestFailed
            | Self::PatchPathMissing
            | Self::IdempotencyInFlight
            | Self::ContractExists
            | Self::ContractPatternTaken
            | Self::ContractReadOnly
            | Self::TooManyContracts => StatusCode::CONFLICT,
            Self::IdempotencyConflict => StatusCode::UNPROCESSABLE_ENTITY,
            Self::ProductGone => StatusCode::GONE,
            Self::ProductChanged | Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PatchResultInvalid | Self::PatchTooCostly => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// A sentence for the caller, where the occurrence has none of its own.
    #[expect(clippy::too_many_lines, reason = "a table: a line for each code")]
    pub const fn description(self) -> &'static str {
        match self {
            Self::RouteNotFound => "No operation lives at this path.",
            Self::MethodNotAllowed => "This method is not available here; see Allow.",
            Self::UriTooLong => "Path and query together are longer than 8 KiB.",
            Self::CredentialInQuery => "Credentials belong in a header, never in the query.",
            Self::InvalidHeader => "A header has a value it can not have.",
            Self::NotAcceptable => "There is no representation of this that Accept allows.",
            Self::InvalidRequest => "The request can not be understood.",
            Self::InvalidParameter => "A query parameter has a value it can not have.",
            Self::UnknownParameter => "This query parameter does not exist here.",
            Self::RepeatedParameter => "This query parameter can be given once.",
            Self::ConflictingParameters => "These query parameters exclude each other.",
            Self::InvalidCursor => "The cursor does not belong to this collection.",
            Self::InvalidProductId => "The id breaks the pattern of product ids.",
            Self::ProductNotFound => "There is no such product.",
            Self::CategoryNotFound => "No product has this category.",
            Self::BrandNotFound => "No product has this brand.",
            Self::ProductGone => "The product is gone for good.",
            Self::ProductChanged => "The product has changed since it was last read.",
            Self::PreconditionFailed => "A condition of the request does not hold.",
            Self::PatchTestFailed => "A `test` of the patch found another value.",
            Self::PatchPathMissing => {
                "A path of the patch leads nowhere in the product as it is now."
            }
            Self::PatchResultInvalid => "What the patch makes of the product is not a product.",
            Self::PatchTooCostly => {
                "The patch copies, nests or moves more than a product can have."
            }
            Self::ProductConflict => "The write conflicts with the product's current state.",
            Self::ProductRejected => "The inventory refused the product.",
            Self::UnsupportedMediaType => {
                "Send the body as application/json, without a content coding."
            }
            Self::BodyTooLarge => "The body is larger than 1 MiB.",
            Self::BodyTimeout => "The body did not arrive within 10 seconds; nothing was written.",
            Self::MalformedBody => "The body is not a JSON document.",
            Self::RequiredFieldMissing => "A required member is missing.",
            Self::InvalidField => "A member has the wrong type or value.",
            Self::UnknownField => "A member is not known.",
            Self::IdMismatch => "The id in the body differs from the one in the path.",
            Self::HeadersTooLarge => "The headers are larger than 32 KiB.",
            Self::TooManyRequests => "Too many requests in a second; see Retry-After.",
            Self::IdempotencyConflict => {
                "This Idempotency-Key was used for another request; take a new one."
            }
            Self::IdempotencyInFlight => {
                "The first request with this Idempotency-Key is still under way; repeat it later."
            }
            Self::BatchSizeExceeded => "The batch has more items than one may have.",
            Self::Unauthorized => "A valid credential is required.",
            Self::ConflictingCredentials => "Send an API key or a bearer token, not both.",
            Self::InsufficientScope => "The credential does not allow this.",
            Self::WritesDisabled => "Writes are switched off here.",
            Self::AdminDisabled => "Changes are switched off here.",
            Self::EntryNotFound => "The cache knows nothing about this id.",
            Self::InvalidationNotFound => "None of the last 100 invalidations has this id.",
            Self::InvalidSelector => {
                "Say which entries in exactly one way: ids, prefix, category, brand or all."
            }
            Self::ContractsDisabled => "Contracts are switched off here.",
            Self::ContractNotFound => "There is no contract of this name.",
            Self::ContractExists => "There is a contract of this name already.",
            Self::ContractPatternTaken => "Another contract has this key_pattern.",
            Self::ContractReadOnly => {
                "The contract is declared in CONTRACTS_FILE; change it there."
            }
            Self::TooManyContracts => {
                "There are as many contracts as can be kept: 1,000, and 4 MiB of them."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The codes and statuses of the rows of the table in `docs/errors.md`.
    fn documented() -> BTreeMap<&'static str, u16> {
        include_str!("../../../docs/errors.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .map(|row| {
                let (code, rest) = row.split_once("` | ").expect("a code, then a status");
                let (status, _) = rest.split_once(" | ").expect("a status, then a text");
                (code, status.parse().expect("a number"))
            })
            .collect()
    }

    #[test]
    fn every_code_is_documented_with_its_status_and_nothing_else_is() {
        let known: BTreeMap<_, _> = ErrorCode::ALL
            .iter()
            .map(|code| (code.as_str(), code.status().as_u16()))
            .collect();
        assert_eq!(known.len(), ErrorCode::ALL.len(), "codes are unique");
        assert_eq!(documented(), known);
    }
}
