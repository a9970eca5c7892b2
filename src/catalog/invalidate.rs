//! Invalidating deliberately: by id, prefix, category, brand, or everything.

mod estimate;
mod jobs;
mod selector;

pub(super) use estimate::DEBOUNCE;
pub(super) use jobs::Jobs;
pub use jobs::{Job, JobState, Refill};
pub use selector::Selector;

use super::Catalog;
use crate::cache::Trust;
use crate::product::ProductId;
use crate::telemetry::events::EventKind;
use estimate::Pace;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;
use uuid::Uuid;

/// How an invalidation treats what it selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Expired, but usable in grace.
    Soft,
    /// Gone from memory, store and negative cache.
    Hard,
}

/// What an invalidation did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidated {
    /// Entries selected.
    pub products: usize,
    /// Their weight in the serving tier, in bytes.
    pub bytes: u64,
    /// Upstream calls that refilling takes.
    pub refill_calls: u64,
    /// Within which time it is done, in seconds; 0 only where no call is needed.
    pub estimated_seconds: u64,
}

// === impl Mode ===

impl Mode {
    /// The word in orders, events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
        }
    }
}

impl Catalog {
    /// Invalidates what `selector` means; with `dry_run` only says what that would be. What is broader
    /// than ids is a job, which goes on when this returns.
    ///
    /// Softly invalidated by id, a product's next reader waits for the new value and gets the old one
    /// only if loading fails. After any other selector readers get stale answers at once, and the
    /// refill is an ordinary listing pass, page by page, so that the inventory meets no flood. One pass does
    /// for all that was ordered before it began.
    pub async fn invalidate(
        self: &Arc<Self>,
        selector: Selector,
        mode: Mode,
        dry_run: bool,
    ) -> (Invalidated, Option<Job>) {
        let catalog = Arc::clone(self);
        // Looks at every entry: not on a thread that serves. Whoever hangs up cancels nothing.
        let work = tokio::task::spawn_blocking(move || {
            if !dry_run && selector.is_broad() {
                // First: what is loaded while the rest is looked for is newer.
                catalog.cache.mark(selector.clone());
                catalog.doubt_index();
            }
            let selected = catalog.selected(&selector);
            let invalidated = catalog.reckon(&selector, mode, &selected);
            if dry_run {
                return (invalidated, None);
            }
            let (by, products) = (selector.as_str(), invalidated.products);
            let cause = format!("{by}, {products} held, {}", mode.as_str());
            catalog.tell(EventKind::Invalidation, cause);
            catalog.apply(&selector, mode, &selected);
            let job = selector
                .is_broad()
                .then(|| catalog.begin_job(selector, mode, invalidated.clone()));
            (invalidated, job)
        });
        work.await.unwrap_or_default()
    }

    /// The last broad invalidations, the last one first.
    pub fn jobs(&self) -> Vec<Job> {
        let jobs = self.jobs.all().into_iter();
        jobs.map(|job| self.with_refill(job)).collect()
    }

    /// One of the last broad invalidations.
    pub fn job(&self, id: Uuid) -> Option<Job> {
        self.jobs.get(id).map(|job| self.with_refill(job))
    }

    /// How long a job took, or has taken so far.
    pub fn took(&self, job: &Job) -> Duration {
        job.took(self.clock.now())
    }

    /// What keeps refills from going on at the moment.
    pub fn refill_trouble(&self) -> Option<String> {
        self.progress.borrow().trouble.clone()
    }

    /// How long the invalidation has waited that waits longest for its refill; zero where none does.
    pub(super) fn invalidation_pending(&self) -> Duration {
        let since = self.jobs.pending_since();
        since.map_or(Duration::ZERO, |since| self.clock.now().since(since))
    }

