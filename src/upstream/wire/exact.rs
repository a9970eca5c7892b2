//! Reading a product in one pass, where each of its members is what it should be. Anything else is left to the
//! tolerant reader, which looks at each member by itself.

use super::Name;
use crate::product::{
    Attributes, Price, Product, ProductId, PublishedMembers, Status, parse_timestamp,
};
use iso_currency::Currency;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// Reads an object of exact members.
struct Exact<'p>(&'p PublishedMembers);

#[derive(Deserialize)]
struct WirePrice<'a> {
    amount: i64,
    #[serde(borrow)]
    currency: Name<'a>,
}

/// Reads a product; `None` where not all of it is as it should be.
pub(super) fn product(json: &str, published: &PublishedMembers) -> Option<Product> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let product = Exact(published).deserialize(&mut reader).ok()?;
    (!product.name.trim().is_empty()).then_some(product)
}

// === impl Exact ===

impl<'de> DeserializeSeed<'de> for Exact<'_> {
    type Value = Product;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Product, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Exact<'_> {
    type Value = Product;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a product")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Product, A::Error> {
        let (mut id, mut name, mut price) = (None, None, None);
        let (mut sku, mut description, mut category, mut brand) = (None, None, None, None);
        let (mut status, mut created_at, mut updated_at) = (None, None, None);
        let (mut tags, mut attributes) = (None, None);
        let mut further = Attributes::new();
        while let Some(Name(member)) = entries.next_key()? {
            match member.as_ref() {
                "id" => id = Some(id_of(entries.next_value()?)?),
                "sku" => sku = entries.next_value()?,
                "name" => name = Some(entries.next_value()?),
                "description" => description = entries.next_value()?,
                "category" => category = entries.next_value()?,
                "brand" => brand = entries.next_value()?,
                "price" => price = Some(price_of(&entries.next_value()?)?),
                "status" => status = entries.next_value::<Option<Name<'_>>>()?,
                "tags" => tags = entries.next_value()?,
                "attributes" => attributes = entries.next_value::<Option<Attributes>>()?,
                "createdAt" => created_at = entries.next_value::<Option<Name<'_>>>()?,
                "updatedAt" => updated_at = entries.next_value::<Option<Name<'_>>>()?,
                admitted if self.0.admits(admitted) => {
                    let value = entries.next_value::<Value>()?;
                    further.insert(member.into_owned(), value);
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        // The inventory's own attributes win over further members of the same name.
        further.extend(attributes.unwrap_or_default());
        let time = |text: Option<Name<'_>>| parse_timestamp(&text?.0);
        Ok(Product {
            id: id.ok_or_else(|| A::Error::missing_field("id"))?,
            sku,
            name: name.ok_or_else(|| A::Error::missing_field("name"))?,
            description,
            category,
            brand,
            price: price.ok_or_else(|| A::Error::missing_field("price"))?,
            status: status.and_then(|Name(word)| Status::parse(&word)),
            tags: Option::unwrap_or_default(tags),
            attributes: further,
            created_at: time(created_at),
            updated_at: time(updated_at),
        })
    }
}

fn id_of<E: Error>(json: &RawValue) -> Result<ProductId, E> {
    super::id(Some(json)).map_err(E::custom)
}

fn price_of<E: Error>(price: &WirePrice<'_>) -> Result<Price, E> {
    let currency = Currency::from_code(&price.currency.0);
    Ok(Price {
        amount: price.amount,
        currency: currency.ok_or_else(|| E::custom("no currency"))?,
    })
}
