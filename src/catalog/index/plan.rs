//! How a query is best answered: by walking along an order and testing rows until the page is full, or
//! by looking at all rows that one condition leaves and keeping the best.

use super::column::{Column, SortValue};
use super::scan::Candidates;
use super::sequence::{Sequence, Sorted};
use super::table::Table;
use super::terms::{is_blurred, value_of};
use crate::product::{Comparison, Criteria, Field, Key, Operand, Term};
use std::ops::Range;

/// How a query is to be answered.
#[derive(Debug)]
pub struct Plan {
    /// Along which order, where walking promises to be cheaper than looking at every candidate.
    pub walk: Option<Along>,
    /// Where the candidates are.
    pub scan: Scan,
    /// Rows that are likely to be looked at.
    pub cost: usize,
}

/// The order that a walk follows.
#[derive(Debug)]
pub struct Along {
    /// Its columns.
    pub keys: Vec<Sorted>,
    /// What its first columns hold in all candidates: a place in the query's order stands there too.
    pub pinned: Vec<Key>,
}

/// Which rows hold all answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Those that the conditions on this column leave in its order.
    Range(Column),
    /// All.
    All,
}

/// What the conditions leave of the orders that are kept.
#[derive(Debug, Default)]
pub struct Ranges {
    /// Of the ascending order of each column: its positions.
    pub by_column: Vec<(Column, Range<usize>)>,
    /// Whether exactly the rows that are in all ranges meet all conditions.
    pub are_exact: bool,
}

// === impl Ranges ===

impl Ranges {
    /// The ranges that the conditions leave in the orders that `table` keeps.
    pub fn new(table: &Table, criteria: &Criteria) -> Self {
        let mut ranges = Self {
            by_column: Vec::new(),
            are_exact: criteria.text.is_none(),
        };
        for term in &criteria.filter {
            let Some((column, range)) = range_of(table, term) else {
                ranges.are_exact = false;
                continue;
            };
            ranges.are_exact &= !is_blurred(&term.operand);
            let known = ranges
                .by_column
                .iter_mut()
                .find(|(other, _)| *other == column);
            match known {
                Some((_, known)) => {
                    known.start = known.start.max(range.start);
                    known.end = known.end.min(range.end).max(known.start);
                }
                None => ranges.by_column.push((column, range)),
            }
        }
        ranges
    }

    /// The number of rows that meet the conditions, where the ranges alone tell.
    pub fn count(&self, table: &Table) -> Option<usize> {
        match self.by_column.as_slice() {
            _ if !self.are_exact => None,
            [] => Some(table.rows.len()),
            [(_, range)] => Some(range.len()),
            _ => None,
        }
    }

    /// The shortest, and how many rows it has.
    pub fn shortest(&self, table: &Table) -> (Scan, usize) {
        let shortest = self.by_column.iter().min_by_key(|(_, range)| range.len());
        shortest.map_or((Scan::All, table.rows.len()), |(column, range)| {
            (Scan::Range(*column), range.len())
        })
    }

    /// The rows that hold all answers. Taken down here and now, because rows that change meanwhile move
    /// in the orders.
    pub fn candidates(&self, table: &Table, scan: Scan) -> Candidates {
        let Scan::Range(column) = scan else {
            return Candidates::All;
        };
        let range = self.by_column.iter().find(|(other, _)| *other == column);
        match range.zip(table.order(column)) {
            Some(((_, range), list)) => Candidates::These(list.range(range.clone()).collect()),
            None => Candidates::All,
        }
    }
}

// === impl Plan ===

impl Plan {
    /// The plan for a page of `limit` products.
    pub fn new(
        table: &Table,
        criteria: &Criteria,
        sequence: &Sequence<'_>,
        ranges: &Ranges,
        limit: usize,
    ) -> Self {
        let (scan, candidates) = ranges.shortest(table);
        let by_scan = Self {
            walk: None,
            scan,
            cost: candidates,
        };
        if sequence.by_rank || criteria.text.is_some() {
            return by_scan;
        }
        let matches = expected(table, criteria, ranges).max(1);
        // One more tells whether there is a next page, another one whether there is a previous one.
        let wanted = limit + 2;
        let walks = walks(criteria, sequence).filter_map(|along| {
            let (column, _) = along.keys.first()?;
            let kept = |(column, _): &Sorted| table.order(*column).is_some();
            along.keys.iter().all(kept).then_some(())?;
            let range = ranges.by_column.iter().find(|(other, _)| other == column);
            let length = range.map_or(table.rows.len(), |(_, range)| range.len());
            Some((wanted.saturating_mul(length) / matches, along))
        });
        match walks.min_by_key(|(cost, _)| *cost) {
            Some((cost, along)) if cost <= candidates => Self {
                walk: Some(along),
                scan,
                cost,
            },
            _ => by_scan,
        }
    }
}

