//! Reading a key: from memory where that will do, else by one load, and where that fails by what the
//! key's contract says, or by grace.

use super::absence::Absence;
use super::entry::Entry;
use super::flight::{Boarding, Failure, Landed};
use super::freshness::{Trust, Verdict};
use super::{Inner, Outcome, ReadError, Served, Source};
use std::sync::Arc;
use std::time::Duration;

/// What a read comes to.
pub(super) type Read<S> =
    Result<Served<<S as Source>::Value>, ReadError<<S as Source>::Gone, <S as Source>::Error>>;

/// The share of their window after which values that are read are refreshed ahead, in hundredths.
const EAGER_AFTER: u32 = 80;

/// Whether a stand-in will do for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandIns {
    /// It will.
    Allowed,
    /// The answer is made of many values, which have to be real.
    Refused,
}

impl<S: Source> Inner<S> {
    /// Reads a key.
    pub(super) async fn read(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        stand_ins: StandIns,
    ) -> Read<S> {
        let Some(entry) = self.tiers.get(key) else {
            return self.read_absent(key, cause, stand_ins).await;
        };
        if let Some(governing) = self.tiers.governing(&entry) {
            let reading = self.read_governed(key, entry, &governing, cause, stand_ins);
            return reading.await;
        }
        match entry.judge(&self.tiers.rule, self.clock.now()) {
            Verdict::Fresh { remaining } => {
                if remaining < self.tiers.eager_below && entry.begin_eager() {
                    self.refresh_ahead(key, &entry, remaining, cause);
                }
                Ok(Served::hit(entry, remaining))
            }
            verdict => self.read_past_window(key, entry, verdict, cause).await,
        }
    }

    /// Reads a key whose entry is held but no longer fresh.
    async fn read_past_window(
        self: &Arc<Self>,
        key: &S::Key,
        entry: Arc<Entry<S::Value>>,
        verdict: Verdict,
        cause: S::Cause,
    ) -> Read<S> {
        let usable = verdict != Verdict::Expired;
        let throttled = matches!(
            self.tiers.absences.get(key, self.clock.now()),
            Some(Absence::Failed(_))
        );
        if usable && (throttled || verdict == Verdict::Stale) {
            if !throttled && !self.will_be_confirmed(&entry) {
                self.refresh(key, cause, Boarding::default());
            }
            return Ok(Served::stale(entry));
        }
        let read = self.read_absent(key, cause, StandIns::Refused);
        let result = match self.tiers.config.soft_timeout {
            // What somebody said had changed is worth waiting for.
            Some(patience) if usable && entry.trusted() != Trust::Doubted => {
                match tokio::time::timeout(patience, read).await {
                    Ok(result) => result,
                    Err(_) => Err(ReadError::Late),
                }
            }
            _ => read.await,
        };
        match result {
            // It took long, and the entry may have expired while we waited.
            Err(ReadError::Failed(_) | ReadError::Crashed | ReadError::Late)
                if entry.judge(&self.tiers.rule, self.clock.now()) != Verdict::Expired =>
            {
                Ok(Served::stale(entry))
            }
            result => result.map(Served::past_window),
        }
    }

    /// Whether all that is wrong with an entry is that nobody has confirmed it, and a listing will: then
    /// thousands of readers need not ask for one each.
    fn will_be_confirmed(&self, entry: &Entry<S::Value>) -> bool {
        let age = self.clock.now().since(entry.as_of());
        let verdict = self
            .tiers
            .rule
            .judge(age, Trust::Confirmed, entry.jitter_per_mille());
        entry.trusted() == Trust::Unconfirmed
            && matches!(verdict, Verdict::Fresh { .. })
            && self.tiers.source.is_listing()
    }

