//! A thread for work that no request waits for: it gives way to those that serve.
//!
//! A listing pass keeps a processor busy for as long as it lasts. At a lower priority it takes what requests
//! leave, and a request that comes in does not wait for a page to be decoded first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use tracing::warn;

/// How much the thread gives way, of 19: against a request it has a tenth of a processor, not nothing, so
/// that a pass ends under any load.
const NICENESS: i32 = 10;

type Work = Box<dyn FnOnce() + Send>;

/// A thread. It starts with the first work, and ends when this is dropped.
pub(in crate::catalog) struct Quiet {
    name: &'static str,
    thread: Mutex<Option<Sender<Work>>>,
}

// === impl Quiet ===

impl Quiet {
    /// A thread of this name, which Linux cuts at 15 characters.
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            thread: Mutex::default(),
        }
    }

    /// Has some work done there, behind what was begun before. Should it panic, that ends it and nothing else.
    ///
    /// # Errors
    /// The work, where there is no thread and none can be started.
    pub fn begin(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Work> {
        // Holds nothing but the way to the thread: a panic elsewhere can not leave it half changed.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let work: Work = Box::new(work);
        let sender = match thread.take() {
            Some(sender) => sender,
            None => match start(self.name) {
                Ok(sender) => sender,
                Err(_) => return Err(work),
            },
        };
        let sent = sender.send(work);
        *thread = sent.is_ok().then_some(sender);
        sent.map_err(|unsent| unsent.0)
    }
}

fn start(name: &str) -> std::io::Result<Sender<Work>> {
    let (sender, work): (_, Receiver<Work>) = channel();
    let run = move || {
        // On Linux this is about the calling thread alone.
        if let Err(error) = rustix::process::nice(NICENESS) {
            warn!(%error, "Listing passes run at the priority of requests");
        }
        for work in work {
            // Whoever waits for what it makes sees that it does not come.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::nice(0).unwrap()
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
    fn work_is_done_on_one_thread_that_gives_way() {
        let quiet = Quiet::named("quiet");
        let before = niceness();
        let name = || thread::current().name().map(str::to_owned);
        assert_eq!(made(&quiet, name).flatten().as_deref(), Some("quiet"));
        assert_eq!(made(&quiet, niceness), Some((before + NICENESS).min(19)));
        assert_eq!(niceness(), before, "of its own, not of the process");
    }

    #[test]
    fn work_that_panics_costs_its_result_alone() {
        let quiet = Quiet::named("quiet");
        let first = made(&quiet, || thread::current().id());
        assert_eq!(made(&quiet, || -> u32 { panic!("planted") }), None);
        assert_eq!(made(&quiet, || thread::current().id()), first);
    }

    #[test]
    fn work_is_done_in_the_order_in_which_it_was_begun() {
        let quiet = Quiet::named("quiet");
        let (done, results) = channel();
        for number in 0..100 {
            let done = done.clone();
            assert!(quiet.begin(move || done.send(number).unwrap()).is_ok());
        }
        drop(done);
        assert!(results.into_iter().eq(0..100));
    }
}
