//! The versions of a product's JSON. Version 2 is what is stored; version 1 is derived from it, so both
//! are a function of the same content.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A version of the JSON that products come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// Deprecated. Flat: `price` is the amount in minor units, and `currency` stands beside it.
    V1,
    /// The current one: `price` is an object.
    #[default]
    V2,
}

/// One JSON object, with its price flattened.
struct Flat(Vec<u8>);

struct Flattener;

/// A price of version 2, its values as they are written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Price<'a> {
    #[serde(borrow)]
    amount: &'a RawValue,
    #[serde(borrow)]
    currency: &'a RawValue,
}

// === impl Version ===

impl Version {
    /// Every version, the preferred one first.
    pub const ALL: [Self; 2] = [Self::V2, Self::V1];

    /// Its number, as media types have it in `v`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }

    /// The version whose number this is.
    pub fn parse(number: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.number() == number)
    }
}

/// A version 2 JSON object in version 1: the same members in the same order, `price` replaced by its
/// amount and `currency`. An object without a price stays as it is. `None` if `body` is no such object.
pub fn flatten(body: &[u8]) -> Option<Vec<u8>> {
    let Flat(text) = serde_json::from_slice(body).ok()?;
    Some(text)
}

// === impl Flat ===

impl Flat {
    fn member(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.0.extend_from_slice(value.as_bytes());
    }
}

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Flattener)
    }
}

// === impl Flattener ===

impl<'de> Visitor<'de> for Flattener {
    type Value = Flat;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version 2 object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Flat, A::Error> {
        let mut flat = Flat(vec![b'{']);
        // Names that have to be escaped can not be borrowed; a product's own members have none.
        while let Some(name) = members.next_key::<&str>()? {
            let value = members.next_value::<&RawValue>()?;
            if name == "price" {
                let price: Price<'_> =
                    serde_json::from_str(value.get()).map_err(A::Error::custom)?;
                flat.member("price", price.amount.get());
                flat.member("currency", price.currency.get());
            } else {
                flat.member(name, value.get());
            }
        }
        flat.0.push(b'}');
        Ok(flat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(body: &str) -> Option<String> {
        flatten(body.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_price_becomes_an_amount_beside_its_currency() {
        for (v2, v1) in [
            (
                r#"{"id":"1","price":{"amount":5122,"currency":"EUR"},"tags":[]}"#,
                r#"{"id":"1","price":5122,"currency":"EUR","tags":[]}"#,
            ),
            (
                r#"{"price":{"currency":"JPY","amount":0}}"#,
                r#"{"price":0,"currency":"JPY"}"#,
            ),
            (
                r#"{"attributes":{"price":{"amount":1,"currency":"x"}},"name":"\"é\u0001"}"#,
                r#"{"attributes":{"price":{"amount":1,"currency":"x"}},"name":"\"é\u0001"}"#,
            ),
            ("{}", "{}"),
        ] {
            assert_eq!(flat(v2).as_deref(), Some(v1), "{v2}");
        }
    }

    #[test]
    fn what_is_no_version_2_object_is_not_flattened() {
        for body in [
            "",
            "[]",
            "1",
            r#"{"price":5122,"currency":"EUR"}"#,
            r#"{"price":{"amount":1}}"#,
            r#"{"price":{"amount":1,"currency":"EUR","net":1}}"#,
            r#"{"id":"1"} "x""#,
            r#"{"id":"1""#,
        ] {
            assert_eq!(flat(body), None, "{body}");
        }
    }

    #[test]
    fn a_number_names_its_version() {
        for version in Version::ALL {
            assert_eq!(Version::parse(version.number()), Some(version));
        }
        for number in ["", "0", "3", "01", " 2", "2.0"] {
            assert_eq!(Version::parse(number), None, "{number}");
        }
    }
}
