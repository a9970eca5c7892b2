//! What a product is.

use serde::ser::{Serialize, SerializeStruct, Serializer};
use smol_str::SmolStr;
use std::borrow::Borrow;
use std::fmt;

/// Free members of a product, by name; also where `PUBLISHED_MEMBERS` land.
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// A product's identity: `[A-Za-z0-9][A-Za-z0-9._~:@+-]{0,127}`. Cheap to clone: 24 bytes, which hold up to 23
/// characters in place; longer ids are shared by their clones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductId(SmolStr);

/// The text is no product id. Does not repeat the text, so that it is safe to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a product id is a letter or digit, then at most 127 letters, digits or any of . _ ~ : @ + -"
)]
pub struct InvalidId;

/// A product as this service knows and publishes it (version 2).
///
/// Its `Serialize` is the version 2 JSON: camelCase, absent optional members left out, `tags` and
/// `attributes` always there, times in RFC 3339 UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Identity.
    pub id: ProductId,
    /// Stock keeping unit.
    pub sku: Option<String>,
    /// Display name.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// Category name.
    pub category: Option<String>,
    /// Brand name.
    pub brand: Option<String>,
    /// Price.
    pub price: Price,
    /// Where in its life the product is.
    pub status: Option<Status>,
    /// Labels.
    pub tags: Vec<String>,
    /// Further members.
    pub attributes: Attributes,
    /// When the inventory created it.
    pub created_at: Option<jiff::Timestamp>,
    /// When the inventory last changed it.
    pub updated_at: Option<jiff::Timestamp>,
}

/// An amount of money: an integer in the currency's minor units (5122 EUR = 51.22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: iso_currency::Currency,
}

/// Where in its life a product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// On sale.
    Active,
    /// No longer sold.
    Discontinued,
    /// Not yet sold.
    Draft,
}

/// Which of the inventory's further members may be published (under `attributes`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PublishedMembers {
    /// None: nothing internal leaks.
    #[default]
    None,
    /// Those named.
    Named(std::collections::BTreeSet<String>),
    /// All of them.
    All,
}

/// Why a product of the inventory can not be used. Says the member and the rule, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member `{member}` {rule}")]
pub struct InvalidProduct {
    /// The member that breaks a rule.
    pub member: &'static str,
    /// The rule it breaks.
    pub rule: &'static str,
}

// === impl ProductId ===

impl ProductId {
    /// The most characters an id has.
    pub const MAX_LEN: usize = 128;

    /// Reads an id.
    ///
    /// # Errors
    /// [`InvalidId`] where `text` breaks the pattern.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = text.bytes();
        let valid = bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
            && text.len() <= Self::MAX_LEN
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._~:@+-".contains(&byte));
        if valid {
            Ok(Self(SmolStr::new(text)))
        } else {
            Err(InvalidId)
        }
    }

    /// An id that was one before: part of what was rendered.
    pub(super) fn rendered(text: &str) -> Self {
        Self(SmolStr::new(text))
    }

    /// Stands in a [`Draft`](super::Draft) for the id that the inventory will choose.
    pub(super) fn placeholder() -> Self {
        Self(SmolStr::new_static("unassigned"))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it holds on the heap, in bytes; its clones hold the same.
    pub fn heap_bytes(&self) -> usize {
        match self.0.is_heap_allocated() {
            // Two counters lie before the text.
            true => 16 + self.0.len(),
            false => 0,
        }
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ProductId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Ids compare and hash like their text, so maps keyed by id can be asked with a `&str`.
impl Borrow<str> for ProductId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ProductId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl Serialize for ProductId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

// === impl Product ===

impl Serialize for Product {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Product", 12)?;
        out.serialize_field("id", &self.id)?;
        optional(&mut out, "sku", self.sku.as_ref())?;
        out.serialize_field("name", &self.name)?;
        optional(&mut out, "description", self.description.as_ref())?;
        optional(&mut out, "category", self.category.as_ref())?;
        optional(&mut out, "brand", self.brand.as_ref())?;
        out.serialize_field("price", &self.price)?;
        optional(&mut out, "status", self.status.as_ref())?;
        out.serialize_field("tags", &self.tags)?;
        out.serialize_field("attributes", &self.attributes)?;
        optional(&mut out, "createdAt", self.created_at.map(Rfc3339).as_ref())?;
        optional(&mut out, "updatedAt", self.updated_at.map(Rfc3339).as_ref())?;
        out.end()
    }
}

// === impl Price ===

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Price", 2)?;
        out.serialize_field("amount", &self.amount)?;
        out.serialize_field("currency", self.currency.code())?;
        out.end()
    }
}

// === impl Status ===

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Discontinued, Self::Draft];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Discontinued => "discontinued",
            Self::Draft => "draft",
        }
    }

    /// The status that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

// === impl PublishedMembers ===

impl PublishedMembers {
    /// Whether the inventory's member `name` may be published.
    pub fn admits(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Named(names) => names.contains(name),
            Self::All => true,
        }
    }
}

