//! Faults on request, and what an inventory has seen.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The switches of an inventory. All clones turn the same ones.
#[derive(Clone, Debug, Default)]
pub struct Knobs(Arc<Mutex<Turned>>);

#[derive(Debug, Default)]
struct Turned {
    faults: Faults,
    /// Calls that the faults were for, since they were last turned.
    calls: u64,
}

/// How an inventory misbehaves; not at all by default. Also the body of `/knobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Faults {
    /// Milliseconds before each answer.
    pub latency_ms: u64,
    /// Up to so many more, evenly spread.
    pub latency_spread_ms: u64,
    /// The share of calls that take `slow_ms` more, 0 to 1.
    pub slow_share: f64,
    /// See `slow_share`.
    pub slow_ms: u64,
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
    /// Begins every answer, and breaks the connection.
    pub reset: bool,
    /// Answers as it should, but says that it is plain text.
    pub wrong_type: bool,
    /// Answers a page of HTML with 200.
    pub garbage: bool,
    /// Declares whole bodies, sends halves.
    pub truncate: bool,
    /// Breaks a required member of every so manyth product of a page; 0 breaks none.
    pub broken_every: usize,
    /// All of this only for these operations, as [`calls_of`](super::Inventory::calls_of) names them;
    /// without any, for all.
    pub operations: Vec<String>,
    /// All of this only for products whose id begins so.
    pub id_prefix: String,
    /// So many calls are answered without faults, then `down_calls` with them, and so on; 0: all with them.
    pub up_calls: u64,
    /// See `up_calls`.
    pub down_calls: u64,
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
        self.lock().faults.clone()
    }

    /// Sets all of them.
    pub fn set(&self, faults: Faults) {
        *self.lock() = Turned { faults, calls: 0 };
    }

    /// Turns some of them.
    pub fn turn(&self, turn: impl FnOnce(&mut Faults)) {
        let mut turned = self.lock();
        turn(&mut turned.faults);
        turned.calls = 0;
    }

    /// What is wrong with a call that begins: nothing where the faults are not for it.
    pub(super) fn for_call(&self, operation: &str, path: &str) -> Faults {
        let mut turned = self.lock();
        let faults = &turned.faults;
        let id = path.trim_start_matches('/').strip_prefix("products/");
        let is_meant = faults.operations.is_empty()
            || faults.operations.iter().any(|meant| meant == operation);
        let has_prefix =
            faults.id_prefix.is_empty() || id.is_some_and(|id| id.starts_with(&faults.id_prefix));
        if !is_meant || !has_prefix {
            return Faults::default();
        }
        let period = faults.up_calls.saturating_add(faults.down_calls);
        let is_up = period > 0 && turned.calls % period < faults.up_calls;
        turned.calls += 1;
        match is_up {
            true => Faults::default(),
            false => turned.faults.clone(),
        }
    }

    /// Back to an inventory that works.
    pub fn reset(&self) {
        self.set(Faults::default());
    }

    /// A panic while turning leaves switches half turned, which is no worse than any other faults.
    fn lock(&self) -> MutexGuard<'_, Turned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Faults ===

/// The operations that faults may be for.
const OPERATIONS: [&str; 9] = [
    "get",
    "list",
    "count",
    "availability",
    "create",
    "replace",
    "patch",
    "delete",
    "health",
];

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            latency_spread_ms: 0,
            slow_share: 0.0,
            slow_ms: 0,
            away: false,
            hang: false,
            status: None,
            probability: 1.0,
            retry_after: None,
            reset: false,
            wrong_type: false,
            garbage: false,
            truncate: false,
            broken_every: 0,
            operations: Vec::new(),
            id_prefix: String::new(),
            up_calls: 0,
            down_calls: 0,
        }
    }
}

impl Faults {
    /// How long a call takes before it is answered.
    pub(super) fn latency(&self) -> Duration {
        let spread = fastrand::u64(0..=self.latency_spread_ms);
        let slow = match fastrand::f64() < self.slow_share {
            true => self.slow_ms,
            false => 0,
        };
        let latency = self.latency_ms.saturating_add(spread).saturating_add(slow);
        Duration::from_millis(latency)
    }

    /// Reads the body of a `PUT /knobs`; members that are left out are off.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let faults: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        for (name, share) in [
            ("probability", faults.probability),
            ("slowShare", faults.slow_share),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} must be 0 to 1"));
            }
        }
        let mut operations = faults.operations.iter();
        if operations.any(|operation| !OPERATIONS.contains(&operation.as_str())) {
            return Err(format!("operations must be of {}", OPERATIONS.join(", ")));
        }
        if (faults.up_calls == 0) != (faults.down_calls == 0) {
            return Err("upCalls and downCalls go together".to_owned());
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
