//! Reading a key that memory alone does not answer: stale, absent, or still on disk.

use super::absence::Absence;
use super::entry::Entry;
use super::flight::Failure;
use super::freshness::Verdict;
use super::{Inner, Outcome, ReadError, Served, Source};
use std::sync::Arc;
use std::time::Duration;

impl<S: Source> Inner<S> {
    /// Reads a key whose entry is held but no longer fresh.
    pub(super) async fn read_past_window(
        self: &Arc<Self>,
        key: &S::Key,
        entry: Arc<Entry<S::Value>>,
        verdict: Verdict,
        cause: S::Cause,
    ) -> Result<Served<S::Value>, ReadError<S::Gone, S::Error>> {
        let usable = verdict != Verdict::Expired;
        let throttled = matches!(
            self.tiers.absences.get(key, self.clock.now()),
            Some(Absence::Failed(_))
        );
        if usable && (throttled || verdict == Verdict::Stale) {
            if !throttled {
                self.refresh(key, cause);
            }
            return Ok(Served::stale(entry));
        }
        match self.read_absent(key, cause).await {
            // It took long, and the entry may have expired while we waited.
            Err(ReadError::Failed(_) | ReadError::Crashed)
                if entry.judge(&self.tiers.rule, self.clock.now()) != Verdict::Expired =>
            {
                Ok(Served::stale(entry))
            }
            result => result,
        }
    }

    /// Reads a key of which nothing usable is held.
    pub(super) async fn read_absent(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
    ) -> Result<Served<S::Value>, ReadError<S::Gone, S::Error>> {
        match self.tiers.absences.get(key, self.clock.now()) {
            Some(Absence::Gone(how)) => return Err(ReadError::Gone(how, Outcome::Negative)),
            Some(Absence::Failed(error)) => return Err(ReadError::Failed(error)),
            None => {}
        }
        let outcome = match self.tiers.memory {
            Some(_) => Outcome::Miss,
            None => Outcome::Bypass,
        };
        match self.load(key, cause).await {
            Ok(entry) => match entry.judge(&self.tiers.rule, self.clock.now()) {
                Verdict::Fresh { remaining } => Ok(Served {
                    entry,
                    outcome,
                    remaining,
                }),
                // Written or invalidated again while we waited, or slower than its window is long.
                Verdict::Stale | Verdict::Overdue | Verdict::Expired => Ok(Served::stale(entry)),
            },
            Err(Failure::Gone(how)) => Err(ReadError::Gone(how, outcome)),
            Err(Failure::Failed(error)) => {
                self.restored_meanwhile(key).ok_or(ReadError::Failed(error))
            }
            Err(Failure::Crashed) => self.restored_meanwhile(key).ok_or(ReadError::Crashed),
        }
    }

    /// A value that came from the store while a load went on that failed.
    fn restored_meanwhile(&self, key: &S::Key) -> Option<Served<S::Value>> {
        let entry = self.tiers.peek(key)?;
        match entry.judge(&self.tiers.rule, self.clock.now()) {
            Verdict::Expired => None,
            Verdict::Fresh { .. } | Verdict::Stale | Verdict::Overdue => Some(Served::stale(entry)),
        }
    }

    /// Looks for a key on disk, while the store is still being opened or read.
    pub(super) async fn restore_one(&self, key: &S::Key) {
        if self.store.status().is_settled() || self.tiers.journal.pending(key).is_some() {
            return;
        }
        let (store, bytes) = (Arc::clone(&self.store), self.tiers.source.encode_key(key));
        let patience = self.opening_until.since(self.clock.now());
        let looked_up = tokio::task::spawn_blocking(move || {
            store.wait_opened(patience);
            let offer = store.offered()?;
            Some((offer.disk.get(&bytes).ok()??, offer))
        });
        let Ok(Some(((row, value), offer))) = looked_up.await else {
            return;
        };
        let now = self.clock.now();
        let found = self.tiers.revive(key, row, Some(&value), now, offer.clean);
        let _ = self.fence.settle(&offer.ticket, key, || {
            self.tiers.restore(key, &found);
        });
    }
}

// === impl Served ===

impl<V> Served<V> {
    fn stale(entry: Arc<Entry<V>>) -> Self {
        Self {
            entry,
            outcome: Outcome::Stale,
            remaining: Duration::ZERO,
        }
    }
}
