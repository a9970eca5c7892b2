//! How the persistent tier is doing, as the rest of the cache sees it.

use super::store::{Disk, StoreError};
use crate::telemetry::events::{Event, EventKind, Events};
use crate::telemetry::metrics;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Whether the persistent tier is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// Not configured.
    Off,
    /// Being opened.
    Opening,
    /// Open, and being read.
    Restoring,
    /// In use.
    Up,
    /// In use, but started anew: not everything is on it yet.
    Rebuilding,
    /// Not usable at the moment.
    Down(StoreError),
}

/// A database that is being restored: single keys may be looked up in it meanwhile, and settle with
/// the ticket of the whole, so that they count as exactly as old as the rest of it.
pub(super) struct Offer<T> {
    pub disk: Disk,
    /// Whether it was left in order.
    pub clean: bool,
    pub ticket: Arc<T>,
}

/// What the thread shares with the rest of the cache.
pub(super) struct Shared<T> {
    status: Mutex<StoreStatus>,
    changed: Condvar,
    offer: Mutex<Option<Offer<T>>>,
    events: Events,
    /// Cancelled when the thread has ended; empty if it never ran.
    ended: OnceLock<CancellationToken>,
}

// === impl StoreStatus ===

impl StoreStatus {
    /// Whether writes reach a disk.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up | Self::Rebuilding | Self::Restoring)
    }

    /// Whether the store has been read, or will not be.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Opening | Self::Restoring)
    }
}

// === impl Shared ===

impl<T> Shared<T> {
    pub fn new(status: StoreStatus, events: Events) -> Arc<Self> {
        Arc::new(Self {
            status: Mutex::new(status),
            changed: Condvar::new(),
            offer: Mutex::new(None),
            events,
            ended: OnceLock::new(),
        })
    }

    pub fn status(&self) -> StoreStatus {
        lock(&self.status).clone()
    }

    pub fn set_status(&self, status: StoreStatus) {
        metrics::store_up(status.is_up());
        if let StoreStatus::Down(error) = &status {
            self.events
                .emit(Event::of(EventKind::StoreTrouble).cause(error.to_string()));
        }
        *lock(&self.status) = status;
        self.changed.notify_all();
    }

    /// Waits up to `patience` for the store to be opened, or given up.
    pub fn wait_opened(&self, patience: Duration) {
        drop(
            self.changed
                .wait_timeout_while(lock(&self.status), patience, |status| {
                    *status == StoreStatus::Opening
                }),
        );
    }

    /// Waits until the store has been read, or will not be; false if that takes longer than `patience`.
    pub fn wait_settled(&self, patience: Duration) -> bool {
        self.changed
            .wait_timeout_while(lock(&self.status), patience, |status| !status.is_settled())
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .is_settled()
    }

    /// Declares the thread running until the guard is dropped.
    pub fn running(&self) -> DropGuard {
        self.ended
            .get_or_init(CancellationToken::new)
            .clone()
            .drop_guard()
    }

    /// Waits for the thread to end.
    pub async fn ended(&self) {
        if let Some(ended) = self.ended.get() {
            ended.cancelled().await;
        }
    }

    /// The database being restored, for a look-up off the request's thread.
    pub fn offered(&self) -> Option<Offer<T>> {
        let offer = lock(&self.offer);
        offer.as_ref().map(|offer| Offer {
            disk: offer.disk.clone(),
            clean: offer.clean,
            ticket: Arc::clone(&offer.ticket),
        })
    }

    /// Offers a database for look-ups, or takes the offer back.
    pub fn offer(&self, offer: Option<Offer<T>>) {
        *lock(&self.offer) = offer;
    }
}

/// A status or a handle is swapped whole, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
