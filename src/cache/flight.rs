//! Single flight: one load per key at a time, however many wait for it.
//!
//! A load runs in a task of its own and belongs to no request: whoever hangs up cancels nothing, and
//! a loader that panics drops the channel its followers wait on, which releases them.

use super::absence::Absence;
use super::entry::Entry;
use super::fence::{Role, Ticket};
use super::freshness::Verdict;
use super::{Inner, Loaded, Purpose, Source};
use crate::telemetry::metrics;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;
use tracing::error;

/// What followers of a load wait on.
pub(super) type Landing<S> = watch::Receiver<Option<Landed<S>>>;

/// How a load ended.
pub(super) type Landed<S> =
    Result<Arc<Entry<<S as Source>::Value>>, Failure<<S as Source>::Gone, <S as Source>::Error>>;

/// Why a load gave no value.
#[derive(Debug)]
pub(super) enum Failure<G, E> {
    /// There is no such key.
    Gone(G),
    /// The source failed.
    Failed(Arc<E>),
    /// The loader panicked.
    Crashed,
}

impl<S: Source> Inner<S> {
    /// Loads a key, or waits for the load that is under way.
    pub(super) async fn load(self: &Arc<Self>, key: &S::Key, cause: S::Cause) -> Landed<S> {
        let mut landing = self.board(key, cause, true);
        match landing.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Err(Failure::Crashed)),
            Err(_) => Err(Failure::Crashed),
        }
    }

    /// Starts loading a key unless that is under way, and waits for nothing.
    pub(super) fn refresh(self: &Arc<Self>, key: &S::Key, cause: S::Cause) {
        drop(self.board(key, cause, false));
    }

    fn board(self: &Arc<Self>, key: &S::Key, cause: S::Cause, waits: bool) -> Landing<S> {
        let (take_off, landing) = watch::channel(None);
        let ticket = match self.fence.join(key, || landing.clone()) {
            Role::Follow(landing) => {
                if waits {
                    metrics::cache_coalesced();
                    self.tiers
                        .counters
                        .coalesced
                        .fetch_add(1, Ordering::Relaxed);
                }
                return landing;
            }
            Role::Lead(ticket) => ticket,
        };
        let (inner, key) = (Arc::clone(self), key.clone());
        self.tasks.spawn(async move {
            let landed = inner.fly(&ticket, &key, cause).await;
            // The flight ends before it is announced: who reads after it finds the entry.
            drop(ticket);
            take_off.send_replace(Some(landed));
        });
        landing
    }

    async fn fly(
        &self,
        ticket: &Ticket<S::Key, Landing<S>>,
        key: &S::Key,
        cause: S::Cause,
    ) -> Landed<S> {
        if let Some(entry) = self.found_meanwhile(key).await {
            return Ok(entry);
        }
        let known = self.tiers.peek(key);
        match self
            .tiers
            .source
            .load(
                key,
                known.as_deref().map(|known| &**known),
                Purpose::Read,
                cause,
            )
            .await
        {
            Ok(Loaded::Value { value, as_of }) => {
                let entry = self.tiers.entry(key, value, as_of, false);
                // Refused, it answers its own waiters at most.
                let _ = self
                    .fence
                    .settle(ticket, key, || self.tiers.keep(key, &entry));
                Ok(self.newest(key, entry))
            }
            Ok(Loaded::Unchanged { as_of }) => {
                let Some(entry) = known else {
                    error!(
                        ?key,
                        "The source called a value unchanged that it was not told of"
                    );
                    return Err(Failure::Crashed);
                };
                let settled = self.fence.settle(ticket, key, || {
                    match self.tiers.peek(key) {
                        // The same, or the same with more beside it.
                        Some(held) if self.tiers.source.same(&held, &entry) => {
                            self.tiers.touch(key, &held, as_of);
                            held
                        }
                        // Evicted or replaced by something older meanwhile: this is the newest.
                        _ => {
                            entry.confirm(as_of);
                            self.tiers.keep(key, &entry);
                            Arc::clone(&entry)
                        }
                    }
                });
                Ok(settled.unwrap_or_else(|_| self.newest(key, entry)))
            }
            Ok(Loaded::Gone(how)) => {
                let until = self.clock.now() + self.tiers.config.negative_ttl;
                let _ = self
                    .fence
                    .settle(ticket, key, || self.tiers.gone(key, Some((how, until))));
                Err(Failure::Gone(how))
            }
            Err(error) => {
                let error = Arc::new(error);
                self.note_failure(ticket, key, &error);
                Err(Failure::Failed(error))
            }
        }
    }

    /// Remembers for a while that a key could not be loaded.
    fn note_failure(
        &self,
        ticket: &Ticket<S::Key, Landing<S>>,
        key: &S::Key,
        error: &Arc<S::Error>,
    ) {
        let until = self.clock.now() + self.tiers.config.fail_throttle;
        let absence = Absence::Failed(Arc::clone(error));
        let _ = self.fence.unless_newer(ticket, key, || {
            self.tiers.absences.put(key.clone(), absence, until);
        });
    }

    /// What makes a load needless after all: another one may have landed between its reader's look and
    /// its ticket, or the store that is being restored has the value.
    async fn found_meanwhile(&self, key: &S::Key) -> Option<Arc<Entry<S::Value>>> {
        if let Some(entry) = self.fresh(key) {
            return Some(entry);
        }
        if self.tiers.peek(key).is_some() {
            return None;
        }
        self.restore_one(key).await;
        // What is stale would have been answered at once, had it been here when it was asked for.
        self.tiers.peek(key).filter(|entry| {
            let verdict = entry.judge(&self.tiers.rule, self.clock.now());
            matches!(verdict, Verdict::Fresh { .. } | Verdict::Stale)
        })
    }

    /// What is held of a key, if that is at least as recent as what a load has just brought.
    fn newest(&self, key: &S::Key, loaded: Arc<Entry<S::Value>>) -> Arc<Entry<S::Value>> {
        let held = self.tiers.peek(key);
        held.filter(|held| held.as_of() >= loaded.as_of())
            .unwrap_or(loaded)
    }

    fn fresh(&self, key: &S::Key) -> Option<Arc<Entry<S::Value>>> {
        let entry = self.tiers.peek(key)?;
        match entry.judge(&self.tiers.rule, self.clock.now()) {
            Verdict::Fresh { .. } => Some(entry),
            Verdict::Stale | Verdict::Overdue | Verdict::Expired => None,
        }
    }
}

// === impl Failure ===

impl<G: Copy, E> Clone for Failure<G, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Gone(how) => Self::Gone(*how),
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Crashed => Self::Crashed,
        }
    }
}
