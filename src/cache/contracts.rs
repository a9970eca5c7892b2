//! The contract engine: which values are under a contract, who of them is to be refreshed ahead, and how
//! every contract was kept.
//!
//! Hits read the table and note their use without the book's lock; everything that changes a key goes
//! through the book.

mod book;
mod census;
mod record;
mod table;
mod tick;
mod urgency;
mod usage;

#[cfg(test)]
mod tests;

pub use record::What;
pub use table::{ContractNumber, Governing};

use super::contract::{Contract, ContractStats};
use super::entry::Entry;
use super::freshness::Trust;
use crate::clock::{Clock, Moment};
use crate::telemetry::events::{Event, EventKind, Events};
use book::{Book, Slot, Terms};
use record::Happening;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::Table;
use tokio::sync::Semaphore;
use usage::{USE_BYTES, Usage};

/// What a key under a contract costs, beside its use: its record, its timer, its place in line.
const KEY_BYTES: usize = 192;

/// What is left of the grace for answering when a reader has waited in vain: timers come late, never early.
const ANSWERING: Duration = Duration::from_millis(10);

/// How contracts are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContractsConfig {
    /// `CONTRACTS_TICK_INTERVAL_MS`: how often it is looked who is due.
    pub tick_interval: Duration,
    /// `CONTRACTS_REFRESH_THRESHOLD`: the share of the window after which a value is refreshed, 0 to 1.
    pub refresh_threshold: f64,
    /// `CONTRACTS_MAX_CONCURRENT_REFRESHES`: refreshes ahead at a time.
    pub max_concurrent_refreshes: usize,
    /// `CONTRACTS_REFRESH_TIMEOUT_MS`: how long a refresh may take, and a reader waits for one.
    pub refresh_timeout: Duration,
}

/// The engine.
#[derive(Debug)]
pub struct Contracts<K, F> {
    config: Option<ContractsConfig>,
    table: Table<F>,
    book: Mutex<Book<K>>,
    usage: Usage,
    /// Idle keys that were read while they were due.
    woken: Mutex<Vec<Slot>>,
    /// Room for refreshes ahead.
    permits: Arc<Semaphore>,
    /// How many keys there are names for, by number.
    names: fn(&K) -> String,
    clock: Clock,
    events: Events,
}

/// A load of a key under a contract, from its begin to its end.
pub struct UnderWay<'a, K: Clone + PartialEq, F> {
    contracts: &'a Contracts<K, F>,
    slot: Slot,
    key: K,
    has_failed: bool,
}

// === impl ContractsConfig ===

impl Default for ContractsConfig {
    fn default() -> Self {
        Self {
            tick_interval: Duration::from_millis(50),
            refresh_threshold: 0.8,
            max_concurrent_refreshes: 32,
            refresh_timeout: Duration::from_secs(3),
        }
    }
}

// === impl Contracts ===

impl<K: Clone + PartialEq, F> Contracts<K, F> {
    /// No contracts yet. After a failed refresh a key rests for a tick, doubling up to `last_pause`.
    /// `name` names keys in events.
    pub fn new(
        config: Option<ContractsConfig>,
        last_pause: Duration,
        names: fn(&K) -> String,
        clock: Clock,
        events: Events,
    ) -> Self {
        let kept = config.unwrap_or_default();
        Self {
            config,
            table: Table::default(),
            book: Mutex::new(Book::new(
                kept.tick_interval,
                last_pause.max(kept.tick_interval),
            )),
            usage: Usage::default(),
            woken: Mutex::default(),
            permits: Arc::new(Semaphore::new(kept.max_concurrent_refreshes)),
            names,
            clock,
            events,
        }
    }

    /// How contracts are kept; `None` where they are not.
    pub fn config(&self) -> Option<ContractsConfig> {
        self.config
    }

    /// The number of the contract that a key is under; zero if there is none.
    pub fn number_of(&self, key: impl FnOnce() -> Vec<u8>) -> ContractNumber {
        self.table.number_of(key)
    }

    /// The contract that an entry is under.
    pub fn governing<V>(&self, entry: &Entry<V>) -> Option<Arc<Governing<F>>> {
        self.table.get(entry.contract())
    }

    /// How the contract of this name was kept.
    pub fn stats(&self, name: &str) -> Option<ContractStats> {
        let all = self.table.all();
        let found = all.iter().find(|(_, held)| &*held.contract.name == name)?;
        Some(self.lock().stats(found.0))
    }

    /// What the engine holds, in bytes.
    pub fn held_bytes(&self) -> usize {
        match self.config {
            Some(_) => self.lock().slots() * (KEY_BYTES + USE_BYTES),
            None => 0,
        }
    }

    /// Notes a read of an entry that is under `governing`. One that nobody had read, and that is to be
    /// refreshed, is looked at with the next tick.
    pub fn note_read<V>(&self, entry: &Entry<V>, governing: &Governing<F>, now: Moment) {
        let slot = entry.slot();
        self.usage.note(slot, now);
        let is_due = now.since(entry.as_of()) > governing.due_after;
        if is_due && !governing.contract.idle_after.is_zero() && entry.begin_eager() {
            lock(&self.woken).push(slot);
        }
    }

