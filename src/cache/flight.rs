//! Single flight: one load per key at a time, however many wait for it.
//!
//! A load runs in a task of its own and belongs to no request: whoever hangs up cancels nothing, and
//! a loader that panics drops the channel its followers wait on, which releases them.

use super::absence::Absence;
use super::entry::Entry;
use super::fence::{Role, Ticket};
use super::freshness::Verdict;
use super::{Inner, Loaded, Purpose, Source};
use crate::clock::Moment;
use crate::telemetry::events::EventKind;
use crate::telemetry::metrics;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{OwnedSemaphorePermit, watch};
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

/// What a load is started with.
#[derive(Default)]
pub(super) struct Boarding {
    /// What is held needs no load if it is right as of this moment or later; by default, if it is fresh.
    pub needed_as_of: Option<Moment>,
    /// Room for a refresh ahead, given back when the load has ended.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl<S: Source> Inner<S> {
    /// Loads a key, or waits for the load that is under way. Tells too whether it was under way.
    pub(super) async fn load(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        needed_as_of: Option<Moment>,
    ) -> (Landed<S>, bool) {
        let boarding = Boarding {
            needed_as_of,
            permit: None,
        };
        let (mut landing, is_joined) = self.board(key, cause, boarding);
        if is_joined {
            metrics::cache_coalesced();
            let coalesced = &self.tiers.counters.coalesced;
            coalesced.fetch_add(1, Ordering::Relaxed);
        }
        let landed = match landing.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Err(Failure::Crashed)),
            Err(_) => Err(Failure::Crashed),
        };
        (landed, is_joined)
    }

    /// Starts loading a key unless that is under way, and waits for nothing. Returns whether it was.
    pub(super) fn refresh(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        boarding: Boarding,
    ) -> bool {
        self.board(key, cause, boarding).1
    }

    fn board(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        boarding: Boarding,
    ) -> (Landing<S>, bool) {
        let (take_off, landing) = watch::channel(None);
        let ticket = match self.fence.join(key, || landing.clone()) {
            Role::Follow(landing) => return (landing, true),
            Role::Lead(ticket) => ticket,
        };
        let (inner, key) = (Arc::clone(self), key.clone());
        self.tasks.spawn(async move {
            let landed = inner.fly(&ticket, &key, cause, boarding.needed_as_of).await;
            drop(boarding.permit);
            // The flight ends before it is announced: who reads after it finds the entry.
            drop(ticket);
            take_off.send_replace(Some(landed));
        });
        (landing, false)
    }

    async fn fly(
        &self,
        ticket: &Ticket<S::Key, Landing<S>>,
        key: &S::Key,
        cause: S::Cause,
        needed_as_of: Option<Moment>,
    ) -> Landed<S> {
        if let Some(entry) = self.found_meanwhile(key, needed_as_of).await {
            entry.end_eager();
            return Ok(entry);
        }
        let known = self.tiers.peek(key);
        let under_way = known.as_deref();
        let mut under_way = under_way.and_then(|known| self.tiers.contracts.begin(key, known));
        let purpose = self.purpose(known.as_deref());
        let value = known.as_deref().map(|known| &**known);
        let loaded = self.tiers.source.load(key, value, purpose, cause).await;
        if let (Ok(_), Some(under_way)) = (&loaded, &mut under_way) {
            under_way.succeed();
        }
        match loaded {
            Ok(Loaded::Value { value, as_of }) => {
                let entry = self.tiers.entry(key, value, as_of, false);
                // Refused, it answers its own waiters at most.
                let _ = self
                    .fence
                    .settle(ticket, key, || self.tiers.keep(key, &entry));
                if known.is_some() {
                    self.tell(EventKind::RefreshOk, key, &entry);
                }
                Ok(self.newest(key, entry))
            }
            Ok(Loaded::Unchanged { as_of }) => {
                let landed = self.settle_unchanged(ticket, key, known.clone(), as_of)?;
                self.tell(EventKind::RefreshOk, key, &landed);
                Ok(landed)
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
                if let Some(known) = &known {
                    known.end_eager();
                    self.tell_why(EventKind::RefreshFailed, key, known, Some(&error));
                }
                Err(Failure::Failed(error))
            }
        }
    }

    /// What a load of a key is for, of which this is held: what is under a contract is refreshed within
    /// the time for that.
    fn purpose(&self, known: Option<&Entry<S::Value>>) -> Purpose {
        let Some(governing) = known.and_then(|known| self.tiers.governing(known)) else {
            return Purpose::Read;
        };
        let config = self.tiers.contracts.config().unwrap_or_default();
        Purpose::Refresh {
            within: config.refresh_timeout,
            from: governing.contract.refresh_from.clone(),
        }
    }

    /// The upstream said that a value is as it was.
    fn settle_unchanged(
        &self,
        ticket: &Ticket<S::Key, Landing<S>>,
        key: &S::Key,
        known: Option<Arc<Entry<S::Value>>>,
        as_of: Moment,
    ) -> Landed<S> {
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

    /// Tells whoever listens that something happened to a key of which this is held.
    pub(super) fn tell(&self, kind: EventKind, key: &S::Key, entry: &Entry<S::Value>) {
        self.tell_why(kind, key, entry, None);
    }

    fn tell_why(
        &self,
        kind: EventKind,
        key: &S::Key,
        entry: &Entry<S::Value>,
        cause: Option<&S::Error>,
    ) {
        self.tiers.events.emit_with(kind, |event| {
            let age = self.clock.now().since(entry.as_of());
            let event = event.key(S::name(key)).age(age);
            let event = match self.tiers.governing(entry) {
                Some(governing) => event.contract(&governing.contract.name),
                None => event,
            };
            match cause {
                Some(error) => event.cause(error.to_string()),
                None => event,
            }
        });
    }

    /// What makes a load needless after all: another one may have landed between its reader's look and
    /// its ticket, or the store that is being restored has the value.
    async fn found_meanwhile(
        &self,
        key: &S::Key,
        needed_as_of: Option<Moment>,
    ) -> Option<Arc<Entry<S::Value>>> {
        let suits =
            |entry: &Arc<Entry<S::Value>>| needed_as_of.is_none_or(|at| entry.as_of() >= at);
        if let Some(entry) = self.fresh(key).filter(suits) {
            return Some(entry);
        }
        if self.tiers.peek(key).is_some() {
            return None;
        }
        self.restore_one(key).await;
        // What is stale would have been answered at once, had it been here when it was asked for.
        self.tiers.peek(key).filter(suits).filter(|entry| {
            match self.tiers.judge(entry, self.clock.now()) {
                Verdict::Fresh { .. } => true,
                Verdict::Stale => self.tiers.governing(entry).is_none(),
                Verdict::Overdue | Verdict::Expired => false,
            }
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
        match self.tiers.judge(&entry, self.clock.now()) {
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
