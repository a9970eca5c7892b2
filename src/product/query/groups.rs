//! Queries for the groups of products: categories and brands, page by page in the order of their names.

use super::grammar::{Pair, decoded, give, limit};
use super::{PageQuery, QueryProblem, exclude, note};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a cursor begins with: the version of its layout, and what it is one of.
const HEAD: &[u8] = b"\x02g";

/// The most bytes of a name that a cursor has.
const MAX_NAME_BYTES: usize = 2048;

/// One page of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupQuery {
    /// Groups on the page at most, 1 to 100.
    pub limit: usize,
    /// Where the page lies.
    pub position: GroupPosition,
}

/// Where a page lies among groups in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupPosition {
    /// At the start.
    Start,
    /// Right after this name.
    After(Box<str>),
    /// Right before this name.
    Before(Box<str>),
}

// === impl GroupQuery ===

impl GroupQuery {
    /// Reads the query of a URL: `limit`, and one of `after` and `before`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(query: &str) -> Result<Self, Vec<QueryProblem>> {
        let (mut size, mut after, mut before) = (None, None, None);
        let mut problems = Vec::new();
        for text in decoded(query) {
            let pair = Pair::split(&text);
            let place = match pair.name {
                "limit" => &mut size,
                "after" => &mut after,
                "before" => &mut before,
                name => {
                    note(
                        &mut problems,
                        QueryProblem::unknown(name, "limit, after and before"),
                    );
                    continue;
                }
            };
            give(place, &pair, &mut problems);
        }
        let limit = limit(size.as_deref(), &mut problems);
        exclude(after.is_some(), before.is_some(), &mut problems);
        let mut name = |parameter, text: Option<String>| {
            let name = name_of(&text?);
            if name.is_none() {
                problems.push(QueryProblem::cursor(parameter));
            }
            name
        };
        let position = match (name("after", after), name("before", before)) {
            (Some(name), _) => GroupPosition::After(name),
            (None, Some(name)) => GroupPosition::Before(name),
            (None, None) => GroupPosition::Start,
        };
        let query = Self { limit, position };
        problems.is_empty().then_some(query).ok_or(problems)
    }

    /// The cursor of the group called `name`: base64url, safe in a query.
    ///
    /// Of a name that is too long for a URI it has the beginning: groups that differ only behind that may be
    /// passed over.
    pub fn cursor(name: &str) -> String {
        let end = name.floor_char_boundary(MAX_NAME_BYTES);
        let beginning = name.get(..end).unwrap_or(name);
        URL_SAFE_NO_PAD.encode([HEAD, beginning.as_bytes()].concat())
    }
}

impl Default for GroupQuery {
    fn default() -> Self {
        Self {
            limit: PageQuery::DEFAULT_LIMIT,
            position: GroupPosition::Start,
        }
    }
}

// === impl GroupPosition ===

impl GroupPosition {
    /// Whether the group called `name` lies before this place.
    pub fn is_behind(&self, name: &str) -> bool {
        match self {
            Self::Start => false,
            Self::After(last) => {
                // All that a cursor has of a long name is its beginning.
                let is_cut = last.len() > MAX_NAME_BYTES - 4 && name.starts_with(&**last);
                name <= &**last || is_cut
            }
            Self::Before(first) => name < &**first,
        }
    }
}

/// The name in a cursor.
fn name_of(cursor: &str) -> Option<Box<str>> {
    if cursor.len() > (MAX_NAME_BYTES + HEAD.len()).div_ceil(3) * 4 {
        return None;
    }
    let plain = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let name = plain.strip_prefix(HEAD)?;
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    std::str::from_utf8(name)
        .ok()
        .filter(|_| fits)
        .map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems(query: &str) -> Vec<String> {
        let problems = GroupQuery::parse(query).unwrap_err().into_iter();
        problems.map(|problem| problem.parameter).collect()
    }

    #[test]
    fn nothing_asked_is_the_first_twenty() {
        assert_eq!(GroupQuery::parse(""), Ok(GroupQuery::default()));
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let cursor = GroupQuery::cursor("tea");
        assert_eq!(
            problems(&format!("sortby=name&limit=0&after=x&before={cursor}")),
            ["sortby", "limit", "before", "after"]
        );
        assert_eq!(
            problems(&format!("after={cursor}&after={cursor}")),
            ["after"]
        );
        // A product's cursor is not one of a group.
        assert_eq!(problems("after=AmzjsMRCmPwcFAAIUC0wMDAwMDI"), ["after"]);
    }

    #[test]
    fn a_long_name_has_a_cursor_that_fits() {
        let name = "ä".repeat(4000);
        let query = GroupQuery::parse(&format!("after={}", GroupQuery::cursor(&name))).unwrap();
        assert_eq!(
            query.position,
            GroupPosition::After("ä".repeat(1024).into())
        );
    }

    proptest! {
        #[test]
        fn names_come_back(name in ".{1,200}") {
            let cursor = GroupQuery::cursor(&name);
            let query = GroupQuery::parse(&format!("limit=7&before={cursor}")).unwrap();
            prop_assert_eq!(query, GroupQuery { limit: 7, position: GroupPosition::Before(name.into()) });
        }

        #[test]
        fn no_query_makes_it_panic(query in "((limit|after|before)=)?.{0,30}") {
            let _ = GroupQuery::parse(&query);
        }
    }
}
