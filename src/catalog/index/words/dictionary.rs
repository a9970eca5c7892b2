//! Terms with their postings: found by hash, walked in the order of the alphabet.

use super::super::order::List;
use super::ALLOCATION_BYTES;
use super::postings::Postings;
use hashbrown::HashTable;
use roaring::RoaringBitmap;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use std::num::NonZeroU32;

/// What a term costs beside what its text and its postings hold elsewhere: its entry in a list a quarter
/// of which is spare, its place in the order, and one in a table by hash that is two thirds full.
const TERM_BYTES: usize = size_of::<Option<Entry>>() * 5 / 4 + 6 + 8;

/// Terms with their postings.
#[derive(Default)]
pub struct Dictionary {
    /// By the term's number.
    entries: Vec<Option<Entry>>,
    /// Numbers that were given up.
    vacant: Vec<u32>,
    by_text: HashTable<u32>,
    order: List,
    /// Held by the texts and the postings.
    heap_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    text: Box<str>,
    postings: Postings,
    /// The last round that added a document.
    round: u32,
    /// What its owner noted of it.
    note: Option<Place>,
}

/// A term's place in its dictionary: good until the term is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Place(NonZeroU32);

/// A document that has a term.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence {
    pub slot: u32,
    /// The heaviest field that has the term.
    pub field: u8,
    /// Tells one document's turn from that before: a term takes a document once.
    pub round: u32,
}

// === impl Dictionary ===

impl Dictionary {
    /// Terms there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// What it holds, in bytes: an estimate.
    pub fn bytes(&self) -> usize {
        self.by_text.len() * TERM_BYTES + self.heap_bytes
    }

    /// The documents that have `term`.
    pub fn get(&self, term: &str) -> Option<&Postings> {
        let number = self.by_text.find(hash_of(term), self.is(term))?;
        self.entry(*number).map(|entry| &entry.postings)
    }

    /// The postings of all terms that begin with `prefix`, itself included.
    pub fn begun(&self, prefix: &str) -> impl Iterator<Item = &Postings> {
        let from = self.order.rank(|number| self.text(number) < prefix);
        let to = self.order.rank(|number| {
            let text = self.text(number);
            text < prefix || text.starts_with(prefix)
        });
        let numbers = self.order.range(from..to);
        numbers.filter_map(|number| self.entry(number).map(|entry| &entry.postings))
    }

    /// The place of `term`, which is put in where it is not there.
    pub fn place(&mut self, term: &str, hash: u64) -> Place {
        if let Some(number) = self.by_text.find(hash, self.is(term)) {
            return Place::of(*number);
        }
        let entry = Entry {
            text: term.into(),
            postings: Postings::default(),
            round: 0,
            note: None,
        };
        self.heap_bytes += entry.heap_bytes();
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.entries.get_mut(number as usize) {
            *place = Some(entry);
        }
        let entries = &self.entries;
        let hash_of = |number: &u32| hash_of(text(entries, *number));
        self.by_text.insert_unique(hash, number, hash_of);
        let is_before = |number| text(entries, number) < term;
        self.order.insert(number, is_before);
        Place::of(number)
    }

    /// Adds a document to the postings of a term; false where this round has done so already.
    pub fn add(&mut self, place: Place, at: Occurrence) -> bool {
        let Some(entry) = self.entry_mut(place) else {
            return false;
        };
        if entry.round == at.round {
            return false;
        }
        entry.round = at.round;
        let grown = entry.postings.insert(at.slot, at.field);
        self.heap_bytes += grown;
        true
    }

    /// What was noted of a term.
    pub fn note(&self, place: Place) -> Option<Place> {
        self.entry(place.number())?.note
    }

    /// Notes something of a term.
    pub fn set_note(&mut self, place: Place, note: Place) {
        if let Some(entry) = self.entry_mut(place) {
            entry.note = Some(note);
        }
    }

    /// Begins to count rounds anew: the next is the first.
    pub fn forget_rounds(&mut self) {
        self.entries
            .iter_mut()
            .flatten()
            .for_each(|entry| entry.round = 0);
    }

    /// Gives back the room that growing left.
    pub fn shrink(&mut self) {
        self.heap_bytes = 0;
        for entry in self.entries.iter_mut().flatten() {
            entry.postings.shrink();
            self.heap_bytes += entry.heap_bytes();
        }
    }

    /// Takes `slots` out of the postings of up to `limit` terms from that with the number `from` on, and drops
    /// those that have none left. Returns where to go on, unless that were all.
    pub fn sweep(&mut self, slots: &RoaringBitmap, from: u32, limit: usize) -> Option<u32> {
        let to = (from as usize).saturating_add(limit);
        for at in from as usize..to.min(self.entries.len()) {
            let Some(Some(entry)) = self.entries.get_mut(at) else {
                continue;
            };
            let before = entry.postings.heap_bytes();
            let is_empty = entry.postings.remove_all(slots);
            self.heap_bytes =
                (self.heap_bytes + entry.postings.heap_bytes()).saturating_sub(before);
            if is_empty {
                self.drop_term(at);
            }
        }
        (to < self.entries.len()).then(|| u32::try_from(to).unwrap_or(u32::MAX))
    }

    fn drop_term(&mut self, at: usize) {
        let Ok(number) = u32::try_from(at) else {
            return;
        };
        // While its text can still be looked at.
        let term = text(&self.entries, number);
        let is_before = |other| text(&self.entries, other) < term;
        self.order.remove(number, is_before);
        if let Ok(found) = self
            .by_text
            .find_entry(hash_of(term), |other| *other == number)
        {
            found.remove();
        }
        if let Some(gone) = self.entries.get_mut(at).and_then(Option::take) {
            self.heap_bytes = self.heap_bytes.saturating_sub(gone.heap_bytes());
            self.vacant.push(number);
        }
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)?.as_ref()
    }

    fn entry_mut(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries.get_mut(place.number() as usize)?.as_mut()
    }

    fn text(&self, number: u32) -> &str {
        text(&self.entries, number)
    }

    fn is(&self, term: &str) -> impl Fn(&u32) -> bool {
        move |number| self.text(*number) == term
    }
}

// === impl Place ===

impl Place {
    fn of(number: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    fn number(self) -> u32 {
        self.0.get() - 1
    }
}

// === impl Entry ===

impl Entry {
    fn heap_bytes(&self) -> usize {
        self.text.len() + ALLOCATION_BYTES + self.postings.heap_bytes()
    }
}

/// The text of a term; nothing where there is no such term, which can not be.
fn text(entries: &[Option<Entry>], number: u32) -> &str {
    let entry = entries.get(number as usize).and_then(Option::as_ref);
    entry.map_or("", |entry| &entry.text)
}

/// The hash that a term is found by.
pub fn hash_of(term: &str) -> u64 {
    FxBuildHasher.hash_one(term)
}
