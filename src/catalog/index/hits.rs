//! Full-text queries: the products that have all the words, filtered, by rank or in any other order.

use super::Index;
use super::collect::Nearest;
use super::column::{Column, SortValue};
use super::documents::Number;
use super::row::{SharedTexts, Unpacked};
use super::rows::Slot;
use super::scan::{STEP, between_steps, passes, tests};
use super::search::{Edge, Found, Lengthy, Patience, Run};
use super::sequence::{Sequence, Slots};
use super::table::Table;
use super::words::{Hits, Query};
use crate::product::{Criteria, Key, Place, ProductId};
use roaring::RoaringBitmap;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// With no more rows than this a text is searched for on the spot.
const MODEST: usize = 2_000;

/// So many steps along the order of ids take as long as a look at one hit: its row is in no processor cache.
const STEPS_PER_LOOK: usize = 8;

/// The hits of one score.
struct Class {
    rank: i64,
    hits: Vec<Hit>,
}

/// Whose text was found, and which text that was.
type Hit = (Slot, Number);

/// Takes a hit and its rank.
type Visit<'v> = dyn FnMut(&Unpacked<'_>, i64, &SharedTexts) + 'v;

/// Looks at hits step by step.
struct Look<'a> {
    index: &'a Index,
    criteria: &'a Criteria,
    query: &'a Query,
    /// Products whose texts changed since they were found.
    changed: Vec<Slot>,
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
        let (query, sequence) = (Query::parse(text), Sequence::new(criteria));
        let classes = {
            let table = self.read();
            let hits = search(&table, &query, patience)?;
            if hits.is_empty() {
                return Ok(Run::default());
            }
            if sequence.by_rank && criteria.filter.is_empty() {
                return Ok(ranked(&table, &hits, edge, limit));
            }
            classes(&table, &hits, sequence.by_rank)
        };
        let mut nearest = Nearest::new(&sequence, edge, limit);
        let mut look = Look::new(self, criteria, &query);
        if sequence.by_rank {
            look.by_rank(&classes, edge, &mut nearest);
        } else {
            for class in &classes {
                look.at(class, &mut |row, rank, texts| {
                    nearest.offer(row, rank, texts)
                });
            }
        }
        look.again(&mut |row, rank, texts| nearest.offer(row, rank, texts));
        Ok(nearest.into_run())
    }

    /// How many products have the words of `text` and meet the conditions.
    pub(super) fn count_hits(
        &self,
        text: &str,
        criteria: &Criteria,
        patience: Patience,
    ) -> Result<u64, Lengthy> {
        let query = Query::parse(text);
        let classes = {
            let table = self.read();
            let hits = search(&table, &query, patience)?;
            if criteria.filter.is_empty() {
                return Ok(hits.len());
            }
            classes(&table, &hits, false)
        };
        let (mut look, mut count) = (Look::new(self, criteria, &query), 0);
        for class in &classes {
            look.at(class, &mut |_, _, _| count += 1);
        }
        look.again(&mut |_, _, _| count += 1);
        Ok(count)
    }
}

// === impl Look ===

impl<'a> Look<'a> {
    fn new(index: &'a Index, criteria: &'a Criteria, query: &'a Query) -> Self {
        Self {
            index,
            criteria,
            query,
            changed: Vec::new(),
        }
    }

    /// Offers the hits from the page's edge on, score by score, until the page is full.
    fn by_rank(&mut self, classes: &[Class], edge: Edge<'_>, nearest: &mut Nearest<'_>) {
        let (from, backward) = match edge {
            Edge::Start => (None, false),
            Edge::After(place) => (rank_of(place), false),
            Edge::Before(place) => (rank_of(place), true),
        };
        let is_behind =
            |rank: i64| from.is_some_and(|from| if backward { rank < from } else { rank > from });
        let (behind, mut ahead): (Vec<_>, Vec<_>) =
            classes.iter().partition(|class| is_behind(class.rank));
        if backward {
            ahead.reverse();
        }
        for class in ahead {
            if nearest.is_full() {
                break;
            }
            self.at(class, &mut |row, rank, texts| {
                nearest.offer(row, rank, texts)
            });
        }
        for class in behind {
            for step in class.hits.chunks(STEP) {
                if nearest.has_behind() {
                    return;
                }
                self.step(class.rank, step, &mut |row, rank, texts| {
                    nearest.offer(row, rank, texts)
                });
            }
        }
    }

    /// Visits the hits of one score that meet the conditions.
    fn at(&mut self, class: &Class, visit: &mut Visit<'_>) {
        for step in class.hits.chunks(STEP) {
            self.step(class.rank, step, visit);
        }
    }

