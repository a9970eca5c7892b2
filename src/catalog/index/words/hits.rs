//! What a full-text query found.

use roaring::RoaringBitmap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The documents that a query found, by score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// The best first; disjoint, none empty.
    classes: Vec<(u16, RoaringBitmap)>,
}

/// A place in the order of scores, the best first, then in that of ids.
pub type Rank<'a> = (u16, &'a str);

// === impl Hits ===

impl Hits {
    /// The hits of a query whose words found `grades`, one list a word; `matching` has what all of them
    /// found. A score is the sum of the words'.
    pub(super) fn sum(matching: RoaringBitmap, mut grades: Vec<Vec<(u16, RoaringBitmap)>>) -> Self {
        if grades.len() <= 1 {
            let classes = grades.pop().unwrap_or_default();
            return Self { classes };
        }
        let slots = matching.max().map_or(0, |last| last as usize + 1);
        // Zeroed memory costs nothing until it is touched.
        let mut scores = vec![0_u16; slots];
        for (score, set) in grades.into_iter().flatten() {
            for slot in &(set & &matching) {
                if let Some(sum) = scores.get_mut(slot as usize) {
                    *sum = sum.saturating_add(score);
                }
            }
        }
        let best = scores.iter().copied().max().unwrap_or_default();
        let mut classes = vec![Vec::new(); usize::from(best) + 1];
        for slot in &matching {
            let score = scores.get(slot as usize).copied().unwrap_or_default();
            if let Some(class) = classes.get_mut(usize::from(score)) {
                class.push(slot);
            }
        }
        let classes = (0..=best).zip(classes).rev();
        let classes = classes.filter(|(_, slots)| !slots.is_empty());
        Self {
            classes: classes
                .map(|(score, slots)| (score, slots.into_iter().collect()))
                .collect(),
        }
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

    /// Those of each score, the best first. Where a class has a large share of all documents, whoever
    /// knows the order of ids finds its first few faster by walking that order than [`after`](Self::after) does.
    pub fn classes(&self) -> &[(u16, RoaringBitmap)] {
        &self.classes
    }

    /// The score of a slot, if it is a hit.
    pub fn score(&self, slot: u32) -> Option<u16> {
        let class = self.classes.iter().find(|(_, set)| set.contains(slot));
        class.map(|(score, _)| *score)
    }

    /// Up to `limit` slots that follow `place`, the best first, equals in the order of their ids. Looks
    /// at no class beyond the last it needs.
    pub fn after<'i>(
        &self,
        place: Option<Rank<'_>>,
        limit: usize,
        id: impl Fn(u32) -> &'i str,
    ) -> Vec<(u16, u32)> {
        let mut found = Vec::new();
        let follows = |score: u16| place.is_none_or(|(from, _)| score <= from);
        for (score, set) in self.classes.iter().filter(|(score, _)| follows(*score)) {
            let start = place.filter(|(from, _)| from == score).map(|(_, id)| id);
            let ids = set.iter().map(|slot| (id(slot), slot));
            let ids = ids.filter(|(id, _)| start.is_none_or(|start| *id > start));
            let least = least(ids, limit.saturating_sub(found.len()));
            found.extend(least.into_iter().map(|(_, slot)| (*score, slot)));
            if found.len() >= limit {
                break;
            }
        }
        found
    }

    /// Up to `limit` slots right before `place`, in the same order as [`after`](Self::after).
    pub fn before<'i>(
        &self,
        place: Rank<'_>,
        limit: usize,
        id: impl Fn(u32) -> &'i str,
    ) -> Vec<(u16, u32)> {
        let mut found = Vec::new();
        let classes = self.classes.iter().rev();
        for (score, set) in classes.filter(|(score, _)| *score >= place.0) {
            let end = Some(place.1).filter(|_| *score == place.0);
            let ids = set.iter().map(|slot| (Reverse(id(slot)), slot));
            let ids = ids.filter(|(id, _)| end.is_none_or(|end| id.0 < end));
            let least = least(ids, limit.saturating_sub(found.len()));
            found.extend(least.into_iter().map(|(_, slot)| (*score, slot)));
            if found.len() >= limit {
                break;
            }
        }
        found.reverse();
        found
    }
}

/// The union of all sets.
pub(super) fn union(sets: &[(u16, RoaringBitmap)]) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    for (_, set) in sets {
        all |= set;
    }
    all
}

/// The `limit` least of `items`, in their order.
fn least<T: Ord>(items: impl Iterator<Item = T>, limit: usize) -> Vec<T> {
    let mut heap = BinaryHeap::with_capacity(limit.min(128) + 1);
    for item in items {
        if heap.len() < limit {
            heap.push(item);
        } else if heap.peek().is_some_and(|greatest| item < *greatest) {
            heap.pop();
            heap.push(item);
        }
    }
    heap.into_sorted_vec()
}
