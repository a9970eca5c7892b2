//! The inventory API, the source of truth: typed calls, and what can go wrong with them.

mod address;
mod answer;
mod asked;
mod breaker;
mod bulkhead;
mod call;
mod deadline;
mod error;
mod latency;
mod observe;
mod origin;
mod outlet;
mod page;
mod rate;
mod refresh;
mod retry;
mod stack;
pub mod transport;
mod validators;
pub mod wire;
mod writes;

pub use breaker::{CircuitState, CircuitStatus, Forced};
pub use bulkhead::Crowded;
pub use call::{AttemptOutcome, Operation};
pub use error::UpstreamError;
pub use latency::Latency;
pub use origin::{Origin, OriginProblem, RefreshFrom};
pub use page::{DecodedPage, RawPage};
pub use validators::{Expected, Validators};

use crate::clock::{Clock, Moment};
use crate::product::{Product, ProductId, PublishedMembers};
use crate::secrets::{Late, Secret};
use crate::telemetry::Conversation;
use crate::telemetry::events::Events;
use address::Addresses;
use answer::Answer;
use asked::Asked;
use bulkhead::Bulkhead;
use bytes::Bytes;
use http::StatusCode;
use observe::Rejection;
use outlet::{Outlet, told};
use rate::RateLimit;
use stack::Limits;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use transport::Transport;

/// The longest answer with one product, in bytes.
pub const MAX_PRODUCT_BYTES: usize = 4 * 1024 * 1024;
/// The longest answer with one page of the list, in bytes.
pub const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;
/// The longest other answer, in bytes.
pub const MAX_SMALL_BYTES: usize = 64 * 1024;

/// How to reach the inventory, and how patiently.
#[derive(Clone, Debug)]
pub struct Config {
    /// `UPSTREAM_API`: base URL, without a trailing slash.
    pub base: http::Uri,
    /// `API_KEY`: sent as `x-api-key`; until it is here, calls fail as [`UpstreamError::NotReady`].
    pub api_key: Late<Secret>,
    /// `UPSTREAM_TIMEOUT_MS`: one attempt.
    pub attempt_timeout: Duration,
    /// `UPSTREAM_DEADLINE_MS`: one call, retries and queueing included.
    pub deadline: Duration,
    /// `UPSTREAM_MAX_ATTEMPTS`: 1 never retries.
    pub max_attempts: u32,
    /// `UPSTREAM_MAX_CONCURRENT`: attempts in flight.
    pub max_concurrent: usize,
    /// `UPSTREAM_RATE_LIMIT_PER_SECOND`: attempts that begin in a second; `None` does not limit them.
    pub rate_limit: Option<NonZeroU32>,
    /// `CIRCUIT_FAILURE_THRESHOLD`: failures in a row that open the circuit.
    pub circuit_failures: u32,
    /// `CIRCUIT_RECOVERY_SECONDS`: how long it stays open before a call may try.
    pub circuit_recovery: Duration,
    /// `CONTRACTS_REFRESH_ORIGINS`: where else contracts may refresh from.
    pub refresh_origins: Vec<Origin>,
    /// `UPSTREAM_PAGE_SIZE`: products asked for in one page of a listing pass.
    pub page_size: u32,
    /// `PUBLISHED_MEMBERS`.
    pub published: PublishedMembers,
    /// The contract's dependency range for the inventory's version.
    pub compatible: semver::VersionReq,
}

/// A product as the inventory confirmed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Confirmed {
    /// The product.
    pub product: Product,
    /// The validators it came with.
    pub validators: Validators,
    /// When the request was sent: the value is at least that new.
    pub sent_at: Moment,
}

/// The answer to a GET of one product.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// 200.
    Product(Box<Confirmed>),
    /// 304: what the caller knows is still current.
    NotModified {
        /// When the request was sent.
        sent_at: Moment,
    },
    /// 404 or 410: there is no such product.
    Gone {
        /// Which of the two.
        status: http::StatusCode,
    },
}

/// What is known about the inventory without asking it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachability {
    /// Whether it answers; `None` before any call. A single call that fails, and answers that can
    /// not be used, leave it as it was; two calls that fail in a row or a failed probe do not.
    pub up: Option<bool>,
    /// When that was last told.
    pub at: Option<Moment>,
    /// How long it took.
    pub took: Option<Duration>,
    /// Whether our credential was refused by the last call that got an answer.
    pub denied: bool,
    /// The version it last reported, and whether the contract's range admits it.
    pub version: Option<(String, bool)>,
}

