//! Text that many products share, kept once: categories, brands, tags, attributes' names and values.

use rustc_hash::FxBuildHasher;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// What a label costs beside its text: the text's counters and allocation, its two places in the map
/// and its slot.
const LABEL_BYTES: usize = 112;

/// Stands for a text in [`Labels`]; 0 for none.
pub type Label = u32;

/// The texts in use, with how often each is. `K` finds the label of a text.
#[derive(Default)]
pub struct Labels<K> {
    known: K,
    /// By label; the first stands for no text.
    slots: Vec<Slot>,
    free: Vec<Label>,
    bytes: usize,
}

/// Texts that are only looked up.
pub type Hashed = HashMap<Arc<str>, Label, FxBuildHasher>;

/// Texts that are also gone through in their order.
pub type Sorted = BTreeMap<Arc<str>, Label>;

/// Labels by their texts.
pub trait Known: Default {
    /// The label of `text`.
    fn label(&self, text: &str) -> Option<Label>;

    /// `text` has this label.
    fn put(&mut self, text: Arc<str>, label: Label);

    /// `text` has none any more.
    fn forget(&mut self, text: &str);
}

#[derive(Clone, Default)]
struct Slot {
    text: Option<Arc<str>>,
    uses: u32,
}

// === impl Labels ===

impl<K: Known> Labels<K> {
    /// The label of `text`, used once more.
    pub fn take(&mut self, text: &str) -> Label {
        if let Some(label) = self.known.label(text) {
            if let Some(slot) = self.slots.get_mut(label as usize) {
                slot.uses += 1;
            }
            return label;
        }
        let text: Arc<str> = Arc::from(text);
        self.bytes += LABEL_BYTES + text.len();
        let slot = Slot {
            text: Some(Arc::clone(&text)),
            uses: 1,
        };
        let label = match self.free.pop() {
            Some(label) => label,
            None => {
                // Slot 0 is nobody's.
                self.slots
                    .resize(self.slots.len().max(1) + 1, Slot::default());
                Label::try_from(self.slots.len() - 1).unwrap_or(Label::MAX)
            }
        };
        if let Some(place) = self.slots.get_mut(label as usize) {
            *place = slot;
        }
        self.known.put(text, label);
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
            self.bytes -= LABEL_BYTES + text.len();
            self.known.forget(&text);
            self.free.push(label);
        }
    }

    /// The label of `text`, if anything uses it.
    pub fn find(&self, text: &str) -> Option<Label> {
        self.known.label(text)
    }

    /// The text that `label` stands for.
    pub fn text(&self, label: Label) -> Option<&str> {
        self.slots.get(label as usize)?.text.as_deref()
    }

    /// How often `text` is used.
    pub fn count(&self, text: &str) -> u32 {
        self.find(text).map_or(0, |label| self.uses(label))
    }

    fn uses(&self, label: Label) -> u32 {
        let slot = self.slots.get(label as usize);
        slot.map_or(0, |slot| slot.uses)
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
        let known = self.known.range::<str, _>(range);
        known.map(|(text, label)| (&**text, self.uses(*label)))
    }
}

// === impl Known ===

impl Known for Hashed {
    fn label(&self, text: &str) -> Option<Label> {
        self.get(text).copied()
    }

    fn put(&mut self, text: Arc<str>, label: Label) {
        self.insert(text, label);
    }

    fn forget(&mut self, text: &str) {
        self.remove(text);
    }
}

impl Known for Sorted {
    fn label(&self, text: &str) -> Option<Label> {
        self.get(text).copied()
    }

    fn put(&mut self, text: Arc<str>, label: Label) {
        self.insert(text, label);
    }

    fn forget(&mut self, text: &str) {
        self.remove(text);
    }
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
            let bytes: usize = model.keys().map(|text| text.len() + LABEL_BYTES).sum();
            prop_assert_eq!(labels.bytes(), bytes);
        }
    }
}
