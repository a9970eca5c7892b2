//! How much keys under contracts are read: noted by every hit without a lock.

use crate::clock::Moment;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Slots in a chunk, a power of two.
const CHUNK: usize = 4096;
/// The most chunks: sixteen million keys.
const CHUNKS: usize = 4096;

/// What a slot costs, in bytes.
pub const USE_BYTES: usize = size_of::<Use>();

/// Use by slot. Memory comes in chunks, as slots are given out, and stays.
#[derive(Debug)]
pub struct Usage(Box<[OnceLock<Box<[Use]>>]>);

#[derive(Debug, Default)]
struct Use {
    /// When it was last read, in milliseconds; zero if never.
    at: AtomicU64,
    /// How often, modulo 2^32.
    reads: AtomicU32,
}

// === impl Usage ===

impl Usage {
    /// The highest slot there can be.
    pub const LAST: u32 = (CHUNK * CHUNKS - 1) as u32;

    /// Notes a read at `now`.
    pub fn note(&self, slot: u32, now: Moment) {
        if let Some(used) = self.of(slot) {
            used.at.store(now.as_millis(), Ordering::Relaxed);
            used.reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// When a slot was last read, if ever, and how often.
    pub fn get(&self, slot: u32) -> (Option<Moment>, u32) {
        self.of(slot).map_or((None, 0), |used| {
            let at = used.at.load(Ordering::Relaxed);
            let reads = used.reads.load(Ordering::Relaxed);
            ((at > 0).then(|| Moment::from_millis(at)), reads)
        })
    }

    /// Makes room for a slot, and forgets what was noted of it.
    pub fn begin(&self, slot: u32) {
        let chunk = self.0.get(slot as usize / CHUNK);
        if let Some(chunk) = chunk {
            chunk.get_or_init(|| (0..CHUNK).map(|_| Use::default()).collect());
        }
        if let Some(used) = self.of(slot) {
            used.at.store(0, Ordering::Relaxed);
        }
    }

    fn of(&self, slot: u32) -> Option<&Use> {
        let slot = slot as usize;
        self.0.get(slot / CHUNK)?.get()?.get(slot % CHUNK)
    }
}

impl Default for Usage {
    fn default() -> Self {
        Self((0..CHUNKS).map(|_| OnceLock::new()).collect())
    }
}
