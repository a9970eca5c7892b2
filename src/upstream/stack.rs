//! The outbound stack: what every call to the inventory passes through, outermost first.

use super::Config;
use super::deadline::DeadlineLayer;
use super::observe::Observer;
use super::retry::Retries;
use super::transport::Transport;
use crate::clock::Clock;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;

/// Puts the layers on `transport`. Clones of the result share the budget of retries and the slots.
pub(super) fn build(
    config: &Config,
    clock: Clock,
    observer: Observer,
    transport: Transport,
) -> Transport {
    let stack = ServiceBuilder::new()
        // Bounds the whole call: queueing, attempts and pauses.
        .layer(DeadlineLayer(config.deadline))
        // Place of the breaker: refuses at once what would only fail.
        // Place of the rate limit.
        // Safe calls only, inside a budget, honouring Retry-After.
        .layer(RetryLayer::new(Retries::new(config.max_attempts, clock)))
        // Bounds the attempts in flight; inside the retries, so that a pause holds no slot.
        .layer(GlobalConcurrencyLimitLayer::new(config.max_concurrent))
        // Bounds one attempt; inside the bulkhead, so that queueing does not use it up.
        .layer(TimeoutLayer::new(config.attempt_timeout))
        // Counts each attempt and remembers how the inventory does.
        .layer(observer)
        // reqwest, or a router of this process.
        .service(transport);
    Transport::new(stack)
}
