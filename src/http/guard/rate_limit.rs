//! How much one client may ask for: `RATE_LIMIT_PER_SECOND`.

use super::quotas::{Quota, Quotas};
use crate::clock::Clock;
use crate::http::auth::Authority;
use crate::http::fault::{ErrorCode, Fault};
use crate::http::health;
use http::Request;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

/// How many requests a client has.
const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
/// How many it has left.
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// When it has all of them again, in seconds since the Unix epoch, rounded up.
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Request extension: the address a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The limit, and what every client has left of it.
#[derive(Debug)]
pub struct RateLimit {
    quotas: Quotas,
    authority: Arc<Authority>,
    clock: Clock,
}

/// Who is counted: whoever a valid credential names, else an address.
#[derive(Hash)]
enum Client<'a> {
    Caller(&'a str),
    Network(IpAddr),
    /// A request that came by no connection.
    Nobody,
}

// === impl RateLimit ===

impl RateLimit {
    /// Lets every client have `limit` requests a second.
    pub fn new(limit: NonZeroU32, authority: Arc<Authority>, clock: Clock) -> Self {
        Self {
            quotas: Quotas::new(limit),
            authority,
            clock,
        }
    }

    /// Takes one request off what its client has left; health is never counted. A caller whose
    /// credential was found good is left in the request's extensions, so that it is not looked at again.
    pub fn charge<B>(&self, request: &mut Request<B>) -> Option<Quota> {
        if health::is_probe(request.uri().path()) {
            return None;
        }
        let now = self.clock.now();
        if let Some(caller) = self.authority.recognise(request.headers()) {
            let quota = self.quotas.charge(Client::Caller(&caller.name), now);
            request.extensions_mut().insert(caller);
            return Some(quota);
        }
        let peer = request.extensions().get::<Peer>();
        let client = peer.map_or(Client::Nobody, |Peer(address)| {
            Client::Network(network(*address))
        });
        Some(self.quotas.charge(client, now))
    }
}

// === impl Quota ===

impl Quota {
    /// # Errors
    /// 429 for a request that is one too many.
    pub fn admit(&self) -> Result<(), Fault> {
        self.refused_for.map_or(Ok(()), |seconds| {
            let fault = Fault::new(ErrorCode::TooManyRequests);
            Err(fault.with(RETRY_AFTER, HeaderValue::from(seconds)))
        })
    }

    /// Tells the client.
    pub fn dress(&self, headers: &mut HeaderMap) {
        headers.insert(RATELIMIT_LIMIT, HeaderValue::from(self.limit));
        headers.insert(RATELIMIT_REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RATELIMIT_RESET, HeaderValue::from(self.reset));
    }
}

/// The address that a client is counted under: of IPv6 the first 64 bits, because whoever has one of
/// those addresses has all of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let prefix = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_counted_as_one_client() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::9"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:3::"), of("2001:db8:1:2::"));
    }
}
