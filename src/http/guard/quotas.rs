//! So much a second for each of many clients, by the generic cell rate algorithm.
//!
//! A client has as much as the limit says at once, and gets it back evenly over a second. What is
//! remembered of one is a single moment: when all of it is back. A moment in the past is as good as none,
//! so idle clients are forgotten without a difference.

use crate::clock::Moment;
use rustc_hash::FxHashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most clients that are remembered, in as many parts as may be looked at at once.
const MOST_CLIENTS: usize = 65_536;
const PARTS: usize = 16;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A limit, and what every client has left of it.
pub struct Quotas {
    rule: Rule,
    hasher: RandomState,
    parts: [Mutex<Clients>; PARTS],
}

/// What a client has left, after the request at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub limit: u32,
    pub remaining: u64,
    /// Seconds since the Unix epoch.
    pub reset: u64,
    /// For a request that is one too many: after how many seconds it would not be.
    pub refused_for: Option<u64>,
}

/// So many requests a second.
#[derive(Clone, Copy, Debug)]
struct Rule {
    limit: NonZeroU32,
    /// Nanoseconds after which one request is back.
    interval: u64,
}

/// Clients by the hash of who they are, each with the moment all its requests are back, in
/// nanoseconds since the Unix epoch.
#[derive(Debug, Default)]
struct Clients {
    full_at: FxHashMap<u64, u64>,
    swept_at: u64,
}

// === impl Quotas ===

impl Quotas {
    /// Lets every client have `limit` a second.
    pub fn new(limit: NonZeroU32) -> Self {
        Self {
            rule: Rule::new(limit),
            hasher: RandomState::new(),
            parts: Default::default(),
        }
    }

    /// Takes one off what a client has left.
    pub fn charge(&self, client: impl Hash, now: Moment) -> Quota {
        let client = self.hasher.hash_one(client);
        let now = now.as_millis().saturating_mul(1_000_000);
        let mut clients = self.part(client);
        let full_at = clients.full_at.get(&client).copied().unwrap_or_default();
        let (full_at, quota) = self.rule.charge(full_at, now);
        clients.remember(client, full_at, now);
        quota
    }

    /// Every change leaves the table whole, so a panic while holding the lock is moot.
    fn part(&self, client: u64) -> MutexGuard<'_, Clients> {
        #[expect(
            clippy::indexing_slicing,
            reason = "a remainder is less than its divisor"
        )]
        let part = &self.parts[usize::try_from(client % PARTS as u64).unwrap_or_default()];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

// === impl Rule ===

impl Rule {
    fn new(limit: NonZeroU32) -> Self {
        Self {
            limit,
            interval: (NANOS_PER_SECOND / u64::from(limit.get())).max(1),
        }
    }

    /// Charges a client that has all its requests back at `full_at`: when that is afterwards, and
    /// what it has left. Times are nanoseconds since the Unix epoch.
    fn charge(self, full_at: u64, now: u64) -> (u64, Quota) {
        let window = self.interval * u64::from(self.limit.get());
        // A moment further away than a whole window is one of a clock that was set back.
        let before = full_at.clamp(now, now.saturating_add(window));
        let after = before.saturating_add(self.interval);
        let too_early = after.saturating_sub(now.saturating_add(window));
        let (full_at, refused_for) = if too_early == 0 {
            (after, None)
        } else {
            (before, Some(too_early.div_ceil(NANOS_PER_SECOND)))
        };
        let quota = Quota {
            limit: self.limit.get(),
            remaining: (now.saturating_add(window) - full_at) / self.interval,
            reset: full_at.div_ceil(NANOS_PER_SECOND),
            refused_for,
        };
        (full_at, quota)
    }
}

// === impl Clients ===

impl Clients {
    /// Remembers a client. Where there is no room, the idle are forgotten, at most once a second;
    /// else anybody, who then has all requests again.
    fn remember(&mut self, client: u64, full_at: u64, now: u64) {
        let is_full = self.full_at.len() >= MOST_CLIENTS / PARTS;
        if is_full && !self.full_at.contains_key(&client) {
            if now.saturating_sub(self.swept_at) >= NANOS_PER_SECOND {
                self.swept_at = now;
                self.full_at.retain(|_, full_at| *full_at > now);
            }
            if self.full_at.len() >= MOST_CLIENTS / PARTS
                && let Some(anybody) = self.full_at.keys().next().copied()
            {
                self.full_at.remove(&anybody);
            }
        }
        self.full_at.insert(client, full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000 * NANOS_PER_SECOND;

    fn rule(limit: u32) -> Rule {
        Rule::new(NonZeroU32::new(limit).unwrap())
    }

    #[test]
    fn a_second_has_as_many_requests_as_the_limit_says_and_then_they_come_back_evenly() {
        let rule = rule(4);
        let mut full_at = 0;
        let mut charge = |now| {
            let (after, quota) = rule.charge(full_at, now);
            full_at = after;
            quota
        };
        for remaining in [3, 2, 1, 0] {
            let quota = charge(NOW);
            assert_eq!((quota.remaining, quota.refused_for), (remaining, None));
        }
        let refused = charge(NOW);
        assert_eq!((refused.remaining, refused.refused_for), (0, Some(1)));
        assert_eq!(
            (refused.limit, refused.reset),
            (4, NOW / NANOS_PER_SECOND + 1)
        );
        assert_eq!(charge(NOW + NANOS_PER_SECOND / 4).refused_for, None);
        assert_eq!(charge(NOW + NANOS_PER_SECOND / 4).refused_for, Some(1));
        assert_eq!(charge(NOW + 10 * NANOS_PER_SECOND).remaining, 3);
    }

    #[test]
    fn a_flood_of_clients_takes_no_more_than_its_room() {
        let mut clients = Clients::default();
        for client in 0..3 * MOST_CLIENTS as u64 {
            clients.remember(client, NOW + NANOS_PER_SECOND, NOW);
            assert!(clients.full_at.len() <= MOST_CLIENTS / PARTS);
        }
        let later = NOW + 2 * NANOS_PER_SECOND;
        clients.remember(u64::MAX, later + 1, later);
        assert_eq!(clients.full_at.len(), 1, "the idle are forgotten");
    }

    proptest! {
        #[test]
        fn no_second_admits_more_than_twice_the_limit_and_none_is_refused_that_waits_as_told(
            limit in 1_u32..2000,
            steps in prop::collection::vec(0_u64..40, 1..400),
        ) {
            let rule = rule(limit);
            let (mut now, mut full_at) = (NOW, 0);
            let mut admitted = Vec::new();
            for step in steps {
                now += step * 1_000_000;
                let (after, quota) = rule.charge(full_at, now);
                full_at = after;
                prop_assert!(quota.remaining < u64::from(limit) || quota.refused_for.is_some());
                match quota.refused_for {
                    None => admitted.push(now),
                    Some(seconds) => {
                        let waited = now + seconds * NANOS_PER_SECOND;
                        prop_assert_eq!(rule.charge(full_at, waited).1.refused_for, None);
                    }
                }
                let second = admitted.iter().filter(|&&at| at + NANOS_PER_SECOND > now).count();
                prop_assert!(second <= 2 * limit as usize);
            }
        }
    }
}
