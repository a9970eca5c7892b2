//! Slots in the order of one member: a sorted list in chunks, so that a change moves a few hundred
//! slots and not a million.

use super::rows::Slot;
use std::ops::Range;

/// A chunk of more slots than this is split in two.
const CHUNK: usize = 1024;

/// Slots in order. What the order is, is known to whoever asks: every call brings its comparison.
#[derive(Default)]
pub struct List {
    /// None is empty.
    chunks: Vec<Vec<Slot>>,
    /// The rank of the first slot of each chunk.
    starts: Vec<u32>,
    len: usize,
    capacity: usize,
    /// Where the last slot was put in: its chunk, and its place in that.
    latest: (usize, usize),
}

// === impl List ===

impl List {
    /// A list of slots that are in order already.
    pub fn from_sorted(slots: impl Iterator<Item = Slot>) -> Self {
        let mut list = Self::default();
        let mut slots = slots.peekable();
        while slots.peek().is_some() {
            // Half full: one change does not split it.
            let mut chunk = Vec::with_capacity(CHUNK / 2);
            chunk.extend(slots.by_ref().take(CHUNK / 2));
            list.starts.push(rank(list.len));
            list.len += chunk.len();
            list.capacity += chunk.capacity();
            list.chunks.push(chunk);
        }
        list
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The last slot.
    pub fn last(&self) -> Option<Slot> {
        self.chunks.last()?.last().copied()
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.capacity * size_of::<Slot>()
            + self.chunks.capacity() * size_of::<Vec<Slot>>()
            + self.starts.capacity() * size_of::<u32>()
    }

    /// How many slots come before a place; `is_before` holds for those and no others.
    pub fn rank(&self, mut is_before: impl FnMut(Slot) -> bool) -> usize {
        let (chunk, at) = self.find(&mut is_before);
        self.starts
            .get(chunk)
            .map_or(self.len, |start| *start as usize)
            + at
    }

    /// Puts in a slot after those that are before it.
    pub fn insert(&mut self, slot: Slot, mut is_before: impl FnMut(Slot) -> bool) {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
            self.starts.push(0);
        }
        // Whoever lists products does so in the order of their ids: most come right behind the one before.
        let near = self.behind_latest(&mut is_before);
        let (chunk, at) = near.unwrap_or_else(|| match self.find(&mut is_before) {
            (chunk, _) if chunk == self.chunks.len() => {
                let last = self.chunks.last().map_or(0, Vec::len);
                (chunk - 1, last)
            }
            place => place,
        });
        self.latest = (chunk, at);
        let Some(slots) = self.chunks.get_mut(chunk) else {
            return;
        };
        let before = slots.capacity();
        slots.insert(at, slot);
        self.len += 1;
        let mut upper = None;
        if slots.len() > CHUNK {
            upper = Some(slots.split_off(CHUNK / 2));
            slots.shrink_to_fit();
        }
        self.capacity = self.capacity + slots.capacity() - before;
        let behind = self.starts.iter_mut().skip(chunk + 1);
        behind.for_each(|start| *start += 1);
        if let Some(upper) = upper {
            self.capacity += upper.capacity();
            let start = self.starts.get(chunk).copied().unwrap_or_default();
            self.starts.insert(chunk + 1, start + rank(CHUNK / 2));
            self.chunks.insert(chunk + 1, upper);
        }
    }

    /// Takes out a slot; `is_before` holds for those before it.
    pub fn remove(&mut self, slot: Slot, mut is_before: impl FnMut(Slot) -> bool) {
        let (chunk, at) = self.find(&mut is_before);
        let Some(slots) = self.chunks.get_mut(chunk) else {
            return;
        };
        if slots.get(at) != Some(&slot) {
            debug_assert!(false, "slot {slot} is not where it should be");
            return;
        }
        slots.remove(at);
        self.len -= 1;
        let behind = self.starts.iter_mut().skip(chunk + 1);
        behind.for_each(|start| *start -= 1);
        if slots.is_empty() {
            self.capacity -= slots.capacity();
            self.chunks.remove(chunk);
            self.starts.remove(chunk);
        }
    }

