//! The rules of every variable: `configuration/schema.json`, compiled in and applied.
//!
//! Every keyword of the document is understood here, or the document is refused: a rule that is
//! written down is a rule that is kept.

use super::format::Format;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// The document as it stands in the repository.
const EMBEDDED: &str = include_str!("../../configuration/schema.json");

/// All variables.
pub struct Schema {
    variables: Vec<Variable>,
}

/// One variable and its rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The environment variable.
    #[serde(skip)]
    pub name: String,
    #[serde(rename = "type")]
    kind: Kind,
    minimum: Option<f64>,
    maximum: Option<f64>,
    #[serde(rename = "enum", default)]
    choices: Vec<String>,
    format: Option<Format>,
    default: Option<serde_json::Value>,
    #[serde(rename = "x-secret", default)]
    is_secret: bool,
    #[serde(rename = "x-available", default = "yes")]
    is_available: bool,
    #[serde(rename = "x-instead", default)]
    instead: String,
    /// For other tools: `format` asks for the same and more. A test compares the two.
    #[serde(rename = "pattern")]
    _pattern: Option<IgnoredAny>,
    #[serde(rename = "description")]
    _description: String,
}

/// A value that keeps its variable's rules.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// Text; may be a secret.
    Text(String),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Boolean,
    Integer,
    Number,
    String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    properties: BTreeMap<String, Variable>,
    #[serde(rename = "$schema")]
    _dialect: IgnoredAny,
    #[serde(rename = "title")]
    _title: IgnoredAny,
    #[serde(rename = "description")]
    _description: IgnoredAny,
    #[serde(rename = "type")]
    _type: IgnoredAny,
    #[serde(rename = "additionalProperties")]
    _additional: IgnoredAny,
}

// === impl Schema ===

impl Schema {
    /// The rules this binary was built with.
    ///
    /// # Errors
    /// A keyword, type or format that is not known; a test keeps the document free of them.
    pub fn embedded() -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_str(EMBEDDED)?;
        let variables = document
            .properties
            .into_iter()
            .map(|(name, rules)| Variable { name, ..rules })
            .collect();
        Ok(Self { variables })
    }

    /// All variables, by name.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }
}

// === impl Variable ===

impl Variable {
    /// Reads `text` as this variable's value.
    ///
    /// # Errors
    /// The rule it breaks, as a clause that follows the variable's name. Repeats nothing of `text`.
    pub fn judge(&self, text: &str) -> Result<Value, String> {
        let value = self.typed(text).ok_or_else(|| self.rule())?;
        if let Value::Text(text) = &value {
            if !self.choices.is_empty() && !self.choices.contains(text) {
                return Err(self.rule());
            }
            if let Some(format) = self.format {
                format.check(text)?;
            }
        }
        Ok(value)
    }

    /// The default the document gives, as an environment variable would hold it.
    pub fn default_text(&self) -> Option<String> {
        Some(match self.default.as_ref()? {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// Whether its value must never be shown.
    pub fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Whether this version does something with it.
    pub fn is_available(&self) -> bool {
        self.is_available
    }

    /// What to do as long as it is not available.
    pub fn instead(&self) -> &str {
        &self.instead
    }

    fn typed(&self, text: &str) -> Option<Value> {
        let value = match self.kind {
            Kind::Boolean => Value::Boolean(text.parse().ok()?),
            Kind::Integer => Value::Integer(text.parse().ok()?),
            Kind::Number => Value::Number(text.parse().ok()?),
            Kind::String => Value::Text(text.to_owned()),
        };
        let magnitude = match value {
            // Exact up to 2^53, far above every maximum.
            #[allow(clippy::cast_precision_loss, reason = "see above")]
            Value::Integer(number) => Some(number as f64),
            Value::Number(number) => Some(number),
            Value::Boolean(_) | Value::Text(_) => None,
        };
        let is_inside = magnitude.is_none_or(|magnitude| {
            // Not a number is inside nothing.
            magnitude.is_finite()
                && self.minimum.is_none_or(|minimum| magnitude >= minimum)
                && self.maximum.is_none_or(|maximum| magnitude <= maximum)
        });
        is_inside.then_some(value)
    }

    fn rule(&self) -> String {
        let what = match self.kind {
            Kind::Boolean => return "must be true or false".into(),
            Kind::String => return format!("must be one of {}", self.choices.join(", ")),
            Kind::Integer => "a whole number",
            Kind::Number => "a number",
        };
        match (self.minimum, self.maximum) {
            (Some(minimum), Some(maximum)) => format!("must be {what} from {minimum} to {maximum}"),
            (Some(minimum), None) => format!("must be {what}, {minimum} or more"),
            (None, Some(maximum)) => format!("must be {what}, {maximum} or less"),
            (None, None) => format!("must be {what}"),
        }
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Vec<Variable> {
        let schema = Schema::embedded().unwrap();
        let all = schema.variables.into_iter();
        all.filter(|variable| matches!(variable.kind, Kind::Integer | Kind::Number))
            .collect()
    }

    #[test]
    fn every_default_keeps_its_own_rules() {
        for variable in Schema::embedded().unwrap().variables() {
            if let Some(text) = variable.default_text() {
                assert!(variable.judge(&text).is_ok(), "{}", variable.name);
            }
        }
    }

    #[test]
    fn every_number_is_bounded_and_its_bounds_are_inside() {
        assert!(numbers().len() > 20);
        for variable in numbers() {
            let (minimum, maximum) = (variable.minimum.unwrap(), variable.maximum.unwrap());
            for inside in [minimum, maximum] {
                assert!(
                    variable.judge(&inside.to_string()).is_ok(),
                    "{}",
                    variable.name
                );
            }
            let rule = variable.rule();
            assert!(
                rule.ends_with(&format!("from {minimum} to {maximum}")),
                "{rule}"
            );
            for outside in [minimum - 1.0, maximum + 1.0] {
                assert_eq!(
                    variable.judge(&outside.to_string()).err(),
                    Some(rule.clone())
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for variable in numbers() {
            for text in [
                "",
                " 1",
                "1 ",
                "one",
                "NaN",
                "inf",
                "1e400",
                "1,0",
                "0x1",
                "9".repeat(40).as_str(),
            ] {
                assert_eq!(
                    variable.judge(text).err(),
                    Some(variable.rule()),
                    "{} {text}",
                    variable.name
                );
            }
        }
    }

    #[test]
    fn a_keyword_that_nothing_applies_is_refused() {
        let one = |rules: &str| {
            serde_json::from_str::<Variable>(&format!(
                r#"{{"type":"string","description":"",{rules}}}"#
            ))
        };
        assert!(one(r#""format":"http-url""#).is_ok());
        assert!(one(r#""format":"phone-number""#).is_err());
        assert!(one(r#""minLength":1"#).is_err());
    }

    #[test]
    fn what_is_not_available_says_what_to_do_instead_and_nothing_else_does() {
        for variable in Schema::embedded().unwrap().variables() {
            assert_eq!(
                variable.is_available(),
                variable.instead().is_empty(),
                "{}",
                variable.name
            );
        }
    }
}
