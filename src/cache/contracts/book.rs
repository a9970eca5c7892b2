//! Who is due: the state of every key under a contract, changed by what happens to it and by time.
//!
//! Keys are ordered by when they change next by themselves, so that a tick costs what is due and not
//! what there is. Statistics follow from the changes: at each tick every contract's keys count as
//! checked, and those of them that are fresh as found fresh.

use super::record::{Happening, Phase, Record};
use super::table::ContractNumber;
use super::urgency::{Reading, Urgency};
use crate::cache::contract::ContractStats;
use crate::clock::Moment;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a key's contract says, as far as time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// `fresh_within`.
    pub window: Duration,
    /// How old a value is that is to be refreshed.
    pub due_after: Duration,
    /// `grace_period`.
    pub grace: Duration,
    /// `idle_after`; zero: never.
    pub idle_after: Duration,
}

/// A place in the book; never zero.
pub type Slot = u32;

/// The book.
#[derive(Debug)]
pub struct Book<K> {
    /// By slot, less one.
    records: Vec<Option<Record<K>>>,
    free: Vec<Slot>,
    /// When a key changes by itself: becomes due, passes its window, its grace, may be tried again.
    timers: BTreeSet<(Moment, Slot)>,
    /// Keys to refresh, the most urgent first.
    waiting: BTreeSet<(Urgency, Slot)>,
    /// By contract.
    accounts: Vec<Account>,
    /// How long to wait after a first failure; doubles from one to the next.
    first_pause: Duration,
    last_pause: Duration,
    /// The newest time that anything was done at.
    newest: Moment,
}

/// When a key is looked at. What gets worse by itself is only seen at a tick, so that statistics are those
/// of a scan at every tick; what gets better is seen at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Tick,
    Any,
}

#[derive(Debug, Default)]
struct Account {
    terms: Option<Terms>,
    stats: ContractStats,
}

/// How a slot is used: when it was last read, if ever, and how often.
pub type Uses<'a> = &'a dyn Fn(Slot) -> (Option<Moment>, u32);

// === impl Book ===

impl<K: Clone + PartialEq> Book<K> {
    /// An empty book. After a failed refresh a key rests for `first_pause`, doubling up to `last_pause`.
    pub fn new(first_pause: Duration, last_pause: Duration) -> Self {
        Self {
            records: Vec::new(),
            free: Vec::new(),
            timers: BTreeSet::new(),
            waiting: BTreeSet::new(),
            accounts: Vec::new(),
            first_pause,
            last_pause,
            newest: Moment::default(),
        }
    }

    /// Opens the account of a contract, or closes it with `None`: anew, whatever it was before.
    pub fn open(&mut self, contract: ContractNumber, terms: Option<Terms>) {
        let at = usize::from(contract);
        if self.accounts.len() <= at {
            self.accounts.resize_with(at + 1, Account::default);
        }
        if let Some(account) = self.accounts.get_mut(at) {
            *account = Account {
                terms,
                stats: ContractStats::default(),
            };
        }
    }

    /// How a contract was kept.
    pub fn stats(&self, contract: ContractNumber) -> ContractStats {
        let account = self.accounts.get(usize::from(contract));
        account.map_or_else(ContractStats::default, |account| account.stats)
    }

    /// Slots there have been.
    pub fn slots(&self) -> usize {
        self.records.len()
    }

