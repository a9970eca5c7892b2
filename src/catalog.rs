//! The catalogue: what this service does, in terms of products. Everything `http` and `ops` may see.

mod availability;
mod batch;
pub mod contracts;
mod health;
mod idempotency;
mod index;
mod invalidate;
mod pages;
mod precondition;
mod read;
mod renditions;
mod source;
mod standing;
mod stored;
mod turn;
mod warmup;
mod write;

pub use crate::cache::{Demand, Entry, EvictionCause, Inspection, Outcome, Stats};
pub use crate::product::{
    Asked, Coding, Criteria, Cursor, Draft, Effort, GroupPosition, GroupQuery, LEAST_ENCODED,
    LastModified, PageQuery, Patch, PatchProblem, PatchProblemCode, Place, Position, Problem,
    ProblemCode, Product, ProductId, Query, QueryProblem, QueryProblemCode, Rendition,
    Representation, Select, Unrepeated, Version, entity_tag, flatten,
};
pub use crate::upstream::{CircuitState, CircuitStatus, Forced};
pub use batch::{BatchDone, BatchWrite};
pub use health::{Check, CheckStatus, Health};
pub use idempotency::{KEPT_FOR, KeptAnswer, NotRepeatable, Once, Repeatable};
pub use invalidate::{Invalidated, Job, JobState, Mode, Refill, Selector};
pub use pages::{KeptPage, Rendered, Seal};
pub use precondition::Precondition;
pub use renditions::{Shape, Unrenderable, encode};
pub use standing::Standing;
pub use stored::{Labels, Stored};
pub use warmup::Progress;

use crate::cache::{self, Cache};
use crate::clock::Clock;
use crate::telemetry::events::{Event, EventKind, Events};
use crate::telemetry::{Conversation, metrics};
use crate::upstream::Inventory;
use contracts::Contracts;
use idempotency::UnderWay;
use index::Index;
use invalidate::Jobs;
use renditions::Workshop;
use source::Products;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warmup::Quiet;

/// What the catalogue itself is told; its parts have their own configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `WARMUP_ON_START`: page through the inventory's list at start, and again before entries expire.
    pub warmup_on_start: bool,
    /// `CACHE_TTL_SECONDS`; zero never expires.
    pub ttl: Duration,
    /// `SYNC_INTERVAL_SECONDS`: how often the inventory is asked for what changed; `None`: never.
    pub sync_interval: Option<Duration>,
    /// Freshness contracts.
    pub contracts: contracts::Config,
    /// `HEALTH_PROBE_SECONDS`: the longest silence before the inventory is probed.
    pub probe_interval: Duration,
}

/// A product as it is answered: the stored representation, and how it was come by.
#[derive(Clone, Debug)]
pub struct Served {
    /// The product's rendered representation.
    pub stored: Arc<Entry<Stored>>,
    /// How the read was satisfied.
    pub outcome: Outcome,
    /// What remains of the window in which the value is fresh; zero when stale.
    pub remaining: Duration,
    /// The freshness contract that it is under.
    pub contract: Option<Arc<str>>,
    /// Whether the reader waited for a load that others had started.
    pub collapsed: bool,
    /// Whether what was loaded for the reader was kept.
    pub is_kept: bool,
    /// Whether something was held instead that was past its window.
    pub was_past_window: bool,
}

/// One page of the collection.
#[derive(Clone, Debug)]
pub struct Page {
    /// The products, in id order.
    pub items: Vec<Served>,
    /// Where the previous page ends; `None` on the first.
    pub before: Option<Cursor>,
    /// Where the next page begins; `None` on the last.
    pub after: Option<Cursor>,
    /// What is worth that these are the products that belong on it.
    pub standing: Standing,
}

/// What products are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Their category.
    Category,
    /// Their brand.
    Brand,
}

/// The products that have one category, or one brand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The category or brand.
    pub name: Box<str>,
    /// How many products have it; at least one.
    pub count: u64,
}

/// One page of the groups there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRun {
    /// The groups, in the order of their names.
    pub page: Vec<Group>,
    /// Whether there are others before the first.
    pub has_before: bool,
    /// Whether there are others after the last.
    pub has_after: bool,
}

/// A product that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The id, also where the inventory chose it.
    pub id: ProductId,
    /// The new representation.
    pub served: Served,
    /// Whether it was created rather than replaced.
    pub created: bool,
}

/// Why a catalogue operation did not succeed, in terms of what the caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such product. `outcome` is `Negative` where we knew without asking.
    #[error("no such product")]
    NotFound {
        /// How we know.
        outcome: Outcome,
    },
    /// The product is gone for good (410).
    #[error("the product is gone")]
    Gone,
    /// The product changed since the caller last saw it (412). Read again, then decide.
    #[error("the product has changed")]
    Changed,
    /// A condition of the caller's does not hold (412). Nothing was written.
    #[error("the condition in `{header}` does not hold")]
    PreconditionFailed {
        /// The header that has the condition, in lower case.
        header: &'static str,
    },
    /// The patch can not be applied, or makes something that is not the product (409, 422).
    #[error("the patch can not be applied")]
    Patch(Vec<PatchProblem>),
    /// The inventory refuses what the patch makes of the product (422).
    #[error("the inventory refused the patched product")]
    PatchRejected,
    /// The inventory refuses the write as conflicting, e.g. the id exists already (409).
    #[error("the write conflicts with the inventory's state")]
    Conflict,
    /// The inventory refuses the written product (400, 422).
    #[error("the inventory refused the product")]
    Rejected,
    /// The cursor is not one of this collection's.
    #[error("the cursor is not valid here")]
    BadCursor,
    /// The inventory could not answer and nothing cached was good enough. Retry later.
    #[error("the inventory is unavailable: {cause}")]
    Unavailable {
        /// Earliest useful moment to try again.
        retry_after: Duration,
        /// What the last attempt ran into, for the log.
        cause: String,
    },
    /// Nothing held will do, and the caller wants the inventory left alone (504).
    #[error("nothing that is cached will do")]
    NotCached,
    /// Whether the write was applied is not known; the cached copy was dropped.
    #[error("the outcome of the write is not known: {cause}")]
    OutcomeUnknown {
        /// What the attempt ran into, for the log.
        cause: String,
    },
}

