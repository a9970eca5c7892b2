//! How many events of a kind are let in a second, without a lock.

use super::EventKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bits of a window that count; those above say which second it is.
const COUNT_BITS: u32 = 32;

/// What of each kind was let in this second, and what was left out.
#[derive(Default)]
pub(super) struct Admissions([Admission; EventKind::ALL.len()]);

#[derive(Default)]
struct Admission {
    /// The second, and how many came in it so far.
    window: AtomicU64,
    /// How many were left out in earlier seconds and not told of yet.
    left_out: AtomicU64,
}

// === impl Admissions ===

impl Admissions {
    /// Whether one more of `kind` is let in at this time of running; then, how many were left out since
    /// the last one.
    pub fn admit(&self, kind: EventKind, running: Duration) -> Option<u64> {
        let Some(most) = kind.most_a_second() else {
            return Some(0);
        };
        // Every kind has a place.
        let admission = self.0.get(kind as usize)?;
        admission.admit(running.as_secs(), most.into())
    }
}

// === impl Admission ===

impl Admission {
    fn admit(&self, second: u64, most: u64) -> Option<u64> {
        let seen = self.window.load(Ordering::Relaxed);
        if seen >> COUNT_BITS < second {
            let next = (second << COUNT_BITS) | 1;
            let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
            // One of those who see that a second is over begins the next.
            if self.window.compare_exchange(seen, next, set, get).is_ok() {
                let over = count(seen).saturating_sub(most);
                return Some(self.left_out.swap(0, Ordering::Relaxed) + over);
            }
        }
        let before = count(self.window.fetch_add(1, Ordering::Relaxed));
        (before < most).then(|| self.left_out.swap(0, Ordering::Relaxed))
    }
}

const fn count(window: u64) -> u64 {
    window & ((1 << COUNT_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_are_let_in_and_the_next_one_tells_of_the_rest() {
        let admission = Admission::default();
        for second in [0, 1] {
            let admitted = (0..250).filter(|_| admission.admit(second, 100).is_some());
            assert_eq!(admitted.count(), 100);
        }
        assert_eq!(admission.admit(7, 100), Some(150));
        assert_eq!(admission.admit(7, 100), Some(0));
        assert_eq!(admission.admit(9, 100), Some(0));
    }

    #[test]
    fn threads_that_race_lose_no_count() {
        let admission = Admission::default();
        let told: u64 = std::thread::scope(|scope| {
            let racing = || {
                let admitted = (0..40_000).filter_map(|at| admission.admit(at / 4_000, 10));
                admitted.fold((0, 0), |(n, left_out), more| (n + 1, left_out + more))
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(racing)).collect();
            let sums = racers.into_iter().map(|racer| racer.join().unwrap());
            sums.map(|(admitted, left_out)| admitted + left_out).sum()
        });
        let last = admission.admit(u64::from(u32::MAX), 10).unwrap();
        assert_eq!(told + last, 160_000);
    }
}
