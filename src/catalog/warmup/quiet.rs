//! Work that no request waits for, on a thread that gives way to those that serve.
//!
//! A listing pass keeps a processor busy for as long as it lasts. On a thread that the system runs only where no other
//! wants to, it takes what requests leave, and a request that comes in does not wait for a page to be decoded first.
//! Where requests leave next to nothing, a pass would never end: then another thread does the next pieces of work, with
//! a share of a processor that is small, and its own.

use crate::telemetry::Stopwatch;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tracing::warn;

/// How much the other thread gives way, of 19: against a request it has a tenth of a processor.
const NICENESS: i32 = 10;

/// A piece of work that took so much longer than its processor time, and so long at least, was starved.
const STARVED: u32 = 10;
const LONG: Duration = Duration::from_millis(500);

/// How many pieces of work the other thread then does, before the first one tries again.
const PUSHES: u32 = 50;

type Work = Box<dyn FnOnce() + Send>;

/// The threads. They start with the first work, and end when this is dropped and all that was begun is done.
pub(in crate::catalog) struct Quiet {
    name: &'static str,
    queue: Arc<Queue>,
}

/// What is to be done, piece by piece.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Wakes the thread that runs idle, and the other.
    idle: Condvar,
    nice: Condvar,
}

#[derive(Default)]
struct State {
    works: VecDeque<Work>,
    is_busy: bool,
    is_closed: bool,
    /// Whether the first thread was started, and whether the other was.
    threads: (bool, bool),
    /// How many of the next pieces are the other thread's.
    pushes: u32,
}

/// How a thread gets at a processor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It runs where nobody else wants to.
    Idle,
    /// It has a small share whatever others want.
    Nice,
}

// === impl Quiet ===

impl Quiet {
    /// A thread of this name, which Linux cuts at 15 characters.
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            queue: Arc::default(),
        }
    }

    /// Has some work done there, behind what was begun before. Should it panic, that ends it and nothing else.
    ///
    /// # Errors
    /// The work, where there is no thread and none can be started.
    pub fn begin(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Work> {
        let mut state = self.queue.lock();
        if !state.threads.0 {
            state.threads.0 = self.start(Manner::Idle);
            state.threads.1 = state.threads.0 && self.start(Manner::Nice);
        }
        if !state.threads.0 {
            return Err(Box::new(work));
        }
        state.works.push_back(Box::new(work));
        self.queue.wake(&state);
        Ok(())
    }

    fn start(&self, manner: Manner) -> bool {
        let queue = Arc::clone(&self.queue);
        let thread = thread::Builder::new().name(self.name.to_owned());
        thread.spawn(move || queue.work(manner)).is_ok()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.idle.notify_one();
        self.queue.nice.notify_one();
    }
}

// === impl Queue ===

impl Queue {
    /// Does what is to be done, in its turn.
    fn work(&self, manner: Manner) {
        manner.apply();
        while let Some(work) = self.next(manner) {
            let (took, before) = (Stopwatch::start(), processor_time());
            // Whoever waits for what it makes sees that it does not come.
            let _ = catch_unwind(AssertUnwindSafe(work));
            let (took, ran) = (took.elapsed(), processor_time().saturating_sub(before));
            self.done(manner, took > LONG && took > ran * STARVED);
        }
    }

    /// The next piece of work for a thread; `None` where there will be none.
    fn next(&self, manner: Manner) -> Option<Work> {
        let waits = |state: &mut State| {
            let is_its_turn = (manner == Manner::Nice) == (state.pushes > 0);
            match state.works.is_empty() {
                true => !state.is_closed,
                false => state.is_busy || !is_its_turn,
            }
        };
        let woken = match manner {
            Manner::Idle => &self.idle,
            Manner::Nice => &self.nice,
        };
        let state = woken.wait_while(self.lock(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let work = state.works.pop_front()?;
        state.is_busy = true;
        Some(work)
    }

    fn done(&self, manner: Manner, starved: bool) {
        let mut state = self.lock();
        state.is_busy = false;
        state.pushes = match manner {
            Manner::Idle if starved && state.threads.1 => PUSHES,
            Manner::Idle => 0,
            Manner::Nice => state.pushes.saturating_sub(1),
        };
        self.wake(&state);
    }

    /// Wakes whoever does the next piece of work; with none left, both, which may have waited for that to end.
    fn wake(&self, state: &State) {
        if state.works.is_empty() && !state.is_closed || state.is_busy {
            return;
        }
        if state.pushes == 0 || state.works.is_empty() {
            self.idle.notify_one();
        }
        if state.pushes > 0 || state.works.is_empty() {
            self.nice.notify_one();
        }
    }

    /// Work is done without it, so a panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Manner ===

impl Manner {
    /// On Linux this is about the calling thread alone.
    fn apply(self) {
        let is_idle = self == Self::Idle
            && set_thread_priority_and_policy(
                thread_native_id(),
                ThreadPriority::Min,
                ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
            )
            .is_ok();
        if !is_idle && let Err(error) = rustix::process::nice(NICENESS) {
            warn!(%error, "Listing passes run at the priority of requests");
        }
    }
}

/// How long the calling thread has run.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use thread_priority::thread_schedule_policy;

    /// Whether the calling thread runs where nobody else wants to, and how nice it is.
    fn manner() -> (bool, i32) {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let is_idle = thread_schedule_policy() == Ok(idle);
        (is_idle, rustix::process::nice(0).unwrap())
    }

    fn made<T: Send + 'static>(
        quiet: &Quiet,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = channel();
        let begun = quiet.begin(move || done.send(work()).unwrap());
        assert!(begun.is_ok());
        result.recv().ok()
    }

    #[test]
    fn work_is_done_on_a_thread_that_gives_way_at_once() {
        let quiet = Quiet::named("quiet");
        let before = manner();
        let name = || thread::current().name().map(str::to_owned);
        assert_eq!(made(&quiet, name).flatten().as_deref(), Some("quiet"));
        assert_eq!(made(&quiet, manner), Some((true, before.1)));
        assert_eq!(manner(), before, "of its own, not of the process");
    }

    #[test]
    fn work_that_is_starved_goes_on_with_a_share_of_its_own() {
        let quiet = Quiet::named("quiet");
        let before = manner();
        let nice = (false, (before.1 + NICENESS).min(19));
        // To whoever only looks at the clock, waiting is being starved.
        made(&quiet, || {
            thread::park_timeout(LONG + Duration::from_millis(100))
        });
        for _ in 0..PUSHES {
            assert_eq!(made(&quiet, manner), Some(nice));
        }
        assert_eq!(
            made(&quiet, manner),
            Some((true, before.1)),
            "it tries again"
        );
    }

    #[test]
    fn work_that_panics_costs_its_result_alone() {
        let quiet = Quiet::named("quiet");
        let first = made(&quiet, || thread::current().id());
        assert_eq!(made(&quiet, || -> u32 { panic!("planted") }), None);
        assert_eq!(made(&quiet, || thread::current().id()), first);
    }

    #[test]
    fn work_is_done_in_the_order_in_which_it_was_begun_and_to_its_end() {
        let quiet = Quiet::named("quiet");
        let (done, results) = channel();
        for number in 0..100 {
            let done = done.clone();
            let work = move || {
                if number == 10 {
                    thread::park_timeout(LONG + Duration::from_millis(100));
                }
                done.send(number).unwrap();
            };
            assert!(quiet.begin(work).is_ok());
        }
        drop((done, quiet));
        assert!(results.into_iter().eq(0..100));
    }
}
