//! Health: what this replica can do right now, from state kept in memory, never by asking.

use super::Catalog;
use crate::cache::StoreStatus;
use crate::telemetry::Conversation;
use crate::upstream::CircuitState;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The shortest pause between two probes.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// The service's health (governance document 17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The worst of the checks.
    pub status: CheckStatus,
    /// `inventory`, `inventory-version`, `cache-store`, `warm-up`, `circuit`.
    pub checks: Vec<Check>,
}

/// One part's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which part.
    pub name: &'static str,
    /// How it does.
    pub status: CheckStatus,
    /// How long its last call took, where it makes calls.
    pub response_time: Option<Duration>,
    /// A sentence for operators: no addresses, no secrets.
    pub description: String,
}

/// Healthy, degraded or unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckStatus {
    /// All is well.
    Healthy,
    /// Works, with less than it should have.
    Degraded,
    /// Does not work. Only the inventory's check says so, and only with nothing cached.
    Unhealthy,
}

// === impl CheckStatus ===

impl CheckStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::Unhealthy => "Unhealthy",
        }
    }
}

// === impl Check ===

impl Check {
    fn new(name: &'static str, status: CheckStatus, description: impl Into<String>) -> Self {
        Self {
            name,
            status,
            response_time: None,
            description: description.into(),
        }
    }
}

impl Catalog {
    /// The service's health, from state kept in memory.
    pub fn health(&self) -> Health {
        let checks = vec![
            self.inventory_check(),
            self.version_check(),
            self.store_check(),
            self.warmup_check(),
            self.circuit_check(),
        ];
        Health {
            status: checks
                .iter()
                .map(|check| check.status)
                .max()
                .unwrap_or(CheckStatus::Healthy),
            checks,
        }
    }

    /// Whether this replica can answer products: from a cache that holds some, or from an inventory
    /// that answers.
    pub fn is_ready(&self) -> bool {
        let answers = || self.inventory().reachability().up == Some(true);
        self.cache.has_usable() || (answers() && self.circuit().state != CircuitState::Open)
    }

    fn inventory_check(&self) -> Check {
        let inventory = self.inventory().reachability();
        let cached = self.cache.has_usable();
        let has_credential = self.inventory().config().api_key.get().is_some();
        let (status, description) = match inventory.up {
            _ if !has_credential && cached => (
                CheckStatus::Degraded,
                "Its credential (API_KEY) has not arrived yet; answers come from the cache",
            ),
            _ if !has_credential => (
                CheckStatus::Unhealthy,
                "Its credential (API_KEY) has not arrived yet, and nothing is cached",
            ),
            _ if inventory.denied && cached => (
                CheckStatus::Degraded,
                "It refuses our credential (API_KEY); answers come from the cache",
            ),
            _ if inventory.denied => (
                CheckStatus::Unhealthy,
                "It refuses our credential (API_KEY), and nothing is cached",
            ),
            Some(true) => (CheckStatus::Healthy, "It answers"),
            Some(false) if cached => (
                CheckStatus::Degraded,
                "It does not answer; answers come from the cache",
            ),
            Some(false) => (
                CheckStatus::Unhealthy,
                "It does not answer, and nothing is cached",
            ),
            None => (CheckStatus::Healthy, "It has not been asked yet"),
        };
        Check {
            response_time: inventory.took,
            ..Check::new("inventory", status, description)
        }
    }

    fn version_check(&self) -> Check {
        let range = &self.inventory().config().compatible;
        let (status, description) = match self.inventory().reachability().version {
            None => (CheckStatus::Healthy, "Not known yet".to_owned()),
            Some((version, true)) => (CheckStatus::Healthy, format!("{version} satisfies {range}")),
            Some((version, false)) => (
                CheckStatus::Degraded,
                format!("{version} does not satisfy {range}, which this service was built for"),
            ),
        };
        Check::new("inventory-version", status, description)
    }

