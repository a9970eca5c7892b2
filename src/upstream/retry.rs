//! Which attempts are made again, and when.

use super::asked::IDEMPOTENCY_KEY;
use super::breaker::service::{Breaker, CircuitOpen};
use super::bulkhead::Crowded;
use super::call::Call;
use super::transport::TransportError;
use crate::clock::{Clock, Moment};
use crate::telemetry::events::EventKind;
use crate::telemetry::metrics;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tower::BoxError;
use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};

/// The longest pause before the first retry; it doubles from retry to retry.
const BASE_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before any retry that the inventory did not ask for.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// How long a call counts towards the budget of retries.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Retries per second that are allowed whatever the calls: 10 in a window.
const BUDGET_RESERVE_PER_SECOND: u32 = 1;
/// Retries for each call in the window.
const BUDGET_SHARE: f32 = 0.2;

/// Retries of one call; clones share the budget.
#[derive(Clone, Debug)]
pub(super) struct Retries {
    left: u32,
    made: u32,
    clock: Clock,
    budget: Arc<TpsBudget>,
    breaker: Breaker,
}

/// What an attempt's end says about making another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// It would end the same.
    Final,
    /// It may end better after a pause.
    Again,
    /// The inventory asks for at least this pause.
    AgainAfter(Duration),
}

// === impl Retries ===

impl Retries {
    /// At most `max_attempts` attempts a call, the first included, and none while `breaker` is open.
    pub(super) fn new(max_attempts: u32, clock: Clock, breaker: Breaker) -> Self {
        let budget = TpsBudget::new(BUDGET_WINDOW, BUDGET_RESERVE_PER_SECOND, BUDGET_SHARE);
        Self {
            left: max_attempts.saturating_sub(1),
            made: 0,
            clock,
            budget: Arc::new(budget),
            breaker,
        }
    }

    /// How long to pause before the next attempt; `None` where there must be none.
    fn pause(&self, judgement: Judgement, deadline: Moment) -> Option<Duration> {
        let backoff = jittered(longest_pause(self.made));
        let pause = match judgement {
            Judgement::Final => return None,
            Judgement::Again => backoff,
            // Everyone was told the same moment: spread out behind it.
            Judgement::AgainAfter(asked) => asked.saturating_add(backoff),
        };
        // An attempt that could not begin before the deadline is not worth waiting for.
        (self.clock.now() + pause < deadline).then_some(pause)
    }
}

impl Policy<Request<Bytes>, Response<Bytes>, BoxError> for Retries {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Bytes>,
        result: &mut Result<Response<Bytes>, BoxError>,
    ) -> Option<Self::Future> {
        let call = request.extensions().get::<Call>()?;
        let keyed = request.headers().contains_key(IDEMPOTENCY_KEY);
        let judgement = judge(result, keyed, self.clock.now());
        // Without retries there is nothing to exhaust, and none is due while the circuit is open.
        let is_over = judgement == Judgement::Final || self.breaker.check().is_err();
        if is_over || self.left + self.made == 0 {
            return None;
        }
        let pause = self.pause(judgement, call.deadline);
        let pause = pause.filter(|_| self.left > 0 && self.budget.withdraw());
        let (events, word) = (self.breaker.events(), call.operation.as_str());
        let Some(pause) = pause else {
            events.emit_with(EventKind::RetryExhausted, |event| event.cause(word));
            return None;
        };
        events.emit_with(EventKind::Retry, |event| event.cause(word));
        self.left -= 1;
        self.made += 1;
        if keyed && may_have_had_an_effect(result) {
            call.mark_doubtful();
        }
        metrics::upstream_retry();
        Some(tokio::time::sleep(pause))
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        if self.made == 0 {
            self.budget.deposit();
        }
        // Only what is safe to repeat (RFC 9110 section 9.2.1), or is done once however often it is sent.
        let safe = request.method() == Method::GET;
        let safe = safe || request.headers().contains_key(IDEMPOTENCY_KEY);
        let call = request.extensions().get::<Call>();
        (safe && call.is_none_or(|call| call.repeats)).then(|| request.clone())
    }
}

