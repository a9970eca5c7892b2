//! What a caller may ask of the collection.

mod print;

use super::draft::is_plain_name;
use super::{Criteria, Cursor};
use std::borrow::Cow;

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
    /// The parameter; empty where its name is not fit to be repeated.
    pub parameter: String,
    /// Which rule.
    pub code: QueryProblemCode,
    /// A sentence for the caller; echoes no unvalidated input.
    pub description: String,
}

/// The rules a query can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryProblemCode {
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

/// The parameters of a page, as they came.
#[derive(Default)]
struct Given<'a> {
    limit: Option<Cow<'a, str>>,
    after: Option<Cow<'a, str>>,
    before: Option<Cow<'a, str>>,
}

// === impl PageQuery ===

impl PageQuery {
    /// Products on a page where the caller does not say.
    pub const DEFAULT_LIMIT: usize = 20;
    /// The most products on a page.
    pub const MAX_LIMIT: usize = 100;

    /// Reads decoded query parameters: `limit`, and one of `after` and `before`.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn parse<'a>(
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Result<Self, Vec<QueryProblem>> {
        let mut problems = Vec::new();
        let given = Given::gather(pairs, &mut problems);
        let limit = given
            .limit
            .map_or(Some(Self::DEFAULT_LIMIT), |text| parse_limit(&text));
        if limit.is_none() {
            problems.push(QueryProblem::new(
                "limit",
                QueryProblemCode::InvalidParameter,
                "`limit` must be an integer from 1 to 100",
            ));
        }
        let criteria = Criteria::default();
        let mut cursor = |name, text| cursor(name, text, &criteria, &mut problems);
        let after = cursor("after", given.after.as_deref());
        let before = cursor("before", given.before.as_deref());
        if given.after.is_some() && given.before.is_some() {
            problems.push(QueryProblem::new(
                "before",
                QueryProblemCode::ConflictingParameters,
                "`after` and `before` exclude each other",
            ));
        }
        let position = match (after, before) {
            (Some(cursor), _) => Position::After(cursor),
            (None, Some(cursor)) => Position::Before(cursor),
            (None, None) => Position::Start,
        };
        match limit {
            Some(limit) if problems.is_empty() => Ok(Self {
                limit,
                position,
                criteria,
            }),
            _ => Err(problems),
        }
    }
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

// === impl QueryProblem ===

impl QueryProblem {
    fn new(parameter: &str, code: QueryProblemCode, description: impl Into<String>) -> Self {
        Self {
            parameter: parameter.to_owned(),
            code,
            description: description.into(),
        }
    }

