//! Full-text queries: the products that have all the words, filtered, by rank or in any other order.

use super::Index;
use super::collect::Nearest;
use super::documents::Number;
use super::row::{SharedTexts, Unpacked};
use super::rows::Slot;
use super::scan::{STEP, between_steps, passes, tests};
use super::search::{Edge, Found, Lengthy, Patience, Run};
use super::sequence::Sequence;
use super::table::Table;
use super::words::{Hits, Query};
use crate::product::{Criteria, Key, Place, ProductId};
use roaring::RoaringBitmap;

/// With no more rows than this a text is searched for on the spot.
const MODEST: usize = 2_000;

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

/// A page of all hits by rank.
fn ranked(table: &Table, hits: &Hits, edge: Edge<'_>, limit: usize) -> Run {
    let row = |number| table.rows.get(table.documents.slot(number)?);
    let id = |number| {
        row(number)
            .and_then(|row| row.id_text())
            .unwrap_or_default()
    };
    let most = limit + 1;
    let at = |place: &Place| {
        let slot = table.rows.find(place.id.as_str().as_bytes());
        let number = slot.and_then(|slot| table.documents.number(slot));
        let score = number.and_then(|number| hits.score(number));
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
    let found = found.into_iter().filter_map(|(score, number)| {
        let row = row(number)?;
        let id = ProductId::parse(row.id_text()?).ok()?;
        let keys = vec![Key::Integer(score.into())];
        Some(Found {
            place: Place { keys, id },
            version: row.version,
        })
    });
    Run {
        found: found.collect(),
        has_before: if backward { has_more } else { behind },
        has_after: if backward { behind } else { has_more },
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
