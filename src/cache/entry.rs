//! One cached value with its times.

use super::freshness::{Rule, Trust, Verdict};
use crate::clock::Moment;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A cached value. Confirming it anew moves its time in place, so whoever holds it sees that too.
#[derive(Debug)]
pub struct Entry<V> {
    value: V,
    /// Milliseconds since the epoch at which the upstream last vouched for the value.
    as_of: AtomicU64,
    trust: AtomicU8,
    /// By how many thousandths its window is shortened, so that entries loaded together do not
    /// expire together.
    jitter_per_mille: u16,
    weight_bytes: u32,
}

// === impl Entry ===

impl<V> Entry<V> {
    /// An entry the upstream vouched for at `as_of`.
    pub fn new(value: V, as_of: Moment, jitter_per_mille: u16, weight_bytes: usize) -> Self {
        Self {
            value,
            as_of: AtomicU64::new(as_of.as_millis()),
            trust: AtomicU8::new(Trust::Confirmed as u8),
            jitter_per_mille,
            weight_bytes: u32::try_from(weight_bytes).unwrap_or(u32::MAX),
        }
    }

    /// The same entry with another value in it: same times, same trust.
    pub fn with(&self, value: V, weight_bytes: usize) -> Self {
        let entry = Self::new(value, self.as_of(), self.jitter_per_mille, weight_bytes);
        entry.trust(self.trusted());
        entry
    }

    /// When the upstream last vouched for the value.
    pub fn as_of(&self) -> Moment {
        Moment::from_millis(self.as_of.load(Ordering::Relaxed))
    }

    /// Notes that the upstream vouched for the value at `as_of`.
    pub fn confirm(&self, as_of: Moment) {
        self.as_of.fetch_max(as_of.as_millis(), Ordering::Relaxed);
        self.trust(Trust::Confirmed);
    }

    /// Changes how far the value is trusted.
    pub fn trust(&self, trust: Trust) {
        self.trust.store(trust as u8, Ordering::Relaxed);
    }

    /// How far the value is trusted.
    pub fn trusted(&self) -> Trust {
        Trust::from(self.trust.load(Ordering::Relaxed))
    }

    /// By how many thousandths its window is shortened.
    pub fn jitter_per_mille(&self) -> u16 {
        self.jitter_per_mille
    }

    /// What it counts against the cap.
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes as usize
    }

    /// What may be done with it at `now`.
    pub fn judge(&self, rule: &Rule, now: Moment) -> Verdict {
        rule.judge(
            now.since(self.as_of()),
            self.trusted(),
            self.jitter_per_mille,
        )
    }
}

impl<V> Deref for Entry<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}
