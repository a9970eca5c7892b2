//! Counts attempts, and remembers from them how the inventory does.

use super::Reachability;
use super::bulkhead::Crowded;
use super::call::{AttemptOutcome, Call, Operation};
use super::latency::{Latencies, Latency};
use crate::clock::{Clock, Moment};
use crate::telemetry::events::{EventKind, Events};
use crate::telemetry::{Stopwatch, metrics};
use bytes::Bytes;
use http::StatusCode;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service};

/// What is known about the inventory. All clones share it. Also the layer that learns it.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    clock: Clock,
    events: Events,
    known: Arc<Mutex<Known>>,
    latencies: Latencies,
}

#[derive(Debug, Default)]
struct Known {
    told: Reachability,
    /// The first of the calls that failed since one last got an answer.
    failing: Option<Call>,
}

/// What one attempt says about the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It works.
    Up,
    /// It does not, as far as this call goes.
    Failed,
    /// Something answered, which may or may not be a working inventory.
    Unclear,
}

/// Why an attempt was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The circuit is open.
    CircuitOpen,
    /// There is too much to do already.
    Crowded(Crowded),
    /// Its time was up before there was room.
    Deadline,
    /// The credential is not here yet.
    NotReady,
}

/// See [`Observer`].
#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    inner: S,
    observer: Observer,
}

/// Response extension: an attempt whose answer still has to be read. Only then is it known
/// whether it is usable, so whoever reads it reports that.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    call: Call,
    began: Moment,
    took: Duration,
}

/// An attempt under way. One that is dropped before its end ran out of time.
struct Underway {
    observer: Observer,
    call: Call,
    began: Moment,
    watch: Stopwatch,
    ended: bool,
}

// === impl Observer ===

impl Observer {
    pub(super) fn new(clock: Clock, events: Events) -> Self {
        Self {
            clock,
            events,
            known: Arc::default(),
            latencies: Latencies::default(),
        }
    }

    pub(super) fn reachability(&self) -> Reachability {
        self.lock().told.clone()
    }

    /// How long it takes over one product of late.
    pub(super) fn latency(&self) -> Option<Latency> {
        self.latencies.summary()
    }

    /// Reports whether the answer of `attempt` could be used. One that could not may be about one
    /// product alone: only health that can not be read speaks for the whole inventory.
    pub(super) fn read(&self, attempt: &Attempt, usable: bool) {
        let operation = attempt.call.operation;
        let (outcome, verdict) = match usable {
            true => (AttemptOutcome::Ok, Verdict::Up),
            false if operation == Operation::Health => (AttemptOutcome::Invalid, Verdict::Failed),
            false => (AttemptOutcome::Invalid, Verdict::Unclear),
        };
        self.record(&attempt.call, outcome, attempt.took, verdict);
        self.denied(operation, None);
    }

    /// Counts a call, or a further attempt at one, that was not sent.
    pub(super) fn rejected(&self, operation: Operation, why: Rejection) {
        let outcome = AttemptOutcome::Rejected.as_str();
        metrics::upstream_rejection(operation.as_str(), outcome, why.as_str());
    }

    /// Remembers the version that the inventory reports, and says so when it does not fit.
    pub(super) fn version(&self, reported: Option<(String, bool)>) {
        let before = std::mem::replace(&mut self.lock().told.version, reported.clone());
        if reported == before {
            return;
        }
        match reported {
            Some((version, false)) => tracing::warn!(
                version,
                "The inventory reports version {version}, which the contract's dependency range does not admit"
            ),
            Some((version, true)) => {
                tracing::info!(version, "The inventory reports version {version}");
            }
            None => tracing::warn!("The inventory no longer reports a version"),
        }
    }

