//! The listing pass: pages through everything the inventory has, at start and again before entries
//! expire, taking in pages while the next one is fetched.

mod quiet;
mod sync;
mod taking;

use super::standing::Begun;
use super::{Catalog, Refill};
use crate::cache::Listing;
use crate::catalog::source::Products;
use crate::clock::Moment;
use crate::product::ProductId;
use crate::telemetry::events::EventKind;
use crate::telemetry::{Conversation, metrics};
use crate::upstream::{RawPage, UpstreamError};
use futures_util::FutureExt;
pub(super) use quiet::Quiet;
use rustc_hash::FxBuildHasher;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use sync::Course;
use taking::TakenIn;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Pauses after failed pages double from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// After so many failures in a row, a page's cursor is given up and the pass starts over.
const CURSOR_ATTEMPTS: u32 = 5;

/// Pages that are being taken in while another is fetched: one is read while the one before it is confirmed.
const IN_HAND: usize = 2;

/// How often the log tells how far a pass is.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How far the listing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether a pass is under way.
    pub running: bool,
    /// Products confirmed by it, or by the last one.
    pub confirmed: u64,
    /// Products there are, where the inventory told.
    pub total: Option<u64>,
    /// Products of it that were skipped as invalid.
    pub skipped: u64,
    /// Passes that came to an end.
    pub passes: u64,
    /// When the last one did.
    pub ended_at: Option<Moment>,
    /// Why the page under way has failed so far.
    pub trouble: Option<String>,
    /// How long a page of the last pass took on average, pauses after failures apart.
    pub page_took: Option<Duration>,
    /// Up to which of the doubts in the index it dispels them.
    pub doubts: u64,
}

/// What a pass has gathered.
struct Pass {
    began: Begun,
    reported: Moment,
    pages: u32,
    /// The marks of broad invalidations up to this one were made before it.
    marks: u32,
    /// How long it waited after failures.
    paused: Duration,
    cause: Conversation,
    /// Products the inventory lists in a form that can not be used: what we hold of them is kept.
    unusable: BTreeSet<ProductId>,
}

/// The pass was stopped.
struct Stopped;

// === impl Progress ===

impl Progress {
    /// Share of the products confirmed, 0 to 1; 0 while the total is not known.
    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn ratio(&self) -> f64 {
        match self.total {
            _ if !self.running && self.passes > 0 => 1.0,
            Some(total) if total > 0 => (self.confirmed as f64 / total as f64).min(1.0),
            _ => 0.0,
        }
    }
}

impl Catalog {
    /// Runs listing passes until `stop` is cancelled: at start with `WARMUP_ON_START` (or when the
    /// store was not left in order), on request, and again before the oldest entries expire.
    pub async fn keep_warm(self: Arc<Self>, stop: CancellationToken) {
        if !self.cache.is_on() {
            return;
        }
        let running = async {
            let started = self.clock.now();
            self.cache.restored().await;
            // What a store knows of the whole, it knows as of then.
            let mut course = Course::since(self.confirmation().as_of().unwrap_or(started));
            // Restoring asks for a pass where the store was left in disorder.
            if !self.config.warmup_on_start {
                self.rest(None, &mut course).await;
            }
            loop {
                self.gather_orders().await;
                let began = self.clock.now();
                if self.pass(&stop).await.is_err() {
                    return;
                }
                course.caught_up(began);
                let took = self.clock.now().since(began);
                self.rest(self.next_pass_after(took), &mut course).await;
            }
        };
        stop.run_until_cancelled(running).await;
    }

    /// How long to wait after a pass that took so long; `None` if entries never expire.
    ///
    /// Jitter shortens windows to 0.9 of the TTL, and a pass reaches its last products only at its
    /// end: the next one begins early enough to be through by then, but rests half the TTL at least.
    fn next_pass_after(&self, took: Duration) -> Option<Duration> {
        let ttl = self.config.ttl;
        let due = (ttl * 9 / 10).saturating_sub(took * 2);
        let due = due.clamp(ttl / 2, ttl * 8 / 10);
        (!ttl.is_zero()).then(|| due.saturating_sub(took).max(FIRST_PAUSE))
    }

