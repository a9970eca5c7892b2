//! Freshness contracts: what is promised about the age of some keys, and what happens where the promise
//! can not be kept (seed 004).

use std::sync::Arc;
use std::time::Duration;

/// A promise about the keys that a pattern names. `F` is what a stand-in is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract<F> {
    /// What it is called; unique.
    pub name: Arc<str>,
    /// Which keys it is about.
    pub pattern: Pattern,
    /// How old a value may be and still be fresh.
    pub fresh_within: Duration,
    /// How long past that the policy decides; after it there is an error, whatever the policy.
    pub grace_period: Duration,
    /// What is answered when the window has passed and refreshing failed.
    pub on_degrade: Degrade,
    /// Where refreshes ask instead of where loads do, in the source's own words.
    pub refresh_from: Option<Arc<str>>,
    /// What [`Degrade::ServeFallback`] answers with.
    pub fallback: Option<Arc<F>>,
    /// A key that nobody has read for so long is not refreshed ahead; zero: it always is.
    pub idle_after: Duration,
}

/// Which keys a contract is about, by their bytes. The longest match wins, an exact one over all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This key.
    Exact(Box<[u8]>),
    /// Keys that begin so.
    Prefix(Box<[u8]>),
}

/// What is answered when a value's window has passed and refreshing failed, inside the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degrade {
    /// The last value, marked as stale: availability over consistency.
    ServeStale,
    /// An error: consistency over availability.
    ReturnError,
    /// The contract's stand-in, marked as one.
    ServeFallback,
}

/// How a contract was kept since it was made. Equal to what looking at every key at every tick counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContractStats {
    /// Keys under it that are held now.
    pub keys: u64,
    /// Those of them that are fresh now.
    pub fresh: u64,
    /// Looks at a key, one a key and tick.
    pub checks_total: u64,
    /// Those that found it fresh.
    pub checks_fresh: u64,
    /// Refreshes begun.
    pub refreshes_triggered: u64,
    /// Those that failed.
    pub refreshes_failed: u64,
    /// Times that a key passed its window and its grace period, once an episode.
    pub grace_exhausted: u64,
}

// === impl Pattern ===

impl Pattern {
    /// Whether `key` is one of those it names.
    pub fn matches(&self, key: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => **exact == *key,
            Self::Prefix(prefix) => key.starts_with(prefix),
        }
    }
}

// === impl Degrade ===

impl Degrade {
    /// The word in contracts, logs and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServeStale => "ServeStale",
            Self::ReturnError => "ReturnError",
            Self::ServeFallback => "ServeFallback",
        }
    }
}

// === impl ContractStats ===

impl ContractStats {
    /// The share of the checks that found a fresh value, in percent; 100 before the first.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a ratio needs no more than 53 bits"
    )]
    pub fn compliance_pct(&self) -> f64 {
        match self.checks_total {
            0 => 100.0,
            total => self.checks_fresh as f64 / total as f64 * 100.0,
        }
    }
}
