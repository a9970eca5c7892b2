//! Answering a query by walking along an order from where the page lies, testing rows on the way.

use super::column::{Column, SortValue};
use super::row::Unpacked;
use super::rows::Slot;
use super::sequence::{Slots, Sorted, compare_rows, compare_with, value_at};
use super::table::Table;
use super::terms::Test;
use crate::product::Key;
use std::ops::Range;

/// A walk under way.
pub struct Walk<'w> {
    table: &'w Table,
    tests: &'w [Test<'w>],
    /// The ranges of the ascending orders that the conditions leave.
    ranges: &'w [(Column, Range<usize>)],
    /// Where it begins; from the very beginning or end with none.
    from: Option<Start<'w>>,
    backward: bool,
    wanted: usize,
    /// Rows it may still look at.
    budget: usize,
    /// What it has found.
    pub found: Vec<Slot>,
}

/// Where a walk begins.
#[derive(Clone, Copy)]
pub struct Start<'w> {
    /// What the place says of the order's columns.
    pub keys: &'w [Key],
    /// Its id.
    pub id: &'w [u8],
    /// Whether what stands right there belongs to the walk.
    pub inclusive: bool,
}

/// It took more steps than it may.
#[derive(Debug)]
pub struct Exhausted;

/// Values that the rows of a group have in common.
type Shared<'w> = Vec<(Column, SortValue<'w>)>;

// === impl Walk ===

