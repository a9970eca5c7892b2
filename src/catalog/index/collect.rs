//! Answering a query by looking at every candidate and keeping the best.

use super::row::{SharedTexts, Unpacked};
use super::search::{Edge, Found, Run};
use super::sequence::Sequence;
use crate::product::Place;

/// Keeps the candidates nearest to where a page lies.
pub struct Nearest<'a> {
    sequence: &'a Sequence<'a>,
    edge: Edge<'a>,
    /// As many as are kept: one more than the page has.
    most: usize,
    /// From the page's edge on.
    kept: Vec<Found>,
    /// Whether one was turned away because others are nearer.
    has_more: bool,
    /// Whether there are others on the far side of the edge.
    has_behind: bool,
}

// === impl Nearest ===

impl<'a> Nearest<'a> {
    /// Will keep a page of `limit` products.
    pub fn new(sequence: &'a Sequence<'a>, edge: Edge<'a>, limit: usize) -> Self {
        Self {
            sequence,
            edge,
            most: limit + 1,
            kept: Vec::new(),
            has_more: false,
            has_behind: false,
        }
    }

    /// Takes a candidate into account.
    pub fn offer(&mut self, row: &Unpacked<'_>, rank: i64, texts: &SharedTexts) {
        let sequence = self.sequence;
        let against = |place: &Place| sequence.compare(row, rank, texts, place);
        let is_behind = match self.edge {
            Edge::Start => false,
            Edge::After(place) => against(place).is_le(),
            Edge::Before(place) => against(place).is_ge(),
        };
        if is_behind {
            self.has_behind = true;
            return;
        }
        let backward = matches!(self.edge, Edge::Before(_));
        let against = |place: &Place| {
            let order = against(place);
            if backward { order.reverse() } else { order }
        };
        if self.kept.len() >= self.most
            && let Some(last) = self.kept.last()
            && against(&last.place).is_ge()
        {
            self.has_more = true;
            return;
        }
        let at = self
            .kept
            .binary_search_by(|found| against(&found.place).reverse());
        if let (Err(at), Some(found)) = (at, sequence.found(row, rank, texts)) {
            self.kept.insert(at, found);
            self.has_more |= self.kept.len() > self.most;
            self.kept.truncate(self.most);
        }
    }

    /// Whether as many are kept as can be: nothing farther comes in any more.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= self.most
    }

    /// Whether there is something on the far side of the edge, as far as is known.
    pub fn has_behind(&self) -> bool {
        self.has_behind
    }

    /// The page.
    pub fn into_run(mut self) -> Run {
        // One that went and came again while others were looked at may have been met twice.
        let mut ids = std::collections::HashSet::new();
        self.kept.retain(|found| ids.insert(found.place.id.clone()));
        let has_more = self.has_more || self.kept.len() >= self.most;
        self.kept.truncate(self.most - 1);
        let behind = self.has_behind;
        match self.edge {
            Edge::Start | Edge::After(_) => Run {
                found: self.kept,
                has_before: behind,
                has_after: has_more,
            },
            Edge::Before(_) => {
                self.kept.reverse();
                Run {
                    found: self.kept,
                    has_before: has_more,
                    has_after: behind,
                }
            }
        }
    }
}
