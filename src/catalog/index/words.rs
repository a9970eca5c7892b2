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

mod fold;
mod hits;
mod postings;

pub use fold::Query;
pub use hits::Hits;

use postings::{Gathered, Postings};
use roaring::RoaringBitmap;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;

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

/// What an entry of a dictionary costs beside what its key and its postings hold elsewhere: both of
/// them, in a tree node that is two thirds full.
const ENTRY_BYTES: usize = (size_of::<Box<str>>() + size_of::<Postings>()) * 3 / 2;

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

/// Words, and which documents have them in which field.
#[derive(Debug, Default)]
pub struct Words {
    terms: Dictionary<Box<str>>,
    /// Words by their first character: a query of one letter need not walk a tenth of all words.
    initials: Dictionary<char>,
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

/// Postings in the order of their keys.
#[derive(Debug)]
struct Dictionary<K> {
    entries: BTreeMap<K, Postings>,
    bytes: usize,
}

/// Which slots are being taken out of the postings, and how far that is.
#[derive(Debug)]
struct Sweep {
    slots: RoaringBitmap,
    /// The last term that was swept.
    at: Option<Box<str>>,
}

/// A key of a dictionary.
trait Term: Ord + Clone {
    /// What it holds elsewhere, in bytes.
    fn heap_bytes(&self) -> usize;
}

// === impl Document ===

impl Document<'_> {
    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Its distinct words in their order, each with the place of the heaviest field that has it.
    fn words(&self) -> BTreeMap<String, u8> {
        let mut found = BTreeMap::new();
        let mut left = MAX_WORDS;
        let tags = self.tags.iter().map(|tag| (*tag, 3));
        let before = [(self.name, 0), (self.brand, 1), (self.category, 2)];
        let texts = before.into_iter().chain(tags);
        for (text, field) in texts.chain([(self.description, 4)]) {
            fold::words(text, &mut |word| {
                if left > 0 && !found.contains_key(word) {
                    found.insert(word.to_owned(), field);
                }
                left = left.saturating_sub(1);
                left > 0
            });
        }
        found
    }
}

// === impl Words ===

impl Words {
    /// Whether `slot` has exactly this document.
    pub fn holds(&self, slot: u32, document: &Document<'_>) -> bool {
        self.live.contains(slot) && self.prints.get(slot as usize) == Some(&document.print())
    }

    /// Puts a document into a slot that has none: one never used, or one that
    /// [`reclaim`](Self::reclaim) returned. Any other is emptied first, which walks over everything.
    pub fn insert(&mut self, slot: u32, document: &Document<'_>) {
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
            *print = document.print();
        }
        let mut initials: Vec<(char, u8)> = Vec::new();
        for (word, field) in document.words() {
            // Words come in their order, so those of one initial come together.
            if let Some(initial) = word.chars().next() {
                match initials.last_mut() {
                    Some((last, best)) if *last == initial => *best = field.min(*best),
                    _ => initials.push((initial, field)),
                }
            }
            self.terms
                .add(word.as_str(), |word| word.into(), slot, field);
        }
        for (initial, field) in initials {
            self.initials.add(&initial, |initial| *initial, slot, field);
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
        self.terms.bytes + self.initials.bytes + prints + sets.sum::<usize>()
    }

    /// Documents that have `word`, or a word that begins with it, by score: disjoint, the best first,
    /// and only those `within`.
    fn grade(&self, word: &str, within: Option<&RoaringBitmap>) -> Vec<(u16, RoaringBitmap)> {
        let mut whole = Gathered::new(within);
        if let Some(postings) = self.terms.entries.get(word) {
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
    fn begun(&self, word: &str) -> Box<dyn Iterator<Item = &Postings> + '_> {
        let mut characters = word.chars();
        match (characters.next(), characters.next()) {
            (Some(initial), None) => Box::new(self.initials.entries.get(&initial).into_iter()),
            _ => {
                let word: Box<str> = word.into();
                let from = (Bound::Included(&*word), Bound::Unbounded);
                let from = self.terms.entries.range::<str, _>(from);
                let from = from.take_while(move |(term, _)| term.starts_with(&*word));
                Box::new(from.map(|(_, postings)| postings))
            }
        }
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
            at: None,
        });
    }

    fn go_on(&mut self, terms: usize) {
        let Some(mut sweep) = self.sweep.take() else {
            return;
        };
        sweep.at = self.terms.sweep(&sweep.slots, sweep.at.as_ref(), terms);
        if sweep.at.is_some() {
            self.sweep = Some(sweep);
            return;
        }
        self.initials.sweep(&sweep.slots, None, usize::MAX);
        self.vacant |= sweep.slots;
    }
}

// === impl Dictionary ===

impl<K: Term> Dictionary<K> {
    /// Notes that the document of `slot` has `term`, at best in `field`.
    fn add<Q: Ord + ?Sized>(&mut self, term: &Q, own: fn(&Q) -> K, slot: u32, field: u8)
    where
        K: Borrow<Q>,
    {
        if let Some(postings) = self.entries.get_mut(term) {
            self.bytes += postings.insert(slot, field);
        } else {
            let term = own(term);
            let postings = Postings::of(slot, field);
            self.bytes += ENTRY_BYTES + term.heap_bytes() + postings.heap_bytes();
            self.entries.insert(term, postings);
        }
    }

    /// Takes `slots` out of the postings of up to `limit` terms after `at`, and drops those that have
    /// none left. Returns the last term it came to, unless that was the last there is.
    fn sweep(&mut self, slots: &RoaringBitmap, at: Option<&K>, limit: usize) -> Option<K> {
        let from = at.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.entries.range_mut::<K, _>((from, Bound::Unbounded));
        let (mut empty, mut last, mut left) = (Vec::new(), None, limit);
        for (term, postings) in range {
            let before = postings.heap_bytes();
            if postings.remove_all(slots) {
                empty.push(term.clone());
            }
            self.bytes = (self.bytes + postings.heap_bytes()).saturating_sub(before);
            left -= 1;
            if left == 0 {
                last = Some(term.clone());
                break;
            }
        }
        for term in empty {
            if let Some(postings) = self.entries.remove(&term) {
                let gone = ENTRY_BYTES + term.heap_bytes() + postings.heap_bytes();
                self.bytes = self.bytes.saturating_sub(gone);
            }
        }
        last
    }
}

impl<K> Default for Dictionary<K> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
        }
    }
}

impl Term for Box<str> {
    fn heap_bytes(&self) -> usize {
        self.len() + ALLOCATION_BYTES
    }
}

impl Term for char {
    fn heap_bytes(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests;
