//! What stands around every answer, whoever made it: security headers, CORS, and the rate limit.

mod cors;
mod quotas;
mod rate_limit;

pub use quotas::Quotas;
pub use rate_limit::Peer;

use super::Config;
use super::auth::Authority;
use super::fault::Fault;
use crate::clock::Clock;
use cors::{Cors, CrossOrigin};
use http::Request;
use http::header::{
    CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use quotas::Quota;
use rate_limit::RateLimit;
use std::sync::Arc;

/// A body is what its media type says, never what a browser makes of its first bytes.
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// No page shows an answer in a frame.
const DENY: HeaderValue = HeaderValue::from_static("DENY");
/// An answer that a browser takes for a page loads nothing. A page of ours says what it loads itself.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Who has come by TLS once comes by TLS for a year.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// What every request of a listener meets. The default adds the security headers and no more.
#[derive(Debug, Default)]
pub struct Guard {
    speaks_tls: bool,
    cors: Option<Cors>,
    rate_limit: Option<RateLimit>,
}

/// What is to be said of the guard's matters when a request is answered.
#[derive(Debug, Default)]
pub struct Met {
    cross_origin: Option<CrossOrigin>,
    quota: Option<Quota>,
}

// === impl Guard ===

impl Guard {
    /// The guard of the public listener.
    pub fn new(config: &Config, authority: &Arc<Authority>, clock: Clock) -> Self {
        Self {
            speaks_tls: config.speaks_tls,
            cors: Cors::new(config.cors_origins.clone()),
            rate_limit: config
                .rate_limit
                .map(|most| RateLimit::new(most, Arc::clone(authority), clock)),
        }
    }

    /// Looks at a request before anybody else does.
    ///
    /// # Errors
    /// The fault to answer with, where its client asks for too much.
    pub fn meet<B>(&self, request: &mut Request<B>) -> (Met, Result<(), Fault>) {
        let cross_origin = self.cors.as_ref().map(|cors| cors.meet(request));
        let quota = self
            .rate_limit
            .as_ref()
            .and_then(|limit| limit.charge(request));
        let admitted = quota.as_ref().map_or(Ok(()), Quota::admit);
        let met = Met {
            cross_origin,
            quota,
        };
        (met, admitted)
    }

    /// Adds what every answer has, faults and 304 included: none of it describes the body.
    pub fn dress(&self, met: &mut Met, headers: &mut HeaderMap) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(X_FRAME_OPTIONS, DENY);
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
        if self.speaks_tls {
            headers.insert(STRICT_TRANSPORT_SECURITY, TLS_ONLY);
        }
        if let Some(cross_origin) = met.cross_origin.take() {
            cross_origin.dress(headers);
        }
        if let Some(quota) = &met.quota {
            quota.dress(headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dressed(guard: &Guard, mut headers: HeaderMap) -> HeaderMap {
        guard.dress(&mut Met::default(), &mut headers);
        headers
    }

    #[test]
    fn a_handlers_own_content_security_policy_stands() {
        let guard = Guard::default();
        let plain = dressed(&guard, HeaderMap::new());
        assert_eq!(plain[CONTENT_SECURITY_POLICY], NOTHING);
        let own = HeaderValue::from_static("default-src 'self'");
        let page = HeaderMap::from_iter([(CONTENT_SECURITY_POLICY, own.clone())]);
        let page = dressed(&guard, page);
        assert_eq!(page[CONTENT_SECURITY_POLICY], own);
        assert_eq!(page[X_FRAME_OPTIONS], "DENY");
        assert_eq!(page[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }

    #[test]
    fn only_a_listener_that_speaks_tls_asks_for_it() {
        for speaks_tls in [false, true] {
            let guard = Guard {
                speaks_tls,
                ..Guard::default()
            };
            let headers = dressed(&guard, HeaderMap::new());
            assert_eq!(headers.contains_key(STRICT_TRANSPORT_SECURITY), speaks_tls);
        }
    }
}
