//! What is remembered of keys that have no entry: that they do not exist, or just failed to load.

use crate::clock::Moment;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use rustc_hash::FxBuildHasher;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// What one remembered absence is reckoned to cost, in bytes: the longest key and its slots.
const ABSENCE_BYTES: u64 = 384;

/// Why a key has no answer.
#[derive(Debug)]
pub enum Absence<G, E> {
    /// The upstream said that there is no such key, and in which way.
    Gone(G),
    /// The last load failed; too little time has passed for another.
    Failed(Arc<E>),
}

/// A bounded memory of absences. Random keys push each other out, never entries.
pub struct Absences<K, G, E> {
    tier: Cache<K, (Absence<G, E>, Moment), UnitWeighter, FxBuildHasher>,
    capacity: u64,
}

// === impl Absence ===

impl<G: Copy, E> Clone for Absence<G, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Gone(how) => Self::Gone(*how),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
        }
    }
}

// === impl Absences ===

impl<K: Clone + Eq + Hash, G: Copy, E> Absences<K, G, E> {
    /// Room for a 64th of `max_bytes`, but for 128 absences at least.
    pub fn new(max_bytes: u64) -> Self {
        let capacity = (max_bytes / 64 / ABSENCE_BYTES).max(128);
        let tier = Cache::with(
            usize::try_from(capacity).unwrap_or(usize::MAX),
            capacity,
            UnitWeighter,
            FxBuildHasher,
            DefaultLifecycle::default(),
        );
        Self { tier, capacity }
    }

    /// The most bytes this ever holds.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity * ABSENCE_BYTES
    }

    /// What is remembered of `key`, if that still holds at `now`.
    pub fn get(&self, key: &K, now: Moment) -> Option<Absence<G, E>> {
        let (absence, until) = self.tier.get(key)?;
        if until >= now {
            return Some(absence);
        }
        self.tier.remove(key);
        None
    }

    /// How much longer it is remembered that there is no `key`.
    pub fn gone_for(&self, key: &K, now: Moment) -> Duration {
        match self.tier.peek(key) {
            Some((Absence::Gone(_), until)) => until.since(now),
            _ => Duration::ZERO,
        }
    }

    /// Remembers an absence until `until`.
    pub fn put(&self, key: K, absence: Absence<G, E>, until: Moment) {
        self.tier.insert(key, (absence, until));
    }

    /// Forgets what is remembered of `key`.
    pub fn remove(&self, key: &K) {
        self.tier.remove(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.tier.clear();
    }
}