impl<'w> Walk<'w> {
    /// A walk that ends with `wanted` rows found, or `budget` rows looked at.
    pub fn new(
        table: &'w Table,
        tests: &'w [Test<'w>],
        ranges: &'w [(Column, Range<usize>)],
        budget: usize,
    ) -> Self {
        Self {
            table,
            tests,
            ranges,
            from: None,
            backward: false,
            wanted: 0,
            budget,
            found: Vec::new(),
        }
    }

    /// Finds up to `wanted` slots along `keys` from `from` on, or back.
    ///
    /// # Errors
    /// [`Exhausted`] where that takes more than the budget.
    pub fn go(
        &mut self,
        keys: &[Sorted],
        from: Option<Start<'w>>,
        backward: bool,
        wanted: usize,
    ) -> Result<Vec<Slot>, Exhausted> {
        self.found = Vec::new();
        (self.from, self.backward, self.wanted) = (from, backward, wanted);
        self.along(keys, 0, &mut Vec::new(), from.is_some())?;
        Ok(std::mem::take(&mut self.found))
    }

    /// Walks along the keys from the `depth`th on, among the rows that share these values; from the
    /// start of the walk or from the beginning.
    fn along(
        &mut self,
        keys: &[Sorted],
        depth: usize,
        shared: &mut Shared<'w>,
        from_start: bool,
    ) -> Result<(), Exhausted> {
        let Some((sorted, rest)) = keys.get(depth).zip(keys.get(depth + 1..)) else {
            return Ok(());
        };
        let slots = Slots::new(self.table, *sorted).ok_or(Exhausted)?;
        let start = self.from.filter(|_| from_start);
        let within = self.within(&slots, sorted.0);
        if rest.is_empty() {
            let at = match start {
                Some(start) => {
                    let value = value_at(sorted.0, start.keys.get(depth), start.id);
                    let or_equal = start.inclusive == self.backward;
                    let at = slots.before((value, start.id), or_equal);
                    clamp(&within, at, self.backward)
                }
                None => within,
            };
            return self.test_all(slots.iter(at, self.backward), shared);
        }
        let mut left = within;
        if let Some(start) = start {
            let value = value_at(sorted.0, start.keys.get(depth), start.id);
            let group = slots.group(value);
            let inside = group.start.max(left.start)..group.end.min(left.end);
            self.through(keys, depth, &slots, inside, shared, true)?;
            let edge = if self.backward {
                group.start
            } else {
                group.end
            };
            left = clamp(&left, edge, self.backward);
        }
        while !left.is_empty() && self.found.len() < self.wanted {
            let first = if self.backward {
                left.end - 1..left.end
            } else {
                left.start..left.start + 1
            };
            let Some(slot) = slots.iter(first, false).next() else {
                break;
            };
            let group = slots.group(self.table.value(sorted.0, slot));
            let inside = group.start.max(left.start)..group.end.min(left.end);
            self.through(keys, depth, &slots, inside, shared, false)?;
            let edge = if self.backward {
                group.start
            } else {
                group.end
            };
            left = clamp(&left, edge, self.backward);
        }
        Ok(())
    }

    /// Walks through one group of rows with equal values of the `depth`th key.
    fn through(
        &mut self,
        keys: &[Sorted],
        depth: usize,
        slots: &Slots<'w>,
        group: Range<usize>,
        shared: &mut Shared<'w>,
        from_start: bool,
    ) -> Result<(), Exhausted> {
        let Some((column, _)) = keys.get(depth) else {
            return Ok(());
        };
        let Some(slot) = slots.iter(group.clone(), false).next() else {
            return Ok(());
        };
        self.budget = self.budget.checked_sub(1).ok_or(Exhausted)?;
        // Either the whole group is looked at and sorted, or the next order is walked along, where the
        // group's rows are the sparser the smaller it is.
        let size = group.len();
        let most_along = self.wanted.saturating_mul(slots.len()) / size.max(1);
        if size <= most_along {
            return self.sort_group(keys, depth, slots.iter(group, false), shared, from_start);
        }
        shared.push((*column, self.table.value(*column, slot)));
        let result = self.along(keys, depth + 1, shared, from_start);
        shared.pop();
        result
    }

    /// Looks at all rows of a group, and takes them in the order of the keys after the `depth`th.
    fn sort_group(
        &mut self,
        keys: &[Sorted],
        depth: usize,
        slots: impl Iterator<Item = Slot>,
        shared: &Shared<'w>,
        from_start: bool,
    ) -> Result<(), Exhausted> {
        let rest = keys.get(depth + 1..).unwrap_or_default();
        let texts = &self.table.texts;
        let start = self.from.filter(|_| from_start);
        let mut group = Vec::new();
        for slot in slots {
            self.budget = self.budget.checked_sub(1).ok_or(Exhausted)?;
            let Some(row) = self.passes(slot, shared) else {
                continue;
            };
            let is_ahead = start.is_none_or(|start| {
                let keys = start.keys.get(depth + 1..).unwrap_or_default();
                let order = compare_with(rest, &row, texts, keys, start.id);
                let order = if self.backward {
                    order.reverse()
                } else {
                    order
                };
                order.is_gt() || (start.inclusive && order.is_eq())
            });
            if is_ahead {
                group.push((slot, row));
            }
        }
        group.sort_unstable_by(|(_, one), (_, other)| {
            let order = compare_rows(rest, texts, one, other);
            if self.backward {
                order.reverse()
            } else {
                order
            }
        });
        let room = self.wanted.saturating_sub(self.found.len());
        self.found
            .extend(group.iter().take(room).map(|(slot, _)| *slot));
        Ok(())
    }

    fn test_all(
        &mut self,
        slots: impl Iterator<Item = Slot>,
        shared: &Shared<'w>,
    ) -> Result<(), Exhausted> {
        for slot in slots {
            if self.found.len() >= self.wanted {
                break;
            }
            self.budget = self.budget.checked_sub(1).ok_or(Exhausted)?;
            if self.passes(slot, shared).is_some() {
                self.found.push(slot);
            }
        }
        Ok(())
    }

    /// The slot's row, if it has the shared values and meets all conditions.
    fn passes(&self, slot: Slot, shared: &Shared<'w>) -> Option<Unpacked<'w>> {
        let texts = &self.table.texts;
        let row = self.table.rows.get(slot)?.unpack();
        let belongs =
            |(column, value): &(Column, SortValue<'_>)| row.sort_value(*column, texts) == *value;
        let passes =
            shared.iter().all(belongs) && self.tests.iter().all(|test| test.holds(&row, texts));
        passes.then_some(row)
    }

    /// The positions that the conditions on this column leave.
    fn within(&self, slots: &Slots<'_>, column: Column) -> Range<usize> {
        let narrowed = self.ranges.iter().find(|(narrowed, _)| *narrowed == column);
        narrowed.map_or(0..slots.len(), |(_, range)| slots.positions(range))
    }
}

/// What of a range lies ahead of a position.
fn clamp(range: &Range<usize>, at: usize, backward: bool) -> Range<usize> {
    if backward {
        range.start..at.clamp(range.start, range.end)
    } else {
        at.clamp(range.start, range.end)..range.end
    }
}
