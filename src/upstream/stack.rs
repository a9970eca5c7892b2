//! The outbound stack: what every call to the inventory passes through, outermost first.

use super::Config;
use super::breaker::service::{Breaker, BreakerLayer, GateLayer};
use super::bulkhead::Bulkhead;
use super::deadline::DeadlineLayer;
use super::observe::Observer;
use super::rate::RateLimit;
use super::retry::Retries;
use super::transport::Transport;
use crate::clock::Clock;
use tower::ServiceBuilder;
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;

/// What all calls share, wherever they go.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) rate: RateLimit,
    pub(super) bulkhead: Bulkhead,
}

/// Puts the layers on `transport`. Clones of the result share the budget of retries, and the rest with
/// whoever has the same limits and breaker.
///
/// Breaker, rate limit and bulkhead lie inside the retries, because each attempt has to pass them: the
/// circuit may have opened since the last one, and a pause must hold no slot.
pub(super) fn build(
    config: &Config,
    clock: Clock,
    (observer, breaker, limits): (Observer, Breaker, &Limits),
    transport: Transport,
) -> Transport {
    let retries = Retries::new(config.max_attempts, clock, breaker.clone());
    let stack = ServiceBuilder::new()
        // Bounds the whole call: queueing, attempts and pauses.
        .layer(DeadlineLayer(clock))
        // Safe calls only, inside a budget, honouring Retry-After.
        .layer(RetryLayer::new(retries))
        // Refuses at once what would only fail: nothing queues for a circuit that is open.
        .layer(GateLayer(breaker.clone()))
        // Bounds the attempts that begin in a second.
        .layer(limits.rate.clone())
        // Bounds the attempts in flight.
        .layer(limits.bulkhead.clone())
        // The circuit may have opened while the attempt queued, and half-open lets one through at a time.
        // Here it also hears how the attempt ended, and how long that took without queueing.
        .layer(BreakerLayer(breaker))
        // Bounds one attempt; inside the bulkhead, so that queueing does not use it up.
        .layer(TimeoutLayer::new(config.attempt_timeout))
        // Counts each attempt and remembers how the inventory does.
        .layer(observer)
        // reqwest, or a router of this process.
        .service(transport);
    Transport::new(stack)
}