    /// The place behind the slot that was put in last, if that is where to put in another.
    fn behind_latest(&self, is_before: &mut impl FnMut(Slot) -> bool) -> Option<(usize, usize)> {
        let (chunk, at) = self.latest;
        let slots = self.chunks.get(chunk)?;
        slots.get(at).filter(|latest| is_before(**latest))?;
        let next = slots.get(at + 1);
        let next = next.or_else(|| self.chunks.get(chunk + 1)?.first());
        next.is_none_or(|next| !is_before(*next))
            .then_some((chunk, at + 1))
    }

    /// The slots at these ranks. Finding the first and the last takes a few steps, however many there are.
    pub fn range(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = Slot> + use<'_> {
        let to = range.end.max(range.start);
        let (from, to) = (self.place(range.start), self.place(to));
        let slots = |chunk: usize, part: Range<usize>| {
            let slots = self.chunks.get(chunk).and_then(|slots| slots.get(part));
            slots.unwrap_or_default().iter()
        };
        let (head, between, tail) = if from.0 < to.0 {
            let rest = self.chunks.get(from.0).map_or(0, Vec::len);
            let between = self.chunks.get(from.0 + 1..to.0).unwrap_or_default();
            (from.1..rest, between, 0..to.1)
        } else {
            (from.1..to.1, [].as_slice(), 0..0)
        };
        let head = slots(from.0, head);
        head.chain(between.iter().flatten())
            .chain(slots(to.0, tail))
            .copied()
    }

    /// The chunk that a rank is in, and the place in that.
    fn place(&self, at: usize) -> (usize, usize) {
        let behind = self.starts.partition_point(|start| *start as usize <= at);
        let chunk = behind.saturating_sub(1);
        let start = self.starts.get(chunk).map_or(0, |start| *start as usize);
        (chunk, at - start)
    }

    /// The chunk and the place in it of the first slot that is not before.
    fn find(&self, is_before: &mut impl FnMut(Slot) -> bool) -> (usize, usize) {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(|last| is_before(*last)));
        let at = self
            .chunks
            .get(chunk)
            .map_or(0, |slots| slots.partition_point(|slot| is_before(*slot)));
        (chunk, at)
    }
}

/// There are no more slots than their numbers can tell apart.
fn rank(slots: usize) -> u32 {
    u32::try_from(slots).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn capacity(list: &List) -> usize {
        list.chunks.iter().map(Vec::capacity).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn it_is_a_sorted_set(
            initial in 0u32..5000, changes in vec((0u32..8000, any::<bool>()), 0..2500), runs in vec((0u32..12_000, 0u32..900), 0..6),
            ranges in vec((0usize..9000, 0usize..3000), 8),
        ) {
            let mut model: BTreeSet<u32> = (0..initial).map(|slot| slot * 2).collect();
            let mut list = List::from_sorted(model.iter().copied());
            // As a listing puts them in: one right behind the other, with something else in between.
            let runs = runs.into_iter().flat_map(|(from, length)| from..from + length);
            let runs = runs.map(|slot| (slot, slot % 97 != 0));
            for (slot, is_in) in changes.into_iter().chain(runs) {
                if is_in && model.insert(slot) {
                    list.insert(slot, |other| other < slot);
                } else if !is_in && model.remove(&slot) {
                    list.remove(slot, |other| other < slot);
                }
            }
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(list.capacity, capacity(&list));
            let starts = list.chunks.iter().scan(0, |start, chunk| {
                *start += chunk.len();
                Some(*start - chunk.len())
            });
            prop_assert!(starts.eq(list.starts.iter().map(|start| *start as usize)));
            let sorted: Vec<u32> = model.into_iter().collect();
            for (start, length) in ranges {
                let range = start.min(sorted.len())..(start + length).min(sorted.len());
                let slots: Vec<_> = list.range(range.clone()).collect();
                prop_assert_eq!(&slots, &sorted[range.clone()]);
                let back: Vec<_> = list.range(range).rev().collect();
                prop_assert!(back.iter().rev().eq(&slots));
                let rank = list.rank(|slot| (slot as usize) < start);
                prop_assert_eq!(rank, sorted.partition_point(|slot| (*slot as usize) < start));
            }
            prop_assert!(list.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        }
    }
}
