//! Work that no request waits for, on a thread that gives way to those that serve.
//!
//! A listing pass keeps a processor busy for as long as it lasts. A [nice](Manner::Nice) thread takes a small share of one
//! while requests want it. An [idle](Manner::Idle) one is run only where no other wants to, so that a request that comes
//! in does not wait for a page to be decoded first; it must hold no lock for long, because it may be stopped with it
//! in hand. Where requests leave it next to nothing, a pass would never end: then a nice deputy does the next pieces of work.

use crate::telemetry::Stopwatch;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::warn;

/// How nice a thread is, of 19: against a request it has a tenth of a processor.
const NICENESS: i32 = 10;

/// A piece of work that took so much longer than its processor time, and so long at least, was starved.
const STARVED: u32 = 10;
const LONG: Duration = Duration::from_millis(100);

/// How many pieces of work the deputy then does, before the first thread tries again.
const PUSHES: u32 = 50;

type Work = Box<dyn FnOnce() + Send>;

/// How a thread gets at a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) enum Manner {
    /// It runs where nobody else wants to.
    Idle,
    /// It has a small share whatever others want.
    Nice,
}

/// The thread, and its deputy if it is idle. They start with the first work, and end when this is dropped and all that
/// was begun is done.
pub(in crate::catalog) struct Quiet {
    name: &'static str,
    manner: Manner,
    queue: Arc<Queue>,
}

/// What is to be done, piece by piece.
struct Queue {
    state: Mutex<State>,
    /// Wakes the first thread, and its deputy.
    first: Condvar,
    deputy: Condvar,
    /// What counts as long.
    long: Duration,
}

#[derive(Default)]
struct State {
    works: VecDeque<Work>,
    /// Since when one of them could be done.
    ready: Option<Stopwatch>,
    is_busy: bool,
    is_closed: bool,
    /// Whether the first thread was started, and whether its deputy was.
    threads: (bool, bool),
    /// How many of the next pieces are the deputy's.
    pushes: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    First,
    Deputy,
}

// === impl Quiet ===

impl Quiet {
    /// A thread of this name, which Linux cuts at 15 characters.
    pub fn named(name: &'static str, manner: Manner) -> Self {
        Self::with(name, manner, LONG)
    }

    fn with(name: &'static str, manner: Manner, long: Duration) -> Self {
        let queue = Queue {
            state: Mutex::default(),
            first: Condvar::new(),
            deputy: Condvar::new(),
            long,
        };
        Self {
            name,
            manner,
            queue: Arc::new(queue),
        }
    }

    /// Has some work done there, behind what was begun before. Should it panic, that ends it and nothing else.
    ///
    /// # Errors
    /// The work, where there is no thread and none can be started.
    pub fn begin(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Work> {
        let mut state = self.queue.lock();
        if !state.threads.0 {
            state.threads.0 = self.start(Role::First, self.manner);
            let has_deputy = state.threads.0 && self.manner == Manner::Idle;
            state.threads.1 = has_deputy && self.start(Role::Deputy, Manner::Nice);
        }
        if !state.threads.0 {
            return Err(Box::new(work));
        }
        state.works.push_back(Box::new(work));
        self.queue.wake(&mut state);
        Ok(())
    }

    fn start(&self, role: Role, manner: Manner) -> bool {
        let queue = Arc::clone(&self.queue);
        let thread = thread::Builder::new().name(self.name.to_owned());
        let work = move || {
            manner.apply();
            queue.work(role);
        };
        thread.spawn(work).is_ok()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.first.notify_one();
        self.queue.deputy.notify_one();
    }
}

// === impl Queue ===

impl Queue {
    /// Does what is to be done, in its turn.
    fn work(&self, role: Role) {
        while let Some((work, ready)) = self.next(role) {
            let before = processor_time();
            // Whoever waits for what it makes sees that it does not come.
            let _ = catch_unwind(AssertUnwindSafe(work));
            let took = ready.map_or(Duration::ZERO, |ready| ready.elapsed());
            let ran = processor_time().saturating_sub(before);
            self.done(role, took > self.long && took > ran * STARVED);
        }
    }

