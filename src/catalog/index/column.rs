//! The members that can be sorted by, and what sorting looks at of them.

use super::packing::clip;
use crate::product::{Field, Key};
use jiff::Timestamp;

/// The members that can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
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
    /// `price`
    Price,
    /// `currency`
    Currency,
    /// `status`
    Status,
    /// `createdAt`
    CreatedAt,
    /// `updatedAt`
    UpdatedAt,
}

/// What sorting looks at of a member. Missing values come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue<'a> {
    /// The first [`Key::MAX_TEXT_CHARS`] characters, in UTF-8: its bytes sort like its characters.
    Text(&'a [u8]),
    /// An amount.
    Integer(i64),
    /// Seconds, and nanoseconds of the same sign.
    Time(i64, i32),
    /// There is none.
    Missing,
}

// === impl Column ===

impl Column {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Id,
        Self::Sku,
        Self::Name,
        Self::Description,
        Self::Category,
        Self::Brand,
        Self::Price,
        Self::Currency,
        Self::Status,
        Self::CreatedAt,
        Self::UpdatedAt,
    ];

    /// The column of `field`; none for tags and attributes.
    pub fn of(field: &Field) -> Option<Self> {
        Some(match field {
            Field::Id => Self::Id,
            Field::Sku => Self::Sku,
            Field::Name => Self::Name,
            Field::Description => Self::Description,
            Field::Category => Self::Category,
            Field::Brand => Self::Brand,
            Field::Price => Self::Price,
            Field::Currency => Self::Currency,
            Field::Status => Self::Status,
            Field::CreatedAt => Self::CreatedAt,
            Field::UpdatedAt => Self::UpdatedAt,
            Field::Tags | Field::Attribute(_) => return None,
        })
    }
}

// === impl SortValue ===

impl<'a> SortValue<'a> {
    /// What a place says of a member.
    pub fn of(key: &'a Key) -> Self {
        match key {
            Key::Missing => Self::Missing,
            Key::Text(text) => Self::Text(clip(text.as_bytes())),
            Key::Integer(number) => Self::Integer(*number),
            Key::Time(time) => Self::Time(time.as_second(), time.subsec_nanosecond()),
        }
    }

    /// The same for a place.
    pub fn to_key(self) -> Key {
        match self {
            Self::Missing => Key::Missing,
            Self::Text(text) => Key::Text(String::from_utf8_lossy(text).into()),
            Self::Integer(number) => Key::Integer(number),
            Self::Time(secs, nanos) => Timestamp::new(secs, nanos).map_or(Key::Missing, Key::Time),
        }
    }
}
