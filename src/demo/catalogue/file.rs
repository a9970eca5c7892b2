//! Catalogues from files: JSON or NDJSON, in the inventory's own shape or the common shop shape.

use super::money::minor_units;
use super::{Catalogue, Item};
use crate::product::{InvalidProduct, ProductId, PublishedMembers};
use crate::upstream::wire;
use iso_currency::Currency;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file is no catalogue: which file, where in it, which rule.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It can not be read: choose another path, or make it readable UTF-8.
    #[error("{}: can not be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not JSON: mend it at this place.
    #[error("{}: not JSON at line {line}, column {column}", file.display())]
    NotJson {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is JSON without products in it.
    #[error("{}: {rule}", file.display())]
    NoProducts {
        /// The file.
        file: PathBuf,
        /// What is expected.
        rule: &'static str,
    },
    /// A product of it breaks a rule.
    #[error("{}: {place}: {problem}", file.display())]
    BadProduct {
        /// The file.
        file: PathBuf,
        /// Which product.
        place: Place,
        /// The member and the rule.
        problem: InvalidProduct,
    },
    /// Two products of it have the same id.
    #[error("{}: {place}: id `{id}` is taken by {first}", file.display())]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The second product.
        place: Place,
        /// The first one.
        first: Place,
        /// Their id.
        id: ProductId,
    },
}

/// Where in a file a product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an array, counted from 0.
    Index(usize),
    /// On this line, counted from 1.
    Line(usize),
}

/// An object with the array of products in it.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow, default)]
    products: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Dates where some shops have them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    created_at: Option<Box<RawValue>>,
    #[serde(default)]
    updated_at: Option<Box<RawValue>>,
}

type Members = BTreeMap<String, Box<RawValue>>;

// === impl Catalogue ===

