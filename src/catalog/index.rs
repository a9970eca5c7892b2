//! Which products exist, in id order: what lists are answered from. Bodies are the cache's matter.

#[allow(dead_code, reason = "what answers full-text queries will ask it")]
mod words;

use crate::clock::Moment;
use crate::product::ProductId;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a row costs beside the id's characters: pointer and time, their share of a tree node that is
/// two thirds full, and the id's own allocation.
const ROW_BYTES: usize = 72;

/// The ids of the products, and as of when each was known to exist.
pub struct Index {
    rows: RwLock<BTreeMap<ProductId, Moment>>,
    bytes: AtomicUsize,
    limit_bytes: usize,
    complete: AtomicBool,
    overflown: AtomicBool,
}

/// A run of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// In id order.
    pub ids: Vec<ProductId>,
    /// Whether there are ids before the first.
    pub has_before: bool,
    /// Whether there are ids after the last.
    pub has_after: bool,
}

// === impl Index ===

impl Index {
    /// An empty index of at most `limit_bytes`. One that would pass that gives up and stays empty.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            rows: RwLock::default(),
            bytes: AtomicUsize::new(0),
            limit_bytes,
            complete: AtomicBool::new(false),
            overflown: AtomicBool::new(limit_bytes == 0),
        }
    }

    /// The product exists as of `as_of`.
    pub fn insert(&self, id: &ProductId, as_of: Moment) {
        if self.has_overflown() {
            return;
        }
        let mut rows = self.write();
        if let Some(known) = rows.get_mut(id) {
            *known = as_of.max(*known);
            return;
        }
        rows.insert(id.clone(), as_of);
        let bytes = self.bytes.fetch_add(row_bytes(id), Ordering::Relaxed) + row_bytes(id);
        if bytes > self.limit_bytes {
            rows.clear();
            self.bytes.store(0, Ordering::Relaxed);
            self.overflown.store(true, Ordering::Relaxed);
            self.complete.store(false, Ordering::Relaxed);
        }
    }

    /// The product does not exist.
    pub fn remove(&self, id: &ProductId) {
        if self.write().remove(id).is_some() {
            self.bytes.fetch_sub(row_bytes(id), Ordering::Relaxed);
        }
    }

    /// Up to `limit` ids after `start`, or from the beginning.
    pub fn after(&self, start: Option<&ProductId>, limit: usize) -> Run {
        let rows = self.read();
        let from = start.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = rows.range::<ProductId, _>((from, Bound::Unbounded));
        let ids: Vec<_> = range
            .by_ref()
            .take(limit)
            .map(|(id, _)| id.clone())
            .collect();
        Run {
            has_before: start.is_some_and(|start| {
                let upto = (Bound::Unbounded, Bound::Included(start));
                rows.range::<ProductId, _>(upto).next().is_some()
            }),
            has_after: range.next().is_some(),
            ids,
        }
    }

    /// Up to `limit` ids right before `end`.
    pub fn before(&self, end: &ProductId, limit: usize) -> Run {
        let rows = self.read();
        let upto = (Bound::Unbounded, Bound::Excluded(end));
        let mut range = rows.range::<ProductId, _>(upto).rev();
        let mut ids: Vec<_> = range
            .by_ref()
            .take(limit)
            .map(|(id, _)| id.clone())
            .collect();
        ids.reverse();
        Run {
            has_before: range.next().is_some(),
            has_after: rows
                .range::<ProductId, _>((Bound::Included(end), Bound::Unbounded))
                .next()
                .is_some(),
            ids,
        }
    }

    /// The ids of all products not known to exist as of `moment` or later.
    pub fn older_than(&self, moment: Moment) -> Vec<ProductId> {
        let rows = self.read();
        let old = rows.iter().filter(|(_, as_of)| **as_of < moment);
        old.map(|(id, _)| id.clone()).collect()
    }

    /// Visits every product.
    pub fn for_each(&self, visit: &mut dyn FnMut(&ProductId, Moment)) {
        for (id, as_of) in &*self.read() {
            visit(id, *as_of);
        }
    }

    /// Products there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// What the index holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether every product is in it.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// Whether the products are too many for it.
    pub fn has_overflown(&self) -> bool {
        self.overflown.load(Ordering::Relaxed)
    }

    /// Declares that every product is in it, unless it gave up.
    pub fn complete(&self) {
        let complete = !self.has_overflown();
        self.complete.store(complete, Ordering::Relaxed);
    }

    /// Rows are changed by single inserts and removes, so poison is ignored.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ProductId, Moment>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ProductId, Moment>> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row_bytes(id: &ProductId) -> usize {
    ROW_BYTES + id.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(number: u16) -> ProductId {
        ProductId::parse(&format!("P-{number:05}")).unwrap()
    }

    fn index(ids: impl IntoIterator<Item = u16>) -> Index {
        let index = Index::new(1 << 20);
        for number in ids {
            index.insert(&id(number), Moment::default());
        }
        index
    }

    proptest! {
        #[test]
        fn a_walk_visits_what_stays_once_while_others_come_and_go(
            stays in btree_set(0u16..2000, 0..80), comes in vec(0u16..2000, 0..40), limit in 1usize..20,
        ) {
            let index = index(stays.iter().copied());
            let (mut seen, mut at) = (Vec::new(), None);
            let mut comes = comes.into_iter();
            loop {
                let run = index.after(at.as_ref(), limit);
                prop_assert!(run.ids.len() <= limit);
                seen.extend(run.ids.iter().cloned());
                at = run.ids.last().cloned();
                if !run.has_after {
                    break;
                }
                for number in comes.by_ref().take(3) {
                    index.insert(&id(number), Moment::default());
                    if !stays.contains(&(number ^ 1)) {
                        index.remove(&id(number ^ 1));
                    }
                }
            }
            let distinct: BTreeSet<_> = seen.iter().cloned().collect();
            prop_assert_eq!(distinct.len(), seen.len(), "nothing twice");
            for number in stays {
                prop_assert!(distinct.contains(&id(number)));
            }
        }

        #[test]
        fn walking_back_mirrors_walking_on(ids in btree_set(0u16..500, 1..60), limit in 1usize..9) {
            let index = index(ids.iter().copied());
            let mut pages = Vec::new();
            let mut run = index.after(None, limit);
            while let (Some(last), true) = (run.ids.last(), run.has_after) {
                let next = index.after(Some(last), limit);
                pages.push(run);
                run = next;
            }
            for page in pages.into_iter().rev() {
                let back = index.before(run.ids.first().unwrap(), limit);
                prop_assert_eq!(&back, &page);
                run = back;
            }
        }

        #[test]
        fn its_bytes_are_the_sum_of_its_rows(changes in vec((0u16..50, any::<bool>()), 0..200)) {
            let index = index([]);
            for (number, insert) in changes {
                if insert {
                    index.insert(&id(number), Moment::default());
                } else {
                    index.remove(&id(number));
                }
                prop_assert_eq!(index.bytes(), index.len() * row_bytes(&id(0)));
            }
        }
    }

    #[test]
    fn too_many_products_leave_no_index_rather_than_half_of_one() {
        let index = Index::new(10 * row_bytes(&id(0)));
        for number in 0..11 {
            index.insert(&id(number), Moment::default());
        }
        index.complete();
        assert!(index.has_overflown() && !index.is_complete());
        assert_eq!((index.len(), index.bytes()), (0, 0));
    }
}