    /// Says whether whoever holds something that is not confirmed can leave that to a pass.
    fn set_listing(&self, goes_well: bool) {
        let listing = &self.cache.source().listing;
        listing.store(goes_well, Ordering::Relaxed);
    }

    fn wanted(&self) -> &Notify {
        &self.cache.source().wanted
    }

    /// Asks for a listing pass, after the one under way if there is one.
    pub(super) fn want_listing(&self) {
        self.set_listing(true);
        self.wanted().notify_one();
    }

    /// Asks for a listing pass where there was none yet: after the first, each calls for the next.
    pub(super) fn want_first_listing(&self) {
        if self.progress.borrow().passes == 0 {
            self.want_index();
        }
    }

    /// Asks for a complete index, unless that is on its way or can not be had.
    pub(super) fn want_index(&self) {
        if !self.progress.borrow().running && !self.index().has_overflown() {
            self.wanted().notify_one();
        }
    }

    async fn pass(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), Stopped> {
        self.set_listing(true);
        let now = self.clock.now();
        let mut pass = Pass {
            began: self.confirmation().begin(now),
            reported: now,
            pages: 0,
            marks: 0,
            paused: Duration::ZERO,
            cause: Conversation::new(),
            unusable: BTreeSet::new(),
        };
        self.progress.send_modify(|progress| {
            *progress = Progress {
                running: true,
                passes: progress.passes,
                ended_at: progress.ended_at,
                page_took: progress.page_took,
                ..Progress::default()
            };
        });
        let total = self.inventory().count(pass.cause).await.ok().flatten();
        self.progress.send_modify(|progress| progress.total = total);
        self.cache.expect(total.unwrap_or(0));
        self.tell(EventKind::WarmUp, "begun");
        info!(total, "Listing the inventory's products");
        let mut failures = 0;
        while !self.walk(&mut pass, stop).await? {
            failures += 1;
            let pause = pause_after(failures);
            warn!(
                "The inventory's list could not be followed to its end; starting over in {pause:.1?}"
            );
            sleep_unless(pause, stop).await?;
        }
        self.sweep(&pass);
        Ok(())
    }

    /// Follows the list once; false if it has to be started over.
    async fn walk(
        self: &Arc<Self>,
        pass: &mut Pass,
        stop: &CancellationToken,
    ) -> Result<bool, Stopped> {
        // What was wanted before this is what it does.
        let _ = self.wanted().notified().now_or_never();
        pass.marks = self.cache.newest_mark();
        pass.began = self.confirmation().begin(self.clock.now());
        (pass.pages, pass.paused) = (0, Duration::ZERO);
        self.progress.send_modify(|progress| {
            progress.confirmed = 0;
            progress.doubts = pass.began.doubts;
        });
        let mut after: Option<String> = None;
        let mut met = HashSet::new();
        let mut in_hand = VecDeque::new();
        loop {
            let Some((page, listing)) = self.fetch(after.as_deref(), pass, stop).await? else {
                return Ok(false);
            };
            let next = page.after.clone();
            if next
                .as_ref()
                .is_some_and(|next| !met.insert(FxBuildHasher.hash_one(next)))
            {
                warn!("The inventory's list leads back to a page it led to before");
                return Ok(false);
            }
            // Off the threads that serve, while the next is on its way.
            in_hand.push_back(self.take_in(page, listing, None));
            let most = if next.is_none() { 0 } else { IN_HAND };
            while in_hand.len() > most {
                if !self.note_taken_in(in_hand.pop_front(), pass).await {
                    return Ok(false);
                }
            }
            if next.is_none() {
                return Ok(true);
            }
            self.cache.room().await;
            after = next;
        }
    }

    /// Fetches a page, however long that takes; `None` if its cursor seems to be no good any more.
    async fn fetch(
        &self,
        after: Option<&str>,
        pass: &mut Pass,
        stop: &CancellationToken,
    ) -> Result<Option<(RawPage, Listing<Products>)>, Stopped> {
        let mut failures = 0;
        loop {
            // Drawn for each attempt: one that is out keeps the fence from forgetting.
            let listing = self.cache.begin_listing();
            let size = self.inventory().config().page_size;
            match self.inventory().list(size, after, pass.cause).await {
                Ok(page) => {
                    pass.pages += 1;
                    self.set_listing(true);
                    self.progress
                        .send_modify(|progress| progress.trouble = None);
                    return Ok(Some((page, listing)));
                }
                Err(error) => {
                    drop(listing);
                    failures += 1;
                    let pause = self.note_trouble(failures, &error);
                    if after.is_some() && failures >= CURSOR_ATTEMPTS {
                        return Ok(None);
                    }
                    pass.paused += pause;
                    sleep_unless(pause, stop).await?;
                }
            }
        }
    }

