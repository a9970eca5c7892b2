//! Queries in bodies: the same as in URLs, as JSON, and with a full-text query.

use super::terms::Terms;
use super::value::{self, LIMIT_RULE, Rule, shown};
use super::{Asked, PageQuery, Position, Query, QueryProblem, QueryProblemCode};
use crate::product::{Comparison, Criteria, Field, Select, SortKey, Term};
use crate::product::{draft::is_plain_name, strict};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Takes the members of the body, and notes what is wrong with them.
struct Reader {
    members: Map<String, Value>,
    problems: Vec<QueryProblem>,
}

// === impl Query ===

impl Query {
    /// Reads the body of a search: `q`, `filter`, `sortby`, `select`, `limit`, `after`, `before` and `count`, none of them required, and
    /// no others. The query asks for a page or a count.
    ///
    /// # Errors
    /// All that is wrong with it. None repeats a value of the body.
    pub fn search(body: &[u8]) -> Result<Self, Vec<QueryProblem>> {
        let members = strict::object(body)
            .map_err(|rule| vec![QueryProblem::new("", QueryProblemCode::MalformedBody, rule)])?;
        let mut reader = Reader {
            members,
            problems: Vec::new(),
        };
        let criteria = Criteria {
            text: reader.text(),
            filter: reader.filter(),
            sort: reader.sortby(),
        };
        let select = reader.select();
        let limit = reader.limit();
        let count = reader.flag("count");
        let (after, before) = (reader.string("after"), reader.string("before"));
        reader.unknown();
        let mut problems = reader.problems;
        let known = problems.is_empty().then_some(&criteria);
        let position = Position::read(after.as_deref(), before.as_deref(), known, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let asked = match count {
            true => Asked::Count(criteria),
            false => Asked::Page(PageQuery {
                limit,
                position,
                criteria,
            }),
        };
        Ok(Self { asked, select })
    }
}

// === impl Reader ===

impl Reader {
    fn invalid(&mut self, name: &str, rule: impl std::fmt::Display) {
        self.problems.push(QueryProblem::invalid(name, rule));
    }

    fn string(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.invalid(name, "must be a string");
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.members.remove(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.invalid(name, "must be true or false");
                false
            }
        }
    }

    fn text(&mut self) -> Option<Box<str>> {
        let text = self.string("q")?;
        let text = text.trim();
        if text.is_empty() || text.chars().nth(Criteria::MAX_TEXT_CHARS).is_some() {
            let most = Criteria::MAX_TEXT_CHARS;
            self.invalid("q", format_args!("must have 1 to {most} characters"));
            return None;
        }
        Some(text.into())
    }

    fn limit(&mut self) -> usize {
        let Some(number) = self.members.remove("limit") else {
            return PageQuery::DEFAULT_LIMIT;
        };
        let limit = whole(&number).and_then(|number| value::limit(number.parse().ok()?));
        limit.unwrap_or_else(|| {
            self.invalid("limit", LIMIT_RULE);
            PageQuery::DEFAULT_LIMIT
        })
    }

    /// One string with the fields in it, or an array of them.
    fn sortby(&mut self) -> Vec<SortKey> {
        let order = match self.members.remove("sortby") {
            None => return Vec::new(),
            Some(Value::String(text)) => value::order(text.split(',')),
            Some(Value::Array(items)) => match texts(&items) {
                Some(items) => value::order(items),
                None => Err(Cow::Borrowed("must be a string, or an array of strings")),
            },
            Some(_) => Err(Cow::Borrowed("must be a string, or an array of strings")),
        };
        order.unwrap_or_else(|rule| {
            self.invalid("sortby", rule);
            Vec::new()
        })
    }

    fn select(&mut self) -> Option<Select> {
        let select = match self.members.remove("select")? {
            Value::Array(items) => texts(&items).map(value::select),
            _ => None,
        };
        let select = select.unwrap_or(Err(Cow::Borrowed("must be an array of strings")));
        select.map_err(|rule| self.invalid("select", rule)).ok()
    }

    /// `{"category":"x","price":{">=":1000}}`: a field is equal to a value, or compared with one for each operator.
    fn filter(&mut self) -> Vec<Term> {
        let mut terms = Terms::default();
        match self.members.remove("filter") {
            None => {}
            Some(Value::Object(fields)) => {
                for (name, value) in fields {
                    compare(&mut terms, &name, value);
                }
            }
            Some(_) => self.invalid("filter", "must be an object of fields"),
        }
        terms.finish(&mut self.problems)
    }

    /// Notes the members that nobody took.
    fn unknown(&mut self) {
        const KNOWN: &str = "q, filter, sortby, select, limit, after, before and count";
        for name in std::mem::take(&mut self.members).keys() {
            let mut problem = QueryProblem::unknown(name, KNOWN);
            problem.description = problem.description.replace("parameter", "member");
            super::note(&mut self.problems, problem);
        }
    }
}

