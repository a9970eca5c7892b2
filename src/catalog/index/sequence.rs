//! The order that a query asks for: what comes before what, and where a product stands in it.

use super::column::{Column, SortValue};
use super::order::List;
use super::row::{SharedTexts, Unpacked};
use super::rows::Slot;
use super::search::Found;
use super::table::Table;
use crate::product::{Criteria, Key, Place, ProductId};
use std::cmp::Ordering;
use std::ops::Range;

/// One member of an order, and whether the greatest comes first.
pub type Sorted = (Column, bool);

/// The order of a query's answers.
#[derive(Debug)]
pub struct Sequence<'a> {
    criteria: &'a Criteria,
    /// The rank is asked for, or at least one column; none follows the id.
    pub keys: Vec<Sorted>,
    /// By rank, the best first, then by id.
    pub by_rank: bool,
}

/// The slots of one column's order, as that goes in one direction: values that are missing come last
/// in both. Positions count from its beginning.
pub struct Slots<'t> {
    table: &'t Table,
    column: Column,
    list: &'t List,
    descending: bool,
    /// Slots with a value.
    present: usize,
}

// === impl Sequence ===

impl<'a> Sequence<'a> {
    /// The order that `criteria` ask for.
    pub fn new(criteria: &'a Criteria) -> Self {
        let mut keys = Vec::new();
        for key in &criteria.sort {
            keys.extend(Column::of(&key.field).map(|column| (column, key.descending)));
            if keys.last().is_some_and(|(column, _)| *column == Column::Id) {
                break;
            }
        }
        if keys.is_empty() {
            keys.push((Column::Id, false));
        }
        Self {
            criteria,
            keys,
            by_rank: criteria.text.is_some() && criteria.sort.is_empty(),
        }
    }

    /// How a row compares with a place.
    pub fn compare(
        &self,
        row: &Unpacked<'_>,
        rank: i64,
        texts: &SharedTexts,
        place: &Place,
    ) -> Ordering {
        if self.by_rank {
            let other = match place.keys.first() {
                Some(Key::Integer(rank)) => *rank,
                _ => 0,
            };
            return other
                .cmp(&rank)
                .then_with(|| row.id.cmp(place.id.as_str().as_bytes()));
        }
        compare_with(
            &self.keys,
            row,
            texts,
            &place.keys,
            place.id.as_str().as_bytes(),
        )
    }

    /// A row and where it stands; `None` where its id is none, which can not be.
    pub fn found(&self, row: &Unpacked<'_>, rank: i64, texts: &SharedTexts) -> Option<Found> {
        let keys = if self.by_rank {
            vec![Key::Integer(rank)]
        } else {
            let columns = self
                .criteria
                .sort
                .iter()
                .filter_map(|key| Column::of(&key.field));
            columns
                .map(|column| row.sort_value(column, texts).to_key())
                .collect()
        };
        let id = std::str::from_utf8(row.id).ok()?;
        let id = ProductId::parse(id).ok()?;
        Some(Found {
            place: Place { keys, id },
            version: row.version(),
        })
    }
}

// === impl Slots ===

