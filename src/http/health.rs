//! Health, for orchestrators and people: answered from state in memory, never cached, never guarded.

use super::Shared;
use super::fault::{JSON, NO_STORE};
use crate::catalog::{Check, CheckStatus, Health};
use crate::clock::Moment;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// When an unhealthy service is worth asking again, in seconds.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("30");

/// Where health is asked for: what is exempt from limits, because its probes decide whether we live.
const PROBES: [&str; 3] = ["/health", "/health/live", "/health/ready"];

/// Whether a request for `path` asks for health.
pub(super) fn is_probe(path: &str) -> bool {
    PROBES.contains(&path)
}

/// How the service does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
#[serde(rename_all = "camelCase")]
pub struct HealthBody {
    /// `Healthy`, `Degraded` (it answers, with less than it should have) or `Unhealthy`.
    status: StatusWord,
    /// When this was said, in UTC.
    #[schema(value_type = String, format = DateTime)]
    timestamp: String,
    /// The version of the service.
    version: &'static str,
    /// Its parts, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<CheckBody>,
}

/// How one part of the service does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthCheck)]
#[serde(rename_all = "camelCase")]
pub struct CheckBody {
    /// Which part.
    name: &'static str,
    /// How it does.
    status: StatusWord,
    /// How long its last call took, in milliseconds, where it makes calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    response_time_ms: Option<u64>,
    /// A sentence for operators.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

/// Healthy, degraded or unhealthy.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = HealthStatus)]
enum StatusWord {
    Healthy,
    Degraded,
    Unhealthy,
}

// === impl HealthBody ===

impl HealthBody {
    fn new(health: Health, now: Moment) -> Self {
        Self {
            status: health.status.into(),
            timestamp: timestamp(now),
            version: env!("CARGO_PKG_VERSION"),
            checks: health.checks.into_iter().map(CheckBody::from).collect(),
        }
    }
}

impl IntoResponse for HealthBody {
    fn into_response(self) -> Response {
        // Strings and numbers only: nothing here can fail to serialise.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE)];
        match self.status {
            StatusWord::Healthy | StatusWord::Degraded => (headers, body).into_response(),
            StatusWord::Unhealthy => (
                StatusCode::SERVICE_UNAVAILABLE,
                headers,
                [(RETRY_AFTER, ASK_AGAIN)],
                body,
            )
                .into_response(),
        }
    }
}

// === impl CheckBody ===

impl From<Check> for CheckBody {
    fn from(check: Check) -> Self {
        Self {
            name: check.name,
            status: check.status.into(),
            response_time_ms: check
                .response_time
                .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            description: check.description,
        }
    }
}

// === impl StatusWord ===

impl From<CheckStatus> for StatusWord {
    fn from(status: CheckStatus) -> Self {
        match status {
            CheckStatus::Healthy => Self::Healthy,
            CheckStatus::Degraded => Self::Degraded,
            CheckStatus::Unhealthy => Self::Unhealthy,
        }
    }
}

/// Get the health of the service.
///
/// `Degraded` still answers: the cache serves while the inventory is down, say.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getHealth",
    tag = "health",
    responses(
        (status = 200, description = "The service answers products.", body = HealthBody,
            headers(("cache-control" = String, description = "Always `no-store`."))),
        (status = 503, description = "The service can not answer products.", body = HealthBody,
            headers(("cache-control" = String, description = "Always `no-store`."),
                ("retry-after" = i64, description = "Seconds after which to ask again."))),
    )
)]
pub(super) async fn get_health(State(state): State<Shared>) -> HealthBody {
    HealthBody::new(state.catalog.health(), state.clock.now())
}

/// Whether the process lives: looks at nothing else, because a restart would cure nothing else.
pub(super) async fn live(State(state): State<Shared>) -> HealthBody {
    let alive = Health {
        status: CheckStatus::Healthy,
        checks: Vec::new(),
    };
    HealthBody::new(alive, state.clock.now())
}

/// Whether this replica should get traffic.
pub(super) async fn ready(State(state): State<Shared>) -> HealthBody {
    let (is_ready, is_draining) = (state.catalog.is_ready(), state.draining.is_on());
    let health = readiness(state.catalog.health(), is_ready, is_draining);
    HealthBody::new(health, state.clock.now())
}

/// Readiness with the parts that explain it. A replica that answers is ready, however degraded.
fn readiness(mut health: Health, is_ready: bool, is_draining: bool) -> Health {
    if is_draining {
        health.checks.push(Check {
            name: "shutdown",
            status: CheckStatus::Unhealthy,
            response_time: None,
            description: "This replica is shutting down.".to_owned(),
        });
    }
    health.status = if is_ready && !is_draining {
        health.status.min(CheckStatus::Degraded)
    } else {
        CheckStatus::Unhealthy
    };
    health
}

/// RFC 3339 in UTC; a time that no calendar has counts as the epoch.
fn timestamp(now: Moment) -> String {
    let millis = i64::try_from(now.as_millis()).unwrap_or_default();
    let timestamp = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    format!("{timestamp:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn health(status: CheckStatus) -> Health {
        let inventory = Check {
            name: "inventory",
            status,
            response_time: Some(Duration::from_micros(2900)),
            description: "The inventory does not answer.".to_owned(),
        };
        Health {
            status,
            checks: vec![inventory],
        }
    }

    #[tokio::test]
    async fn only_unhealthy_is_503_and_it_says_when_to_ask_again() {
        for (status, code, retry) in [
            (CheckStatus::Healthy, 200, None),
            (CheckStatus::Degraded, 200, None),
            (CheckStatus::Unhealthy, 503, Some(ASK_AGAIN)),
        ] {
            let now = Moment::from_millis(1_700_000_000_123);
            let response = HealthBody::new(health(status), now).into_response();
            assert_eq!(response.status(), code);
            assert_eq!(response.headers().get(RETRY_AFTER), retry.as_ref());
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            let check = json!({
                "name": "inventory", "status": status.as_str(), "responseTimeMs": 2,
                "description": "The inventory does not answer."
            });
            let expected = json!({
                "status": status.as_str(), "timestamp": "2023-11-14T22:13:20.123Z",
                "version": env!("CARGO_PKG_VERSION"), "checks": [check]
            });
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn readiness_follows_the_replica_and_not_its_worst_part() {
        use CheckStatus::{Degraded, Healthy, Unhealthy};
        for (status, is_ready, is_draining, expected) in [
            (Healthy, true, false, Healthy),
            (Degraded, true, false, Degraded),
            (Unhealthy, true, false, Degraded),
            (Healthy, false, false, Unhealthy),
            (Healthy, true, true, Unhealthy),
        ] {
            let ready = readiness(health(status), is_ready, is_draining);
            assert_eq!(ready.status, expected);
            assert_eq!(ready.checks.len(), 1 + usize::from(is_draining));
        }
    }
}
