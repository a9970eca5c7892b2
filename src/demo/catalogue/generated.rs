//! Catalogues made up from a seed: the same seed and count give the same products.

use super::words::{COLOURS, DEPARTMENTS, Department, ORIGINS, PROMISES};
use super::{Catalogue, Item};
use crate::product::{Attributes, Price, Product, ProductId, Status};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

/// Dates lie in the two years before this moment: 2026-01-01T00:00:00Z.
const LATEST_SECOND: i64 = 1_767_225_600;
/// Two years, in seconds.
const TWO_YEARS: i64 = 2 * 365 * 86_400;
/// Tells neighbouring products' random numbers apart (the golden ratio in 64 bits).
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

// === impl Catalogue ===

impl Catalogue {
    /// Makes up `count` products that read like a shop's, `P-000001` onwards.
    pub fn generated(count: usize, seed: u64) -> Self {
        Self::generated_with(count, seed, 0)
    }

    /// The same, with descriptions that go on until a product has `bytes` of JSON: by less than a sentence more.
    pub fn generated_with(count: usize, seed: u64, bytes: usize) -> Self {
        let width = count.to_string().len().max(6);
        let product = |number: usize| {
            // Each product has its own numbers, so that a longer catalogue begins like a shorter one.
            let mut rng = Rng::with_seed(seed ^ (number as u64).wrapping_mul(STRIDE));
            let id = ProductId::parse(&format!("P-{number:0width$}")).ok()?;
            let department = pick(&mut rng, DEPARTMENTS)?;
            let product = made_up(id, number, department, &mut rng)?;
            Some(lengthened(product, bytes, &mut rng))
        };
        Self {
            items: (1..=count).filter_map(product).collect(),
        }
    }
}

/// One of `choices`; `None` only where there are none.
fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> Option<&'a T> {
    rng.choice(choices)
}

fn made_up(id: ProductId, number: usize, from: &Department, rng: &mut Rng) -> Option<Product> {
    let brand = pick(rng, from.brands)?;
    let style = pick(rng, from.styles)?;
    let noun = pick(rng, from.nouns)?;
    let material = pick(rng, from.materials)?;
    let colour = pick(rng, COLOURS)?;
    let created = rng.i64(LATEST_SECOND - TWO_YEARS..LATEST_SECOND - 86_400);
    let updated = rng.i64(created..LATEST_SECOND);
    Some(Product {
        sku: Some(format!("{}-{number:06}-{}", from.code, rng.u32(100..1000))),
        name: format!("{brand} {style} {noun}"),
        description: Some(description(from, style, noun, material, rng)?),
        category: Some(from.category.to_owned()),
        brand: Some((*brand).to_owned()),
        price: Price {
            amount: price(from.euros, rng),
            currency: iso_currency::Currency::EUR,
        },
        status: Some(status(rng)),
        tags: tags(from, style, colour),
        attributes: attributes(from, material, colour, rng)?,
        created_at: time(created),
        updated_at: time(updated),
        id,
    })
}

/// Adds sentences to the description of what has less than `bytes`.
fn lengthened(mut product: Product, bytes: usize, rng: &mut Rng) -> Item {
    let item = Item::of(&product);
    let mut length = item.body.len();
    if length >= bytes {
        return item;
    }
    let mut description = product.description.take().unwrap_or_default();
    while length < bytes
        && let Some(promise) = pick(rng, PROMISES)
    {
        description.push(' ');
        description.push_str(promise);
        length += promise.len() + 1;
    }
    product.description = Some(description);
    Item::of(&product)
}

fn description(
    from: &Department,
    style: &str,
    noun: &str,
    material: &str,
    rng: &mut Rng,
) -> Option<String> {
    let (style, noun) = (style.to_lowercase(), noun.to_lowercase());
    let purpose = pick(rng, from.uses)?;
    let promise = pick(rng, PROMISES)?;
    let opening = match rng.u8(0..4) {
        0 => format!(
            "Made of {material} and built to last, our {style} {noun} is at home with {purpose}."
        ),
        1 => format!(
            "This {style} {noun} is what you reach for first: {material}, no frills, and just right for {purpose}."
        ),
        2 => format!(
            "A {noun} for {purpose}: {style}, well balanced, and finished in {material} that ages beautifully."
        ),
        _ => format!(
            "Honest {material} and careful work make this {style} {noun} a companion for {purpose}."
        ),
    };
    Some(format!("{opening} {promise}"))
}

