//! The one thread that owns the persistent tier: it restores, writes, rewrites, and gives up and
//! comes back, so that no request ever waits for a disk and no fault of a disk stops the service.

mod opening;
mod upkeep;

use super::fence::Fence;
use super::flight::Landing;
use super::generations::{Current, Generations};
use super::journal::{Batch, Mark};
use super::record::{Content, Row, checksum};
use super::status::Shared;
use super::store::{Change, Disk, StoreError};
use super::tiers::Tiers;
use super::{Source, StoreStatus};
use crate::clock::{Clock, Moment};
use crate::pace::Pace;
use crate::telemetry::metrics;
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// How long a store that can not be opened at start is still waited for, to be restored from: a
/// replica that is being replaced may need its time to stop.
const HOPE: Duration = Duration::from_secs(60);

/// The pause between two attempts while there is hope.
const HOPE_PAUSE: Duration = Duration::from_secs(1);

/// Marks beyond which there is no hope any more: what is remembered for the sake of restoring takes some 200
/// bytes each, and of what came that fast a listing brings the rest.
pub(super) const MANY_MARKS: usize = 100_000;

type Ticket<S> = super::fence::Ticket<<S as Source>::Key, Landing<S>>;

/// The thread's own state.
pub(super) struct Writer<S: Source> {
    tiers: Arc<Tiers<S>>,
    fence: Arc<Fence<S::Key, Landing<S>>>,
    shared: Arc<Shared<Ticket<S>>>,
    clock: Clock,
    dir: PathBuf,
    /// Drawn before anything could be written. Only with it a store is restored from; one opened
    /// after it was given up would bring back what has been changed since, and is rebuilt from memory.
    first: Option<Arc<Ticket<S>>>,
    /// The generation that was opened last, or that could not be.
    generation: Option<u64>,
    hope_until: Moment,
    reported: Option<StoreError>,
    note: Option<Vec<u8>>,
    /// Whether memory has the records that lie on disk: only then may a store go that can not be opened.
    took_records: bool,
}

/// A store in use.
struct Open {
    disk: Disk,
    generations: Generations,
    generation: u64,
    flushed_at: Moment,
    inspected_at: Moment,
    /// Not rewritten before, unless it would have to be given up.
    rests_until: Moment,
    /// Whether the last rewrite failed.
    has_failed: bool,
    /// Whether so much of its files is live no more that it is worth to be rewritten.
    is_bloated: bool,
    /// Whether it is more than may be.
    is_outgrown: bool,
    dirty: bool,
}

// === impl Writer ===

impl<S: Source> Writer<S> {
    /// A writer for `dir`. To be made before the first request: what is written from now on is newer
    /// than what lies there.
    pub fn new(
        tiers: Arc<Tiers<S>>,
        fence: Arc<Fence<S::Key, Landing<S>>>,
        shared: Arc<Shared<Ticket<S>>>,
        clock: Clock,
        dir: PathBuf,
    ) -> Self {
        Self {
            first: Some(Arc::new(fence.begin())),
            generation: None,
            hope_until: clock.now() + HOPE,
            tiers,
            fence,
            shared,
            clock,
            dir,
            reported: None,
            note: None,
            took_records: false,
        }
    }

    /// Runs until the journal is closed and written. A panic in here costs the store, not the service.
    pub fn run(self) {
        let (tiers, shared) = (Arc::clone(&self.tiers), Arc::clone(&self.shared));
        if catch_unwind(AssertUnwindSafe(|| self.keep_trying())).is_err() {
            metrics::store_error("write");
            error!("The store's thread broke off; running from memory only until the next start");
            tiers.journal.set_open(false);
            tiers.ledger.attach(None);
            tiers.set_store_bytes(None);
            let broken = StoreError::Unusable("its thread broke off".to_owned());
            shared.set_status(StoreStatus::Down(broken));
        }
    }

