//! Records on disk: one tree by key, one in order of expiry, so that making room reads what goes and
//! nothing else.
//!
//! The order is written before its record and deleted after it: a kill in between leaves an entry of the
//! order that is about nothing, and goes in its turn.

use super::{Disk, StoreError, guard};
use crate::cache::ledger::{MOST_RECORDS, Record, RecordKey};
use crate::cache::record::checksum;
use crate::clock::Moment;
use bytes::Bytes;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes that records may take on disk, live.
const MOST_BYTES: u64 = 256 << 20;

/// Records that go at once at most: whoever writes one must not wait for many.
const AT_ONCE: usize = 64;

/// Before a record's bytes: its checksum and its expiry.
const HEAD_BYTES: usize = 4 + 8;

/// What an entry of the order takes.
const ORDER_BYTES: u64 = 8 + 32 + 4;

/// How many records there are, and how many bytes they take.
#[derive(Debug, Default)]
pub(super) struct Size {
    count: AtomicU64,
    bytes: AtomicU64,
}

// === impl Disk ===

impl Disk {
    /// Counts the records, once after opening: reads the order, not the records.
    ///
    /// # Errors
    /// Where sled gives up.
    pub fn count_records(&self) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| {
            let (mut count, mut bytes) = (0, 0);
            for entry in self.order.iter() {
                let (_, size) = entry?;
                count += 1;
                bytes += ORDER_BYTES + read_size(&size);
            }
            self.size.count.store(count, Ordering::Relaxed);
            self.size.bytes.store(bytes, Ordering::Relaxed);
            Ok(())
        }))
    }

    /// The record of a key; one that is damaged is none.
    ///
    /// # Errors
    /// Where sled gives up.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        guard(AssertUnwindSafe(|| {
            let bytes = self.records.get(key)?;
            Ok(bytes.and_then(|bytes| decode(key, &bytes)))
        }))
    }

    /// Writes a record; durable after the next [`Disk::flush`]. Some of those that have expired, or that
    /// are too many, make room for it.
    ///
    /// # Errors
    /// Where sled gives up.
    pub fn put_record(
        &self,
        key: &RecordKey,
        record: &Record,
        now: Moment,
    ) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| {
            let bytes = encode(key, record);
            let size = u32::try_from(key.len() + bytes.len()).unwrap_or(u32::MAX);
            let place = place(record.expires_at, key);
            let had_place = self.order.insert(place, &size.to_le_bytes())?;
            let old = self.records.insert(key, bytes)?;
            match had_place {
                Some(old_size) => self.size.shrink(ORDER_BYTES + read_size(&old_size)),
                None => drop(self.size.count.fetch_add(1, Ordering::Relaxed)),
            }
            let grown = ORDER_BYTES + u64::from(size);
            self.size.bytes.fetch_add(grown, Ordering::Relaxed);
            let moved = old
                .and_then(|old| expiry(&old))
                .filter(|expires_at| *expires_at != record.expires_at);
            if let Some(expires_at) = moved {
                self.drop_place(&self::place(expires_at, key))?;
            }
            Ok(())
        }))?;
        self.drop_records(now, AT_ONCE)
    }

    /// Drops records that have expired, or that are too many; `at_once` at most, those that expire
    /// first before others.
    ///
    /// # Errors
    /// Where sled gives up.
    pub fn drop_records(&self, now: Moment, at_once: usize) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| {
            for entry in self.order.iter().take(at_once) {
                let (place, _) = entry?;
                let Some((expires_at, key)) = read_place(&place) else {
                    self.drop_place(&place)?;
                    continue;
                };
                if expires_at > now && !self.size.is_too_much() {
                    break;
                }
                // Under another expiry the record has another place in the order.
                let held = self.records.get(key)?;
                if held.and_then(|held| expiry(&held)) == Some(expires_at) {
                    self.records.remove(key)?;
                }
                self.drop_place(&place)?;
            }
            Ok(())
        }))
    }

    /// Copies every record that counts at `now` into another database.
    ///
    /// # Errors
    /// Where sled gives up, on either side.
    pub fn copy_records(&self, into: &Self, now: Moment) -> Result<(), StoreError> {
        let mut copied = Ok(());
        self.for_each_record(now, |key, record| {
            copied = into.put_record(key, &record, now);
            copied.is_ok()
        })?;
        copied
    }

    /// Visits every record that counts at `now`, those that expire first before others, until `visit`
    /// says that it is enough.
    ///
    /// # Errors
    /// Where sled gives up.
    pub fn for_each_record(
        &self,
        now: Moment,
        mut visit: impl FnMut(&RecordKey, Record) -> bool,
    ) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| {
            for entry in self.order.iter() {
                let (place, _) = entry?;
                let Some((expires_at, key)) = read_place(&place).filter(|(at, _)| *at > now) else {
                    continue;
                };
                let Some(bytes) = self.records.get(key)? else {
                    continue;
                };
                let record = decode(key, &bytes).filter(|found| found.expires_at == expires_at);
                if record.is_some_and(|record| !visit(key, record)) {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// Bytes that records take, live.
    pub(super) fn record_bytes(&self) -> u64 {
        self.size.bytes.load(Ordering::Relaxed)
    }

    fn drop_place(&self, place: &[u8]) -> super::Sled<()> {
        if let Some(size) = self.order.remove(place)? {
            self.size.count.fetch_sub(1, Ordering::Relaxed);
            self.size.shrink(ORDER_BYTES + read_size(&size));
        }
        Ok(())
    }
}

// === impl Size ===

impl Size {
    fn is_too_much(&self) -> bool {
        self.count.load(Ordering::Relaxed) > MOST_RECORDS as u64
            || self.bytes.load(Ordering::Relaxed) > MOST_BYTES
    }

    fn shrink(&self, by: u64) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.bytes
            .store(bytes.saturating_sub(by), Ordering::Relaxed);
    }
}

/// The checksum, the expiry, and what was recorded. The checksum is of all that follows it, and the key.
fn encode(key: &RecordKey, record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + record.bytes.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&record.expires_at.as_millis().to_le_bytes());
    bytes.extend_from_slice(&record.bytes);
    let (crc, rest) = bytes.split_at_mut(4);
    crc.copy_from_slice(&checksum(key, rest).to_le_bytes());
    bytes
}

