//! The rows by slot, and their slots by id.

use super::row::Row;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

/// Where a row is, for as long as its product is known.
pub type Slot = u32;

/// Rows that are allocated together: growing never moves what is there.
const CHUNK: usize = 1024;

/// What the allocator spends on a row's buffer.
const BUFFER_BYTES: usize = 16;

/// What a slot costs in the table of ids: four bytes and its mark, in a table that is two thirds full.
const BY_ID_BYTES: usize = 8;

/// All rows.
#[derive(Default)]
pub struct Rows {
    chunks: Vec<Vec<Option<Row>>>,
    free: Vec<Slot>,
    by_id: HashTable<Slot>,
    heap_bytes: usize,
}

// === impl Rows ===

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What they hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.heap_bytes
            + self.chunks.len() * CHUNK * size_of::<Option<Row>>()
            + self.len() * BY_ID_BYTES
            + self.free.len() * size_of::<Slot>()
    }

    /// The slot of the product `id`.
    pub fn find(&self, id: &[u8]) -> Option<Slot> {
        let is_it = |slot: &Slot| self.get(*slot).is_some_and(|row| row.id() == id);
        self.by_id.find(hash(id), is_it).copied()
    }

    /// The row in a slot.
    pub fn get(&self, slot: Slot) -> Option<&Row> {
        let (chunk, at) = place(slot);
        self.chunks.get(chunk)?.get(at)?.as_ref()
    }

    /// The row in a slot.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Row> {
        let (chunk, at) = place(slot);
        self.chunks.get_mut(chunk)?.get_mut(at)?.as_mut()
    }

    /// Puts a product's first row into a slot that nobody has.
    pub fn insert(&mut self, row: Row) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slots = self.chunks.last().map_or(CHUNK, Vec::len);
            if slots == CHUNK {
                self.chunks.push(Vec::with_capacity(CHUNK));
            }
            let chunk = self.chunks.len() - 1;
            let at = self.chunks.last_mut().map_or(0, |last| {
                last.push(None);
                last.len() - 1
            });
            Slot::try_from(chunk * CHUNK + at).unwrap_or(Slot::MAX)
        });
        let id_hash = hash(row.id());
        self.replace(slot, Some(row));
        let chunks = &self.chunks;
        let hash_of = |slot: &Slot| {
            let (chunk, at) = place(*slot);
            let row = chunks.get(chunk).and_then(|chunk| chunk.get(at)?.as_ref());
            row.map_or(0, |row| hash(row.id()))
        };
        self.by_id.insert_unique(id_hash, slot, hash_of);
        slot
    }

    /// Gives a slot another row of the same product; returns the one it had.
    pub fn update(&mut self, slot: Slot, row: Row) -> Option<Row> {
        self.replace(slot, Some(row))
    }

    /// Empties a slot, and leaves it to others; returns the row it had.
    pub fn remove(&mut self, slot: Slot) -> Option<Row> {
        let row = self.replace(slot, None)?;
        if let Ok(entry) = self
            .by_id
            .find_entry(hash(row.id()), |other| *other == slot)
        {
            entry.remove();
        }
        self.free.push(slot);
        Some(row)
    }

    /// Every row, by slot.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.chunks.iter().flatten().flatten()
    }

    /// How many slots there are, with or without a row: the next is the first that was never used.
    pub fn slots(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK + last
    }

    fn replace(&mut self, slot: Slot, row: Option<Row>) -> Option<Row> {
        let (chunk, at) = place(slot);
        let held = self.chunks.get_mut(chunk)?.get_mut(at)?;
        let grown = row
            .as_ref()
            .map_or(0, |row| row.heap_bytes() + BUFFER_BYTES);
        let old = std::mem::replace(held, row);
        let shrunk = old
            .as_ref()
            .map_or(0, |row| row.heap_bytes() + BUFFER_BYTES);
        self.heap_bytes = self.heap_bytes + grown - shrunk;
        old
    }
}

fn place(slot: Slot) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

fn hash(id: &[u8]) -> u64 {
    FxBuildHasher.hash_one(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn a_slot_is_a_products_until_it_is_removed(changes in vec((0u16..60, any::<bool>()), 0..300)) {
            let (mut rows, mut model) = (Rows::default(), BTreeMap::new());
            for (id, is_there) in changes {
                let id = format!("p-{id}");
                if is_there {
                    let slot = *model.entry(id.clone()).or_insert_with(|| {
                        rows.insert(Row::bare(&id, Moment::default()))
                    });
                    rows.update(slot, Row::bare(&id, Moment::from_millis(1)));
                } else if let Some(slot) = model.remove(&id) {
                    prop_assert!(rows.remove(slot).is_some());
                }
            }
            prop_assert_eq!(rows.len(), model.len());
            prop_assert_eq!(rows.iter().count(), model.len());
            for (id, slot) in &model {
                prop_assert_eq!(rows.find(id.as_bytes()), Some(*slot));
                prop_assert_eq!(rows.get(*slot).unwrap().as_of, Moment::from_millis(1));
            }
            prop_assert_eq!(rows.find(b"other"), None);
            let held: usize = rows.iter().map(|row| row.heap_bytes() + BUFFER_BYTES).sum();
            prop_assert_eq!(rows.heap_bytes, held);
        }
    }

    #[test]
    fn many_rows_take_many_chunks() {
        let mut rows = Rows::default();
        for id in 0..3000 {
            assert_eq!(
                rows.insert(Row::bare(&format!("p-{id}"), Moment::default())),
                id
            );
        }
        assert_eq!((rows.len(), rows.slots()), (3000, 3000));
        assert!((0..3000).all(|slot| rows.get(slot).is_some()));
        assert_eq!(rows.find(b"p-2999"), Some(2999));
    }
}
