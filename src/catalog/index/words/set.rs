//! A set of slots that knows its size without counting.

use roaring::RoaringBitmap;

/// What one container of a set costs beside what it holds: its place in the set's list, half of that
/// list's spare room, and its own allocation.
const CONTAINER_BYTES: usize = 64;

/// What a container holds at most: a bit for each of its 65,536 slots.
const MOST_CONTAINER_BYTES: usize = 8192;

/// Slots, compressed.
#[derive(Clone, Debug, Default)]
pub struct Set {
    slots: RoaringBitmap,
    count: u32,
    /// No slot in it is above this one.
    top: u32,
    /// How many there were when it was last as small as it can be.
    tight: u32,
}

// === impl Set ===

impl Set {
    /// The slots.
    pub fn slots(&self) -> &RoaringBitmap {
        &self.slots
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts in a slot; false if it is there.
    pub fn insert(&mut self, slot: u32) -> bool {
        let is_new = self.slots.insert(slot);
        self.count += u32::from(is_new);
        self.top = self.top.max(slot);
        is_new
    }

    /// Takes out a slot; false if it is not there.
    pub fn remove(&mut self, slot: u32) -> bool {
        let was_there = self.slots.remove(slot);
        self.count -= u32::from(was_there);
        self.tight = self.tight.min(self.count);
        was_there
    }

    /// Puts in slots that are not there yet, in their order.
    pub fn extend(&mut self, slots: impl Iterator<Item = u32>) {
        let mut slots = slots.peekable();
        let Some(first) = slots.peek().copied() else {
            return;
        };
        if self.is_empty() || first > self.top {
            let slots = slots.inspect(|slot| self.top = *slot);
            let added = self.slots.append(slots).unwrap_or_default();
            self.count += u32::try_from(added).unwrap_or_default();
        } else {
            slots.for_each(|slot| {
                self.insert(slot);
            });
        }
    }

    /// Puts in these slots.
    pub fn add_all(&mut self, slots: &RoaringBitmap) {
        self.slots |= slots;
        self.top = self.top.max(slots.max().unwrap_or_default());
        self.recount();
    }

    /// Takes out these slots.
    pub fn remove_all(&mut self, slots: &RoaringBitmap) {
        self.slots -= slots;
        self.recount();
    }

    /// Gives back the room that growing left.
    pub fn shrink(&mut self) {
        // A copy is as large as it has to be.
        self.slots = self.slots.clone();
        self.tight = self.count;
    }

    /// About what it holds elsewhere, in bytes: its containers evenly filled, with the spare room that
    /// growing leaves.
    pub fn bytes(&self) -> usize {
        let (count, tight) = (self.count as usize, self.tight as usize);
        let containers = ((self.top >> 16) as usize + 1).min(count);
        let held = tight * 2 + (count - tight) * 3;
        held.min(MOST_CONTAINER_BYTES * containers) + containers * CONTAINER_BYTES
    }

    fn recount(&mut self) {
        self.count = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.tight = self.tight.min(self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn its_size_is_what_counting_tells(
            changes in vec((0u32..200_000, any::<bool>()), 0..300), others in btree_set(0u32..200_000, 0..300), shrinks: bool,
        ) {
            let (mut set, mut model) = (Set::default(), RoaringBitmap::new());
            for (slot, is_in) in changes {
                if is_in {
                    prop_assert_eq!(set.insert(slot), model.insert(slot));
                } else {
                    prop_assert_eq!(set.remove(slot), model.remove(slot));
                }
            }
            if shrinks {
                set.shrink();
            }
            let others: RoaringBitmap = others.into_iter().collect();
            let mut less = set.clone();
            less.remove_all(&others);
            set.add_all(&others);
            for (set, slots) in [(&set, &model | &others), (&less, &model - &others)] {
                prop_assert_eq!((u64::from(set.len()), set.is_empty()), (slots.len(), slots.is_empty()));
                prop_assert_eq!(set.slots(), &slots);
                prop_assert!(set.bytes() as u64 >= slots.len() * 2, "what it holds counts");
            }
        }
    }

    #[test]
    fn a_set_that_holds_nothing_costs_nothing() {
        let mut set = Set::default();
        assert_eq!(set.bytes(), 0);
        set.insert(100_000);
        assert!(set.bytes() > 0);
        set.remove(100_000);
        assert_eq!(set.bytes(), 0);
    }
}