    fn note_trouble(&self, failures: u32, error: &UpstreamError) -> Duration {
        let pause = pause_after(failures);
        self.set_listing(false);
        warn!(%error, "A page of the inventory's list could not be fetched ({error}); trying again in {pause:.1?}");
        self.progress
            .send_modify(|progress| progress.trouble = Some(error.to_string()));
        pause
    }

    /// Waits for a page to be taken in; false if that failed, and the page is missing.
    async fn note_taken_in(
        &self,
        taking_in: Option<JoinHandle<Option<TakenIn>>>,
        pass: &mut Pass,
    ) -> bool {
        let Some(taking_in) = taking_in else {
            return true;
        };
        let Ok(Some(taken_in)) = taking_in.await else {
            warn!("A page of the inventory's list could not be decoded");
            return false;
        };
        let confirmed = taken_in.confirmed;
        metrics::warmup_products(confirmed);
        self.progress.send_modify(|progress| {
            progress.confirmed += confirmed;
            progress.skipped += taken_in.skipped;
        });
        pass.unusable.extend(taken_in.unusable);
        let progress = self.progress.borrow().clone();
        metrics::warmup_progress(progress.ratio());
        let now = self.clock.now();
        if now.since(pass.reported) >= REPORT_EVERY {
            pass.reported = now;
            let (confirmed, total) = (progress.confirmed, progress.total);
            info!(
                confirmed,
                total, "Listing the inventory's products: {confirmed} so far"
            );
        }
        true
    }

    /// Ends a pass: what it did not meet does not exist any more.
    fn sweep(&self, pass: &Pass) {
        self.set_listing(false);
        let listing = self.cache.begin_listing();
        let confirmed = self.progress.borrow().confirmed;
        let unlisted = self.index().older_than(pass.began.at);
        let (mut removed, mut trouble) = (0, None);
        if confirmed == 0 && !unlisted.is_empty() {
            trouble = Some("the inventory lists no products at all");
            warn!(
                known = unlisted.len(),
                "The inventory lists no products at all; those known are kept until they expire"
            );
        } else {
            let unlisted = unlisted.iter().filter(|id| !pass.unusable.contains(*id));
            removed = unlisted
                .filter(|id| self.cache.remove_unlisted(&listing, id))
                .count();
            self.confirmation().confirm(pass.began);
            self.cache.unmark(pass.marks);
        }
        self.index().complete();
        if self.index().is_complete() {
            self.cache.note(self.confirmation().to_note());
        }
        self.cache.listed();
        let now = self.clock.now();
        let took = now.since(pass.began.at);
        self.progress.send_modify(|progress| {
            progress.running = false;
            progress.page_took = Some(took.saturating_sub(pass.paused) / pass.pages.max(1));
            progress.passes += 1;
            progress.ended_at = Some(now);
        });
        let total = self.progress.borrow().total.or(Some(confirmed));
        self.end_jobs(pass.began.doubts, trouble, Refill { confirmed, total });
        metrics::warmup_progress(1.0);
        metrics::index_complete(self.index().is_complete());
        let cause = format!("ended: {confirmed} products confirmed, {removed} removed");
        self.tell(EventKind::WarmUp, cause);
        info!(
            confirmed,
            removed,
            skipped = self.progress.borrow().skipped,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "Listed {confirmed} products; {removed} that are no longer listed were removed"
        );
    }
}

/// Pauses double from one failure to the next, and are spread, so that replicas do not march in step.
fn pause_after(failures: u32) -> Duration {
    let pause = LAST_PAUSE.min(FIRST_PAUSE * (1 << failures.min(5)));
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

async fn sleep_unless(pause: Duration, stop: &CancellationToken) -> Result<(), Stopped> {
    let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    slept.ok_or(Stopped)
}
