//! Making the order of a column, at its first use, without keeping anybody waiting.

use super::Index;
use super::column::{Column, SortValue};
use super::rows::Slot;
use super::search::{Lengthy, Patience};
use super::sequence::Slots;
use super::table::{FEW, Table};
use std::ops::Range;
use std::sync::PoisonError;

/// Rows that are read before writers get their turn.
const STEP: usize = 2_048;

/// What an order takes of a row, in tenths of a byte: a slot in a chunk that is three quarters full.
const ORDER_TENTHS: usize = 54;

/// The values of a column, written so that their bytes sort like they do.
#[derive(Default)]
struct Values {
    bytes: Vec<u8>,
    /// In the order of ids, so that a stable sort leaves equal values in it.
    present: Vec<(Range<u32>, Slot)>,
    missing: Vec<Slot>,
}

// === impl Index ===

impl Index {
    /// Keeps the order of `column` from now on, unless that does not fit into the index's share of
    /// the memory: then it is done without.
    ///
    /// # Errors
    /// [`Lengthy`] with [`Patience::Short`] only, where there are many rows to be sorted.
    pub(super) fn keep_order(&self, column: Column, patience: Patience) -> Result<(), Lengthy> {
        let rows = {
            let table = self.read();
            let bytes = table.bytes() + table.rows.len() * ORDER_TENTHS / 10;
            if table.order(column).is_some() || bytes > self.limit_bytes {
                return Ok(());
            }
            table.rows.len()
        };
        if rows > FEW && patience == Patience::Short {
            return Err(Lengthy);
        }
        let _one_at_a_time = self.sorting.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut table = self.write();
            if table.order(column).is_some() {
                return Ok(());
            }
            table.begin_order(column);
        }
        let sorted = self.values(column).sorted();
        let mut table = self.write();
        table.finish_order(column, sorted);
        self.account(&table, false);
        Ok(())
    }

    /// Reads the values of all rows, in the order of ids.
    fn values(&self, column: Column) -> Values {
        let mut values = Values::default();
        let mut met: Option<Vec<u8>> = None;
        loop {
            let table = self.read();
            let Some(ids) = Slots::new(&table, (Column::Id, false)) else {
                return values;
            };
            let from = met
                .as_ref()
                .map_or(0, |id| ids.before((SortValue::Text(id), id), true));
            let step = from..ids.len().min(from + STEP);
            if step.is_empty() {
                return values;
            }
            let mut last = None;
            for slot in ids.iter(step, false) {
                values.add(&table, column, slot);
                last = Some(slot);
            }
            let last = last.and_then(|slot| table.rows.get(slot));
            met = last.map(|row| row.id().to_vec());
        }
    }
}

// === impl Values ===

impl Values {
    fn add(&mut self, table: &Table, column: Column, slot: Slot) {
        let from = self.bytes.len();
        match table.value(column, slot) {
            SortValue::Text(text) => self.bytes.extend_from_slice(text),
            // With the sign turned over, negative numbers come before the others.
            SortValue::Integer(number) => {
                self.bytes.extend((number ^ i64::MIN).to_be_bytes());
            }
            SortValue::Time(secs, nanos) => {
                self.bytes.extend((secs ^ i64::MIN).to_be_bytes());
                self.bytes.extend((nanos ^ i32::MIN).to_be_bytes());
            }
            SortValue::Missing => return self.missing.push(slot),
        }
        let at = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.present.push((at(from)..at(self.bytes.len()), slot));
    }

    fn sorted(mut self) -> impl Iterator<Item = Slot> {
        let bytes = &self.bytes;
        let value = |at: &Range<u32>| bytes.get(at.start as usize..at.end as usize);
        self.present
            .sort_by(|(one, _), (other, _)| value(one).cmp(&value(other)));
        let present = self.present.into_iter().map(|(_, slot)| slot);
        present.chain(self.missing)
    }
}