/// A price between `from` and `to` euros in cents, cheap ones more often, that ends like a price.
fn price((from, to): (u32, u32), rng: &mut Rng) -> i64 {
    let share = rng.f64() * rng.f64();
    let euros = f64::from(from) + f64::from(to.saturating_sub(from)) * share;
    // Whole euros of a small range: truncation is what is meant.
    let euros = euros as i64;
    let cents = if rng.u8(0..4) == 0 { 95 } else { 99 };
    euros * 100 + cents
}

fn status(rng: &mut Rng) -> Status {
    match rng.u8(0..100) {
        0..=4 => Status::Discontinued,
        5..=7 => Status::Draft,
        _ => Status::Active,
    }
}

fn tags(from: &Department, style: &str, colour: &str) -> Vec<String> {
    [from.category, style, colour]
        .map(|word| word.to_lowercase().replace(' ', "-"))
        .into()
}

fn attributes(
    from: &Department,
    material: &str,
    colour: &str,
    rng: &mut Rng,
) -> Option<Attributes> {
    let (light, heavy) = from.grams;
    Some(Attributes::from_iter([
        ("colour".to_owned(), colour.into()),
        ("material".to_owned(), material.into()),
        ("origin".to_owned(), (*pick(rng, ORIGINS)?).into()),
        ("stock".to_owned(), rng.u32(0..250).into()),
        ("warrantyMonths".to_owned(), (rng.u32(1..=5) * 12).into()),
        (
            "weightGrams".to_owned(),
            (rng.u32(light..=heavy) / 10 * 10).into(),
        ),
    ]))
}

fn time(secs: i64) -> Option<Timestamp> {
    Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_secs(secs))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn values(catalogue: &Catalogue) -> Vec<Value> {
        let items = catalogue.items.iter();
        items
            .map(|item| serde_json::from_slice(&item.body).unwrap())
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_products_again_and_another_seed_others() {
        let catalogue = Catalogue::generated(50, 7);
        assert_eq!(catalogue.items, Catalogue::generated(50, 7).items);
        assert_eq!(catalogue.items[..20], Catalogue::generated(20, 7).items);
        assert_ne!(catalogue.items, Catalogue::generated(50, 8).items);
    }

    #[test]
    fn products_read_like_a_shops() {
        let catalogue = Catalogue::generated(1000, 1);
        let values = values(&catalogue);
        assert_eq!(values.len(), 1000);
        let distinct = |path: &str| {
            let texts = values
                .iter()
                .filter_map(|value| value.pointer(path)?.as_str());
            texts.collect::<BTreeSet<_>>().len()
        };
        assert_eq!((distinct("/id"), distinct("/sku")), (1000, 1000));
        assert!(distinct("/category") >= 12 && distinct("/brand") >= 50);
        assert!(distinct("/name") > 750, "{} names", distinct("/name"));
        for value in &values {
            let cents = value["price"]["amount"].as_i64().unwrap();
            assert!(cents > 300 && [95, 99].contains(&(cents % 100)), "{cents}");
            let (created, updated) = (value["createdAt"].as_str(), value["updatedAt"].as_str());
            assert!(created <= updated && updated < Some("2026"));
        }
    }

    #[test]
    fn bodies_are_as_large_as_a_shops() {
        for item in Catalogue::generated(500, 3).items {
            assert!(
                (500..=1000).contains(&item.body.len()),
                "{} bytes",
                item.body.len()
            );
        }
    }

    #[test]
    fn bodies_are_as_large_as_asked_for() {
        let larger = Catalogue::generated_with(200, 3, 1024);
        for (item, small) in larger.items.iter().zip(Catalogue::generated(200, 3).items) {
            assert!(
                (1024..1024 + 200).contains(&item.body.len()),
                "{} bytes",
                item.body.len()
            );
            assert_eq!((&item.id, item.updated_at), (&small.id, small.updated_at));
        }
    }

    #[test]
    fn ids_grow_with_the_catalogue() {
        let first = |count| {
            Catalogue::generated(count, 1)
                .items
                .remove(0)
                .id
                .to_string()
        };
        assert_eq!(first(1), "P-000001");
        assert!(Catalogue::generated(0, 1).is_empty());
    }
}
