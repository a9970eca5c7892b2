//! Pages and counts from the index.

use super::Index;
use super::collect::Nearest;
use super::plan::{Along, Plan, Ranges, Scan, columns};
use super::row::{SharedTexts, SortValue, Unpacked};
use super::sequence::{Sequence, Slots};
use super::table::Table;
use super::terms::Test;
use super::walk::{Exhausted, Start, Walk};
use crate::product::{Criteria, Key, Place};

/// A page of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The products, in the order asked for.
    pub places: Vec<Place>,
    /// Whether there are others before the first.
    pub has_before: bool,
    /// Whether there are others after the last.
    pub has_after: bool,
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

/// Rows that are looked at before writers get their turn.
const STEP: usize = 1_024;

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
        let scan = {
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
            plan.scan
        };
        let mut nearest = Nearest::new(&sequence, edge, limit);
        self.visit(criteria, scan, &mut |row, texts| {
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
        let scan = {
            let table = self.read();
            let ranges = Ranges::new(&table, criteria);
            if let Some(count) = ranges.count(&table) {
                return Ok(count as u64);
            }
            let (scan, candidates) = ranges.shortest(&table);
            if patience == Patience::Short && candidates > QUICK {
                return Err(Lengthy);
            }
            scan
        };
        let mut count = 0;
        self.visit(criteria, scan, &mut |_, _| count += 1);
        Ok(count)
    }

    /// A page by looking at every candidate, whatever the plan says.
    #[cfg(test)]
    pub fn page_by_scan(&self, criteria: &Criteria, edge: Edge<'_>, limit: usize) -> Run {
        let sequence = Sequence::new(criteria);
        let mut nearest = Nearest::new(&sequence, edge, limit);
        self.visit_all(criteria, &mut |row, texts| nearest.offer(row, 0, texts));
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

    /// Whether a product meets the conditions of `criteria`; its text apart.
    pub fn meets(&self, id: &str, criteria: &Criteria) -> bool {
        let table = self.read();
        let slot = table.rows.find(id.as_bytes());
        let row = slot.and_then(|slot| table.rows.get(slot));
        let tests = tests(criteria, &table);
        row.is_some_and(|row| passes(&row.unpack(), &tests, &table))
    }

    /// Visits every row of a scan that meets all conditions. Lets others in between.
    fn visit(
        &self,
        criteria: &Criteria,
        scan: Scan,
        visit: &mut dyn FnMut(&Unpacked<'_>, &SharedTexts),
    ) {
        let column = match scan {
            Scan::All => return self.visit_all(criteria, visit),
            Scan::Range(column) => column,
        };
        let mut met: Option<(Key, Vec<u8>)> = None;
        loop {
            let table = self.read();
            let (tests, ranges) = (tests(criteria, &table), Ranges::new(&table, criteria));
            let range = ranges.by_column.iter().find(|(other, _)| *other == column);
            let (Some((_, range)), Some(slots)) = (range, Slots::new(&table, (column, false)))
            else {
                // Orders were given up to make room for rows.
                return self.visit_all(criteria, visit);
            };
            let from = met.as_ref().map_or(0, |(key, id)| {
                slots.before((SortValue::of(key), id.as_slice()), true)
            });
            let from = from.clamp(range.start, range.end);
            let step = from..range.end.min(from + STEP);
            let is_last = step.end == range.end;
            let mut last = None;
            for slot in slots.iter(step, false) {
                let Some(row) = table.rows.get(slot) else {
                    continue;
                };
                let row = row.unpack();
                if passes(&row, &tests, &table) {
                    visit(&row, &table.texts);
                }
                last = Some(row);
            }
            met = last.map(|row| {
                let value = row.sort_value(column, &table.texts);
                (value.to_key(), row.id.to_vec())
            });
            if is_last || met.is_none() {
                return;
            }
        }
    }

    fn visit_all(&self, criteria: &Criteria, visit: &mut dyn FnMut(&Unpacked<'_>, &SharedTexts)) {
        let mut step = 0;
        loop {
            let table = self.read();
            if step >= table.rows.steps() {
                return;
            }
            let tests = tests(criteria, &table);
            for (_, row) in table.rows.step(step) {
                let row = row.unpack();
                if passes(&row, &tests, &table) {
                    visit(&row, &table.texts);
                }
            }
            step += 1;
        }
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
    let places = rows.filter_map(|row| sequence.place(&row.unpack(), 0, &table.texts));
    Ok(Run {
        places: places.collect(),
        has_before: if backward { has_more } else { has_behind },
        has_after: if backward { has_behind } else { has_more },
    })
}

pub(super) fn tests<'a>(criteria: &'a Criteria, table: &Table) -> Vec<Test<'a>> {
    let terms = criteria.filter.iter();
    terms.map(|term| Test::new(term, &table.texts)).collect()
}

pub(super) fn passes(row: &Unpacked<'_>, tests: &[Test<'_>], table: &Table) -> bool {
    tests.iter().all(|test| test.holds(row, &table.texts))
}
