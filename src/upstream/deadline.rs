//! Bounds a whole call: queueing, attempts and the pauses between them.

use super::call::Call;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service, ServiceExt};

/// Ends calls that take longer than this.
///
/// tower's own timeout starts its clock when the inner service is ready, which here is after the
/// bulkhead has let the call in; this one counts the wait too.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadlineLayer(pub(super) Duration);

/// See [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    inner: S,
    after: Duration,
}

/// The call did not end in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the deadline of {after:?} passed")]
pub(super) struct DeadlinePassed {
    after: Duration,
    /// Whether any attempt was begun, and so may have had an effect.
    pub(super) sent: bool,
}

// === impl DeadlineLayer ===

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline {
            inner,
            after: self.0,
        }
    }
}

// === impl Deadline ===

impl<S, B> Service<http::Request<B>> for Deadline<S>
where
    S: Service<http::Request<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Waiting for the inner service is part of the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let inner = self.inner.clone();
        let after = self.after;
        let call = request.extensions().get::<Call>().cloned();
        Box::pin(async move {
            match tokio::time::timeout(after, inner.oneshot(request)).await {
                Ok(result) => result,
                Err(_) => {
                    let sent = call.is_none_or(|call| call.is_sent());
                    Err(DeadlinePassed { after, sent }.into())
                }
            }
        })
    }
}