    /// The next piece of work for a thread, and since when it could be done; `None` where there will be none.
    fn next(&self, role: Role) -> Option<(Work, Option<Stopwatch>)> {
        let waits = |state: &mut State| {
            let is_its_turn = (role == Role::Deputy) == (state.pushes > 0);
            match state.works.is_empty() {
                true => !state.is_closed,
                false => state.is_busy || !is_its_turn,
            }
        };
        let woken = match role {
            Role::First => &self.first,
            Role::Deputy => &self.deputy,
        };
        let state = woken.wait_while(self.lock(), waits);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let work = state.works.pop_front()?;
        state.is_busy = true;
        Some((work, state.ready.take()))
    }

    fn done(&self, role: Role, starved: bool) {
        let mut state = self.lock();
        state.is_busy = false;
        state.pushes = match role {
            Role::First if starved && state.threads.1 => PUSHES,
            Role::First => 0,
            Role::Deputy => state.pushes.saturating_sub(1),
        };
        self.wake(&mut state);
    }

    /// Wakes whoever does the next piece of work; with none left, both, which may have waited for that to end.
    fn wake(&self, state: &mut State) {
        if state.works.is_empty() && !state.is_closed || state.is_busy {
            return;
        }
        if !state.works.is_empty() {
            state.ready.get_or_insert_with(Stopwatch::start);
        }
        if state.pushes == 0 || state.works.is_empty() {
            self.first.notify_one();
        }
        if state.pushes > 0 || state.works.is_empty() {
            self.deputy.notify_one();
        }
    }

    /// Work is done without it, so a panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Manner ===

impl Manner {
    /// Makes the calling thread's manner this. Elsewhere than on Linux that would be about the process.
    #[cfg(target_os = "linux")]
    fn apply(self) {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let set = || set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
        let is_idle = self == Self::Idle && set().is_ok();
        if !is_idle && let Err(error) = rustix::process::nice(NICENESS) {
            warn!(%error, "Listing passes run at the priority of requests");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn apply(self) {
        warn!("Listing passes run at the priority of requests");
    }
}

/// How long the calling thread has run.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy,
    };

    /// Nothing takes as long, however busy the machine is.
    const NEVER: Duration = Duration::from_secs(3600);

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

    /// To whoever only looks at the clock, waiting is being starved.
    fn wait(long: Duration) {
        let (_open, never) = channel::<()>();
        let waited = never.recv_timeout(long * 2);
        assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    }

    #[test]
    fn work_is_done_on_a_thread_that_gives_way() {
        let before = manner();
        let nice = (false, (before.1 + NICENESS).min(19));
        for (how, expected) in [(Manner::Idle, (true, before.1)), (Manner::Nice, nice)] {
            let quiet = Quiet::with("quiet", how, NEVER);
            let name = || thread::current().name().map(str::to_owned);
            assert_eq!(made(&quiet, name).flatten().as_deref(), Some("quiet"));
            assert_eq!(made(&quiet, manner), Some(expected));
            assert_eq!(manner(), before, "of its own, not of the process");
        }
    }

    #[test]
    fn work_that_is_starved_goes_on_with_a_share_of_its_own() {
        let long = Duration::from_millis(50);
        let quiet = Quiet::with("quiet", Manner::Idle, long);
        let before = manner();
        let nice = (false, (before.1 + NICENESS).min(19));
        made(&quiet, move || wait(long));
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
    fn work_that_waits_for_its_thread_counts_as_waiting() {
        let long = Duration::from_millis(50);
        let quiet = Quiet::with("quiet", Manner::Idle, long);
        // What was ready before the thread looked.
        let ready = Stopwatch::start();
        wait(long);
        quiet.queue.lock().ready = Some(ready);
        made(&quiet, || ());
        assert!(!made(&quiet, manner).unwrap().0);
    }

    #[test]
    fn work_that_panics_costs_its_result_alone() {
        let quiet = Quiet::with("quiet", Manner::Idle, NEVER);
        let first = made(&quiet, || thread::current().id());
        assert_eq!(made(&quiet, || -> u32 { panic!("planted") }), None);
        assert_eq!(made(&quiet, || thread::current().id()), first);
    }

    #[test]
    fn work_is_done_in_the_order_in_which_it_was_begun_and_to_its_end() {
        let long = Duration::from_millis(50);
        let quiet = Quiet::with("quiet", Manner::Idle, long);
        let (done, results) = channel();
        for number in 0..100 {
            let done = done.clone();
            let work = move || {
                if number == 10 {
                    wait(long);
                }
                done.send(number).unwrap();
            };
            assert!(quiet.begin(work).is_ok());
        }
        drop((done, quiet));
        assert!(results.into_iter().eq(0..100));
    }
}