/// The inventory API. Cheap to clone.
#[derive(Clone)]
pub struct Inventory {
    config: Arc<Config>,
    addresses: Arc<Addresses>,
    limits: Limits,
    outlet: Outlet,
    /// The ways to the further origins, each with a circuit of its own: what happens there says nothing
    /// about the inventory.
    elsewhere: Arc<[(Origin, Outlet)]>,
}

// === impl Inventory ===

impl Inventory {
    /// Puts the outbound stack on `transport`; what happens there is told to `events`.
    pub fn new(config: Config, transport: Transport, clock: Clock, events: Events) -> Self {
        let limits = Limits {
            rate: RateLimit::new(config.rate_limit, clock, events.clone()),
            bulkhead: Bulkhead::new(config.max_concurrent, clock, events.clone()),
        };
        let outlet = |transport, is_main| {
            let events = events.clone();
            Outlet::new(&config, clock, events, &limits, transport, is_main)
        };
        let own = Origin::of(&config.base);
        let others = config.refresh_origins.iter();
        let others = others.filter(|origin| own.as_ref() != Some(origin));
        Self {
            elsewhere: others
                .map(|origin| (origin.clone(), outlet(transport.clone(), false)))
                .collect(),
            outlet: outlet(transport, true),
            addresses: Arc::new(Addresses::below(&config.base)),
            config: Arc::new(config),
            limits,
        }
    }

    /// Gets one product; conditionally where `known` has validators.
    ///
    /// # Errors
    /// Any but [`UpstreamError::Refused`] and [`UpstreamError::Gone`].
    pub async fn get(
        &self,
        id: &ProductId,
        known: Option<&Validators>,
        cause: Conversation,
    ) -> Result<Fetched, UpstreamError> {
        let asked = Asked::new(Operation::Get, self.addresses.product(id)).unless_changed(known);
        let is_conditional = asked.is_conditional();
        self.fetched(self.call(asked, cause).await, id, is_conditional)
    }

    /// Gets one page of the list: `limit` products at most, behind the inventory's cursor `after`.
    /// A page longer than [`MAX_PAGE_BYTES`] is asked for again with half as many products, down to
    /// one.
    ///
    /// # Errors
    /// Any but [`UpstreamError::Refused`]; [`UpstreamError::Gone`] where there is no list,
    /// [`UpstreamError::BadCursor`] where the inventory does not know `after`.
    pub async fn list(
        &self,
        limit: u32,
        after: Option<&str>,
        cause: Conversation,
    ) -> Result<RawPage, UpstreamError> {
        self.page(limit, after, None, cause).await
    }

    /// Gets one page of the products that changed at `since` or later; else like [`Inventory::list`].
    ///
    /// # Errors
    /// As [`Inventory::list`]; also [`UpstreamError::Refused`] for the first page, where the inventory does
    /// not list by date.
    pub async fn list_changed(
        &self,
        since: jiff::Timestamp,
        limit: u32,
        after: Option<&str>,
        cause: Conversation,
    ) -> Result<RawPage, UpstreamError> {
        self.page(limit, after, Some(since), cause).await
    }

    /// How many products there are; `None` where the inventory does not offer it.
    ///
    /// # Errors
    /// Where it did not answer, or refused our credential.
    pub async fn count(&self, cause: Conversation) -> Result<Option<u64>, UpstreamError> {
        let asked = Asked::new(Operation::List, self.addresses.count());
        let answer = match self.send(asked, cause).await {
            // An inventory without `?count` may refuse it, or not see it and answer a list.
            Err(
                UpstreamError::Gone { .. }
                | UpstreamError::Refused { .. }
                | UpstreamError::Invalid { .. },
            ) => return Ok(None),
            other => other?,
        };
        answer.read(|json| Ok(json.get().parse().ok()))
    }

    /// The live stock of one product: a JSON object, verbatim.
    ///
    /// # Errors
    /// Any but [`UpstreamError::Refused`]; [`UpstreamError::Gone`] if there is no such product.
    pub async fn availability(
        &self,
        id: &ProductId,
        cause: Conversation,
    ) -> Result<Bytes, UpstreamError> {
        let asked = Asked::new(Operation::Availability, self.addresses.availability(id));
        let answer = self.call(asked, cause).await?;
        answer.read(|json| match json.get().starts_with('{') {
            true => Ok(()),
            false => Err("it is no object".to_owned()),
        })?;
        Ok(answer.body().clone())
    }