/// Adds the conditions on the field called `name`.
fn compare(terms: &mut Terms, name: &str, value: Value) {
    let Some(field) = Field::parse(name) else {
        let plain = is_plain_name(name);
        let parameter = if plain {
            format!("filter.{name}")
        } else {
            "filter".to_owned()
        };
        let what = if plain {
            format!("`{name}`")
        } else {
            "one of its names".to_owned()
        };
        let description = format!("{what} is no field that products can be filtered by");
        let code = QueryProblemCode::UnknownParameter;
        return terms.note(QueryProblem::new(&parameter, code, description));
    };
    let Value::Object(comparisons) = value else {
        return with(terms, &field, Comparison::Equal, &value);
    };
    if comparisons.is_empty() {
        let rule = "must have a value, or an object of operators with at least one";
        terms.note(QueryProblem::invalid(&named(&field), rule));
    }
    for (operator, value) in comparisons {
        let mut operators = Comparison::ALL.into_iter();
        match operators.find(|known| known.as_str() == operator) {
            Some(comparison) => with(terms, &field, comparison, &value),
            None => {
                let rule = "has an operator that is none of = <> > >= < <=";
                terms.note(QueryProblem::invalid(&named(&field), rule));
            }
        }
    }
}

/// Adds the condition that `field` compares so with `value`, or with each value of an array.
fn with(terms: &mut Terms, field: &Field, comparison: Comparison, value: &Value) {
    let mut add = |value: &Value| {
        let text = operand(field, value);
        let text = text.as_deref().map_err(Clone::clone);
        terms.add("filter.", field.clone(), comparison, text);
    };
    match value {
        Value::Array(values) if value::may_repeat(field, comparison) && !values.is_empty() => {
            values.iter().for_each(add);
        }
        value => add(value),
    }
}

/// The text of an operand. A number stands for an amount, or for an attribute that is one.
fn operand<'a>(field: &Field, value: &'a Value) -> Result<Cow<'a, str>, Rule> {
    match (field, value) {
        (Field::Price, value) => whole(value).map(Cow::Owned).ok_or(Cow::Borrowed(
            "must be compared with an integer, the amount in minor units",
        )),
        (Field::Attribute(_), Value::Number(number)) => Ok(Cow::Owned(number.to_string())),
        (Field::Attribute(_), Value::Bool(true)) => Ok(Cow::Borrowed("true")),
        (Field::Attribute(_), Value::Bool(false)) => Ok(Cow::Borrowed("false")),
        (_, Value::String(text)) => Ok(Cow::Borrowed(text)),
        (Field::Attribute(_), _) => Err(Cow::Borrowed(
            "must be compared with a string, a number, true or false",
        )),
        _ => Err(Cow::Borrowed("must be compared with a string")),
    }
}

