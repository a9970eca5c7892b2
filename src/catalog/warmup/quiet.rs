//! A thread for work that nobody waits for: it gives way to those that serve.
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

/// The thread. It starts with the first work, and ends when this is dropped.
#[derive(Default)]
pub(in crate::catalog) struct Quiet(Mutex<Option<Sender<Work>>>);

// === impl Quiet ===

impl Quiet {
    /// Does some work there and waits for it, on a thread that may block. `None` if it panicked.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = channel();
        let work: Work = Box::new(move || {
            if let Ok(made) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = done.send(made);
            }
        });
        if let Err(work) = self.hand_over(work) {
            work();
        }
        result.recv().ok()
    }

    /// Gives work to the thread; gives it back where there is none and none can be started.
    fn hand_over(&self, work: Work) -> Result<(), Work> {
        // Holds nothing but the way to the thread: a panic elsewhere can not leave it half changed.
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match thread.take() {
            Some(sender) => sender,
            None => match start() {
                Ok(sender) => sender,
                Err(_) => return Err(work),
            },
        };
        let sent = sender.send(work);
        *thread = sent.is_ok().then_some(sender);
        sent.map_err(|unsent| unsent.0)
    }
}

fn start() -> std::io::Result<Sender<Work>> {
    let (sender, work): (_, Receiver<Work>) = channel();
    let run = move || {
        // On Linux this is about the calling thread alone.
        if let Err(error) = rustix::process::nice(NICENESS) {
            warn!(%error, "Listing passes run at the priority of requests");
        }
        work.into_iter().for_each(|work| work());
    };
    thread::Builder::new()
        .name("listing".to_owned())
        .spawn(run)?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::nice(0).unwrap()
    }

    #[test]
    fn work_is_done_on_one_thread_that_gives_way() {
        let quiet = Quiet::default();
        let before = niceness();
        let name = || thread::current().name().map(str::to_owned);
        assert_eq!(quiet.run(name).flatten().as_deref(), Some("listing"));
        assert_eq!(quiet.run(niceness), Some((before + NICENESS).min(19)));
        assert_eq!(niceness(), before, "of its own, not of the process");
    }

    #[test]
    fn work_that_panics_costs_its_result_alone() {
        let quiet = Quiet::default();
        let first = quiet.run(|| thread::current().id());
        assert_eq!(quiet.run(|| -> u32 { panic!("planted") }), None);
        assert_eq!(quiet.run(|| thread::current().id()), first);
    }
}
