//! Records: bytes under a key until a moment, beside the values and independent of them. No source can
//! bring a record back, so unlike a value it is on disk before whoever keeps it goes on.
//!
//! Memory holds the youngest within a bound; the store holds more (see [`store`](super::store)). Both
//! are in order of expiry, so that making room looks at what goes and at nothing else.

use super::store::Disk;
use crate::clock::Moment;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most records that are held, in memory and in the store.
pub(super) const MOST_RECORDS: usize = 100_000;

/// The most bytes that records may take in memory, their places in the tables included.
const MOST_BYTES: usize = 16 << 20;

/// What a place in the tables costs, in bytes: a key in each, and the tables' own share.
const PLACE_BYTES: usize = 192;

/// What a record is found by. A digest, so that all are of one size.
pub type RecordKey = [u8; 32];

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// What was recorded.
    pub bytes: Bytes,
    /// Until when it counts.
    pub expires_at: Moment,
}

/// The records in memory, and the way to those on disk.
#[derive(Default)]
pub(super) struct Ledger {
    held: Mutex<Held>,
    disk: Mutex<Option<Disk>>,
}

#[derive(Default)]
struct Held {
    by_key: HashMap<RecordKey, Record>,
    by_expiry: BTreeSet<(Moment, RecordKey)>,
    bytes: usize,
}

// === impl Ledger ===

impl Ledger {
    /// Keeps a record in memory; those that expire first make room for it.
    pub fn keep(&self, key: RecordKey, record: Record, now: Moment) {
        let mut held = lock(&self.held);
        held.remove(&key);
        held.bytes += record.weight();
        held.by_expiry.insert((record.expires_at, key));
        held.by_key.insert(key, record);
        held.make_room(now);
    }

    /// Keeps a record that was found on disk, unless memory has one of its key: that is newer.
    pub fn keep_found(&self, key: RecordKey, record: Record, now: Moment) {
        if self.held(&key).is_none() {
            self.keep(key, record, now);
        }
    }

    /// The record of a key, if it is in memory.
    pub fn held(&self, key: &RecordKey) -> Option<Record> {
        lock(&self.held).by_key.get(key).cloned()
    }

    /// The keys of all records in memory.
    pub fn keys(&self) -> Vec<RecordKey> {
        lock(&self.held).by_key.keys().copied().collect()
    }

    /// Names the database in which further records lie, or says that there is none.
    pub fn attach(&self, disk: Option<Disk>) {
        // What was there is dropped after the lock: closing a database takes its time.
        let _before = std::mem::replace(&mut *lock(&self.disk), disk);
    }

    /// The database in which further records lie.
    pub fn disk(&self) -> Option<Disk> {
        lock(&self.disk).clone()
    }
}

// === impl Record ===

impl Record {
    fn weight(&self) -> usize {
        self.bytes.len() + PLACE_BYTES
    }
}

// === impl Held ===

impl Held {
    fn remove(&mut self, key: &RecordKey) {
        if let Some(record) = self.by_key.remove(key) {
            self.by_expiry.remove(&(record.expires_at, *key));
            self.bytes = self.bytes.saturating_sub(record.weight());
        }
    }

    fn make_room(&mut self, now: Moment) {
        while let Some((expires_at, key)) = self.by_expiry.first().copied()
            && (expires_at <= now || self.by_key.len() > MOST_RECORDS || self.bytes > MOST_BYTES)
        {
            self.remove(&key);
        }
    }
}

/// Tables that belong together are changed by calls that can not panic in between, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> RecordKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn record(size: usize, expires_at: u64) -> Record {
        Record {
            bytes: Bytes::from(vec![b'x'; size]),
            expires_at: Moment::from_millis(expires_at),
        }
    }

    fn consistent(ledger: &Ledger) -> usize {
        let held = lock(&ledger.held);
        assert_eq!(held.by_key.len(), held.by_expiry.len());
        let bytes: usize = held.by_key.values().map(Record::weight).sum();
        assert_eq!(held.bytes, bytes);
        assert!(bytes <= MOST_BYTES && held.by_key.len() <= MOST_RECORDS);
        held.by_key.len()
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_what_expires_first_goes_first() {
        let ledger = Ledger::default();
        let now = Moment::from_millis(0);
        for number in 0..40 {
            ledger.keep(key(number), record(1 << 20, 1_000 + number as u64), now);
        }
        assert_eq!(consistent(&ledger), 15);
        assert!(ledger.held(&key(24)).is_none());
        assert!(ledger.held(&key(25)).is_some());
        // One that is too large for all of it is not kept, and takes all with it.
        ledger.keep(key(99), record(MOST_BYTES, 2_000), now);
        assert_eq!(consistent(&ledger), 0);
    }

    #[test]
    fn a_record_that_is_kept_again_takes_one_place() {
        let ledger = Ledger::default();
        for size in [10, 1_000, 1] {
            ledger.keep(key(1), record(size, size as u64), Moment::from_millis(0));
            assert_eq!(consistent(&ledger), 1);
            assert_eq!(ledger.held(&key(1)), Some(record(size, size as u64)));
        }
    }

    #[test]
    fn what_has_expired_makes_room_before_anything_else() {
        let ledger = Ledger::default();
        for number in 0..10 {
            ledger.keep(
                key(number),
                record(1, number as u64),
                Moment::from_millis(0),
            );
        }
        ledger.keep(key(10), record(1, 10), Moment::from_millis(7));
        assert_eq!(consistent(&ledger), 3);
        assert!(ledger.held(&key(7)).is_none());
    }
}