/// The catalogue. Share it in an [`Arc`].
pub struct Catalog {
    cache: Cache<Products>,
    config: Config,
    clock: Clock,
    progress: watch::Sender<Progress>,
    tasks: TaskTracker,
    under_way: UnderWay,
    jobs: Jobs,
    workshop: Workshop,
    /// What a listing pass does of its own, one step after the other.
    reading: Quiet,
    confirming: Quiet,
    events: Events,
    contracts: Contracts,
}

// === impl Catalog ===

impl Catalog {
    /// A catalogue of `inventory`'s products. Reads no disk yet: see [`Catalog::open_store`].
    pub fn new(
        mut config: Config,
        cache: cache::Config,
        inventory: Inventory,
        clock: Clock,
        tasks: TaskTracker,
        events: Events,
    ) -> Self {
        let contracts = Contracts::new(std::mem::take(&mut config.contracts));
        let source = Products::new(inventory, cache.max_bytes, cache.dir.is_some(), clock);
        let cache = Cache::new(source, cache, clock, tasks.clone(), events.clone());
        // Nothing is held yet: what is loaded from here on is under its contract.
        cache.govern(contracts.of_file());
        Self {
            cache,
            contracts,
            config,
            clock,
            progress: watch::Sender::new(Progress::default()),
            tasks,
            under_way: UnderWay::default(),
            jobs: Jobs::default(),
            workshop: Workshop::default(),
            reading: Quiet::named("listing-read"),
            confirming: Quiet::named("listing-confirm"),
            events,
        }
    }

    /// Opens the persistent tier and starts restoring from it, in the background.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn open_store(&self) -> std::io::Result<()> {
        self.cache.open_store()
    }

    /// Writes what is left to the store, and waits until it is closed.
    pub async fn close_store(&self) {
        self.cache.close_store().await;
    }

    /// Waits until everything known now is on disk; false if there is no disk.
    pub async fn flush(&self) -> bool {
        self.cache.flush().await
    }

    /// Waits until the store has been read, or will not be.
    pub async fn restored(&self) {
        self.cache.restored().await;
    }

    /// Refreshes what is under a freshness contract ahead of its window, until `stop` is cancelled.
    pub async fn keep_contracts(self: Arc<Self>, stop: CancellationToken) {
        self.cache.keep_contracts(Conversation::new, stop).await;
    }

    /// How far the listing is, now and as it changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// What the cache holds and has done.
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }

    /// Products known to exist, and whether those are all there are.
    pub fn known(&self) -> (usize, bool) {
        (self.index().len(), self.index().is_complete())
    }

    /// What the index of all products holds, in bytes: part of what [`stats`](Self::stats) says.
    pub fn index_bytes(&self) -> usize {
        self.index().bytes()
    }

    /// What the cache knows about one product, without touching it.
    pub fn inspect(&self, id: &ProductId) -> Option<Inspection> {
        self.cache.inspect(id)
    }

    /// What the circuit to the inventory does, and since when.
    pub fn circuit(&self) -> CircuitStatus {
        self.inventory().circuit()
    }

    /// Holds the circuit open or closed whatever happens, or no longer. Not beyond a restart.
    pub fn force_circuit(&self, forced: Option<Forced>) {
        self.inventory().force_circuit(forced);
    }

    /// Brings the gauges up to date. Called before they are read, so that no change pays for it.
    pub fn publish_gauges(&self) {
        let stats = self.cache.stats();
        metrics::cache_size(stats.entries, stats.bytes, stats.capacity_bytes);
        metrics::store_queue_length(stats.store_queue_length);
        metrics::index_complete(self.index().is_complete());
        metrics::invalidation_oldest_pending(self.invalidation_pending());
        self.publish_contracts();
    }

    fn tell(&self, kind: EventKind, cause: impl Into<Cow<'static, str>>) {
        self.events.emit(Event::of(kind).cause(cause));
    }

    fn index(&self) -> &Index {
        &self.cache.source().index
    }

    fn inventory(&self) -> &Inventory {
        &self.cache.source().inventory
    }
}

// === impl Served ===

impl From<cache::Served<Stored>> for Served {
    fn from(served: cache::Served<Stored>) -> Self {
        Self {
            stored: served.entry,
            outcome: served.outcome,
            remaining: served.remaining,
            contract: served.contract,
            collapsed: served.collapsed,
            is_kept: served.is_kept,
            was_past_window: served.was_past_window,
        }
    }
}
