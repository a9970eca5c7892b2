//! The persistent tier on sled 0.34: one database of two trees, and two more for records. This is the
//! only file that knows sled.
//!
//! sled can panic on damaged files and return errors for full disks, so every call goes through
//! [`guard`], and whoever gets a [`StoreError`] decides what the service does without a store.
//! Values and summaries are written before their rows and deleted after them: a kill in between leaves
//! one without a row, or a row whose checksum does not match; both are skipped when loading.

mod records;

use super::freshness::Trust;
use super::record::{Content, Row, checksum};
use crate::clock::Moment;
use std::fs;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// sled's own page cache: this part of the cap, and no more and no less than so many bytes. It is written in the order
/// of keys and read at start, so a larger one hardly helps; sled's default of 1 GiB would be twice our cap.
const PAGE_CACHE_SHARE: u64 = 64;
const PAGE_CACHE_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=16 << 20;

/// What a byte in sled's page cache takes in memory, with what is there but not counted yet. Measured.
const PAGE_CACHE_FACTOR: u64 = 3;

/// What sled holds in memory for a row and its value together, whether they are in the page cache or not, in bytes: where
/// their pages lie. Measured, at 300,000 to 2,000,000 rows.
pub const STORED_ROW_BYTES: usize = 36;

/// How often sled flushes by itself; the writer flushes (and looks at the result) each second.
const FLUSH_EVERY_MS: u64 = 500;

/// How often a locked database is tried, and the pause between.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why the persistent tier can not be used, in terms of what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// What lies there can not be read: move it aside and start anew.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Another process has it: go on without, try again later, never touch it.
    #[error("another process uses the store")]
    Locked,
    /// The disk is full: go on without, try again later.
    #[error("the disk is full")]
    Full,
    /// The directory can not be used: go on without, somebody has to look at it.
    #[error("the directory can not be used: {0}")]
    Unusable(String),
}

/// An open database.
#[derive(Clone)]
pub struct Disk {
    db: sled::Db,
    values: sled::Tree,
    rows: sled::Tree,
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
    /// Rows whose value was missing or damaged, and things that are no row.
    pub unreadable: u64,
}

// === impl StoreError ===

impl StoreError {
    /// What is the matter, in words that name no place.
    pub const fn in_brief(&self) -> &'static str {
        match self {
            Self::Corrupt(_) => "the store is damaged",
            Self::Locked => "another process uses the store",
            Self::Full => "the disk is full",
            Self::Unusable(_) => "the store's directory can not be used",
        }
    }
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
            Ok(Self {
                values: db.open_tree("values")?,
                rows: db.open_tree("rows")?,
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
            let mut values = self.values.iter();
            let mut ahead = values.next().transpose()?;
            for row in self.rows.iter() {
                let (key, bytes) = row?;
                scan.rows += 1;
                live += (key.len() + bytes.len()) as u64;
                // Both trees are in key order: values before this row's key belong to no row.
                while ahead.as_ref().is_some_and(|(other, _)| *other < key) {
                    scan.unreadable += 1;
                    ahead = values.next().transpose()?;
                }
                let value = match ahead.take_if(|(other, _)| *other == key) {
                    Some((_, value)) => {
                        ahead = values.next().transpose()?;
                        Some(value)
                    }
                    None => None,
                };
                let Some(row) = Row::decode(&bytes) else {
                    scan.unreadable += 1;
                    continue;
                };
                match (row.content.checksum(), value) {
                    (Some(crc), Some(value)) if crc == checksum(&key, &value) => {
                        live += (key.len() + value.len()) as u64;
                        visit(&key, row, Some(&value));
                    }
                    (None, _) => visit(&key, row, None),
                    (Some(_), _) => {
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
            let Some(row) = self.rows.get(key)?.as_deref().and_then(Row::decode) else {
                return Ok(None);
            };
            let value = self.values.get(key)?;
            Ok(value
                .filter(|value| row.content == Content::Value(checksum(key, value)))
                .map(|value| (row, value.to_vec())))
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
            for (key, change) in changes {
                let key = key.as_slice();
                match change {
                    Change::Save(row, value) => {
                        self.put_value(key, &value)?;
                        self.put_row(key, row)?;
                    }
                    Change::Touch(row) => self.put_row(key, row)?,
                    Change::Summarize(as_of, summary) => {
                        self.summarize(key, as_of, summary, &summarize)?;
                    }
                    Change::Remove => {
                        let old = self.rows.remove(key)?;
                        if old.is_some() {
                            self.row_count.fetch_sub(1, Ordering::Relaxed);
                        }
                        self.account(0, old.map(|old| key.len() + old.len()));
                        self.drop_value(key)?;
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
        let held = self.rows.get(key)?.as_deref().and_then(Row::decode);
        let held = held.map_or(Content::None, |row| row.content);
        let mut row = Row {
            as_of,
            trust: Trust::Confirmed,
            jitter_per_mille: 0,
            content: Content::None,
        };
        let summary = match (summary, held) {
            (Some(summary), _) => Some(summary),
            // It is there already.
            (None, Content::Summary(_)) => {
                row.content = held;
                return self.put_row(key, row);
            }
            (None, Content::Value(crc)) => {
                let value = self.values.get(key)?;
                let value = value.filter(|value| checksum(key, value) == crc);
                value.and_then(|value| summarize(&value))
            }
            (None, Content::None) => None,
        };
        if let Some(summary) = summary {
            self.put_value(key, &summary)?;
            row.content = Content::Summary(checksum(key, &summary));
            return self.put_row(key, row);
        }
        self.put_row(key, row)?;
        self.drop_value(key)
    }

    fn put_value(&self, key: &[u8], value: &[u8]) -> sled::Result<()> {
        let old = self.values.insert(key, value)?;
        self.account(
            key.len() + value.len(),
            old.map(|old| key.len() + old.len()),
        );
        Ok(())
    }

    fn put_row(&self, key: &[u8], row: Row) -> sled::Result<()> {
        let bytes = row.encode();
        let grown = key.len() + bytes.len();
        let old = self.rows.insert(key, bytes.as_slice())?;
        if old.is_none() {
            self.row_count.fetch_add(1, Ordering::Relaxed);
        }
        self.account(grown, old.map(|old| key.len() + old.len()));
        Ok(())
    }

    fn drop_value(&self, key: &[u8]) -> sled::Result<()> {
        let old = self.values.remove(key)?;
        self.account(0, old.map(|old| key.len() + old.len()));
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
            Ok(self.rows.iter().next().transpose()?.is_none())
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
    /// A new value, or a summary, and its row.
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

/// Sorts an I/O error of the store's directory.
pub fn classify_io(error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreError::Full
        }
        // sled 0.34 says so in words only
        ErrorKind::Other if error.to_string().contains("could not acquire lock") => {
            StoreError::Locked
        }
        ErrorKind::WouldBlock => StoreError::Locked,
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => StoreError::Corrupt(error.to_string()),
        kind => StoreError::Unusable(kind.to_string()),
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

        disk.values.insert(b"a", b"garbled").unwrap();
        disk.values.insert(b"b2", b"of no row").unwrap();
        disk.values.remove(b"d").unwrap();
        disk.rows.insert(b"e", b"no row").unwrap();
        assert_eq!(
            read(),
            (
                Scan {
                    rows: 5,
                    unreadable: 4
                },
                1
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
}
