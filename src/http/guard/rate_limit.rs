//! How much one client may ask for: `RATE_LIMIT_PER_SECOND`, by the generic cell rate algorithm.
//!
//! A client has as many requests as the limit says at once, and gets them back evenly over a second.
//! What is remembered of one is a single moment: when all of its requests are back. A moment in the
//! past is as good as none, so idle clients are forgotten without a difference.

use crate::clock::{Clock, Moment};
use crate::http::auth::Authority;
use crate::http::fault::{ErrorCode, Fault};
use crate::http::health;
use axum::extract::Request;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use rustc_hash::FxHashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many requests a client has.
const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
/// How many it has left.
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// When it has all of them again, in seconds since the Unix epoch, rounded up.
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The most clients that are remembered, in as many parts as may be looked at at once.
const MOST_CLIENTS: usize = 65_536;
const PARTS: usize = 16;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Request extension: the address a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// The limit, and what every client has left of it.
pub struct RateLimit {
    rule: Rule,
    authority: Arc<Authority>,
    clock: Clock,
    hasher: RandomState,
    parts: [Mutex<Clients>; PARTS],
}

/// What a client has left, after the request at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    remaining: u64,
    /// Seconds since the Unix epoch.
    reset: u64,
    /// For a request that is one too many: after how many seconds it would not be.
    refused_for: Option<u64>,
}

/// So many requests a second.
#[derive(Clone, Copy, Debug)]
struct Rule {
    limit: NonZeroU32,
    /// Nanoseconds after which one request is back.
    interval: u64,
}

/// Clients by the hash of who they are, each with the moment all its requests are back, in
/// nanoseconds since the Unix epoch.
#[derive(Debug, Default)]
struct Clients {
    full_at: FxHashMap<u64, u64>,
    swept_at: u64,
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
            rule: Rule::new(limit),
            authority,
            clock,
            hasher: RandomState::new(),
            parts: Default::default(),
        }
    }

    /// Takes one request off what its client has left; health is never counted. A caller whose
    /// credential was found good is left in the request's extensions, so that it is not looked at again.
    pub fn charge(&self, request: &mut Request) -> Option<Quota> {
        if health::is_probe(request.uri().path()) {
            return None;
        }
        let client = if let Some(caller) = self.authority.recognise(request.headers()) {
            let client = self.hasher.hash_one(Client::Caller(&caller.name));
            request.extensions_mut().insert(caller);
            client
        } else {
            let peer = request.extensions().get::<Peer>();
            let client = peer.map_or(Client::Nobody, |Peer(address)| {
                Client::Network(network(*address))
            });
            self.hasher.hash_one(client)
        };
        Some(self.charge_client(client, self.clock.now()))
    }

    fn charge_client(&self, client: u64, now: Moment) -> Quota {
        let now = now.as_millis().saturating_mul(1_000_000);
        let mut clients = self.part(client);
        let full_at = clients.full_at.get(&client).copied().unwrap_or_default();
        let (full_at, quota) = self.rule.charge(full_at, now);
        clients.remember(client, full_at, now);
        quota
    }

    /// Every change leaves the table whole, so a panic while holding the lock is moot.
    fn part(&self, client: u64) -> MutexGuard<'_, Clients> {
        #[expect(
            clippy::indexing_slicing,
            reason = "a remainder is less than its divisor"
        )]
        let part = &self.parts[usize::try_from(client % PARTS as u64).unwrap_or_default()];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
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

// === impl Rule ===

impl Rule {
    fn new(limit: NonZeroU32) -> Self {
        Self {
            limit,
            interval: (NANOS_PER_SECOND / u64::from(limit.get())).max(1),
        }
    }

    /// Charges a client that has all its requests back at `full_at`: when that is afterwards, and
    /// what it has left. Times are nanoseconds since the Unix epoch.
    fn charge(self, full_at: u64, now: u64) -> (u64, Quota) {
        let window = self.interval * u64::from(self.limit.get());
        // A moment further away than a whole window is one of a clock that was set back.
        let before = full_at.clamp(now, now.saturating_add(window));
        let after = before.saturating_add(self.interval);
        let too_early = after.saturating_sub(now.saturating_add(window));
        let (full_at, refused_for) = if too_early == 0 {
            (after, None)
        } else {
            (before, Some(too_early.div_ceil(NANOS_PER_SECOND)))
        };
        let quota = Quota {
            limit: self.limit.get(),
            remaining: (now.saturating_add(window) - full_at) / self.interval,
            reset: full_at.div_ceil(NANOS_PER_SECOND),
            refused_for,
        };
        (full_at, quota)
    }
}

