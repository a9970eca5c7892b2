//! The tick: lets time pass over the book, and starts the refreshes that are due.

use super::Contracts;
use super::book::Slot;
use crate::cache::contract::{Contract, ContractStats};
use crate::cache::flight::Boarding;
use crate::cache::{Cache, Source};
use crate::clock::Moment;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Changes that are taken in before others get at the book.
const MOST_AT_ONCE: usize = 1024;

impl<S: Source> Cache<S> {
    /// Puts contracts in force in place of all others; those that are as before keep their statistics.
    /// Without [`Config::contracts`](crate::cache::Config::contracts) nothing happens.
    ///
    /// Looks at everything that is held: not for a thread that serves. One call at a time.
    pub fn govern(&self, contracts: Vec<Contract<S::Fallback>>)
    where
        S::Fallback: PartialEq,
    {
        let tiers = &self.inner.tiers;
        if tiers.contracts.config().is_none() || !tiers.contracts.replace(contracts) {
            return;
        }
        for (key, _) in self.select(|_, _| true) {
            self.inner.fence.in_order(|| tiers.govern(&key));
        }
        tiers.contracts.retire();
    }

    /// How the contract of this name was kept; `None` where none is in force.
    pub fn contract_stats(&self, name: &str) -> Option<ContractStats> {
        self.inner.tiers.contracts.stats(name)
    }

    /// Keeps the contracts until `stop` is cancelled; returns at once where they are switched off.
    /// `cause` is whom refreshes are on behalf of.
    pub async fn keep_contracts(&self, cause: impl Fn() -> S::Cause, stop: CancellationToken) {
        let Some(config) = self.inner.tiers.contracts.config() else {
            return;
        };
        let mut ticks = tokio::time::interval(config.tick_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let ticking = async {
            loop {
                ticks.tick().await;
                self.tick(&cause).await;
            }
        };
        stop.run_until_cancelled(ticking).await;
    }

    /// One tick: counts the checks, and starts the refreshes that are due. For whoever keeps time
    /// otherwise than [`Cache::keep_contracts`].
    pub async fn tick(&self, cause: &impl Fn() -> S::Cause) {
        let inner = &self.inner;
        let contracts = &inner.tiers.contracts;
        let now = inner.clock.now();
        contracts.wake();
        // However many have changed at once, nobody waits for all of them.
        while !contracts.pass_time(now) {
            tokio::task::yield_now().await;
        }
        let room = inner.tiers.source.room_for_refreshes();
        for (key, slot, as_of, permit) in contracts.due(room, now) {
            let boarding = Boarding {
                // Whatever brought something newer meanwhile has done it already.
                needed_as_of: Some(as_of + Duration::from_millis(1)),
                permit: Some(permit),
            };
            if inner.refresh(&key, cause(), boarding) {
                contracts.postpone(slot, &key, now);
            }
        }
    }
}

impl<K: Clone + PartialEq, F> Contracts<K, F> {
    /// Looks again at idle keys that were read.
    fn wake(&self) {
        let uses = self.uses();
        let woken = std::mem::take(&mut *super::lock(&self.woken));
        let now = self.clock.now();
        for slot in woken {
            let happening = self.lock().wake(slot, now, &uses);
            self.tell(happening);
        }
    }

    /// Takes in some of what has changed by itself up to `now`; true when that was all, and the checks
    /// are counted.
    fn pass_time(&self, now: Moment) -> bool {
        let mut happened = Vec::new();
        let is_all = self
            .lock()
            .tick(now, MOST_AT_ONCE, &self.uses(), &mut happened);
        self.tell(happened);
        is_all
    }

    fn postpone(&self, slot: Slot, key: &K, now: Moment) {
        self.lock().postpone((slot, key), now, &self.uses());
    }

    /// The most urgent refreshes for which there is room, and the room.
    fn due(&self, room: usize, now: Moment) -> Vec<(K, Slot, Moment, OwnedSemaphorePermit)> {
        let room = room.min(self.permits.available_permits());
        if room == 0 {
            return Vec::new();
        }
        let uses = self.uses();
        let next = self.lock().next(room, now, &uses);
        let with_permit = |(key, slot, as_of)| {
            let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
            Some((key, slot, as_of, permit))
        };
        next.into_iter().filter_map(with_permit).collect()
    }
}
