//! The circuit to the inventory: when calls are made, and when they would only fail. Pure: no I/O, no
//! clock, no tower; see [`service`] for those.
//!
//! *Closed*, all calls are made. It *opens* when so many calls in a row failed
//! (`CIRCUIT_FAILURE_THRESHOLD`), or when half of the last 20 calls did, 10 at least; then calls are refused for
//! `CIRCUIT_RECOVERY_SECONDS`, or for as long as the inventory asked, if that is longer. After that it is
//! *half-open*: one call at a time may try, two that work close the circuit, one that fails opens it again.

pub(super) mod service;
#[cfg(test)]
mod tests;

use crate::clock::Moment;
use std::time::Duration;

/// Calls whose ends make the failure rate.
const WINDOW: u32 = 20;
/// The fewest calls that make a rate.
const FEWEST: u32 = 10;
/// Calls in a row that have to work before the circuit closes: one may have been luck.
const PROBES: u32 = 2;
/// The longest that an inventory may ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// When a call that was refused because another one tries may come again.
const WHILE_PROBING: Duration = Duration::from_secs(1);

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    /// Failures in a row that open it.
    pub(super) failures: u32,
    /// How long it stays open before a call may try.
    pub(super) recovery: Duration,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Circuit {
    thresholds: Thresholds,
    state: State,
    forced: Option<Forced>,
    since: Moment,
    /// Grows with every change of state: what began before says nothing about what is now.
    era: u64,
    failures_in_row: u32,
    recent: Recent,
    opened: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Moment },
    HalfOpen { probing: bool, worked: u32 },
}

/// The ends of the last calls, the last one in the lowest bit; a set bit is a failure.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    failed: u32,
    calls: u32,
}

/// What the circuit does with calls; the word in metrics, events and on the internal listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// They are made.
    Closed,
    /// They are refused.
    Open,
    /// One at a time may try.
    HalfOpen,
}

/// Where an operator holds a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// No call is made.
    Open,
    /// All calls are made, however they end.
    Closed,
}

/// How an attempt that was admitted ended, as far as the circuit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// An answer, also one that says no: 4xx.
    Worked,
    /// An answer, but one that took so long that it counts against the rate.
    Slow,
    /// None, or one that says that the inventory does not work; with the pause that it asked for.
    Failed(Option<Duration>),
    /// 429: it works, but not for us now. Says nothing while the circuit is closed, and that it is too
    /// early while it is half-open.
    Limited(Option<Duration>),
    /// The attempt was given up before it could tell anything.
    Unknown,
}

/// That an attempt may be made. Its end has to be told with [`Circuit::end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    era: u64,
}

/// What is to be known about a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitStatus {
    /// What it does with calls.
    pub state: CircuitState,
    /// Whether an operator holds it there.
    pub forced: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Since when it is in this state.
    pub since: Moment,
    /// How often it opened, forced or not.
    pub opened: u64,
    /// What is left until a call may try; `None` unless it is open by itself.
    pub remaining: Option<Duration>,
}

// === impl Circuit ===

impl Circuit {
    /// A closed one.
    pub(super) fn new(thresholds: Thresholds, now: Moment) -> Self {
        Self {
            thresholds,
            state: State::Closed,
            forced: None,
            since: now,
            era: 0,
            failures_in_row: 0,
            recent: Recent::default(),
            opened: 0,
        }
    }

    /// Whether an attempt would be admitted now.
    ///
    /// # Errors
    /// After how long it is worth asking again.
    pub(super) fn check(&self, now: Moment) -> Result<(), Duration> {
        match (self.forced, self.state) {
            (Some(Forced::Closed), _) | (None, State::Closed) => Ok(()),
            (Some(Forced::Open), _) => Err(self.thresholds.recovery),
            (None, State::Open { until }) if until > now => Err(until.since(now)),
            (None, State::HalfOpen { probing: true, .. }) => Err(WHILE_PROBING),
            (None, State::Open { .. } | State::HalfOpen { .. }) => Ok(()),
        }
    }

