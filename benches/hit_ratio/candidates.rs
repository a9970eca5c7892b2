//! The tiers that are compared, each made for the same bytes, holding what the product's holds: a shared
//! pointer per key.

use crate::strict::{Lru, Sharded};
use foyer_memory::{
    Cache as Foyer, CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig,
};
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;
use product_catalog::cache::{Entry, Memory, Pair};
use product_catalog::clock::Moment;
use quick_cache::sync::{Cache as QuickCache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use rustc_hash::FxBuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

/// How many shards the others get: what the product's tier has at these sizes.
const SHARDS: usize = 64;

/// The heaviest entry that the product keeps by default, in bytes.
const MAX_ENTRY_BYTES: usize = 1 << 20;

/// About what a product weighs here, in bytes.
const TYPICAL_BYTES: u64 = 1400;

/// What quick_cache asks for a weight.
#[derive(Clone)]
struct Weigh;

/// A serving tier.
pub trait Tier: Send + Sync {
    /// Reads a product; whether it was held.
    fn get(&self, product: u32) -> bool;
    /// Takes a product in.
    fn insert(&self, product: u32, weight: u32);
    /// Whether it is held, without that counting as a read.
    fn holds(&self, product: u32) -> bool;
    /// Whether a product of so many bytes fits without costing another its place.
    fn has_room_for(&self, product: u32, weight: u32) -> bool;
}

/// A way to make a tier.
pub struct Candidate {
    pub name: &'static str,
    /// Makes one of so many bytes.
    pub make: fn(u64) -> Box<dyn Tier>,
}

/// What all are measured against.
pub const EXACT: Candidate = Candidate {
    name: "exact LRU",
    make: |capacity| Box::new(Mutex::new(Lru::new(capacity))),
};

/// What is compared.
pub const ALL: [Candidate; 8] = [
    Candidate {
        name: "the product's",
        make: |capacity| Box::new(Memory::<Pair<u32, ()>>::new(capacity, MAX_ENTRY_BYTES)),
    },
    Candidate {
        name: "quick_cache",
        make: quick_cache,
    },
    Candidate {
        name: "moka, TinyLFU",
        make: |capacity| moka(capacity, EvictionPolicy::tiny_lfu()),
    },
    Candidate {
        name: "moka, LRU",
        make: |capacity| moka(capacity, EvictionPolicy::lru()),
    },
    Candidate {
        name: "foyer, LRU",
        make: |capacity| foyer(capacity, LruConfig::default().into()),
    },
    Candidate {
        name: "foyer, S3-FIFO",
        make: |capacity| foyer(capacity, S3FifoConfig::default().into()),
    },
    Candidate {
        name: "foyer, w-TinyLFU",
        make: |capacity| foyer(capacity, LfuConfig::default().into()),
    },
    Candidate {
        name: "strict LRU in 64 shards",
        make: |capacity| Box::new(Sharded::new(capacity, SHARDS as u64)),
    },
];

/// With its own choices of shares, and the history that its authors advise.
fn quick_cache(capacity: u64) -> Box<dyn Tier> {
    let most = usize::try_from(capacity / (4 * MAX_ENTRY_BYTES as u64)).unwrap_or(SHARDS);
    let mut options = OptionsBuilder::new();
    options
        .shards(most.clamp(1, SHARDS))
        .estimated_items_capacity(usize::try_from(capacity / TYPICAL_BYTES).unwrap_or(usize::MAX))
        .weight_capacity(capacity);
    let options = options.build().expect("both capacities are set");
    let lifecycle = DefaultLifecycle::default();
    Box::new(QuickCache::with_options(
        options,
        Weigh,
        FxBuildHasher,
        lifecycle,
    ))
}

fn moka(capacity: u64, policy: EvictionPolicy) -> Box<dyn Tier> {
    let built = Moka::builder()
        .max_capacity(capacity)
        .weigher(|_, value: &Arc<u32>| **value)
        .eviction_policy(policy)
        .build_with_hasher(FxBuildHasher);
    Box::new(built)
}

fn foyer(capacity: u64, policy: EvictionConfig) -> Box<dyn Tier> {
    let built: Foyer<u32, Arc<u32>, FxBuildHasher> = CacheBuilder::new(capacity as usize)
        .with_shards(SHARDS)
        .with_eviction_config(policy)
        .with_hash_builder(FxBuildHasher)
        .with_weighter(|_, value: &Arc<u32>| **value as usize)
        .build();
    Box::new(built)
}

// === impl Tier ===

impl Tier for Memory<Pair<u32, ()>> {
    fn get(&self, product: u32) -> bool {
        Memory::get(self, &product).is_some()
    }

    fn insert(&self, product: u32, weight: u32) {
        let entry = Entry::new((), Moment::default(), 0, weight as usize);
        Memory::insert(self, &product, Arc::new(entry));
    }

    fn holds(&self, product: u32) -> bool {
        self.peek(&product).is_some()
    }

    fn has_room_for(&self, product: u32, weight: u32) -> bool {
        Memory::has_room_for(self, &product, weight as usize)
    }
}

impl Weighter<u32, Arc<u32>> for Weigh {
    fn weight(&self, _: &u32, value: &Arc<u32>) -> u64 {
        u64::from(**value)
    }
}

impl Tier for QuickCache<u32, Arc<u32>, Weigh, FxBuildHasher> {
    fn get(&self, product: u32) -> bool {
        QuickCache::get(self, &product).is_some()
    }

    fn insert(&self, product: u32, weight: u32) {
        QuickCache::insert(self, product, Arc::new(weight));
    }

    fn holds(&self, product: u32) -> bool {
        self.peek(&product).is_some()
    }

    fn has_room_for(&self, _: u32, weight: u32) -> bool {
        self.weight() + u64::from(weight) <= self.capacity()
    }
}

impl Tier for Moka<u32, Arc<u32>, FxBuildHasher> {
    fn get(&self, product: u32) -> bool {
        Moka::get(self, &product).is_some()
    }

    fn insert(&self, product: u32, weight: u32) {
        Moka::insert(self, product, Arc::new(weight));
    }

    fn holds(&self, product: u32) -> bool {
        self.contains_key(&product)
    }

    fn has_room_for(&self, _: u32, weight: u32) -> bool {
        let capacity = self.policy().max_capacity().unwrap_or_default();
        self.weighted_size() + u64::from(weight) <= capacity
    }
}

impl Tier for Foyer<u32, Arc<u32>, FxBuildHasher> {
    fn get(&self, product: u32) -> bool {
        Foyer::get(self, &product).is_some()
    }

    fn insert(&self, product: u32, weight: u32) {
        Foyer::insert(self, product, Arc::new(weight));
    }

    fn holds(&self, product: u32) -> bool {
        self.contains(&product)
    }

    fn has_room_for(&self, _: u32, weight: u32) -> bool {
        self.usage() + weight as usize <= self.capacity()
    }
}

impl Tier for Mutex<Lru> {
    fn get(&self, product: u32) -> bool {
        let mut tier = self.lock().unwrap_or_else(PoisonError::into_inner);
        tier.get(product).is_some()
    }

    fn insert(&self, product: u32, weight: u32) {
        let mut tier = self.lock().unwrap_or_else(PoisonError::into_inner);
        tier.insert(product, Arc::new(weight));
    }

    fn holds(&self, product: u32) -> bool {
        let tier = self.lock().unwrap_or_else(PoisonError::into_inner);
        tier.holds(product)
    }

    fn has_room_for(&self, _: u32, weight: u32) -> bool {
        let tier = self.lock().unwrap_or_else(PoisonError::into_inner);
        tier.has_room_for(weight)
    }
}

impl Tier for Sharded {
    fn get(&self, product: u32) -> bool {
        self.with(product, |shard| shard.get(product).is_some())
    }

    fn insert(&self, product: u32, weight: u32) {
        self.with(product, |shard| shard.insert(product, Arc::new(weight)));
    }

    fn holds(&self, product: u32) -> bool {
        self.with(product, |shard| shard.holds(product))
    }

    fn has_room_for(&self, product: u32, weight: u32) -> bool {
        self.with(product, |shard| shard.has_room_for(weight))
    }
}
