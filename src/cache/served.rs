//! What a read asks for and what it gives.

use super::contracts::Governing;
use super::entry::Entry;
use super::freshness::Verdict;
use super::read::{Read, StandIns};
use super::{Cache, Outcome, Source};
use crate::telemetry::events::EventKind;
use std::sync::Arc;
use std::time::Duration;

/// Of so many hits, or misses, one is told to whoever listens to events.
const HIT_SAMPLE: u64 = 1024;
const MISS_SAMPLE: u64 = 16;

/// A value, and how it was come by.
#[derive(Debug)]
pub struct Served<V> {
    /// The value.
    pub entry: Arc<Entry<V>>,
    /// How the read was satisfied.
    pub outcome: Outcome,
    /// What remains of the window; zero when stale, [`Duration::MAX`] if it never ends.
    pub remaining: Duration,
    /// The contract that it is under.
    pub contract: Option<Arc<str>>,
    /// Whether the reader waited for a load that others had started.
    pub collapsed: bool,
    /// Whether what was loaded for the reader was kept.
    pub is_kept: bool,
    /// Whether something was held instead that was past its window.
    pub was_past_window: bool,
}

/// What a reader asks for beyond an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// A value that the source vouched for no longer ago than this.
    pub max_age: Option<Duration>,
    /// What is held or nothing: the source is not to be asked.
    pub only_if_cached: bool,
}

/// Why a read gave no value.
#[derive(Debug)]
pub enum ReadError<G, E> {
    /// There is no such key. `Negative` where that was known without asking.
    Gone(G, Outcome),
    /// The source failed, and nothing held was good enough.
    Failed(Arc<E>),
    /// The loader panicked.
    Crashed,
    /// No value came in time, or none that was new enough.
    Late,
    /// Nothing held will do, and the reader wants the source left alone.
    NotCached,
}

// === impl Cache ===

impl<S: Source> Cache<S> {
    /// Reads a key: from memory where its window allows, else through one load. Counted.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub async fn get(
        &self,
        key: &S::Key,
        cause: S::Cause,
    ) -> Result<Served<S::Value>, ReadError<S::Gone, S::Error>> {
        let inner = &self.inner;
        let checked = inner.tiers.shadows.samples().then(|| cause.clone());
        let result = inner.read(key, cause, StandIns::Allowed).await;
        if let (Some(cause), Ok(served)) = (checked, &result)
            && served.outcome == Outcome::Hit
        {
            inner.check(key, &served.entry, cause);
        }
        self.count(key, result)
    }

    /// What [`Cache::get`] would answer without waiting and without anything to start for it: a fresh value
    /// under no contract. `None` says nothing but that `get` has to look. Whoever answers with it counts it
    /// with [`Cache::answered`].
    pub fn at_hand(&self, key: &S::Key) -> Option<Served<S::Value>> {
        let tiers = &self.inner.tiers;
        let entry = tiers.memory.as_ref()?.get(key)?;
        if entry.compared() != tiers.marks.newest() || entry.contract() != 0 {
            return None;
        }
        match entry.judge(&tiers.rule, self.inner.clock.now()) {
            Verdict::Fresh { remaining } if remaining >= tiers.eager_below => {
                Some(Served::hit(entry, remaining))
            }
            _ => None,
        }
    }

    /// Counts a hit that [`Cache::at_hand`] found, as [`Cache::get`] does.
    pub fn answered(&self, key: &S::Key, hit: &Arc<Entry<S::Value>>, cause: S::Cause) {
        if self.inner.tiers.shadows.samples() {
            self.inner.check(key, hit, cause);
        }
        if let Some(kind) = self.counted(Outcome::Hit) {
            self.inner.tell(kind, key, hit);
        }
    }

    /// Reads a key like [`Cache::get`], for somebody who asks for more.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub async fn get_with(
        &self,
        key: &S::Key,
        cause: S::Cause,
        demand: Demand,
    ) -> Result<Served<S::Value>, ReadError<S::Gone, S::Error>> {
        if demand == Demand::default() {
            return self.get(key, cause).await;
        }
        let result = self.inner.read_demanding(key, cause, demand).await;
        self.count(key, result)
    }

    /// Reads a key like [`Cache::get`], uncounted and without stand-ins: for answers that are made of
    /// many keys.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub async fn look(
        &self,
        key: &S::Key,
        cause: S::Cause,
    ) -> Result<Served<S::Value>, ReadError<S::Gone, S::Error>> {
        self.inner.read(key, cause, StandIns::Refused).await
    }

    /// Counts a read, and tells whoever listens of it.
    fn count(&self, key: &S::Key, result: Read<S>) -> Read<S> {
        let outcome = match &result {
            Ok(served) => served.outcome,
            Err(ReadError::Gone(_, outcome)) => *outcome,
            Err(_) => Outcome::Error,
        };
        if let (Some(kind), Ok(served)) = (self.counted(outcome), &result) {
            self.inner.tell(kind, key, &served.entry);
        }
        result
    }

    /// Counts a read that came to this; what to tell of it, if anything: of hits and misses a sample.
    fn counted(&self, outcome: Outcome) -> Option<EventKind> {
        let nth = self.inner.tiers.counters.read(outcome);
        match outcome {
            Outcome::Hit if nth.is_multiple_of(HIT_SAMPLE) => Some(EventKind::CacheHit),
            Outcome::Miss if nth.is_multiple_of(MISS_SAMPLE) => Some(EventKind::CacheMiss),
            Outcome::Stale => Some(EventKind::StaleServed),
            Outcome::Fallback => Some(EventKind::FallbackServed),
            _ => None,
        }
    }
}

// === impl Served ===

impl<V> Served<V> {
    pub(super) fn hit(entry: Arc<Entry<V>>, remaining: Duration) -> Self {
        Self {
            entry,
            outcome: Outcome::Hit,
            remaining,
            contract: None,
            collapsed: false,
            is_kept: false,
            was_past_window: false,
        }
    }

    pub(super) fn stale(entry: Arc<Entry<V>>) -> Self {
        Self {
            outcome: Outcome::Stale,
            ..Self::hit(entry, Duration::ZERO)
        }
    }

    pub(super) fn past_window(self) -> Self {
        Self {
            was_past_window: true,
            ..self
        }
    }

    pub(super) fn under<F>(self, governing: &Governing<F>) -> Self {
        Self {
            contract: Some(Arc::clone(&governing.contract.name)),
            ..self
        }
    }

    pub(super) fn under_any<F>(self, governing: Option<&Governing<F>>) -> Self {
        match governing {
            Some(governing) => self.under(governing),
            None => self,
        }
    }
}
