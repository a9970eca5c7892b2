//! Bounds a whole call: queueing, attempts and the pauses between them.

use super::call::Call;
use crate::clock::Clock;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service, ServiceExt};

/// Ends each call at its own deadline; one that has none is not bounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeadlineLayer(pub(super) Clock);

/// See [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub(super) struct Deadline<S> {
    inner: S,
    clock: Clock,
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
            clock: self.0,
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
        let call = request.extensions().get::<Call>().cloned();
        let now = self.clock.now();
        Box::pin(async move {
            let Some(call) = call else {
                return inner.oneshot(request).await;
            };
            let after = call.deadline.since(now);
            match tokio::time::timeout(after, inner.oneshot(request)).await {
                Ok(result) => result,
                Err(_) => {
                    let sent = call.is_sent();
                    Err(DeadlinePassed { after, sent }.into())
                }
            }
        })
    }
}