    fn step(&mut self, rank: i64, hits: &[Hit], visit: &mut Visit<'_>) {
        {
            let table = self.index.read();
            let tests = tests(self.criteria, &table);
            for (slot, number) in hits {
                if table.documents.number(*slot) != Some(*number) {
                    self.changed.push(*slot);
                    continue;
                }
                let row = table.rows.get(*slot).map(|row| row.unpack());
                if let Some(row) = row.filter(|row| passes(row, &tests, &table)) {
                    visit(&row, rank, &table.texts);
                }
            }
        }
        between_steps();
    }

    /// Visits those whose texts changed meanwhile, as far as they are hits still.
    fn again(&self, visit: &mut Visit<'_>) {
        if self.changed.is_empty() {
            return;
        }
        let table = self.index.read();
        let (tests, hits) = (
            tests(self.criteria, &table),
            table.documents.search(self.query),
        );
        for slot in &self.changed {
            let number = table.documents.number(*slot);
            let score = number.and_then(|number| hits.score(number));
            let row = table.rows.get(*slot).map(|row| row.unpack());
            if let Some((score, row)) = score.zip(row)
                && passes(&row, &tests, &table)
            {
                visit(&row, score.into(), &table.texts);
            }
        }
    }
}

fn search(table: &Table, query: &Query, patience: Patience) -> Result<Hits, Lengthy> {
    if patience == Patience::Short && table.rows.len() > MODEST {
        return Err(Lengthy);
    }
    Ok(table.documents.search(query))
}

/// Whose texts the hits are: by rank, the best first, or all in one class.
fn classes(table: &Table, hits: &Hits, by_rank: bool) -> Vec<Class> {
    let class = |rank: u16, numbers: &RoaringBitmap| {
        let slot = |number| Some((table.documents.slot(number)?, number));
        Class {
            rank: rank.into(),
            hits: numbers.iter().filter_map(slot).collect(),
        }
    };
    if by_rank {
        let classes = hits.classes().iter();
        classes
            .map(|(score, numbers)| class(*score, numbers))
            .collect()
    } else {
        vec![class(0, &hits.slots())]
    }
}

/// A page of all hits by rank. Looks at no class beyond the last it needs.
fn ranked(table: &Table, hits: &Hits, edge: Edge<'_>, limit: usize) -> Run {
    let (from, backward) = match edge {
        Edge::Start => (None, false),
        Edge::After(place) => (Some(place), false),
        Edge::Before(place) => (Some(place), true),
    };
    let from = from.map(|place| (score_of(place), place.id.as_str().as_bytes()));
    let mut classes: Vec<_> = hits.classes().iter().collect();
    if backward {
        classes.reverse();
    }
    let (mut found, mut has_behind) = (Vec::new(), false);
    for (score, numbers) in classes {
        let order = from.map_or(Ordering::Less, |(from, _)| score.cmp(&from));
        let order = if backward { order.reverse() } else { order };
        let start = match from {
            _ if found.len() > limit => break,
            Some(_) if order.is_gt() => {
                has_behind = true;
                continue;
            }
            Some((_, id)) if order.is_eq() => Some(id),
            _ => None,
        };
        if let Some(id) = start {
            let behind = || first_of(table, numbers, Some((id, true)), !backward, 1);
            has_behind = has_behind || !behind().is_empty();
        }
        let start = start.map(|id| (id, false));
        let slots = first_of(table, numbers, start, backward, limit + 1 - found.len());
        found.extend(slots.into_iter().map(|slot| (*score, slot)));
    }
    let has_more = found.len() > limit;
    found.truncate(limit);
    if backward {
        found.reverse();
    }
    let found = found.into_iter().filter_map(|(score, slot)| {
        let row = table.rows.get(slot)?;
        let id = ProductId::parse(row.id_text()?).ok()?;
        let keys = vec![Key::Integer(score.into())];
        Some(Found {
            place: Place { keys, id },
            version: row.version(),
        })
    });
    Run {
        found: found.collect(),
        has_before: if backward { has_more } else { has_behind },
        has_after: if backward { has_behind } else { has_more },
    }
}

/// The first `limit` of the products whose texts have these numbers, in the order of their ids, or backward: from
/// an id on, with whether that is one of them. Either the order of ids is followed until they are met, or all
/// of them are looked at, whichever promises to be less.
fn first_of(
    table: &Table,
    numbers: &RoaringBitmap,
    start: Option<(&[u8], bool)>,
    backward: bool,
    limit: usize,
) -> Vec<Slot> {
    let all = usize::try_from(numbers.len()).unwrap_or(usize::MAX);
    let steps = table.rows.len().saturating_mul(limit) / all.max(1);
    if steps / STEPS_PER_LOOK < all {
        // Twice as far apart as if they lay evenly, and no farther: they may lie elsewhere altogether.
        let walked = walked(table, numbers, start, backward, limit, steps * 2 + STEP);
        if let Some(slots) = walked {
            return slots;
        }
    }
    looked_at(table, numbers, start, backward, limit)
}

