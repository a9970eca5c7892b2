//! How many attempts may be in flight (`UPSTREAM_MAX_CONCURRENT`), and how long a call queues to be one.

use super::call::Call;
use crate::clock::{Clock, Moment};
use crate::telemetry::events::{EventKind, Events};
use bytes::Bytes;
use http::Request;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, Service, ServiceExt};

/// The longest that a call queues for a slot, and for its turn under the rate limit: a second, and the
/// millisecond by which that counts its seconds longer.
const QUEUE: Duration = Duration::from_millis(1001);

/// Nothing was sent, because there is too much to do already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// `UPSTREAM_MAX_CONCURRENT` attempts are in flight, and none ended in time.
    #[error("no slot was free in time")]
    Bulkhead,
    /// `UPSTREAM_RATE_LIMIT_PER_SECOND` attempts began within this second.
    #[error("the rate limit allowed no call in time")]
    RateLimit,
}

/// The slots. All clones share them. Also the layer that fills them.
#[derive(Clone, Debug)]
pub(super) struct Bulkhead {
    clock: Clock,
    events: Events,
    slots: Arc<Semaphore>,
    /// Slots that refreshes leave to readers.
    reserve: usize,
}

/// See [`Bulkhead`].
#[derive(Clone, Debug)]
pub(super) struct Slotted<S> {
    inner: S,
    bulkhead: Bulkhead,
}

// === impl Bulkhead ===

impl Bulkhead {
    /// So many slots. A quarter of them, one at least, is kept for readers, unless there is only one.
    pub(super) fn new(slots: usize, clock: Clock, events: Events) -> Self {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            clock,
            events,
            slots: Arc::new(Semaphore::new(slots)),
            reserve: (slots / 4).max(1).min(slots - 1),
        }
    }

    /// How many refreshes may have a slot now.
    pub(super) fn room(&self) -> usize {
        self.slots.available_permits().saturating_sub(self.reserve)
    }
}

impl<S> Layer<S> for Bulkhead {
    type Service = Slotted<S>;

    fn layer(&self, inner: S) -> Slotted<S> {
        Slotted {
            inner,
            bulkhead: self.clone(),
        }
    }
}

// === impl Slotted ===

impl<S> Service<Request<Bytes>> for Slotted<S>
where
    S: Service<Request<Bytes>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Queueing is part of the call: so it ends with it, and can be bounded.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let inner = self.inner.clone();
        let slots = Arc::clone(&self.bulkhead.slots);
        let call = request.extensions().get::<Call>();
        let patience = patience(call, self.bulkhead.clock.now());
        let events = self.bulkhead.events.clone();
        let word = call.map_or("", |call| call.operation.as_str());
        Box::pin(async move {
            let queued = tokio::time::timeout(patience, slots.acquire_owned()).await;
            // Nobody closes the semaphore.
            let Ok(Ok(_slot)) = queued else {
                events.emit_with(EventKind::BulkheadRejected, |event| event.cause(word));
                return Err(Crowded::Bulkhead.into());
            };
            inner.oneshot(request).await
        })
    }
}

// === impl Crowded ===

impl Crowded {
    /// The word in metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bulkhead => "bulkhead",
            Self::RateLimit => "rate_limit",
        }
    }
}

/// How long a call queues in one place: a second, unless it must have ended by then.
pub(super) fn patience(call: Option<&Call>, now: Moment) -> Duration {
    call.map_or(QUEUE, |call| QUEUE.min(call.deadline.since(now)))
}