    fn keep_trying(mut self) {
        let mut damaged = 0;
        loop {
            let trouble = match self.open() {
                Ok(mut open) => {
                    let served = self.serve(&mut open);
                    self.tiers.ledger.attach(None);
                    match served {
                        Ok(()) => return,
                        Err(trouble) => {
                            self.tiers.journal.set_served(false);
                            self.tiers.set_store_bytes(None);
                            self.rescue_records(&open.disk, &trouble);
                            open.disk.let_go();
                            trouble
                        }
                    }
                }
                Err(trouble) => trouble,
            };
            self.report(&trouble);
            let wait = match &trouble {
                StoreError::Corrupt(what) => {
                    damaged += 1;
                    self.give_up_restoring();
                    self.quarantine(what);
                    if damaged > 1 {
                        RETRY_AFTER
                    } else {
                        Duration::ZERO
                    }
                }
                _ if self.has_hope() => HOPE_PAUSE,
                StoreError::Locked | StoreError::Full | StoreError::Unusable(_) => {
                    self.give_up_restoring();
                    RETRY_AFTER
                }
            };
            if self.first.is_none() {
                self.tiers.journal.set_open(false);
            }
            self.shared.set_status(StoreStatus::Down(trouble));
            if self.tiers.journal.closes_within(wait) {
                return;
            }
        }
    }

    /// Whether a store that can not be opened is still to be restored from.
    fn has_hope(&self) -> bool {
        self.first.is_some()
            && self.clock.now() < self.hope_until
            && self.tiers.journal.len() <= MANY_MARKS
    }

    /// From now on the store is rebuilt from memory: too much may have changed since it was left.
    pub(super) fn give_up_restoring(&mut self) {
        self.first = None;
    }