    /// Puts a key into the book; `None` if there is no such contract, or no slot up to `last`.
    pub fn enter(
        &mut self,
        key: K,
        contract: ContractNumber,
        (as_of, is_trusted): (Moment, bool),
        last: Slot,
    ) -> Option<Slot> {
        self.terms(contract)?;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => Slot::try_from(self.records.len() + 1)
                .ok()
                .filter(|slot| *slot <= last)?,
        };
        let record = Record {
            key,
            contract,
            as_of,
            is_trusted,
            phase: Phase::Fresh,
            is_told: false,
            loading: 0,
            failures: 0,
            not_before: Moment::default(),
            timer: None,
            urgency: None,
            reading: Reading::default(),
        };
        let at = slot as usize - 1;
        if at == self.records.len() {
            self.records.push(Some(record));
        } else if let Some(place) = self.records.get_mut(at) {
            *place = Some(record);
        }
        if let Some(account) = self.accounts.get_mut(usize::from(contract)) {
            account.stats.keys += 1;
            account.stats.fresh += 1;
        }
        Some(slot)
    }

    /// Strikes a key out.
    pub fn strike(&mut self, slot: Slot) {
        let place = self.records.get_mut((slot as usize).wrapping_sub(1));
        let Some(record) = place.and_then(Option::take) else {
            return;
        };
        self.free.push(slot);
        if let Some(timer) = record.timer {
            self.timers.remove(&(timer, slot));
        }
        if let Some(urgency) = record.urgency {
            self.waiting.remove(&(urgency, slot));
        }
        if let Some(account) = self.accounts.get_mut(usize::from(record.contract)) {
            account.stats.keys = account.stats.keys.saturating_sub(1);
            let was_fresh = u64::from(record.phase == Phase::Fresh);
            account.stats.fresh = account.stats.fresh.saturating_sub(was_fresh);
        }
    }

    /// The value of a key was confirmed, or is trusted no longer.
    pub fn set(
        &mut self,
        slot: Slot,
        (as_of, is_trusted): (Moment, bool),
        now: Moment,
        uses: Uses<'_>,
    ) -> Vec<Happening<K>> {
        let Some(record) = self.record(slot) else {
            return Vec::new();
        };
        record.as_of = as_of;
        record.is_trusted = is_trusted;
        if is_trusted {
            record.failures = 0;
            record.not_before = Moment::default();
        }
        self.advance(slot, now, uses, At::Any)
    }

    /// A load of `key` has begun. Counted as a refresh. `None` if the slot is another key's by now.
    pub fn begin(
        &mut self,
        (slot, key): (Slot, &K),
        now: Moment,
        uses: Uses<'_>,
    ) -> Option<Vec<Happening<K>>> {
        let record = self.record(slot).filter(|record| record.key == *key)?;
        record.loading += 1;
        let contract = record.contract;
        self.stats_mut(contract)?.refreshes_triggered += 1;
        Some(self.advance(slot, now, uses, At::Any))
    }

    /// A load of `key` that had begun has ended. The slot may be another key's by now.
    pub fn end(
        &mut self,
        (slot, key): (Slot, &K),
        has_failed: bool,
        now: Moment,
        uses: Uses<'_>,
    ) -> Vec<Happening<K>> {
        let (first, last) = (self.first_pause, self.last_pause);
        let Some(record) = self.record(slot).filter(|record| record.key == *key) else {
            return Vec::new();
        };
        record.loading = record.loading.saturating_sub(1);
        let contract = record.contract;
        if has_failed {
            record.failures += 1;
            let doubled = first.saturating_mul(2_u32.saturating_pow(record.failures - 1));
            record.not_before = now + doubled.min(last);
            if let Some(stats) = self.stats_mut(contract) {
                stats.refreshes_failed += 1;
            }
        }
        self.advance(slot, now, uses, At::Any)
    }

    /// A refresh of `key` was due, and somebody was loading it already: that may be a load from before
    /// the key was in the book, of whose end nobody will tell. So it is looked at again.
    pub fn postpone(&mut self, (slot, key): (Slot, &K), now: Moment, uses: Uses<'_>) {
        let pause = self.first_pause;
        if let Some(record) = self.record(slot).filter(|record| record.key == *key) {
            record.not_before = record.not_before.max(now + pause);
            self.advance(slot, now, uses, At::Any);
        }
    }

    /// Looks at a key again: somebody has read it.
    pub fn wake(&mut self, slot: Slot, now: Moment, uses: Uses<'_>) -> Vec<Happening<K>> {
        self.advance(slot, now, uses, At::Any)
    }

    /// Lets time pass: takes in what has changed by itself up to `now`, at most `most` keys. True when
    /// that was all; then everything counts as checked.
    pub fn tick(
        &mut self,
        now: Moment,
        most: usize,
        uses: Uses<'_>,
        happened: &mut Vec<Happening<K>>,
    ) -> bool {
        for _ in 0..most {
            let Some((at, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) else {
                break;
            };
            self.timers.remove(&(at, slot));
            if let Some(record) = self.record(slot) {
                record.timer = None;
            }
            happened.extend(self.advance(slot, now, uses, At::Tick));
        }
        let is_all = self.timers.first().is_none_or(|(at, _)| *at > now);
        if is_all {
            for account in &mut self.accounts {
                account.stats.checks_total += account.stats.keys;
                account.stats.checks_fresh += account.stats.fresh;
            }
        }
        is_all
    }

    /// The most urgent keys to refresh, `room` of them at most. Whoever is not refreshed after all comes
    /// up again when it changes next.
    pub fn next(&mut self, room: usize, now: Moment, uses: Uses<'_>) -> Vec<(K, Slot, Moment)> {
        let mut next = Vec::new();
        while next.len() < room {
            let Some((_, slot)) = self.waiting.pop_first() else {
                break;
            };
            let Some(record) = self.record(slot) else {
                continue;
            };
            record.urgency = None;
            let (key, as_of, contract) = (record.key.clone(), record.as_of, record.contract);
            if !self.is_idle(contract, slot, now, uses) {
                next.push((key, slot, as_of));
            }
        }
        next
    }

    /// Brings a key up to date with time and with what happened to it.
    fn advance(&mut self, slot: Slot, now: Moment, uses: Uses<'_>, at: At) -> Vec<Happening<K>> {
        let changed = self.change(slot, now, uses, at);
        changed.unwrap_or_default()
    }

    fn change(
        &mut self,
        slot: Slot,
        now: Moment,
        uses: Uses<'_>,
        at: At,
    ) -> Option<Vec<Happening<K>>> {
        // Whoever waited for the book comes with a time that is over.
        self.newest = self.newest.max(now);
        let now = self.newest;
        let contract = self.record(slot)?.contract;
        let terms = self.terms(contract)?;
        let is_idle = self.is_idle(contract, slot, now, uses);
        let record = self.record(slot)?;
        let (before, old_timer, old_urgency) = (record.phase, record.timer, record.urgency);
        let phase = record.phase_at(&terms, now);
        record.phase = match at {
            At::Tick => phase,
            At::Any => phase.min(before),
        };
        let wants = record.wants_refresh(&terms, now) && !is_idle;
        record.urgency = wants.then(|| {
            let rate = record.reading.rate(uses(slot).1, now);
            Urgency::new(rate, record.as_of + terms.window)
        });
        record.timer = match record.phase == phase {
            true => record.next_change(&terms, now),
            false => Some(now),
        };
        let (timer, urgency, phase) = (record.timer, record.urgency, record.phase);
        let happened = record.tell(before, is_idle, now);
        if timer != old_timer {
            self.timers.extend(timer.map(|timer| (timer, slot)));
            if let Some(old) = old_timer {
                self.timers.remove(&(old, slot));
            }
        }
        if urgency != old_urgency {
            if let Some(old) = old_urgency {
                self.waiting.remove(&(old, slot));
            }
            self.waiting.extend(urgency.map(|urgency| (urgency, slot)));
        }
        let stats = self.stats_mut(contract)?;
        stats.fresh = (stats.fresh + u64::from(phase == Phase::Fresh))
            .saturating_sub(u64::from(before == Phase::Fresh));
        let is_exhausted = before != Phase::Exhausted && phase == Phase::Exhausted;
        stats.grace_exhausted += u64::from(is_exhausted);
        Some(happened)
    }

    fn is_idle(&self, contract: ContractNumber, slot: Slot, now: Moment, uses: Uses<'_>) -> bool {
        let idle_after = self
            .terms(contract)
            .map_or(Duration::ZERO, |terms| terms.idle_after);
        !idle_after.is_zero() && uses(slot).0.is_none_or(|at| now.since(at) > idle_after)
    }

    fn terms(&self, contract: ContractNumber) -> Option<Terms> {
        self.accounts.get(usize::from(contract))?.terms
    }

    fn record(&mut self, slot: Slot) -> Option<&mut Record<K>> {
        self.records
            .get_mut((slot as usize).checked_sub(1)?)?
            .as_mut()
    }

    fn stats_mut(&mut self, contract: ContractNumber) -> Option<&mut ContractStats> {
        let account = self.accounts.get_mut(usize::from(contract))?;
        Some(&mut account.stats)
    }
}
