//! One key in the book of contracts, and what time does to it.

use super::book::Terms;
use super::table::ContractNumber;
use super::urgency::{Reading, Urgency};
use crate::clock::Moment;
use std::time::Duration;

/// Something that operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening<K> {
    /// What.
    pub what: What,
    /// To which key.
    pub key: K,
    /// Under which contract.
    pub contract: ContractNumber,
    /// How old its value is.
    pub age: Duration,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its window passed.
    Violated,
    /// It is fresh again.
    Recovered,
    /// Its grace passed too.
    Exhausted,
}

/// What the book knows of a key.
#[derive(Debug)]
pub(super) struct Record<K> {
    pub(super) key: K,
    pub(super) contract: ContractNumber,
    /// As of when its value is right.
    pub(super) as_of: Moment,
    /// Whether that still stands.
    pub(super) is_trusted: bool,
    pub(super) phase: Phase,
    /// Whether operators were told that its window passed.
    pub(super) is_told: bool,
    /// Loads of it under way.
    pub(super) loading: u32,
    /// Refreshes that failed since one succeeded.
    pub(super) failures: u32,
    /// Not to be tried before.
    pub(super) not_before: Moment,
    pub(super) timer: Option<Moment>,
    pub(super) urgency: Option<Urgency>,
    pub(super) reading: Reading,
}

/// Where a value is in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Fresh,
    Stale,
    Exhausted,
}

// === impl Record ===

impl<K: Clone> Record<K> {
    pub(super) fn phase_at(&self, terms: &Terms, now: Moment) -> Phase {
        let age = now.since(self.as_of);
        if age > terms.window + terms.grace {
            Phase::Exhausted
        } else if age > terms.window || !self.is_trusted {
            Phase::Stale
        } else {
            Phase::Fresh
        }
    }

    pub(super) fn wants_refresh(&self, terms: &Terms, now: Moment) -> bool {
        let is_due = now.since(self.as_of) > terms.due_after || !self.is_trusted;
        is_due && self.loading == 0 && now >= self.not_before
    }

    /// When it changes by itself, after `now`. Bounds are passed the millisecond after.
    pub(super) fn next_change(&self, terms: &Terms, now: Moment) -> Option<Moment> {
        let past = |bound| self.as_of + bound + Duration::from_millis(1);
        let bounds = [
            past(terms.due_after),
            past(terms.window),
            past(terms.window + terms.grace),
            self.not_before,
        ];
        bounds.into_iter().filter(|at| *at > now).min()
    }

    pub(super) fn tell(&mut self, before: Phase, is_idle: bool, now: Moment) -> Vec<Happening<K>> {
        let what: &[What] = match (before, self.phase) {
            (Phase::Fresh, Phase::Fresh)
            | (Phase::Stale | Phase::Exhausted, Phase::Stale)
            | (Phase::Exhausted, Phase::Exhausted) => return Vec::new(),
            (_, Phase::Fresh) => &[What::Recovered],
            (Phase::Fresh, Phase::Stale) => &[What::Violated],
            (Phase::Stale, Phase::Exhausted) => &[What::Exhausted],
            // There is no grace, or it is shorter than a tick.
            (Phase::Fresh, Phase::Exhausted) => &[What::Violated, What::Exhausted],
        };
        // What nobody reads nobody was promised: that its window passed is no news, nor that it is back.
        let is_news = match self.phase {
            Phase::Fresh => std::mem::take(&mut self.is_told),
            Phase::Stale | Phase::Exhausted => {
                self.is_told |= !is_idle;
                !is_idle
            }
        };
        let what = what.iter().filter(|_| is_news);
        what.map(|what| Happening {
            what: *what,
            key: self.key.clone(),
            contract: self.contract,
            age: now.since(self.as_of),
        })
        .collect()
    }
}
