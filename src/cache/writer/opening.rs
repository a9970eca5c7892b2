//! Opening the store and restoring from it, or starting anew where it can not or must not be used.

use super::{INSPECT_EVERY, Open, Ticket, Writer};
use crate::cache::generations::{Current, Generations};
use crate::cache::journal::Mark;
use crate::cache::marks::MARKS_RECORD;
use crate::cache::record::FORMAT;
use crate::cache::status::Offer;
use crate::cache::store::{Disk, Scan, StoreError, classify_io};
use crate::cache::tiers::Revived;
use crate::cache::{Restored, Source, StoreStatus};
use crate::pace::Pace;
use crate::telemetry::metrics;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use tracing::{info, warn};

/// Rows that are handed over at once when a store is read, and how often before they are taken.
const BATCH: usize = 64;
const BATCHES: usize = 8;

impl<S: Source> Writer<S> {
    /// Opens the current generation and restores from it, or starts a fresh one in its place.
    ///
    /// # Errors
    /// Every [`StoreError`]; nothing was deleted then but what was not to be used anyway.
    pub(super) fn open(&mut self) -> Result<Open, StoreError> {
        let generations = Generations::open(&self.dir).map_err(|error| classify_io(&error))?;
        let Some((disk, current)) = self.open_current(&generations)? else {
            return self.start_anew(generations);
        };
        let adopted = self
            .is_ours(&disk)
            .and_then(|is_ours| match self.first.take() {
                Some(ticket) if is_ours => self
                    .adopt(&disk, &generations, current, &ticket)
                    .map(|()| true),
                _ if is_ours => self.take_records(&disk).map(|()| false),
                _ => self.leave_records(&disk).map(|()| false),
            });
        match adopted {
            Ok(true) => Ok(self.opened(disk, generations, current.generation)),
            Ok(false) => {
                disk.let_go();
                self.start_anew(generations)
            }
            Err(trouble) => {
                self.tiers.ledger.attach(None);
                self.rescue_records(&disk, &trouble);
                disk.let_go();
                Err(trouble)
            }
        }
    }

    /// Opens the current generation; `None` where only a full disk is in the way, and memory has all
    /// that matters of what lies there.
    fn open_current(
        &mut self,
        generations: &Generations,
    ) -> Result<Option<(Disk, Current)>, StoreError> {
        let current = || generations.current().map_err(|error| classify_io(&error));
        let mut wanted = current()?;
        loop {
            self.generation = Some(wanted.generation);
            // Whoever opens it has its lock: only then may it be deleted.
            let disk = match Disk::open(
                &generations.path(wanted.generation),
                self.tiers.config.max_bytes,
            ) {
                Err(StoreError::Full) if self.first.is_none() && self.took_records => {
                    return Ok(None);
                }
                result => result?,
            };
            // While the lock was waited for, its holder may have moved on to another generation.
            let now = current()?;
            if now.generation == wanted.generation {
                return Ok(Some((disk, now)));
            }
            disk.let_go();
            wanted = now;
        }
    }

