//! The full-text index: which products have all the words of a query, and how well each fits. Pure and
//! synchronous; whoever owns it keeps it in step with the rows.
//!
//! A document's score is a function of the document and the query alone: for each word of the query
//! the heaviest field that has it, whole words counting twice. Nothing drifts while other products
//! come and go, so a place in the order of scores stays where it is.
//!
//! **Slots.** Documents are known by small numbers that the caller gives out densely. A document whose
//! text changes gets another slot: its old slot is removed, which only marks it, and is swept out of the
//! postings little by little by the calls that follow. A slot may be given out again once
//! [`Words::reclaim`] returns it.

mod dictionary;
mod fold;
mod hits;
mod postings;
mod set;

pub use fold::Query;
pub use hits::{Class, Hits};

use dictionary::{Dictionary, Occurrence, Place, hash_of};
use postings::{Gathered, Postings};
use roaring::RoaringBitmap;
use set::Set;
use std::ops::Range;

/// Fields that are looked at, the heaviest first.
const FIELDS: usize = 5;

/// What a word of the query counts for where the field has it, by field.
const WEIGHTS: [u16; FIELDS] = [10, 7, 5, 3, 1];

/// A whole word counts this much more than the beginning of one.
const WHOLE: u16 = 2;

/// How many words of a document count, its fields in the order of their weight.
const MAX_WORDS: usize = 2_000;

/// Marked slots below which sweeping is not worth a walk over all postings.
const LEAST_MARKED: u32 = 1_024;

/// One sweep for each so many live documents that were replaced.
const LIVE_PER_MARKED: u32 = 16;

/// Postings that each change sweeps while there is something to sweep.
const SWEPT_PER_CHANGE: usize = 64;

/// What an allocation costs beside its bytes.
const ALLOCATION_BYTES: usize = 16;

/// A product's text. What is empty is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document<'a> {
    /// `name`, the heaviest.
    pub name: &'a str,
    /// `brand`
    pub brand: &'a str,
    /// `category`
    pub category: &'a str,
    /// `tags`
    pub tags: Vec<&'a str>,
    /// `description`, the lightest.
    pub description: &'a str,
}

/// What the index takes in of a document. Making it needs nothing of the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The words, one after the other.
    words: String,
    /// In the order of the fields, the heaviest first; a word may be there more than once.
    parts: Vec<Part>,
}

/// One word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    hash: u64,
    place: Range<u32>,
    field: u8,
}

/// Words, and which documents have them in which field.
#[derive(Default)]
pub struct Words {
    terms: Dictionary,
    /// First characters of words: a query of one letter need not walk a tenth of all words.
    initials: Dictionary,
    /// Tells the insertion in progress from those before.
    round: u32,
    /// Slots that have a document.
    live: Set,
    /// Slots that were removed since the sweep in progress began.
    marked: Set,
    sweep: Option<Sweep>,
    /// Slots that were swept.
    vacant: Set,
}

/// Which slots are being taken out of the postings, and how far that is.
#[derive(Debug)]
struct Sweep {
    slots: Set,
    /// The number of the next term.
    at: u32,
}

// === impl Document ===

impl Document<'_> {
    /// What the index takes in of it.
    pub fn text(&self) -> Text {
        let tags = self.tags.iter().map(|tag| (*tag, 3));
        let before = [(self.name, 0), (self.brand, 1), (self.category, 2)];
        let fields = before.into_iter().chain(tags);
        let fields = fields.chain([(self.description, 4)]);
        let bytes = fields.clone().map(|(field, _)| field.len()).sum::<usize>();
        // For words of six letters, and a few compounds; where that is not enough, it grows.
        let mut text = Text {
            words: String::with_capacity(bytes + bytes / 8),
            parts: Vec::with_capacity((bytes / 6).min(MAX_WORDS)),
        };
        for (field, number) in fields {
            let parts = &mut text.parts;
            fold::words(field, &mut text.words, &mut |word, place| {
                if parts.len() < MAX_WORDS {
                    parts.push(Part::new(word, place, number));
                }
                parts.len() < MAX_WORDS
            });
        }
        text
    }
}

