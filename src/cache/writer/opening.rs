//! Opening the store and restoring from it, or starting anew where it can not or must not be used.

use super::{Open, Writer};
use crate::cache::generations::{Current, Generations};
use crate::cache::journal::Mark;
use crate::cache::record::FORMAT;
use crate::cache::store::{Disk, Scan, StoreError, classify_io};
use crate::cache::{Restored, Source, StoreStatus};
use crate::telemetry::metrics;
use tracing::{info, warn};

impl<S: Source> Writer<S> {
    /// Opens the current generation, or a fresh one in place of what can not or must not be used.
    pub(super) fn open(&mut self) -> Result<Open, StoreError> {
        let io = |error: std::io::Error| classify_io(&error);
        let generations = Generations::open(&self.dir).map_err(io)?;
        let mut current = generations.current().map_err(io)?;
        let mut disk = match Disk::open(&generations.path(current.generation)) {
            Err(StoreError::Corrupt(what)) => {
                self.quarantine(&generations, current.generation, &what);
                current = Current {
                    generation: generations.unused().map_err(io)?,
                    rows: 0,
                };
                self.first = false;
                Disk::open(&generations.path(current.generation))?
            }
            result => result?,
        };
        if !self.first || !self.is_ours(&disk)? {
            drop(disk);
            current = Current {
                generation: generations.unused().map_err(io)?,
                rows: 0,
            };
            disk = Disk::open(&generations.path(current.generation))?;
            self.first = false;
        }
        self.claim(&disk)?;
        generations
            .commit(Current {
                rows: current.rows,
                ..current
            })
            .map_err(io)?;
        generations
            .discard_all_but(current.generation)
            .map_err(io)?;
        let now = self.clock.now();
        let mut open = Open {
            disk,
            generations,
            generation: current.generation,
            flushed_at: now,
            inspected_at: now,
            dirty: false,
        };
        if self.first {
            self.restore(&mut open, current.rows)?;
            self.shared.set_status(StoreStatus::Up);
        } else {
            self.rebuild();
            self.shared.set_status(StoreStatus::Rebuilding);
        }
        self.inspect_size(&open)?;
        Ok(open)
    }

    /// Whether the store has our format and lineage. An empty one is anybody's.
    fn is_ours(&self, disk: &Disk) -> Result<bool, StoreError> {
        let format = disk.state("format")?;
        let lineage = disk.state("lineage")?;
        let (Some(format), Some(lineage)) = (format, lineage) else {
            return Ok(disk.rows()? == 0);
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

    /// Marks the store as ours and in use: until [`Writer::finish`] says otherwise, a stop is unclean.
    pub(super) fn claim(&self, disk: &Disk) -> Result<(), StoreError> {
        disk.set_state("format", Some(&FORMAT.to_le_bytes()))?;
        disk.set_state("lineage", Some(self.tiers.config.lineage.as_bytes()))
    }

    /// Brings entries back into memory.
    fn restore(&mut self, open: &mut Open, expected_rows: u64) -> Result<(), StoreError> {
        let clean = open.disk.state("clean")?.is_some();
        open.disk.set_state("clean", None)?;
        open.disk.flush()?;
        *self.shared.lock() = Some((open.disk.clone(), clean));
        self.shared.set_status(StoreStatus::Restoring);
        let ticket = self.fence.begin();
        let now = self.clock.now();
        let scanned = open.disk.scan(|bytes, row, value| {
            if let Some(key) = self.tiers.source.decode_key(bytes) {
                let (as_of, entry) = self.tiers.revive(&key, row, value, now, clean);
                self.fence
                    .settle(&ticket, &key, || self.tiers.restore(&key, as_of, entry));
            }
        });
        drop(ticket);
        *self.shared.lock() = None;
        let (scan, damage) = match scanned {
            Ok(scan) => (scan, None),
            Err(damage) => (Scan::default(), Some(damage)),
        };
        // Deleted products account for a few missing rows after a kill, not for many.
        let lost = damage.is_some() || scan.rows < expected_rows - expected_rows / 10;
        if lost && damage.is_none() {
            metrics::store_error("read");
            warn!(
                found = scan.rows,
                expected = expected_rows,
                "The store has lost rows; they are fetched again"
            );
        }
        if scan.unreadable > 0 {
            metrics::store_error("read");
            warn!(
                rows = scan.unreadable,
                "Rows of the store that could not be read were skipped"
            );
        }
        self.note = if lost { None } else { open.disk.state("note")? };
        let restored = Restored {
            rows: scan.rows,
            clean: clean || scan.rows == 0,
            note: self.note.clone(),
        };
        info!(
            rows = scan.rows,
            clean = restored.clean,
            "Restored {} rows from the store",
            scan.rows
        );
        self.tiers.source.restored(&restored);
        match damage {
            None => Ok(()),
            Some(damage) => {
                let what = damage.to_string();
                self.quarantine(&open.generations, open.generation, &what);
                Err(damage)
            }
        }
    }

    /// Marks everything that is known, to be written anew.
    fn rebuild(&self) {
        let tiers = &self.tiers;
        tiers.journal.set_open(true);
        tiers
            .source
            .for_each_known(&mut |key, as_of| tiers.journal.mark(key, Mark::Row(as_of)));
        if let Some(memory) = &tiers.memory {
            memory.for_each(|key, _| tiers.journal.mark(key, Mark::Save));
        }
        if let Some(note) = &self.note {
            tiers.journal.note(note.clone());
        }
    }
}
