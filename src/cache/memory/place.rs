//! What the serving tier keeps for an entry.

use crate::cache::entry::Entry;
use rustc_hash::FxBuildHasher;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// An entry in its place in the serving tier. What is needed to find it again is told from here, so a source
/// whose values tell their keys need not keep them twice.
pub trait Place: Send + Sync + 'static {
    /// Identifies an entry.
    type Key: Clone + Eq + Hash;
    /// What is cached.
    type Value;

    /// The place of an entry.
    fn new(key: &Self::Key, entry: Arc<Entry<Self::Value>>) -> Self;

    /// The entry.
    fn entry(&self) -> &Arc<Entry<Self::Value>>;

    /// The key.
    fn key(&self) -> Self::Key;

    /// Whether that is the key. Called for each read.
    fn is_of(&self, key: &Self::Key) -> bool;

    /// What [`hash`] gives for the key.
    fn hash(&self) -> u64;
}

/// A place that keeps the key beside the entry.
#[derive(Debug)]
pub struct Pair<K, V>(pub(super) K, pub(super) Arc<Entry<V>>);

/// What the serving tier finds keys by.
pub fn hash<K: Hash + ?Sized>(key: &K) -> u64 {
    FxBuildHasher.hash_one(key)
}

// === impl Pair ===

impl<K, V> Place for Pair<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    type Key = K;
    type Value = V;

    fn new(key: &K, entry: Arc<Entry<V>>) -> Self {
        Self(key.clone(), entry)
    }

    fn entry(&self) -> &Arc<Entry<V>> {
        &self.1
    }

    fn key(&self) -> K {
        self.0.clone()
    }

    fn is_of(&self, key: &K) -> bool {
        self.0 == *key
    }

    fn hash(&self) -> u64 {
        hash(&self.0)
    }
}
