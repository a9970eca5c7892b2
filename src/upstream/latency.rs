//! How long the inventory takes over one product, of late.

use super::Inventory;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many answers are remembered.
const REMEMBERED: usize = 256;

/// How long the last answers took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 95 of 100 of them took no longer.
    pub p95: Duration,
    /// How many there were.
    pub samples: usize,
}

/// The last answers. All clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    took: Vec<Duration>,
    /// The place of the next one.
    next: usize,
}

// === impl Latencies ===

impl Latencies {
    /// Remembers an answer.
    pub(super) fn note(&self, took: Duration) {
        let mut ring = self.lock();
        let at = ring.next;
        ring.next = (at + 1) % REMEMBERED;
        match ring.took.get_mut(at) {
            Some(place) => *place = took,
            None => ring.took.push(took),
        }
    }

    /// What they say; `None` before the first.
    pub(super) fn summary(&self) -> Option<Latency> {
        let mut took = self.lock().took.clone();
        took.sort_unstable();
        let samples = took.len();
        let at = |percent: usize| took.get((samples * percent).div_ceil(100).saturating_sub(1));
        Some(Latency {
            p50: *at(50)?,
            p95: *at(95)?,
            samples,
        })
    }

    /// A place is written whole, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inventory {
    /// How long it takes over one product of late; `None` before it was asked for any.
    pub fn latency(&self) -> Option<Latency> {
        self.outlet.observer.latency()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answers_are_summed_up() {
        let latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        latencies.note(Duration::from_secs(9));
        let one = latencies.summary().unwrap();
        assert_eq!(
            (one.p50, one.p95),
            (Duration::from_secs(9), Duration::from_secs(9))
        );
        for millis in 1..=1000 {
            latencies.note(Duration::from_millis(millis));
        }
        let all = latencies.summary().unwrap();
        assert_eq!(all.samples, REMEMBERED);
        // The last 256: 745 to 1000 ms.
        assert_eq!(all.p50, Duration::from_millis(872));
        assert_eq!(all.p95, Duration::from_millis(988));
    }
}
