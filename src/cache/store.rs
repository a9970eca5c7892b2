//! The persistent tier on sled 0.34: one database of two trees, and two more for records. This is the
//! only file that knows sled.
//!
//! sled can panic on damaged files and return errors for full disks, so every call goes through
//! [`guard`], and whoever gets a [`StoreError`] decides what the service does without a store.
//!
//! A key's row lies before its value or summary, so that what comes for the first time costs one insertion:
//! more than half of what a store costs is finding the place. A row that changes alone lies in a tree of its
//! own, and counts where its checksum is that of what lies there. It goes after what it was about: a kill in
//! between leaves one that is about nothing or, where the same value was written again, an older row.

mod error;
mod records;

pub use error::{StoreError, classify_io};

use super::freshness::Trust;
use super::record::{Content, Row, checksum};
use crate::clock::Moment;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// sled's own page cache: this part of the cap, and no more and no less than so many bytes. It is written in the order
/// of keys and read at start, so a larger one hardly helps; sled's default of 1 GiB would be twice our cap.
const PAGE_CACHE_SHARE: u64 = 64;
const PAGE_CACHE_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=16 << 20;

/// What a byte in sled's page cache takes in memory, with what is there but not counted yet. Measured: 3 while all lies there
/// as it came, 5 once every row was touched, as small things take more.
const PAGE_CACHE_FACTOR: u64 = 5;

/// What sled holds in memory for a row with its value, whether that is in the page cache or not, in bytes: where
/// its page lies. Measured, at 300,000 to 2,000,000 rows.
pub const STORED_ROW_BYTES: usize = 36;

/// How often sled flushes by itself; the writer flushes (and looks at the result) each second.
const FLUSH_EVERY_MS: u64 = 500;

/// How often a locked database is tried, and the pause between.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// An open database.
#[derive(Clone)]
pub struct Disk {
    db: sled::Db,
    /// Each key's row, and what it is about.
    values: sled::Tree,
    /// Later rows of what lies there.
    touches: sled::Tree,
    /// Whether there may be any.
    has_touches: Arc<AtomicBool>,
    state: sled::Tree,
    records: sled::Tree,
    /// The records' keys, in order of expiry.
    order: sled::Tree,
    page_cache: u64,
    live_bytes: Arc<AtomicU64>,
    row_count: Arc<AtomicU64>,
    size: Arc<records::Size>,
}

/// What a call into sled gives.
type Sled<T> = sled::Result<T>;

/// What a scan met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Rows found.
    pub rows: u64,
    /// Rows whose value was damaged, and things that are no row.
    pub unreadable: u64,
}

// === impl Disk ===

impl Disk {
    /// Opens the database in `path`, or creates it, for a cache of `max_bytes`.
    ///
    /// # Errors
    /// Every [`StoreError`]. A damaged snapshot is dropped once: sled rebuilds it from its log.
    pub fn open(path: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        match Self::open_unlocked(path, max_bytes) {
            Err(StoreError::Corrupt(_)) if drop_snapshots(path).unwrap_or(false) => {
                Self::open_unlocked(path, max_bytes)
            }
            result => result,
        }
    }

