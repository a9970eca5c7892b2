//! Which members of products a caller wants to see.

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A choice of a product's members, at least one. Choices of the same members are equal, however they were
/// written; what they leave of a product is in the product's own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Select(u16);

// === impl Select ===

impl Select {
    /// What can be chosen, in the order of the alphabet.
    pub const MEMBERS: [&str; 12] = [
        "attributes",
        "brand",
        "category",
        "createdAt",
        "description",
        "id",
        "name",
        "price",
        "sku",
        "status",
        "tags",
        "updatedAt",
    ];

    /// The choice of these members; `None` where one of them is none of a product's, or there are none.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let bits = names
            .into_iter()
            .try_fold(0, |bits, name| Some(bits | bit(name)?))?;
        (bits != 0).then_some(Self(bits))
    }

    /// The members chosen, in the order of the alphabet.
    pub fn members(self) -> impl Iterator<Item = &'static str> {
        Self::MEMBERS.into_iter().filter(move |name| self.has(name))
    }

    /// What is left of a rendered product, in a buffer of exactly its size. The values are taken over byte
    /// by byte. Where a representation has `currency` beside `price`, it is part of the price.
    ///
    /// # Errors
    /// If `body` is no JSON object.
    pub fn apply(self, body: &[u8]) -> serde_json::Result<Bytes> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let parts = json.deserialize_map(Chosen(self))?;
        Ok(Bytes::from(parts.concat()))
    }

    fn has(self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.0 & bit != 0)
    }
}

impl fmt::Display for Select {
    /// As it stands in a query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.members().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// Takes the chosen members of an object as they are written, and composes an object of them.
struct Chosen(Select);

// === impl Chosen ===

impl<'de> Visitor<'de> for Chosen {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a product")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::with_capacity(12 * 4 + 1);
        while let Some(name) = members.next_key::<&'de str>()? {
            let chosen = self.0.has(name) || (name == "currency" && self.0.has("price"));
            if !chosen {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members.next_value::<&'de RawValue>()?;
            let open = if parts.is_empty() { "{\"" } else { ",\"" };
            parts.extend([open, name, "\":", value.get()]);
        }
        if parts.is_empty() {
            parts.push("{");
        }
        parts.push("}");
        Ok(parts)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Err(E::custom("no product"))
    }
}

fn bit(name: &str) -> Option<u16> {
    let at = Select::MEMBERS.iter().position(|member| *member == name)?;
    Some(1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    const BODY: &str = r#"{"id":"p-1","name":"T\u00e9a","price":{"amount":1,"currency":"EUR"},"tags":[],"attributes":{"name":[{}]},"createdAt":"2026-01-01T00:00:00Z"}"#;

    fn applied(names: &[&str]) -> String {
        let select = Select::of(names.iter().copied()).unwrap();
        String::from_utf8(select.apply(BODY.as_bytes()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn what_is_left_is_in_the_products_order_byte_by_byte() {
        assert_eq!(
            applied(&["name", "id", "name"]),
            r#"{"id":"p-1","name":"T\u00e9a"}"#
        );
        assert_eq!(
            applied(&["attributes", "price"]),
            r#"{"price":{"amount":1,"currency":"EUR"},"attributes":{"name":[{}]}}"#
        );
        assert_eq!(applied(&["sku"]), "{}");
        assert_eq!(applied(&Select::MEMBERS), BODY);
    }

    #[test]
    fn a_price_takes_its_currency_along() {
        let select = Select::of(["price"]).unwrap();
        let flat = br#"{"id":"p-1","price":1,"currency":"EUR"}"#;
        assert_eq!(
            select.apply(flat).unwrap(),
            r#"{"price":1,"currency":"EUR"}"#
        );
    }

    #[test]
    fn choices_are_sets_of_known_members() {
        assert_eq!(Select::of(["sku", "id"]), Select::of(["id", "sku", "id"]));
        assert_eq!(Select::of(["sku", "id"]).unwrap().to_string(), "id,sku");
        for names in [vec![], vec![""], vec!["id", "colour"], vec!["currency"]] {
            assert_eq!(Select::of(names), None);
        }
        assert!(Select::MEMBERS.is_sorted());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let select = Select::of(["id"]).unwrap();
        for body in ["", "[]", "null", "{\"id\":1", "\"id\""] {
            assert!(select.apply(body.as_bytes()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn exactly_the_members_chosen_are_left(bits in 1_u16..1 << 12) {
            let select = Select(bits);
            let whole: Map<String, Value> = serde_json::from_str(BODY).unwrap();
            let left: Map<String, Value> = serde_json::from_slice(&select.apply(BODY.as_bytes()).unwrap()).unwrap();
            for (name, value) in &whole {
                let expected = select.members().any(|chosen| chosen == name).then_some(value);
                prop_assert_eq!(left.get(name), expected);
            }
            prop_assert!(left.keys().all(|name| whole.contains_key(name)));
        }
    }
}