    fn unknown(name: &str) -> Self {
        let code = QueryProblemCode::UnknownParameter;
        match name {
            "offset" => Self::new(
                name,
                code,
                "`offset` is not offered; follow the cursors in `paging.cursors` with `after` and `before`",
            ),
            _ if is_plain_name(name) => {
                Self::new(name, code, format!("there is no parameter `{name}`"))
            }
            _ => Self::new(
                "",
                code,
                "a parameter has a name that this collection does not know",
            ),
        }
    }
}

// === impl Given ===

impl<'a> Given<'a> {
    fn gather(
        pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
        problems: &mut Vec<QueryProblem>,
    ) -> Self {
        let mut given = Self::default();
        for (name, value) in pairs {
            let place = match name.as_ref() {
                "limit" => &mut given.limit,
                "after" => &mut given.after,
                "before" => &mut given.before,
                _ => {
                    note(problems, QueryProblem::unknown(&name));
                    continue;
                }
            };
            if place.replace(value).is_some() {
                let code = QueryProblemCode::RepeatedParameter;
                note(
                    problems,
                    QueryProblem::new(&name, code, format!("`{name}` is given more than once")),
                );
            }
        }
        given
    }
}

/// Adds a problem unless the same one is there already.
fn note(problems: &mut Vec<QueryProblem>, problem: QueryProblem) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

fn parse_limit(text: &str) -> Option<usize> {
    // `usize::from_str` takes a leading plus, this API does not.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|_| digits)?;
    (1..=PageQuery::MAX_LIMIT).contains(&limit).then_some(limit)
}

fn cursor(
    name: &str,
    text: Option<&str>,
    criteria: &Criteria,
    problems: &mut Vec<QueryProblem>,
) -> Option<Cursor> {
    // The inventory's own list can only be walked on.
    let walks = |cursor: &Cursor| name == "after" || matches!(cursor, Cursor::Local { .. });
    let parsed = Cursor::parse(text?).filter(|cursor| cursor.belongs_to(criteria) && walks(cursor));
    if parsed.is_none() {
        let description = format!("`{name}` is not a cursor that a page of this query has");
        problems.push(QueryProblem::new(
            name,
            QueryProblemCode::InvalidCursor,
            description,
        ));
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::QueryProblemCode::*;
    use super::*;
    use crate::product::{Place, ProductId};
    use proptest::prelude::*;

    fn by_id(id: &str) -> Cursor {
        let id = ProductId::parse(id).unwrap();
        Cursor::at(&Criteria::default(), Place { keys: vec![], id })
    }

    fn parse(pairs: &[(&str, &str)]) -> Result<PageQuery, Vec<(String, QueryProblemCode)>> {
        PageQuery::parse(pairs.iter().map(|(n, v)| (Cow::from(*n), Cow::from(*v)))).map_err(
            |problems| {
                problems
                    .into_iter()
                    .map(|p| (p.parameter, p.code))
                    .collect()
            },
        )
    }

    #[test]
    fn nothing_asked_is_the_first_twenty() {
        assert_eq!(
            parse(&[]),
            Ok(PageQuery {
                limit: 20,
                position: Position::Start,
                criteria: Criteria::default(),
            })
        );
    }

    #[test]
    fn a_limit_is_1_to_100() {
        for (text, limit) in [("1", 1), ("100", 100), ("007", 7)] {
            assert_eq!(parse(&[("limit", text)]).unwrap().limit, limit);
        }
        for text in [
            "",
            "0",
            "101",
            "-1",
            "+5",
            "5.0",
            "x",
            " 5",
            "99999999999999999999999",
        ] {
            assert_eq!(
                parse(&[("limit", text)]),
                Err(vec![("limit".into(), InvalidParameter)]),
                "{text}"
            );
        }
    }

    #[test]
    fn a_cursor_says_where_the_page_lies() {
        let cursor = by_id("p-1");
        let text = cursor.encode();
        assert_eq!(
            parse(&[("after", &text)]).unwrap().position,
            Position::After(cursor.clone())
        );
        assert_eq!(
            parse(&[("before", &text)]).unwrap().position,
            Position::Before(cursor)
        );
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let text = by_id("p-1").encode();
        let pairs = [
            ("colour", "red"),
            ("offset", "20"),
            ("<script>", "x"),
            ("limit", "5"),
            ("limit", "0"),
            ("after", "nonsense"),
            ("before", &text),
        ];
        assert_eq!(
            parse(&pairs),
            Err(vec![
                ("colour".into(), UnknownParameter),
                ("offset".into(), UnknownParameter),
                (String::new(), UnknownParameter),
                ("limit".into(), RepeatedParameter),
                ("limit".into(), InvalidParameter),
                ("after".into(), InvalidCursor),
                ("before".into(), ConflictingParameters),
            ])
        );
    }

    #[test]
    fn offset_is_told_about_cursors() {
        let pairs = [(Cow::from("offset"), Cow::from("20"))];
        let problems = PageQuery::parse(pairs.into_iter()).unwrap_err();
        assert!(problems[0].description.contains("cursors"));
    }

    proptest! {
        #[test]
        fn values_are_never_repeated_to_the_caller(value in "[<>\"'&]{4,20}") {
            let pairs = ["limit", "after", "before", &value].map(|name| (Cow::from(name.to_owned()), Cow::from(value.clone())));
            for problem in PageQuery::parse(pairs.into_iter()).unwrap_err() {
                prop_assert!(!problem.description.contains(&value) && problem.parameter != value);
            }
        }
    }
}
