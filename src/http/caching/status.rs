//! `Cache-Status`: why an answer came from here or from the inventory
//! ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)).

use super::{value, value_within};
use crate::catalog::{Outcome, Served};
use http::{HeaderName, HeaderValue};
use std::fmt;
use std::time::Duration;

/// The header.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The longest `ttl` said; an sf-integer has 15 digits at most.
const LONGEST_TTL: u64 = 999_999_999_999_999;

/// What became of what a request demanded of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heed {
    /// It demanded nothing that mattered.
    #[default]
    Nothing,
    /// The inventory was to be asked, whatever was held.
    Forced,
    /// It was ignored, because its caller has no budget left.
    OverBudget,
}

/// What there is to say of a product that was read.
struct Told<'a> {
    served: &'a Served,
    heed: Heed,
}

/// `Cache-Status` for a product that was come by so.
pub fn product_status(served: &Served, heed: Heed) -> HeaderValue {
    let plain = heed == Heed::Nothing && served.contract.is_none();
    if plain && served.outcome == Outcome::Hit {
        return cache_status(served.outcome, served.remaining);
    }
    value_within::<256>(format_args!("{}", Told { served, heed }))
}

/// `Cache-Status` for anything else that was come by so.
pub fn cache_status(outcome: Outcome, remaining: Duration) -> HeaderValue {
    let fixed = match outcome {
        Outcome::Hit if remaining.as_secs() <= LONGEST_TTL => {
            return value(format_args!(
                "product-catalog; hit; ttl={}",
                remaining.as_secs()
            ));
        }
        Outcome::Hit => "product-catalog; hit",
        Outcome::Stale => "product-catalog; hit; detail=stale",
        Outcome::Miss => "product-catalog; fwd=uri-miss",
        Outcome::Negative => "product-catalog; hit; detail=negative",
        Outcome::Fallback => "product-catalog; hit; detail=fallback",
        Outcome::Error => "product-catalog; fwd=uri-miss; detail=error",
        Outcome::Bypass => "product-catalog; fwd=bypass",
    };
    HeaderValue::from_static(fixed)
}

// === impl Told ===

impl Told<'_> {
    /// Why the inventory was asked; `None` where it was not.
    fn forwarded(&self) -> Option<&'static str> {
        match self.served.outcome {
            Outcome::Hit | Outcome::Stale | Outcome::Negative | Outcome::Fallback => None,
            Outcome::Bypass => Some("bypass"),
            Outcome::Miss | Outcome::Error if self.heed == Heed::Forced => Some("request"),
            Outcome::Miss | Outcome::Error if self.served.was_past_window => Some("stale"),
            Outcome::Miss | Outcome::Error => Some("uri-miss"),
        }
    }

    fn detail(&self) -> Option<&'static str> {
        match self.served.outcome {
            _ if self.heed == Heed::OverBudget => Some("budget"),
            Outcome::Stale => Some("stale"),
            Outcome::Negative => Some("negative"),
            Outcome::Fallback => Some("fallback"),
            Outcome::Error => Some("error"),
            Outcome::Hit | Outcome::Miss | Outcome::Bypass => None,
        }
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = self.served;
        let is_kept = served.is_kept || served.outcome == Outcome::Hit;
        f.write_str("product-catalog")?;
        match self.forwarded() {
            None => f.write_str("; hit")?,
            Some(reason) => write!(f, "; fwd={reason}")?,
        }
        if self.forwarded().is_some() && served.is_kept {
            f.write_str("; stored")?;
        }
        if served.collapsed {
            f.write_str("; collapsed")?;
        }
        let ttl = served.remaining.as_secs();
        if is_kept && ttl <= LONGEST_TTL {
            write!(f, "; ttl={ttl}")?;
        }
        if let Some(name) = &served.contract {
            match name.starts_with(|first: char| first.is_ascii_alphabetic()) {
                true => write!(f, "; contract={name}")?,
                // No token, so a string; names have nothing in them that would have to be escaped.
                false => write!(f, "; contract=\"{name}\"")?,
            }
        }
        match self.detail() {
            Some(detail) => write!(f, "; detail={detail}"),
            None => Ok(()),
        }
    }
}