impl<'t> Slots<'t> {
    /// The slots in the order of `column`; `None` where that is not kept.
    pub fn new(table: &'t Table, (column, descending): Sorted) -> Option<Self> {
        let list = table.order(column)?;
        let has_value = |slot| table.value(column, slot) < SortValue::Missing;
        // Of most members no product is without.
        let is_full = column == Column::Id || list.last().is_none_or(has_value);
        let present = if is_full {
            list.len()
        } else {
            list.rank(has_value)
        };
        Some(Self {
            table,
            column,
            list,
            descending,
            present,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// How many come before a place, with `or_equal` also counting what stands right there.
    pub fn before(&self, place: (SortValue<'_>, &[u8]), or_equal: bool) -> usize {
        let rank = |or_equal| {
            self.list.rank(|slot| {
                let order = self.table.compare(self.column, slot, place);
                order.is_lt() || (or_equal && order.is_eq())
            })
        };
        match (self.descending, place.0) {
            (false, _) => rank(or_equal),
            (true, SortValue::Missing) => self.present + self.len() - rank(!or_equal),
            (true, _) => self.present - rank(!or_equal),
        }
    }

    /// The positions of all with this value.
    pub fn group(&self, value: SortValue<'_>) -> Range<usize> {
        if value == SortValue::Missing {
            return self.present..self.len();
        }
        let column = self.column;
        let range = self
            .list
            .rank(|slot| self.table.value(column, slot) < value)
            ..self
                .list
                .rank(|slot| self.table.value(column, slot) <= value);
        self.positions(&range)
    }

    /// The positions of a range of the ascending order that has only values.
    pub fn positions(&self, range: &Range<usize>) -> Range<usize> {
        if self.descending {
            self.present.saturating_sub(range.end)..self.present.saturating_sub(range.start)
        } else {
            range.clone()
        }
    }

    /// The slots at these positions, from the first or from the last.
    pub fn iter(&self, at: Range<usize>, backward: bool) -> Box<dyn Iterator<Item = Slot> + 't> {
        let list: &'t List = self.list;
        if !self.descending {
            let slots = list.range(at);
            return if backward {
                Box::new(slots.rev())
            } else {
                Box::new(slots)
            };
        }
        let (present, length) = (self.present, list.len());
        let with_value = at.start.min(present)..at.end.min(present);
        let without = at.start.max(present) - present..at.end.max(present) - present;
        let with_value = list.range(present - with_value.end..present - with_value.start);
        let without = list.range(length - without.end..length - without.start);
        if backward {
            Box::new(without.chain(with_value))
        } else {
            Box::new(with_value.rev().chain(without.rev()))
        }
    }
}

/// How a row compares with a place in the order of `keys`, ties by id in the direction of the last.
pub fn compare_with(
    keys: &[Sorted],
    row: &Unpacked<'_>,
    texts: &SharedTexts,
    place: &[Key],
    id: &[u8],
) -> Ordering {
    let values = keys.iter().enumerate().map(|(at, (column, descending))| {
        let held = row.sort_value(*column, texts);
        let other = value_at(*column, place.get(at), id);
        compare_values(held, other, *descending)
    });
    let by_values = values.fold(Ordering::Equal, Ordering::then);
    by_values.then_with(|| by_ids(keys, row.id, id))
}

/// How two rows compare in the order of `keys`.
pub fn compare_rows(
    keys: &[Sorted],
    texts: &SharedTexts,
    one: &Unpacked<'_>,
    other: &Unpacked<'_>,
) -> Ordering {
    let values = keys.iter().map(|(column, descending)| {
        compare_values(
            one.sort_value(*column, texts),
            other.sort_value(*column, texts),
            *descending,
        )
    });
    let by_values = values.fold(Ordering::Equal, Ordering::then);
    by_values.then_with(|| by_ids(keys, one.id, other.id))
}

/// What a place says of a column: of the id, that is the id itself.
pub fn value_at<'k>(column: Column, key: Option<&'k Key>, id: &'k [u8]) -> SortValue<'k> {
    match column {
        Column::Id => SortValue::Text(id),
        _ => key.map_or(SortValue::Missing, SortValue::of),
    }
}

fn by_ids(keys: &[Sorted], one: &[u8], other: &[u8]) -> Ordering {
    match keys.last() {
        Some((_, true)) => other.cmp(one),
        _ => one.cmp(other),
    }
}

fn compare_values(one: SortValue<'_>, other: SortValue<'_>, descending: bool) -> Ordering {
    let is_missing = |value| value == SortValue::Missing;
    if descending && !is_missing(one) && !is_missing(other) {
        other.cmp(&one)
    } else {
        one.cmp(&other)
    }
}
