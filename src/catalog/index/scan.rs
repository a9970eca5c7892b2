//! Looking at many rows, some at a time. A product keeps its slot, whatever changes about it: so those that
//! are there all the while are met once, though writers get their turn in between.

use super::Index;
use super::row::{SharedTexts, Unpacked};
use super::rows::Slot;
use super::table::Table;
use super::terms::Test;
use crate::product::Criteria;

/// Rows that are looked at before writers get their turn.
pub const STEP: usize = 1_024;

/// Which rows are looked at.
#[derive(Debug)]
pub enum Candidates {
    /// All.
    All,
    /// Those in these slots.
    These(Vec<Slot>),
}

// === impl Index ===

impl Index {
    /// Visits every candidate that meets all conditions.
    pub(super) fn visit(
        &self,
        criteria: &Criteria,
        candidates: &Candidates,
        visit: &mut dyn FnMut(&Unpacked<'_>, &SharedTexts),
    ) {
        let (mut from, mut end) = (0, None);
        loop {
            let table = self.read();
            let tests = tests(criteria, &table);
            // What comes later need not be met.
            let end = *end.get_or_insert_with(|| candidates.len(&table));
            let to = end.min(from + STEP);
            for at in from..to {
                let row = candidates.slot(at).and_then(|slot| table.rows.get(slot));
                let Some(row) = row.map(|row| row.unpack()) else {
                    continue;
                };
                if passes(&row, &tests, &table) {
                    visit(&row, &table.texts);
                }
            }
            if to == end {
                return;
            }
            from = to;
            drop(tests);
            drop(table);
            between_steps();
        }
    }
}

// === impl Candidates ===

impl Candidates {
    fn len(&self, table: &Table) -> usize {
        match self {
            Self::All => table.rows.slots(),
            Self::These(slots) => slots.len(),
        }
    }

    fn slot(&self, at: usize) -> Option<Slot> {
        match self {
            Self::All => Slot::try_from(at).ok(),
            Self::These(slots) => slots.get(at).copied(),
        }
    }
}

/// The conditions, good for as long as the table is not let go of.
pub fn tests<'a>(criteria: &'a Criteria, table: &Table) -> Vec<Test<'a>> {
    let terms = criteria.filter.iter();
    terms.map(|term| Test::new(term, &table.texts)).collect()
}

/// Whether a row meets all of them.
pub fn passes(row: &Unpacked<'_>, tests: &[Test<'_>], table: &Table) -> bool {
    tests.iter().all(|test| test.holds(row, &table.texts))
}

/// Nobody holds the lock now: tests change products here.
#[cfg(not(test))]
pub fn between_steps() {}

#[cfg(test)]
pub use super::tests::scanning::between_steps;
