//! The texts of products in the full-text index. That needs another number for a text that changes; a
//! product keeps its slot, so that whoever goes through the slots meets it once.

use super::rows::Slot;
use super::words::{Hits, Query, Text, Words};
use std::ops::Range;

/// What the full-text index knows a text by. A product's first has that of its slot, wherever nobody else has.
pub type Number = u32;

/// Where a slot's own number is taken, its text gets one so far behind all that are in use: slots that are still
/// to come find theirs vacant.
const DISTANCE: u32 = 1 << 16;

/// The texts of products by their slots.
#[derive(Default)]
pub struct Documents {
    words: Words,
    /// The numbers of slots.
    numbers: Mapping,
    /// The slots of numbers.
    slots: Mapping,
    /// Numbers that no slot has yet, for texts that need one.
    spare: Range<Number>,
    /// Neither a number in use nor a slot is as high.
    end: u32,
}

/// Small numbers to others. Most are mapped to themselves, which costs nothing.
#[derive(Default)]
struct Mapping {
    blocks: Vec<Option<Box<Block>>>,
    bytes: usize,
}

/// What some are mapped to, and one; zero stands for themselves.
type Block = [u32; BLOCK];

const BLOCK: usize = 1_024;

// === impl Documents ===

impl Documents {
    /// The product in `slot` has this text, which is another than before.
    pub fn put(&mut self, slot: Slot, text: &Text) {
        self.remove(slot);
        let number = self.vacant(slot);
        self.end = self.end.max(slot.max(number).saturating_add(1));
        self.words.insert(number, text);
        self.numbers.set(slot, number);
        self.slots.set(number, slot);
    }

    /// The product in `slot` has no text any more.
    pub fn remove(&mut self, slot: Slot) {
        if let Some(number) = self.number(slot) {
            self.words.remove(number);
            self.numbers.set(slot, slot);
            self.slots.set(number, number);
        }
    }

    /// A number for the text of the product in `slot`.
    fn vacant(&mut self, slot: Slot) -> Number {
        if self.words.is_free(slot) {
            return slot;
        }
        if let Some(number) = self.words.reclaim() {
            return number;
        }
        if self.spare.is_empty() || self.spare.start <= slot.saturating_add(DISTANCE / 2) {
            let from = self.end.saturating_add(DISTANCE);
            self.spare = from..from.saturating_add(DISTANCE);
        }
        // A slot that came meanwhile may have taken one for its own.
        let words = &self.words;
        let number = self.spare.find(|number| words.is_free(*number));
        number.unwrap_or(self.end)
    }

    /// Gives back the room that growing left.
    pub fn shrink(&mut self) {
        self.words.shrink();
    }

    /// The numbers of all texts that have the words of `query`.
    pub fn search(&self, query: &Query) -> Hits {
        self.words.search(query)
    }

    /// Whose text has this number.
    pub fn slot(&self, number: Number) -> Option<Slot> {
        self.words.has(number).then(|| self.slots.get(number))
    }

    /// The number of the text of the product in `slot`.
    pub fn number(&self, slot: Slot) -> Option<Number> {
        let number = self.numbers.get(slot);
        (self.slot(number) == Some(slot)).then_some(number)
    }

    /// What this holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.words.bytes() + self.numbers.bytes + self.slots.bytes
    }
}

// === impl Mapping ===

impl Mapping {
    fn get(&self, from: u32) -> u32 {
        let block = self.blocks.get(from as usize / BLOCK);
        let block = block.and_then(Option::as_deref);
        let to = block.and_then(|block| block.get(from as usize % BLOCK).copied());
        to.unwrap_or_default().checked_sub(1).unwrap_or(from)
    }

    fn set(&mut self, from: u32, to: u32) {
        if self.get(from) == to {
            return;
        }
        let at = from as usize / BLOCK;
        if self.blocks.len() <= at {
            self.bytes -= self.blocks.capacity() * size_of::<Option<Box<Block>>>();
            self.blocks.resize_with(at + 1, || None);
            self.bytes += self.blocks.capacity() * size_of::<Option<Box<Block>>>();
        }
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        if block.is_none() {
            self.bytes += size_of::<Block>();
        }
        let block = block.get_or_insert_with(|| Box::new([0; BLOCK]));
        if let Some(place) = block.get_mut(from as usize % BLOCK) {
            *place = if to == from { 0 } else { to.saturating_add(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::Document;
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn a_text_that_changes_stays_with_its_slot(
            changes in vec((0..40_u32, option::of("[ab]{1,2}")), 0..400),
        ) {
            let (mut documents, mut model) = (Documents::default(), BTreeMap::new());
            for (slot, name) in changes {
                match name {
                    Some(name) => {
                        let document = Document { name: &name, ..Document::default() };
                        documents.put(slot, &document.text());
                        model.insert(slot, name);
                    }
                    None => {
                        documents.remove(slot);
                        model.remove(&slot);
                    }
                }
            }
            let numbers: BTreeSet<_> = model.keys().map(|slot| documents.number(*slot)).collect();
            prop_assert_eq!(numbers.len(), model.len(), "each has its own");
            prop_assert!((0..40).all(|slot| documents.number(slot).is_some() == model.contains_key(&slot)));
            for begun in ["a", "b", "ab"] {
                let hits = documents.search(&Query::parse(begun)).slots();
                let mut found: Vec<_> = hits.iter().filter_map(|number| documents.slot(number)).collect();
                found.sort_unstable();
                let expected = model.iter().filter(|(_, name)| name.starts_with(begun));
                prop_assert_eq!(found, expected.map(|(slot, _)| *slot).collect::<Vec<_>>());
                let there_and_back = |number| documents.number(documents.slot(number)?);
                prop_assert!(hits.iter().all(|number| there_and_back(number) == Some(number)));
            }
        }
    }

    #[test]
    fn a_text_that_changes_early_costs_those_that_come_later_nothing() {
        let mut documents = Documents::default();
        let text = |name| {
            let document = Document {
                name,
                ..Document::default()
            };
            document.text()
        };
        for slot in 0..80_000 {
            documents.put(slot, &text("oak"));
            if slot < 5 {
                documents.put(slot, &text("elm"));
            }
        }
        let is_own = |slot: &Slot| documents.number(*slot) == Some(*slot);
        assert_eq!((0..80_000).filter(|slot| !is_own(slot)).count(), 5 + 5);
        assert!(documents.numbers.bytes + documents.slots.bytes < 20 * size_of::<Block>());
        for name in ["oak", "elm"] {
            let hits = documents.search(&Query::parse(name));
            let slots = hits
                .slots()
                .iter()
                .filter_map(|number| documents.slot(number))
                .collect::<BTreeSet<_>>();
            assert_eq!(slots.len(), if name == "elm" { 5 } else { 79_995 });
        }
    }
}
