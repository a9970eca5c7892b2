//! Following the events at one's own pace.

use super::{Event, Shared};
use std::sync::Arc;
use tokio::sync::watch;

/// The most events of one batch.
const MOST_AT_ONCE: usize = 64;

/// A listener's place among the events. Holding one costs those who emit nothing.
pub struct Follower {
    shared: Arc<Shared>,
    /// The id of the next event to be read.
    next: u64,
    /// Whether `next` was made up because nobody knows where the listener was.
    lost: bool,
    newest: watch::Receiver<u64>,
}

/// Events that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// How many there were before them that are not kept any more.
    pub missed: Option<Missed>,
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// The id of the last event that was looked at, or that there was before the first.
    pub upto: u64,
}

/// How many events a listener missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// So many, of all kinds.
    Count(u64),
    /// Nobody knows: its place was given by an earlier process, or by another.
    Unknown,
}

// === impl Follower ===

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, after: Option<u64>) -> Self {
        let newest = shared.newest.subscribe();
        let first = shared.first_id();
        let (oldest, next) = {
            let ring = shared.ring();
            (ring.oldest(), ring.next)
        };
        let (next, lost) = match after {
            None => (next, false),
            // Seen up to one that this process gave, or to the very place where it began.
            Some(seen) if (first..=next).contains(&seen.saturating_add(1)) => (seen + 1, false),
            Some(_) => (oldest, true),
        };
        Self {
            shared,
            next,
            lost,
            newest,
        }
    }

    /// The events since the last call; waits until there is one, or something to tell of those missed.
    /// Nothing is lost where it is dropped before that.
    pub async fn next(&mut self) -> Batch {
        loop {
            self.newest.borrow_and_update();
            let batch = self.read();
            if batch.missed.is_some() || !batch.events.is_empty() {
                return batch;
            }
            // The sender lives in what is shared.
            let _ = self.newest.changed().await;
        }
    }

    /// The id of the last event that was read.
    pub fn upto(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    fn read(&mut self) -> Batch {
        let ring = self.shared.ring();
        let oldest = ring.oldest();
        let missed = match (std::mem::take(&mut self.lost), oldest > self.next) {
            (true, _) => Some(Missed::Unknown),
            (false, true) => Some(Missed::Count(oldest - self.next)),
            (false, false) => None,
        };
        let first = self.next.max(oldest);
        let events = ring.from(first, MOST_AT_ONCE);
        self.next = first + events.len() as u64;
        Batch {
            missed,
            events,
            upto: first.saturating_sub(1),
        }
    }
}
