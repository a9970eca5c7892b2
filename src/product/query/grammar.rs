//! Queries in URLs.
//!
//! Parameters are `name=value`, but `count`, which has no value. Every other name is a field, and `=` one
//! of six operators after it: `price>=1000`, `brand<>Norvik`. The operators arrive encoded, so a pair that was
//! split at its first `=` says little: it is put together again and split at its first operator.

use super::terms::Terms;
use super::value::{self, Rule, shown, unquoted};
use super::{Asked, PageQuery, Position, Query, QueryProblem, note};
use crate::product::{Comparison, Criteria, Field, ProductId, Select, SortKey};
use std::borrow::Cow;

/// What an unknown name is told of.
const KNOWN: &str =
    "limit, after, before, sortby, select, count, id, and the fields to filter by, such as price";

/// A part of a query between two ampersands: what it names, and how that compares with what.
pub(super) struct Pair<'a> {
    pub name: &'a str,
    /// An operator and what follows it.
    pub value: Option<(Comparison, &'a str)>,
}

/// The parameters that are there, as they came; conditions apart.
#[derive(Default)]
struct Given {
    limit: Option<String>,
    after: Option<String>,
    before: Option<String>,
    sortby: Option<String>,
    select: Option<String>,
    id: Option<String>,
    count: Option<String>,
}

/// What was gathered, and what is wrong with it.
#[derive(Default)]
struct Reader {
    given: Given,
    terms: Terms,
    filter_chars: usize,
    problems: Vec<QueryProblem>,
}

// === impl Query ===

impl Query {
    /// Reads the query of a URL, as it stands there.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(query: &str) -> Result<Self, Vec<QueryProblem>> {
        let mut reader = Reader::default();
        for text in decoded(query) {
            reader.take(&Pair::split(&text));
        }
        reader.finish()
    }

    /// Reads the query of what has no parameters.
    ///
    /// # Errors
    /// If there is one.
    pub fn parse_none(query: &str) -> Result<(), Vec<QueryProblem>> {
        let mut problems = Vec::new();
        for text in decoded(query) {
            let name = Pair::split(&text).name;
            note(&mut problems, QueryProblem::unknown(name, "none"));
        }
        problems.is_empty().then_some(()).ok_or(problems)
    }
}

// === impl Select ===

impl Select {
    /// Reads the query of one product: `select`, or nothing.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(query: &str) -> Result<Option<Self>, Vec<QueryProblem>> {
        let (mut given, mut problems) = (None, Vec::new());
        for text in decoded(query) {
            let pair = Pair::split(&text);
            match pair.name {
                "select" => give(&mut given, &pair, &mut problems),
                name => note(&mut problems, QueryProblem::unknown(name, "select")),
            }
        }
        let select = given.and_then(|text| select(&text, &mut problems));
        problems.is_empty().then_some(select).ok_or(problems)
    }
}

// === impl Pair ===

impl<'a> Pair<'a> {
    /// Splits at the first operator.
    pub fn split(text: &'a str) -> Self {
        let Some(at) = text.find(['<', '>', '=']) else {
            return Self {
                name: text,
                value: None,
            };
        };
        let (name, rest) = text.split_at(at);
        let operators = Comparison::ALL.into_iter();
        let value = operators
            .filter_map(|operator| Some((operator, rest.strip_prefix(operator.as_str())?)))
            .next();
        Self { name, value }
    }
}

// === impl Reader ===

impl Reader {
    fn take(&mut self, pair: &Pair<'_>) {
        let given = &mut self.given;
        let is_list = matches!(pair.value, Some((Comparison::Equal, _)));
        // What was no UTF-8 is no name.
        let name = if utf8(pair.name).is_ok() {
            pair.name
        } else {
            ""
        };
        let place = match name {
            "limit" => &mut given.limit,
            "after" => &mut given.after,
            "before" => &mut given.before,
            "sortby" => &mut given.sortby,
            "select" => &mut given.select,
            "id" if is_list => &mut given.id,
            "count" => return self.flag(pair),
            "q" => {
                let mut problem = QueryProblem::unknown("q", KNOWN);
                problem.description = "`q` is a member of POST /products/search".to_owned();
                return note(&mut self.problems, problem);
            }
            name => match Field::parse(name) {
                Some(field) => return self.filter(field, pair),
                None => return note(&mut self.problems, QueryProblem::unknown(name, KNOWN)),
            },
        };
        give(place, pair, &mut self.problems);
    }

    fn flag(&mut self, pair: &Pair<'_>) {
        if pair.value.is_some() {
            let rule = "is a flag: it stands without `=` and without a value";
            note(&mut self.problems, QueryProblem::invalid("count", rule));
        } else if self.given.count.replace(String::new()).is_some() {
            note(&mut self.problems, QueryProblem::repeated("count"));
        }
    }

    fn filter(&mut self, field: Field, pair: &Pair<'_>) {
        let name = shown(&field);
        let Some((comparison, text)) = pair.value else {
            let rule = "is a field to filter by: it needs one of = <> > >= < <= and a value";
            return self.terms.note(QueryProblem::invalid(&name, rule));
        };
        let before = self.filter_chars;
        self.filter_chars += pair.name.chars().count() + comparison.as_str().len();
        self.filter_chars += text.chars().count();
        let most = Query::MAX_FILTER_CHARS;
        if self.filter_chars > most {
            // Said once, of the condition that is too much.
            if before <= most {
                let rule = format!(
                    "is where the conditions pass {most} characters: send them in the body of POST /products/search"
                );
                self.terms.note(QueryProblem::invalid(&name, rule));
            }
            return;
        }
        let value = utf8(text).and_then(unquoted).map(|text| match field {
            // The plus of an offset may have become a space.
            Field::CreatedAt | Field::UpdatedAt => Cow::Owned(text.replace(' ', "+")),
            _ => text,
        });
        let value = value.as_deref().map_err(Clone::clone);
        self.terms.add("", field, comparison, value);
    }

