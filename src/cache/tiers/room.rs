//! What counts against the cap, and who gives way: entries get what everything else leaves.

use super::Tiers;
use crate::cache::Source;
use std::sync::atomic::Ordering;

/// The room taken off the serving tier for index, contracts and store moves in steps of this many bytes.
const RESERVE_STEP: u64 = 64 * 1024;

/// With a store, this part of the cap is set aside for what is still to be written to it.
const MARKS_SHARE: u64 = 64;

/// What a listing may leave to be written before it waits, in bytes, beside the pages under way: the other half is for
/// what is being written.
pub(in crate::cache) fn backlog_bytes(max_bytes: u64) -> usize {
    usize::try_from(max_bytes / MARKS_SHARE / 2).unwrap_or(usize::MAX)
}

// === impl Tiers ===

impl<S: Source> Tiers<S> {
    /// All that counts against the cap, in bytes.
    pub fn bytes(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| {
            memory.weight() + self.reserved.load(Ordering::Relaxed) + self.absences.capacity_bytes()
        })
    }

    /// Notes what the open store takes in memory, if one is.
    pub fn set_store_bytes(&self, bytes: Option<u64>) {
        let marks = self.config.max_bytes / MARKS_SHARE;
        let bytes = bytes.map_or(0, |bytes| bytes + marks);
        self.store_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Takes what index, contracts and store hold off the serving tier's share of the cap.
    pub fn make_room(&self) {
        let Some(memory) = &self.memory else { return };
        // What loses its place for them leaves its texts to the index and a mark, which take less, but something.
        loop {
            let held = self.source.held_bytes() + self.contracts.held_bytes();
            let held = held as u64 + self.store_bytes.load(Ordering::Relaxed);
            let wanted = held.next_multiple_of(RESERVE_STEP);
            if self.reserved.load(Ordering::Relaxed) == wanted {
                return;
            }
            let taken = wanted + self.absences.capacity_bytes();
            // Resized before the reserve counts: the sum never shows more than the cap.
            self.note_evicted(memory.resize(self.config.max_bytes.saturating_sub(taken)));
            self.reserved.store(wanted, Ordering::Relaxed);
        }
    }
}