    /// Waits a moment for further orders, if a broad one is why a pass begins.
    pub(super) async fn gather_orders(&self) {
        if self.jobs.pending_since().is_some() {
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    /// A pass that began after so many doubts has ended; `trouble` is why it confirmed nothing.
    pub(super) fn end_jobs(&self, doubts: u64, trouble: Option<&'static str>, refill: Refill) {
        let state = trouble.map_or(JobState::Done, JobState::Failed);
        for job in self.jobs.end(doubts, state, refill, self.clock.now()) {
            let (id, by) = (job.id, job.selector.as_str());
            let seconds = job.took(self.clock.now()).as_secs_f64();
            let outcome = match trouble {
                None => format!("{by}, refilled after {seconds:.1} s"),
                Some(why) => format!("{by}, not refilled: {why}"),
            };
            if let Some(why) = trouble {
                warn!(%id, by, why, "An invalidation by {by} was not refilled: {why}");
            }
            self.tell(EventKind::Invalidation, outcome);
        }
    }

    fn begin_job(&self, selector: Selector, mode: Mode, invalidated: Invalidated) -> Job {
        let ordered_at = self.clock.now();
        let is_on = self.cache.is_on();
        let job = self.jobs.begin(Job {
            id: Uuid::new_v4(),
            selector,
            mode,
            invalidated,
            ordered_at,
            // Without a cache there is nothing to refill, and no pass.
            ended_at: (!is_on).then_some(ordered_at),
            state: match is_on {
                true => JobState::Running,
                false => JobState::Done,
            },
            refill: Refill::default(),
            doubt: self.confirmation().doubts(),
            pending_since: ordered_at,
        });
        self.want_listing();
        job
    }

    /// The job with what is known of its refill by now.
    fn with_refill(&self, mut job: Job) -> Job {
        if job.state == JobState::Running {
            let progress = self.progress.borrow();
            let is_its_own = progress.running && progress.doubts >= job.doubt;
            job.refill = Refill {
                confirmed: if is_its_own { progress.confirmed } else { 0 },
                total: progress.total,
            };
        }
        job
    }

    fn selected(&self, selector: &Selector) -> Vec<(ProductId, usize)> {
        match selector {
            Selector::Ids(ids) => ids
                .iter()
                .filter_map(|id| Some((id.clone(), self.cache.peek(id)?.weight_bytes())))
                .collect(),
            _ => self.cache.select(|id, stored| {
                let labels = OnceCell::new();
                selector.selects(id, || labels.get_or_init(|| stored.labels()))
            }),
        }
    }

    fn reckon(
        &self,
        selector: &Selector,
        mode: Mode,
        selected: &[(ProductId, usize)],
    ) -> Invalidated {
        let inventory = self.inventory().config();
        let progress = self.progress.borrow().clone();
        let pace = Pace {
            page: progress.page_took,
            call: self.inventory().reachability().took,
            longest_call: inventory.attempt_timeout,
            most_calls: inventory.max_concurrent,
            most_a_second: inventory.rate_limit,
        };
        let (refill_calls, took) = match selector {
            Selector::Ids(_) => {
                let calls = selected.len() as u64;
                (calls, pace.of_calls(calls))
            }
            _ if !self.cache.is_on() => (0, Duration::ZERO),
            _ => {
                let products = progress.total.max(Some(self.index().len() as u64));
                let pages = products.unwrap_or_default();
                // An empty list has a page too, and their number is asked for.
                let calls = pages.div_ceil(inventory.page_size.into()).max(1) + 1;
                let left = estimate::left(&progress, calls, inventory.page_size);
                let pass = pace.of_pass(calls, left);
                // Readers who find nothing ask too, and each page queues behind them.
                (calls, if mode == Mode::Hard { 2 * pass } else { pass })
            }
        };
        let seconds = took.as_secs() + u64::from(took.subsec_nanos() > 0);
        Invalidated {
            products: selected.len(),
            bytes: selected.iter().map(|(_, weight)| *weight as u64).sum(),
            refill_calls,
            estimated_seconds: seconds.max(u64::from(refill_calls > 0)),
        }
    }

    fn apply(&self, selector: &Selector, mode: Mode, selected: &[(ProductId, usize)]) {
        match (selector, mode) {
            // Also those not held: their negative entries go.
            (Selector::Ids(ids), Mode::Soft) => {
                for id in ids {
                    self.cache.distrust(id, Trust::Doubted);
                }
            }
            (Selector::Ids(ids), Mode::Hard) => {
                for id in ids {
                    self.cache.purge(id);
                }
            }
            (Selector::All, Mode::Hard) => self.cache.purge_all(),
            // The mark has said all there is to say.
            (_, Mode::Soft) => {}
            (_, Mode::Hard) => {
                for (id, _) in selected {
                    self.cache.purge(id);
                }
            }
        }
    }
}
