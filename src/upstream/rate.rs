//! How many attempts may begin in a second (`UPSTREAM_RATE_LIMIT_PER_SECOND`).

use super::bulkhead::{Crowded, patience};
use super::call::Call;
use crate::clock::{Clock, Moment};
use crate::telemetry::events::{EventKind, Events};
use bytes::Bytes;
use http::Request;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Layer, Service, ServiceExt};

/// What the limit is per; a millisecond more, because moments are cut off to whole ones.
const SECOND: Duration = Duration::from_millis(1001);

/// The limit. All clones share it. Also the layer that keeps to it.
#[derive(Clone, Debug)]
pub(super) struct RateLimit {
    clock: Clock,
    events: Events,
    pace: Option<Arc<Mutex<Pace>>>,
}

/// When attempts are let on. Pure. Never more than so many in any second, and up to as many at once: whoever
/// comes first goes first. Behind it they may queue for a slot of the bulkhead, a second at most, and so
/// begin closer together than they were let on.
#[derive(Debug)]
struct Pace {
    per_second: usize,
    /// The last of them, `per_second` at most, in order; the last may be still to come.
    begun: VecDeque<Moment>,
}

/// See [`RateLimit`].
#[derive(Clone, Debug)]
pub(super) struct Paced<S> {
    inner: S,
    limit: RateLimit,
}

// === impl RateLimit ===

impl RateLimit {
    /// `None` does not limit.
    pub(super) fn new(per_second: Option<NonZeroU32>, clock: Clock, events: Events) -> Self {
        let pace = |per_second: NonZeroU32| {
            Arc::new(Mutex::new(Pace {
                per_second: usize::try_from(per_second.get()).unwrap_or(usize::MAX),
                begun: VecDeque::new(),
            }))
        };
        Self {
            clock,
            events,
            pace: per_second.map(pace),
        }
    }

    /// How many attempts may begin now.
    pub(super) fn room(&self) -> usize {
        let now = self.clock.now();
        let room = |pace| lock(pace).room(now);
        self.pace.as_deref().map_or(usize::MAX, room)
    }
}

impl<S> Layer<S> for RateLimit {
    type Service = Paced<S>;

    fn layer(&self, inner: S) -> Paced<S> {
        Paced {
            inner,
            limit: self.clone(),
        }
    }
}

// === impl Pace ===

impl Pace {
    /// How long the next attempt has to wait, which then is taken to begin at that time.
    ///
    /// # Errors
    /// Where that is longer than `patience`.
    fn take(&mut self, now: Moment, patience: Duration) -> Result<Duration, Crowded> {
        self.forget(now);
        let last = self.begun.back().copied().unwrap_or(now);
        let is_full = self.begun.len() >= self.per_second;
        let first = self.begun.front().filter(|_| is_full);
        let free = first.map_or(now, |first| *first + SECOND);
        let begins = now.max(last).max(free);
        let wait = begins.since(now);
        if wait > patience {
            return Err(Crowded::RateLimit);
        }
        if is_full {
            self.begun.pop_front();
        }
        self.begun.push_back(begins);
        Ok(wait)
    }

    fn room(&mut self, now: Moment) -> usize {
        self.forget(now);
        self.per_second.saturating_sub(self.begun.len())
    }

    /// What began a second ago no longer counts.
    fn forget(&mut self, now: Moment) {
        while self
            .begun
            .front()
            .is_some_and(|&began| began + SECOND <= now)
        {
            self.begun.pop_front();
        }
    }
}

// === impl Paced ===

impl<S> Service<Request<Bytes>> for Paced<S>
where
    S: Service<Request<Bytes>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let inner = self.inner.clone();
        let now = self.limit.clock.now();
        let call = request.extensions().get::<Call>();
        let patience = patience(call, now);
        let taken = match &self.limit.pace {
            Some(pace) => lock(pace).take(now, patience),
            None => Ok(Duration::ZERO),
        };
        if taken.is_err() {
            let word = call.map_or("", |call| call.operation.as_str());
            let events = &self.limit.events;
            events.emit_with(EventKind::RateLimited, |event| event.cause(word));
        }
        Box::pin(async move {
            let wait = taken?;
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            inner.oneshot(request).await
        })
    }
}

/// A moment more or less after a panic: a call early or late.
fn lock(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(per_second: usize) -> Pace {
        Pace {
            per_second,
            begun: VecDeque::new(),
        }
    }

    #[test]
    fn a_seconds_worth_begins_at_once_and_the_next_a_second_later() {
        let mut pace = pace(3);
        let now = Moment::from_millis(5_000);
        let mut take = |at: u64, patience: u64| {
            let now = now + Duration::from_millis(at);
            let taken = pace.take(now, Duration::from_millis(patience));
            taken.ok().map(|wait| wait.as_millis())
        };
        assert_eq!([take(0, 0), take(0, 0), take(0, 0)], [Some(0); 3]);
        assert_eq!(take(1, 999), None);
        assert_eq!(take(1, 1000), Some(1000));
        assert_eq!(take(400, 1000), Some(601));
        assert_eq!(take(400, 1000), Some(601));
        assert_eq!(take(400, 1000), None);
        assert_eq!(take(1001, 1000), None);
        assert_eq!(take(2002, 0), Some(0));
    }

    #[test]
    fn room_is_what_may_begin_now() {
        let mut pace = pace(2);
        let now = Moment::from_millis(0);
        assert_eq!(pace.room(now), 2);
        pace.take(now, SECOND).unwrap();
        assert_eq!(pace.room(now), 1);
        pace.take(now, SECOND).unwrap();
        pace.take(now, SECOND).unwrap();
        assert_eq!(pace.room(now), 0);
        // The one that waited began after a second.
        assert_eq!(pace.room(now + SECOND), 1);
        assert_eq!(pace.room(now + SECOND + SECOND), 2);
    }

    proptest! {
        /// Whenever calls come and however patient they are, no window of a second sees more than the
        /// limit, they begin in the order they came, and nobody waits longer than they would.
        #[test]
        fn no_second_sees_more_than_the_limit(
            per_second in 1..6usize,
            calls in prop::collection::vec((0..400u64, 0..1500u64), 1..120),
        ) {
            let mut pace = pace(per_second);
            let (mut now, mut begun) = (Moment::from_millis(0), Vec::new());
            for (pause, patience) in calls {
                now = now + Duration::from_millis(pause);
                let patience = Duration::from_millis(patience);
                let room = pace.room(now);
                match pace.take(now, patience) {
                    Ok(wait) => {
                        prop_assert!(wait <= patience);
                        begun.push(now + wait);
                    }
                    Err(_) => prop_assert_eq!(room, 0),
                }
            }
            prop_assert!(begun.is_sorted());
            for (at, began) in begun.iter().enumerate() {
                let within = begun.iter().skip(at).take_while(|other| other.since(*began).as_millis() <= 1000);
                prop_assert!(within.count() <= per_second);
            }
        }
    }
}
