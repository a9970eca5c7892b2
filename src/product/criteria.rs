//! Which products a caller wants, and in what order: what a page, a count and a cursor are bound to.

use super::ProductId;
use jiff::Timestamp;

/// A member of products that queries can name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `id`
    Id,
    /// `sku`
    Sku,
    /// `name`
    Name,
    /// `description`
    Description,
    /// `category`
    Category,
    /// `brand`
    Brand,
    /// `price`: the amount, in minor units
    Price,
    /// `currency`: of the price
    Currency,
    /// `status`
    Status,
    /// `tags`: matches where any tag does; can not be sorted by
    Tags,
    /// `createdAt`
    CreatedAt,
    /// `updatedAt`
    UpdatedAt,
    /// `attributes.NAME`: a scalar directly under `attributes`; can not be sorted by
    Attribute(Box<str>),
}

/// How a member's value compares with the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`; the only one that a missing value meets
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

/// What a member's value is compared with, in the member's own type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operand {
    /// Text, compared by code point; also for attributes, whose own values say how they compare.
    Text(Box<str>),
    /// An amount in minor units.
    Amount(i64),
    /// A moment.
    Time(Timestamp),
}

/// One condition on products.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// What is compared.
    pub field: Field,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub operand: Operand,
}

/// One member to sort by. A missing value sorts last in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// What is sorted by; neither tags nor attributes.
    pub field: Field,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Which products, and in what order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Criteria {
    /// Full-text query over name, description, brand, category and tags, where there is one.
    pub text: Option<Box<str>>,
    /// Conditions, all of which hold.
    pub filter: Vec<Term>,
    /// The order; without any that of the rank where there is a text, else that of ids. Ties are in
    /// the order of ids, in the direction of the last key.
    pub sort: Vec<SortKey>,
}

/// A member's value as far as sorting looks at it. Of a text that is its first
/// [`Key::MAX_TEXT_CHARS`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// There is none.
    Missing,
    /// Text.
    Text(Box<str>),
    /// An amount, or a rank.
    Integer(i64),
    /// A moment.
    Time(Timestamp),
}

/// A place in an order: where a product with these keys and this id stands, whether there is one or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// One for each key of the order; the rank alone in the order of ranks; none in that of ids.
    pub keys: Vec<Key>,
    /// Breaks ties.
    pub id: ProductId,
}

// === impl Criteria ===

impl Criteria {
    /// The most keys to sort by.
    pub const MAX_SORT_KEYS: usize = 5;
    /// The most conditions.
    pub const MAX_TERMS: usize = 32;
    /// The most characters of a full-text query.
    pub const MAX_TEXT_CHARS: usize = 256;
}

// === impl Key ===

impl Key {
    /// How many characters of a text sorting looks at, so that a cursor fits into a URI.
    pub const MAX_TEXT_CHARS: usize = 128;
}