/// As [`first_of`], by following the order of ids; `None` where that takes more steps.
fn walked(
    table: &Table,
    numbers: &RoaringBitmap,
    start: Option<(&[u8], bool)>,
    backward: bool,
    limit: usize,
    steps: usize,
) -> Option<Vec<Slot>> {
    let ids = Slots::new(table, (Column::Id, false))?;
    let range = match start {
        None => 0..ids.len(),
        Some((id, inclusive)) => {
            let at = ids.before((SortValue::Text(id), id), inclusive == backward);
            if backward { 0..at } else { at..ids.len() }
        }
    };
    let (mut left, ahead) = (steps, range.len());
    let mut found = Vec::with_capacity(limit.min(128));
    for slot in ids.iter(range, backward).take(steps) {
        left -= 1;
        let number = table.documents.number(slot);
        if number.is_some_and(|number| numbers.contains(number)) {
            found.push(slot);
            if found.len() == limit {
                return Some(found);
            }
        }
    }
    (left > 0 || ahead <= steps).then_some(found)
}

/// As [`first_of`], by looking at every one of them.
fn looked_at(
    table: &Table,
    numbers: &RoaringBitmap,
    start: Option<(&[u8], bool)>,
    backward: bool,
    limit: usize,
) -> Vec<Slot> {
    let hits = numbers.iter().filter_map(|number| {
        let slot = table.documents.slot(number)?;
        Some((table.rows.get(slot)?.id(), slot))
    });
    let follows = |id: &[u8]| {
        start.is_none_or(|(from, inclusive)| {
            let order = id.cmp(from);
            let order = if backward { order.reverse() } else { order };
            order.is_gt() || (inclusive && order.is_eq())
        })
    };
    let hits = hits.filter(|(id, _)| follows(id));
    if backward {
        let least = least(hits.map(Reverse), limit).into_iter();
        least.map(|Reverse((_, slot))| slot).collect()
    } else {
        least(hits, limit)
            .into_iter()
            .map(|(_, slot)| slot)
            .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::super::tests::{id, put};
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn hits_are_found_in_the_order_of_ids_by_walking_and_by_looking_at_all(
            names in btree_map(0u16..60, "[ab]", 0..50), changed in vec((0u16..60, "[ab]"), 0..30),
            from in proptest::option::of((0u16..62, any::<bool>())), backward: bool, limit in 1usize..8, steps in 0usize..70,
        ) {
            let index = Index::new(1 << 24, 0);
            let mut model = BTreeMap::new();
            for (number, name) in names.into_iter().chain(changed) {
                put(&index, &id(number), &serde_json::json!({"name": name, "price": {"amount": 1, "currency": "EUR"}}));
                model.insert(number, name);
            }
            let table = index.read();
            let hits = table.documents.search(&Query::parse("a")).slots();
            let from_id = from.map(|(from, inclusive)| (id(from), inclusive));
            let start = from_id.as_ref().map(|(id, inclusive)| (id.as_str().as_bytes(), *inclusive));
            let follows = |number: u16| from.is_none_or(|(from, inclusive)| {
                let order = if backward { from.cmp(&number) } else { number.cmp(&from) };
                order.is_gt() || (inclusive && order.is_eq())
            });
            let expected = model.iter().filter(|(number, name)| *name == "a" && follows(**number));
            let mut expected: Vec<_> = expected.map(|(number, _)| id(*number)).collect();
            if backward {
                expected.reverse();
            }
            let is_short = expected.len() < limit;
            expected.truncate(limit);
            let ids = |slots: Vec<Slot>| -> Vec<_> {
                let rows = slots.into_iter().map(|slot| table.rows.get(slot).unwrap());
                rows.map(|row| ProductId::parse(row.id_text().unwrap()).unwrap()).collect()
            };
            prop_assert_eq!(&ids(looked_at(&table, &hits, start, backward, limit)), &expected);
            prop_assert_eq!(&ids(first_of(&table, &hits, start, backward, limit)), &expected);
            prop_assert_eq!(&ids(walked(&table, &hits, start, backward, limit, 100).unwrap()), &expected);
            // With fewer steps than that it is the same, or nothing.
            if let Some(slots) = walked(&table, &hits, start, backward, limit, steps) {
                prop_assert_eq!(&ids(slots), &expected);
            } else {
                prop_assert!(is_short || steps < 60);
            }
        }
    }
}