    /// sled's own threads hold the lock for a moment after a database was closed or failed to open,
    /// and so does a replica that is being replaced: one refusal proves nothing.
    fn open_unlocked(path: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        for _ in 1..LOCK_ATTEMPTS {
            match Self::open_once(path, max_bytes) {
                Err(StoreError::Locked) => {}
                result => return result,
            }
            #[allow(
                clippy::disallowed_methods,
                reason = "this thread has nothing else to do"
            )]
            std::thread::sleep(LOCK_PAUSE);
        }
        Self::open_once(path, max_bytes)
    }

    fn open_once(path: &Path, max_bytes: u64) -> Result<Self, StoreError> {
        let share = max_bytes / PAGE_CACHE_SHARE;
        let page_cache = share.clamp(*PAGE_CACHE_BYTES.start(), *PAGE_CACHE_BYTES.end());
        guard(|| {
            let db = sled::Config::new()
                .path(path)
                .cache_capacity(page_cache)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .open()?;
            let touches = db.open_tree("touches")?;
            let is_touched = touches.iter().next().transpose()?.is_some();
            Ok(Self {
                values: db.open_tree("values")?,
                touches,
                has_touches: Arc::new(AtomicBool::new(is_touched)),
                state: db.open_tree("state")?,
                records: db.open_tree("records")?,
                order: db.open_tree("records-by-expiry")?,
                page_cache,
                live_bytes: Arc::default(),
                row_count: Arc::default(),
                size: Arc::default(),
                db,
            })
        })
    }

    /// Visits every readable key in order, with its value or summary where it has one.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where sled gives up; what was visited before stands.
    pub fn scan(
        &self,
        mut visit: impl FnMut(&[u8], Row, Option<&[u8]>),
    ) -> Result<Scan, StoreError> {
        guard(AssertUnwindSafe(|| {
            let mut scan = Scan::default();
            let mut live = 0;
            let mut touches = self.touches.iter();
            let mut ahead = touches.next().transpose()?;
            for found in self.values.iter() {
                let (key, bytes) = found?;
                scan.rows += 1;
                live += (key.len() + bytes.len()) as u64;
                // Both trees are in key order: touches before this key are about nothing.
                while ahead.as_ref().is_some_and(|(other, _)| *other < key) {
                    ahead = touches.next().transpose()?;
                }
                let touch = ahead.take_if(|(other, _)| *other == key);
                if let Some((key, touch)) = &touch {
                    live += (key.len() + touch.len()) as u64;
                    ahead = touches.next().transpose()?;
                }
                let touch = touch.as_ref().map(|(_, touch)| &**touch);
                let Some((row, content)) = Row::split(&bytes) else {
                    scan.unreadable += 1;
                    continue;
                };
                let row = row.touched(touch);
                match row.content.checksum() {
                    Some(crc) if crc == checksum(&key, content) => visit(&key, row, Some(content)),
                    None => visit(&key, row, None),
                    Some(_) => {
                        scan.unreadable += 1;
                        visit(&key, row, None);
                    }
                }
            }
            self.live_bytes.store(live, Ordering::Relaxed);
            self.row_count.store(scan.rows, Ordering::Relaxed);
            Ok(scan)
        }))
    }

    /// The row and value of one key.
    pub fn get(&self, key: &[u8]) -> Result<Option<(Row, Vec<u8>)>, StoreError> {
        guard(AssertUnwindSafe(|| {
            let Some(bytes) = self.values.get(key)? else {
                return Ok(None);
            };
            let value = Row::split(&bytes).filter(|(row, value)| row.is_of_value(key, value));
            let Some((row, value)) = value else {
                return Ok(None);
            };
            let touch = self.touches.get(key)?;
            Ok(Some((row.touched(touch.as_deref()), value.to_vec())))
        }))
    }

    /// Applies changes; each is durable after the next [`Disk::flush`]. `summarize` makes a summary of a
    /// value's bytes.
    pub fn write(
        &self,
        changes: impl Iterator<Item = (Vec<u8>, Change)>,
        summarize: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| {
            let mut bytes = Vec::new();
            for (key, change) in changes {
                let key = key.as_slice();
                match change {
                    Change::Save(row, content) => {
                        bytes.clear();
                        bytes.extend_from_slice(&row.encode());
                        bytes.extend_from_slice(&content);
                        self.put(key, &bytes)?;
                    }
                    Change::Touch(row) => self.touch(key, row)?,
                    Change::Summarize(as_of, summary) => {
                        self.summarize(key, as_of, summary, &summarize)?;
                    }
                    Change::Remove => {
                        let old = self.values.remove(key)?;
                        if old.is_some() {
                            self.row_count.fetch_sub(1, Ordering::Relaxed);
                        }
                        self.account(0, old.map(|old| key.len() + old.len()));
                        self.drop_touch(key)?;
                    }
                }
            }
            Ok(())
        }))
    }

    /// Leaves a summary of a key, and no value: the one given, or one of the value that lies there.
    fn summarize(
        &self,
        key: &[u8],
        as_of: Moment,
        summary: Option<Vec<u8>>,
        summarize: &impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> sled::Result<()> {
        let row = |content| Row {
            as_of,
            trust: Trust::Confirmed,
            jitter_per_mille: 0,
            content,
        };
        let summary = match summary {
            Some(summary) => Some(summary),
            None => {
                let held = self.values.get(key)?;
                match held.as_deref().and_then(Row::split) {
                    // It is there already.
                    Some((held, _)) if matches!(held.content, Content::Summary(_)) => {
                        return self.touch(key, row(held.content));
                    }
                    Some((held, value)) if held.is_of_value(key, value) => summarize(value),
                    _ => None,
                }
            }
        };
        let content = summary.as_ref().map_or(Content::None, |summary| {
            Content::Summary(checksum(key, summary))
        });
        let mut bytes = row(content).encode().to_vec();
        bytes.extend_from_slice(summary.as_deref().unwrap_or_default());
        self.put(key, &bytes)
    }

    /// A row and what it is about, instead of what there is of a key.
    fn put(&self, key: &[u8], bytes: &[u8]) -> sled::Result<()> {
        let old = self.values.insert(key, bytes)?;
        if old.is_none() {
            self.row_count.fetch_add(1, Ordering::Relaxed);
        }
        self.account(
            key.len() + bytes.len(),
            old.map(|old| key.len() + old.len()),
        );
        self.drop_touch(key)
    }

    /// A later row of what there is of a key.
    fn touch(&self, key: &[u8], row: Row) -> sled::Result<()> {
        self.has_touches.store(true, Ordering::Relaxed);
        let bytes = row.encode();
        let old = self.touches.insert(key, bytes.as_slice())?;
        self.account(
            key.len() + bytes.len(),
            old.map(|old| key.len() + old.len()),
        );
        Ok(())
    }

    fn drop_touch(&self, key: &[u8]) -> sled::Result<()> {
        if self.has_touches.load(Ordering::Relaxed) {
            let old = self.touches.remove(key)?;
            self.account(0, old.map(|old| key.len() + old.len()));
        }
        Ok(())
    }

    fn account(&self, grown: usize, shrunk: Option<usize>) {
        let live = self.live_bytes.load(Ordering::Relaxed) + grown as u64;
        self.live_bytes.store(
            live.saturating_sub(shrunk.unwrap_or(0) as u64),
            Ordering::Relaxed,
        );
    }

    /// A named piece of the store's own state.
    pub fn state(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        guard(AssertUnwindSafe(|| {
            Ok(self.state.get(name)?.map(|value| value.to_vec()))
        }))
    }

    /// Sets or removes a named piece of the store's own state.
    pub fn set_state(&self, name: &str, value: Option<&[u8]>) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| {
            match value {
                Some(value) => self.state.insert(name, value)?,
                None => self.state.remove(name)?,
            };
            Ok(())
        }))
    }

    /// Makes everything written so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        guard(AssertUnwindSafe(|| self.db.flush().map(|_| ())))
    }

    /// Bytes of keys, rows, values and records that are in use.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed) + self.record_bytes()
    }

    /// What sled holds in memory, in bytes, beside what any database of its takes: its page cache, as far as there is
    /// something to be in it, and where pages lie. An estimate.
    pub fn held_bytes(&self) -> u64 {
        let cached = (PAGE_CACHE_FACTOR * self.page_cache).min(self.live_bytes());
        cached + STORED_ROW_BYTES as u64 * self.rows()
    }

    /// Rows there are, once scanned. sled's own count reads the whole tree, and never ends on a page
    /// that it can not read.
    pub fn rows(&self) -> u64 {
        self.row_count.load(Ordering::Relaxed)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        guard(AssertUnwindSafe(|| {
            Ok(self.values.iter().next().transpose()?.is_none())
        }))
    }

    /// Closes it on a thread of its own: where files are damaged, that may panic or take for ever.
    pub fn let_go(self) {
        let closing = std::thread::Builder::new().name("cache-store-closing".to_owned());
        // Without a thread the handle is dropped here and now.
        let _ = closing.spawn(move || drop(self));
    }

    /// Bytes on disk.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        guard(AssertUnwindSafe(|| self.db.size_on_disk()))
    }
}

