//! The one thread that owns the persistent tier: it restores, writes, rewrites, and gives up and
//! comes back, so that no request ever waits for a disk and no fault of a disk stops the service.

mod opening;

use super::fence::Fence;
use super::flight::Landing;
use super::freshness::Trust;
use super::generations::{Current, Generations};
use super::journal::{Batch, Mark};
use super::record::{Row, checksum};
use super::status::Shared;
use super::store::{Change, Disk, StoreError, classify_io};
use super::tiers::Tiers;
use super::{Source, StoreStatus};
use crate::clock::{Clock, Moment};
use crate::telemetry::metrics;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// How long written changes may wait for their flush.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How often size and directory are looked at.
const INSPECT_EVERY: Duration = Duration::from_secs(60);

/// How long a store that can not be used is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Disk : live bytes at which the store is rewritten, in tenths; measured churn settles below it.
const REWRITE_TENTHS: u64 = 35;

/// Disk : live bytes at which the store is given up, in tenths.
const GIVE_UP_TENTHS: u64 = 45;

/// Below this size the ratio says nothing: sled's own files count too.
const SMALL_BYTES: u64 = 64 << 20;

/// The thread's own state.
pub(super) struct Writer<S: Source> {
    tiers: Arc<Tiers<S>>,
    fence: Arc<Fence<S::Key, Landing<S>>>,
    shared: Arc<Shared>,
    clock: Clock,
    dir: PathBuf,
    /// Only the store found at start is restored from; one opened later would bring back what has
    /// been changed since, so it is rebuilt from memory instead.
    first: bool,
    note: Option<Vec<u8>>,
}

/// A store in use.
struct Open {
    disk: Disk,
    generations: Generations,
    generation: u64,
    flushed_at: Moment,
    inspected_at: Moment,
    dirty: bool,
}

// === impl Writer ===

impl<S: Source> Writer<S> {
    pub fn new(
        tiers: Arc<Tiers<S>>,
        fence: Arc<Fence<S::Key, Landing<S>>>,
        shared: Arc<Shared>,
        clock: Clock,
        dir: PathBuf,
    ) -> Self {
        Self {
            tiers,
            fence,
            shared,
            clock,
            dir,
            first: true,
            note: None,
        }
    }

    /// Runs until the journal is closed and written.
    pub fn run(mut self) {
        loop {
            let trouble = match self.open() {
                Ok(mut open) => match self.serve(&mut open) {
                    Ok(()) => return,
                    Err(trouble) => self.abandon(open, trouble),
                },
                Err(trouble) => trouble,
            };
            self.first = false;
            self.report(&trouble);
            self.tiers.journal.set_open(false);
            let wait = match trouble {
                StoreError::Corrupt(_) => Duration::ZERO,
                StoreError::Locked | StoreError::Full | StoreError::Unusable(_) => RETRY_AFTER,
            };
            self.shared.set_status(StoreStatus::Down(trouble));
            if self.closed_while_waiting(wait) {
                return;
            }
        }
    }

