//! What happens to the cache and its upstream, one event at a time: for whoever listens, for the log, and
//! counted.
//!
//! Events lie in a ring of fixed size. Whoever emits one takes a short lock and wakes the listeners; these
//! follow at their own pace ([`Follower`]) and are told how many they missed where the ring went round.
//! Kinds that come with reads are sampled: so many a second, and the next one says how many were left out.

mod admission;
mod follower;
mod kind;

pub use follower::{Batch, Follower, Missed};
pub use kind::EventKind;

use super::{Stopwatch, metrics};
use admission::Admissions;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tracing::{Level, debug, info, warn};

/// How many events are kept for listeners that come back.
const KEPT: usize = 4096;

/// Ids a millisecond of running. A process begins with the time of its start in these, so that whatever an
/// earlier one gave is smaller than all of its own; and they stay below 2^53 until the year 2255.
const IDS_PER_MILLI: u64 = 1000;

/// The longest cause that is kept, in bytes.
const LONGEST_CAUSE: usize = 400;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Greater than that of every event before it; zero until it is emitted.
    pub id: u64,
    /// When, in milliseconds since the Unix epoch; zero until it is emitted.
    pub at_millis: u64,
    /// What.
    pub kind: EventKind,
    /// To which key.
    pub key: Option<Box<str>>,
    /// Under which contract.
    pub contract: Option<Arc<str>>,
    /// How old the value was.
    pub age: Option<Duration>,
    /// Why.
    pub cause: Option<Cow<'static, str>>,
    /// How many of its kind were left out since the last one.
    pub suppressed: u64,
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    admissions: Admissions,
    ring: Mutex<Ring>,
    /// The id of the newest event; changes wake the listeners.
    newest: watch::Sender<u64>,
    /// When the process started, in milliseconds since the Unix epoch.
    started_millis: u64,
    running: Stopwatch,
}

/// The newest events, without gaps: the id of the first is `next` less their number.
struct Ring {
    kept: VecDeque<Arc<Event>>,
    /// The id that the next event gets.
    next: u64,
}

// === impl Event ===

impl Event {
    /// An event of this kind, of which nothing else is known.
    pub const fn of(kind: EventKind) -> Self {
        Self {
            id: 0,
            at_millis: 0,
            kind,
            key: None,
            contract: None,
            age: None,
            cause: None,
            suppressed: 0,
        }
    }

    /// It happened to this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Box<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// It happened under the contract of this name.
    #[must_use]
    pub fn contract(mut self, name: &Arc<str>) -> Self {
        self.contract = Some(Arc::clone(name));
        self
    }

    /// The value was so old.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// This is why. What is longer than a line or two is cut off.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        let mut cause = cause.into();
        if cause.len() > LONGEST_CAUSE {
            let end = cause.floor_char_boundary(LONGEST_CAUSE);
            cause = Cow::Owned(format!("{}…", cause.get(..end).unwrap_or_default()));
        }
        self.cause = Some(cause);
        self
    }

    /// The moment as RFC 3339 has it.
    pub fn at(&self) -> jiff::Timestamp {
        let millis = i64::try_from(self.at_millis).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The same as a log line.
    fn log(&self) {
        let (event, id) = (self.kind.as_str(), self.id);
        let (key, contract) = (self.key.as_deref(), self.contract.as_deref());
        let age_ms = self.age.map(millis);
        let (cause, suppressed) = (self.cause.as_deref(), self.suppressed);
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    target: "product_catalog::events",
                    event, id, key, contract, age_ms, cause, suppressed, "{}", self.kind.sentence()
                )
            };
        }
        match self.kind.level() {
            Level::ERROR | Level::WARN => line!(warn),
            Level::INFO => line!(info),
            Level::DEBUG | Level::TRACE => line!(debug),
        }
    }
}

// === impl Events ===

impl Events {
    /// No events yet.
    #[allow(
        clippy::disallowed_methods,
        reason = "like a log line's, an event's time is told and decides nothing"
    )]
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let started_millis = millis(since_epoch.unwrap_or_default());
        let next = started_millis.saturating_mul(IDS_PER_MILLI);
        let kept = VecDeque::with_capacity(KEPT);
        Self(Arc::new(Shared {
            admissions: Admissions::default(),
            ring: Mutex::new(Ring { kept, next }),
            newest: watch::Sender::new(next.saturating_sub(1)),
            started_millis,
            running: Stopwatch::start(),
        }))
    }

    /// Takes an event in, if it is not one of too many of its kind. Waits for nobody.
    pub fn emit(&self, event: Event) {
        self.emit_with(event.kind, |_| event);
    }

    /// Takes an event of `kind` in like [`emit`](Self::emit). `describe` says what is known of it, and is
    /// not called where the event is one of too many.
    pub fn emit_with(&self, kind: EventKind, describe: impl FnOnce(Event) -> Event) {
        metrics::event(kind);
        let shared = &*self.0;
        let running = shared.running.elapsed();
        let Some(suppressed) = shared.admissions.admit(kind, running) else {
            return;
        };
        let mut event = Event {
            at_millis: shared.started_millis.saturating_add(millis(running)),
            kind,
            suppressed,
            ..describe(Event::of(kind))
        };
        let event = {
            let mut ring = shared.ring();
            event.id = ring.next;
            let event = Arc::new(event);
            ring.push(Arc::clone(&event));
            event
        };
        shared.newest.send_replace(event.id);
        event.log();
    }

    /// Follows the events from now on; where `after` names one that was seen, those behind it.
    pub fn follow(&self, after: Option<u64>) -> Follower {
        Follower::new(Arc::clone(&self.0), after)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

// === impl Shared ===

impl Shared {
    /// The id of the first event.
    const fn first_id(&self) -> u64 {
        self.started_millis.saturating_mul(IDS_PER_MILLI)
    }

    /// An event is pushed whole or not at all, so poison is ignored.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ring ===

impl Ring {
    fn push(&mut self, event: Arc<Event>) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
        self.next += 1;
    }

    /// The id of the oldest event that is kept, or of the next one.
    fn oldest(&self) -> u64 {
        self.next.saturating_sub(self.kept.len() as u64)
    }

    /// At most `most` events from this id on.
    fn from(&self, id: u64, most: usize) -> Vec<Arc<Event>> {
        let skipped = usize::try_from(id.saturating_sub(self.oldest())).unwrap_or(usize::MAX);
        self.kept.iter().skip(skipped).take(most).cloned().collect()
    }
}

/// Whole milliseconds; as many as fit.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
