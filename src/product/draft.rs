//! A product as a client writes it: strict, with all problems reported at once.

use super::{Attributes, Price, Product, ProductId, Status, Version, parse_timestamp, strict};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// A body with more problems than this is answered with the first of them.
const MAX_PROBLEMS: usize = 100;
/// The most tags of a product.
const MAX_TAGS: usize = 100;
/// The largest `attributes`, in bytes of JSON.
const MAX_ATTRIBUTES_BYTES: usize = 256 * 1024;

/// A valid product from a client; the inventory may still choose the id and the dates.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The id, where the client chose one, in the body or in the path.
    pub id: Option<ProductId>,
    /// Everything else; its `id` repeats [`Draft::id`] or is a placeholder that is never sent.
    pub product: Product,
}

/// One thing wrong with a body a client wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which rule.
    pub code: ProblemCode,
    /// The member, as a dotted path (`price.amount`); empty for the body as a whole.
    pub field: String,
    /// A sentence for the caller; echoes no unvalidated input.
    pub description: String,
}

/// The rules a written body can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemCode {
    /// Not JSON, or not a JSON object.
    MalformedBody,
    /// A required member is missing.
    RequiredFieldMissing,
    /// A member has the wrong type or value.
    InvalidField,
    /// A member that the model does not know.
    UnknownField,
    /// The body's id differs from the path's.
    IdMismatch,
}

/// Takes the members of one object and notes what is wrong with them.
struct Reader {
    /// Goes before the members' names: empty, or `price.`.
    prefix: &'static str,
    members: Map<String, Value>,
    problems: Vec<Problem>,
}

// === impl Draft ===

impl Draft {
    /// Reads a version 2 body: the members of [`Product`], of which `name` and `price` are
    /// required, and no others. Bounds, in characters: `name` 1 to 512; `sku`, `category` and
    /// `brand` 1 to 256; `description` 20,000; at most 100 `tags` of 1 to 64; `attributes` 256 KiB.
    ///
    /// # Errors
    /// All problems at once (the first hundred of them). None repeats a value of the body.
    pub fn parse(body: &[u8], path_id: Option<&ProductId>) -> Result<Self, Vec<Problem>> {
        Self::parse_version(Version::V2, body, path_id)
    }

    /// Reads a body of this version, as [`Draft::parse`] does. In version 1, `price` is the amount and
    /// `currency` stands beside it; both are required.
    ///
    /// # Errors
    /// As [`Draft::parse`].
    pub fn parse_version(
        version: Version,
        body: &[u8],
        path_id: Option<&ProductId>,
    ) -> Result<Self, Vec<Problem>> {
        let members = strict::object(body)
            .map_err(|rule| vec![Problem::new(ProblemCode::MalformedBody, "", rule)])?;
        Self::from_members(version, members, path_id)
    }

    /// Reads the members of a body of this version, as [`Draft::parse_version`] does.
    ///
    /// # Errors
    /// As there.
    pub(super) fn from_members(
        version: Version,
        members: Map<String, Value>,
        path_id: Option<&ProductId>,
    ) -> Result<Self, Vec<Problem>> {
        let mut body = Reader::new("", members);
        let id = body.id(path_id);
        let name = body.required("name", |body| body.text("name", 1..=512, false));
        let price = match version {
            Version::V1 => body.flat_price(),
            Version::V2 => body.required("price", Reader::price),
        };
        let product = Product {
            id: id.clone().unwrap_or_else(ProductId::placeholder),
            sku: body.text("sku", 1..=256, false),
            name: name.unwrap_or_default(),
            description: body.text("description", 0..=20_000, true),
            category: body.text("category", 1..=256, false),
            brand: body.text("brand", 1..=256, false),
            price: price.unwrap_or(Price {
                amount: 0,
                currency: iso_currency::Currency::XXX,
            }),
            status: body.status(),
            tags: body.tags(),
            attributes: body.attributes(),
            created_at: body.time("createdAt"),
            updated_at: body.time("updatedAt"),
        };
        // Stand-ins for missing required members never get past here.
        match body.finish() {
            problems if problems.is_empty() => Ok(Self { id, product }),
            problems => Err(problems),
        }
    }
}

// === impl Problem ===

impl Problem {
    pub(super) fn new(
        code: ProblemCode,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            code,
            field: field.into(),
            description: description.into(),
        }
    }
}

// === impl Reader ===

impl Reader {
    fn new(prefix: &'static str, members: Map<String, Value>) -> Self {
        Self {
            prefix,
            members,
            problems: Vec::new(),
        }
    }

    fn note(&mut self, code: ProblemCode, name: &str, rule: impl std::fmt::Display) {
        let field = format!("{}{name}", self.prefix);
        let description = format!("`{field}` {rule}");
        self.problems.push(Problem::new(code, field, description));
    }

    fn invalid(&mut self, name: &str, rule: impl std::fmt::Display) {
        self.note(ProblemCode::InvalidField, name, rule);
    }

