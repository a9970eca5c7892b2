//! Faults on request, and what an inventory has seen.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The switches of an inventory. All clones turn the same ones.
#[derive(Clone, Debug, Default)]
pub struct Knobs(Arc<Mutex<Faults>>);

/// How an inventory misbehaves; not at all by default. Also the body of `/knobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Faults {
    /// Milliseconds before each answer.
    pub latency_ms: u64,
    /// Refuses everything: connections end without an answer.
    pub away: bool,
    /// Never answers.
    pub hang: bool,
    /// Answers everything with this status.
    pub status: Option<u16>,
    /// The share of calls that `status` is for, 0 to 1.
    pub probability: f64,
    /// Seconds in the `Retry-After` beside `status`.
    pub retry_after: Option<u64>,
    /// Answers a page of HTML with 200.
    pub garbage: bool,
    /// Declares whole bodies, sends halves.
    pub truncate: bool,
    /// Breaks a required member of every so manyth product of a page; 0 breaks none.
    pub broken_every: usize,
}

/// What an inventory has seen. All clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Arc<Mutex<Seen>>);

/// A call under way.
pub(super) struct InFlight(Counters);

#[derive(Debug, Default)]
struct Seen {
    total: u64,
    by_operation: BTreeMap<&'static str, u64>,
    in_flight: usize,
    max_in_flight: usize,
    last_conversation: Option<String>,
}

// === impl Knobs ===

impl Knobs {
    /// How they stand.
    pub fn faults(&self) -> Faults {
        self.lock().clone()
    }

    /// Sets all of them.
    pub fn set(&self, faults: Faults) {
        *self.lock() = faults;
    }

    /// Turns some of them.
    pub fn turn(&self, turn: impl FnOnce(&mut Faults)) {
        turn(&mut self.lock());
    }

    /// Back to an inventory that works.
    pub fn reset(&self) {
        self.set(Faults::default());
    }

    /// A panic while turning leaves switches half turned, which is no worse than any other faults.
    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Faults ===

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            away: false,
            hang: false,
            status: None,
            probability: 1.0,
            retry_after: None,
            garbage: false,
            truncate: false,
            broken_every: 0,
        }
    }
}

impl Faults {
    /// Reads the body of a `PUT /knobs`; members that are left out are off.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let faults: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !(0.0..=1.0).contains(&faults.probability) {
            return Err("probability must be 0 to 1".to_owned());
        }
        match faults.status {
            Some(status) if !(200..=599).contains(&status) => {
                Err("status must be 200 to 599".to_owned())
            }
            _ => Ok(faults),
        }
    }
}

// === impl Counters ===

impl Counters {
    /// Counts a call that begins; it ends when the result is dropped.
    pub(super) fn begin(&self, operation: &'static str, conversation: Option<String>) -> InFlight {
        let mut seen = self.lock();
        seen.total += 1;
        *seen.by_operation.entry(operation).or_default() += 1;
        seen.in_flight += 1;
        seen.max_in_flight = seen.max_in_flight.max(seen.in_flight);
        seen.last_conversation = conversation;
        InFlight(self.clone())
    }

    pub(super) fn total(&self) -> u64 {
        self.lock().total
    }

    pub(super) fn of(&self, operation: &str) -> u64 {
        self.lock()
            .by_operation
            .get(operation)
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn max_in_flight(&self) -> usize {
        self.lock().max_in_flight
    }

    pub(super) fn last_conversation(&self) -> Option<String> {
        self.lock().last_conversation.clone()
    }

    /// A panic while counting leaves a count that is off by one, never a broken invariant.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut seen = self.0.lock();
        seen.in_flight = seen.in_flight.saturating_sub(1);
    }
}
