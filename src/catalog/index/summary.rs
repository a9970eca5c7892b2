//! What queries ask about a product: read from its rendered body, or from what is stored of one whose
//! body is not held. Both are JSON of the same shape, so there is one way to read them.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A product, as far as queries go. Borrows from the JSON wherever that has no escapes.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary<'a> {
    /// `sku`
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Text<'a>>,
    /// `name`
    #[serde(borrow)]
    pub name: Text<'a>,
    /// `description`, in full.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<'a>>,
    /// `category`
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Text<'a>>,
    /// `brand`
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Text<'a>>,
    /// `price`
    #[serde(borrow)]
    pub price: Money<'a>,
    /// `status`
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
    /// `tags`
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text<'a>>,
    /// `attributes`, those that are scalars.
    #[serde(borrow, default, skip_serializing_if = "Scalars::is_empty")]
    pub attributes: Scalars<'a>,
    /// `createdAt`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<jiff::Timestamp>,
    /// `updatedAt`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<jiff::Timestamp>,
}

/// Text that is borrowed where it can be: serde itself borrows no `Option<Cow<str>>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

/// A price.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Money<'a> {
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    #[serde(borrow)]
    pub currency: Text<'a>,
}

/// Attributes by name, without those that are null, a list or an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scalars<'a>(pub Vec<(Text<'a>, Scalar<'a>)>);

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Text.
    Text(Text<'a>),
    /// An integer.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// A scalar, or something that is none.
struct MaybeScalar<'a>(Option<Scalar<'a>>);

// === impl Summary ===

impl<'a> Summary<'a> {
    /// Reads a rendered product, or what [`Summary::write`] wrote; `None` if it is neither.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        // Looked at once for all of its texts.
        serde_json::from_str(std::str::from_utf8(json).ok()?).ok()
    }

    /// Appends the bytes to store.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        // Nothing in here has keys that are not strings, and a Vec takes all that is written to it.
        let _ = serde_json::to_writer(bytes, self);
    }
}

// === impl Text ===

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

// === impl Scalars ===

impl Scalars<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Scalars<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Scalar::Text(text) => map.serialize_entry(name, text)?,
                Scalar::Integer(number) => map.serialize_entry(name, number)?,
                Scalar::Float(number) => map.serialize_entry(name, number)?,
                Scalar::Bool(truth) => map.serialize_entry(name, truth)?,
            }
        }
        map.end()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalars<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Scalars<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut scalars = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, MaybeScalar<'de>>()? {
                    scalars.extend(value.0.map(|value| (name, value)));
                }
                Ok(Scalars(scalars))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

// === impl MaybeScalar ===