    /// Admits an attempt; a half-open circuit one at a time.
    ///
    /// # Errors
    /// As [`Circuit::check`].
    pub(super) fn admit(&mut self, now: Moment) -> Result<Admission, Duration> {
        self.check(now)?;
        match &mut self.state {
            State::Closed => {}
            State::Open { .. } => {
                let (probing, worked) = (true, 0);
                self.enter(State::HalfOpen { probing, worked }, now);
            }
            State::HalfOpen { probing, .. } => *probing = true,
        }
        Ok(Admission { era: self.era })
    }

    /// Tells how an attempt ended.
    pub(super) fn end(&mut self, admission: Admission, ending: Ending, now: Moment) {
        if admission.era != self.era || self.forced.is_some() {
            return;
        }
        match &mut self.state {
            State::Closed => self.count(ending, now),
            // Nothing is admitted in this era.
            State::Open { .. } => {}
            State::HalfOpen { probing, worked } => {
                *probing = false;
                match ending {
                    // Slow, but an answer: whether all are slow is for the rate to say.
                    Ending::Worked | Ending::Slow => *worked += 1,
                    Ending::Failed(pause) | Ending::Limited(pause) => return self.open(pause, now),
                    Ending::Unknown => {}
                }
                if *worked >= PROBES {
                    self.close(now);
                }
            }
        }
    }

    /// Holds the circuit open or closed, or with `None` no longer: then it is closed and has forgotten
    /// what was.
    pub(super) fn force(&mut self, forced: Option<Forced>, now: Moment) {
        if forced == self.forced {
            return;
        }
        self.close(now);
        self.forced = forced;
        self.opened += u64::from(forced == Some(Forced::Open));
    }

    /// What is to be known about it.
    pub(super) fn status(&self, now: Moment) -> CircuitStatus {
        let (state, remaining) = match self.state {
            State::Closed => (CircuitState::Closed, None),
            State::Open { until } => (CircuitState::Open, Some(until.since(now))),
            State::HalfOpen { .. } => (CircuitState::HalfOpen, None),
        };
        CircuitStatus {
            state: self.forced.map_or(state, Forced::state),
            forced: self.forced.is_some(),
            failures: self.failures_in_row,
            since: self.since,
            opened: self.opened,
            remaining: remaining.filter(|_| self.forced.is_none()),
        }
    }

    /// Counts an end while the circuit is closed.
    fn count(&mut self, ending: Ending, now: Moment) {
        let pause = match ending {
            Ending::Unknown | Ending::Limited(_) => return,
            Ending::Worked | Ending::Slow => {
                self.failures_in_row = 0;
                None
            }
            Ending::Failed(pause) => {
                self.failures_in_row += 1;
                pause
            }
        };
        self.recent.push(ending != Ending::Worked);
        if self.failures_in_row >= self.thresholds.failures || self.recent.is_bad() {
            self.open(pause, now);
        }
    }

    fn open(&mut self, pause: Option<Duration>, now: Moment) {
        let pause = pause.unwrap_or_default().min(LONGEST_PAUSE);
        let until = now + self.thresholds.recovery.max(pause);
        self.enter(State::Open { until }, now);
        self.opened += 1;
    }

    fn close(&mut self, now: Moment) {
        self.enter(State::Closed, now);
        self.failures_in_row = 0;
        self.recent = Recent::default();
    }

    fn enter(&mut self, state: State, now: Moment) {
        self.state = state;
        self.since = now;
        self.era += 1;
    }
}

// === impl Recent ===

impl Recent {
    fn push(&mut self, failed: bool) {
        let kept = (1 << WINDOW) - 1;
        self.failed = ((self.failed << 1) | u32::from(failed)) & kept;
        self.calls = (self.calls + 1).min(WINDOW);
    }

    /// Whether half of the calls failed, and there are enough of them to say so.
    fn is_bad(self) -> bool {
        self.calls >= FEWEST && self.failed.count_ones() * 2 >= self.calls
    }
}

// === impl CircuitState ===

impl CircuitState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The word in metrics, events and on the internal listener.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

// === impl Forced ===

impl Forced {
    const fn state(self) -> CircuitState {
        match self {
            Self::Open => CircuitState::Open,
            Self::Closed => CircuitState::Closed,
        }
    }
}
