//! Reading what is under a contract, or by somebody who asks for more than freshness.

use super::absence::Absence;
use super::contract::Degrade;
use super::contracts::Governing;
use super::entry::Entry;
use super::flight::{Failure, Landed};
use super::freshness::Verdict;
use super::read::{Read, StandIns};
use super::{Demand, Inner, Outcome, ReadError, Served, Source};
use crate::clock::Moment;
use std::sync::Arc;

/// A contract in force over the values of `S`.
type Contract<S> = Governing<<S as Source>::Fallback>;

impl<S: Source> Inner<S> {
    /// Reads a key that is under a contract.
    pub(super) async fn read_governed(
        self: &Arc<Self>,
        key: &S::Key,
        entry: Arc<Entry<S::Value>>,
        governing: &Contract<S>,
        cause: S::Cause,
        stand_ins: StandIns,
    ) -> Read<S> {
        let now = self.clock.now();
        self.tiers.contracts.note_read(&entry, governing, now);
        if let Verdict::Fresh { remaining } = entry.judge(&governing.rule, now) {
            return Ok(Served::hit(entry, remaining).under(governing));
        }
        let refreshed = self.refreshed(key, &entry, governing, cause, stand_ins);
        let error = match refreshed.await {
            Ok(served) => return Ok(served),
            Err(gone @ ReadError::Gone(..)) => return Err(gone),
            Err(error) => error,
        };
        // Somebody may have brought a newer value meanwhile.
        let newest = self.tiers.peek(key);
        let newest = newest.filter(|newest| newest.as_of() >= entry.as_of());
        let entry = newest.unwrap_or(entry);
        self.degrade(key, entry, governing, stand_ins, error)
    }

    /// Waits for an entry to be refreshed, as long as its contract says; not at all where that has just
    /// failed.
    async fn refreshed(
        self: &Arc<Self>,
        key: &S::Key,
        entry: &Entry<S::Value>,
        governing: &Contract<S>,
        cause: S::Cause,
        stand_ins: StandIns,
    ) -> Read<S> {
        let now = self.clock.now();
        if let Some(Absence::Failed(error)) = self.tiers.absences.get(key, now) {
            return Err(ReadError::Failed(error));
        }
        let age = now.since(entry.as_of());
        let config = self.tiers.contracts.config().unwrap_or_default();
        let patience = governing.patience(age, config.refresh_timeout);
        match tokio::time::timeout(patience, self.load(key, cause, None)).await {
            Ok(landed) => {
                let read = self.landed(key, landed, stand_ins);
                read.map(Served::past_window)
            }
            Err(_) => Err(ReadError::Late),
        }
    }

    /// What is answered instead of a value that could not be refreshed.
    pub(super) fn degrade(
        &self,
        key: &S::Key,
        entry: Arc<Entry<S::Value>>,
        governing: &Contract<S>,
        stand_ins: StandIns,
        error: ReadError<S::Gone, S::Error>,
    ) -> Read<S> {
        let now = self.clock.now();
        match entry.judge(&governing.rule, now) {
            Verdict::Fresh { remaining } => {
                return Ok(Served::hit(entry, remaining).under(governing));
            }
            Verdict::Expired => return Err(error),
            Verdict::Stale | Verdict::Overdue => {}
        }
        match (governing.contract.on_degrade, &governing.contract.fallback) {
            (Degrade::ServeStale, _) => Ok(Served::stale(entry).under(governing)),
            (Degrade::ServeFallback, Some(fallback)) if stand_ins == StandIns::Allowed => {
                let value = self.tiers.source.stand_in(fallback, key);
                let stand_in = Arc::new(Entry::new(value, now, 0, 0));
                Ok(Served {
                    outcome: Outcome::Fallback,
                    ..Served::stale(stand_in).under(governing)
                })
            }
            (Degrade::ReturnError | Degrade::ServeFallback, _) => Err(error),
        }
    }

    /// Reads a key with a demand: that its value be no older than that, or that nobody be asked.
    pub(super) async fn read_demanding(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        demand: Demand,
    ) -> Read<S> {
        let now = self.clock.now();
        let needed = demand.max_age.map(|age| now - age);
        let held = self.tiers.get(key);
        let held = held.filter(|held| needed.is_none_or(|at| held.as_of() >= at));
        if let Some(served) = held.and_then(|held| self.as_it_is(held, now, demand)) {
            return Ok(served);
        }
        let absence = self.tiers.absences.get(key, now);
        if demand.only_if_cached {
            return Err(match absence {
                Some(Absence::Gone(how)) => ReadError::Gone(how, Outcome::Negative),
                _ => ReadError::NotCached,
            });
        }
        match absence {
            Some(Absence::Failed(error)) => Err(ReadError::Failed(error)),
            _ => self.load_as_of(key, cause, needed).await,
        }
    }

    /// What is held, where it may answer without asking anybody.
    fn as_it_is(
        &self,
        entry: Arc<Entry<S::Value>>,
        now: Moment,
        demand: Demand,
    ) -> Option<Served<S::Value>> {
        let governing = self.tiers.governing(&entry);
        if let Some(governing) = &governing {
            self.tiers.contracts.note_read(&entry, governing, now);
        }
        let served = match self.tiers.judge(&entry, now) {
            Verdict::Fresh { remaining } => Served::hit(entry, remaining),
            Verdict::Stale if demand.only_if_cached && governing.is_none() => Served::stale(entry),
            _ => return None,
        };
        Some(served.under_any(governing.as_deref()))
    }

    /// Loads a key until what comes is right as of a moment: a load that was under way already may bring
    /// something older, the one after it can not.
    async fn load_as_of(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        needed: Option<Moment>,
    ) -> Read<S> {
        let is_too_old = |landed: &Landed<S>| {
            let entry = landed.as_ref().ok();
            entry.is_some_and(|entry| needed.is_some_and(|at| entry.as_of() < at))
        };
        let mut landed = self.load(key, cause.clone(), needed).await;
        if is_too_old(&landed.0) {
            landed = self.load(key, cause, needed).await;
        }
        match landed {
            (landed, _) if is_too_old(&landed) => Err(ReadError::Late),
            // What is held is too old, whatever its grace is.
            (Err(Failure::Failed(error)), _) => Err(ReadError::Failed(error)),
            (Err(Failure::Crashed), _) => Err(ReadError::Crashed),
            landed => self.landed(key, landed, StandIns::Refused),
        }
    }
}
