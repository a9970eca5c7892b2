//! The serving tier: entries in memory, under a byte cap, those that are read surviving.
//!
//! The sum of the weights is at most the capacity after every call: a shard makes room before it lets go of its
//! lock. The capacity moves: what the index and the absences hold is taken off it, so that the cap bounds
//! the sum (STYLE invariant 5).
//!
//! A read takes a shard's lock for reading and writes nothing but a mark into the entry.

mod ghosts;
mod place;
mod rings;
mod shard;
#[cfg(test)]
mod tests;

pub use place::{Pair, Place, hash};

use super::entry::Entry;
use shard::Shard;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes the tier itself spends on an entry: its place in a ring, what a hash table and a growing list have to
/// spare, and half as many that are remembered after they went.
const SLOT_BYTES: usize = 40;

/// The most shards; more only help machines with more cores than this tier was measured on.
const MAX_SHARDS: u64 = 64;

/// The serving tier.
pub struct Memory<P: Place> {
    shards: Box<[RwLock<Shard<P>>]>,
    weight: AtomicU64,
    entries: AtomicUsize,
}

// === impl Memory ===

impl<P: Place> Memory<P> {
    /// An empty tier of at most `capacity` bytes, with room for entries of `max_entry_bytes`.
    pub fn new(capacity: u64, max_entry_bytes: usize) -> Self {
        // A shard must hold a few of the heaviest entries, or they could never be kept.
        let shards = (capacity / (4 * max_entry_bytes.max(1) as u64)).clamp(1, MAX_SHARDS);
        let shards = match shards.is_power_of_two() {
            true => shards,
            false => shards.next_power_of_two() / 2,
        };
        let shard = |_| RwLock::new(Shard::new(capacity / shards));
        Self {
            shards: (0..shards).map(shard).collect(),
            weight: AtomicU64::new(0),
            entries: AtomicUsize::new(0),
        }
    }

    /// The entry of `key`, counted as used.
    pub fn get(&self, key: &P::Key) -> Option<Arc<Entry<P::Value>>> {
        let hash = hash(key);
        let shard = self.read(hash);
        let entry = shard.get(hash, key)?;
        entry.note_read();
        Some(Arc::clone(entry))
    }

    /// The entry of `key`, without counting it as used.
    pub fn peek(&self, key: &P::Key) -> Option<Arc<Entry<P::Value>>> {
        let hash = hash(key);
        self.read(hash).get(hash, key).map(Arc::clone)
    }

    /// Keeps an entry; false if it was too heavy. Returns what lost its place to it.
    pub fn insert(&self, key: &P::Key, entry: Arc<Entry<P::Value>>) -> (bool, Vec<P>) {
        let hash = hash(key);
        let mut evicted = Vec::new();
        let kept = self.change(hash, |shard| {
            shard.insert(hash, key, entry, &mut evicted);
            shard.get(hash, key).is_some()
        });
        // Its own place is not one that it cost another.
        evicted.retain(|place| !place.is_of(key));
        (kept, evicted)
    }

    /// Removes the entry of `key`.
    pub fn remove(&self, key: &P::Key) -> Option<Arc<Entry<P::Value>>> {
        let hash = hash(key);
        let gone = self.change(hash, |shard| shard.remove(hash, key))?;
        Some(Arc::clone(gone.entry()))
    }

    /// Removes everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            // Dropped after the lock: so many take their time.
            drop(self.change_in(shard, Shard::clear));
        }
    }

    /// Moves the cap. Returns what no longer fits.
    pub fn resize(&self, capacity: u64) -> Vec<P> {
        // Rounded down, so that the sum stays below the cap.
        let share = capacity / self.shards.len() as u64;
        let mut evicted = Vec::new();
        for shard in &self.shards {
            self.change_in(shard, |shard| shard.resize(share, &mut evicted));
        }
        evicted
    }

    /// So many entries are about to come: makes their places at once, as far as they would fit, instead of one after
    /// the other, which goes through all that are there each time that they have doubled.
    pub fn expect(&self, entries: usize) {
        let shards = self.shards.len();
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.expect(entries / shards);
        }
    }

    /// Whether an entry of this weight would be kept under `key` without costing another its place.
    pub fn has_room_for(&self, key: &P::Key, weight: usize) -> bool {
        self.read(hash(key)).has_room_for(weight as u64)
    }

    /// Whether an entry of this weight would be kept under `key`, if need be at the cost of others.
    pub fn takes(&self, key: &P::Key, weight: usize) -> bool {
        weight as u64 <= self.read(hash(key)).capacity() / 2
    }

    /// Entries held.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// The sum of their weights, in bytes.
    pub fn weight(&self) -> u64 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Visits every entry; not a snapshot. What is visited may call back.
    pub fn for_each(&self, mut visit: impl FnMut(&P::Key, &Arc<Entry<P::Value>>)) {
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let held = |place: &P| (place.key(), Arc::clone(place.entry()));
            let all: Vec<_> = shard.iter().map(held).collect();
            drop(shard);
            all.iter().for_each(|(key, entry)| visit(key, entry));
        }
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard<P>> {
        self.shard(hash)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, hash: u64, act: impl FnOnce(&mut Shard<P>) -> T) -> T {
        self.change_in(self.shard(hash), act)
    }

    /// Keeps the sums while a shard is changed. A panic in there would be one of ours, in code that indexes
    /// nothing; whatever it left would be found or not, and no more.
    fn change_in<T>(&self, shard: &RwLock<Shard<P>>, act: impl FnOnce(&mut Shard<P>) -> T) -> T {
        let mut shard: RwLockWriteGuard<'_, _> =
            shard.write().unwrap_or_else(PoisonError::into_inner);
        let (weight, entries) = (shard.weight(), shard.len());
        let result = act(&mut shard);
        // Sums of differences: these wrap, and are right in the end.
        let more = shard.weight().wrapping_sub(weight);
        self.weight.fetch_add(more, Ordering::Relaxed);
        let more = shard.len().wrapping_sub(entries);
        self.entries.fetch_add(more, Ordering::Relaxed);
        result
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "there is a power of two of them, and the mask is one less"
    )]
    fn shard(&self, hash: u64) -> &RwLock<Shard<P>> {
        // The table takes the highest and the lowest bits.
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)]
    }
}

/// What the allocator takes for `bytes` in one piece: jemalloc's size classes, four to each doubling, in steps of
/// 16 bytes where those are closer.
pub const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => {
            let doubling = usize::BITS - (bytes - 1).leading_zeros();
            bytes.next_multiple_of(1 << (doubling - 3))
        }
    }
}

/// What an entry costs beside what its source says its key and value cost.
pub const fn overhead_bytes<P: Place>() -> usize {
    // Arc's two counters and the entry; its place, of which a pointer is in SLOT_BYTES already
    allocated(16 + size_of::<Entry<P::Value>>()) + size_of::<P>() - size_of::<usize>() + SLOT_BYTES
}
