//! What a full-text query found.

use roaring::RoaringBitmap;

/// The documents that a query found, by score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// The best first; disjoint, none empty.
    classes: Vec<Class>,
}

/// A score, and the documents that have it.
pub type Class = (u16, RoaringBitmap);

// === impl Hits ===

impl Hits {
    /// The hits of a query of one word that found these classes: the best first; disjoint, none empty.
    pub(super) fn of(classes: Vec<Class>) -> Self {
        Self { classes }
    }

    /// The hits that another word of the query has found as well. A score is the sum of the words'.
    pub(super) fn and(self, other: &[Class]) -> Self {
        let mut sums: Vec<Class> = Vec::new();
        for (one, found) in &self.classes {
            for (score, class) in other {
                let both = found & class;
                if both.is_empty() {
                    continue;
                }
                let sum = one.saturating_add(*score);
                match sums.binary_search_by(|(other, _)| sum.cmp(other)) {
                    Ok(at) => sums
                        .iter_mut()
                        .skip(at)
                        .take(1)
                        .for_each(|(_, set)| *set |= &both),
                    Err(at) => sums.insert(at, (sum, both)),
                }
            }
        }
        Self { classes: sums }
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.classes.iter().map(|(_, set)| set.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// All of them, without their scores.
    pub fn slots(&self) -> RoaringBitmap {
        union(&self.classes)
    }

    /// Those of each score, the best first.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The score of a slot, if it is a hit.
    pub fn score(&self, slot: u32) -> Option<u16> {
        let class = self.classes.iter().find(|(_, set)| set.contains(slot));
        class.map(|(score, _)| *score)
    }
}

/// The union of all classes.
pub(super) fn union(classes: &[Class]) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    for (_, set) in classes {
        all |= set;
    }
    all
}
