//! Keeping up between passes: every `SYNC_INTERVAL_SECONDS` the inventory is asked for what changed, by
//! date. That says nothing about what is gone, nor about the rest: removing, and confirming the whole,
//! is left to passes.

use super::Catalog;
use super::taking::TakenIn;
use crate::clock::Moment;
use crate::telemetry::events::EventKind;
use crate::telemetry::{Conversation, metrics};
use crate::upstream::UpstreamError;
use jiff::Timestamp;
use rustc_hash::FxBuildHasher;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How far a sync looks back beyond the begin of the one before it: the inventory's clock is another,
/// and its dates may be whole seconds.
const OVERLAP: Duration = Duration::from_secs(2);

/// What is dated so much before what was asked for was not picked by its date.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The longest pause before an inventory that does not tell what changed is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Since when changes are asked for.
#[derive(Debug)]
pub(super) struct Course {
    since: Moment,
    /// How often in a row the inventory did not tell what changed.
    unheeded: u32,
}

/// Why a sync learned nothing, or not all.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Unheeded(&'static str),
    #[error(transparent)]
    Inventory(#[from] UpstreamError),
    #[error("{0}")]
    BrokeOff(&'static str),
}

// === impl Course ===

impl Course {
    /// What changed at `since` or later is not known.
    pub(super) fn since(since: Moment) -> Self {
        Self { since, unheeded: 0 }
    }

    /// A pass or sync that began then came to its end.
    pub(super) fn caught_up(&mut self, began: Moment) {
        self.since = began;
    }

    fn pause(&self, interval: Duration) -> Duration {
        let pause = interval.saturating_mul(1 << self.unheeded.min(12));
        pause.min(LONGEST_PAUSE.max(interval))
    }

    /// From which date on changes are asked for; `None` for a time that has none.
    fn date(&self) -> Option<Timestamp> {
        date_before(self.since, OVERLAP)
    }
}

impl Catalog {
    /// Rests until a pass is due or wanted, and syncs meanwhile.
    pub(super) async fn rest(self: &Arc<Self>, due: Option<Duration>, course: &mut Course) {
        let due = async {
            match due {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.wanted().notified() => {}
            () = due => {}
            () = self.keep_synced(course) => {}
        }
    }

    /// Syncs once an interval, and never ends.
    async fn keep_synced(self: &Arc<Self>, course: &mut Course) {
        let Some(interval) = self.config.sync_interval else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(course.pause(interval)).await;
            let began = self.clock.now();
            let synced = self.sync(course).await;
            metrics::sync_ended(match synced {
                Ok(_) => "ok",
                Err(Trouble::Unheeded(_)) => "unheeded",
                Err(_) => "failed",
            });
            match synced {
                Ok(confirmed) => {
                    self.note_synced(confirmed, course);
                    course.unheeded = 0;
                    course.caught_up(began);
                }
                Err(Trouble::Unheeded(why)) => {
                    course.unheeded = course.unheeded.saturating_add(1);
                    if course.unheeded == 1 {
                        warn!(
                            why,
                            "The inventory does not tell what changed ({why}); asking less and less often, and relying on the whole list"
                        );
                    }
                }
                Err(error) => {
                    warn!(%error, "What changed in the inventory could not be read ({error}); trying again in {interval:.1?}");
                }
            }
        }
    }

    fn note_synced(&self, confirmed: u64, course: &Course) {
        if course.unheeded > 0 {
            info!("The inventory tells what changed again");
        }
        if confirmed > 0 {
            let cause = format!("sync: {confirmed} products changed");
            self.tell(EventKind::WarmUp, cause);
        }
    }

    /// Takes in what changed, page by page. How many products that were.
    async fn sync(self: &Arc<Self>, course: &Course) -> Result<u64, Trouble> {
        let (cause, mut met, mut confirmed) = (Conversation::new(), HashSet::new(), 0);
        let Some(since) = course.date() else {
            return Err(Trouble::BrokeOff("the time has no date"));
        };
        let mut after: Option<String> = None;
        loop {
            let listing = self.cache.begin_listing();
            let size = self.inventory().config().page_size;
            let page = self
                .inventory()
                .list_changed(since, size, after.as_deref(), cause);
            let page = page.await.map_err(|error| match error {
                UpstreamError::Refused { .. } | UpstreamError::Gone { .. } => {
                    Trouble::Unheeded("it refuses a list by date")
                }
                error => Trouble::Inventory(error),
            })?;
            let next = page.after.clone();
            let asked = date_before(course.since, OVERLAP + TOLERANCE);
            let taken_in = self.take_in(page, listing, asked).await.ok().flatten();
            let Some(TakenIn {
                confirmed: new,
                unasked,
                ..
            }) = taken_in
            else {
                return Err(Trouble::BrokeOff("a page could not be decoded"));
            };
            confirmed += new;
            metrics::sync_products(new);
            if unasked * 2 > new {
                return Err(Trouble::Unheeded("it lists what changed long ago"));
            }
            self.cache.room().await;
            match next {
                None => return Ok(confirmed),
                Some(next) if !met.insert(FxBuildHasher.hash_one(&next)) => {
                    return Err(Trouble::BrokeOff("its list leads back to an earlier page"));
                }
                next => after = next,
            }
        }
    }
}

fn date_before(moment: Moment, by: Duration) -> Option<Timestamp> {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    let millis = i64::try_from(moment.as_millis().saturating_sub(by)).ok()?;
    Timestamp::from_millisecond(millis).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_that_does_not_tell_is_asked_at_doubling_intervals_up_to_an_hour() {
        let mut course = Course::since(Moment::from_millis(0));
        for (unheeded, seconds) in [(0, 10), (1, 20), (5, 320), (9, 3600), (u32::MAX, 3600)] {
            course.unheeded = unheeded;
            let pause = course.pause(Duration::from_secs(10));
            assert_eq!(pause, Duration::from_secs(seconds), "{unheeded}");
        }
        let rare = Duration::from_secs(7200);
        assert_eq!(course.pause(rare), rare, "never more often than was asked");
    }

    #[test]
    fn changes_are_asked_for_from_two_seconds_before_on() {
        let date = |millis| {
            let course = Course::since(Moment::from_millis(millis));
            course.date().map(|date| date.to_string())
        };
        assert_eq!(date(5500).unwrap(), "1970-01-01T00:00:03.5Z");
        assert_eq!(date(1).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(date(u64::MAX), None);
    }
}
