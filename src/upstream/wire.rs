//! The inventory's JSON: a tolerant reader of its products and pages, and the bodies sent to it.
//!
//! Members that nobody knows are ignored, so that nothing internal leaks, unless
//! `PUBLISHED_MEMBERS` names them: then they go under `attributes`. An optional member of the
//! wrong type or value is dropped; a product that breaks a required member is not usable.

mod exact;

use crate::product::{
    Attributes, Draft, InvalidProduct, Price, Product, ProductId, PublishedMembers, Status,
    parse_timestamp,
};
use bytes::Bytes;
use iso_currency::Currency;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// One page of the list, as far as its paging.
#[derive(Debug)]
pub struct Page<'a> {
    /// The products, each still JSON text.
    pub items: Vec<&'a RawValue>,
    /// Cursor of the next page; `None` on the last one.
    pub after: Option<String>,
}

/// The answer to `GET /health`, as far as it is used.
#[derive(Debug, Deserialize)]
pub struct Health {
    /// The version of the inventory's API, where it says.
    #[serde(default)]
    pub version: Option<String>,
}

/// The members of a product that are known, still JSON text.
#[derive(Default)]
struct Members<'a> {
    id: Option<&'a RawValue>,
    sku: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    description: Option<&'a RawValue>,
    category: Option<&'a RawValue>,
    brand: Option<&'a RawValue>,
    price: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    tags: Option<&'a RawValue>,
    attributes: Option<&'a RawValue>,
    created_at: Option<&'a RawValue>,
    updated_at: Option<&'a RawValue>,
    further: Attributes,
}

/// Sorts the members of an object.
struct Sorter<'p>(&'p PublishedMembers);

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct WirePrice<'a> {
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(borrow)]
    paging: Paging<'a>,
}

#[derive(Deserialize)]
struct Paging<'a> {
    #[serde(borrow)]
    cursors: Cursors<'a>,
}

#[derive(Deserialize)]
struct Cursors<'a> {
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
}

// === impl Sorter ===

impl<'de> DeserializeSeed<'de> for Sorter<'_> {
    type Value = Members<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Sorter<'_> {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a product")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(Name(name)) = entries.next_key()? {
            let place = match name.as_ref() {
                "id" => &mut members.id,
                "sku" => &mut members.sku,
                "name" => &mut members.name,
                "description" => &mut members.description,
                "category" => &mut members.category,
                "brand" => &mut members.brand,
                "price" => &mut members.price,
                "status" => &mut members.status,
                "tags" => &mut members.tags,
                "attributes" => &mut members.attributes,
                "createdAt" => &mut members.created_at,
                "updatedAt" => &mut members.updated_at,
                further if self.0.admits(further) => {
                    let value = entries.next_value::<&RawValue>()?;
                    if let Some(value) = parse(Some(value)) {
                        members.further.insert(name.into_owned(), value);
                    }
                    continue;
                }
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *place = Some(entries.next_value()?);
        }
        Ok(members)
    }
}

/// Reads a product.
///
/// # Errors
/// The required member that is missing or broken: `id` (a string, or an integer, that follows the
/// pattern of ids), `name` (not empty), `price` with an integer `amount` and an ISO 4217 `currency`.
pub fn product(json: &str, published: &PublishedMembers) -> Result<Product, InvalidProduct> {
    match exact::product(json, published) {
        Some(product) => Ok(product),
        None => tolerant(json, published),
    }
}

/// Reads a product member by member.
fn tolerant(json: &str, published: &PublishedMembers) -> Result<Product, InvalidProduct> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let members = Sorter(published)
        .deserialize(&mut reader)
        .map_err(|_| broken("product", "must be an object"))?;
    let mut attributes = members.further;
    // The inventory's own attributes win over further members of the same name.
    attributes.extend(parse::<Attributes>(members.attributes).unwrap_or_default());
    Ok(Product {
        id: id(members.id)?,
        sku: parse(members.sku),
        name: name(members.name)?,
        description: parse(members.description),
        category: parse(members.category),
        brand: parse(members.brand),
        price: price(members.price)?,
        status: parse::<Cow<'_, str>>(members.status).and_then(|word| Status::parse(&word)),
        tags: parse(members.tags).unwrap_or_default(),
        attributes,
        created_at: time(members.created_at),
        updated_at: time(members.updated_at),
    })
}