impl Catalogue {
    /// Reads a catalogue from a file: a JSON array, an object with the array under `products` or
    /// `data`, or NDJSON.
    ///
    /// A product is in the inventory's own shape, or in the common shop shape: numeric `id`,
    /// `title`, decimal `price` in `currency` (USD where it says none), dates in `meta`. Further
    /// members go under `attributes`.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, place, member and rule.
    pub fn read(path: &Path) -> Result<Self, CatalogueError> {
        let text = std::fs::read_to_string(path).map_err(|source| CatalogueError::Unreadable {
            file: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads a catalogue from the text of `file`.
    pub(super) fn parse(text: &str, file: &Path) -> Result<Self, CatalogueError> {
        let mut seen: HashMap<ProductId, Place> = HashMap::new();
        let mut items = Vec::new();
        for (place, json) in products(text, file)? {
            let item = item(json).map_err(|problem| CatalogueError::BadProduct {
                file: file.to_owned(),
                place,
                problem,
            })?;
            if let Some(first) = seen.insert(item.id.clone(), place) {
                return Err(CatalogueError::Duplicate {
                    file: file.to_owned(),
                    place,
                    first,
                    id: item.id,
                });
            }
            items.push(item);
        }
        match items.is_empty() {
            true => Err(no_products(file, "has no products in it")),
            false => Ok(Self { items }),
        }
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "item {index}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

/// The products of a file, each still JSON text.
fn products<'a>(text: &'a str, file: &Path) -> Result<Vec<(Place, &'a RawValue)>, CatalogueError> {
    const NO_ARRAY: &str =
        "must be an array, an object with an array under `products` or `data`, or NDJSON";
    // Some editors begin a file with a byte order mark.
    let values = values(text.trim_start_matches('\u{feff}'), file)?;
    let [(_, only)] = values.as_slice() else {
        return Ok(values);
    };
    let array = match serde_json::from_str::<Wrapped<'_>>(only.get()) {
        Ok(Wrapped { products, data }) if only.get().starts_with('{') => products.or(data),
        _ => Some(*only),
    };
    let Some(array) = array else {
        // One product on its own is NDJSON of one line.
        let is_product = serde_json::from_str::<Members>(only.get())
            .is_ok_and(|members| members.contains_key("id"));
        return if is_product {
            Ok(values)
        } else {
            Err(no_products(file, NO_ARRAY))
        };
    };
    let items: Vec<&RawValue> =
        serde_json::from_str(array.get()).map_err(|_| no_products(file, NO_ARRAY))?;
    Ok((0..).map(Place::Index).zip(items).collect())
}

/// The JSON values of a file, one after the other, with the lines they begin on.
fn values<'a>(text: &'a str, file: &Path) -> Result<Vec<(Place, &'a RawValue)>, CatalogueError> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut values = Vec::new();
    let (mut line, mut counted) = (1, 0);
    while let Some(value) = stream.next() {
        let value = value.map_err(|error| CatalogueError::NotJson {
            file: file.to_owned(),
            line: error.line(),
            column: error.column(),
        })?;
        let begin = stream.byte_offset().saturating_sub(value.get().len());
        let passed = text.get(counted..begin).unwrap_or_default();
        line += passed.bytes().filter(|byte| *byte == b'\n').count();
        counted = begin;
        values.push((Place::Line(line), value));
    }
    Ok(values)
}

fn no_products(file: &Path, rule: &'static str) -> CatalogueError {
    CatalogueError::NoProducts {
        file: file.to_owned(),
        rule,
    }
}

/// Reads one product in either shape.
fn item(json: &RawValue) -> Result<Item, InvalidProduct> {
    let members: Members =
        serde_json::from_str(json.get()).map_err(|_| broken("product", "must be an object"))?;
    let is_own_shape = members
        .get("price")
        .is_none_or(|price| price.get().starts_with('{'));
    let product = if is_own_shape {
        wire::product(json.get(), &PublishedMembers::All)?
    } else {
        wire::product(in_own_shape(members)?.get(), &PublishedMembers::All)?
    };
    if product.price.amount < 0 {
        return Err(broken("price.amount", "must not be negative"));
    }
    Ok(Item::of(&product))
}

/// The inventory's own shape of a product in the shop shape.
fn in_own_shape(mut members: Members) -> Result<Box<RawValue>, InvalidProduct> {
    if !members.contains_key("name") {
        let title = members
            .remove("title")
            .ok_or(broken("title", "is missing"))?;
        members.insert("name".to_owned(), title);
    }
    let price = price(&members)?;
    members.remove("currency");
    members.insert("price".to_owned(), price);
    let meta = members.get("meta");
    let meta: Meta = meta
        .and_then(|meta| serde_json::from_str(meta.get()).ok())
        .unwrap_or_default();
    for (name, date) in [
        ("createdAt", meta.created_at),
        ("updatedAt", meta.updated_at),
    ] {
        if let Some(date) = date {
            members.entry(name.to_owned()).or_insert(date);
        }
    }
    serde_json::value::to_raw_value(&members).map_err(|_| broken("product", "must be an object"))
}

/// `{"amount":…,"currency":…}` from a decimal `price` and a `currency` beside it.
fn price(members: &Members) -> Result<Box<RawValue>, InvalidProduct> {
    let currency = match members.get("currency") {
        None => Currency::USD,
        Some(json) => serde_json::from_str::<String>(json.get())
            .ok()
            .and_then(|code| Currency::from_code(&code))
            .ok_or(broken("currency", "must be an ISO 4217 code"))?,
    };
    let digits = currency
        .exponent()
        .ok_or(broken("currency", "has no minor unit"))?;
    let price = members.get("price").ok_or(broken("price", "is missing"))?;
    // Some shops write decimals as strings.
    let text: Option<String> = serde_json::from_str(price.get()).ok();
    let amount = minor_units(text.as_deref().unwrap_or(price.get()), digits)
        .map_err(|rule| broken("price", rule))?;
    let json = serde_json::json!({"amount": amount, "currency": currency.code()});
    serde_json::value::to_raw_value(&json).map_err(|_| broken("price", "can not be written"))
}

fn broken(member: &'static str, rule: &'static str) -> InvalidProduct {
    InvalidProduct { member, rule }
}

#[cfg(test)]
mod tests;
