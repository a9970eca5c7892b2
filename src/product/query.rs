//! What a caller may ask of the collection: in a URL ([`grammar`]) or in a body ([`search`]).

mod grammar;
mod groups;
mod print;
mod search;
mod terms;
mod value;

pub use groups::{GroupPosition, GroupQuery};

use super::draft::is_plain_name;
use super::{Criteria, Cursor, ProductId, Select};
use std::fmt::Display;

/// What a caller asks of the collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What is asked for.
    pub asked: Asked,
    /// Which members of the products; all of them without a choice.
    pub select: Option<Select>,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A page of products.
    Page(PageQuery),
    /// How many products there are.
    Count(Criteria),
    /// The products of these ids, of which there are up to [`Query::MAX_IDS`], each named once.
    Many(Vec<ProductId>),
}

/// One page of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// Products on the page at most, 1 to 100.
    pub limit: usize,
    /// Where the page lies. Its cursor is one of the criteria's.
    pub position: Position,
    /// Which products, in what order.
    pub criteria: Criteria,
}

/// Where a page lies in its collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the start.
    Start,
    /// Right after this cursor.
    After(Cursor),
    /// Right before this cursor.
    Before(Cursor),
}

/// One thing wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryProblem {
    /// The parameter, or the member of a search as a dotted path; empty where its name is not fit to be
    /// repeated, and for a search as a whole.
    pub parameter: String,
    /// Which rule.
    pub code: QueryProblemCode,
    /// A sentence for the caller; echoes no unvalidated input.
    pub description: String,
}

/// The rules a query can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryProblemCode {
    /// A search that is no JSON object.
    MalformedBody,
    /// A parameter's value is outside what it may be.
    InvalidParameter,
    /// A cursor that no page of these criteria has.
    InvalidCursor,
    /// There is no such parameter.
    UnknownParameter,
    /// A parameter is there more than once.
    RepeatedParameter,
    /// Two parameters exclude each other.
    ConflictingParameters,
}

// === impl Query ===

impl Query {
    /// The most ids that are read at once.
    pub const MAX_IDS: usize = 100;
    /// The most characters that the conditions of a query in a URL have, decoded.
    pub const MAX_FILTER_CHARS: usize = 2000;
}

// === impl PageQuery ===

impl PageQuery {
    /// Products on a page where the caller does not say.
    pub const DEFAULT_LIMIT: usize = 20;
    /// The most products on a page.
    pub const MAX_LIMIT: usize = 100;
}

impl Default for PageQuery {
    fn default() -> Self {
        Self {
            limit: Self::DEFAULT_LIMIT,
            position: Position::Start,
            criteria: Criteria::default(),
        }
    }
}

// === impl Position ===

impl Position {
    /// Reads the cursors of a page of `criteria`, where these are known, and notes what is wrong with them.
    fn read(
        after: Option<&str>,
        before: Option<&str>,
        criteria: Option<&Criteria>,
        problems: &mut Vec<QueryProblem>,
    ) -> Self {
        // The inventory's own list can only be walked on.
        let local = |cursor: &Cursor| matches!(cursor, Cursor::Local { .. });
        let ours = |cursor: &Cursor| criteria.is_none_or(|criteria| cursor.belongs_to(criteria));
        let parse = |text| Cursor::parse(text).filter(ours);
        let next = after.map(parse);
        let previous = before.map(|text| parse(text).filter(local));
        exclude(after.is_some(), before.is_some(), problems);
        for (name, cursor) in [("after", &next), ("before", &previous)] {
            if *cursor == Some(None) {
                problems.push(QueryProblem::cursor(name));
            }
        }
        match (next.flatten(), previous.flatten()) {
            (Some(cursor), _) => Self::After(cursor),
            (None, Some(cursor)) => Self::Before(cursor),
            (None, None) => Self::Start,
        }
    }
}

// === impl QueryProblem ===

impl QueryProblem {
    fn new(parameter: &str, code: QueryProblemCode, description: impl Into<String>) -> Self {
        Self {
            parameter: parameter.to_owned(),
            code,
            description: description.into(),
        }
    }

    /// A value that breaks `rule`, which goes on where the parameter's name ends.
    fn invalid(parameter: &str, rule: impl Display) -> Self {
        let description = format!("`{parameter}` {rule}");
        Self::new(parameter, QueryProblemCode::InvalidParameter, description)
    }

    fn cursor(parameter: &str) -> Self {
        let description = format!("`{parameter}` is not a cursor that a page of this query has");
        Self::new(parameter, QueryProblemCode::InvalidCursor, description)
    }

    fn repeated(parameter: &str) -> Self {
        let description = format!("`{parameter}` is given more than once");
        Self::new(parameter, QueryProblemCode::RepeatedParameter, description)
    }

    fn conflicting(parameter: &str, description: impl Into<String>) -> Self {
        let code = QueryProblemCode::ConflictingParameters;
        Self::new(parameter, code, description)
    }

    /// A parameter that there is none of. What it may be is in `known`.
    fn unknown(name: &str, known: &str) -> Self {
        let code = QueryProblemCode::UnknownParameter;
        match name {
            "offset" => Self::new(
                name,
                code,
                "`offset` is not offered; follow the cursors in `paging.cursors` with `after` and `before`",
            ),
            _ if is_plain_name(name) => Self::new(
                name,
                code,
                format!("there is no parameter `{name}`; there are {known}"),
            ),
            _ => Self::new(
                "",
                code,
                format!("a parameter has a name that is not known here; there are {known}"),
            ),
        }
    }
}

/// Notes that both cursors are there.
fn exclude(after: bool, before: bool, problems: &mut Vec<QueryProblem>) {
    if after && before {
        let description = "`after` and `before` exclude each other";
        problems.push(QueryProblem::conflicting("before", description));
    }
}

/// Adds a problem unless the same one is there already.
fn note(problems: &mut Vec<QueryProblem>, problem: QueryProblem) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

#[cfg(test)]
mod tests;
