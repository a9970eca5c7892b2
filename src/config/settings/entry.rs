//! One variable on its way from text to a value that keeps the rules.

use super::{Origin, Setting};
use crate::config::problem::{Problem, shown};
use crate::config::schema::{Value, Variable};
use crate::secrets::{Reference, Secret};

/// One variable.
pub struct Entry {
    /// Its rules.
    pub variable: Variable,
    /// What it holds.
    pub content: Content,
    origin: Option<Origin>,
    /// Where its value is kept, if not in the variable itself.
    reference: Option<Reference>,
}

/// What a variable holds.
pub enum Content {
    /// Nothing.
    Unset,
    /// Text that has not been judged yet.
    Raw(Secret),
    /// A reference that has not been resolved.
    Referred(Reference),
    /// A reference whose Vault did not answer.
    Late(Reference),
    /// A value that keeps the rules.
    Valid(Value),
    /// What was reported as a problem already.
    Broken,
}

// === impl Entry ===

impl Entry {
    /// `variable` holds `content`, which comes from `origin`.
    pub fn new(variable: &Variable, origin: Option<Origin>, content: Content) -> Self {
        let reference = match &content {
            Content::Referred(reference) => Some(reference.clone()),
            _ => None,
        };
        Self {
            variable: variable.clone(),
            content,
            origin,
            reference,
        }
    }

    /// Applies the rules to text that has not been judged yet.
    pub fn judge(&mut self, problems: &mut Vec<Problem>) {
        let Content::Raw(text) = &self.content else {
            return;
        };
        let text = text.expose();
        self.content = match self.variable.judge(text) {
            Ok(value) if self.variable.is_available() || self.is_default(&value) => {
                Content::Valid(value)
            }
            result => {
                let problem = match result {
                    Err(rule) if self.variable.is_available() => {
                        Problem::new(&self.variable.name, rule)
                    }
                    _ => not_offered(&self.variable),
                };
                problems.push(self.held(problem, text));
                Content::Broken
            }
        };
    }

    /// Reports `rule` about what the variable refers to.
    pub fn refuse(&mut self, rule: &str, problems: &mut Vec<Problem>) {
        let name = &self.variable.name;
        let rule = format!("{rule}; or set {name} itself, or {name}_FILE");
        problems.push(self.held(Problem::new(name, rule), ""));
        self.content = Content::Broken;
    }

    /// Whether nobody set it.
    pub fn is_unset_by_people(&self) -> bool {
        !matches!(self.origin, Some(Origin::Environment | Origin::File(_)))
    }

    /// Holds `number` from now on, for the sake of `leader`.
    pub fn follow(&mut self, number: i64, leader: &'static str) {
        self.content = Content::Valid(Value::Integer(number));
        self.origin = Some(Origin::Follows(leader));
    }

    /// What is in effect, for people.
    pub fn setting(&self) -> Setting {
        let value = match (&self.content, &self.reference) {
            (Content::Unset, _) => "(none)".into(),
            (Content::Broken, _) => "(not usable)".into(),
            (Content::Late(reference), _) => format!("(secret, to come from {reference})"),
            (_, Some(reference)) => format!("(secret, from {reference})"),
            (Content::Valid(value), None) if !self.variable.is_secret() => match value {
                Value::Boolean(truth) => truth.to_string(),
                Value::Integer(number) => number.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Text(text) => shown(text),
            },
            _ => "(secret)".into(),
        };
        Setting {
            variable: self.variable.name.clone(),
            shown: value,
            origin: self.origin.clone(),
        }
    }

    fn is_default(&self, value: &Value) -> bool {
        self.variable
            .default_text()
            .and_then(|text| self.variable.judge(&text).ok())
            .is_some_and(|default| default == *value)
    }

    /// The problem, with what the variable holds as far as that may be shown.
    fn held(&self, problem: Problem, text: &str) -> Problem {
        match &self.reference {
            Some(reference) => problem.holding(reference.to_string()),
            None if self.variable.is_secret() => problem.holding("(secret)"),
            // Another file than the one that was meant may hold anything.
            None if matches!(self.origin, Some(Origin::File(_))) => problem.holding("(in a file)"),
            None => problem.holding(shown(text)),
        }
    }
}

/// The problem of a variable that is set although this version does nothing with it: to ignore it
/// could mean to serve without the protection its owner counts on.
pub fn not_offered(variable: &Variable) -> Problem {
    let rule = format!(
        "must not be set, because this version does not offer it. {}",
        variable.instead()
    );
    Problem::new(&variable.name, rule)
}
