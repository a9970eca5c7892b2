//! Pages and counts from the index.

use super::collect::Nearest;
use super::plan::{Along, Plan, Ranges, columns};
use super::scan::tests;
use super::sequence::Sequence;
use super::table::Table;
use super::walk::{Exhausted, Start, Walk};
use super::{Content, Index};
use crate::clock::Moment;
use crate::product::{Criteria, Place, ProductId};

/// A page of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The products, in the order asked for.
    pub found: Vec<Found>,
    /// Whether there are others before the first.
    pub has_before: bool,
    /// Whether there are others after the last.
    pub has_after: bool,
}

/// A product of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it stands.
    pub place: Place,
    /// Tells the content that meets the query from others, like [`Content`]'s.
    pub version: u64,
}

/// Where a page lies in the order of its query.
#[derive(Clone, Copy, Debug)]
pub enum Edge<'a> {
    /// At the start.
    Start,
    /// Right after this place.
    After(&'a Place),
    /// Right before this place.
    Before(&'a Place),
}

/// How long whoever asks can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Well below a millisecond: others are served by the same thread.
    Short,
    /// As long as it takes.
    Long,
}

/// It would take longer than the caller can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengthy;

/// The most rows that are looked at for somebody in a hurry.
const QUICK: usize = 2_000;

/// The most rows that a walk looks at before it counts as a mistake.
const WALK: usize = 16_000;

// === impl Index ===

impl Index {
    /// Up to `limit` products that meet `criteria`, in their order, from `edge` on.
    ///
    /// # Errors
    /// [`Lengthy`] with [`Patience::Short`] only: ask again on a thread that can wait.
    pub fn page(
        &self,
        criteria: &Criteria,
        edge: Edge<'_>,
        limit: usize,
        patience: Patience,
    ) -> Result<Run, Lengthy> {
        if let Some(text) = &criteria.text {
            return self.page_of_hits(text, criteria, edge, limit, patience);
        }
        for column in columns(criteria) {
            self.keep_order(column, patience)?;
        }
        let sequence = Sequence::new(criteria);
        let candidates = {
            let table = self.read();
            let ranges = Ranges::new(&table, criteria);
            let plan = Plan::new(&table, criteria, &sequence, &ranges, limit);
            if patience == Patience::Short && plan.cost > QUICK {
                return Err(Lengthy);
            }
            if let Some(along) = &plan.walk {
                let budget = if patience == Patience::Short {
                    QUICK * 2
                } else {
                    WALK
                };
                let tests = tests(criteria, &table);
                let walk = Walk::new(&table, &tests, &ranges.by_column, budget);
                match walked(walk, &table, &sequence, along, edge, limit) {
                    Ok(run) => return Ok(run),
                    Err(Exhausted) if patience == Patience::Short => return Err(Lengthy),
                    Err(Exhausted) => {}
                }
            }
            ranges.candidates(&table, plan.scan)
        };
        let mut nearest = Nearest::new(&sequence, edge, limit);
        self.visit(criteria, &candidates, &mut |row, texts| {
            nearest.offer(row, 0, texts)
        });
        Ok(nearest.into_run())
    }

    /// How many products meet `criteria`.
    ///
    /// # Errors
    /// [`Lengthy`] with [`Patience::Short`] only: ask again on a thread that can wait.
    pub fn count(&self, criteria: &Criteria, patience: Patience) -> Result<u64, Lengthy> {
        if let Some(text) = &criteria.text {
            return self.count_hits(text, criteria, patience);
        }
        for column in columns(criteria) {
            self.keep_order(column, patience)?;
        }
        let candidates = {
            let table = self.read();
            let ranges = Ranges::new(&table, criteria);
            if let Some(count) = ranges.count(&table) {
                return Ok(count as u64);
            }
            let (scan, candidates) = ranges.shortest(&table);
            if patience == Patience::Short && candidates > QUICK {
                return Err(Lengthy);
            }
            ranges.candidates(&table, scan)
        };
        let mut count = 0;
        self.visit(criteria, &candidates, &mut |_, _| count += 1);
        Ok(count)
    }

    /// A page by looking at every candidate, whatever the plan says.
    #[cfg(test)]
    pub fn page_by_scan(&self, criteria: &Criteria, edge: Edge<'_>, limit: usize) -> Run {
        let (sequence, all) = (Sequence::new(criteria), &super::scan::Candidates::All);
        let mut nearest = Nearest::new(&sequence, edge, limit);
        self.visit(criteria, all, &mut |row, texts| {
            nearest.offer(row, 0, texts)
        });
        nearest.into_run()
    }

    /// The page by every walk that is possible.
    #[cfg(test)]
    pub fn pages_by_walks(&self, criteria: &Criteria, edge: Edge<'_>, limit: usize) -> Vec<Run> {
        let (sequence, table) = (Sequence::new(criteria), self.read());
        let ranges = Ranges::new(&table, criteria);
        let tests = tests(criteria, &table);
        let walks = super::plan::walks(criteria, &sequence);
        walks
            .map(|along| {
                let walk = Walk::new(&table, &tests, &ranges.by_column, WALK);
                walked(walk, &table, &sequence, &along, edge, limit).unwrap()
            })
            .collect()
    }

    /// Where a product of this content stands in the order of `criteria`; `None` where it does not meet
    /// them. The index need not know it.
    pub fn place_of(id: &ProductId, content: Content<'_>, criteria: &Criteria) -> Option<Place> {
        let alone = Self::new(usize::MAX, 0);
        alone.insert(id, Some(content), Moment::default());
        let run = alone.page(criteria, Edge::Start, 1, Patience::Long);
        Some(run.ok()?.found.pop()?.place)
    }
}

/// Walks both ways from the page's edge: for the page, and for whether there is anything behind it.
fn walked<'w>(
    mut walk: Walk<'w>,
    table: &'w Table,
    sequence: &Sequence<'_>,
    along: &'w Along,
    edge: Edge<'w>,
    limit: usize,
) -> Result<Run, Exhausted> {
    let start = |place: &'w Place, inclusive| Start {
        keys: if along.pinned.is_empty() {
            &place.keys
        } else {
            &along.pinned
        },
        id: place.id.as_str().as_bytes(),
        inclusive,
    };
    let (from, behind, backward) = match edge {
        Edge::Start => (None, None, false),
        Edge::After(place) => (Some(start(place, false)), Some(start(place, true)), false),
        Edge::Before(place) => (Some(start(place, false)), Some(start(place, true)), true),
    };
    let mut found = walk.go(&along.keys, from, backward, limit + 1)?;
    let has_behind = match behind {
        Some(_) => !walk.go(&along.keys, behind, !backward, 1)?.is_empty(),
        None => false,
    };
    let has_more = found.len() > limit;
    found.truncate(limit);
    if backward {
        found.reverse();
    }
    let rows = found.into_iter().filter_map(|slot| table.rows.get(slot));
    let found = rows.filter_map(|row| sequence.found(&row.unpack(), 0, &table.texts));
    Ok(Run {
        found: found.collect(),
        has_before: if backward { has_more } else { has_behind },
        has_after: if backward { has_behind } else { has_more },
    })
}
