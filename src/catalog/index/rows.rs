//! The rows by slot, and their slots by id.

use super::Held;
use super::leaf::{LONGEST, Leaf, ROWS};
use super::row::{Packed, Row};
use crate::clock::Moment;
use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

/// Where a row is, for as long as its product is known.
pub type Slot = u32;

/// What the place of a long row costs beside its bytes.
const LONG_BYTES: usize = 64;

/// All rows.
#[derive(Default)]
pub struct Rows {
    #[expect(clippy::vec_box, reason = "growing must not move what leaves hold")]
    leaves: Vec<Box<Leaf>>,
    /// The bytes of rows that are too long for a leaf.
    long: FxHashMap<Slot, Box<[u8]>>,
    free: Vec<Slot>,
    by_id: HashTable<Slot>,
    /// How many slots there are, with or without a row.
    slots: usize,
    /// Taken by leaves, and by long rows.
    row_bytes: usize,
}

// === impl Rows ===

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What they hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.row_bytes + self.by_id.allocation_size() + self.free.capacity() * size_of::<Slot>()
    }

    /// Makes places for so many by their ids.
    pub fn expect(&mut self, rows: usize) {
        let (leaves, long) = (&self.leaves, &self.long);
        let hash_of = |slot: &Slot| row_in(leaves, long, *slot).map_or(0, |row| hash(row.id()));
        let further = rows.saturating_sub(self.by_id.len());
        self.by_id.reserve(further, hash_of);
    }

    /// The slot of the product `id`.
    pub fn find(&self, id: &[u8]) -> Option<Slot> {
        let is_it = |slot: &Slot| self.get(*slot).is_some_and(|row| row.id() == id);
        self.by_id.find(hash(id), is_it).copied()
    }

    /// The row in a slot.
    pub fn get(&self, slot: Slot) -> Option<Row<'_>> {
        row_in(&self.leaves, &self.long, slot)
    }

    /// Puts a product's first row into a slot that nobody has.
    pub fn insert(&mut self, row: Packed, as_of: Moment) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            if self.slots == self.leaves.len() * ROWS {
                let leaf = Leaf::new();
                self.row_bytes += leaf.bytes();
                self.leaves.push(leaf);
            }
            self.slots += 1;
            Slot::try_from(self.slots - 1).unwrap_or(Slot::MAX)
        });
        let id_hash = hash(row.row().id());
        self.put(slot, row);
        self.set_as_of(slot, as_of);
        let (leaves, long) = (&self.leaves, &self.long);
        let hash_of = |slot: &Slot| row_in(leaves, long, *slot).map_or(0, |row| hash(row.id()));
        self.by_id.insert_unique(id_hash, slot, hash_of);
        slot
    }

    /// Gives a slot another row of the same product.
    pub fn update(&mut self, slot: Slot, row: Packed) {
        self.put(slot, row);
    }

    /// The product in a slot existed as of this moment.
    pub fn set_as_of(&mut self, slot: Slot, as_of: Moment) {
        let (leaf, at) = place(slot);
        if let Some(leaf) = self.leaves.get_mut(leaf) {
            leaf.set_as_of(at, as_of);
        }
    }

    /// Another holder of the body that a row is about.
    pub fn set_held(&mut self, slot: Slot, held: Held) {
        let (leaf, at) = place(slot);
        if let Some(leaf) = self.leaves.get_mut(leaf) {
            leaf.set_held(at, held);
        }
    }

    /// Empties a slot, and leaves it to others.
    pub fn remove(&mut self, slot: Slot) {
        let Some(hash) = self.get(slot).map(|row| hash(row.id())) else {
            return;
        };
        if let Ok(entry) = self.by_id.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.put(slot, Packed::default());
        self.free.push(slot);
    }

    /// Every row, by slot.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let slots = Slot::try_from(self.slots).unwrap_or(Slot::MAX);
        (0..slots).filter_map(|slot| self.get(slot))
    }

    /// How many slots there are, with or without a row: the next is the first that was never used.
    pub fn slots(&self) -> usize {
        self.slots
    }

    fn put(&mut self, slot: Slot, mut row: Packed) {
        let (leaf, at) = place(slot);
        let Some(leaf) = self.leaves.get_mut(leaf) else {
            return;
        };
        self.row_bytes -= leaf.bytes();
        leaf.put(at, &mut row);
        self.row_bytes += leaf.bytes();
        let size = |bytes: &[u8]| bytes.len() + LONG_BYTES;
        let before = match row.bytes.len() {
            0..=LONGEST if self.long.is_empty() => return,
            0..=LONGEST => self.long.remove(&slot),
            _ => {
                let bytes = row.bytes.into_boxed_slice();
                self.row_bytes += size(&bytes);
                self.long.insert(slot, bytes)
            }
        };
        self.row_bytes -= before.as_deref().map_or(0, size);
    }
}

