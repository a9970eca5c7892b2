//! What can happen, and how much of it is told.

use tracing::Level;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A read was answered fresh from the cache.
    CacheHit,
    /// A read waited for a load.
    CacheMiss,
    /// A read was answered with a value past its window.
    StaleServed,
    /// A read was answered with a contract's stand-in.
    FallbackServed,
    /// A refresh brought a value, or confirmed the one that is held.
    RefreshOk,
    /// A refresh failed.
    RefreshFailed,
    /// A value under a contract passed its window.
    ContractViolated,
    /// It is fresh again.
    ContractRecovered,
    /// It passed its window and its grace period.
    GraceExhausted,
    /// Calls to the upstream are refused from now on.
    CircuitOpen,
    /// One call is let through to see how the upstream does.
    CircuitHalfOpen,
    /// Calls go through again.
    CircuitClosed,
    /// A call to the upstream is tried again.
    Retry,
    /// It was not tried again although that might have helped.
    RetryExhausted,
    /// An attempt took longer than it may.
    Timeout,
    /// An attempt came to an end, and took long.
    SlowCall,
    /// A call found all slots taken for too long.
    BulkheadRejected,
    /// A call would have been one too many in its second.
    RateLimited,
    /// An entry left memory.
    Eviction,
    /// An operator had entries invalidated.
    Invalidation,
    /// The upstream's list is read: a pass began or ended, or brought what changed.
    WarmUp,
    /// The persistent tier can not be used.
    StoreTrouble,
    /// A fresh hit differed from what the upstream has.
    ShadowDifference,
}

/// Events a second that are let in of a kind that comes with reads or calls.
const SAMPLED: u32 = 100;

/// Events a second that are let in of a kind that tells how contracts are kept: one that covers many keys
/// is broken for all of them at once.
const AUDITED: u32 = 1000;

// === impl EventKind ===

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::CacheHit,
        Self::CacheMiss,
        Self::StaleServed,
        Self::FallbackServed,
        Self::RefreshOk,
        Self::RefreshFailed,
        Self::ContractViolated,
        Self::ContractRecovered,
        Self::GraceExhausted,
        Self::CircuitOpen,
        Self::CircuitHalfOpen,
        Self::CircuitClosed,
        Self::Retry,
        Self::RetryExhausted,
        Self::Timeout,
        Self::SlowCall,
        Self::BulkheadRejected,
        Self::RateLimited,
        Self::Eviction,
        Self::Invalidation,
        Self::WarmUp,
        Self::StoreTrouble,
        Self::ShadowDifference,
    ];

    /// The words of all of them, in their order.
    pub const WORDS: [&'static str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            #[expect(clippy::indexing_slicing, reason = "both have this length")]
            {
                words[at] = Self::ALL[at].as_str();
            }
            at += 1;
        }
        words
    };

    /// The word in streams, metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CacheHit => "cache_hit",
            Self::CacheMiss => "cache_miss",
            Self::StaleServed => "stale_served",
            Self::FallbackServed => "fallback_served",
            Self::RefreshOk => "refresh_ok",
            Self::RefreshFailed => "refresh_failed",
            Self::ContractViolated => "contract_violated",
            Self::ContractRecovered => "contract_recovered",
            Self::GraceExhausted => "grace_exhausted",
            Self::CircuitOpen => "circuit_open",
            Self::CircuitHalfOpen => "circuit_half_open",
            Self::CircuitClosed => "circuit_closed",
            Self::Retry => "retry",
            Self::RetryExhausted => "retry_exhausted",
            Self::Timeout => "timeout",
            Self::SlowCall => "slow_call",
            Self::BulkheadRejected => "bulkhead_rejected",
            Self::RateLimited => "rate_limited",
            Self::Eviction => "eviction",
            Self::Invalidation => "invalidation",
            Self::WarmUp => "warm_up",
            Self::StoreTrouble => "store_trouble",
            Self::ShadowDifference => "shadow_difference",
        }
    }

    /// The kind that goes by this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// How loud its log line is.
    pub const fn level(self) -> Level {
        match self {
            Self::ContractViolated
            | Self::GraceExhausted
            | Self::CircuitOpen
            | Self::StoreTrouble => Level::WARN,
            Self::ContractRecovered
            | Self::CircuitHalfOpen
            | Self::CircuitClosed
            | Self::Invalidation
            | Self::WarmUp => Level::INFO,
            Self::CacheHit
            | Self::CacheMiss
            | Self::StaleServed
            | Self::FallbackServed
            | Self::RefreshOk
            | Self::RefreshFailed
            | Self::Retry
            | Self::RetryExhausted
            | Self::Timeout
            | Self::SlowCall
            | Self::BulkheadRejected
            | Self::RateLimited
            | Self::Eviction
            | Self::ShadowDifference => Level::DEBUG,
        }
    }

    /// What its log line says.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::CacheHit => "Answered from the cache",
            Self::CacheMiss => "Answered through a load",
            Self::StaleServed => "Answered with a value past its window",
            Self::FallbackServed => "Answered with the contract's stand-in",
            Self::RefreshOk => "Refreshed",
            Self::RefreshFailed => "A refresh failed",
            Self::ContractViolated => "A value is older than its contract promises",
            Self::ContractRecovered => "A value is as fresh again as its contract promises",
            Self::GraceExhausted => "A value is past its contract's grace period",
            Self::CircuitOpen => "The circuit is open: the inventory is not called",
            Self::CircuitHalfOpen => "The circuit is half open: one call is let through",
            Self::CircuitClosed => "The circuit is closed: the inventory is called again",
            Self::Retry => "A call is tried again",
            Self::RetryExhausted => "A call that failed is not tried again",
            Self::Timeout => "An attempt took longer than it may",
            Self::SlowCall => "An attempt took long",
            Self::BulkheadRejected => "A call found no slot",
            Self::RateLimited => "A call was one too many",
            Self::Eviction => "An entry left memory",
            Self::Invalidation => "Entries were invalidated",
            Self::WarmUp => "The inventory's list is read",
            Self::StoreTrouble => "The persistent tier can not be used",
            Self::ShadowDifference => "A fresh value differed from the inventory's",
        }
    }

    /// How many a second are let in; `None`: all.
    pub(super) const fn most_a_second(self) -> Option<u32> {
        match self {
            Self::CacheHit
            | Self::CacheMiss
            | Self::StaleServed
            | Self::FallbackServed
            | Self::RefreshOk
            | Self::Retry
            | Self::RetryExhausted
            | Self::Timeout
            | Self::SlowCall
            | Self::BulkheadRejected
            | Self::RateLimited
            | Self::Eviction
            | Self::ShadowDifference => Some(SAMPLED),
            Self::RefreshFailed
            | Self::ContractViolated
            | Self::ContractRecovered
            | Self::GraceExhausted => Some(AUDITED),
            Self::CircuitOpen
            | Self::CircuitHalfOpen
            | Self::CircuitClosed
            | Self::Invalidation
            | Self::WarmUp
            | Self::StoreTrouble => None,
        }
    }
}