    /// Whether the store has our format and lineage. An empty one is anybody's.
    fn is_ours(&self, disk: &Disk) -> Result<bool, StoreError> {
        let format = disk.state("format")?;
        let lineage = disk.state("lineage")?;
        let (Some(format), Some(lineage)) = (format, lineage) else {
            return disk.is_empty();
        };
        if format != FORMAT.to_le_bytes() {
            info!("The store has another version's format; it is discarded and rebuilt");
            return Ok(false);
        }
        if lineage != self.tiers.config.lineage.as_bytes() {
            info!(
                "The store was filled from another source or configuration; it is discarded and rebuilt"
            );
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes into memory the records of a store that is to be given up: no source can bring them back. Where
    /// they are more than memory may hold, those that last longest.
    ///
    /// # Errors
    /// Where sled gives up.
    fn take_records(&mut self, disk: &Disk) -> Result<(), StoreError> {
        let (ledger, now) = (&self.tiers.ledger, self.clock.now());
        disk.for_each_record(now, |key, record| {
            ledger.keep_found(*key, record, now);
            true
        })?;
        self.took_records = true;
        Ok(())
    }

    /// As [`Writer::take_records`], where `trouble` ended the use of the store. A damaged one is left alone:
    /// reading it may take for ever.
    pub(super) fn rescue_records(&mut self, disk: &Disk, trouble: &StoreError) {
        if !matches!(trouble, StoreError::Corrupt(_))
            && let Err(error) = self.take_records(disk)
        {
            metrics::store_error("read");
            warn!(%error, "The records of a store in trouble could not be read");
        }
    }

    /// Says how many records go with a store that is not ours.
    fn leave_records(&mut self, disk: &Disk) -> Result<(), StoreError> {
        let mut records = 0_u64;
        disk.for_each_record(self.clock.now(), |_, _| {
            records += 1;
            true
        })?;
        if records > 0 {
            warn!(
                records,
                "With the store that is discarded go {records} records: contracts that operators declared, and answers kept for Idempotency-Key"
            );
        }
        self.took_records = true;
        Ok(())
    }

    /// Marks the store as ours and in use: until [`Writer::finish`] says otherwise, a stop is unclean.
    pub(super) fn claim(&self, disk: &Disk) -> Result<(), StoreError> {
        disk.set_state("format", Some(&FORMAT.to_le_bytes()))?;
        disk.set_state("lineage", Some(self.tiers.config.lineage.as_bytes()))?;
        disk.set_state("clean", None)?;
        disk.flush()
    }

    /// Uses the store that was found. It is read before much is written to it, so that a full disk
    /// costs no more than its writes.
    fn adopt(
        &mut self,
        disk: &Disk,
        generations: &Generations,
        current: Current,
        ticket: &Arc<Ticket<S>>,
    ) -> Result<(), StoreError> {
        self.restore(disk, current.rows, ticket)?;
        if self.note.is_none() {
            disk.set_state("note", None)?;
        }
        self.claim(disk)?;
        self.commit(generations, current);
        self.discard_all_but(generations, Some(current.generation));
        self.shared.set_status(StoreStatus::Up);
        Ok(())
    }

    /// Starts a generation of its own, to be filled from memory. What was there goes first: on a full
    /// disk it is what is in the way.
    fn start_anew(&mut self, generations: Generations) -> Result<Open, StoreError> {
        let generation = generations.unused().map_err(|error| classify_io(&error))?;
        self.generation = Some(generation);
        self.discard_all_but(&generations, None);
        let opened = Disk::open(&generations.path(generation), self.tiers.config.max_bytes)
            .and_then(|disk| {
                self.claim(&disk)?;
                Ok(disk)
            });
        let disk = opened.inspect_err(|_| self.discard_all_but(&generations, None))?;
        self.commit(
            &generations,
            Current {
                generation,
                rows: 0,
            },
        );
        self.tiers.ledger.attach(Some(disk.clone()));
        self.rebuild();
        self.shared.set_status(StoreStatus::Rebuilding);
        Ok(self.opened(disk, generations, generation))
    }

    fn opened(&self, disk: Disk, generations: Generations, generation: u64) -> Open {
        let now = self.clock.now();
        let mut open = Open {
            disk,
            generations,
            generation,
            flushed_at: now,
            inspected_at: now,
            rests_until: now,
            has_failed: false,
            is_bloated: false,
            is_outgrown: false,
            dirty: false,
        };
        let _ = self.inspect_size(&mut open);
        if open.is_bloated {
            // There is enough to do at start.
            open.rests_until = now + INSPECT_EVERY;
        }
        open
    }

    /// Swaps `CURRENT`. Where that fails, the next start finds an older one, and rebuilds.
    pub(super) fn commit(&self, generations: &Generations, current: Current) {
        if let Err(error) = generations.commit(current) {
            metrics::store_error("write");
            warn!(%error, "The store's CURRENT file could not be written, will retry");
        }
    }

    pub(super) fn discard_all_but(&self, generations: &Generations, kept: Option<u64>) {
        if let Err(error) = generations.discard_all_but(kept) {
            warn!(%error, "A store that is no longer used could not be deleted");
        }
    }

    /// Brings entries back into memory, where nothing newer is known of them by now.
    fn restore(
        &mut self,
        disk: &Disk,
        expected_rows: u64,
        ticket: &Arc<Ticket<S>>,
    ) -> Result<(), StoreError> {
        let clean = disk.state("clean")?.is_some();
        // From now on things change that are not on disk: a kill must not find it called clean. Where
        // that can not be written, it can still be read.
        let unclean = disk.set_state("clean", None).and_then(|()| disk.flush());
        if let Err(error) = unclean {
            metrics::store_error("write");
            warn!(%error, "The store could not be marked as in use");
        }
        disk.count_records()?;
        self.tiers.ledger.attach(Some(disk.clone()));
        if let Some(marks) = disk.record(&MARKS_RECORD)? {
            self.tiers.restore_marks(&marks);
        }
        self.shared.offer(Some(Offer {
            disk: disk.clone(),
            clean,
            ticket: Arc::clone(ticket),
        }));
        self.shared.set_status(StoreStatus::Restoring);
        self.fence.in_order(|| self.tiers.expect(expected_rows));
        let scanned = self.take_in(disk, ticket, clean);
        self.shared.offer(None);
        let scan = scanned
            .as_ref()
            .map_or_else(|_| Scan::default(), |scan| *scan);
        // Deleted keys account for a few missing rows after a kill, not for many.
        let lost = scanned.is_err() || scan.rows < expected_rows - expected_rows / 10;
        self.note = if lost { None } else { disk.state("note")? };
        let clean = (clean && !lost) || (scan.rows == 0 && scanned.is_ok());
        self.tell(scan, expected_rows, lost && scanned.is_ok(), clean);
        if !clean {
            self.tiers.distrust_all();
        }
        self.tiers.source.restored(&Restored {
            rows: scan.rows,
            clean,
            note: self.note.clone(),
        });
        scanned.map(|_| ())
    }

    /// Reads the whole store, and takes it in on another thread: while one waits for the disk and decodes, the
    /// other has the index's work.
    fn take_in(&self, disk: &Disk, ticket: &Ticket<S>, clean: bool) -> Result<Scan, StoreError> {
        let (tiers, now) = (&self.tiers, self.clock.now());
        let (sender, batches) = sync_channel::<Vec<(S::Key, Revived<S>)>>(BATCHES);
        let take_in = || {
            let mut pace = Pace::default();
            for (key, found) in batches.into_iter().flatten() {
                pace.step();
                let _ = self.fence.settle_or(
                    ticket,
                    &key,
                    || tiers.restore(&key, &found),
                    || tiers.refuse_restored(&key, &found),
                );
            }
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("cache-restore".to_owned());
            let taking_in = thread
                .spawn_scoped(scope, take_in)
                .map_err(|error| StoreError::Unusable(error.kind().to_string()))?;
            let (mut batch, mut pace) = (Vec::new(), Pace::default());
            let scanned = disk.scan(|bytes, row, value| {
                pace.step();
                if let Some(key) = tiers.source.decode_key(bytes) {
                    let mut found = tiers.revive(&key, row, value, now, clean);
                    tiers.read_ahead(&mut found);
                    batch.push((key, found));
                }
                if batch.len() >= BATCH {
                    // Where nobody takes it, that is told below.
                    let _ = sender.send(std::mem::take(&mut batch));
                }
            });
            let _ = sender.send(batch);
            drop(sender);
            match taking_in.join() {
                Ok(()) => scanned,
                Err(_) => Err(StoreError::Corrupt(
                    "restoring from it broke off".to_owned(),
                )),
            }
        })
    }

    fn tell(&self, scan: Scan, expected: u64, lost: bool, clean: bool) {
        let (found, unreadable) = (scan.rows, scan.unreadable);
        if lost {
            metrics::store_error("read");
            warn!(
                found,
                expected, "The store has lost rows; they are fetched again"
            );
        }
        if unreadable > 0 {
            metrics::store_error("read");
            warn!(
                unreadable,
                "Rows of the store that could not be read were skipped"
            );
        }
        if found == 0 {
            info!("The store is empty; it fills as products come in");
        } else {
            info!(rows = found, clean, "Restored {found} rows from the store");
        }
    }

    /// Marks everything that is known, to be written anew.
    fn rebuild(&self) {
        let tiers = &self.tiers;
        tiers.journal.set_open(true);
        let (mut known, mut held) = (0, 0);
        tiers.source.for_each_known(&mut |key, as_of| {
            tiers.journal.mark(key, Mark::Row(as_of, None));
            known += 1;
        });
        if let Some(memory) = &tiers.memory {
            memory.for_each(|key, _| {
                tiers.journal.mark(key, Mark::Save);
                held += 1;
            });
        }
        if known > held {
            tiers.lack_summaries();
        }
        for key in tiers.ledger.keys() {
            tiers.journal.record(key);
        }
        if let Some(note) = &self.note {
            tiers.journal.note(note.clone());
        }
    }
}
