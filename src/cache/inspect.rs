//! Looking into the cache without using it: what operators and invalidations go by.

use super::freshness::Trust;
use super::{Cache, Source, Stats};
use std::time::Duration;

/// What the cache knows about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// fresh, stale, overdue, expired, or absent (only remembered as not existing or failing).
    pub state: &'static str,
    /// Whether the upstream's word stands: confirmed, unconfirmed, doubted.
    pub trust: &'static str,
    /// How old the value is.
    pub age: Duration,
    /// What remains of its window.
    pub remaining: Duration,
    /// Its weight in the serving tier, in bytes.
    pub weight_bytes: usize,
    /// Whether a load of the key is under way.
    pub loading: bool,
}

impl<S: Source> Cache<S> {
    /// The keys of all held entries that `select` selects, with their weights. What marks say is taken in
    /// on the way.
    pub fn select(
        &self,
        mut select: impl FnMut(&S::Key, &S::Value) -> bool,
    ) -> Vec<(S::Key, usize)> {
        let (mut selected, tiers) = (Vec::new(), &self.inner.tiers);
        if let Some(memory) = &tiers.memory {
            memory.for_each(|key, entry| {
                if entry.compared() != tiers.marks.newest() {
                    tiers.compare(key, entry);
                }
                if select(key, entry) {
                    selected.push((key.clone(), entry.weight_bytes()));
                }
            });
        }
        selected
    }

    /// What is known about a key; `None` if nothing.
    pub fn inspect(&self, key: &S::Key) -> Option<Inspection> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let loading = inner.fence.is_loading(key);
        let Some(entry) = inner.tiers.peek(key) else {
            let remembered = inner.tiers.absences.get(key, now).is_some();
            return (remembered || loading).then_some(Inspection {
                state: "absent",
                trust: Trust::Confirmed.as_str(),
                age: Duration::ZERO,
                remaining: Duration::ZERO,
                weight_bytes: 0,
                loading,
            });
        };
        let verdict = inner.tiers.judge(&entry, now);
        Some(Inspection {
            state: verdict.as_str(),
            trust: entry.trusted().as_str(),
            age: now.since(entry.as_of()),
            remaining: verdict.remaining(),
            weight_bytes: entry.weight_bytes(),
            loading,
        })
    }

    /// Entries in the serving tier.
    pub fn entries(&self) -> usize {
        self.inner
            .tiers
            .memory
            .as_ref()
            .map_or(0, |memory| memory.entries())
    }

    /// Whether anything is cached at all.
    pub fn is_on(&self) -> bool {
        self.inner.tiers.memory.is_some()
    }

    /// What the cache holds and has done.
    pub fn stats(&self) -> Stats {
        let tiers = &self.inner.tiers;
        Stats {
            entries: tiers
                .memory
                .as_ref()
                .map_or(0, |memory| memory.entries() as u64),
            bytes: tiers.bytes(),
            capacity_bytes: tiers.config.max_bytes,
            store_up: self.store_status().is_up(),
            store_queue_length: tiers.journal.len() as u64,
            ..tiers.counters.snapshot()
        }
    }
}
