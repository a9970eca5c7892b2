//! A write-through cache with a serving tier in memory and a persistent tier on disk. Generic: it
//! knows no product and no HTTP; a [`Source`] says where values come from.
//!
//! Its promises, tested in `cache/tests.rs` and `tests/model.rs`:
//!
//! 1. **Fence**: a load that started before a write, purge or invalidation of its key never overwrites it.
//! 2. **Cancel-safe**: a client that hangs up cancels no load that others wait on; a loader that
//!    panics releases its waiters.
//! 3. **Never older than promised**: no answer is older than window + grace, from memory or store,
//!    before or after a restart.
//! 4. **The store is a hint**: losing it costs a warm-up, never correctness; what can not be read is
//!    skipped and counted.
//! 5. **Bytes**: what is held is at most the cap after every call; an entry too large is served and
//!    not kept.
//!
//! The persistent tier mirrors the serving tier: an entry that loses its place in memory leaves the
//! disk too. So a key that is not in memory can only be on disk while the store is being restored,
//! and only then does a miss look there.

mod absence;
mod contract;
mod contracts;
mod counters;
mod entry;
mod fence;
mod flight;
mod freshness;
mod generations;
mod governed;
mod inspect;
mod journal;
mod ledger;
mod marks;
mod memory;
mod queue;
mod read;
mod record;
mod records;
mod served;
mod shadow;
mod source;
mod status;
mod store;
mod sync;
mod tiers;
mod write;
mod writer;

#[cfg(test)]
mod tests;

pub use contract::{Contract, ContractStats, Degrade, Pattern};
pub use contracts::ContractsConfig;
pub use counters::{EvictionCause, Outcome, Stats};
pub use entry::Entry;
pub use freshness::Trust;
pub use inspect::Inspection;
pub use ledger::RecordKey;
pub use memory::{Memory, Pair, Place, allocated, hash};
pub use served::{Demand, ReadError, Served};
pub use source::{Change, Known, Loaded, Purpose, Restored, Source};
pub use status::StoreStatus;
pub use store::{STORED_ROW_BYTES, StoreError};

use crate::clock::{Clock, Moment};
use crate::telemetry::events::Events;
use counters::Counters;
use fence::{Fence, Ticket};
use flight::Landing;
use freshness::Verdict;
use queue::Turns;
use status::Shared;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tiers::Tiers;
use tokio_util::task::TaskTracker;
use tracing::warn;
use writer::Writer;

/// How the cache behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// `CACHE_TTL_SECONDS`; zero never expires.
    pub ttl: Duration,
    /// `CACHE_GRACE_SECONDS`: how long past the window an entry may still answer while refreshing fails.
    pub grace: Duration,
    /// `CACHE_STALE_WHILE_REVALIDATE_SECONDS`: how long past the window readers do not wait for the refresh.
    pub stale_while_revalidate: Duration,
    /// `UPSTREAM_SOFT_TIMEOUT_MS`: how long a reader waits for the refresh of a value that is held and in
    /// grace; `None`: until that ends.
    pub soft_timeout: Option<Duration>,
    /// How freshness contracts are kept; `None` where they are not (`CONTRACTS_ENABLED`).
    pub contracts: Option<ContractsConfig>,
    /// `SHADOW_CHECK_RATE`: the share of fresh hits that is compared with the source, 0 to 1.
    pub shadow_rate: f64,
    /// `CACHE_NEGATIVE_TTL_SECONDS`: how long "there is no such key" is remembered.
    pub negative_ttl: Duration,
    /// `CACHE_FAIL_THROTTLE_MS`: how long after a failed load its key is not tried again.
    pub fail_throttle: Duration,
    /// `CACHE_MAX_SIZE_MB` in bytes: all that the cache may hold; zero turns it off.
    pub max_bytes: u64,
    /// `CACHE_MAX_ENTRY_KB` in bytes: a heavier value is served and not kept.
    pub max_entry_bytes: usize,
    /// `CACHE_DIR`: where the persistent tier lies; `None` runs from memory only.
    pub dir: Option<PathBuf>,
    /// What the stored values depend on beside the keys; a store of another lineage is discarded.
    pub lineage: String,
}

/// A listing under way: draw one before asking for a page, and confirm the page's values with it.
pub struct Listing<S: Source>(Ticket<S::Key, Landing<S>>);

/// The writer panicked; the key was forgotten.
#[derive(Debug, thiserror::Error)]
#[error("the write broke off")]
pub struct Crashed;

/// How long after the start reads that find nothing in memory wait for the store to be opened, before
/// they ask the source.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// How long restoring is waited for by those who need not.
const RESTORE_PATIENCE: Duration = Duration::from_secs(60);