    /// Reads a key of which nothing usable is held.
    async fn read_absent(
        self: &Arc<Self>,
        key: &S::Key,
        cause: S::Cause,
        stand_ins: StandIns,
    ) -> Read<S> {
        match self.tiers.absences.get(key, self.clock.now()) {
            Some(Absence::Gone(how)) => return Err(ReadError::Gone(how, Outcome::Negative)),
            Some(Absence::Failed(error)) => return Err(ReadError::Failed(error)),
            None => {}
        }
        let landed = self.load(key, cause, None).await;
        self.landed(key, landed, stand_ins)
    }

    /// What a reader gets from the load it waited for.
    pub(super) fn landed(
        &self,
        key: &S::Key,
        (landed, collapsed): (Landed<S>, bool),
        stand_ins: StandIns,
    ) -> Read<S> {
        let outcome = match self.tiers.memory {
            Some(_) => Outcome::Miss,
            None => Outcome::Bypass,
        };
        match landed {
            Ok(entry) => {
                let now = self.clock.now();
                self.tiers.contracts.note_loaded(&entry, now);
                let held = self.tiers.peek(key);
                let is_kept = held.is_some_and(|held| Arc::ptr_eq(&held, &entry));
                let governing = self.tiers.governing(&entry);
                match (self.tiers.judge(&entry, now), governing) {
                    (Verdict::Fresh { remaining }, governing) => {
                        let served = Served {
                            outcome,
                            collapsed,
                            is_kept,
                            ..Served::hit(entry, remaining)
                        };
                        Ok(served.under_any(governing.as_deref()))
                    }
                    // Written or invalidated again while we waited, or slower than its window is long.
                    (_, None) => Ok(Served::stale(entry)),
                    (_, Some(governing)) => {
                        self.degrade(key, entry, &governing, stand_ins, ReadError::Late)
                    }
                }
            }
            Err(Failure::Gone(how)) => Err(ReadError::Gone(how, outcome)),
            Err(Failure::Failed(error)) => {
                self.restored_meanwhile(key).ok_or(ReadError::Failed(error))
            }
            Err(Failure::Crashed) => self.restored_meanwhile(key).ok_or(ReadError::Crashed),
        }
    }

    /// A value that came from the store while a load went on that failed. Where it is under a contract,
    /// that decides what it is worth.
    fn restored_meanwhile(&self, key: &S::Key) -> Option<Served<S::Value>> {
        let entry = self.tiers.peek(key)?;
        let is_free = self.tiers.governing(&entry).is_none();
        match entry.judge(&self.tiers.rule, self.clock.now()) {
            Verdict::Fresh { .. } | Verdict::Stale | Verdict::Overdue if is_free => {
                Some(Served::stale(entry))
            }
            _ => None,
        }
    }

    /// Refreshes a value that is read and will not be fresh for long, where there is room for that. Where
    /// all values are confirmed by listings, only if they are late.
    fn refresh_ahead(
        self: &Arc<Self>,
        key: &S::Key,
        entry: &Entry<S::Value>,
        remaining: Duration,
        cause: S::Cause,
    ) {
        let source = &self.tiers.source;
        let is_early = source.knows_all() && remaining > self.tiers.eager_below / 2;
        let failed = self.tiers.absences.get(key, self.clock.now()).is_some();
        if is_early || failed || source.room_for_refreshes() == 0 {
            return entry.end_eager();
        }
        let boarding = Boarding {
            needed_as_of: Some(entry.as_of() + Duration::from_millis(1)),
            permit: None,
        };
        // A load that was under way already may not know of this entry.
        if self.refresh(key, cause, boarding) {
            entry.end_eager();
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
        let mut found = self.tiers.revive(key, row, Some(&value), now, offer.clean);
        // Not under the fence.
        self.tiers.read_ahead(&mut found);
        let _ = self.fence.settle(&offer.ticket, key, || {
            self.tiers.restore(key, &found);
        });
    }
}

/// What remains of a window when whatever is read is refreshed ahead.
pub(super) fn eager_below(window: Option<Duration>) -> Duration {
    let window = window.unwrap_or_default();
    window - window / 100 * EAGER_AFTER
}