    fn finish(mut self) -> Result<Query, Vec<QueryProblem>> {
        let mut problems = std::mem::take(&mut self.problems);
        let given = self.given;
        let page_size = limit(given.limit.as_deref(), &mut problems);
        let sort = given.sortby.as_deref();
        let sort = sort.map_or_else(Vec::new, |text| sortby(text, &mut problems));
        let chosen = given.select.as_deref();
        let select = chosen.and_then(|text| select(text, &mut problems));
        let ids = given.id.as_deref().map(|text| ids(text, &mut problems));
        let filter = self.terms.finish(&mut problems);
        let criteria = Criteria {
            text: None,
            filter,
            sort,
        };
        let (after, before) = (given.after.as_deref(), given.before.as_deref());
        // Whose cursor it is can only be told where the criteria are understood.
        let criteria = problems.is_empty().then_some(criteria);
        let position = Position::read(after, before, criteria.as_ref(), &mut problems);
        if ids.is_some() {
            let others = [
                ("limit", given.limit.is_some()),
                ("after", after.is_some()),
                ("before", before.is_some()),
                ("sortby", given.sortby.is_some()),
                ("count", given.count.is_some()),
            ];
            alone(&others, self.filter_chars > 0, &mut problems);
        }
        let Some(criteria) = criteria.filter(|_| problems.is_empty()) else {
            return Err(problems);
        };
        let asked = match (ids, given.count) {
            (Some(ids), _) => Asked::Many(ids),
            (None, Some(_)) => Asked::Count(criteria),
            (None, None) => Asked::Page(PageQuery {
                limit: page_size,
                position,
                criteria,
            }),
        };
        Ok(Query { asked, select })
    }
}

/// The parts of a query, decoded.
pub(super) fn decoded(query: &str) -> impl Iterator<Item = String> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.filter_map(|part| {
        let (name, value) = form_urlencoded::parse(part.as_bytes()).next()?;
        let equals = if part.contains('=') { "=" } else { "" };
        Some(format!("{name}{equals}{value}"))
    })
}

/// Takes the value of a parameter that has one, once.
pub(super) fn give(place: &mut Option<String>, pair: &Pair<'_>, problems: &mut Vec<QueryProblem>) {
    match pair.value {
        Some((Comparison::Equal, value)) => {
            if place.replace(value.to_owned()).is_some() {
                note(problems, QueryProblem::repeated(pair.name));
            }
        }
        Some(_) => {
            let rule = "is no field to filter by: it takes `=` and a value";
            note(problems, QueryProblem::invalid(pair.name, rule));
        }
        None => {
            let rule = "takes `=` and a value";
            note(problems, QueryProblem::invalid(pair.name, rule));
        }
    }
}

/// Reads `limit`; notes where it can not be.
pub(super) fn limit(text: Option<&str>, problems: &mut Vec<QueryProblem>) -> usize {
    let Some(text) = text else {
        return PageQuery::DEFAULT_LIMIT;
    };
    let limit = value::integer(text).and_then(value::limit);
    limit.unwrap_or_else(|| {
        problems.push(QueryProblem::invalid("limit", value::LIMIT_RULE));
        PageQuery::DEFAULT_LIMIT
    })
}

fn sortby(text: &str, problems: &mut Vec<QueryProblem>) -> Vec<SortKey> {
    value::order(text.split(',')).unwrap_or_else(|rule| {
        problems.push(QueryProblem::invalid("sortby", rule));
        Vec::new()
    })
}

fn select(text: &str, problems: &mut Vec<QueryProblem>) -> Option<Select> {
    value::select(text.split(','))
        .map_err(|rule| problems.push(QueryProblem::invalid("select", rule)))
        .ok()
}

/// Reads a list of ids, and takes each of them once.
fn ids(text: &str, problems: &mut Vec<QueryProblem>) -> Vec<ProductId> {
    let mut ids = Vec::new();
    for part in text.split(',') {
        match value::id(part) {
            Ok(id) if ids.contains(&id) => {}
            Ok(id) => ids.push(id),
            Err(rule) => {
                let rule = format!("has an id that is none: {rule}");
                note(problems, QueryProblem::invalid("id", rule));
            }
        }
        if ids.len() > Query::MAX_IDS {
            let rule = format!("names more than {} products", Query::MAX_IDS);
            note(problems, QueryProblem::invalid("id", rule));
            break;
        }
    }
    ids
}

/// Notes what a list of ids can not stand beside.
fn alone(others: &[(&str, bool)], has_terms: bool, problems: &mut Vec<QueryProblem>) {
    let given = others.iter().filter(|(_, given)| *given);
    for (name, _) in given {
        let description = format!("`{name}` does not go with a list of ids");
        problems.push(QueryProblem::conflicting(name, description));
    }
    if has_terms {
        let description = "`id=` is a list of ids, which goes with no conditions; `id` can be compared with <> > >= < <=";
        problems.push(QueryProblem::conflicting("id", description));
    }
}

fn utf8(text: &str) -> Result<&str, Rule> {
    match text.contains(char::REPLACEMENT_CHARACTER) {
        true => Err(Cow::Borrowed("has a value that is not UTF-8")),
        false => Ok(text),
    }
}