    /// Waits; true if the cache was closed meanwhile.
    fn closed_while_waiting(&self, wait: Duration) -> bool {
        let until = self.clock.now() + wait;
        loop {
            let left = until.since(self.clock.now());
            if self.tiers.journal.next(left).last {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    fn report(&self, trouble: &StoreError) {
        metrics::store_error("open");
        let dir = self.dir.display();
        match trouble {
            StoreError::Corrupt(what) => warn!(
                %dir,
                "The store is damaged ({what}); it was moved aside and is rebuilt. Nothing is lost but time"
            ),
            StoreError::Locked => warn!(
                %dir,
                "Another process uses the store; running from memory only. Give every replica a CACHE_DIR of its own"
            ),
            StoreError::Full => error!(
                %dir,
                "The disk is full; running from memory only, and trying again. Free some space"
            ),
            StoreError::Unusable(what) => error!(
                %dir,
                "The store can not be used ({what}); running from memory only. Check that CACHE_DIR is a writable directory"
            ),
        }
    }

    fn quarantine(&self, generations: &Generations, generation: u64, what: &str) {
        match generations.quarantine(generation, self.clock.now()) {
            Ok(path) => {
                warn!(path = %path.display(), "A damaged store ({what}) was moved aside; it can be deleted")
            }
            Err(error) => error!(%error, "A damaged store ({what}) could not be moved aside"),
        }
    }

    /// Writes what the journal asks for until it is closed.
    fn serve(&mut self, open: &mut Open) -> Result<(), StoreError> {
        loop {
            let batch = self.tiers.journal.next(FLUSH_EVERY);
            let (last, waiting) = (batch.last, !batch.flushes.is_empty());
            self.apply(open, &batch)?;
            let now = self.clock.now();
            let due = now.since(open.flushed_at) >= FLUSH_EVERY;
            if open.dirty && (due || last || waiting) {
                open.disk
                    .flush()
                    .inspect_err(|_| metrics::store_error("flush"))?;
                open.dirty = false;
                open.flushed_at = now;
            }
            for flushed in batch.flushes {
                let _ = flushed.send(());
            }
            if last {
                return self.finish(open);
            }
            if now.since(open.inspected_at) >= INSPECT_EVERY {
                open.inspected_at = now;
                self.inspect(open)?;
            }
        }
    }

    fn apply(&mut self, open: &mut Open, batch: &Batch<S::Key>) -> Result<(), StoreError> {
        if !batch.marks.is_empty() {
            open.dirty = true;
            let source = &self.tiers.source;
            let keys = batch
                .marks
                .iter()
                .map(|(key, mark)| (source.encode_key(key), self.change(key, *mark)));
            let changes: Vec<_> = keys
                .filter_map(|(key, change)| Some((key, change?)))
                .collect();
            open.disk
                .write(changes.iter().map(|(key, change)| (key.as_slice(), change)))
                .inspect_err(|_| metrics::store_error("write"))?;
        }
        if let Some(note) = &batch.note {
            open.dirty = true;
            self.note = Some(note.clone());
            open.disk.set_state("note", Some(note))?;
        }
        metrics::store_queue_length(self.tiers.journal.len() as u64);
        Ok(())
    }

    /// What a mark means by now; `None` if a later mark says more.
    fn change(&self, key: &S::Key, mark: Mark) -> Option<Change> {
        match mark {
            Mark::Remove => return Some(Change::Remove),
            Mark::Row(as_of) => {
                return Some(Change::Row(Row {
                    as_of,
                    trust: Trust::Confirmed,
                    jitter_per_mille: 0,
                    value_crc: None,
                }));
            }
            Mark::Save | Mark::Touch => {}
        }
        let entry = self.tiers.peek(key)?;
        let value = self.tiers.source.encode(&entry);
        let row = Row {
            as_of: entry.as_of(),
            trust: entry.trusted(),
            jitter_per_mille: entry.jitter_per_mille(),
            value_crc: Some(checksum(&self.tiers.source.encode_key(key), &value)),
        };
        Some(match mark {
            Mark::Touch => Change::Touch(row),
            _ => Change::Save(row, value),
        })
    }

    /// The look each minute: is the directory still there, how large has the file grown.
    fn inspect(&mut self, open: &mut Open) -> Result<(), StoreError> {
        if !open.generations.path(open.generation).exists() {
            return Err(StoreError::Unusable("it was removed".to_owned()));
        }
        let rows = open.disk.rows()?;
        let current = Current {
            generation: open.generation,
            rows,
        };
        open.generations
            .commit(current)
            .map_err(|error| classify_io(&error))?;
        let (size, live) = self.inspect_size(open)?;
        if size * 10 > live * REWRITE_TENTHS + SMALL_BYTES * 10 {
            self.rewrite(open)?;
            let (size, live) = self.inspect_size(open)?;
            if size * 10 > live * GIVE_UP_TENTHS + SMALL_BYTES * 10 {
                return Err(StoreError::Unusable("it outgrew its bound".to_owned()));
            }
        }
        Ok(())
    }

    fn inspect_size(&self, open: &Open) -> Result<(u64, u64), StoreError> {
        let size = open.disk.size_on_disk()?;
        self.tiers.counters.set_store_bytes(size);
        metrics::store_bytes(size);
        Ok((size, open.disk.live_bytes()))
    }

    /// Copies what is live into a fresh generation: sled's file never shrinks by itself.
    fn rewrite(&mut self, open: &mut Open) -> Result<(), StoreError> {
        let io = |error: std::io::Error| classify_io(&error);
        let generation = open.generations.unused().map_err(io)?;
        let fresh = Disk::open(&open.generations.path(generation))?;
        self.claim(&fresh)?;
        let mut failed = None;
        open.disk.scan(|key, row, value| {
            let change = match value {
                Some(value) => Change::Save(row, value.to_vec()),
                None => Change::Row(row),
            };
            if failed.is_none() {
                failed = fresh.write(std::iter::once((key, &change))).err();
            }
        })?;
        if let Some(error) = failed {
            metrics::store_error("rewrite");
            return Err(error);
        }
        fresh.set_state("note", self.note.as_deref())?;
        fresh.flush()?;
        let rows = fresh.rows()?;
        open.generations
            .commit(Current { generation, rows })
            .map_err(io)?;
        open.disk = fresh;
        open.generation = generation;
        open.generations.discard_all_but(generation).map_err(io)?;
        info!(rows, "The store was rewritten to give back disk space");
        Ok(())
    }

    /// Leaves a store that says it was left in order.
    fn finish(&self, open: &Open) -> Result<(), StoreError> {
        let current = Current {
            generation: open.generation,
            rows: open.disk.rows()?,
        };
        open.generations
            .commit(current)
            .map_err(|error| classify_io(&error))?;
        open.disk.set_state("clean", Some(b"1"))?;
        open.disk.flush()?;
        info!(rows = current.rows, "The store was flushed and closed");
        Ok(())
    }

    /// Lets go of a store that failed in use.
    fn abandon(&self, open: Open, trouble: StoreError) -> StoreError {
        let Open {
            disk,
            generations,
            generation,
            ..
        } = open;
        drop(disk);
        if let StoreError::Corrupt(what) = &trouble {
            self.quarantine(&generations, generation, what);
        }
        trouble
    }
}
