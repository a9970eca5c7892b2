//! Conditions, made ready to be tested on many rows.

use super::column::{Column, SortValue};
use super::labels::Label;
use super::packing::clip;
use super::row::{Attribute, SharedTexts, Unpacked};
use crate::product::{Comparison, Field, Key, Operand, Term};
use std::cmp::Ordering;

/// A condition as a row can be tested for it. Holds labels: good only while the rows stand still.
#[derive(Debug)]
pub struct Test<'a> {
    comparison: Comparison,
    against: Against<'a>,
}

#[derive(Debug)]
enum Against<'a> {
    /// A category or brand that has to be this one, or none that is in use.
    Label(Column, Label),
    Text(Column, &'a str),
    Value(Column, SortValue<'a>),
    /// A tag with this text, or none that is in use.
    Tag(Label),
    /// Tags that compare with this text.
    Tags(&'a str),
    Attribute {
        name: Label,
        operand: &'a str,
        number: Option<Number>,
    },
}

/// What an attribute that is a number is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Integer(i64),
    Float(f64),
}

// === impl Test ===

impl<'a> Test<'a> {
    /// Makes a term ready for rows that share `texts`.
    pub fn new(term: &'a Term, texts: &SharedTexts) -> Self {
        let equality = matches!(term.comparison, Comparison::Equal | Comparison::NotEqual);
        let label = |found: Option<Label>| found.unwrap_or(Label::MAX);
        let against = match (&term.field, &term.operand) {
            (Field::Category, Operand::Text(text)) if equality => {
                Against::Label(Column::Category, label(texts.categories.find(text)))
            }
            (Field::Brand, Operand::Text(text)) if equality => {
                Against::Label(Column::Brand, label(texts.brands.find(text)))
            }
            (Field::Tags, Operand::Text(text)) if equality => {
                Against::Tag(label(texts.others.find(text)))
            }
            (Field::Tags, Operand::Text(text)) => Against::Tags(text),
            (Field::Attribute(name), Operand::Text(text)) => Against::Attribute {
                name: label(texts.others.find(name)),
                operand: text,
                number: Number::parse(text),
            },
            (field, operand) => {
                let column = Column::of(field).unwrap_or(Column::Id);
                match operand {
                    Operand::Text(text) => Against::Text(column, text),
                    Operand::Amount(_) | Operand::Time(_) => {
                        Against::Value(column, value_of(operand))
                    }
                }
            }
        };
        Self {
            comparison: term.comparison,
            against,
        }
    }

    /// Whether a row meets the condition.
    pub fn holds(&self, row: &Unpacked<'_>, texts: &SharedTexts) -> bool {
        let order = match &self.against {
            Against::Label(column, label) => {
                let held = match column {
                    Column::Category => row.category,
                    _ => row.brand,
                };
                return (held == *label) == (self.comparison == Comparison::Equal);
            }
            Against::Tag(label) => {
                let is_there = row.tags().any(|tag| tag == *label);
                return is_there == (self.comparison == Comparison::Equal);
            }
            Against::Tags(operand) => {
                return row.tags().any(|tag| {
                    let text = texts.others.text(tag);
                    meets(self.comparison, text.map(|text| text.cmp(operand)))
                });
            }
            Against::Text(column, operand) => {
                row.text(*column, texts).map(|text| text.compare(operand))
            }
            Against::Value(column, operand) => match row.sort_value(*column, texts) {
                SortValue::Missing => None,
                value => Some(value.cmp(operand)),
            },
            Against::Attribute {
                name,
                operand,
                number,
            } => {
                let held = row.attributes().find(|(held, _)| held == name);
                held.and_then(|(_, value)| compare(value, operand, *number, texts))
            }
        };
        meets(self.comparison, order)
    }
}

// === impl Number ===

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let integer = text.parse().map(Self::Integer);
        let float = || text.parse().map(Self::Float);
        integer.or_else(|_| float()).ok()
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "an integer beside a fraction compares like one"
    )]
    fn as_float(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// How an attribute compares with an operand in its own terms; `None` where it does not.
fn compare(
    value: Attribute,
    operand: &str,
    number: Option<Number>,
    texts: &SharedTexts,
) -> Option<Ordering> {
    let held = match value {
        Attribute::Text(label) => return Some(texts.others.text(label)?.cmp(operand)),
        Attribute::Bool(held) => {
            let truth: bool = operand.parse().ok()?;
            return Some(held.cmp(&truth));
        }
        Attribute::Integer(held) => Number::Integer(held),
        Attribute::Float(held) => Number::Float(held),
    };
    match (held, number?) {
        (Number::Integer(held), Number::Integer(operand)) => Some(held.cmp(&operand)),
        (held, operand) => held.as_float().partial_cmp(&operand.as_float()),
    }
}

/// Whether a comparison holds; a value that is missing, or of another kind, meets only `<>`.
fn meets(comparison: Comparison, order: Option<Ordering>) -> bool {
    let Some(order) = order else {
        return comparison == Comparison::NotEqual;
    };
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
    }
}

/// An operand as sorting would look at it.
pub fn value_of(operand: &Operand) -> SortValue<'_> {
    match operand {
        Operand::Text(text) => SortValue::Text(clip(text.as_bytes())),
        Operand::Amount(amount) => SortValue::Integer(*amount),
        Operand::Time(time) => SortValue::Time(time.as_second(), time.subsec_nanosecond()),
    }
}

/// Whether values that sort alike need not be equal to the operand: it is as long as what sorting
/// looks at.
pub fn is_blurred(operand: &Operand) -> bool {
    match operand {
        Operand::Text(text) => text.chars().nth(Key::MAX_TEXT_CHARS - 1).is_some(),
        Operand::Amount(_) | Operand::Time(_) => false,
    }
}