/// The digits of a whole number. To JSON Schema 20.0 is one too.
fn whole(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            // Beside zero, another zero has a sign.
            Some(format!("{:.0}", number + 0.0))
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn named(field: &Field) -> String {
    format!("filter.{}", shown(field))
}

/// The items of an array of strings.
fn texts(items: &[Value]) -> Option<Vec<&str>> {
    items.iter().map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn problems(body: &Value) -> Vec<(String, QueryProblemCode)> {
        let problems = Query::search(body.to_string().as_bytes()).unwrap_err();
        problems
            .into_iter()
            .map(|problem| (problem.parameter, problem.code))
            .collect()
    }

    fn url(query: &str) -> Query {
        Query::parse(query).unwrap()
    }

    #[test]
    fn a_body_asks_for_the_same_as_a_url() {
        for (body, query) in [
            (json!({}), ""),
            (json!({"limit": 7, "count": false}), "limit=7"),
            (json!({"limit": 7.0}), "limit=7"),
            (
                json!({"filter": {"price": {">=": 1000.0, "<>": -0.0, "<": 2e3}}}),
                "price%3E=1000&price%3C%3E0&price%3C2000",
            ),
            (
                json!({"filter": {"category": "x", "price": {">=": 1000, "<": 2000}}, "sortby": "-price,+name"}),
                "sortby=price,%2Bname&category=x&price%3E=1000&price%3C2000",
            ),
            (
                json!({"sortby": ["-price", "+name"], "select": ["name", "id"]}),
                "sortby=-price,+name&select=id,name,id",
            ),
            (
                json!({"count": true, "filter": {"tags": ["a", "b"], "brand": {"<>": ["c", "d"]}}}),
                "count&tags=a&tags=b&brand%3C%3Ed&brand%3C%3Ec",
            ),
            (
                json!({"filter": {"attributes.size": 17, "attributes.new": true, "id": "x", "name": ""}}),
                "attributes.size=17&attributes.new=true&id%3E=x&name=''",
            ),
        ] {
            let mut read = Query::search(body.to_string().as_bytes()).unwrap();
            if let Asked::Page(page) = &mut read.asked {
                // Equality of ids is a list of ids in a URL, so this one condition is told apart.
                for term in &mut page.criteria.filter {
                    if term.field == Field::Id {
                        term.comparison = Comparison::GreaterOrEqual;
                    }
                }
            }
            assert_eq!(read, url(query), "{query}");
        }
    }

    #[test]
    fn a_text_is_part_of_the_criteria() {
        let Asked::Page(page) = Query::search(br#"{"q":" steel kettle "}"#).unwrap().asked else {
            panic!("a page");
        };
        assert_eq!(page.criteria.text.as_deref(), Some("steel kettle"));
        assert_ne!(
            page.criteria.fingerprint(),
            Criteria::default().fingerprint()
        );
    }

    #[test]
    fn all_problems_are_named_at_once() {
        use QueryProblemCode::{
            ConflictingParameters, InvalidCursor, InvalidParameter, UnknownParameter,
        };
        let body = json!({
            "q": " ", "limit": "7", "select": ["colour"], "sortby": ["price", 1], "count": 1,
            "after": "x", "before": 7, "page": 2, "<script>": 1,
            "filter": {
                "price": {">=": "1000", "=>": 1}, "colour": 1, "<b>": 2, "name": {}, "status": "new",
                "tags": {">": "a"}, "brand": ["a", "b"], "category": null, "attributes.x": [1],
            },
        });
        let problems = problems(&body);
        for (field, code) in [
            ("q", InvalidParameter),
            ("limit", InvalidParameter),
            ("select", InvalidParameter),
            ("sortby", InvalidParameter),
            ("count", InvalidParameter),
            ("after", InvalidCursor),
            ("before", InvalidParameter),
            ("page", UnknownParameter),
            ("", UnknownParameter),
            ("filter.price", InvalidParameter),
            ("filter.colour", UnknownParameter),
            ("filter", UnknownParameter),
            ("filter.name", InvalidParameter),
            ("filter.status", InvalidParameter),
            ("filter.tags", InvalidParameter),
            ("filter.brand", InvalidParameter),
            ("filter.category", InvalidParameter),
            ("filter.attributes.x", InvalidParameter),
        ] {
            assert!(
                problems.contains(&(field.to_owned(), code)),
                "{field}: {problems:?}"
            );
        }
        let both = json!({"after": "AmzjsMRCmPwcFAAIUC0wMDAwMDI", "before": "AmzjsMRCmPwcFAAIUC0wMDAwMDI"});
        assert_eq!(
            self::problems(&both),
            [("before".to_owned(), ConflictingParameters)]
        );
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for body in ["", "[]", "{", r#"{"limit":1,"limit":1}"#] {
            let problems = Query::search(body.as_bytes()).unwrap_err();
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].code, QueryProblemCode::MalformedBody, "{body}");
        }
    }

    #[test]
    fn an_amount_is_compared_with_a_whole_number_of_64_bits() {
        for number in [
            "0.5",
            "9223372036854775808",
            "9223372036854775808.0",
            "1e300",
            "true",
        ] {
            let body = format!("{{\"filter\":{{\"price\":{number}}}}}");
            assert!(Query::search(body.as_bytes()).is_err(), "{number}");
        }
    }

    #[test]
    fn conditions_are_bounded() {
        let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
        let body = json!({"filter": {"tags": many[..32]}});
        assert!(Query::search(body.to_string().as_bytes()).is_ok());
        let body = json!({"filter": {"tags": many}});
        assert_eq!(problems(&body).len(), 1);
        let body = json!({"filter": {"name": "x".repeat(2001)}});
        assert_eq!(problems(&body).len(), 1);
    }

    proptest! {
        #[test]
        fn values_are_never_repeated_to_the_caller(value in "[<>\"'&]{4,20}") {
            let body = json!({
                "q": [value], "limit": value, "select": [value], "sortby": value, "count": value, "after": value,
                value.clone(): 1, "filter": {"price": value, value.clone(): 1, "status": {value.clone(): value}},
            });
            for problem in Query::search(body.to_string().as_bytes()).unwrap_err() {
                prop_assert!(!problem.description.contains(&value) && !problem.parameter.contains(&value));
            }
        }

        #[test]
        fn no_body_makes_it_panic(filter in r#"[a-z{}\[\]":,.<>=0-9]{0,60}"#) {
            let _ = Query::search(filter.as_bytes());
            let _ = Query::search(format!("{{\"filter\":{{{filter}}}}}").as_bytes());
        }
    }
}
