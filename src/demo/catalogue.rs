//! What an embedded inventory begins with: a generated catalogue, or one from a file.

mod file;
mod generated;
mod money;
mod words;

pub use file::{CatalogueError, Place};

use crate::product::{Product, ProductId};
use bytes::Bytes;

/// The products an inventory begins with.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub(super) items: Vec<Item>,
}

/// One product as the inventory keeps it: its JSON, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: ProductId,
    pub(super) body: Bytes,
    pub(super) updated_at: Option<jiff::Timestamp>,
}

// === impl Catalogue ===

impl Catalogue {
    /// How many products there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl FromIterator<Product> for Catalogue {
    fn from_iter<I: IntoIterator<Item = Product>>(products: I) -> Self {
        Self {
            items: products.into_iter().map(|p| Item::of(&p)).collect(),
        }
    }
}

// === impl Item ===

impl Item {
    #[expect(
        clippy::expect_used,
        reason = "fails only on maps with keys that are not strings; a product has none"
    )]
    pub(super) fn of(product: &Product) -> Self {
        let json = serde_json::to_vec(product).expect("a product is always JSON");
        Self {
            id: product.id.clone(),
            body: Bytes::copy_from_slice(&json),
            updated_at: product.updated_at,
        }
    }
}
