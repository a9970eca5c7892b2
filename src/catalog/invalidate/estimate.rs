//! How long a refill takes, said beforehand: rather too long than too short.

use crate::catalog::warmup::Progress;
use std::num::NonZeroU32;
use std::time::Duration;

/// How long a pass waits for further orders before it begins.
pub(in crate::catalog) const DEBOUNCE: Duration = Duration::from_millis(250);

/// What is known about the pace of calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a page took in the last pass.
    pub page: Option<Duration>,
    /// How long the last call took.
    pub call: Option<Duration>,
    /// How long a call may take: what is reckoned with where nothing has been measured.
    pub longest_call: Duration,
    /// How many calls may be under way at once.
    pub most_calls: usize,
    /// How many there may be in a second.
    pub most_a_second: Option<NonZeroU32>,
}

// === impl Pace ===

impl Pace {
    /// How long `calls` on demand take.
    pub fn of_calls(&self, calls: u64) -> Duration {
        let rounds = calls.div_ceil(self.most_calls.max(1) as u64);
        let pure = self.call.unwrap_or(self.longest_call) * count(rounds);
        pure.max(self.interval() * count(calls))
    }

    /// How long it takes until a pass of so many calls is through that begins when the one under way
    /// has ended.
    pub fn of_pass(&self, calls: u64, under_way: u64) -> Duration {
        let measured = self.page.into_iter().chain(self.call).max();
        let each = measured.unwrap_or(self.longest_call).max(self.interval());
        let pure = each * count(calls.saturating_add(under_way));
        DEBOUNCE + pure + pure / 4
    }

    /// The least there is between two calls.
    fn interval(&self) -> Duration {
        let rate = self.most_a_second;
        rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get())
    }
}

/// Calls that the pass under way still needs, if there is one; `calls` are those of a whole one.
pub(super) fn left(progress: &Progress, calls: u64, page_size: u32) -> u64 {
    if !progress.running {
        return 0;
    }
    let left = progress.total.map(|total| {
        let products = total.saturating_sub(progress.confirmed);
        // One more is decoded while the next is fetched.
        products.div_ceil(page_size.into()) + 1
    });
    left.unwrap_or(calls)
}

fn count(calls: u64) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        page: Some(Duration::from_millis(400)),
        call: Some(Duration::from_millis(100)),
        longest_call: Duration::from_secs(3),
        most_calls: 64,
        most_a_second: None,
    };

    #[test]
    fn a_pass_is_reckoned_by_the_slower_of_what_was_measured() {
        assert_eq!(PACE.of_pass(10, 0), Duration::from_millis(5250));
        assert_eq!(PACE.of_pass(10, 5), Duration::from_millis(7750));
        let slower = Pace {
            call: Some(Duration::from_secs(1)),
            ..PACE
        };
        assert_eq!(slower.of_pass(10, 0), Duration::from_millis(12_750));
    }

    #[test]
    fn calls_wait_for_each_other_where_so_many_a_second_are_all_there_may_be() {
        let limited = Pace {
            most_a_second: NonZeroU32::new(2),
            ..PACE
        };
        assert_eq!(limited.of_pass(8, 0), Duration::from_millis(5250));
        assert_eq!(limited.of_calls(10), Duration::from_secs(5));
        let slow = Pace {
            page: Some(Duration::from_secs(1)),
            ..limited
        };
        assert_eq!(slow.of_pass(8, 0), Duration::from_millis(10_250));
    }

    #[test]
    fn where_nothing_was_measured_calls_take_as_long_as_they_may() {
        let unknown = Pace {
            page: None,
            call: None,
            ..PACE
        };
        assert_eq!(unknown.of_pass(4, 0), Duration::from_millis(15_250));
        assert_eq!(unknown.of_calls(65), Duration::from_secs(6));
        assert_eq!(PACE.of_calls(0), Duration::ZERO);
    }

    #[test]
    fn a_pass_under_way_is_waited_for() {
        let mut progress = Progress::default();
        assert_eq!(left(&progress, 10, 500), 0);
        progress.running = true;
        assert_eq!(left(&progress, 10, 500), 10, "nobody knows how far it is");
        progress.total = Some(5000);
        progress.confirmed = 4000;
        assert_eq!(left(&progress, 10, 500), 3);
    }
}