// === impl Clients ===

impl Clients {
    /// Remembers a client. Where there is no room, the idle are forgotten, at most once a second;
    /// else anybody, who then has all requests again.
    fn remember(&mut self, client: u64, full_at: u64, now: u64) {
        let is_full = self.full_at.len() >= MOST_CLIENTS / PARTS;
        if is_full && !self.full_at.contains_key(&client) {
            if now.saturating_sub(self.swept_at) >= NANOS_PER_SECOND {
                self.swept_at = now;
                self.full_at.retain(|_, full_at| *full_at > now);
            }
            if self.full_at.len() >= MOST_CLIENTS / PARTS
                && let Some(anybody) = self.full_at.keys().next().copied()
            {
                self.full_at.remove(&anybody);
            }
        }
        self.full_at.insert(client, full_at);
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
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000 * NANOS_PER_SECOND;

    fn rule(limit: u32) -> Rule {
        Rule::new(NonZeroU32::new(limit).unwrap())
    }

    #[test]
    fn a_second_has_as_many_requests_as_the_limit_says_and_then_they_come_back_evenly() {
        let rule = rule(4);
        let mut full_at = 0;
        let mut charge = |now| {
            let (after, quota) = rule.charge(full_at, now);
            full_at = after;
            quota
        };
        for remaining in [3, 2, 1, 0] {
            let quota = charge(NOW);
            assert_eq!((quota.remaining, quota.refused_for), (remaining, None));
        }
        let refused = charge(NOW);
        assert_eq!((refused.remaining, refused.refused_for), (0, Some(1)));
        assert_eq!(
            (refused.limit, refused.reset),
            (4, NOW / NANOS_PER_SECOND + 1)
        );
        assert_eq!(charge(NOW + NANOS_PER_SECOND / 4).refused_for, None);
        assert_eq!(charge(NOW + NANOS_PER_SECOND / 4).refused_for, Some(1));
        assert_eq!(charge(NOW + 10 * NANOS_PER_SECOND).remaining, 3);
    }

    #[test]
    fn networks_are_counted_as_one_client() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::9"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:3::"), of("2001:db8:1:2::"));
    }

    #[test]
    fn a_flood_of_clients_takes_no_more_than_its_room() {
        let mut clients = Clients::default();
        for client in 0..3 * MOST_CLIENTS as u64 {
            clients.remember(client, NOW + NANOS_PER_SECOND, NOW);
            assert!(clients.full_at.len() <= MOST_CLIENTS / PARTS);
        }
        let later = NOW + 2 * NANOS_PER_SECOND;
        clients.remember(u64::MAX, later + 1, later);
        assert_eq!(clients.full_at.len(), 1, "the idle are forgotten");
    }

    proptest! {
        #[test]
        fn no_second_admits_more_than_twice_the_limit_and_none_is_refused_that_waits_as_told(
            limit in 1_u32..2000,
            steps in prop::collection::vec(0_u64..40, 1..400),
        ) {
            let rule = rule(limit);
            let (mut now, mut full_at) = (NOW, 0);
            let mut admitted = Vec::new();
            for step in steps {
                now += step * 1_000_000;
                let (after, quota) = rule.charge(full_at, now);
                full_at = after;
                prop_assert!(quota.remaining < u64::from(limit) || quota.refused_for.is_some());
                match quota.refused_for {
                    None => admitted.push(now),
                    Some(seconds) => {
                        let waited = now + seconds * NANOS_PER_SECOND;
                        prop_assert_eq!(rule.charge(full_at, waited).1.refused_for, None);
                    }
                }
                let second = admitted.iter().filter(|&&at| at + NANOS_PER_SECOND > now).count();
                prop_assert!(second <= 2 * limit as usize);
            }
        }
    }
}
