//! Text that many products share, kept once: categories, brands, tags, attributes' names and values.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;

/// Stands for a text in [`Labels`]; 0 for none.
pub type Label = u32;

/// The texts in use, with how often each is. `O` knows what else there is to know about their order.
#[derive(Default)]
pub struct Labels<O> {
    by_text: HashTable<Label>,
    order: O,
    /// By label; the first stands for no text.
    slots: Vec<Slot>,
    free: Vec<Label>,
    bytes: usize,
}

/// Texts that are only looked up.
#[derive(Default)]
pub struct Hashed;

/// Texts that are also gone through in their order.
pub type Sorted = BTreeMap<Arc<str>, Label>;

/// The order of texts.
pub trait Order: Default {
    /// What a label costs beside its text: the text's counters and allocation, its slot, its place in the table
    /// by text, and in the order.
    const LABEL_BYTES: usize;

    /// `text` has this label.
    fn put(&mut self, text: &Arc<str>, label: Label);

    /// `text` has none any more.
    fn forget(&mut self, text: &str);
}

#[derive(Clone, Default)]
struct Slot {
    text: Option<Arc<str>>,
    uses: u32,
}

// === impl Labels ===

impl<O: Order> Labels<O> {
    /// The label of `text`, used once more.
    pub fn take(&mut self, text: &str) -> Label {
        let hash = hash(text);
        if let Some(label) = self.find_by(hash, text) {
            if let Some(slot) = self.slots.get_mut(label as usize) {
                slot.uses += 1;
            }
            return label;
        }
        let text: Arc<str> = Arc::from(text);
        self.bytes += O::LABEL_BYTES + text.len();
        let label = match self.free.pop() {
            Some(label) => label,
            None => {
                // Slot 0 is nobody's.
                self.slots
                    .resize(self.slots.len().max(1) + 1, Slot::default());
                Label::try_from(self.slots.len() - 1).unwrap_or(Label::MAX)
            }
        };
        self.order.put(&text, label);
        if let Some(place) = self.slots.get_mut(label as usize) {
            *place = Slot {
                text: Some(text),
                uses: 1,
            };
        }
        let slots = &self.slots;
        let hash_of = |label: &Label| text_of(slots, *label).map_or(0, self::hash);
        self.by_text.insert_unique(hash, label, hash_of);
        label
    }

    /// One use less of `label`; a text that nobody uses is forgotten.
    pub fn give_back(&mut self, label: Label) {
        let Some(slot) = self.slots.get_mut(label as usize) else {
            return;
        };
        slot.uses = slot.uses.saturating_sub(1);
        if slot.uses == 0
            && let Some(text) = slot.text.take()
        {
            self.bytes -= O::LABEL_BYTES + text.len();
            self.order.forget(&text);
            self.free.push(label);
            let is_it = |other: &Label| *other == label;
            if let Ok(entry) = self.by_text.find_entry(hash(&text), is_it) {
                entry.remove();
            }
        }
    }

    /// The label of `text`, if anything uses it.
    pub fn find(&self, text: &str) -> Option<Label> {
        self.find_by(hash(text), text)
    }

    /// The text that `label` stands for.
    pub fn text(&self, label: Label) -> Option<&str> {
        text_of(&self.slots, label)
    }

    /// How often `text` is used.
    pub fn count(&self, text: &str) -> u32 {
        self.find(text).map_or(0, |label| self.uses(label))
    }

    fn uses(&self, label: Label) -> u32 {
        let slot = self.slots.get(label as usize);
        slot.map_or(0, |slot| slot.uses)
    }

    fn find_by(&self, hash: u64, text: &str) -> Option<Label> {
        let is_it = |label: &Label| text_of(&self.slots, *label) == Some(text);
        self.by_text.find(hash, is_it).copied()
    }

    /// What the texts hold, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Labels<Sorted> {
    /// The texts in this range and how often each is used, in their order.
    pub fn range(
        &self,
        range: (Bound<&str>, Bound<&str>),
    ) -> impl DoubleEndedIterator<Item = (&str, u32)> {
        let known = self.order.range::<str, _>(range);
        known.map(|(text, label)| (&**text, self.uses(*label)))
    }
}

// === impl Order ===

impl Order for Hashed {
    const LABEL_BYTES: usize = 80;

    fn put(&mut self, _: &Arc<str>, _: Label) {}

    fn forget(&mut self, _: &str) {}
}

impl Order for Sorted {
    const LABEL_BYTES: usize = 120;

    fn put(&mut self, text: &Arc<str>, label: Label) {
        self.insert(Arc::clone(text), label);
    }

    fn forget(&mut self, text: &str) {
        self.remove(text);
    }
}

fn text_of(slots: &[Slot], label: Label) -> Option<&str> {
    slots.get(label as usize)?.text.as_deref()
}

fn hash(text: &str) -> u64 {
    FxBuildHasher.hash_one(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_known_as_long_as_somebody_uses_it(changes in vec((0u8..6, any::<bool>()), 0..200)) {
            let (mut labels, mut model) = (Labels::<Sorted>::default(), BTreeMap::<String, (Label, u32)>::new());
            for (text, takes) in changes {
                let text = "x".repeat(usize::from(text));
                if takes {
                    let label = labels.take(&text);
                    prop_assert_ne!(label, 0);
                    let known = model.entry(text).or_insert((label, 0));
                    prop_assert_eq!(known.0, label);
                    known.1 += 1;
                } else if let Some((label, uses)) = model.get_mut(&text) {
                    labels.give_back(*label);
                    *uses -= 1;
                    if *uses == 0 {
                        model.remove(&text);
                    }
                }
                let uses: Vec<_> = labels.range((Bound::Unbounded, Bound::Unbounded)).collect();
                prop_assert_eq!(uses, model.iter().map(|(text, (_, uses))| (&**text, *uses)).collect::<Vec<_>>());
                for (text, (label, _)) in &model {
                    prop_assert_eq!(labels.text(*label), Some(&**text));
                    prop_assert_eq!(labels.find(text), Some(*label));
                    prop_assert!(labels.count(text) > 0);
                }
            }
            let bytes: usize = model.keys().map(|text| text.len() + Sorted::LABEL_BYTES).sum();
            prop_assert_eq!(labels.bytes(), bytes);
        }
    }
}