/// The cache. Cheap to clone.
pub struct Cache<S: Source> {
    inner: Arc<Inner<S>>,
}

struct Inner<S: Source> {
    tiers: Arc<Tiers<S>>,
    fence: Arc<Fence<S::Key, Landing<S>>>,
    turns: Turns<S::Key>,
    store: Arc<Shared<Ticket<S::Key, Landing<S>>>>,
    /// Until when reads wait for the store to be opened.
    opening_until: Moment,
    clock: Clock,
    tasks: TaskTracker,
}

// === impl Cache ===

impl<S: Source> Cache<S> {
    /// A cache over `source`; loads and writes run on `tasks`; what happens is told to `events`. Nothing is
    /// read from disk before [`Cache::open_store`].
    pub fn new(
        source: S,
        config: Config,
        clock: Clock,
        tasks: TaskTracker,
        events: Events,
    ) -> Self {
        let persistent = config.max_bytes > 0 && config.dir.is_some();
        let status = if persistent {
            StoreStatus::Opening
        } else {
            StoreStatus::Off
        };
        Self {
            inner: Arc::new(Inner {
                store: Shared::new(status, events.clone()),
                tiers: Arc::new(Tiers::new(source, config, clock, events)),
                fence: Fence::new(),
                turns: Turns::new(),
                opening_until: clock.now() + OPEN_PATIENCE,
                clock,
                tasks,
            }),
        }
    }

    /// Opens the persistent tier on a thread of its own and starts restoring from it.
    ///
    /// # Errors
    /// If no thread can be started. Everything else only shows in [`Cache::store_status`].
    pub fn open_store(&self) -> std::io::Result<()> {
        let inner = &self.inner;
        let (Some(dir), true) = (&inner.tiers.config.dir, inner.tiers.memory.is_some()) else {
            return Ok(());
        };
        let writer = Writer::new(
            Arc::clone(&inner.tiers),
            Arc::clone(&inner.fence),
            Arc::clone(&inner.store),
            inner.clock,
            dir.clone(),
        );
        let closed = inner.store.running();
        std::thread::Builder::new()
            .name("cache-store".to_owned())
            .spawn(move || {
                writer.run();
                drop(closed);
            })?;
        Ok(())
    }

    /// How much longer it is remembered that there is no such key; zero where it is not.
    pub fn absent_for(&self, key: &S::Key) -> Duration {
        let now = self.inner.clock.now();
        self.inner.tiers.absences.gone_for(key, now)
    }

    /// What an answer of the source's own is worth that was right as of `as_of`: how to call it, and what
    /// remains of its window. `None` beyond grace.
    pub fn worth(&self, as_of: Moment, trust: Trust) -> Option<(Outcome, Duration)> {
        let age = self.inner.clock.now().since(as_of);
        match self.inner.tiers.rule.judge(age, trust, 0) {
            Verdict::Fresh { remaining } => Some((Outcome::Hit, remaining)),
            Verdict::Stale | Verdict::Overdue => Some((Outcome::Stale, Duration::ZERO)),
            Verdict::Expired => None,
        }
    }

    /// Counts a read that went past the cache.
    pub fn count_bypass(&self, outcome: Outcome) {
        self.inner.tiers.counters.read(outcome);
    }

    /// A listing of so many keys is about to begin.
    pub fn expect(&self, keys: u64) {
        (self.inner.fence).in_order(|| self.inner.tiers.expect(keys));
    }

    /// Begins a listing: values fetched after this may be confirmed with it.
    pub fn begin_listing(&self) -> Listing<S> {
        Listing(self.inner.fence.begin())
    }

    /// Takes in a listed value, unless something newer is known of its key. Never evicts. Returns
    /// what a reader of the key gets now, kept or not.
    pub fn confirm(
        &self,
        listing: &Listing<S>,
        key: &S::Key,
        value: S::Value,
        as_of: Moment,
    ) -> Served<S::Value> {
        let listed = self.confirm_read(listing, key, value, as_of, None);
        let held = self.inner.tiers.peek(key);
        let entry = held.filter(|held| held.as_of() >= as_of).unwrap_or(listed);
        self.inner.serve(entry)
    }

    /// As [`Cache::confirm`], with what the source made of the value ahead. Returns what was listed, kept or not: what a
    /// reader gets is not looked for.
    pub fn confirm_read(
        &self,
        listing: &Listing<S>,
        key: &S::Key,
        value: S::Value,
        as_of: Moment,
        reading: Option<&S::Reading>,
    ) -> Arc<Entry<S::Value>> {
        let tiers = &self.inner.tiers;
        let listed = tiers.entry(key, value, as_of, true);
        let _ = self.inner.fence.settle_or(
            &listing.0,
            key,
            || tiers.confirm(key, &listed, reading),
            || tiers.still_exists(key, Known::Value(&listed), as_of),
        );
        listed
    }