impl<'de: 'a, 'a> Deserialize<'de> for MaybeScalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = MaybeScalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
                Ok(MaybeScalar(Some(Scalar::Bool(truth))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(MaybeScalar(Some(Scalar::Integer(number))))
            }

            #[allow(clippy::cast_precision_loss, reason = "beyond 2^63, as JSON has it")]
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                let scalar =
                    i64::try_from(number).map_or(Scalar::Float(number as f64), Scalar::Integer);
                Ok(MaybeScalar(Some(scalar)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(MaybeScalar(Some(Scalar::Float(number))))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(MaybeScalar(Some(Scalar::Text(Text(Cow::Borrowed(text))))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let text = Text(Cow::Owned(text.to_owned()));
                Ok(MaybeScalar(Some(Scalar::Text(text))))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(MaybeScalar(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(MaybeScalar(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(MaybeScalar(None))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::{Price, Product, ProductId, Status};
    use proptest::collection::{btree_map, vec};
    use proptest::option::of;
    use proptest::prelude::*;
    use serde_json::Value;

    impl<'a> Summary<'a> {
        /// What [`Summary::parse`] reads of the product as it is rendered.
        pub fn of(product: &'a Product) -> Self {
            let text = |text: &'a Option<String>| text.as_deref().map(Text::from);
            let attributes = product.attributes.iter();
            let attributes = attributes
                .filter_map(|(name, value)| Some((Text::from(name.as_str()), Scalar::of(value)?)));
            Self {
                sku: text(&product.sku),
                name: Text::from(product.name.as_str()),
                description: text(&product.description),
                category: text(&product.category),
                brand: text(&product.brand),
                price: Money {
                    amount: product.price.amount,
                    currency: Text::from(product.price.currency.code()),
                },
                status: product.status.map(|status| Text::from(status.as_str())),
                tags: product
                    .tags
                    .iter()
                    .map(|tag| Text::from(tag.as_str()))
                    .collect(),
                attributes: Scalars(attributes.collect()),
                created_at: product.created_at,
                updated_at: product.updated_at,
            }
        }
    }

    impl<'a> Scalar<'a> {
        /// An attribute's value; `None` where it is no scalar.
        fn of(value: &'a Value) -> Option<Self> {
            Some(match value {
                Value::String(text) => Self::Text(Text::from(text.as_str())),
                Value::Bool(truth) => Self::Bool(*truth),
                Value::Number(number) => match number.as_i64() {
                    Some(integer) => Self::Integer(integer),
                    None => Self::Float(number.as_f64()?),
                },
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            })
        }
    }

    const FULL: &str = r#"{"id":"p-1","sku":"S","name":"N \"x\"","description":"D","category":"C","brand":"B",
        "price":{"amount":5122,"currency":"EUR"},"status":"draft","tags":["t"],
        "attributes":{"a":"x\n","b":-1,"c":1.5,"d":true,"e":null,"f":[1,{"g":2}],"h":{"i":1},"j":18446744073709551615},
        "createdAt":"2024-01-02T01:04:05Z","updatedAt":"2024-01-02T03:04:05.25Z"}"#;

    #[test]
    fn a_body_becomes_a_summary_without_what_is_no_scalar() {
        let summary = Summary::parse(FULL.as_bytes()).unwrap();
        assert_eq!(&*summary.name, "N \"x\"");
        assert_eq!(summary.price.amount, 5122);
        let names: Vec<_> = summary
            .attributes
            .0
            .iter()
            .map(|(name, _)| &**name)
            .collect();
        assert_eq!(names, ["a", "b", "c", "d", "j"]);
        assert_eq!(summary.attributes.0[1].1, Scalar::Integer(-1));
        assert_eq!(summary.updated_at, "2024-01-02T03:04:05.25Z".parse().ok());
        assert!(matches!(summary.category, Some(Text(Cow::Borrowed("C")))));
    }

    #[test]
    fn a_summary_survives_its_encoding() {
        let least = br#"{"id":"p","name":"","price":{"amount":-1,"currency":"JPY"},"tags":[],"attributes":{}}"#;
        for body in [FULL.as_bytes(), least] {
            let summary = Summary::parse(body).unwrap();
            let mut bytes = Vec::new();
            summary.write(&mut bytes);
            assert!(bytes.len() < body.len());
            assert_eq!(Summary::parse(&bytes), Some(summary));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z\"\n\u{e9}]{0,6}".prop_map(Value::from),
        ];
        scalar.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Value::from),
                btree_map("[a-z]{0,2}", inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn text() -> impl Strategy<Value = String> {
        "[a-zA-Z\"\\\\\n\u{e9}\u{1f600} ]{0,12}"
    }

    fn time() -> impl Strategy<Value = jiff::Timestamp> {
        let seconds = -377_705_023_201_i64..=253_402_207_200;
        let time = (seconds, 0..1_000_000_000_i32);
        time.prop_filter_map("in range", |(seconds, nanos)| {
            jiff::Timestamp::new(seconds, nanos).ok()
        })
    }

    proptest! {
        #[test]
        fn what_is_rendered_of_a_product_says_what_the_product_does(
            (name, amount) in (text(), any::<i64>()),
            (sku, description, category, brand) in (of(text()), of(text()), of(text()), of(text())),
            status in of(proptest::sample::select(&Status::ALL[..])),
            tags in vec(text(), 0..3),
            attributes in btree_map(text(), value(), 0..4),
            (created_at, updated_at) in (of(time()), of(time())),
        ) {
            let product = Product {
                id: ProductId::parse("p-1").unwrap(),
                price: Price { amount, currency: iso_currency::Currency::EUR },
                attributes: attributes.into_iter().collect(),
                sku, name, description, category, brand, status, tags, created_at, updated_at,
            };
            let rendered = product.render(0);
            prop_assert_eq!(Summary::parse(rendered.body()), Some(Summary::of(&product)));
        }
    }

    #[test]
    fn what_is_no_product_has_no_summary() {
        for bytes in ["", "{", "[]", "{}", r#"{"name":"x","price":1}"#, "\u{0}"] {
            assert_eq!(Summary::parse(bytes.as_bytes()), None);
        }
    }
}
