//! Freshness contracts as operators declare them: JSON or YAML, strict, with all problems reported at once.

use crate::cache::{Contract, Degrade, Pattern};
use crate::product::{Draft, Problem, ProblemCode, Product, ProductId, is_plain_name};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What every pattern begins with: the kind of key.
const KIND: &str = "product:";
/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest id of a product, and so the longest that a prefix can be.
const LONGEST_ID: usize = 128;
/// A year in milliseconds: the longest time there is in a contract.
const YEAR_MILLIS: u64 = 365 * 24 * 3600 * 1000;

/// Judges a `refresh_from`: whether it has a place for the product's id, or the rule that it breaks.
pub type JudgeUrl<'a> = dyn Fn(&str) -> Result<bool, String> + 'a;

/// A contract, and the members that declared it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    contract: Contract<Product>,
    members: Map<String, Value>,
}

/// Takes the members of one contract and notes what is wrong with them.
struct Reader<'a> {
    judge: &'a JudgeUrl<'a>,
    members: Map<String, Value>,
    problems: Vec<Problem>,
}

// === impl Declared ===

impl Declared {
    /// Reads the members of a contract. `name` is what it is called where that is known already: then its
    /// own may be left out, and must not be another. `judge` says where refreshes may ask. Times are whole milliseconds, a year at most.
    ///
    /// # Errors
    /// All problems at once. None repeats a value.
    pub fn read(
        mut members: Map<String, Value>,
        name: Option<&str>,
        judge: &JudgeUrl<'_>,
    ) -> Result<Self, Vec<Problem>> {
        if let (Some(name), false) = (name, members.contains_key("name")) {
            members.insert("name".to_owned(), name.into());
        }
        let mut reader = Reader {
            judge,
            members: members.clone(),
            problems: Vec::new(),
        };
        match (reader.contract(name), reader.problems.is_empty()) {
            (Some(contract), true) => Ok(Self { contract, members }),
            _ => Err(reader.problems),
        }
    }

    /// What is promised.
    pub fn contract(&self) -> &Contract<Product> {
        &self.contract
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.contract.name
    }

    /// The members that declared it.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// The contract; `None` only where there are problems.
    fn contract(&mut self, path_name: Option<&str>) -> Option<Contract<Product>> {
        let name = self.required("name", |reader| reader.name(path_name));
        let pattern = self.required("key_pattern", Self::pattern);
        let fresh_within = self.required("fresh_within", |reader| {
            reader.millis("fresh_within", 1..=YEAR_MILLIS)
        });
        let grace_period = self.required("grace_period", |reader| {
            reader.millis("grace_period", 0..=YEAR_MILLIS)
        });
        let on_degrade = self.required("on_degrade", Self::on_degrade);
        let idle_after = self.millis("idle_after", 0..=YEAR_MILLIS);
        let fallback = self.fallback(on_degrade);
        let refresh_from = self.refresh_from(pattern.as_ref());
        self.unknown();
        Some(Contract {
            name: name?,
            pattern: pattern?,
            fresh_within: fresh_within?,
            grace_period: grace_period?,
            on_degrade: on_degrade?,
            refresh_from,
            fallback: fallback.map(Arc::new),
            idle_after: idle_after.unwrap_or_default(),
        })
    }

    fn name(&mut self, path_name: Option<&str>) -> Option<Arc<str>> {
        let text = self.text("name")?;
        let code = ProblemCode::IdMismatch;
        if !is_name(&text) {
            let rule = "must be words of lower case letters and digits joined by hyphens, at most 64 characters";
            self.invalid("name", rule);
        } else if path_name.is_some_and(|name| name != text) {
            self.note(code, "name", "must be equal to the name in the path");
        }
        Some(text.into())
    }

    fn pattern(&mut self) -> Option<Pattern> {
        let text = self.text("key_pattern")?;
        let pattern = pattern(&text);
        if pattern.is_none() {
            self.invalid(
                "key_pattern",
                "must be product:ID for one product, product:PREFIX* for all whose id begins so, or product:* for all",
            );
        }
        pattern
    }

    fn on_degrade(&mut self) -> Option<Degrade> {
        let text = self.text("on_degrade")?;
        let all = [
            Degrade::ServeStale,
            Degrade::ReturnError,
            Degrade::ServeFallback,
        ];
        let found = all.into_iter().find(|degrade| degrade.as_str() == text);
        if found.is_none() {
            let rule = "must be ServeStale, ReturnError or ServeFallback";
            self.invalid("on_degrade", rule);
        }
        found
    }

