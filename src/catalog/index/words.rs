//! The full-text index: which products have all the words of a query, and how well each fits. Pure and
//! synchronous; whoever owns it keeps it in step with the rows.
//!
//! A document's score is a function of the document and the query alone: for each word of the query
//! the heaviest field that has it, whole words counting twice. Nothing drifts while other products
//! come and go, so a place in the order of scores stays where it is.
//!
//! **Slots.** Documents are known by small numbers that the caller gives out densely. A document whose
//! text changes gets another slot ([`Words::holds`] tells whether it does): its old slot is removed,
//! which only marks it, and is swept out of the postings little by little by the calls that follow. A
//! slot may be given out again once [`Words::reclaim`] returns it.

mod dictionary;
mod fold;
mod hits;
mod postings;

pub use fold::Query;
pub use hits::Hits;

use dictionary::Dictionary;
use postings::{Gathered, Postings};
use roaring::RoaringBitmap;
use std::hash::{DefaultHasher, Hash, Hasher};
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
const LEAST_MARKED: u64 = 1_024;

/// One sweep for each so many live documents that were replaced.
const LIVE_PER_MARKED: u64 = 16;

/// Postings that each change sweeps while there is something to sweep.
const SWEPT_PER_CHANGE: usize = 64;

/// What an allocation costs beside its bytes.
const ALLOCATION_BYTES: usize = 16;

/// A product's text. What is empty is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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

/// What the index takes in of a document. Making it is the larger part of the work, and needs nothing of
/// the index.
#[derive(Debug)]
pub struct Text {
    /// Tells one document from another.
    print: u64,
    /// The distinct words, one after the other, and which field is the heaviest that has each.
    words: String,
    parts: Vec<(Range<usize>, u8)>,
}

/// Words, and which documents have them in which field.
#[derive(Default)]
pub struct Words {
    terms: Dictionary,
    /// First characters of words: a query of one letter need not walk a tenth of all words.
    initials: Dictionary,
    /// The hash of each slot's document, so that one that did not change costs nothing else.
    prints: Vec<u64>,
    /// Slots that have a document.
    live: RoaringBitmap,
    /// Slots that were removed since the sweep in progress began.
    marked: RoaringBitmap,
    sweep: Option<Sweep>,
    /// Slots that were swept.
    vacant: RoaringBitmap,
}

/// Which slots are being taken out of the postings, and how far that is.
#[derive(Debug)]
struct Sweep {
    slots: RoaringBitmap,
    /// The number of the next term.
    at: u32,
}

// === impl Document ===

impl Document<'_> {
    /// What the index takes in of it.
    pub fn text(&self) -> Text {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let mut text = Text {
            print: hasher.finish(),
            words: String::new(),
            parts: Vec::new(),
        };
        let tags = self.tags.iter().map(|tag| (*tag, 3));
        let before = [(self.name, 0), (self.brand, 1), (self.category, 2)];
        let fields = before.into_iter().chain(tags);
        for (field, number) in fields.chain([(self.description, 4)]) {
            fold::words(field, &mut |word| {
                if text.parts.len() < MAX_WORDS {
                    let start = text.words.len();
                    text.words.push_str(word);
                    text.parts.push((start..text.words.len(), number));
                }
                text.parts.len() < MAX_WORDS
            });
        }
        text.settle();
        text
    }
}

// === impl Text ===

impl Text {
    /// The words in their order, each with the place of the heaviest field that has it.
    fn words(&self) -> impl Iterator<Item = (&str, u8)> {
        let word =
            |(part, field): &(Range<usize>, u8)| Some((self.words.get(part.clone())?, *field));
        self.parts.iter().filter_map(word)
    }

    /// Puts the words in their order, and leaves each of them once.
    fn settle(&mut self) {
        let words = &self.words;
        let word = |part: &Range<usize>| words.get(part.clone()).unwrap_or_default();
        self.parts
            .sort_unstable_by(|(one, a), (other, b)| word(one).cmp(word(other)).then(a.cmp(b)));
        self.parts
            .dedup_by(|(later, _), (first, _)| word(later) == word(first));
    }
}

