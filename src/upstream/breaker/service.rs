//! The circuit as layers of the outbound stack.

use super::super::answer::is_usable_type;
use super::super::call::{Call, Operation};
use super::super::retry::retry_after;
use super::super::transport::TransportError;
use super::{Admission, Circuit, CircuitState, CircuitStatus, Ending, Forced, Thresholds};
use crate::clock::{Clock, Moment};
use crate::telemetry::events::{Event, EventKind, Events};
use crate::telemetry::metrics;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower::{BoxError, Layer, Service};

/// A circuit that calls share. All clones are the same one.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Breaker {
    clock: Clock,
    attempt_timeout: Duration,
    events: Events,
    circuit: Arc<Mutex<Circuit>>,
    /// Whether it is the inventory's own: the one in metrics and health.
    is_main: bool,
}

/// The call was not made because the circuit is open, or half-open and another call tries.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the circuit is open")]
pub(in crate::upstream) struct CircuitOpen {
    /// When it is worth trying again.
    pub(in crate::upstream) retry_after: Duration,
}

/// Turns calls away at once while the circuit is open, before they wait for anything.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct GateLayer(pub(in crate::upstream) Breaker);

/// See [`GateLayer`].
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Gate<S> {
    inner: S,
    breaker: Breaker,
}

/// Admits attempts, and tells the circuit how they ended.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct BreakerLayer(pub(in crate::upstream) Breaker);

/// See [`BreakerLayer`].
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Guarded<S> {
    inner: S,
    breaker: Breaker,
}

pin_project! {
    /// A call that is made, or was turned away.
    #[project = TurnedProjected]
    pub(in crate::upstream) enum Turned<F> {
        Made { #[pin] call: F, permit: Option<Permit> },
        Away { because: CircuitOpen },
    }
}

/// An attempt that was admitted. Dropped before its end was told, it gives its slot back.
#[derive(Debug)]
pub(in crate::upstream) struct Permit {
    breaker: Breaker,
    admission: Admission,
    operation: Operation,
    began: Moment,
    told: bool,
}

// === impl Breaker ===

impl Breaker {
    pub(in crate::upstream) fn new(
        thresholds: Thresholds,
        attempt_timeout: Duration,
        clock: Clock,
        events: Events,
        is_main: bool,
    ) -> Self {
        let breaker = Self {
            clock,
            attempt_timeout,
            events,
            circuit: Arc::new(Mutex::new(Circuit::new(thresholds, clock.now()))),
            is_main,
        };
        breaker.show(CircuitState::Closed);
        breaker
    }

    /// Whether a call would be made now.
    pub(in crate::upstream) fn check(&self) -> Result<(), CircuitOpen> {
        let checked = self.lock().check(self.clock.now());
        checked.map_err(|retry_after| CircuitOpen { retry_after })
    }

    pub(in crate::upstream) fn status(&self) -> CircuitStatus {
        self.lock().status(self.clock.now())
    }

    /// Holds the circuit open or closed, or no longer.
    pub(in crate::upstream) fn force(&self, forced: Option<Forced>) {
        self.change(|circuit, now| circuit.force(forced, now));
    }

    fn admit(&self, operation: Operation) -> Result<Permit, CircuitOpen> {
        let admitted = self.change(Circuit::admit);
        let admission = admitted.map_err(|retry_after| CircuitOpen { retry_after })?;
        Ok(Permit {
            breaker: self.clone(),
            admission,
            operation,
            began: self.clock.now(),
            told: false,
        })
    }

    /// How long an attempt may take before it counts as slow: half of what it may take at all. A page of
    /// the list is as slow as it is long, and its length is our choice.
    fn slow_after(&self, operation: Operation) -> Duration {
        match operation {
            Operation::List => self.attempt_timeout,
            _ => self.attempt_timeout / 2,
        }
    }

    /// Does something to the circuit, and says so where that changed its state.
    fn change<T>(&self, change: impl FnOnce(&mut Circuit, Moment) -> T) -> T {
        let now = self.clock.now();
        let mut circuit = self.lock();
        let before = circuit.status(now);
        let result = change(&mut circuit, now);
        let after = circuit.status(now);
        drop(circuit);
        if before.state != after.state {
            self.tell(after);
        }
        result
    }

    /// The events that retries of these calls are told to.
    pub(in crate::upstream) fn events(&self) -> &Events {
        &self.events
    }

    fn tell(&self, status: CircuitStatus) {
        if self.is_main {
            metrics::circuit_transition(status.state.as_str());
        }
        self.show(status.state);
        let kind = match status.state {
            CircuitState::Closed => EventKind::CircuitClosed,
            CircuitState::Open => EventKind::CircuitOpen,
            CircuitState::HalfOpen => EventKind::CircuitHalfOpen,
        };
        self.events.emit_with(kind, |event| match status {
            CircuitStatus { forced: true, .. } => event.cause("an operator holds it there"),
            CircuitStatus {
                remaining: Some(left),
                failures,
                ..
            } => {
                let secs = left.as_secs_f64().ceil();
                event.cause(format!("{failures} failures in a row; for {secs} s"))
            }
            _ => event,
        });
    }

    fn show(&self, state: CircuitState) {
        if self.is_main {
            metrics::circuit_state(state.as_str());
        }
    }

    /// Each change is one assignment after another of plain numbers; a panic in between leaves counts
    /// that are off by one.
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl GateLayer, Gate ===

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            breaker: self.0.clone(),
        }
    }
}

