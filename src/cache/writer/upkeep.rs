//! The look at a store in use, each minute or when there is reason to: is it still there, how large has it grown, is
//! what lies there still wanted.

use super::{Open, Writer};
use crate::cache::Source;
use crate::cache::generations::Current;
use crate::cache::record::{Content, Row};
use crate::cache::store::{Change, Disk, StoreError, classify_io};
use crate::pace::Pace;
use crate::telemetry::metrics;
use std::time::Duration;
use tracing::{info, warn};

/// Disk : live bytes at which the store is rewritten, in tenths.
const REWRITE_TENTHS: u64 = 35;

/// Disk : live bytes at which the store is given up, in tenths.
const GIVE_UP_TENTHS: u64 = 45;

/// Beside that, so many bytes are nobody's fault: sled's own, and what a small store leaves in a second.
const SMALL_BYTES: u64 = 16 << 20;

/// After a rewrite, the next one may follow this many times as long as it took, so that a hundredth of the time goes
/// into them at most; and not at once.
const RESTS: u32 = 100;
const SHORTEST_REST: Duration = Duration::from_secs(10);

/// How long after one that failed, or that gave back too little, the next may follow.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(600);

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
        self.inspect_size(open)?;
        let now = self.clock.now();
        let is_rested = now >= open.rests_until;
        if is_rested && self.wants_rewrite(open) || open.is_outgrown && !open.has_failed {
            let was_outgrown = open.is_outgrown;
            let rewritten = self.rewrite(open);
            let took = self.clock.now().since(now);
            open.has_failed = rewritten.is_err() && was_outgrown;
            // The store in use is sound, whatever becomes of its copy.
            if let Err(error) = &rewritten {
                metrics::store_error("rewrite");
                warn!(%error, "The store could not be rewritten to give back disk space, will retry");
                self.discard_all_but(&open.generations, Some(open.generation));
            }
            self.inspect_size(open)?;
            open.has_failed |= open.is_outgrown;
            let is_done = rewritten.is_ok() && !self.wants_rewrite(open);
            open.rests_until = self.clock.now() + rest_after(is_done, took);
        } else if open.is_outgrown {
            return Err(StoreError::Unusable("it outgrew its bound".to_owned()));
        }
        Ok(())
    }

    /// Whether a rewrite would give back much.
    pub(super) fn wants_rewrite(&self, open: &Open) -> bool {
        open.is_bloated || self.has_forgotten(open)
    }

    /// Whether much lies on disk that nobody remembers, as more products came than the source's index can take.
    fn has_forgotten(&self, open: &Open) -> bool {
        let memory = self.tiers.memory.as_ref();
        let held = memory.map_or(0, |memory| memory.entries() as u64);
        // Of what is about to be removed, rows are still there.
        let expected = held + held / 4 + self.tiers.journal.len() as u64 + MANY_FORGOTTEN;
        !self.tiers.source.remembers() && open.disk.rows() > expected
    }

    fn is_held(&self, key: &[u8]) -> bool {
        let key = self.tiers.source.decode_key(key);
        key.is_some_and(|key| self.tiers.peek(&key).is_some())
    }

    /// Looks how large it is.
    pub(super) fn inspect_size(&self, open: &mut Open) -> Result<(), StoreError> {
        let (size, live) = (open.disk.size_on_disk()?, open.disk.live_bytes());
        open.is_bloated = is_past(REWRITE_TENTHS, size, live);
        open.is_outgrown = is_past(GIVE_UP_TENTHS, size, live);
        self.tiers.counters.set_store_bytes(size, live);
        self.tiers.set_store_bytes(Some(open.disk.held_bytes()));
        self.fence.in_order(|| self.tiers.make_room());
        Ok(())
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
            if !remembers && !self.is_held(key) {
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

/// Whether files of `size` bytes are more than so many tenths of what is live in them.
fn is_past(tenths: u64, size: u64, live: u64) -> bool {
    size > live * tenths / 10 + SMALL_BYTES
}

fn rest_after(is_done: bool, took: Duration) -> Duration {
    match is_done {
        true => (took * RESTS).max(SHORTEST_REST),
        false => REST_AFTER_FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_worth_rewriting_before_it_is_given_up() {
        let live = 100 << 20;
        let sizes = [300, 370, 460, 470].map(|megabytes| megabytes << 20);
        let is_bloated = sizes.map(|size| is_past(REWRITE_TENTHS, size, live));
        assert_eq!(is_bloated, [false, true, true, true]);
        let is_given_up = sizes.map(|size| is_past(GIVE_UP_TENTHS, size, live));
        assert_eq!(is_given_up, [false, false, false, true]);
        assert!(
            !is_past(REWRITE_TENTHS, 2 << 20, 0),
            "an empty one has files"
        );
    }

    #[test]
    fn a_hundredth_of_the_time_goes_into_rewriting_at_most() {
        let rest = |secs| rest_after(true, Duration::from_secs(secs)).as_secs();
        assert_eq!((rest(0), rest(2)), (10, 200));
        assert_eq!(rest_after(false, Duration::ZERO), REST_AFTER_FAILURE);
    }
}
