//! Coming back from disk.

use super::Tiers;
use crate::cache::entry::Entry;
use crate::cache::freshness::{Trust, Verdict};
use crate::cache::journal::Mark;
use crate::cache::memory::{Memory, overhead_bytes};
use crate::cache::record::{Content, Row};
use crate::cache::{Known, Source};
use crate::clock::Moment;
use std::sync::Arc;

/// What came back from disk of a key.
pub(in crate::cache) struct Revived<S: Source> {
    /// As of when the key existed.
    pub as_of: Moment,
    /// The value, if it may still answer or not.
    entry: Option<Arc<Entry<S::Value>>>,
    /// What the source made of it.
    reading: Option<S::Reading>,
    is_usable: bool,
    summary: Option<Vec<u8>>,
}

// === impl Tiers ===

impl<S: Source> Tiers<S> {
    /// Makes of what lies on disk what it was, with its true age; `clean` tells whether the store was
    /// left in order.
    pub fn revive(
        &self,
        key: &S::Key,
        row: Row,
        content: Option<&[u8]>,
        now: Moment,
        clean: bool,
    ) -> Revived<S> {
        let mut revived = Revived {
            as_of: row.as_of.min(now),
            entry: None,
            reading: None,
            is_usable: false,
            summary: content
                .filter(|_| matches!(row.content, Content::Summary(_)))
                .map(<[u8]>::to_vec),
        };
        let value = content.filter(|_| matches!(row.content, Content::Value(_)));
        let Some(value) = value.and_then(|value| self.source.decode(value)) else {
            return revived;
        };
        let weight = self.source.weight(key, &value) + overhead_bytes::<S::Place>();
        let contract = self.contracts.number_of(|| self.source.encode_key(key));
        let jitter = if contract == 0 {
            row.jitter_per_mille
        } else {
            0
        };
        let entry = Entry::new(value, revived.as_of, jitter, weight).under(contract);
        // A time in the future means a clock was set back: the true age is not known.
        entry.trust(match row.trust {
            Trust::Confirmed if !clean || row.as_of > now => Trust::Unconfirmed,
            trust => trust,
        });
        revived.is_usable = self.judge(&entry, now) != Verdict::Expired;
        revived.entry = Some(Arc::new(entry));
        revived
    }

    /// Makes of it what takes less of the time of whoever restores it.
    pub fn read_ahead(&self, revived: &mut Revived<S>) {
        let entry = revived.entry.as_ref();
        revived.reading = entry.and_then(|entry| self.source.read_ahead(entry));
    }

    /// Brings a key back from the store: its value only where nothing newer is known, and room is left.
    pub fn restore(&self, key: &S::Key, found: &Revived<S>) {
        if self.peek(key).is_some() {
            return;
        }
        let fits = |entry: &Arc<Entry<S::Value>>| {
            let weight = entry.weight_bytes();
            let has_room = |memory: &Memory<_>| memory.has_room_for(key, weight);
            found.is_usable
                && weight <= self.config.max_entry_bytes
                && self.memory.as_ref().is_some_and(has_room)
        };
        let reading = found.reading.as_ref();
        match (&self.memory, &found.entry) {
            (Some(memory), Some(entry)) if fits(entry) => {
                self.note_newest(found.as_of);
                let (is_held, _) = self.hold(memory, key, entry, reading);
                // It came by itself before, and lost its place: its value was about to go from disk.
                if is_held && self.journal.pending(key).is_some() {
                    self.journal.mark(key, Mark::Save);
                }
            }
            (_, entry) => {
                (self.source).learned(key, found.known(), reading, found.as_of);
                if entry.is_some() && found.is_usable && self.memory.is_some() {
                    self.journal.mark(key, self.unheld(found.as_of));
                }
            }
        }
        self.make_room();
    }

    /// A stored row that something newer speaks against, or that was invalidated with all others: its
    /// value must go, but that the key exists still counts, unless that is what was contradicted.
    pub fn refuse_restored(&self, key: &S::Key, found: &Revived<S>) {
        match self.journal.pending(key) {
            Some(Mark::Remove) => return,
            Some(_) => {}
            None if self.peek(key).is_some() => return,
            None => self.journal.mark(key, self.unheld(found.as_of)),
        }
        self.still_exists(key, found.known(), found.as_of);
    }

    /// What stays on disk of a key whose value goes.
    fn unheld(&self, as_of: Moment) -> Mark {
        match self.source.remembers() {
            true => Mark::Row(as_of, None),
            false => Mark::Remove,
        }
    }
}

// === impl Revived ===

impl<S: Source> Revived<S> {
    fn known(&self) -> Known<'_, S::Value> {
        match (&self.entry, &self.summary) {
            (Some(entry), _) => Known::Value(entry),
            (None, Some(summary)) => Known::Summary(summary),
            (None, None) => Known::Nothing,
        }
    }
}