/// The columns whose orders help to answer a query.
pub fn columns(criteria: &Criteria) -> Vec<Column> {
    let sorted = criteria.sort.iter().map(|key| &key.field);
    let terms = criteria.filter.iter();
    let narrowed = terms
        .filter(|term| term.comparison != Comparison::NotEqual)
        .map(|term| &term.field);
    let mut columns: Vec<_> = sorted.chain(narrowed).filter_map(Column::of).collect();
    columns.sort_unstable_by_key(|column| *column as usize);
    columns.dedup();
    columns
}

/// The orders in which a walk meets the answers in the order that is asked for.
pub(super) fn walks(criteria: &Criteria, sequence: &Sequence<'_>) -> impl Iterator<Item = Along> {
    let as_asked = Along {
        keys: sequence.keys.clone(),
        pinned: Vec::new(),
    };
    // Rows with equal values are in the order of their ids.
    let by_id = match sequence.keys.as_slice() {
        [(Column::Id, descending)] => Some(*descending),
        _ => None,
    };
    let pinned = by_id.into_iter().flat_map(|descending| {
        let terms = criteria.filter.iter();
        let equal = terms.filter(|term| term.comparison == Comparison::Equal);
        equal
            .filter(|term| !is_blurred(&term.operand))
            .filter_map(move |term| {
                let column = Column::of(&term.field).filter(|column| *column != Column::Id)?;
                Some(Along {
                    keys: vec![(column, descending)],
                    pinned: vec![value_of(&term.operand).to_key()],
                })
            })
    });
    std::iter::once(as_asked).chain(pinned)
}

/// How many rows are likely to meet all conditions, as if these had nothing to do with each other.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a guess; and a float to integer cast saturates"
)]
fn expected(table: &Table, criteria: &Criteria, ranges: &Ranges) -> usize {
    let rows = table.rows.len().max(1) as f64;
    let narrowed = ranges
        .by_column
        .iter()
        .map(|(_, range)| range.len() as f64 / rows);
    let others = criteria.filter.iter().map(|term| {
        let uses = |text: &str| f64::from(table.texts.others.count(text)) / rows;
        match (&term.field, term.comparison, &term.operand) {
            (_, Comparison::NotEqual, _) => 1.0,
            (Field::Tags, Comparison::Equal, Operand::Text(tag)) => uses(tag).min(1.0),
            // Equal to a text, or to a number: the rows do not tell before they are looked at.
            (Field::Attribute(name), Comparison::Equal, Operand::Text(text)) => {
                let guess = (uses(name) / 20.0).max(uses(text));
                guess.min(uses(name)).min(1.0)
            }
            (Field::Attribute(name), _, _) => (uses(name) / 2.0).min(1.0),
            (Field::Tags, _, _) => 0.5,
            _ => 1.0,
        }
    });
    (rows * narrowed.chain(others).product::<f64>()) as usize
}

/// The positions in its column's ascending order outside of which no row meets the term; `None` where
/// the order is not kept or does not tell.
pub fn range_of(table: &Table, term: &Term) -> Option<(Column, Range<usize>)> {
    let column = Column::of(&term.field)?;
    let list = table.order(column)?;
    let operand = value_of(&term.operand);
    let below = |value: SortValue<'_>| list.rank(|slot| table.value(column, slot) < value);
    let upto = |value: SortValue<'_>| list.rank(|slot| table.value(column, slot) <= value);
    let present = || below(SortValue::Missing);
    let range = match term.comparison {
        Comparison::NotEqual => return None,
        Comparison::Equal => below(operand)..upto(operand),
        Comparison::Less => 0..below(operand),
        Comparison::LessOrEqual => 0..upto(operand),
        // What sorts like a long text may be longer than it.
        Comparison::Greater if is_blurred(&term.operand) => below(operand)..present(),
        Comparison::Greater => upto(operand)..present(),
        Comparison::GreaterOrEqual => below(operand)..present(),
    };
    Some((column, range.start..range.end.max(range.start)))
}
