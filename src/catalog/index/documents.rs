//! The texts of products in the full-text index. That needs another number for a text that changes; a
//! product keeps its slot, so that whoever goes through the slots meets it once.

use super::rows::Slot;
use super::words::{Hits, Query, Text, Words};

/// What the full-text index knows a text by.
pub type Number = u32;

/// Stands for no number, and for no slot.
const NONE: u32 = u32::MAX;

/// The texts of products by their slots.
#[derive(Default)]
pub struct Documents {
    words: Words,
    /// By slot.
    numbers: Vec<Number>,
    /// By number.
    slots: Vec<Slot>,
}

// === impl Documents ===

impl Documents {
    /// The product in `slot` has this text, which is another than before.
    pub fn put(&mut self, slot: Slot, text: &Text) {
        self.remove(slot);
        let number = self.words.reclaim();
        let number = number.unwrap_or_else(|| Number::try_from(self.slots.len()).unwrap_or(NONE));
        self.words.insert(number, text);
        set(&mut self.numbers, slot, number);
        set(&mut self.slots, number, slot);
    }

    /// The product in `slot` has no text any more.
    pub fn remove(&mut self, slot: Slot) {
        if let Some(number) = at(&self.numbers, slot) {
            self.words.remove(number);
            set(&mut self.numbers, slot, NONE);
            set(&mut self.slots, number, NONE);
        }
    }

    /// Gives back the room that growing left.
    pub fn shrink(&mut self) {
        self.words.shrink();
        self.numbers.shrink_to_fit();
        self.slots.shrink_to_fit();
    }

    /// The numbers of all texts that have the words of `query`.
    pub fn search(&self, query: &Query) -> Hits {
        self.words.search(query)
    }

    /// Whose text has this number.
    pub fn slot(&self, number: Number) -> Option<Slot> {
        at(&self.slots, number)
    }

    /// The number of the text of the product in `slot`.
    pub fn number(&self, slot: Slot) -> Option<Number> {
        at(&self.numbers, slot)
    }

    /// What this holds, in bytes.
    pub fn bytes(&self) -> usize {
        let places = self.numbers.capacity() + self.slots.capacity();
        self.words.bytes() + places * size_of::<u32>()
    }
}

fn at(list: &[u32], at: u32) -> Option<u32> {
    list.get(at as usize).copied().filter(|held| *held != NONE)
}

fn set(list: &mut Vec<u32>, at: u32, held: u32) {
    let at = at as usize;
    if list.len() <= at {
        list.resize(at + 1, NONE);
    }
    if let Some(place) = list.get_mut(at) {
        *place = held;
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::Document;
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

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
}
