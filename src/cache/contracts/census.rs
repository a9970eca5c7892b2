//! Counting the keys under a contract that are in use.

use super::Contracts;
use crate::cache::entry::Entry;
use crate::cache::{Cache, Source};
use crate::clock::Moment;
use std::time::Duration;

impl<S: Source> Cache<S> {
    /// How many of the keys under the contract of this name were read within its `idle_after`; `None`
    /// without such a contract, or without its `idle_after`. Looks at everything that is held: not for a
    /// thread that serves.
    pub fn contract_in_use(&self, name: &str) -> Option<u64> {
        let tiers = &self.inner.tiers;
        let all = tiers.contracts.table.all();
        let found = all.iter().find(|(_, held)| &*held.contract.name == name)?;
        let (number, idle_after) = (found.0, found.1.contract.idle_after);
        let (now, mut count) = (self.inner.clock.now(), 0);
        tiers.memory.as_ref()?.for_each(|_, entry| {
            let is_used = || tiers.contracts.was_read_within(entry, idle_after, now);
            count += u64::from(entry.contract() == number && is_used());
        });
        (!idle_after.is_zero()).then_some(count)
    }
}

impl<K: Clone + PartialEq, F> Contracts<K, F> {
    fn was_read_within<V>(&self, entry: &Entry<V>, within: Duration, now: Moment) -> bool {
        let (last, _) = self.usage.get(entry.slot());
        last.is_some_and(|last| now.since(last) <= within)
    }
}
