//! Which products a caller wants, and in what order: what a page, a count and a cursor are bound to.

use super::ProductId;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;

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

/// What tells criteria apart in a cursor: equal for equal criteria, over restarts and replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; Self::LEN]);

// === impl Field ===

impl Field {
    /// The most characters of an attribute's name.
    pub const MAX_ATTRIBUTE_CHARS: usize = 128;

    /// The field called `name`.
    ///
    /// An attribute whose own name has a control character or one of `<`, `>` and `=` in it, none at
    /// all, or more than [`Field::MAX_ATTRIBUTE_CHARS`], can not be asked for.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "sku" => Self::Sku,
            "name" => Self::Name,
            "description" => Self::Description,
            "category" => Self::Category,
            "brand" => Self::Brand,
            "price" => Self::Price,
            "currency" => Self::Currency,
            "status" => Self::Status,
            "tags" => Self::Tags,
            "createdAt" => Self::CreatedAt,
            "updatedAt" => Self::UpdatedAt,
            _ => {
                let name = name.strip_prefix("attributes.")?;
                let fits = (1..=Self::MAX_ATTRIBUTE_CHARS).contains(&name.chars().count());
                let odd = |c: char| c.is_control() || matches!(c, '<' | '>' | '=');
                (fits && !name.contains(odd)).then(|| Self::Attribute(name.into()))?
            }
        })
    }

    /// Whether products can be sorted by it.
    pub fn is_sortable(&self) -> bool {
        !matches!(self, Self::Tags | Self::Attribute(_))
    }

    /// Whether `key` can be the key of a product in the order of this field.
    fn has_key(&self, key: &Key) -> bool {
        match self {
            Self::Price => matches!(key, Key::Integer(_)),
            Self::CreatedAt | Self::UpdatedAt => matches!(key, Key::Time(_) | Key::Missing),
            Self::Id | Self::Name | Self::Currency => matches!(key, Key::Text(_)),
            Self::Sku | Self::Description | Self::Category | Self::Brand | Self::Status => {
                matches!(key, Key::Text(_) | Key::Missing)
            }
            Self::Tags | Self::Attribute(_) => false,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Sku => "sku",
            Self::Name => "name",
            Self::Description => "description",
            Self::Category => "category",
            Self::Brand => "brand",
            Self::Price => "price",
            Self::Currency => "currency",
            Self::Status => "status",
            Self::Tags => "tags",
            Self::CreatedAt => "createdAt",
            Self::UpdatedAt => "updatedAt",
            Self::Attribute(name) => return write!(f, "attributes.{name}"),
        })
    }
}

// === impl Comparison ===

impl Comparison {
    /// All of them. One that another begins with comes after that other.
    pub const ALL: [Self; 6] = [
        Self::NotEqual,
        Self::GreaterOrEqual,
        Self::LessOrEqual,
        Self::Equal,
        Self::Greater,
        Self::Less,
    ];

    /// How it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

// === impl Criteria ===

impl Criteria {
    /// The most keys to sort by.
    pub const MAX_SORT_KEYS: usize = 5;
    /// The most conditions.
    pub const MAX_TERMS: usize = 32;
    /// The most characters of a full-text query.
    pub const MAX_TEXT_CHARS: usize = 256;

    /// Whether they are all products, in the order of ids.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// A digest of what is asked for, whatever the order of its conditions.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(self.canonical());
        let mut bytes = [0; Fingerprint::LEN];
        bytes
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        Fingerprint(bytes)
    }

    /// Whether `place` is one in the order of these criteria: a cursor may be made up.
    pub fn has_place(&self, place: &Place) -> bool {
        if self.sort.is_empty() {
            return match (&self.text, place.keys.as_slice()) {
                (None, []) => true,
                (Some(_), [key]) => matches!(key, Key::Integer(_)),
                _ => false,
            };
        }
        let mut pairs = self.sort.iter().zip(&place.keys);
        self.sort.len() == place.keys.len() && pairs.all(|(by, key)| by.field.has_key(key))
    }
}

// === impl Key ===

impl Key {
    /// How many characters of a text sorting looks at, so that a cursor fits into a URI.
    pub const MAX_TEXT_CHARS: usize = 128;

    /// The key of a text: its beginning.
    pub fn text(text: &str) -> Self {
        let end = text.char_indices().nth(Self::MAX_TEXT_CHARS);
        let beginning = end.and_then(|(end, _)| text.get(..end));
        Self::Text(beginning.unwrap_or(text).into())
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Its length, in bytes.
    pub const LEN: usize = 8;

    /// As bytes, for a cursor.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// From the bytes of a cursor.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }
}