// === impl Text ===

impl Text {
    /// The words, each with its hash and the field that has it.
    fn words(&self) -> impl Iterator<Item = (&str, u64, u8)> {
        self.parts.iter().filter_map(|part| {
            let place = part.place.start as usize..part.place.end as usize;
            Some((self.words.get(place)?, part.hash, part.field))
        })
    }
}

// === impl Part ===

impl Part {
    fn new(word: &str, place: Range<usize>, field: u8) -> Self {
        let at = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            hash: hash_of(word),
            place: at(place.start)..at(place.end),
            field,
        }
    }
}

// === impl Words ===

impl Words {
    /// Puts a document into a slot that has none: one never used, or one that
    /// [`reclaim`](Self::reclaim) returned. Any other is emptied first, which walks over everything.
    pub fn insert(&mut self, slot: u32, text: &Text) {
        self.remove(slot);
        if !self.is_clean(slot) {
            self.sweep_all();
        }
        self.vacant.remove(slot);
        self.live.insert(slot);
        let round = self.next_round();
        for (word, hash, field) in text.words() {
            let at = Occurrence { slot, field, round };
            // The heaviest field that has a word comes first, so that nothing has to be put right.
            let term = self.terms.place(word, hash);
            if self.terms.add(term, at) {
                let initial = self.initial(term, word);
                self.initials.add(initial, at);
            }
        }
        self.sweep_some(SWEPT_PER_CHANGE);
    }

    /// Takes out the document of `slot`, if it has one.
    pub fn remove(&mut self, slot: u32) {
        if self.live.remove(slot) {
            self.marked.insert(slot);
            self.sweep_some(SWEPT_PER_CHANGE);
        }
    }

    /// Whether `slot` has a document.
    pub fn has(&self, slot: u32) -> bool {
        self.live.slots().contains(slot)
    }

    /// Whether a document may be put into `slot`: it has none, and no posting names it.
    pub fn is_free(&self, slot: u32) -> bool {
        !self.has(slot) && self.is_clean(slot)
    }

    /// A slot that was removed and may be given out again.
    pub fn reclaim(&mut self) -> Option<u32> {
        let slot = self.vacant.slots().min()?;
        self.vacant.remove(slot);
        Some(slot)
    }

    /// Every document that has all the words of `query`, or words that begin with them. None where the
    /// query has no words.
    pub fn search(&self, query: &Query) -> Hits {
        let mut words: Vec<_> = query.words().map(|word| (self.size(word), word)).collect();
        words.sort_unstable();
        let mut hits: Option<Hits> = None;
        for (_, word) in words {
            let within = hits.as_ref().map(Hits::slots);
            if within.as_ref().is_some_and(RoaringBitmap::is_empty) {
                break;
            }
            let grade = self.grade(word, within.as_ref());
            hits = Some(match hits {
                Some(hits) => hits.and(&grade),
                None => Hits::of(grade),
            });
        }
        hits.unwrap_or_default()
    }

    /// Gives back the room that growing left: after many documents came at once.
    pub fn shrink(&mut self) {
        self.terms.shrink();
        self.initials.shrink();
        self.live.shrink();
    }

    /// What the index holds, in bytes: an estimate that is at most a third off.
    pub fn bytes(&self) -> usize {
        let sweep = self.sweep.as_ref().map(|sweep| &sweep.slots);
        let sets = [&self.live, &self.marked, &self.vacant];
        let sets = sets.into_iter().chain(sweep).map(Set::bytes);
        self.terms.bytes() + self.initials.bytes() + sets.sum::<usize>()
    }

    /// A number that no insertion has had that any term remembers.
    fn next_round(&mut self) -> u32 {
        if self.round == u32::MAX {
            self.terms.forget_rounds();
            self.initials.forget_rounds();
            self.round = 0;
        }
        self.round += 1;
        self.round
    }