fn row_in<'a>(
    leaves: &'a [Box<Leaf>],
    long: &'a FxHashMap<Slot, Box<[u8]>>,
    slot: Slot,
) -> Option<Row<'a>> {
    let (leaf, at) = place(slot);
    let leaf = leaves.get(leaf)?;
    if let Some(row) = leaf.row(at) {
        return Some(row);
    }
    // Nearly none is long.
    let packed = (!long.is_empty()).then(|| long.get(&slot)).flatten()?;
    Some(leaf.long_row(at, packed))
}

fn place(slot: Slot) -> (usize, usize) {
    (slot as usize / ROWS, slot as usize % ROWS)
}

fn hash(id: &[u8]) -> u64 {
    FxBuildHasher.hash_one(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A row of about so many bytes.
    fn row(id: &str, bytes: usize) -> Packed {
        let mut row = Packed::bare(id);
        row.bytes.resize(row.bytes.len() + bytes, b'x');
        row
    }

    proptest! {
        #[test]
        fn a_slot_is_a_products_until_it_is_removed(
            changes in vec((0u16..90, proptest::option::of(prop_oneof![0usize..200, 0usize..200, 900usize..1_200])), 0..300),
        ) {
            let (mut rows, mut model) = (Rows::default(), BTreeMap::<u16, (Slot, Vec<u8>, Moment)>::new());
            for (at, (number, bytes)) in changes.into_iter().enumerate() {
                let (id, as_of) = (format!("p-{number}"), Moment::from_millis(at as u64));
                let row = bytes.map(|bytes| row(&id, bytes));
                match (row, model.get(&number).map(|(slot, ..)| *slot)) {
                    (Some(row), known) => {
                        let bytes = row.bytes.clone();
                        let slot = match known {
                            Some(slot) => {
                                rows.update(slot, row);
                                rows.set_as_of(slot, as_of);
                                slot
                            }
                            None => rows.insert(row, as_of),
                        };
                        model.insert(number, (slot, bytes, as_of));
                    }
                    (None, Some(slot)) => {
                        rows.remove(slot);
                        model.remove(&number);
                    }
                    (None, None) => {}
                }
                prop_assert_eq!((rows.len(), rows.iter().count()), (model.len(), model.len()));
            }
            for (number, (slot, bytes, as_of)) in &model {
                let row = rows.get(*slot).unwrap();
                prop_assert_eq!(rows.find(format!("p-{number}").as_bytes()), Some(*slot));
                prop_assert_eq!((row.to_packed().bytes, row.as_of), (bytes.clone(), *as_of));
            }
            prop_assert_eq!(rows.find(b"other"), None);
            let leaves: usize = rows.leaves.iter().map(|leaf| leaf.bytes()).sum();
            let long: usize = rows.long.values().map(|row| row.len() + LONG_BYTES).sum();
            prop_assert_eq!(rows.row_bytes, leaves + long);
        }
    }

    #[test]
    fn many_rows_take_little_more_than_their_bytes() {
        let mut rows = Rows::default();
        for number in 0..3_000 {
            let slot = rows.insert(row(&format!("p-{number:05}"), 60), Moment::default());
            assert_eq!(slot, number);
        }
        assert_eq!((rows.len(), rows.slots()), (3_000, 3_000));
        assert_eq!(rows.find(b"p-02999"), Some(2_999));
        let bytes = rows.bytes() / 3_000;
        // Beside its 69 bytes and what a leaf tells of it, what the size classes of the allocator leave unused.
        assert!(bytes < 69 + 36 + 14, "{bytes}");
    }
}
