//! JSON as a client must write it: one object or array, and no object that names a member twice.
//!
//! RFC 8259 section 4 leaves the meaning of repeated names open, and readers differ in which of them they take; what this
//! service validates and what the inventory reads must not differ.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, error::Category};
use std::fmt;

/// Reads one JSON object.
///
/// # Errors
/// The rule that `body` breaks, as a sentence without an excerpt of it.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match value(body)? {
        Value::Object(members) => Ok(members),
        _ => Err("the body must be a JSON object"),
    }
}

/// Reads one JSON array.
///
/// # Errors
/// As [`object`].
pub(super) fn array(body: &[u8]) -> Result<Vec<Value>, &'static str> {
    match value(body)? {
        Value::Array(items) => Ok(items),
        _ => Err("the body must be a JSON array"),
    }
}

fn value(body: &[u8]) -> Result<Value, &'static str> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = Unrepeated.deserialize(&mut json);
    match value.and_then(|value| json.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) if error.classify() == Category::Data => {
            Err("an object in the body has the same member more than once")
        }
        Err(_) => Err("the body must be JSON (RFC 8259)"),
    }
}

/// Builds a [`Value`] and fails on a repeated member.
#[derive(Clone, Copy, Debug)]
pub struct Unrepeated;

// === impl Unrepeated ===

impl<'de> DeserializeSeed<'de> for Unrepeated {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unrepeated {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("repeated member"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_like_any_reader_would() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x"],"b":{"a":{}}}"#;
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), plain);
    }

    #[test]
    fn each_rule_has_its_own_sentence() {
        let deep = "[".repeat(100_000);
        for (text, word) in [
            ("", "RFC 8259"),
            ("{", "RFC 8259"),
            ("{}{}", "RFC 8259"),
            ("{\"a\":1e999}", "RFC 8259"),
            (deep.as_str(), "RFC 8259"),
            ("[]", "object"),
            ("null", "object"),
            (r#"{"a":1,"a":1}"#, "more than once"),
            (r#"{"a":[{"b":1,"\u0062":2}]}"#, "more than once"),
        ] {
            let rule = object(text.as_bytes()).unwrap_err();
            assert!(rule.contains(word), "{text:.20}: {rule}");
        }
        assert!(object(b"\xff").is_err());
    }
}
