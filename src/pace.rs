//! Giving way within long work.
//!
//! A kernel lets a thread go on until its turn is over, some milliseconds, even where another of a higher
//! priority has been woken meanwhile. Whoever works for long offers its processor every few steps, so that a
//! request that has come waits for those and not for the turn. Where nobody waits, that costs a system call
//! of less than half a microsecond.

use std::thread;
use std::time::{Duration, Instant};

/// It is offered after so many steps: some 200 µs of a listing pass.
const STEPS: u32 = 32;

/// Who was kept waiting goes on for a ninth of that time before offering it again: under a load that never rests, a
/// tenth of the processor is left to the work.
const PATIENCE: u32 = 9;

/// Counts the steps of a work. None may be counted with a lock in hand that requests want.
#[derive(Debug)]
pub struct Pace {
    steps: u32,
    resumed_at: Instant,
    /// How long it was kept waiting the last time.
    waited: Duration,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            steps: 0,
            resumed_at: now(),
            waited: Duration::ZERO,
        }
    }
}

impl Pace {
    /// A step is done: now and then, whoever waits for this processor is let go first.
    pub fn step(&mut self) {
        self.steps += 1;
        if self.steps < STEPS {
            return;
        }
        self.steps = 0;
        let offered_at = now();
        if offered_at.duration_since(self.resumed_at) * PATIENCE >= self.waited {
            thread::yield_now();
            self.resumed_at = now();
            self.waited = self.resumed_at.duration_since(offered_at);
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a processor's time goes on where that of a test stands still"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_way_every_few_steps_unless_it_was_kept_waiting() {
        let mut pace = Pace::default();
        let mut offers = |steps, waited| {
            pace.waited = waited;
            let before = pace.resumed_at;
            (0..steps).for_each(|_| pace.step());
            pace.resumed_at != before
        };
        let hour = Duration::from_secs(3_600);
        assert!(!offers(STEPS - 1, Duration::ZERO));
        assert!(offers(1, Duration::ZERO));
        assert!(!offers(10 * STEPS, hour), "its turn has just begun");
        assert!(offers(STEPS, Duration::ZERO));
    }
}
