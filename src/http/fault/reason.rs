//! Why a request was refused: one reason per thing that is wrong with it.

use super::ErrorCode;
use crate::catalog::{PatchProblem, PatchProblemCode, Problem, ProblemCode};
use crate::product::{QueryProblem, QueryProblemCode};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// One reason of a 4xx fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Which rule.
    pub code: ErrorCode,
    /// A sentence for the caller; echoes no unvalidated input.
    pub description: Cow<'static, str>,
    /// The member of the body it is about, as a dotted path.
    pub field: Option<String>,
    /// The query parameter it is about.
    pub parameter: Option<String>,
    /// The request header it is about, in lower case.
    pub header: Option<&'static str>,
    /// For a batch that is too large: how many items it has, and how many it may have.
    pub size: Option<(usize, usize)>,
}

/// One thing that is wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = FaultError)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ErrorBody {
    /// For programs to decide on; absent on 5xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    error_code: Option<&'static str>,
    /// For people.
    #[schema(value_type = String)]
    description: Cow<'static, str>,
    /// The member of the body it is about, as a dotted path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// The query parameter it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameter: Option<String>,
    /// The request header it is about, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    header: Option<&'static str>,
    /// How many items the batch has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    item_count: Option<usize>,
    /// How many items a batch may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_allowed: Option<usize>,
}

// === impl Reason ===

impl Reason {
    /// A reason in the code's own words.
    pub fn new(code: ErrorCode) -> Self {
        Self {
            code,
            description: Cow::Borrowed(code.description()),
            field: None,
            parameter: None,
            header: None,
            size: None,
        }
    }

    /// The same in other words.
    pub fn saying(self, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    /// The same about a member of the body.
    pub fn about(self, field: &str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..self
        }
    }

    /// A batch whose list `field` has `count` items, and may have `most`.
    pub fn too_many(field: &str, count: usize, most: usize) -> Self {
        Self {
            size: Some((count, most)),
            ..Self::new(ErrorCode::BatchSizeExceeded)
                .about(field)
                .saying(format!("`{field}` must have at most {most} items"))
        }
    }

    /// A reason about a request header, in words that say what is wrong with it.
    pub fn header(
        code: ErrorCode,
        header: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            description: description.into(),
            header: Some(header),
            ..Self::new(code)
        }
    }

    /// A reason about a member of a search.
    pub fn member(problem: QueryProblem) -> Self {
        let code = match problem.code {
            QueryProblemCode::InvalidParameter | QueryProblemCode::RepeatedParameter => {
                ErrorCode::InvalidField
            }
            QueryProblemCode::UnknownParameter => ErrorCode::UnknownField,
            QueryProblemCode::MalformedBody => ErrorCode::MalformedBody,
            QueryProblemCode::InvalidCursor => ErrorCode::InvalidCursor,
            QueryProblemCode::ConflictingParameters => ErrorCode::ConflictingParameters,
        };
        Self {
            description: Cow::Owned(problem.description),
            field: Some(problem.parameter).filter(|name| !name.is_empty()),
            ..Self::new(code)
        }
    }
}

impl From<QueryProblem> for Reason {
    fn from(problem: QueryProblem) -> Self {
        let code = match problem.code {
            QueryProblemCode::MalformedBody => ErrorCode::MalformedBody,
            QueryProblemCode::InvalidParameter => ErrorCode::InvalidParameter,
            QueryProblemCode::InvalidCursor => ErrorCode::InvalidCursor,
            QueryProblemCode::UnknownParameter => ErrorCode::UnknownParameter,
            QueryProblemCode::RepeatedParameter => ErrorCode::RepeatedParameter,
            QueryProblemCode::ConflictingParameters => ErrorCode::ConflictingParameters,
        };
        Self {
            description: Cow::Owned(problem.description),
            parameter: Some(problem.parameter).filter(|name| !name.is_empty()),
            ..Self::new(code)
        }
    }
}

impl From<Problem> for Reason {
    fn from(problem: Problem) -> Self {
        let code = match problem.code {
            ProblemCode::MalformedBody => ErrorCode::MalformedBody,
            ProblemCode::RequiredFieldMissing => ErrorCode::RequiredFieldMissing,
            ProblemCode::InvalidField => ErrorCode::InvalidField,
            ProblemCode::UnknownField => ErrorCode::UnknownField,
            ProblemCode::IdMismatch => ErrorCode::IdMismatch,
        };
        Self {
            description: Cow::Owned(problem.description),
            field: Some(problem.field).filter(|field| !field.is_empty()),
            ..Self::new(code)
        }
    }
}

impl From<PatchProblem> for Reason {
    fn from(problem: PatchProblem) -> Self {
        let code = match problem.code {
            PatchProblemCode::TestFailed => ErrorCode::PatchTestFailed,
            PatchProblemCode::PathMissing => ErrorCode::PatchPathMissing,
            PatchProblemCode::ResultInvalid => ErrorCode::PatchResultInvalid,
            PatchProblemCode::TooCostly => ErrorCode::PatchTooCostly,
        };
        Self {
            description: Cow::Owned(problem.description),
            field: Some(problem.field).filter(|field| !field.is_empty()),
            ..Self::new(code)
        }
    }
}

// === impl ErrorBody ===

impl ErrorBody {
    /// What a server error says: that it is one.
    pub fn unexplained() -> Self {
        Self {
            error_code: None,
            description: Cow::Borrowed("Internal Server Error"),
            field: None,
            parameter: None,
            header: None,
            item_count: None,
            max_allowed: None,
        }
    }
}

impl From<&Reason> for ErrorBody {
    fn from(reason: &Reason) -> Self {
        Self {
            error_code: Some(reason.code.as_str()),
            description: reason.description.clone(),
            field: reason.field.clone(),
            parameter: reason.parameter.clone(),
            header: reason.header,
            item_count: reason.size.map(|(count, _)| count),
            max_allowed: reason.size.map(|(_, most)| most),
        }
    }
}