impl<S> Service<Request<Bytes>> for Gate<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Turned<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // An open circuit is no readiness error: tower takes those as final.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        match self.breaker.check() {
            Ok(()) => Turned::Made {
                call: self.inner.call(request),
                permit: None,
            },
            Err(because) => Turned::Away { because },
        }
    }
}

// === impl BreakerLayer, Guarded ===

impl<S> Layer<S> for BreakerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            breaker: self.0.clone(),
        }
    }
}

impl<S> Service<Request<Bytes>> for Guarded<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Turned<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let call = request.extensions().get::<Call>();
        let operation = call.map_or(Operation::Get, |call| call.operation);
        match self.breaker.admit(operation) {
            Ok(permit) => Turned::Made {
                call: self.inner.call(request),
                permit: Some(permit),
            },
            Err(because) => Turned::Away { because },
        }
    }
}

// === impl Turned ===

impl<F> Future for Turned<F>
where
    F: Future<Output = Result<Response<Bytes>, BoxError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            TurnedProjected::Away { because } => Poll::Ready(Err(BoxError::from(*because))),
            TurnedProjected::Made { call, permit } => {
                let result = ready!(call.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.tell(&result);
                }
                Poll::Ready(result)
            }
        }
    }
}

// === impl Permit ===

impl Permit {
    /// Tells the circuit how the attempt ended.
    fn tell(mut self, result: &Result<Response<Bytes>, BoxError>) {
        let ending = match result {
            Err(error) if error.is::<tower::timeout::error::Elapsed>() => self.given_up(),
            // An answer, of a length that is about one product or page.
            Err(error) if is_too_long(error) => Ending::Worked,
            Err(_) => Ending::Failed(None),
            Ok(response) => match said(response, self.breaker.clock.now()) {
                Ending::Worked if self.is_slow() => Ending::Slow,
                ending => ending,
            },
        };
        if ending == Ending::Slow {
            let breaker = &self.breaker;
            let took = breaker.clock.now().since(self.began);
            let word = self.operation.as_str();
            let told = |event: Event| event.cause(word).age(took);
            breaker.events.emit_with(EventKind::SlowCall, told);
        }
        self.end(ending);
    }

    fn end(&mut self, ending: Ending) {
        self.told = true;
        let admission = self.admission;
        self.breaker
            .change(|circuit, now| circuit.end(admission, ending, now));
    }

    fn is_slow(&self) -> bool {
        let took = self.breaker.clock.now().since(self.began);
        took >= self.breaker.slow_after(self.operation)
    }

    /// What it says that nobody waits for the answer any more: only where it was slow already, that the
    /// inventory failed. A refresh may have had no more than a moment.
    fn given_up(&self) -> Ending {
        match self.is_slow() || std::thread::panicking() {
            true => Ending::Failed(None),
            false => Ending::Unknown,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.told {
            self.end(self.given_up());
        }
    }
}

fn is_too_long(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(TransportError::TooLong(_)))
}

/// What an answer says about whoever gave it.
fn said(response: &Response<Bytes>, now: Moment) -> Ending {
    let pause = || retry_after(response.headers(), now);
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => Ending::Limited(pause()),
        StatusCode::NOT_MODIFIED => Ending::Worked,
        status if status.is_client_error() => Ending::Worked,
        // A page of HTML is somebody else's: a proxy's, or one to sign in with.
        status if status.is_success() && is_usable_type(response) => Ending::Worked,
        _ => Ending::Failed(pause()),
    }
}
