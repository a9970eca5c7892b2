//! The serving tier: entries in memory, under a byte cap, the recently read surviving.
//!
//! quick_cache keeps the sum of weights at most the capacity after every call (a shard evicts
//! before it admits), which moka only does eventually. The capacity moves: what the index and the
//! negative entries hold is taken off it, so that the cap bounds the sum (STYLE invariant 5).

use super::entry::Entry;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use rustc_hash::FxBuildHasher;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes the tier itself spends on an entry: slab slot, hash-table slot, allocator rounding.
const SLOT_BYTES: usize = 96;

/// Typical weight of an entry, to size the tables and the history of evicted keys.
const TYPICAL_ENTRY_BYTES: u64 = 1536;

/// The most shards; more only help machines with more cores than this tier was measured on.
const MAX_SHARDS: u64 = 64;

/// The serving tier.
pub struct Memory<K, V> {
    tier: Cache<K, Arc<Entry<V>>, Weigh, FxBuildHasher, Evictions<K, V>>,
    evicted: Evictions<K, V>,
}

#[derive(Clone)]
struct Weigh;

/// What has lost its place since this was last emptied.
struct Evictions<K, V>(Arc<Mutex<Vec<Evicted<K, V>>>>);

/// A key that has lost its place, and its entry.
pub type Evicted<K, V> = (K, Arc<Entry<V>>);

// === impl Memory ===

impl<K: Clone + Eq + Hash, V> Memory<K, V> {
    /// An empty tier of at most `capacity` bytes, with room for entries of `max_entry_bytes`.
    pub fn new(capacity: u64, max_entry_bytes: usize) -> Self {
        // A shard must hold a few of the heaviest entries, or they could never be kept.
        let shards = (capacity / (4 * max_entry_bytes.max(1) as u64)).clamp(1, MAX_SHARDS);
        let shards = if shards.is_power_of_two() {
            shards
        } else {
            shards.next_power_of_two() / 2
        };
        let mut options = OptionsBuilder::new();
        options
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(
                usize::try_from(capacity / TYPICAL_ENTRY_BYTES)
                    .unwrap_or(usize::MAX)
                    .max(1),
            )
            .weight_capacity(capacity);
        let evicted = Evictions(Arc::default());
        let tier = Cache::with_options(
            options
                .build()
                .unwrap_or_else(|_| unreachable!("both capacities are set above")),
            Weigh,
            FxBuildHasher,
            evicted.clone(),
        );
        let memory = Self { tier, evicted };
        memory.resize(capacity);
        memory
    }

    /// The entry of `key`, counted as used.
    pub fn get(&self, key: &K) -> Option<Arc<Entry<V>>> {
        self.tier.get(key)
    }

    /// The entry of `key`, without counting it as used.
    pub fn peek(&self, key: &K) -> Option<Arc<Entry<V>>> {
        self.tier.peek(key)
    }

    /// Keeps an entry; false if it was too heavy. Returns what lost its place to it.
    pub fn insert(&self, key: K, entry: Arc<Entry<V>>) -> (bool, Vec<Evicted<K, V>>) {
        self.tier.insert(key.clone(), entry);
        let mut evicted = self.evicted.take();
        // Replacing an entry reports the old one under the same key.
        evicted.retain(|(other, _)| *other != key);
        (self.tier.contains_key(&key), evicted)
    }

    /// Removes the entry of `key`.
    pub fn remove(&self, key: &K) -> Option<Arc<Entry<V>>> {
        self.tier.remove(key).map(|(_, entry)| entry)
    }

    /// Removes everything.
    pub fn clear(&self) {
        self.tier.clear();
    }

    /// Moves the cap. Returns what no longer fits.
    pub fn resize(&self, capacity: u64) -> Vec<Evicted<K, V>> {
        // quick_cache rounds a shard's share up; rounding down first keeps the sum below the cap.
        let shards = self.tier.num_shards() as u64;
        self.tier.set_capacity(capacity / shards * shards);
        self.evicted.take()
    }

    /// Whether an entry of this weight is likely to fit without costing another its place.
    pub fn has_room_for(&self, weight: usize) -> bool {
        // Shards fill unevenly; the last hundredth is left to what readers ask for.
        let capacity = self.tier.capacity();
        self.tier.weight() + weight as u64 <= capacity - capacity / 100
    }

    /// Whether an entry of this weight would be kept, if need be at the cost of others.
    pub fn takes(&self, weight: usize) -> bool {
        weight as u64 <= self.tier.shard_capacity() / 2
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.tier.len()
    }

    /// The sum of their weights, in bytes.
    pub fn weight(&self) -> u64 {
        self.tier.weight()
    }

    /// Visits every entry; not a snapshot.
    pub fn for_each(&self, mut visit: impl FnMut(&K, &Arc<Entry<V>>)) {
        for (key, entry) in self.tier.iter() {
            visit(&key, &entry);
        }
    }
}

/// What the allocator takes for `bytes` in one piece: its own word beside them, in steps of 16.
pub const fn allocated(bytes: usize) -> usize {
    let rounded = (bytes + 8).next_multiple_of(16);
    if rounded < 32 { 32 } else { rounded }
}

/// What an entry costs beside what its source says its key and value cost.
pub const fn overhead_bytes<K, V>() -> usize {
    // Arc's two counters and the entry; the key in its slot
    allocated(16 + size_of::<Entry<V>>()) + size_of::<K>() + SLOT_BYTES
}

// === impl Weigh ===

impl<K, V> Weighter<K, Arc<Entry<V>>> for Weigh {
    fn weight(&self, _: &K, entry: &Arc<Entry<V>>) -> u64 {
        entry.weight_bytes() as u64
    }
}

// === impl Evictions ===

impl<K, V> Evictions<K, V> {
    fn take(&self) -> Vec<Evicted<K, V>> {
        std::mem::take(&mut *self.lock())
    }

    /// Holds plain pairs: a panic elsewhere can not leave them half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Evicted<K, V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Clone for Evictions<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Lifecycle<K, Arc<Entry<V>>> for Evictions<K, V> {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), key: K, entry: Arc<Entry<V>>) {
        self.lock().push((key, entry));
    }
}