    fn store_check(&self) -> Check {
        let (status, description) = match self.cache.store_status() {
            StoreStatus::Off => (
                CheckStatus::Healthy,
                "Switched off by configuration; running from memory".to_owned(),
            ),
            StoreStatus::Opening => (CheckStatus::Healthy, "Being opened".to_owned()),
            StoreStatus::Restoring => (CheckStatus::Healthy, "Being read".to_owned()),
            StoreStatus::Up => (CheckStatus::Healthy, "In use".to_owned()),
            StoreStatus::Rebuilding if !self.config.warmup_on_start => {
                (CheckStatus::Healthy, "In use, started anew".to_owned())
            }
            StoreStatus::Rebuilding => (
                CheckStatus::Degraded,
                "Started anew; being rebuilt from the inventory".to_owned(),
            ),
            StoreStatus::Down(trouble) => (
                CheckStatus::Degraded,
                format!("Running from memory only: {}", trouble.in_brief()),
            ),
        };
        Check::new("cache-store", status, description)
    }

    fn warmup_check(&self) -> Check {
        let progress = self.progress.borrow();
        let (status, description) = if !self.cache.is_on() {
            (
                CheckStatus::Healthy,
                "The cache is switched off; everything comes from the inventory".to_owned(),
            )
        } else if self.index().has_overflown() {
            (
                CheckStatus::Degraded,
                "The products are too many for an index within the cap; lists come from the inventory"
                    .to_owned(),
            )
        } else if progress.trouble.is_some() && !self.index().is_complete() {
            (
                CheckStatus::Degraded,
                "The inventory's list can not be read; trying again".to_owned(),
            )
        } else if progress.running {
            let done = progress.confirmed;
            (
                CheckStatus::Healthy,
                match progress.total {
                    Some(total) => format!("{done} of {total} products listed"),
                    None => format!("{done} products listed"),
                },
            )
        } else if self.index().is_complete() {
            (
                CheckStatus::Healthy,
                format!("All {} products are known", self.index().len()),
            )
        } else {
            (CheckStatus::Healthy, "Not begun".to_owned())
        };
        Check::new("warm-up", status, description)
    }

    fn circuit_check(&self) -> Check {
        let circuit = self.circuit();
        let (status, description) = match (circuit.state, circuit.forced) {
            (CircuitState::Closed, false) => {
                (CheckStatus::Healthy, "Closed: calls are made".to_owned())
            }
            (CircuitState::Closed, true) => (
                CheckStatus::Healthy,
                "Held closed by an operator: calls are made, however they end".to_owned(),
            ),
            (CircuitState::Open, true) => (
                CheckStatus::Degraded,
                "Held open by an operator: no call is made".to_owned(),
            ),
            (CircuitState::Open, false) => {
                let left = circuit.remaining.unwrap_or_default().as_secs_f64().ceil();
                (
                    CheckStatus::Degraded,
                    format!("Open: calls failed, so none is made for {left} more seconds"),
                )
            }
            (CircuitState::HalfOpen, _) => (
                CheckStatus::Degraded,
                "Half-open: one call at a time tries whether they work again".to_owned(),
            ),
        };
        Check::new("circuit", status, description)
    }

    /// Probes the inventory whenever no call has told anything about it for a while.
    pub async fn keep_probing(self: Arc<Self>, stop: CancellationToken) {
        let probing = async {
            let every = self.config.probe_interval;
            // The first probe also brings the version.
            let mut probed = false;
            loop {
                let now = self.clock.now();
                let told_at = self.inventory().reachability().at;
                let quiet = told_at.map_or(every, |at| now.since(at));
                // A half-open circuit waits for calls that work.
                let is_trying = self.circuit().state == CircuitState::HalfOpen;
                if quiet < every && probed && !is_trying {
                    tokio::time::sleep(every - quiet).await;
                    continue;
                }
                // A call that will be refused tells nothing; a circuit that may close is worth one.
                let circuit = self.circuit();
                if circuit.state == CircuitState::Open {
                    let left = circuit.remaining.unwrap_or(every);
                    if !left.is_zero() {
                        tokio::time::sleep(left.min(every)).await;
                        continue;
                    }
                }
                // What came of it is in the reachability.
                let _ = self.inventory().probe(Conversation::new()).await;
                probed = true;
                // A probe that could not even be sent tells nothing, and must not be repeated at once.
                tokio::time::sleep(PROBE_PAUSE.min(every)).await;
            }
        };
        stop.run_until_cancelled(probing).await;
    }
}