    /// Where refreshes ask: for several products, a URL with a place for their ids.
    fn refresh_from(&mut self, pattern: Option<&Pattern>) -> Option<Arc<str>> {
        let text = self.text("refresh_from")?;
        match (self.judge)(&text) {
            Err(rule) => self.invalid("refresh_from", &rule),
            Ok(false) if matches!(pattern, Some(Pattern::Prefix(_))) => {
                let rule = "must have {id} where `key_pattern` is about more than one product";
                self.invalid("refresh_from", rule);
            }
            Ok(_) => {}
        }
        Some(text.into())
    }

    /// The stand-in, which one policy needs and the others would never serve.
    fn fallback(&mut self, on_degrade: Option<Degrade>) -> Option<Product> {
        let value = self.members.remove("fallback");
        match (&value, on_degrade) {
            (None, Some(Degrade::ServeFallback)) => {
                let code = ProblemCode::RequiredFieldMissing;
                self.note(code, "fallback", "is required by ServeFallback");
            }
            (Some(_), Some(Degrade::ServeStale | Degrade::ReturnError)) => self.invalid(
                "fallback",
                "is served by ServeFallback only; leave it out, or change `on_degrade`",
            ),
            _ => {}
        }
        let Value::Object(members) = value? else {
            self.invalid("fallback", "must be a product, as clients write it");
            return None;
        };
        // What was read as JSON can be written as such.
        let body = serde_json::to_vec(&members).unwrap_or_default();
        match Draft::parse(&body, None) {
            Ok(draft) => Some(draft.product),
            Err(problems) => {
                self.problems
                    .extend(problems.into_iter().map(inside_fallback));
                None
            }
        }
    }

    /// Takes a member that must be a whole number of milliseconds.
    fn millis(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<Duration> {
        let millis = self.members.remove(name)?.as_u64();
        let millis = millis.filter(|millis| bounds.contains(millis));
        if millis.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            let rule = format!("must be a whole number of milliseconds from {least} to {most}");
            self.invalid(name, &rule);
        }
        millis.map(Duration::from_millis)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.invalid(name, "must be a string");
                None
            }
        }
    }

    /// Reads a member with `read`; notes where it is not there at all.
    fn required<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.members.contains_key(name) {
            return read(self);
        }
        self.note(ProblemCode::RequiredFieldMissing, name, "is required");
        None
    }

    /// Notes the members that nobody took.
    fn unknown(&mut self) {
        let rule = "is not a member of a contract";
        for name in std::mem::take(&mut self.members).keys() {
            match is_plain_name(name) {
                true => self.note(ProblemCode::UnknownField, name, rule),
                false => self.problems.push(Problem {
                    code: ProblemCode::UnknownField,
                    field: String::new(),
                    description: format!("there is a member that {rule}"),
                }),
            }
        }
    }

    fn invalid(&mut self, name: &str, rule: &str) {
        self.note(ProblemCode::InvalidField, name, rule);
    }

    fn note(&mut self, code: ProblemCode, name: &str, rule: &str) {
        self.problems.push(Problem {
            code,
            field: name.to_owned(),
            description: format!("`{name}` {rule}"),
        });
    }
}

/// A problem of the product that is a fallback, as one of its contract.
fn inside_fallback(problem: Problem) -> Problem {
    let own = format!("`{}`", problem.field);
    let field = match problem.field.as_str() {
        "" => "fallback".to_owned(),
        field => format!("fallback.{field}"),
    };
    let rule = problem.description.strip_prefix(&own);
    let rule = rule.map_or_else(|| format!(": {}", problem.description), str::to_owned);
    Problem {
        code: problem.code,
        description: format!("`{field}`{rule}"),
        field,
    }
}

/// Whether a text is words joined by hyphens, as names of contracts are.
pub(super) fn is_name(text: &str) -> bool {
    let is_word = |word: &str| {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        !word.is_empty() && word.bytes().all(fits)
    };
    text.len() <= LONGEST_NAME && text.split('-').all(is_word)
}

fn pattern(text: &str) -> Option<Pattern> {
    let rest = text.strip_prefix(KIND)?;
    let Some(prefix) = rest.strip_suffix('*') else {
        let id = ProductId::parse(rest).ok()?;
        return Some(Pattern::Exact(id.as_str().as_bytes().into()));
    };
    // What begins an id is one itself, but for the empty one, which begins all.
    let is_prefix = prefix.is_empty() || ProductId::parse(prefix).is_ok();
    (is_prefix && prefix.len() <= LONGEST_ID).then(|| Pattern::Prefix(prefix.as_bytes().into()))
}