/// The id of a product, where that at least can be read: for logs.
pub fn product_id(json: &str) -> Option<ProductId> {
    let members = Sorter(&PublishedMembers::None)
        .deserialize(&mut serde_json::Deserializer::from_str(json))
        .ok()?;
    id(members.id).ok()
}

/// Reads a page of the list, in one pass.
///
/// # Errors
/// What is wrong with its envelope. Without `paging.cursors` a page is not usable: taking it for
/// the last one would make all products behind it look deleted.
pub fn page(json: &str) -> Result<Page<'_>, &'static str> {
    const RULE: &str = "the list is not {\"data\":[…],\"paging\":{\"cursors\":{\"after\":…}}}";
    let envelope: Envelope<'_> = serde_json::from_str(json).map_err(|_| RULE)?;
    let after = match envelope.paging.cursors.after {
        Some(after) => Some(text_or_integer(after).ok_or("the list's cursor is not a string")?),
        None => None,
    };
    Ok(Page {
        items: envelope.data,
        after,
    })
}

/// Reads an answer to `GET /health`.
///
/// # Errors
/// The rule it breaks.
pub fn health(json: &RawValue) -> Result<Health, &'static str> {
    serde_json::from_str(json.get()).map_err(|_| "its health is not an object with a `version`")
}

/// The body that writes `draft`: as product `id`, or without an id, which leaves it to the inventory.
#[expect(
    clippy::expect_used,
    reason = "fails only on maps with keys that are not strings; a product has none"
)]
pub fn body(draft: &Draft, id: Option<&ProductId>) -> Bytes {
    let mut json = serde_json::to_value(&draft.product).expect("a product is always JSON");
    if let Some(members) = json.as_object_mut() {
        members.remove("id");
        members.extend(id.map(|id| ("id".to_owned(), id.as_str().into())));
    }
    Bytes::from(json.to_string())
}

fn broken(member: &'static str, rule: &'static str) -> InvalidProduct {
    InvalidProduct { member, rule }
}

/// Reads an optional member; one of the wrong type counts as absent.
fn parse<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

fn time(json: Option<&RawValue>) -> Option<jiff::Timestamp> {
    parse_timestamp(&parse::<Cow<'_, str>>(json)?)
}

/// A string, or an integer as its digits: upstream ids may be either, and are strings here.
fn text_or_integer(json: &RawValue) -> Option<String> {
    let digits = json.get();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(digits.to_owned());
    }
    parse(Some(json))
}

fn id(json: Option<&RawValue>) -> Result<ProductId, InvalidProduct> {
    let json = json.ok_or(broken("id", "is missing"))?;
    let text = text_or_integer(json).ok_or(broken("id", "must be a string or an integer"))?;
    ProductId::parse(&text).map_err(|_| broken("id", "must follow the pattern of product ids"))
}

fn name(json: Option<&RawValue>) -> Result<String, InvalidProduct> {
    let json = json.ok_or(broken("name", "is missing"))?;
    let name: String = parse(Some(json)).ok_or(broken("name", "must be a string"))?;
    match name.trim().is_empty() {
        true => Err(broken("name", "must not be empty")),
        false => Ok(name),
    }
}

fn price(json: Option<&RawValue>) -> Result<Price, InvalidProduct> {
    let json = json.ok_or(broken("price", "is missing"))?;
    let price: WirePrice<'_> = parse(Some(json)).ok_or(broken(
        "price",
        "must be an object with `amount` and `currency`",
    ))?;
    let amount =
        parse(price.amount).ok_or(broken("price.amount", "must be an integer in minor units"))?;
    let currency = parse::<Cow<'_, str>>(price.currency)
        .and_then(|code| Currency::from_code(&code))
        .ok_or(broken("price.currency", "must be an ISO 4217 code"))?;
    Ok(Price { amount, currency })
}

#[cfg(test)]
mod tests;