    /// Notes that an entry was just loaded for a reader.
    pub fn note_loaded<V>(&self, entry: &Entry<V>, now: Moment) {
        if entry.slot() > 0 {
            self.usage.note(entry.slot(), now);
        }
    }

    /// An entry is held from now on, in place of `before` where there was one under the same key.
    pub fn hold<V>(&self, key: &K, before: Option<&Entry<V>>, entry: &Entry<V>) {
        let number = entry.contract();
        if let Some(before) = before {
            if before.contract() == number && before.slot() > 0 {
                entry.take_slot(before);
                return self.changed(entry);
            }
            self.release(before);
        }
        if number == 0 {
            return;
        }
        let mut book = self.lock();
        let since = (entry.as_of(), entry.trusted() == Trust::Confirmed);
        if let Some(slot) = book.enter(key.clone(), number, since, Usage::LAST) {
            self.usage.begin(slot);
            entry.set_slot(slot);
            drop(book);
            self.changed(entry);
        }
    }

    /// An entry was confirmed, or is trusted no longer.
    pub fn changed<V>(&self, entry: &Entry<V>) {
        if entry.slot() == 0 {
            return;
        }
        let now = self.clock.now();
        let since = (entry.as_of(), entry.trusted() == Trust::Confirmed);
        let happened = self.lock().set(entry.slot(), since, now, &self.uses());
        self.tell(happened);
    }

    /// An entry is not held any more.
    pub fn release<V>(&self, entry: &Entry<V>) {
        let slot = entry.slot();
        if slot > 0 {
            entry.set_slot(0);
            self.lock().strike(slot);
        }
    }

    /// A load of what `entry` holds begins.
    pub fn begin<V>(&self, key: &K, entry: &Entry<V>) -> Option<UnderWay<'_, K, F>> {
        let slot = entry.slot();
        if slot == 0 {
            return None;
        }
        let now = self.clock.now();
        // The slot may be another key's by now.
        let happened = self.lock().begin((slot, key), now, &self.uses())?;
        self.tell(happened);
        Some(UnderWay {
            contracts: self,
            slot,
            key: key.clone(),
            has_failed: true,
        })
    }

    /// Says in the log and to whoever listens what happened to a key.
    fn tell(&self, happened: impl IntoIterator<Item = Happening<K>>) {
        for happening in happened {
            let Some(governing) = self.table.get(happening.contract) else {
                continue;
            };
            let kind = match happening.what {
                What::Violated => EventKind::ContractViolated,
                What::Recovered => EventKind::ContractRecovered,
                What::Exhausted => EventKind::GraceExhausted,
            };
            self.events.emit(
                Event::of(kind)
                    .key((self.names)(&happening.key))
                    .contract(&governing.contract.name)
                    .age(happening.age),
            );
        }
    }

    fn uses(&self) -> impl Fn(Slot) -> (Option<Moment>, u32) + '_ {
        |slot| self.usage.get(slot)
    }

    /// The book is changed in small steps that do not call out; a panic in one leaves at worst a key
    /// that is not refreshed ahead, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Book<K>> {
        lock(&self.book)
    }
}

impl<K: Clone + PartialEq, F: PartialEq> Contracts<K, F> {
    /// Puts contracts in force in place of all others. Returns whether the contracts of anything held
    /// have to be looked up again; then [`Contracts::retire`] ends the change.
    pub fn replace(&self, contracts: Vec<Contract<F>>) -> bool {
        let threshold = self.config.unwrap_or_default().refresh_threshold;
        self.table.replace(contracts, threshold, |opened| {
            let mut book = self.lock();
            for (number, governing) in opened {
                book.open(*number, Some(governing.terms()));
            }
        })
    }

    /// Forgets the contracts that are not in force any more: nothing held is under them.
    pub fn retire(&self) {
        // The book first: a number is free when its account is closed.
        let mut book = self.lock();
        for number in self.table.retire() {
            book.open(number, None);
        }
    }
}

// === impl Governing ===

impl<F> Governing<F> {
    fn terms(&self) -> Terms {
        Terms {
            window: self.contract.fresh_within,
            due_after: self.due_after,
            grace: self.contract.grace_period,
            idle_after: self.contract.idle_after,
        }
    }

    /// How long a reader waits for a refresh of a value of this `age`: until its grace is all but over, so
    /// that the value may still answer, and `most` at most. The refresh itself is not cut off then.
    pub fn patience(&self, age: Duration, most: Duration) -> Duration {
        let last = self.contract.fresh_within + self.contract.grace_period;
        match last.saturating_sub(age) {
            Duration::ZERO => most,
            left => left.saturating_sub(ANSWERING).min(most),
        }
    }
}

// === impl UnderWay ===

impl<K: Clone + PartialEq, F> UnderWay<'_, K, F> {
    /// It did not fail: it brought a value, or the news that there is none.
    pub fn succeed(&mut self) {
        self.has_failed = false;
    }
}

impl<K: Clone + PartialEq, F> Drop for UnderWay<'_, K, F> {
    fn drop(&mut self) {
        let now = self.contracts.clock.now();
        let load = (self.slot, &self.key);
        let happening =
            self.contracts
                .lock()
                .end(load, self.has_failed, now, &self.contracts.uses());
        self.contracts.tell(happening);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