    /// Asks for its health and remembers the version it reports.
    ///
    /// # Errors
    /// Where it does not work. One that has no health to ask for but answers is taken to work.
    pub async fn probe(&self, cause: Conversation) -> Result<(), UpstreamError> {
        let asked = Asked::new(Operation::Health, self.addresses.health());
        let answer = match self.call(asked, cause).await {
            Err(UpstreamError::Gone { .. }) => return Ok(()),
            other => other?,
        };
        let health = answer.read(|json| Ok(wire::health(json)?))?;
        let range = &self.config.compatible;
        self.outlet
            .observer
            .version(health.version.map(|version| judged(&version, range)));
        Ok(())
    }

    /// What is known without asking.
    pub fn reachability(&self) -> Reachability {
        self.outlet.observer.reachability()
    }

    /// What the circuit does, and since when.
    pub fn circuit(&self) -> CircuitStatus {
        self.outlet.breaker.status()
    }

    /// Holds the circuit open or closed whatever happens, or no longer.
    pub fn force_circuit(&self, forced: Option<Forced>) {
        self.outlet.breaker.force(forced);
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    async fn page(
        &self,
        limit: u32,
        after: Option<&str>,
        since: Option<jiff::Timestamp>,
        cause: Conversation,
    ) -> Result<RawPage, UpstreamError> {
        let mut limit = limit;
        let answer = loop {
            let url = self.addresses.page(limit, after, since);
            let sent = self.send(Asked::new(Operation::List, url), cause).await;
            let sent = sent.map_err(|error| match since {
                // Who asks for changes looks at whether they are told at all.
                Some(_) if after.is_none() => error,
                _ => error.of_page(after.is_some()),
            });
            match told(Operation::List, sent) {
                Err(UpstreamError::Invalid { too_long: true, .. }) if limit > 1 => limit /= 2,
                other => break other?,
            }
        };
        let page = answer.read_whole(|body| page::behind(body, after))?;
        let items = page.items.iter();
        let items = items.map(|item| answer.body().slice_ref(item.get().as_bytes()));
        Ok(RawPage {
            items: items.collect(),
            after: page.after,
            sent_at: answer.sent_at,
        })
    }

    /// Sends a request, and tells what came of it.
    async fn call(&self, asked: Asked, cause: Conversation) -> Result<Answer, UpstreamError> {
        let key = self.key(asked.operation)?;
        self.outlet.call(asked, Some(key), cause).await
    }

    async fn send(&self, asked: Asked, cause: Conversation) -> Result<Answer, UpstreamError> {
        let key = self.key(asked.operation)?;
        self.outlet.send(asked, Some(key), cause).await
    }

    /// Our credential, if it is here.
    fn key(&self, operation: Operation) -> Result<&Secret, UpstreamError> {
        self.config.api_key.get().ok_or_else(|| {
            let observer = &self.outlet.observer;
            observer.rejected(operation, Rejection::NotReady);
            UpstreamError::NotReady
        })
    }

    /// What the answer to a GET of one product says.
    fn fetched(
        &self,
        answer: Result<Answer, UpstreamError>,
        id: &ProductId,
        is_conditional: bool,
    ) -> Result<Fetched, UpstreamError> {
        let answer = match answer {
            Err(UpstreamError::Gone { status }) => return Ok(Fetched::Gone { status }),
            other => other?,
        };
        match answer.status() {
            StatusCode::NOT_MODIFIED if is_conditional => Ok(Fetched::NotModified {
                sent_at: answer.sent_at,
            }),
            _ => {
                let confirmed = self.confirm(&answer, Some(id))?;
                Ok(Fetched::Product(Box::new(confirmed)))
            }
        }
    }

    /// Reads the product of an answer, which must be the one asked for.
    fn confirm(&self, answer: &Answer, id: Option<&ProductId>) -> Result<Confirmed, UpstreamError> {
        let product = answer.read(|json| {
            let product = wire::product(json.get(), &self.config.published);
            let product = product.map_err(|error| format!("its product breaks a rule: {error}"))?;
            match id {
                Some(id) if *id != product.id => Err("it is another product".to_owned()),
                _ => Ok(product),
            }
        })?;
        Ok(Confirmed {
            product,
            validators: answer.validators(),
            sent_at: answer.sent_at,
        })
    }
}

/// A reported version, fit for a log, and whether `range` admits it.
fn judged(version: &str, range: &semver::VersionReq) -> (String, bool) {
    let admitted = semver::Version::parse(version).is_ok_and(|version| range.matches(&version));
    let plain = |c: &char| c.is_ascii_alphanumeric() || ".-+_".contains(*c);
    (version.chars().filter(plain).take(64).collect(), admitted)
}

#[cfg(test)]
mod tests;
