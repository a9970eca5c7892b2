//! Broad invalidations: a mark says that values with some tag which are older than a moment are not to be
//! relied on. It counts from the moment it is made, whatever there is under the tag: values are compared
//! with it when they are looked at, and nobody keeps a list of what has which tag.
//!
//! Marks have numbers, and an entry remembers the newest it was compared with. So a hit pays for comparing
//! two numbers, unless a mark has been made since. Loads that were under way when one was made never settle
//! ([`fence`](super::fence)), so what settles later is newer than all marks there are.

use super::entry::Entry;
use super::freshness::Trust;
use super::journal::Mark as Touched;
use super::ledger::{Record, RecordKey};
use super::tiers::Tiers;
use super::{Cache, Source};
use crate::clock::Moment;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// More marks than this become one about everything.
const MOST_MARKS: usize = 1000;

/// Under what the marks are kept over restarts: no digest, so it is nobody else's.
pub(super) const MARKS_RECORD: RecordKey = *b"marks: values not to rely on: v1";

/// The marks there are.
#[derive(Debug)]
pub(super) struct Marks<T> {
    /// The number of the newest.
    newest: AtomicU32,
    made: RwLock<Vec<Mark<T>>>,
}

/// A mark.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark<T> {
    number: u32,
    tag: T,
    /// Values the source vouched for at this moment or before are meant.
    at: Moment,
}

// === impl Marks ===

impl<T: Clone + Eq> Marks<T> {
    /// The number of the newest mark; zero if none was ever made.
    pub fn newest(&self) -> u32 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Makes a mark. One that is older than another with its tag says nothing new.
    fn make(&self, tag: T, at: Moment, everything: impl FnOnce() -> T) {
        let mut made = self.write();
        if made.iter().any(|mark| mark.tag == tag && mark.at > at) {
            return;
        }
        made.retain(|mark| mark.tag != tag);
        let newest = made.iter().map(|mark| mark.at).max();
        let number = self.newest() + 1;
        let mark = match made.len() < MOST_MARKS {
            true => Mark { number, tag, at },
            false => {
                made.clear();
                Mark {
                    number,
                    tag: everything(),
                    at: at.max(newest.unwrap_or(at)),
                }
            }
        };
        made.push(mark);
        self.newest.store(number, Ordering::Relaxed);
    }

    /// The tags that an entry has not been compared with, of marks that may mean it, and the newest number.
    fn unlike(&self, compared: u32, as_of: Moment) -> (Vec<T>, u32) {
        let made = self.read();
        let meant = made
            .iter()
            .filter(|mark| mark.number > compared && mark.at >= as_of);
        (meant.map(|mark| mark.tag.clone()).collect(), self.newest())
    }

    /// Drops the marks up to this number; false if there were none.
    fn drop_upto(&self, number: u32) -> bool {
        let mut made = self.write();
        let before = made.len();
        made.retain(|mark| mark.number > number);
        made.len() < before
    }

    fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn encode(&self, tag: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for mark in self.read().iter() {
            let tag = tag(&mark.tag);
            bytes.extend_from_slice(&mark.at.as_millis().to_le_bytes());
            bytes.extend_from_slice(&(tag.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&tag);
        }
        bytes
    }

    /// Takes over what [`Marks::encode`] wrote, up to what can not be read, unless marks were made since.
    fn decode(&self, mut bytes: &[u8], tag: impl Fn(&[u8]) -> Option<T>) {
        let mut made = self.write();
        if !made.is_empty() {
            return;
        }
        while let Some((at, rest)) = number(bytes)
            && let Some((length, rest)) = number(rest)
            && let Ok(length) = usize::try_from(length)
            && let Some((text, rest)) = rest.split_at_checked(length)
            && let Some(tag) = tag(text)
        {
            bytes = rest;
            let number = self.newest() + 1;
            let at = Moment::from_millis(at);
            made.push(Mark { number, tag, at });
            self.newest.store(number, Ordering::Relaxed);
        }
    }

    /// Every change leaves the marks whole, so a panic while holding the lock is moot.
    fn read(&self) -> RwLockReadGuard<'_, Vec<Mark<T>>> {
        self.made.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Marks::read`].
    fn write(&self) -> RwLockWriteGuard<'_, Vec<Mark<T>>> {
        self.made.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self {
            newest: AtomicU32::new(0),
            made: RwLock::new(Vec::new()),
        }
    }
}

impl<S: Source> Tiers<S> {
    /// Takes in what marks say about an entry that has not been compared with all of them.
    #[cold]
    pub fn compare(&self, key: &S::Key, entry: &Entry<S::Value>) {
        let (tags, newest) = self.marks.unlike(entry.compared(), entry.as_of());
        if entry.trusted() == Trust::Confirmed
            && !tags.is_empty()
            && self.source.has_any(key, entry, &tags)
        {
            entry.trust(Trust::Unconfirmed);
            self.contracts.changed(entry);
        }
        entry.set_compared(newest);
    }

    /// Takes over the marks that were kept in a store.
    pub fn restore_marks(&self, record: &Record) {
        let tag = |bytes: &[u8]| self.source.decode_tag(bytes);
        self.marks.decode(&record.bytes, tag);
    }

    /// Keeps the marks over restarts. Nobody waits for that: after a stop that was not in order, all values
    /// are unconfirmed anyway.
    fn keep_marks(&self, now: Moment) {
        let bytes = self.marks.encode(|tag| self.source.encode_tag(tag)).into();
        let expires_at = Moment::from_millis(u64::MAX);
        let record = Record { bytes, expires_at };
        self.ledger.keep(MARKS_RECORD, record, now);
        drop(self.journal.record(MARKS_RECORD));
    }
}

impl<S: Source> Cache<S> {
    /// Values with this tag that the source vouched for until now are not to be relied on: they answer as
    /// stale until they are confirmed, also after a restart. Loads that are under way do not settle.
    pub fn mark(&self, tag: S::Tag) {
        let (tiers, now) = (&self.inner.tiers, self.inner.clock.now());
        self.inner.fence.fact_about_all(|| {
            tiers.marks.make(tag, now, S::everything);
        });
        tiers.keep_marks(now);
    }

    /// The number of the newest mark: what a listing that begins now goes by.
    pub fn newest_mark(&self) -> u32 {
        self.inner.tiers.marks.newest()
    }

    /// A listing that began after the mark of this number has confirmed all that could be.
    pub fn unmark(&self, upto: u32) {
        let tiers = &self.inner.tiers;
        if tiers.marks.is_empty() {
            return;
        }
        // What it could not confirm keeps what the marks said of it.
        if let Some(memory) = &tiers.memory {
            memory.for_each(|key, entry| {
                tiers.compare(key, entry);
                if entry.trusted() != Trust::Confirmed {
                    tiers.journal.mark(key, Touched::Touch);
                }
            });
        }
        if tiers.marks.drop_upto(upto) {
            tiers.keep_marks(self.inner.clock.now());
        }
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Moment = Moment::from_millis(5000);

    fn tags(marks: &Marks<String>, compared: u32, as_of: u64) -> Vec<String> {
        marks.unlike(compared, Moment::from_millis(as_of)).0
    }

    fn make(marks: &Marks<String>, tag: &str, at: Moment) {
        marks.make(tag.to_owned(), at, || "all".to_owned());
    }

    #[test]
    fn a_mark_means_what_is_older_and_has_not_been_compared_with_it() {
        let marks = Marks::default();
        make(&marks, "a", NOW);
        make(&marks, "b", Moment::from_millis(6000));
        assert_eq!(tags(&marks, 0, 5000), ["a", "b"]);
        assert_eq!(tags(&marks, 0, 5001), ["b"]);
        assert_eq!(tags(&marks, 1, 0), ["b"]);
        assert!(tags(&marks, 2, 0).is_empty() && tags(&marks, 0, 6001).is_empty());
    }

    #[test]
    fn a_mark_made_again_never_gets_older_and_takes_one_place() {
        let marks = Marks::default();
        make(&marks, "a", NOW);
        make(&marks, "a", Moment::from_millis(4000));
        assert_eq!((marks.newest(), tags(&marks, 0, 5000).len()), (1, 1));
        make(&marks, "a", Moment::from_millis(7000));
        assert_eq!((marks.newest(), tags(&marks, 1, 7000).len()), (2, 1));
        assert!(tags(&marks, 0, 7001).is_empty());
    }

    #[test]
    fn too_many_marks_become_one_about_everything() {
        let marks = Marks::default();
        for number in 0..=MOST_MARKS {
            make(&marks, &number.to_string(), NOW);
        }
        assert_eq!(tags(&marks, 0, 5000), ["all"]);
        assert_eq!(marks.newest(), 1001);
    }

    #[test]
    fn marks_are_dropped_up_to_a_number() {
        let marks = Marks::default();
        for tag in ["a", "b", "c"] {
            make(&marks, tag, NOW);
        }
        assert!(marks.drop_upto(2));
        assert_eq!(tags(&marks, 0, 0), ["c"]);
        assert!(!marks.drop_upto(2));
    }

    proptest! {
        #[test]
        fn marks_survive_their_encoding_and_damage_is_no_more_than_a_loss(
            given in prop::collection::btree_map(".{0,20}", any::<u64>(), 0..8), cut: prop::sample::Index,
        ) {
            let marks = Marks::default();
            for (tag, at) in &given {
                make(&marks, tag, Moment::from_millis(*at));
            }
            let bytes = marks.encode(|tag| tag.clone().into_bytes());
            let decode = |bytes: &[u8]| {
                let marks = Marks::default();
                marks.decode(bytes, |tag| String::from_utf8(tag.to_vec()).ok());
                marks.read().clone()
            };
            prop_assert_eq!(&decode(&bytes), &*marks.read());
            let part = decode(&bytes[..cut.index(bytes.len() + 1)]);
            prop_assert!(marks.read().starts_with(&part));
        }
    }
}
