//! Counts attempts, and remembers from them how the inventory does.

use super::Reachability;
use super::call::{AttemptOutcome, Call, Operation};
use crate::clock::{Clock, Moment};
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
    known: Arc<Mutex<Reachability>>,
}

/// See [`Observer`].
#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    inner: S,
    observer: Observer,
}

/// Response extension: an attempt whose answer still has to be read. Only then is it known
/// whether it is usable, so whoever reads it reports that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    operation: Operation,
    began: Moment,
    took: Duration,
}

/// An attempt under way. One that is dropped before its end ran out of time.
struct Underway {
    observer: Observer,
    operation: Operation,
    began: Moment,
    watch: Stopwatch,
    ended: bool,
}

// === impl Observer ===

impl Observer {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            known: Arc::default(),
        }
    }

    pub(super) fn reachability(&self) -> Reachability {
        self.lock().clone()
    }

    /// Reports whether the answer of `attempt` could be used.
    pub(super) fn read(&self, attempt: Attempt, usable: bool) {
        let outcome = if usable {
            AttemptOutcome::Ok
        } else {
            AttemptOutcome::Invalid
        };
        self.record(attempt.operation, outcome, attempt.took, usable);
        self.denied(attempt.operation, None);
    }

    /// Counts a call that was never sent.
    pub(super) fn rejected(&self, operation: Operation) {
        let outcome = AttemptOutcome::Rejected.as_str();
        metrics::upstream_request(operation.as_str(), outcome, Duration::ZERO);
    }

    /// Remembers the version that the inventory reports, and says so when it does not fit.
    pub(super) fn version(&self, reported: Option<(String, bool)>) {
        let before = std::mem::replace(&mut self.lock().version, reported.clone());
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

    fn record(&self, operation: Operation, outcome: AttemptOutcome, took: Duration, up: bool) {
        metrics::upstream_request(operation.as_str(), outcome.as_str(), took);
        let now = self.clock.now();
        let mut known = self.lock();
        known.up = Some(up);
        known.at = Some(now);
        known.took = Some(took);
    }

    /// Remembers whether an answer refused our credential. Health is asked without looking at
    /// credentials, so an answer to that only counts against it.
    fn denied(&self, operation: Operation, refusal: Option<StatusCode>) {
        if refusal.is_none() && operation == Operation::Health {
            return;
        }
        let before = std::mem::replace(&mut self.lock().denied, refusal.is_some());
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
    fn lock(&self) -> MutexGuard<'_, Reachability> {
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
                operation: call.operation,
                observer,
                ended: false,
            };
            underway.end(answer.await)
        })
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
                self.observer.record(self.operation, outcome, took, false);
                return Err(error);
            }
        };
        let status = response.status();
        let attempt = Attempt {
            operation: self.operation,
            began: self.began,
            took,
        };
        response.extensions_mut().insert(attempt);
        if !status.is_success() {
            let outcome = AttemptOutcome::of_status(status);
            self.observer
                .record(self.operation, outcome, took, is_up(status));
            self.observer.denied(self.operation, refusal(status));
        }
        Ok(response)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.ended {
            let took = self.watch.elapsed();
            self.observer
                .record(self.operation, AttemptOutcome::Timeout, took, false);
        }
    }
}

/// Whether an answer other than 2xx shows an inventory that works.
fn is_up(status: StatusCode) -> bool {
    let refused = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    );
    status == StatusCode::NOT_MODIFIED || (status.is_client_error() && !refused)
}

fn refusal(status: StatusCode) -> Option<StatusCode> {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN).then_some(status)
}
