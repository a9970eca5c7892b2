//! Broad invalidations as jobs: each is done when a listing pass that began after it has confirmed
//! everything there is.

use super::{Invalidated, Mode, Selector};
use crate::clock::Moment;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// So many of the last jobs are remembered.
const MOST_JOBS: usize = 100;

/// A broad invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Tells it from others, also over a restart.
    pub id: Uuid,
    /// What was invalidated.
    pub selector: Selector,
    /// How.
    pub mode: Mode,
    /// What that meant.
    pub invalidated: Invalidated,
    /// When it was ordered.
    pub ordered_at: Moment,
    /// When it came to its end.
    pub ended_at: Option<Moment>,
    /// What became of it.
    pub state: JobState,
    /// How far its refill is.
    pub refill: Refill,
    /// Which doubt in the index it is: a pass that began after it confirms what it was about.
    pub(super) doubt: u64,
    /// Since when what it is about waits for a refill: also that of a job which it superseded.
    pub(super) pending_since: Moment,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its refill waits for its turn or is under way.
    Running,
    /// Everything was confirmed.
    Done,
    /// It was not, and why.
    Failed(&'static str),
    /// A later one means all that it meant, and is done when this would be.
    Superseded(Uuid),
}

/// How far a refill is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refill {
    /// Products confirmed by its pass; 0 while that has not begun.
    pub confirmed: u64,
    /// Products there are, where the inventory told.
    pub total: Option<u64>,
}

/// The last jobs, in the order they were ordered.
#[derive(Debug, Default)]
pub(in crate::catalog) struct Jobs(Mutex<VecDeque<Job>>);

// === impl Job ===

impl Job {
    /// How long it took, or has taken until `now`.
    pub fn took(&self, now: Moment) -> Duration {
        self.ended_at.unwrap_or(now).since(self.ordered_at)
    }

    fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    fn end(&mut self, state: JobState, now: Moment) {
        self.state = state;
        self.ended_at = Some(now);
    }
}

// === impl JobState ===

impl JobState {
    /// The word in answers, events and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Superseded(_) => "superseded",
        }
    }
}

// === impl Refill ===

impl Refill {
    /// The share that is confirmed, 0 to 1; 0 while the total is not known.
    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn ratio(&self) -> f64 {
        match self.total {
            Some(total) if total > 0 => (self.confirmed as f64 / total as f64).min(1.0),
            _ => 0.0,
        }
    }
}

// === impl Jobs ===

impl Jobs {
    /// Remembers a job. Those still running that mean no more than it does are superseded.
    pub fn begin(&self, mut job: Job) -> Job {
        let mut jobs = self.lock();
        let covered = jobs
            .iter_mut()
            .filter(|other| other.is_running() && job.selector.covers(&other.selector));
        for other in covered {
            job.pending_since = job.pending_since.min(other.pending_since);
            other.end(JobState::Superseded(job.id), job.ordered_at);
        }
        if jobs.len() >= MOST_JOBS {
            let ended = jobs.iter().position(|job| !job.is_running());
            jobs.remove(ended.unwrap_or(0));
        }
        jobs.push_back(job.clone());
        job
    }

    /// A pass that began after `doubts` came to an end at `now`: those jobs that it was for did too.
    pub fn end(&self, doubts: u64, state: JobState, refill: Refill, now: Moment) -> Vec<Job> {
        let mut jobs = self.lock();
        let ended = jobs
            .iter_mut()
            .filter(|job| job.is_running() && job.doubt <= doubts);
        ended
            .map(|job| {
                job.refill = refill;
                job.end(state, now);
                job.clone()
            })
            .collect()
    }

    /// All that are remembered, the last one first.
    pub fn all(&self) -> Vec<Job> {
        self.lock().iter().rev().cloned().collect()
    }

    /// The job with this id.
    pub fn get(&self, id: Uuid) -> Option<Job> {
        self.lock().iter().find(|job| job.id == id).cloned()
    }

    /// Since when the one that has waited longest waits for its refill.
    pub fn pending_since(&self) -> Option<Moment> {
        let jobs = self.lock();
        let running = jobs.iter().filter(|job| job.is_running());
        running.map(|job| job.pending_since).min()
    }

    /// Every change leaves the jobs whole, so a panic while holding the lock is moot.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(selector: Selector, doubt: u64) -> Job {
        let ordered_at = Moment::from_millis(doubt * 1000);
        Job {
            id: Uuid::new_v4(),
            selector,
            mode: Mode::Soft,
            invalidated: Invalidated::default(),
            ordered_at,
            ended_at: None,
            state: JobState::Running,
            refill: Refill::default(),
            doubt,
            pending_since: ordered_at,
        }
    }

    fn brand(name: &str) -> Selector {
        Selector::Brand(name.into())
    }

    #[test]
    fn a_pass_ends_the_jobs_that_were_ordered_before_it_began() {
        let jobs = Jobs::default();
        let first = jobs.begin(job(brand("a"), 1));
        let second = jobs.begin(job(brand("b"), 2));
        let refill = Refill {
            confirmed: 5,
            total: Some(5),
        };
        let ended = jobs.end(1, JobState::Done, refill, Moment::from_millis(7000));
        assert_eq!(ended.len(), 1);
        let of = |id| jobs.get(id).unwrap();
        assert_eq!(of(first.id).state, JobState::Done);
        assert_eq!(of(first.id).took(Moment::default()).as_secs(), 6);
        assert!((of(first.id).refill.ratio() - 1.0).abs() < f64::EPSILON);
        assert_eq!(of(second.id).state, JobState::Running);
        assert_eq!(jobs.pending_since(), Some(second.ordered_at));
        assert!(
            jobs.end(1, JobState::Done, refill, Moment::default())
                .is_empty()
        );
    }

    #[test]
    fn a_job_is_superseded_by_one_that_means_as_much_and_its_wait_is_not_forgotten() {
        let jobs = Jobs::default();
        let first = jobs.begin(job(brand("a"), 1));
        let other = jobs.begin(job(brand("b"), 2));
        let again = jobs.begin(job(brand("a"), 3));
        let state = |job: &Job| jobs.get(job.id).unwrap().state;
        assert_eq!(state(&first), JobState::Superseded(again.id));
        assert_eq!(state(&other), JobState::Running);
        let all = jobs.begin(job(Selector::All, 4));
        assert_eq!(state(&other), JobState::Superseded(all.id));
        assert_eq!(state(&first), JobState::Superseded(again.id));
        assert_eq!(jobs.pending_since(), Some(first.ordered_at));
    }

    #[test]
    fn the_last_hundred_are_kept_and_those_running_longest() {
        let jobs = Jobs::default();
        let first = jobs.begin(job(brand("first"), 1));
        for number in 0..300 {
            jobs.begin(job(brand("again"), number));
        }
        assert_eq!(jobs.all().len(), MOST_JOBS);
        assert!(jobs.get(first.id).is_some());
        assert_eq!(jobs.all().first().unwrap().doubt, 299);
        for number in 0..300 {
            jobs.begin(job(brand(&number.to_string()), number));
        }
        assert_eq!(jobs.all().len(), MOST_JOBS);
    }
}
