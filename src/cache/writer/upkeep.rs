//! The look at a store in use, each minute or when there is reason to: is it still there, how large has it grown, is
//! what lies there still wanted.

use super::{Open, Writer};
use crate::cache::Source;
use crate::cache::generations::Current;
use crate::cache::record::{Content, Row};
use crate::cache::store::{Change, Disk, StoreError, classify_io};
use crate::clock::Moment;
use crate::pace::Pace;
use crate::telemetry::metrics;
use std::time::Duration;
use tracing::{info, warn};

/// Disk : live bytes at which the store is rewritten, in tenths; measured churn settles below it.
const REWRITE_TENTHS: u64 = 35;

/// Disk : live bytes at which the store is given up, in tenths.
const GIVE_UP_TENTHS: u64 = 45;

/// Below this size the ratio says nothing: sled's own files count too.
const SMALL_BYTES: u64 = 64 << 20;

/// How long after a rewrite, failed or not, the next one may follow.
const REWRITE_PAUSE: Duration = Duration::from_secs(600);

/// Rows that nobody remembers and that are no reason to rewrite the store.
const MANY_FORGOTTEN: u64 = 10_000;

/// Expired records that go in one such look.
const MANY_RECORDS: usize = 10_000;

// === impl Writer ===

impl<S: Source> Writer<S> {
    /// The look each minute: is the directory still there, how large has the file grown.
    pub(super) fn inspect(&mut self, open: &mut Open) -> Result<(), StoreError> {
        if !open.generations.path(open.generation).exists() {
            return Err(StoreError::Unusable("it was removed".to_owned()));
        }
        self.commit(&open.generations, open.current());
        open.disk.drop_records(self.clock.now(), MANY_RECORDS)?;
        let (size, live) = self.inspect_size(open)?;
        let past = |tenths: u64| size * 10 > live * tenths + SMALL_BYTES * 10;
        let now = self.clock.now();
        if (past(REWRITE_TENTHS) || self.has_forgotten(open)) && open.is_rested(now) {
            open.rewritten_at = Some(now);
            // The store in use is sound, whatever becomes of its copy.
            if let Err(error) = self.rewrite(open) {
                metrics::store_error("rewrite");
                warn!(%error, "The store could not be rewritten to give back disk space, will retry");
                self.discard_all_but(&open.generations, Some(open.generation));
            }
            self.inspect_size(open)?;
        } else if past(GIVE_UP_TENTHS) {
            return Err(StoreError::Unusable("it outgrew its bound".to_owned()));
        }
        Ok(())
    }

    /// Whether much lies on disk that nobody remembers, as more products came than the source's index can take.
    pub(super) fn has_forgotten(&self, open: &Open) -> bool {
        let memory = self.tiers.memory.as_ref();
        let held = memory.map_or(0, |memory| memory.entries() as u64);
        // Of what is about to be removed, rows are still there.
        let expected = held + held / 4 + self.tiers.journal.len() as u64 + MANY_FORGOTTEN;
        !self.tiers.source.remembers() && open.disk.rows() > expected
    }

    pub(super) fn inspect_size(&self, open: &Open) -> Result<(u64, u64), StoreError> {
        let (size, live) = (open.disk.size_on_disk()?, open.disk.live_bytes());
        self.tiers.counters.set_store_bytes(size, live);
        self.tiers.set_store_bytes(Some(open.disk.held_bytes()));
        self.fence.in_order(|| self.tiers.make_room());
        Ok((size, live))
    }

    /// Copies what is live into a fresh generation: sled's file never shrinks by itself.
    fn rewrite(&mut self, open: &mut Open) -> Result<(), StoreError> {
        let generation = open
            .generations
            .unused()
            .map_err(|error| classify_io(&error))?;
        let path = open.generations.path(generation);
        let fresh = Disk::open(&path, self.tiers.config.max_bytes)?;
        self.claim(&fresh)?;
        let (mut failed, mut pace) = (None, Pace::default());
        let remembers = self.tiers.source.remembers();
        // Without what is not held, nothing may say that all there is lies there.
        let note = self.note.as_deref().filter(|_| remembers);
        open.disk.scan(|key, row, value| {
            pace.step();
            if !remembers && !matches!(row.content, Content::Value(_)) {
                return;
            }
            let content = value.map_or(Content::None, |_| row.content);
            let change = Change::Save(Row { content, ..row }, value.unwrap_or_default().to_vec());
            if failed.is_none() {
                let change = std::iter::once((key.to_vec(), change));
                failed = fresh.write(change, |_| None).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        open.disk.copy_records(&fresh, self.clock.now())?;
        fresh.set_state("note", note)?;
        fresh.flush()?;
        let rows = fresh.rows();
        open.generations
            .commit(Current { generation, rows })
            .map_err(|error| classify_io(&error))?;
        self.tiers.ledger.attach(Some(fresh.clone()));
        std::mem::replace(&mut open.disk, fresh).let_go();
        open.generation = generation;
        self.generation = Some(generation);
        self.discard_all_but(&open.generations, Some(generation));
        info!(rows, "The store was rewritten to give back disk space");
        Ok(())
    }
}

// === impl Open ===

impl Open {
    /// Whether the last rewrite is long enough ago.
    pub(super) fn is_rested(&self, now: Moment) -> bool {
        self.rewritten_at
            .is_none_or(|at| now.since(at) >= REWRITE_PAUSE)
    }
}
