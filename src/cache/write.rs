//! Writing through: one write per key at a time, in a task that no caller can cancel.

use super::entry::Entry;
use super::fence::Ticket;
use super::flight::Landing;
use super::freshness::Trust;
use super::{Cache, Change, Crashed, Inner, Known, Outcome, Served, Source};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

impl<S: Source> Cache<S> {
    /// Runs a write in a task of its own, one at a time per key, and applies what it did before it
    /// returns: whoever reads after that reads the new value. A caller that hangs up stops nothing.
    ///
    /// `key` is the key the write is about, where it is known beforehand. Returns what the write
    /// returned and, after [`Change::Put`], the entry, kept or not.
    ///
    /// # Errors
    /// [`Crashed`] if `write` panicked; `key` was forgotten then.
    pub async fn write<T: Send + 'static>(
        &self,
        key: Option<S::Key>,
        write: impl Future<Output = (Change<S::Key, S::Value, S::Gone>, T)> + Send + 'static,
    ) -> Result<(Option<Arc<Entry<S::Value>>>, T), Crashed> {
        let inner = Arc::clone(&self.inner);
        let written = self.inner.tasks.spawn(async move {
            // Where the source chooses the key, nobody can wait for a turn to write it: the write is
            // fenced like a load, so that it does not undo what became of the key since.
            let (_turn, ticket) = match &key {
                Some(key) => (Some(inner.turns.take(key).await), None),
                None => (None, Some(inner.fence.begin())),
            };
            match AssertUnwindSafe(write).catch_unwind().await {
                Ok((change, result)) => Ok((inner.apply(change, ticket.as_ref()), result)),
                Err(_) => {
                    if let Some(key) = key {
                        inner.apply(Change::Forget(key), None);
                    }
                    Err(Crashed)
                }
            }
        });
        written.await.unwrap_or(Err(Crashed))
    }

    /// What a writer is answered with: the entry it made, fresh as of now.
    pub fn serve_written(&self, entry: Arc<Entry<S::Value>>) -> Served<S::Value> {
        self.inner.serve(entry)
    }
}

// === impl Inner ===

impl<S: Source> Inner<S> {
    /// An entry for whoever has just brought it.
    pub(super) fn serve(&self, entry: Arc<Entry<S::Value>>) -> Served<S::Value> {
        let remaining = self.tiers.judge(&entry, self.clock.now()).remaining();
        let governing = self.tiers.governing(&entry);
        Served {
            outcome: Outcome::Miss,
            ..Served::hit(entry, remaining).under_any(governing.as_deref())
        }
    }

    /// Applies what a write did; with a ticket only where nothing newer is known of its key.
    fn apply(
        &self,
        change: Change<S::Key, S::Value, S::Gone>,
        ticket: Option<&Ticket<S::Key, Landing<S>>>,
    ) -> Option<Arc<Entry<S::Value>>> {
        let now = self.clock.now();
        let tiers = &self.tiers;
        match change {
            Change::Put { key, value, as_of } => {
                let entry = tiers.entry(&key, value, as_of, false);
                let keep = || {
                    tiers.keep(&key, &entry);
                    // It exists as of its acceptance, whatever a listing saw that began meanwhile.
                    tiers.source.learned(&key, Known::Value(&entry), None, now);
                };
                match ticket {
                    Some(ticket) => {
                        let exists = || tiers.still_exists(&key, Known::Value(&entry), now);
                        let _ = self.fence.fact_since(ticket, &key, keep, exists);
                    }
                    None => self.fence.fact(&key, keep),
                }
                return Some(entry);
            }
            Change::Gone(key, how) => {
                let until = now + tiers.config.negative_ttl;
                self.fence
                    .fact(&key, || tiers.gone(&key, Some((how, until))));
            }
            Change::Forget(key) => {
                self.fence.fact(&key, || tiers.forget(&key));
            }
            Change::Doubt(key) => {
                self.fence
                    .fact(&key, || tiers.distrust(&key, Trust::Doubted));
            }
            Change::Nothing => {}
        }
        None
    }
}