    /// Counts an attempt and remembers what it says. What proves nothing leaves no trace, so that
    /// the next probe comes no later for it: an unusable answer, and a failure of a single call
    /// while all others work.
    fn record(&self, call: &Call, outcome: AttemptOutcome, took: Duration, verdict: Verdict) {
        metrics::upstream_request(call.operation.as_str(), outcome.as_str(), took);
        if outcome == AttemptOutcome::Timeout {
            self.events.emit_with(EventKind::Timeout, |event| {
                event.cause(call.operation.as_str()).age(took)
            });
        }
        if call.operation == Operation::Get
            && matches!(outcome, AttemptOutcome::Ok | AttemptOutcome::NotModified)
        {
            self.latencies.note(took);
        }
        let now = self.clock.now();
        let mut known = self.lock();
        let failing = known.failing.take();
        match verdict {
            Verdict::Up => {}
            Verdict::Unclear => return,
            Verdict::Failed => {
                let is_alone = failing.as_ref().is_none_or(|first| first.is(call));
                known.failing = failing.or_else(|| Some(call.clone()));
                if is_alone && known.told.up == Some(true) && call.operation != Operation::Health {
                    return;
                }
            }
        }
        known.told.up = Some(verdict == Verdict::Up);
        known.told.at = Some(now);
        known.told.took = Some(took);
    }

    /// Remembers whether an answer refused our credential. Health is asked without looking at
    /// credentials, so an answer to that only counts against it.
    fn denied(&self, operation: Operation, refusal: Option<StatusCode>) {
        if refusal.is_none() && operation == Operation::Health {
            return;
        }
        let before = std::mem::replace(&mut self.lock().told.denied, refusal.is_some());
        match refusal {
            Some(status) if !before => tracing::error!(
                status = status.as_u16(),
                "The inventory refuses our credential (API_KEY) with {status}"
            ),
            None if before => tracing::info!("The inventory accepts our credential again"),
            _ => {}
        }
    }

    /// What is known is replaced member by member; a panic in between leaves it merely older.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for Observer {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            observer: self.clone(),
        }
    }
}

// === impl Observed ===

impl<S> Service<http::Request<Bytes>> for Observed<S>
where
    S: Service<http::Request<Bytes>, Response = http::Response<Bytes>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Bytes>) -> Self::Future {
        let call = request.extensions().get::<Call>().cloned();
        let answer = self.inner.call(request);
        let observer = self.observer.clone();
        Box::pin(async move {
            let Some(call) = call else {
                return answer.await;
            };
            call.mark_sent();
            let underway = Underway {
                began: observer.clock.now(),
                watch: Stopwatch::start(),
                call,
                observer,
                ended: false,
            };
            underway.end(answer.await)
        })
    }
}

// === impl Rejection ===

impl Rejection {
    /// The word in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::Crowded(crowded) => crowded.as_str(),
            Self::Deadline => "deadline",
            Self::NotReady => "not_ready",
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// When the request was sent.
    pub(super) fn began(&self) -> Moment {
        self.began
    }
}

// === impl Underway ===

impl Underway {
    fn end(
        mut self,
        result: Result<http::Response<Bytes>, BoxError>,
    ) -> Result<http::Response<Bytes>, BoxError> {
        self.ended = true;
        let took = self.watch.elapsed();
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                let outcome = AttemptOutcome::of_error(&error);
                let verdict = match outcome {
                    AttemptOutcome::Invalid => Verdict::Unclear,
                    _ => Verdict::Failed,
                };
                self.observer.record(&self.call, outcome, took, verdict);
                return Err(error);
            }
        };
        let status = response.status();
        let attempt = Attempt {
            call: self.call.clone(),
            began: self.began,
            took,
        };
        response.extensions_mut().insert(attempt);
        if !status.is_success() {
            let outcome = AttemptOutcome::of_status(status);
            self.observer
                .record(&self.call, outcome, took, verdict(status));
            self.observer.denied(self.call.operation, refusal(status));
        }
        Ok(response)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.ended {
            let took = self.watch.elapsed();
            self.observer
                .record(&self.call, AttemptOutcome::Timeout, took, Verdict::Failed);
        }
    }
}

/// What an answer other than 2xx says. One that refuses our credential works, but not for us.
fn verdict(status: StatusCode) -> Verdict {
    match status {
        StatusCode::NOT_MODIFIED => Verdict::Up,
        _ if refusal(status).is_some() || status.is_server_error() => Verdict::Failed,
        _ if status.is_client_error() => Verdict::Up,
        _ => Verdict::Unclear,
    }
}

fn refusal(status: StatusCode) -> Option<StatusCode> {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN).then_some(status)
}
