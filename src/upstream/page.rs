//! Pages of the inventory's list: fetched first, decoded later.

use super::wire;
use crate::clock::Moment;
use crate::product::{Cursor, InvalidProduct, Product, ProductId, PublishedMembers};
use crate::telemetry::metrics;
use bytes::Bytes;

/// So many of a page's skipped products are named in the log.
const NAMED_IN_LOG: usize = 5;

/// One page of the inventory's list, parsed only as far as its paging: decoding the products is
/// left to [`RawPage::decode`], so that it can run beside the fetch of the next page.
#[derive(Debug)]
pub struct RawPage {
    /// The products, each still JSON text: parts of the one body.
    pub(super) items: Vec<Bytes>,
    /// Cursor of the next page; `None` on the last one.
    pub after: Option<String>,
    /// When the request was sent.
    pub sent_at: Moment,
}

/// The products of one page.
#[derive(Debug, Default)]
pub struct DecodedPage {
    /// Those that could be used, in the inventory's order.
    pub products: Vec<Product>,
    /// How many were skipped as invalid (each was counted, and the first of them logged).
    pub skipped: usize,
    /// The ids of those, where they could be read: the inventory has them, but not in a usable form.
    pub unusable: Vec<ProductId>,
}

// === impl RawPage ===

impl RawPage {
    /// Decodes the products; those that break a rule are skipped, counted and logged. `step` is called before each.
    pub fn decode(&self, published: &PublishedMembers, mut step: impl FnMut()) -> DecodedPage {
        let mut page = DecodedPage {
            products: Vec::with_capacity(self.items.len()),
            skipped: 0,
            unusable: Vec::new(),
        };
        let mut named = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            // Parts of a text, cut where one of its values begins or ends.
            let item = std::str::from_utf8(item).unwrap_or_default();
            step();
            match wire::product(item, published) {
                Ok(product) => page.products.push(product),
                Err(error) => {
                    page.skipped += 1;
                    page.unusable.extend(wire::product_id(item));
                    if named.len() < NAMED_IN_LOG {
                        named.push(named_in_log(at, item, &error));
                    }
                }
            }
        }
        if page.skipped > 0 {
            metrics::upstream_products_skipped(page.skipped as u64);
            let (skipped, first) = (page.skipped, named.join("; "));
            tracing::warn!(
                skipped,
                first,
                "Skipped {skipped} products of a page of the inventory's list as invalid"
            );
        }
        page
    }
}

/// A page of the list that lies behind `after`.
pub(super) fn behind<'a>(body: &'a [u8], after: Option<&str>) -> Result<wire::Page<'a>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "its body is not UTF-8")?;
    let page = wire::page(text)?;
    match page.after.as_deref() {
        Some(next) if Some(next) == after => Err("the list's cursor does not advance".to_owned()),
        Some(next) if Cursor::upstream(next).is_none() => {
            Err("the list's cursor is empty, too long or has control characters".to_owned())
        }
        _ => Ok(page),
    }
}

/// Says which product breaks which rule, in words that are safe in a log.
fn named_in_log(at: usize, item: &str, error: &InvalidProduct) -> String {
    match wire::product_id(item) {
        Some(id) => format!("{id}: {error}"),
        None => format!("number {at} of the page: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_product_never_stops_its_page() {
        let items = [
            r#"{"id":"a","name":"A","price":{"amount":1,"currency":"EUR"}}"#,
            r#"{"id":"b","name":"B"}"#,
            "7",
            r#"{"id":"c","name":"C","price":{"amount":1,"currency":"EUR"}}"#,
        ];
        let page = RawPage {
            items: items.map(|item| Bytes::from_static(item.as_bytes())).into(),
            after: None,
            sent_at: Moment::default(),
        };
        let decoded = page.decode(&PublishedMembers::None, || {});
        let ids: Vec<&str> = decoded.products.iter().map(|p| p.id.as_str()).collect();
        assert_eq!((ids, decoded.skipped), (vec!["a", "c"], 2));
        assert_eq!(decoded.unusable, [ProductId::parse("b").unwrap()]);
    }

    #[test]
    fn a_log_line_names_the_product_and_the_rule() {
        let error = InvalidProduct {
            member: "price",
            rule: "is missing",
        };
        for (text, expected) in [
            (r#"{"id":"b"}"#, "b: member `price` is missing"),
            (
                "{\"id\":\"\\u001b[31m\"}",
                "number 3 of the page: member `price` is missing",
            ),
        ] {
            assert_eq!(named_in_log(3, text, &error), expected);
        }
    }
}