    /// The place of a term's initial.
    fn initial(&mut self, term: Place, word: &str) -> Place {
        if let Some(initial) = self.terms.note(term) {
            return initial;
        }
        let initial = initial(word);
        let place = self.initials.place(initial, hash_of(initial));
        self.terms.set_note(term, place);
        place
    }

    /// Documents that have `word`, or a word that begins with it, by score: disjoint, the best first,
    /// none empty, and only those `within`.
    fn grade(&self, word: &str, within: Option<&RoaringBitmap>) -> Vec<Class> {
        let mut whole = Gathered::new(within);
        if let Some(postings) = self.terms.get(word) {
            whole.add(postings);
        }
        let mut begun = Gathered::new(within);
        for postings in self.begun(word) {
            begun.add(postings);
        }
        let score = |factor| move |(set, weight): (_, u16)| (weight * factor, set);
        let whole = whole.into_sets().into_iter().zip(WEIGHTS);
        let begun = begun.into_sets().into_iter().zip(WEIGHTS);
        let mut grades: Vec<_> = whole.map(score(WHOLE)).chain(begun.map(score(1))).collect();
        grades.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        let mut seen = RoaringBitmap::new();
        let mut classes: Vec<Class> = Vec::with_capacity(grades.len());
        for (score, mut set) in grades {
            set -= self.marked.slots();
            if let Some(sweep) = &self.sweep {
                set -= sweep.slots.slots();
            }
            set -= &seen;
            seen |= &set;
            match classes.last_mut() {
                Some((last, class)) if *last == score => *class |= set,
                _ if set.is_empty() => {}
                _ => classes.push((score, set)),
            }
        }
        classes
    }

    /// The postings of all words that begin with `word`, itself included.
    fn begun(&self, word: &str) -> impl Iterator<Item = &Postings> {
        let dictionary = if initial(word) == word {
            &self.initials
        } else {
            &self.terms
        };
        dictionary.begun(word)
    }

    /// About how many documents `word` finds: enough to begin with the rarest.
    fn size(&self, word: &str) -> u64 {
        let mut size = 0;
        for postings in self.begun(word) {
            size += postings.len();
            if size > u64::from(self.live.len()) {
                break;
            }
        }
        size
    }

    /// Whether no posting names `slot`, though it has no document.
    fn is_clean(&self, slot: u32) -> bool {
        let is_swept = |sweep: &Sweep| !sweep.slots.slots().contains(slot);
        !self.marked.slots().contains(slot) && self.sweep.as_ref().is_none_or(is_swept)
    }

    /// Goes on with the sweep in progress for so many terms, or begins one where it is worth while.
    fn sweep_some(&mut self, terms: usize) {
        if self.sweep.is_none() {
            let enough = LEAST_MARKED.max(self.live.len() / LIVE_PER_MARKED);
            if self.marked.len() < enough {
                return;
            }
            self.begin_sweep();
        }
        self.go_on(terms);
    }

    /// Sweeps out every marked slot.
    fn sweep_all(&mut self) {
        self.go_on(usize::MAX);
        self.begin_sweep();
        self.go_on(usize::MAX);
    }

    fn begin_sweep(&mut self) {
        self.sweep = Some(Sweep {
            slots: std::mem::take(&mut self.marked),
            at: 0,
        });
    }

    fn go_on(&mut self, terms: usize) {
        let Some(mut sweep) = self.sweep.take() else {
            return;
        };
        if let Some(at) = self.terms.sweep(sweep.slots.slots(), sweep.at, terms) {
            sweep.at = at;
            self.sweep = Some(sweep);
            return;
        }
        self.initials.sweep(sweep.slots.slots(), 0, usize::MAX);
        self.vacant.add_all(sweep.slots.slots());
    }
}

/// The first character of a word.
fn initial(word: &str) -> &str {
    let first = word.chars().next().map_or(0, char::len_utf8);
    word.get(..first).unwrap_or(word)
}

#[cfg(test)]
mod tests;