    fn report(&mut self, trouble: &StoreError) {
        metrics::store_error("open");
        if self.reported.as_ref() == Some(trouble) {
            return;
        }
        self.reported = Some(trouble.clone());
        let dir = self.dir.display();
        match trouble {
            StoreError::Corrupt(what) => warn!(
                %dir,
                "The store is damaged ({what}); it was moved aside and is rebuilt from the inventory. Look whether /contracts has all that operators declared"
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

    /// Moves the current generation aside.
    fn quarantine(&self, what: &str) {
        let moved = Generations::open(&self.dir).and_then(|generations| {
            let current = generations.current()?.generation;
            generations.quarantine(self.generation.unwrap_or(current), self.clock.now())
        });
        match moved {
            Ok(path) => {
                warn!(path = %path.display(), "A damaged store ({what}) was moved aside; it can be deleted");
            }
            Err(error) => error!(%error, "A damaged store ({what}) could not be moved aside"),
        }
    }

    /// Writes what the journal asks for until it is closed.
    fn serve(&mut self, open: &mut Open) -> Result<(), StoreError> {
        self.tiers.journal.set_served(true);
        loop {
            let batch = self.tiers.journal.next(FLUSH_EVERY);
            let last = batch.last;
            let waiting = !(batch.flushes.is_empty() && batch.records.is_empty());
            self.apply(open, &batch)?;
            let now = self.clock.now();
            let due = now.since(open.flushed_at) >= FLUSH_EVERY;
            if open.dirty && (due || last || waiting) {
                open.disk
                    .flush()
                    .inspect_err(|_| metrics::store_error("flush"))?;
                open.dirty = false;
                open.flushed_at = now;
                // Where it can not be told, the look each minute says so.
                let _ = self.inspect_size(open);
            }
            for flushed in batch.flushes {
                let _ = flushed.send(());
            }
            for (_, written) in batch.records {
                let _ = written.send(());
            }
            if last {
                return self.finish(open);
            }
            let rebuilding = self.shared.status() == StoreStatus::Rebuilding;
            if rebuilding && self.tiers.journal.len() == 0 && self.tiers.source.knows_all() {
                self.shared.set_status(StoreStatus::Up);
            }
            let is_wanted = now >= open.rests_until && self.wants_rewrite(open);
            if is_wanted || open.is_outgrown || now.since(open.inspected_at) >= INSPECT_EVERY {
                open.inspected_at = now;
                self.inspect(open)?;
            }
        }
    }

    fn apply(&mut self, open: &mut Open, batch: &Batch<S::Key>) -> Result<(), StoreError> {
        let is_noted = batch.note.is_some() || self.note.is_some();
        if !self.tiers.source.remembers() {
            // Nothing may say that all there is lies here. On disk before what goes.
            if is_noted {
                self.note = None;
                open.dirty = true;
                open.disk.set_state("note", None)?;
            }
        } else if let Some(note) = &batch.note {
            self.note = Some(note.clone());
        }
        let now = self.clock.now();
        for (key, _) in &batch.records {
            open.dirty = true;
            // What memory has no place for any more is not worth a place on disk either.
            if let Some(record) = self.tiers.ledger.held(key) {
                open.disk
                    .put_record(key, &record, now)
                    .inspect_err(|_| metrics::store_error("write"))?;
            }
        }
        if !batch.marks.is_empty() {
            open.dirty = true;
            // One value at a time: a batch of large ones must not be held twice.
            let mut pace = Pace::default();
            let changes = batch.marks.iter().filter_map(|(key, mark)| {
                pace.step();
                Some((self.tiers.source.encode_key(key), self.change(key, mark)?))
            });
            open.disk
                .write(changes, |value| self.summarize(value))
                .inspect_err(|_| metrics::store_error("write"))?;
        }
        if let Some(note) = batch.note.as_ref().and(self.note.as_ref()) {
            open.dirty = true;
            open.disk.set_state("note", Some(note))?;
        }
        metrics::store_queue_length(self.tiers.journal.len() as u64);
        Ok(())
    }

    /// What a mark means by now; `None` if a later mark says more.
    fn change(&self, key: &S::Key, mark: &Mark) -> Option<Change> {
        match mark {
            Mark::Remove => return Some(Change::Remove),
            // Marked while it was still remembered.
            Mark::Row(..) if !self.tiers.source.remembers() => return Some(Change::Remove),
            Mark::Row(as_of, summary) => {
                let summary = summary.as_ref().map(|summary| summary.to_vec());
                return Some(Change::Summarize(*as_of, summary));
            }
            // What it was about is replaced by what is to be saved next.
            Mark::Touch if self.tiers.journal.is_saving(key) => return None,
            Mark::Save | Mark::Touch => {}
        }
        let Some(entry) = self.tiers.peek(key) else {
            self.tiers.journal.missed(key);
            return None;
        };
        let value = self.tiers.source.encode(&entry);
        let row = Row {
            as_of: entry.as_of(),
            trust: entry.trusted(),
            jitter_per_mille: entry.jitter_per_mille(),
            content: Content::Value(checksum(&self.tiers.source.encode_key(key), &value)),
        };
        Some(match mark {
            Mark::Touch => Change::Touch(row),
            _ => Change::Save(row, value),
        })
    }

    /// What is to be kept of a value that is held no more.
    fn summarize(&self, value: &[u8]) -> Option<Vec<u8>> {
        let source = &self.tiers.source;
        source.decode(value).map(|value| source.summarize(&value))
    }

    /// Leaves a store that says it was left in order, unless what it holds was never confirmed after
    /// a stop that was not.
    fn finish(&self, open: &Open) -> Result<(), StoreError> {
        self.commit(&open.generations, open.current());
        if self.tiers.is_trusted() {
            open.disk.set_state("clean", Some(b"1"))?;
        }
        open.disk.flush()?;
        let rows = open.disk.rows();
        info!(rows, "The store was flushed and closed");
        Ok(())
    }
}

// === impl Open ===

impl Open {
    fn current(&self) -> Current {
        Current {
            generation: self.generation,
            rows: self.disk.rows(),
        }
    }
}