/// One change to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row, and what it is about: a value, a summary or nothing.
    Save(Row, Vec<u8>),
    /// A new row for what is there.
    Touch(Row),
    /// A row without a value, that says the key existed at this moment; and a summary: this one, or with
    /// none what is known from what is there.
    Summarize(Moment, Option<Vec<u8>>),
    /// Nothing left.
    Remove,
}

/// Runs a call into sled; a panic there means that the files are damaged.
fn guard<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| classify(&error)),
        Err(_) => Err(StoreError::Corrupt("sled panicked on it".to_owned())),
    }
}

fn classify(error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(io) => classify_io(io),
        error => StoreError::Corrupt(error.to_string()),
    }
}

/// Removes sled's snapshot files, which it can do without. True if there were any.
fn drop_snapshots(path: &Path) -> io::Result<bool> {
    let mut dropped = false;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path())?;
            dropped = true;
        }
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(content: Content) -> Row {
        Row {
            as_of: Moment::from_millis(1),
            trust: Trust::Confirmed,
            jitter_per_mille: 0,
            content,
        }
    }

    fn saved(key: &[u8], value: &[u8]) -> Change {
        Change::Save(row(Content::Value(checksum(key, value))), value.to_vec())
    }

    #[test]
    fn a_scan_counts_what_it_can_not_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        let changes: [(&[u8], Change); 5] = [
            (b"a", saved(b"a", b"1")),
            (b"b", saved(b"b", b"2")),
            (b"c", Change::Summarize(Moment::default(), None)),
            (b"d", saved(b"d", b"4")),
            (b"e", saved(b"e", b"5")),
        ];
        disk.write(
            changes
                .into_iter()
                .map(|(key, change)| (key.to_vec(), change)),
            |_| None,
        )
        .unwrap();
        let read = || {
            let mut read = Vec::new();
            let scan = disk.scan(|key, _, value| {
                let key = String::from_utf8_lossy(key).into_owned();
                read.push((key, value.map(|value| value.to_vec())));
            });
            (
                scan.unwrap(),
                read.iter().filter(|(_, value)| value.is_some()).count(),
            )
        };
        assert_eq!(
            read(),
            (
                Scan {
                    rows: 5,
                    unreadable: 0
                },
                4
            )
        );

        let mut garbled = disk.values.get(b"a").unwrap().unwrap().to_vec();
        *garbled.last_mut().unwrap() ^= 1;
        disk.values.insert(b"a", garbled).unwrap();
        disk.touch(b"b2", row(Content::None)).unwrap();
        disk.values.insert(b"e", b"no row").unwrap();
        assert_eq!(
            read(),
            (
                Scan {
                    rows: 5,
                    unreadable: 2
                },
                2
            )
        );
    }

    #[test]
    fn a_value_that_is_held_no_more_leaves_its_summary() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        let write = |key: &[u8], change| {
            let shortened = |value: &[u8]| value.get(..1).map(<[u8]>::to_vec);
            let change = std::iter::once((key.to_vec(), change));
            disk.write(change, shortened).unwrap();
        };
        let read = |key: &[u8]| {
            let mut found = None;
            disk.scan(|other, row, content| {
                if other == key {
                    let is_summary = matches!(row.content, Content::Summary(_));
                    found = Some((row.as_of, is_summary, content.map(<[u8]>::to_vec)));
                }
            })
            .unwrap();
            found.unwrap()
        };
        let at = Moment::from_millis;
        write(b"a", saved(b"a", b"value"));
        assert_eq!(read(b"a"), (at(1), false, Some(b"value".to_vec())));
        write(b"a", Change::Summarize(at(2), None));
        assert_eq!(read(b"a"), (at(2), true, Some(b"v".to_vec())));
        assert_eq!(disk.get(b"a"), Ok(None), "a summary is no value");
        write(b"a", Change::Summarize(at(3), None));
        assert_eq!(read(b"a"), (at(3), true, Some(b"v".to_vec())), "and stays");
        write(b"a", Change::Summarize(at(4), Some(b"new".to_vec())));
        assert_eq!(read(b"a"), (at(4), true, Some(b"new".to_vec())));
        let live = disk.live_bytes();
        write(b"a", saved(b"a", b"value"));
        assert_eq!(disk.live_bytes(), live + 2, "one takes the other's place");
        write(b"b", Change::Summarize(at(5), None));
        assert_eq!(read(b"b"), (at(5), false, None), "nothing is known of it");
        write(b"a", Change::Remove);
        write(b"b", Change::Remove);
        assert_eq!((disk.live_bytes(), disk.rows()), (0, 0));
    }

    fn at(millis: u64, content: Content) -> Row {
        Row {
            as_of: Moment::from_millis(millis),
            ..row(content)
        }
    }

    fn write(disk: &Disk, key: u8, change: Change) {
        let change = std::iter::once((vec![key], change));
        let shortened = |value: &[u8]| value.get(..1).map(<[u8]>::to_vec);
        disk.write(change, shortened).unwrap();
    }

    type Found = BTreeMap<u8, (Row, Option<Vec<u8>>)>;

    fn read(disk: &Disk) -> Found {
        let mut found = Found::new();
        let scan = disk.scan(|key, row, content| {
            found.insert(key[0], (row, content.map(<[u8]>::to_vec)));
        });
        assert_eq!(scan.unwrap().unreadable, 0);
        found
    }

    #[test]
    fn a_row_that_is_about_something_else_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        let value = Content::Value(checksum(b"a", b"new"));
        write(&disk, b'a', Change::Save(at(5, value), b"new".to_vec()));
        // As a kill leaves it, after another value was written and before the touch of that before went.
        let stale = at(9, Content::Value(checksum(b"a", b"old")));
        disk.touch(b"a", stale).unwrap();
        let expected = (at(5, value), b"new".to_vec());
        assert_eq!(disk.get(b"a"), Ok(Some(expected)));
        assert_eq!(read(&disk)[&b'a'].0.as_of, Moment::from_millis(5));
        disk.touch(b"a", at(9, value)).unwrap();
        assert_eq!(disk.get(b"a").unwrap().unwrap().0, at(9, value));
        assert_eq!(read(&disk)[&b'a'].0, at(9, value));
    }

    #[test]
    fn a_touch_that_a_kill_left_is_about_nothing_and_goes_when_its_key_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        let value = Content::Value(checksum(b"a", b"same"));
        write(&disk, b'a', Change::Save(at(1, value), b"same".to_vec()));
        write(&disk, b'a', Change::Touch(at(9, value)));
        // As a kill leaves it in the middle of a removal.
        disk.values.remove(b"a").unwrap();
        assert!(read(&disk).is_empty());
        write(&disk, b'a', Change::Save(at(5, value), b"same".to_vec()));
        assert_eq!(read(&disk)[&b'a'].0, at(5, value));
        assert!(disk.touches.is_empty());
    }

    #[test]
    fn what_was_touched_before_it_was_reopened_is_replaced_by_what_is_saved() {
        let dir = tempfile::tempdir().unwrap();
        let value = Content::Value(checksum(b"a", b"same"));
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        write(&disk, b'a', Change::Save(at(1, value), b"same".to_vec()));
        write(&disk, b'a', Change::Touch(at(9, value)));
        disk.flush().unwrap();
        drop(disk);
        let disk = Disk::open(dir.path(), 8 << 20).unwrap();
        write(&disk, b'a', Change::Save(at(5, value), b"same".to_vec()));
        assert_eq!(read(&disk)[&b'a'].0, at(5, value));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_store_has_what_was_written_last(
            changes in proptest::collection::vec((0u8..4, 0u8..5, "[a-c]{1,3}"), 1..40),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let disk = Disk::open(dir.path(), 8 << 20).unwrap();
            let mut expected = Found::new();
            for (now, (key, kind, text)) in (1..).zip(changes) {
                let text = text.into_bytes();
                let crc = |text: &[u8]| checksum(&[key], text);
                let known = expected.get(&key).cloned();
                let summarized = |text: Vec<u8>| (at(now, Content::Summary(crc(&text))), Some(text));
                match (kind, known) {
                    (0, _) => {
                        let row = at(now, Content::Value(crc(&text)));
                        write(&disk, key, Change::Save(row, text.clone()));
                        expected.insert(key, (row, Some(text)));
                    }
                    (1, Some((known, content))) => {
                        let row = at(now, known.content);
                        write(&disk, key, Change::Touch(row));
                        expected.insert(key, (row, content));
                    }
                    (1, None) => {}
                    (2, _) => {
                        let given = Change::Summarize(Moment::from_millis(now), Some(text.clone()));
                        write(&disk, key, given);
                        expected.insert(key, summarized(text));
                    }
                    (3, known) => {
                        write(&disk, key, Change::Summarize(Moment::from_millis(now), None));
                        let left = match known {
                            Some((row, Some(value))) if matches!(row.content, Content::Value(_)) => {
                                summarized(value[..1].to_vec())
                            }
                            Some((_, Some(summary))) => summarized(summary),
                            _ => (at(now, Content::None), None),
                        };
                        expected.insert(key, left);
                    }
                    _ => {
                        write(&disk, key, Change::Remove);
                        expected.remove(&key);
                    }
                }
                let value = expected.get(&key).filter(|(row, _)| matches!(row.content, Content::Value(_)));
                let value = value.map(|(row, value)| (*row, value.clone().unwrap()));
                prop_assert_eq!(disk.get(&[key]).unwrap(), value);
            }
            let counted = (disk.live_bytes(), disk.rows());
            prop_assert_eq!(read(&disk), expected);
            prop_assert_eq!(counted, (disk.live_bytes(), disk.rows()), "as a scan counts them");
            for key in 0..4 {
                write(&disk, key, Change::Remove);
            }
            prop_assert_eq!((disk.live_bytes(), disk.rows()), (0, 0));
        }
    }
}
