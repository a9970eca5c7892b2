//! Full-text queries: the products that have all the words, filtered, by rank or in any other order.

use super::Index;
use super::collect::Nearest;
use super::row::{Row, Unpacked};
use super::rows::Slot;
use super::search::{Edge, Lengthy, Patience, Run, passes, tests};
use super::sequence::Sequence;
use super::table::Table;
use super::terms::Test;
use super::words::{Hits, Query};
use crate::product::{Criteria, Key, Place, ProductId};

/// With no more rows than this a text is searched for on the spot.
const MODEST: usize = 2_000;

/// The hits of a query, and what else they have to meet.
struct Found<'t> {
    table: &'t Table,
    tests: Vec<Test<'t>>,
    hits: Hits,
}

// === impl Index ===

impl Index {
    /// A page of the products that have the words of `text` and meet the conditions.
    pub(super) fn page_of_hits(
        &self,
        text: &str,
        criteria: &Criteria,
        edge: Edge<'_>,
        limit: usize,
        patience: Patience,
    ) -> Result<Run, Lengthy> {
        let table = self.read();
        let found = Found::new(&table, text, criteria, patience)?;
        let sequence = Sequence::new(criteria);
        if found.hits.is_empty() {
            return Ok(Run::default());
        }
        if sequence.by_rank && criteria.filter.is_empty() {
            return Ok(found.ranked(edge, limit));
        }
        let mut nearest = Nearest::new(&sequence, edge, limit);
        if sequence.by_rank {
            found.offer_by_rank(edge, &mut nearest);
        } else {
            for row in found.all() {
                nearest.offer(&row, 0, &table.texts);
            }
        }
        Ok(nearest.into_run())
    }

    /// How many products have the words of `text` and meet the conditions.
    pub(super) fn count_hits(
        &self,
        text: &str,
        criteria: &Criteria,
        patience: Patience,
    ) -> Result<u64, Lengthy> {
        let table = self.read();
        let found = Found::new(&table, text, criteria, patience)?;
        Ok(if criteria.filter.is_empty() {
            found.hits.len()
        } else {
            found.all().count() as u64
        })
    }
}

// === impl Found ===

impl<'t> Found<'t> {
    fn new(
        table: &'t Table,
        text: &str,
        criteria: &'t Criteria,
        patience: Patience,
    ) -> Result<Self, Lengthy> {
        if patience == Patience::Short && table.rows.len() > MODEST {
            return Err(Lengthy);
        }
        Ok(Self {
            table,
            tests: tests(criteria, table),
            hits: table.words.search(&Query::parse(text)),
        })
    }

    /// A page of all hits by rank.
    fn ranked(&self, edge: Edge<'_>, limit: usize) -> Run {
        let id = |slot| {
            self.table
                .rows
                .get(slot)
                .and_then(Row::id_text)
                .unwrap_or_default()
        };
        let (hits, most) = (&self.hits, limit + 1);
        let at = |place: &Place| {
            let slot = self.table.rows.find(place.id.as_str().as_bytes());
            let score = slot.and_then(|slot| hits.score(slot));
            score.is_some_and(|score| rank_of(place) == Some(score.into()))
        };
        let (mut found, behind, backward) = match edge {
            Edge::Start => (hits.after(None, most, id), false, false),
            Edge::After(place) => {
                let rank = (score_of(place), place.id.as_str());
                let behind = at(place) || !hits.before(rank, 1, id).is_empty();
                (hits.after(Some(rank), most, id), behind, false)
            }
            Edge::Before(place) => {
                let rank = (score_of(place), place.id.as_str());
                let behind = at(place) || !hits.after(Some(rank), 1, id).is_empty();
                (hits.before(rank, most, id), behind, true)
            }
        };
        let has_more = found.len() > limit;
        if has_more && backward {
            found.remove(0);
        }
        found.truncate(limit);
        let places = found.into_iter().filter_map(|(score, slot)| {
            let id = ProductId::parse(id(slot)).ok()?;
            let keys = vec![Key::Integer(score.into())];
            Some(Place { keys, id })
        });
        Run {
            places: places.collect(),
            has_before: if backward { has_more } else { behind },
            has_after: if backward { behind } else { has_more },
        }
    }

    /// Offers the hits from the page's edge on, score by score, until the page is full.
    fn offer_by_rank(&self, edge: Edge<'_>, nearest: &mut Nearest<'_>) {
        let (from, backward) = match edge {
            Edge::Start => (None, false),
            Edge::After(place) => (rank_of(place), false),
            Edge::Before(place) => (rank_of(place), true),
        };
        let classes = self.hits.classes();
        let mut outward: Vec<_> = classes.iter().collect();
        if backward {
            outward.reverse();
        }
        for (score, slots) in outward {
            let rank = i64::from(*score);
            let is_behind =
                from.is_some_and(|from| if backward { rank < from } else { rank > from });
            if is_behind {
                if !nearest.has_behind() && slots.iter().any(|slot| self.row(slot).is_some()) {
                    nearest.note_behind();
                }
                continue;
            }
            if nearest.is_full() {
                break;
            }
            for row in slots.iter().filter_map(|slot| self.row(slot)) {
                nearest.offer(&row, rank, &self.table.texts);
            }
        }
    }

    /// All hits that meet the conditions.
    fn all(&self) -> impl Iterator<Item = Unpacked<'t>> {
        let slots = self.hits.slots();
        slots.into_iter().filter_map(|slot| self.row(slot))
    }

    /// The row of a slot, if it meets the conditions.
    fn row(&self, slot: Slot) -> Option<Unpacked<'t>> {
        let row = self.table.rows.get(slot)?.unpack();
        passes(&row, &self.tests, self.table).then_some(row)
    }
}

/// What a place says of the score; what no score can be is beyond all that are.
fn score_of(place: &Place) -> u16 {
    let rank = rank_of(place).unwrap_or_default().max(0);
    u16::try_from(rank).unwrap_or(u16::MAX)
}

fn rank_of(place: &Place) -> Option<i64> {
    match place.keys.first() {
        Some(Key::Integer(rank)) => Some(*rank),
        _ => None,
    }
}
