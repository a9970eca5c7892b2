//! What the cache has done since the start.

use crate::telemetry::metrics;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a read was satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Fresh, from memory or store.
    Hit,
    /// Past its window, within grace.
    Stale,
    /// Waited for a load, joined or own.
    Miss,
    /// Known not to exist.
    Negative,
    /// A configured stand-in.
    Fallback,
    /// No answer could be given.
    Error,
    /// The cache is off.
    Bypass,
}

/// Why an entry left the serving tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionCause {
    /// It lost its place to others.
    Size,
    /// The source no longer lists it.
    Expired,
    /// Somebody asked for it.
    Purge,
}

/// What the cache holds and has done since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Entries in the serving tier.
    pub entries: u64,
    /// All that counts against the cap, in bytes.
    pub bytes: u64,
    /// The cap, in bytes.
    pub capacity_bytes: u64,
    /// Reads by [`Outcome`].
    pub requests: Vec<(Outcome, u64)>,
    /// Entries that left the serving tier, by cause.
    pub evictions: Vec<(EvictionCause, u64)>,
    /// Readers that joined somebody else's load.
    pub coalesced: u64,
    /// Whether the persistent tier is in use.
    pub store_up: bool,
    /// Its size on disk, in bytes.
    pub store_bytes: u64,
    /// What is live in it, in bytes.
    pub store_live_bytes: u64,
    /// Changes it has not written yet.
    pub store_queue_length: u64,
}

/// The counters behind [`Stats`] and the metrics.
#[derive(Default)]
pub(super) struct Counters {
    requests: [AtomicU64; Outcome::ALL.len()],
    evictions: [AtomicU64; EvictionCause::ALL.len()],
    pub(super) coalesced: AtomicU64,
    store_bytes: AtomicU64,
    store_live_bytes: AtomicU64,
}

// === impl Outcome ===

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::Miss,
        Self::Negative,
        Self::Fallback,
        Self::Error,
        Self::Bypass,
    ];

    /// The word in logs, metrics and the console.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Negative => "negative",
            Self::Fallback => "fallback",
            Self::Error => "error",
            Self::Bypass => "bypass",
        }
    }
}

// === impl EvictionCause ===

impl EvictionCause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Size, Self::Expired, Self::Purge];

    /// The word in logs, metrics and the console.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Expired => "expired",
            Self::Purge => "purge",
        }
    }
}

// === impl Counters ===

impl Counters {
    /// Counts a read; returns how many had the same outcome before.
    pub fn read(&self, outcome: Outcome) -> u64 {
        metrics::cache_request(outcome.as_str());
        count(&self.requests, outcome as usize, 1)
    }

    pub fn evicted(&self, cause: EvictionCause, entries: u64) {
        if entries > 0 {
            count(&self.evictions, cause as usize, entries);
            metrics::cache_evictions(cause.as_str(), entries);
        }
    }

    /// Tells the size of the persistent tier on disk, and what of it is live.
    pub fn set_store_bytes(&self, bytes: u64, live: u64) {
        self.store_bytes.store(bytes, Ordering::Relaxed);
        self.store_live_bytes.store(live, Ordering::Relaxed);
        metrics::store_bytes(bytes);
        metrics::store_live_bytes(live);
    }

    /// The counts; what is held is for the caller to fill in.
    pub fn snapshot(&self) -> Stats {
        let read = |counters: &[AtomicU64], at: usize| {
            counters
                .get(at)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        };
        Stats {
            requests: Outcome::ALL
                .map(|outcome| (outcome, read(&self.requests, outcome as usize)))
                .to_vec(),
            evictions: EvictionCause::ALL
                .map(|cause| (cause, read(&self.evictions, cause as usize)))
                .to_vec(),
            coalesced: self.coalesced.load(Ordering::Relaxed),
            store_bytes: self.store_bytes.load(Ordering::Relaxed),
            store_live_bytes: self.store_live_bytes.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }
}

/// Adds to a counter; returns what it was.
fn count(counters: &[AtomicU64], at: usize, by: u64) -> u64 {
    let counter = counters.get(at);
    counter.map_or(0, |counter| counter.fetch_add(by, Ordering::Relaxed))
}