    /// Removes a key that the source of truth no longer lists, unless something newer is known of it.
    pub fn remove_unlisted(&self, listing: &Listing<S>, key: &S::Key) -> bool {
        let tiers = &self.inner.tiers;
        let removed = self.inner.fence.settle(&listing.0, key, || {
            tiers.gone(key, None);
            tiers.counters.evicted(EvictionCause::Expired, 1);
        });
        removed.is_ok()
    }

    /// Forgets a key's value in every tier; false if none was held.
    pub fn purge(&self, key: &S::Key) -> bool {
        let inner = &self.inner;
        inner.fence.fact(key, || inner.tiers.forget(key))
    }

    /// Stops trusting a key's value; false if none was held.
    pub fn distrust(&self, key: &S::Key, trust: Trust) -> bool {
        self.inner
            .fence
            .fact(key, || self.inner.tiers.distrust(key, trust))
    }

    /// Forgets every value in every tier.
    pub fn purge_all(&self) {
        let inner = &self.inner;
        inner.fence.fact_about_all(|| inner.tiers.forget_all());
    }

    /// The held value of a key, not counted as used.
    pub fn peek(&self, key: &S::Key) -> Option<Arc<Entry<S::Value>>> {
        self.inner.tiers.peek(key)
    }

    /// Replaces the held value of a key by one of the same content that holds more: something that
    /// was derived from it and is worth keeping beside it. `enrich` makes it, or says that the held value
    /// is not the one to add to. What does not fit the cap is not kept.
    pub fn enrich(&self, key: &S::Key, enrich: impl FnOnce(&S::Value) -> Option<S::Value>) {
        let inner = &self.inner;
        inner.fence.in_order(|| inner.tiers.enrich(key, enrich));
    }

    /// Replaces the source's note, which is stored beside the values.
    pub fn note(&self, note: Vec<u8>) {
        self.inner.tiers.journal.note(note);
    }

    /// A listing has confirmed everything there is: a store that was started anew or left in disorder
    /// is as good as any other.
    pub fn listed(&self) {
        self.inner.tiers.trust();
        if self.store_status() == StoreStatus::Rebuilding {
            self.inner.store.set_status(StoreStatus::Up);
        }
    }

    /// A number that is another once something held is worth less than was said of it: distrusted, forgotten,
    /// meant by a broad invalidation, or under another contract. Ask for it before what it is to vouch for.
    pub fn doubts(&self) -> u64 {
        self.inner.tiers.doubts()
    }

    /// Whether anything held may still answer, if need be as stale.
    pub fn has_usable(&self) -> bool {
        self.inner.tiers.has_usable(self.inner.clock.now())
    }

    /// Whether the persistent tier is in use.
    pub fn store_status(&self) -> StoreStatus {
        self.inner.store.status()
    }

    /// Waits until the store has been read, or will not be; a minute at most.
    pub async fn restored(&self) {
        let store = Arc::clone(&self.inner.store);
        // On a thread: a disk takes real time, which tests that pause theirs must wait for.
        let waiting = tokio::task::spawn_blocking(move || store.wait_settled(RESTORE_PATIENCE));
        if !waiting.await.unwrap_or(false) {
            warn!("The store is still being read; going on without waiting for it");
        }
    }

    /// Waits until the writer's backlog is short enough for bulk loading to go on.
    pub async fn room(&self) {
        self.inner.tiers.journal.room().await;
    }

    /// Waits until everything known now is on disk; false if there is no disk.
    pub async fn flush(&self) -> bool {
        if matches!(self.store_status(), StoreStatus::Off | StoreStatus::Down(_)) {
            return false;
        }
        let flushed = self.inner.tiers.journal.flush();
        let waiting = tokio::task::spawn_blocking(move || flushed.blocking_recv().is_ok());
        waiting.await.unwrap_or(false)
    }

    /// Writes what is left, marks the store as left in order, and waits for its thread to end. What is
    /// still being written to the source of truth is forgotten: nobody will learn what became of it.
    pub async fn close_store(&self) {
        for key in self.inner.turns.taken() {
            self.purge(&key);
        }
        self.inner.tiers.journal.close();
        self.inner.store.ended().await;
    }

    /// The source.
    pub fn source(&self) -> &S {
        &self.inner.tiers.source
    }
}

impl<S: Source> Clone for Cache<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}
