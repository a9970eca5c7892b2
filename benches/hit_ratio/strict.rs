//! Strict LRU by bytes: the measure, and a candidate where it is sharded.

use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

/// Strict LRU by bytes.
#[derive(Default)]
pub struct Lru {
    capacity: u64,
    weight: u64,
    places: FxHashMap<u32, usize>,
    /// The first is the head of the ring: behind it lies the most recently read.
    slots: Vec<Slot>,
    free: Vec<usize>,
}

struct Slot {
    product: u32,
    value: Arc<u32>,
    before: usize,
    after: usize,
}

/// Strict LRU in shards, each behind a lock of its own.
pub struct Sharded(Vec<Mutex<Lru>>);

// === impl Lru ===

impl Lru {
    /// An empty one of so many bytes.
    pub fn new(capacity: u64) -> Self {
        let head = Slot {
            product: 0,
            value: Arc::new(0),
            before: 0,
            after: 0,
        };
        Self {
            capacity,
            slots: vec![head],
            ..Self::default()
        }
    }

    /// What is held of a product, which counts as read.
    pub fn get(&mut self, product: u32) -> Option<Arc<u32>> {
        let slot = *self.places.get(&product)?;
        self.unlink(slot);
        self.link(slot);
        Some(Arc::clone(&self.slots[slot].value))
    }

    /// Whether a product is held.
    pub fn holds(&self, product: u32) -> bool {
        self.places.contains_key(&product)
    }

    /// Takes a product in, at the cost of those that nobody has read for longest.
    pub fn insert(&mut self, product: u32, value: Arc<u32>) {
        self.remove(product);
        self.weight += u64::from(*value);
        let filled = Slot {
            product,
            value,
            before: 0,
            after: 0,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = filled;
                slot
            }
            None => {
                self.slots.push(filled);
                self.slots.len() - 1
            }
        };
        self.places.insert(product, slot);
        self.link(slot);
        while self.weight > self.capacity {
            self.remove(self.slots[self.slots[0].before].product);
        }
    }

    /// Whether so many bytes fit without costing another product its place.
    pub fn has_room_for(&self, weight: u32) -> bool {
        self.weight + u64::from(weight) <= self.capacity
    }

    fn remove(&mut self, product: u32) {
        if let Some(slot) = self.places.remove(&product) {
            self.unlink(slot);
            self.weight -= u64::from(*self.slots[slot].value);
            self.free.push(slot);
        }
    }

    fn link(&mut self, slot: usize) {
        let after = self.slots[0].after;
        (self.slots[slot].before, self.slots[slot].after) = (0, after);
        self.slots[after].before = slot;
        self.slots[0].after = slot;
    }

    fn unlink(&mut self, slot: usize) {
        let Slot { before, after, .. } = self.slots[slot];
        self.slots[before].after = after;
        self.slots[after].before = before;
    }
}

// === impl Sharded ===

impl Sharded {
    /// Empty shards of so many bytes together.
    pub fn new(capacity: u64, shards: u64) -> Self {
        let shard = |_| Mutex::new(Lru::new(capacity / shards));
        Self((0..shards).map(shard).collect())
    }

    /// Does something with the shard of a product.
    pub fn with<T>(&self, product: u32, act: impl FnOnce(&mut Lru) -> T) -> T {
        let shard = (FxBuildHasher.hash_one(product) >> 40) as usize % self.0.len();
        act(&mut self.0[shard].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