    /// Reads a member with `read`; notes where it is not there at all.
    fn required<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.members.contains_key(name) {
            return read(self);
        }
        self.note(ProblemCode::RequiredFieldMissing, name, "is required");
        None
    }

    /// Takes a member that must be a string.
    fn string(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.invalid(name, "must be a string");
                None
            }
        }
    }

    fn text(&mut self, name: &str, chars: RangeInclusive<usize>, lines: bool) -> Option<String> {
        let text = self.string(name)?;
        self.checked(name, text, &chars, lines)
    }

    fn checked(
        &mut self,
        name: &str,
        text: String,
        chars: &RangeInclusive<usize>,
        lines: bool,
    ) -> Option<String> {
        match text_rule(&text, chars, lines) {
            None => Some(text),
            Some(rule) => {
                self.invalid(name, rule);
                None
            }
        }
    }

    fn id(&mut self, path_id: Option<&ProductId>) -> Option<ProductId> {
        let Some(text) = self.string("id") else {
            return path_id.cloned();
        };
        match (ProductId::parse(&text), path_id) {
            (Err(rule), _) => self.invalid("id", format_args!("is not valid: {rule}")),
            (Ok(id), Some(path_id)) if id != *path_id => {
                self.note(
                    ProblemCode::IdMismatch,
                    "id",
                    "must be equal to the id in the path",
                );
            }
            (Ok(id), _) => return Some(id),
        }
        None
    }

    fn price(&mut self) -> Option<Price> {
        let Some(Value::Object(members)) = self.members.remove("price") else {
            self.invalid("price", "must be an object with `amount` and `currency`");
            return None;
        };
        let mut price = Self::new("price.", members);
        let amount = price.required("amount", |price| price.amount("amount"));
        let currency = price.required("currency", Self::currency);
        self.problems.extend(price.finish());
        Some(Price {
            amount: amount?,
            currency: currency?,
        })
    }

    fn flat_price(&mut self) -> Option<Price> {
        let amount = self.required("price", |body| body.amount("price"));
        let currency = self.required("currency", Self::currency);
        Some(Price {
            amount: amount?,
            currency: currency?,
        })
    }

    fn amount(&mut self, name: &str) -> Option<i64> {
        let amount = self.members.remove(name)?.as_i64();
        let amount = amount.filter(|amount| *amount >= 0);
        if amount.is_none() {
            self.invalid(
                name,
                "must be an integer without a decimal point, in minor units, not negative and below 2^63",
            );
        }
        amount
    }

    fn currency(&mut self) -> Option<iso_currency::Currency> {
        let code = self.string("currency")?;
        let currency = iso_currency::Currency::from_code(&code);
        if currency.is_none() {
            self.invalid(
                "currency",
                "must be an ISO 4217 code in capitals, such as EUR",
            );
        }
        currency
    }

    fn status(&mut self) -> Option<Status> {
        let word = self.string("status")?;
        let status = Status::parse(&word);
        if status.is_none() {
            self.invalid("status", "must be active, discontinued or draft");
        }
        status
    }

    fn tags(&mut self) -> Vec<String> {
        let rule = match self.members.remove("tags") {
            None => return Vec::new(),
            Some(Value::Array(items)) if items.len() > MAX_TAGS => {
                format!("must have at most {MAX_TAGS} items")
            }
            Some(Value::Array(items)) => {
                return (0..)
                    .zip(items)
                    .filter_map(|(at, item)| self.tag(at, item))
                    .collect();
            }
            Some(_) => "must be an array of strings".to_owned(),
        };
        self.invalid("tags", rule);
        Vec::new()
    }

    fn tag(&mut self, at: usize, item: Value) -> Option<String> {
        let name = format!("tags.{at}");
        let Value::String(text) = item else {
            self.invalid(&name, "must be a string");
            return None;
        };
        self.checked(&name, text, &(1..=64), false)
    }

    fn attributes(&mut self) -> Attributes {
        match self.members.remove("attributes") {
            None => return Attributes::new(),
            Some(Value::Object(members)) => {
                let size = serde_json::to_vec(&members).map_or(usize::MAX, |text| text.len());
                if size <= MAX_ATTRIBUTES_BYTES {
                    return members;
                }
                self.invalid("attributes", "must be at most 256 KiB of JSON");
            }
            Some(_) => self.invalid("attributes", "must be an object"),
        }
        Attributes::new()
    }

    fn time(&mut self, name: &str) -> Option<jiff::Timestamp> {
        let text = self.string(name)?;
        let time = parse_timestamp(&text);
        if time.is_none() {
            self.invalid(
                name,
                "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z",
            );
        }
        time
    }

    /// Notes the members that nobody took, and gives all problems back.
    fn finish(mut self) -> Vec<Problem> {
        let unknown = std::mem::take(&mut self.members);
        for name in unknown.keys().filter(|name| is_plain_name(name)) {
            self.note(
                ProblemCode::UnknownField,
                name,
                "is not a member of a product; free members go into `attributes`",
            );
        }
        if unknown.keys().any(|name| !is_plain_name(name)) {
            let field = self.prefix.trim_end_matches('.');
            let description =
                "there is a member that is not one of a product; free members go into `attributes`";
            self.problems
                .push(Problem::new(ProblemCode::UnknownField, field, description));
        }
        self.problems.truncate(MAX_PROBLEMS);
        self.problems
    }
}

/// Whether an unknown name is short and plain enough to be repeated to the caller.
pub fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// The rule that `text` breaks: its length in characters, more than white space where it may not
/// be empty, and no control characters (but tabs and line ends, where it may have several `lines`).
fn text_rule(text: &str, chars: &RangeInclusive<usize>, lines: bool) -> Option<String> {
    let (least, most) = (*chars.start(), *chars.end());
    let control = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'));
    if !chars.contains(&text.chars().count()) {
        return Some(format!("must have {least} to {most} characters"));
    }
    if least > 0 && text.trim().is_empty() {
        return Some("must not be blank".to_owned());
    }
    text.contains(control)
        .then(|| "must not have control characters".to_owned())
}

#[cfg(test)]
mod tests;