/// Writes a time as RFC 3339 in UTC, ending in `Z`.
struct Rfc3339(jiff::Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Reads an RFC 3339 date-time (section 5.6) with any offset. Stricter than ISO 8601: date, time
/// with seconds, and offset are all there.
pub fn parse_timestamp(text: &str) -> Option<jiff::Timestamp> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let (head, tail) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let head_fits = head.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == shape,
    });
    let offset = match tail.split_first() {
        Some((b'.', rest)) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest.get(digits..).filter(|_| digits > 0)?
        }
        _ => tail,
    };
    let offset_fits = match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()),
        _ => false,
    };
    // Finer than nanoseconds is finer than a Timestamp.
    (head_fits && offset_fits && text.len() <= 35)
        .then(|| text.parse().ok())
        .flatten()
}

fn optional<S: SerializeStruct, T: Serialize>(
    out: &mut S,
    name: &'static str,
    value: Option<&T>,
) -> Result<(), S::Error> {
    match value {
        Some(value) => out.serialize_field(name, value),
        None => out.skip_field(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iso_currency::Currency;
    use proptest::prelude::*;

    fn small() -> Product {
        Product {
            id: ProductId::parse("p-1").unwrap(),
            sku: None,
            name: "Tea".into(),
            description: None,
            category: None,
            brand: None,
            price: Price {
                amount: 5122,
                currency: Currency::EUR,
            },
            status: None,
            tags: vec![],
            attributes: Attributes::new(),
            created_at: None,
            updated_at: None,
        }
    }

    #[test]
    fn ids_follow_the_pattern() {
        let longest = "x".repeat(128);
        for good in ["a", "007", "P-1", "a._~:@+-Z", &longest] {
            assert_eq!(ProductId::parse(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(129);
        for bad in [
            "", "-a", ".", "..", "a/b", "a b", "ä", "aä", "a%20", &too_long,
        ] {
            assert_eq!(ProductId::parse(bad), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn only_long_ids_take_memory_of_their_own() {
        for (length, bytes) in [(1, 0), (23, 0), (24, 40), (128, 144)] {
            let id = ProductId::parse(&"x".repeat(length)).unwrap();
            assert_eq!(id.heap_bytes(), bytes, "{length}");
            assert_eq!(id.as_str().len(), length);
        }
        assert_eq!(size_of::<ProductId>(), 24);
    }

    #[test]
    fn absent_members_are_left_out_and_the_containers_stay() {
        assert_eq!(
            serde_json::to_string(&small()).unwrap(),
            r#"{"id":"p-1","name":"Tea","price":{"amount":5122,"currency":"EUR"},"tags":[],"attributes":{}}"#
        );
    }

    #[test]
    fn a_full_product_is_camel_case_with_times_in_utc() {
        let full = Product {
            sku: Some("S".into()),
            description: Some("D".into()),
            category: Some("C".into()),
            brand: Some("B".into()),
            status: Some(Status::Discontinued),
            tags: vec!["t".into()],
            attributes: Attributes::from_iter([("k".to_owned(), 1.into())]),
            created_at: parse_timestamp("2024-01-02T03:04:05+02:00"),
            updated_at: parse_timestamp("2024-01-02T03:04:05.25Z"),
            ..small()
        };
        assert_eq!(
            serde_json::to_string(&full).unwrap(),
            concat!(
                r#"{"id":"p-1","sku":"S","name":"Tea","description":"D","category":"C","brand":"B","#,
                r#""price":{"amount":5122,"currency":"EUR"},"status":"discontinued","tags":["t"],"#,
                r#""attributes":{"k":1},"createdAt":"2024-01-02T01:04:05Z","updatedAt":"2024-01-02T03:04:05.25Z"}"#
            )
        );
    }

    #[test]
    fn only_rfc_3339_is_a_time() {
        for good in [
            "2024-01-02T03:04:05Z",
            "2024-01-02t03:04:05.123456789z",
            "2024-01-02T03:04:05-11:30",
        ] {
            assert!(parse_timestamp(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2024-01-02",
            "2024-01-02T03:04Z",
            "2024-01-02T03:04:05",
            "2024-01-02 03:04:05Z",
            "2024-01-02T03:04:05.Z",
            "2024-02-30T03:04:05Z",
            "2024-01-02T03:04:05Z[UTC]",
            "2024-01-02T03:04:05+0100",
            "2024-01-02T03:04:05.1234567890123456789Z",
            "١٢٣٤-01-02T03:04:05Z",
        ] {
            assert!(parse_timestamp(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn published_members_admit_what_they_name() {
        let named = PublishedMembers::Named(["stock".to_owned()].into());
        assert!(named.admits("stock") && !named.admits("cost"));
        assert!(PublishedMembers::All.admits("cost"));
        assert!(!PublishedMembers::None.admits("stock"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in any::<String>()) {
            let _ = ProductId::parse(&text);
            let _ = parse_timestamp(&text);
        }
    }
}
