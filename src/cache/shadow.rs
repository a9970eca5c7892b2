//! Shadow checks: a sample of fresh hits is compared with the source, behind their readers' backs. How
//! often they differ, by age, says how long a window may be.

use super::entry::Entry;
use super::flight::{Failure, Landed};
use super::{Inner, Source};
use crate::telemetry::events::EventKind;
use crate::telemetry::metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many checks there may be at once; hits that come by meanwhile are not checked.
const MOST_AT_ONCE: usize = 4;

/// Upper bounds of ages, and the word for what is up to them.
const AGES: [(Duration, &str); 6] = [
    (Duration::from_secs(1), "le_1s"),
    (Duration::from_secs(10), "le_10s"),
    (Duration::from_secs(60), "le_1m"),
    (Duration::from_secs(5 * 60), "le_5m"),
    (Duration::from_secs(15 * 60), "le_15m"),
    (Duration::from_secs(60 * 60), "le_1h"),
];

/// Which hits are checked.
#[derive(Debug)]
pub(super) struct Shadows {
    /// The share of them, of 2^32; zero checks none.
    share: u64,
    room: Arc<Semaphore>,
}

// === impl Shadows ===

impl Shadows {
    /// Checks this share of all hits, 0 to 1.
    pub fn new(rate: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 2^32, not negative"
        )]
        let share = (rate.clamp(0.0, 1.0) * 2_f64.powi(32)) as u64;
        Self {
            share,
            room: Arc::new(Semaphore::new(MOST_AT_ONCE)),
        }
    }

    /// Whether the next hit is one to check.
    pub fn samples(&self) -> bool {
        self.share > 0 && u64::from(fastrand::u32(..)) < self.share
    }
}

impl<S: Source> Inner<S> {
    /// Compares a fresh value that was just answered with the source's, where there is room for that. What
    /// differs is replaced, as by any load.
    pub(super) fn check(
        self: &Arc<Self>,
        key: &S::Key,
        answered: &Arc<Entry<S::Value>>,
        cause: S::Cause,
    ) {
        let room = Arc::clone(&self.tiers.shadows.room).try_acquire_owned();
        let Ok(permit) = room else { return };
        if self.tiers.source.room_for_refreshes() == 0 {
            return;
        }
        let now = self.clock.now();
        let age = now.since(answered.as_of());
        let (inner, key, answered) = (Arc::clone(self), key.clone(), Arc::clone(answered));
        self.tasks.spawn(async move {
            // A load that is under way already would say what was so before the answer.
            let (landed, _) = inner.load(&key, cause, Some(now)).await;
            drop(permit);
            let result = inner.compare(&answered, &landed);
            metrics::shadow_check(result, age_range(age));
            if result == "different" {
                inner.tell(EventKind::ShadowDifference, &key, &answered);
            }
        });
    }

    fn compare(&self, answered: &Entry<S::Value>, landed: &Landed<S>) -> &'static str {
        match landed {
            Ok(loaded) if self.tiers.source.same(answered, loaded) => "same",
            Ok(_) => "different",
            Err(Failure::Gone(_)) => "gone",
            Err(Failure::Failed(_) | Failure::Crashed) => "failed",
        }
    }
}

/// The word for ages like this one.
fn age_range(age: Duration) -> &'static str {
    let range = AGES.iter().find(|(upto, _)| age <= *upto);
    range.map_or("more", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_fall_into_ranges_up_to_their_bounds() {
        for (millis, expected) in [
            (0, "le_1s"),
            (1000, "le_1s"),
            (1001, "le_10s"),
            (60_000, "le_1m"),
            (300_000, "le_5m"),
            (900_000, "le_15m"),
            (3_600_000, "le_1h"),
            (3_600_001, "more"),
        ] {
            assert_eq!(age_range(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn the_share_of_hits_that_is_checked_is_the_one_asked_for() {
        for (rate, at_least, at_most) in [(0.0, 0, 0), (0.25, 2000, 3000), (1.0, 10_000, 10_000)] {
            let shadows = Shadows::new(rate);
            let sampled = (0..10_000).filter(|_| shadows.samples()).count();
            assert!((at_least..=at_most).contains(&sampled), "{rate}: {sampled}");
        }
    }
}