fn decode(key: &RecordKey, bytes: &[u8]) -> Option<Record> {
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    let (millis, recorded) = rest.split_first_chunk::<8>()?;
    (u32::from_le_bytes(*crc) == checksum(key, rest)).then(|| Record {
        bytes: Bytes::copy_from_slice(recorded),
        expires_at: Moment::from_millis(u64::from_le_bytes(*millis)),
    })
}

/// The expiry of a record, read from its bytes.
fn expiry(bytes: &[u8]) -> Option<Moment> {
    let (_, rest) = bytes.split_first_chunk::<4>()?;
    let (millis, _) = rest.split_first_chunk::<8>()?;
    Some(Moment::from_millis(u64::from_le_bytes(*millis)))
}

/// A place in the order: big-endian, so that its bytes sort like its moments.
fn place(expires_at: Moment, key: &RecordKey) -> [u8; 40] {
    let mut place = [0; 40];
    let (moment, rest) = place.split_at_mut(8);
    moment.copy_from_slice(&expires_at.as_millis().to_be_bytes());
    rest.copy_from_slice(key);
    place
}

fn read_place(place: &[u8]) -> Option<(Moment, &RecordKey)> {
    let (millis, key) = place.split_first_chunk::<8>()?;
    let expires_at = Moment::from_millis(u64::from_be_bytes(*millis));
    Some((expires_at, key.try_into().ok()?))
}

fn read_size(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u32::from_le_bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> RecordKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn record(text: &str, expires_at: u64) -> Record {
        Record {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            expires_at: Moment::from_millis(expires_at),
        }
    }

    fn open() -> (tempfile::TempDir, Disk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        (dir, disk)
    }

    /// The counters are what a fresh count finds.
    fn counted(disk: &Disk) -> (u64, u64) {
        let read = || (disk.size.count.load(Ordering::Relaxed), disk.record_bytes());
        let kept = read();
        disk.count_records().unwrap();
        assert_eq!(kept, read());
        kept
    }

    const START: Moment = Moment::from_millis(0);

    #[test]
    fn a_record_survives_reopening_and_a_damaged_one_is_none() {
        let (dir, disk) = open();
        disk.put_record(&key(1), &record("one", 10), START).unwrap();
        disk.put_record(&key(2), &record("two", 20), START).unwrap();
        disk.flush().unwrap();
        drop(disk);
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        disk.count_records().unwrap();
        assert_eq!(disk.record(&key(1)).unwrap(), Some(record("one", 10)));
        assert_eq!(disk.record(&key(3)).unwrap(), None);
        let mut bytes = disk.records.get(key(2)).unwrap().unwrap().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        disk.records.insert(key(2), bytes).unwrap();
        assert_eq!(disk.record(&key(2)).unwrap(), None);
        disk.records.insert(key(2), b"torn").unwrap();
        assert_eq!(disk.record(&key(2)).unwrap(), None);
        assert_eq!(counted(&disk).0, 2);
    }

    #[test]
    fn what_expires_first_goes_first_and_what_was_kept_again_stays() {
        let (_dir, disk) = open();
        for number in 0..10 {
            let record = record("x", 100 + number);
            disk.put_record(&key(number), &record, START).unwrap();
        }
        disk.put_record(&key(0), &record("again", 500), START)
            .unwrap();
        assert_eq!(counted(&disk).0, 10);
        disk.drop_records(Moment::from_millis(105), 3).unwrap();
        assert_eq!(counted(&disk).0, 7, "three at once");
        disk.drop_records(Moment::from_millis(105), 100).unwrap();
        assert_eq!(counted(&disk).0, 5, "1 to 5 have expired");
        assert_eq!(disk.record(&key(5)).unwrap(), None);
        assert_eq!(disk.record(&key(6)).unwrap(), Some(record("x", 106)));
        assert_eq!(disk.record(&key(0)).unwrap(), Some(record("again", 500)));
        disk.drop_records(Moment::from_millis(1_000), 100).unwrap();
        assert_eq!(counted(&disk), (0, 0));
        assert!(disk.records.is_empty());
    }

    #[test]
    fn a_copy_has_what_still_counts() {
        let (_dir, disk) = open();
        let (_other, copy) = open();
        for number in 0..100 {
            let record = record("x", number);
            disk.put_record(&key(number), &record, START).unwrap();
        }
        disk.copy_records(&copy, Moment::from_millis(39)).unwrap();
        assert_eq!(counted(&copy).0, 60);
        assert_eq!(copy.record(&key(39)).unwrap(), None);
        assert_eq!(copy.record(&key(40)).unwrap(), Some(record("x", 40)));
    }

    #[test]
    fn there_are_a_hundred_thousand_at_most() {
        let (_dir, disk) = open();
        for number in 0..MOST_RECORDS as u64 + 50 {
            let record = record("x", 1_000 + number);
            disk.put_record(&key(number), &record, START).unwrap();
        }
        assert_eq!(counted(&disk).0, MOST_RECORDS as u64);
        assert_eq!(disk.record(&key(49)).unwrap(), None);
        assert!(disk.record(&key(50)).unwrap().is_some());
    }
}