/// The pause that an answer's `Retry-After` asks for, in seconds or until a date
/// ([RFC 9110 section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
pub(super) fn retry_after(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are as good as for ever.
        let secs = value.parse::<u64>();
        return (!value.is_empty()).then(|| Duration::from_secs(secs.unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(
        until
            .duration_since(SystemTime::from(now))
            .unwrap_or_default(),
    )
}

/// What the end of an attempt says; `keyed` where it carried an idempotency key.
fn judge(result: &Result<Response<Bytes>, BoxError>, keyed: bool, now: Moment) -> Judgement {
    match result {
        Ok(response) => match response.status() {
            // An earlier attempt is still under way there.
            StatusCode::CONFLICT if keyed => {
                retry_after(response.headers(), now).map_or(Judgement::Final, Judgement::AgainAfter)
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                retry_after(response.headers(), now).map_or(Judgement::Again, Judgement::AgainAfter)
            }
            _ => Judgement::Final,
        },
        // Nothing was sent, and what is in the way will be for a while.
        Err(error) if error.is::<CircuitOpen>() || error.is::<Crowded>() => Judgement::Final,
        Err(error) => match error.downcast_ref() {
            Some(TransportError::TooLong(_)) => Judgement::Final,
            // A connection that failed or broke, or an attempt that ran out of time.
            Some(TransportError::NotSent(_) | TransportError::Broken(_)) | None => Judgement::Again,
        },
    }
}

/// Whether an attempt that failed may have been carried out all the same.
fn may_have_had_an_effect(result: &Result<Response<Bytes>, BoxError>) -> bool {
    match result {
        Ok(response) => response.status().is_server_error(),
        Err(error) => !matches!(error.downcast_ref(), Some(TransportError::NotSent(_))),
    }
}

/// A pause of a tenth of the longest at least, so that nothing is repeated at once, and anything up to it,
/// so that what failed together does not come again together.
fn jittered(longest_ms: u64) -> Duration {
    Duration::from_millis(fastrand::u64(longest_ms / 10..=longest_ms))
}

/// The longest pause, in milliseconds, after `made` retries.
fn longest_pause(made: u32) -> u64 {
    let doubled = BASE_PAUSE.saturating_mul(2u32.saturating_pow(made));
    u64::try_from(doubled.min(MAX_PAUSE).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::events::Events;
    use crate::upstream::breaker::Thresholds;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 784111777 is Sun, 06 Nov 1994 08:49:37 GMT.
        let now = Moment::from_millis(784_111_777_000);
        for (value, secs) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("soon", None),
        ] {
            let expected = secs.map(Duration::from_secs);
            assert_eq!(retry_after(&headers(value), now), expected, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn pauses_double_up_to_two_seconds() {
        let longest: Vec<u64> = (0..7).map(longest_pause).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(longest_pause(u32::MAX), 2000);
    }

    #[test]
    fn a_pause_is_a_tenth_of_the_longest_at_least() {
        for made in 0..8 {
            let longest = longest_pause(made);
            for _ in 0..1000 {
                let pause = jittered(longest).as_millis();
                assert!((u128::from(longest) / 10..=u128::from(longest)).contains(&pause));
                assert!(pause > 0);
            }
        }
    }

    #[test]
    fn only_what_may_end_better_is_tried_again() {
        let now = Moment::from_millis(0);
        let answer = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            Ok(response)
        };
        let error = |error: TransportError| Err(BoxError::from(error));
        for (result, expected) in [
            (answer(200), Judgement::Final),
            (answer(304), Judgement::Final),
            (answer(404), Judgement::Final),
            (answer(401), Judgement::Final),
            (answer(429), Judgement::Again),
            (answer(500), Judgement::Again),
            (answer(503), Judgement::Again),
            (error(TransportError::NotSent("x".into())), Judgement::Again),
            (error(TransportError::Broken("x".into())), Judgement::Again),
            (error(TransportError::TooLong(1)), Judgement::Final),
            (Err(Crowded::Bulkhead.into()), Judgement::Final),
            (
                Err(CircuitOpen {
                    retry_after: Duration::ZERO,
                }
                .into()),
                Judgement::Final,
            ),
            (
                Err(tower::timeout::error::Elapsed::new().into()),
                Judgement::Again,
            ),
        ] {
            for keyed in [false, true] {
                assert_eq!(judge(&result, keyed, now), expected, "{result:?}");
            }
        }
    }

    #[test]
    fn a_conflict_is_tried_again_where_it_says_when_and_the_call_has_a_key() {
        let now = Moment::from_millis(0);
        let pause = Judgement::AgainAfter(Duration::from_secs(2));
        for (keyed, retry_after, expected) in [
            (true, Some("2"), pause),
            (true, None, Judgement::Final),
            (false, Some("2"), Judgement::Final),
        ] {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::CONFLICT;
            if let Some(value) = retry_after {
                *response.headers_mut() = headers(value);
            }
            assert_eq!(judge(&Ok(response), keyed, now), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_a_fifth_of_the_calls_and_ten_in_reserve() {
        let clock = Clock::start();
        let thresholds = Thresholds {
            failures: 5,
            recovery: Duration::from_secs(30),
        };
        let breaker = Breaker::new(
            thresholds,
            Duration::from_secs(3),
            clock,
            Events::new(),
            false,
        );
        let retries = Retries::new(3, clock, breaker);
        let request = Request::new(Bytes::new());
        for _ in 0..50 {
            retries.clone().clone_request(&request);
        }
        let allowed = (0..100).filter(|_| retries.budget.withdraw()).count();
        assert_eq!(allowed, 20);
        tokio::time::sleep(Duration::from_secs(30)).await;
        retries.clone().clone_request(&request);
        let allowed = (0..100).filter(|_| retries.budget.withdraw()).count();
        assert_eq!(allowed, 10);
    }
}
