//! The inventory's products: in id order, rendered, behind one lock.

use super::catalogue::{Catalogue, Item};
use super::repeats::Repeats;
use crate::product::ProductId;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// All products. All clones are the same shelf.
#[derive(Clone, Debug)]
pub(super) struct Shelf(Arc<RwLock<Products>>);

/// One product: its JSON, and when it changed.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) body: Bytes,
    pub(super) updated_at: Option<jiff::Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Products {
    by_id: BTreeMap<ProductId, Kept>,
    /// Numbers up to this one have been given out as ids.
    last_number: usize,
    /// Behind the same lock, so that what is asked for twice at once is done once.
    pub(super) repeats: Repeats,
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn filled(catalogue: Catalogue) -> Self {
        let last_number = catalogue.len();
        let kept = |item: Item| {
            let (body, updated_at) = (item.body, item.updated_at);
            (item.id, Kept { body, updated_at })
        };
        Self(Arc::new(RwLock::new(Products {
            by_id: catalogue.items.into_iter().map(kept).collect(),
            last_number,
            repeats: Repeats::default(),
        })))
    }

    /// Products are replaced whole; a panic in between leaves the old or the new one.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Products> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Shelf::read`].
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Products> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Products ===

impl Products {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Kept> {
        self.by_id.get(id)
    }

    pub(super) fn put(&mut self, id: ProductId, kept: Kept) {
        self.by_id.insert(id, kept);
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.by_id.remove(id).is_some()
    }

    /// At most `limit` products behind `after` that changed at `since` or later. Copies no bodies.
    pub(super) fn page(
        &self,
        after: Option<&ProductId>,
        since: Option<jiff::Timestamp>,
        limit: usize,
    ) -> Vec<(ProductId, Bytes)> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_id
            .range::<ProductId, _>((begin, Bound::Unbounded))
            .filter(|(_, kept)| since.is_none_or(|since| kept.updated_at >= Some(since)))
            .take(limit)
            .map(|(id, kept)| (id.clone(), kept.body.clone()))
            .collect()
    }

    /// An id that no product has.
    pub(super) fn fresh_id(&mut self) -> String {
        loop {
            self.last_number += 1;
            let id = format!("P-{:06}", self.last_number);
            if !self.by_id.contains_key(id.as_str()) {
                return id;
            }
        }
    }
}

// === impl Kept ===

impl Kept {
    /// The strong entity tag: a function of the body alone.
    pub(super) fn etag(&self) -> String {
        let digest = Sha256::digest(&self.body);
        let tag = digest
            .iter()
            .take(8)
            .fold(0u64, |tag, byte| tag << 8 | u64::from(*byte));
        format!("\"{tag:016x}\"")
    }
}
