//! The way out to one origin: the stack, the circuit, and what is known about whoever answers there.

use super::answer::Answer;
use super::asked::Asked;
use super::breaker::Thresholds;
use super::breaker::service::Breaker;
use super::call::{Call, Operation};
use super::observe::Observer;
use super::stack::{self, Limits};
use super::transport::Transport;
use super::{Config, UpstreamError};
use crate::clock::Clock;
use crate::secrets::Secret;
use crate::telemetry::Conversation;
use crate::telemetry::events::Events;
use std::time::Duration;
use tower::ServiceExt;

/// How calls get to one origin. All clones share what it knows.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) observer: Observer,
    pub(super) breaker: Breaker,
    /// Whether it is the way to the inventory itself: the only one that our credential may take.
    pub(super) is_main: bool,
    pub(super) clock: Clock,
    deadline: Duration,
    stack: Transport,
}

// === impl Outlet ===

impl Outlet {
    /// A way out by `transport` within `limits`. The main one is the inventory's own: its circuit is the
    /// one that is shown.
    pub(super) fn new(
        config: &Config,
        clock: Clock,
        events: Events,
        limits: &Limits,
        transport: Transport,
        is_main: bool,
    ) -> Self {
        let observer = Observer::new(clock, events.clone());
        let thresholds = Thresholds {
            failures: config.circuit_failures,
            recovery: config.circuit_recovery,
        };
        let timeout = config.attempt_timeout;
        let breaker = Breaker::new(thresholds, timeout, clock, events, is_main);
        let parts = (observer.clone(), breaker.clone(), limits);
        let stack = stack::build(config, clock, parts, transport);
        Self {
            observer,
            breaker,
            is_main,
            clock,
            deadline: config.deadline,
            stack,
        }
    }

    /// Sends a request down the stack, and tells what came of it.
    pub(super) async fn call(
        &self,
        asked: Asked,
        key: Option<&Secret>,
        cause: Conversation,
    ) -> Result<Answer, UpstreamError> {
        let operation = asked.operation;
        told(operation, self.send(asked, key, cause).await)
    }

    /// The same, without a word about an answer that can not be used.
    pub(super) async fn send(
        &self,
        asked: Asked,
        key: Option<&Secret>,
        cause: Conversation,
    ) -> Result<Answer, UpstreamError> {
        let call = Call::new(asked.operation, self.clock.now() + self.deadline);
        self.carry(asked, call, key, cause).await
    }

    /// The same in one attempt, which ends within so long.
    pub(super) async fn try_once(
        &self,
        asked: Asked,
        within: Duration,
        key: Option<&Secret>,
        cause: Conversation,
    ) -> Result<Answer, UpstreamError> {
        let deadline = self.clock.now() + within.min(self.deadline);
        let call = Call::new(asked.operation, deadline).once();
        let operation = asked.operation;
        told(operation, self.carry(asked, call, key, cause).await)
    }

    async fn carry(
        &self,
        asked: Asked,
        call: Call,
        key: Option<&Secret>,
        cause: Conversation,
    ) -> Result<Answer, UpstreamError> {
        let operation = asked.operation;
        let now = self.clock.now();
        let request = asked
            .request(call.clone(), key, cause)
            .map_err(|error| UpstreamError::Unreachable(error.into()))?;
        let result = self.stack.clone().oneshot(request).await;
        Answer::of(operation, result, &self.observer, now).map_err(|error| {
            match call.is_doubtful() {
                true => error.in_doubt(),
                false => error,
            }
        })
    }
}

/// Says in the log where an answer is none that its API promises: that is an operator's matter.
pub(super) fn told(
    operation: Operation,
    result: Result<Answer, UpstreamError>,
) -> Result<Answer, UpstreamError> {
    if let Err(UpstreamError::Invalid { what, .. }) = &result {
        let operation = operation.as_str();
        tracing::error!(
            operation,
            what,
            "The inventory's answer is not usable: {what}"
        );
    }
    result
}
