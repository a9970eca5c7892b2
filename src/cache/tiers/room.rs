//! What counts against the cap, and who gives way: entries get what everything else leaves.

use super::Tiers;
use crate::cache::Source;
use std::sync::atomic::Ordering;

/// The room taken off the serving tier for index, contracts and store moves in steps of this many bytes.
const RESERVE_STEP: u64 = 64 * 1024;

/// Marks count for this part of the cap at most: what is evicted for them leaves marks as well, and those are
/// written soon.
const MARKS_SHARE: u64 = 64;

// === impl Tiers ===

impl<S: Source> Tiers<S> {
    /// All that counts against the cap, in bytes.
    pub fn bytes(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| {
            memory.weight() + self.reserved.load(Ordering::Relaxed) + self.absences.capacity_bytes()
        })
    }

    /// Notes what the open store takes in memory.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.store_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Takes what index, contracts, store and marks hold off the serving tier's share of the cap.
    pub(super) fn make_room(&self) {
        let Some(memory) = &self.memory else { return };
        // What loses its place for them leaves its texts to the index and a mark, which take less, but something.
        loop {
            let held = self.source.held_bytes() + self.contracts.held_bytes();
            let marks = (self.journal.held_bytes() as u64).min(self.config.max_bytes / MARKS_SHARE);
            let held = held as u64 + marks + self.store_bytes.load(Ordering::Relaxed);
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