// === impl Words ===

impl Words {
    /// Whether `slot` has exactly the document of this text.
    pub fn holds(&self, slot: u32, text: &Text) -> bool {
        self.live.contains(slot) && self.prints.get(slot as usize) == Some(&text.print)
    }

    /// Puts a document into a slot that has none: one never used, or one that
    /// [`reclaim`](Self::reclaim) returned. Any other is emptied first, which walks over everything.
    pub fn insert(&mut self, slot: u32, text: &Text) {
        self.remove(slot);
        if !self.is_clean(slot) {
            self.sweep_all();
        }
        self.vacant.remove(slot);
        self.live.insert(slot);
        let at = slot as usize;
        if self.prints.len() <= at {
            self.prints.resize(at + 1, 0);
        }
        if let Some(print) = self.prints.get_mut(at) {
            *print = text.print;
        }
        let mut initials: Vec<(&str, u8)> = Vec::new();
        for (word, field) in text.words() {
            // Words come in their order, so those of one initial come together.
            let initial = initial(word);
            match initials.last_mut() {
                Some((last, best)) if *last == initial => *best = field.min(*best),
                _ => initials.push((initial, field)),
            }
            self.terms.add(word, slot, field);
        }
        for (initial, field) in initials {
            self.initials.add(initial, slot, field);
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

    /// A slot that was removed and may be given out again.
    pub fn reclaim(&mut self) -> Option<u32> {
        let slot = self.vacant.min()?;
        self.vacant.remove(slot);
        Some(slot)
    }

    /// Every document that has all the words of `query`, or words that begin with them. None where the
    /// query has no words.
    pub fn search(&self, query: &Query) -> Hits {
        let mut words: Vec<_> = query.words().map(|word| (self.size(word), word)).collect();
        words.sort_unstable();
        let mut matching: Option<RoaringBitmap> = None;
        let mut grades = Vec::with_capacity(words.len());
        for (_, word) in words {
            let grade = self.grade(word, matching.as_ref());
            let all = hits::union(&grade);
            if all.is_empty() {
                return Hits::default();
            }
            matching = Some(all);
            grades.push(grade);
        }
        Hits::sum(matching.unwrap_or_default(), grades)
    }

    /// What the index holds, in bytes: an estimate that is at most a third off.
    pub fn bytes(&self) -> usize {
        let sweep = self.sweep.as_ref().map(|sweep| &sweep.slots);
        let sets = [&self.live, &self.marked, &self.vacant];
        let sets = sets.into_iter().chain(sweep).map(postings::set_bytes);
        let prints = self.prints.capacity() * size_of::<u64>();
        self.terms.bytes() + self.initials.bytes() + prints + sets.sum::<usize>()
    }

    /// Documents that have `word`, or a word that begins with it, by score: disjoint, the best first,
    /// and only those `within`.
    fn grade(&self, word: &str, within: Option<&RoaringBitmap>) -> Vec<(u16, RoaringBitmap)> {
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
        let mut classes: Vec<(u16, RoaringBitmap)> = Vec::with_capacity(grades.len());
        for (score, mut set) in grades {
            set &= &self.live;
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
            if size > self.live.len() {
                break;
            }
        }
        size
    }

    /// Whether no posting names `slot`, though it has no document.
    fn is_clean(&self, slot: u32) -> bool {
        let is_swept = |sweep: &Sweep| !sweep.slots.contains(slot);
        !self.marked.contains(slot) && self.sweep.as_ref().is_none_or(is_swept)
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
        if let Some(at) = self.terms.sweep(&sweep.slots, sweep.at, terms) {
            sweep.at = at;
            self.sweep = Some(sweep);
            return;
        }
        self.initials.sweep(&sweep.slots, 0, usize::MAX);
        self.vacant |= sweep.slots;
    }
}

/// The first character of a word.
fn initial(word: &str) -> &str {
    let first = word.chars().next().map_or(0, char::len_utf8);
    word.get(..first).unwrap_or(word)
}

#[cfg(test)]
mod tests;
