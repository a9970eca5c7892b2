//! Which of two due keys is refreshed first, where there is not room for both.

use crate::clock::Moment;
use std::cmp::Reverse;
use std::time::Duration;

/// Reads are measured over this long at least.
const SHORTEST_MEASURE: Duration = Duration::from_millis(200);

/// How urgent a refresh is; the least is the most urgent.
///
/// Where there is room for all, all go. Where there is not, whoever is read the most comes first, by
/// powers of two of reads per second, and among those the nearest deadline: what is read a thousand times a
/// second and late disappoints a thousand readers, and by deadline alone the overload would be spread
/// over all keys until none were fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    band: Reverse<u32>,
    deadline: Moment,
}

/// How much a key is read, measured now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// When and at which count it was last measured.
    at: Option<(Moment, u32)>,
    /// Reads in sixteen seconds.
    rate: u32,
}

// === impl Urgency ===

impl Urgency {
    /// Of a key that is read so often in sixteen seconds and passes its window at `deadline`.
    pub fn new(rate: u32, deadline: Moment) -> Self {
        Self {
            band: Reverse(rate.checked_ilog2().map_or(0, |log| log + 1)),
            deadline,
        }
    }
}

// === impl Reading ===

impl Reading {
    /// Reads in sixteen seconds, where `reads` were counted up to `now`: half what it was at the last
    /// measure, half what it has been since.
    pub fn rate(&mut self, reads: u32, now: Moment) -> u32 {
        let Some((at, before)) = self.at else {
            self.at = Some((now, reads));
            return self.rate;
        };
        let elapsed = now.since(at);
        if elapsed >= SHORTEST_MEASURE {
            let since = u128::from(reads.wrapping_sub(before)) * 16_000 / elapsed.as_millis();
            let since = u32::try_from(since).unwrap_or(u32::MAX);
            self.rate = self.rate / 2 + since / 2 + (self.rate & since & 1);
            self.at = Some((now, reads));
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn the_more_read_key_goes_first_and_among_equals_the_nearer_deadline() {
        let mut due = [
            Urgency::new(0, at(1)),
            Urgency::new(1000, at(9)),
            Urgency::new(1023, at(7)),
            Urgency::new(1024, at(99)),
        ];
        due.sort_unstable();
        let deadlines: Vec<_> = due.iter().map(|due| due.deadline.as_millis()).collect();
        assert_eq!(deadlines, [99, 7, 9, 1]);
    }

    #[test]
    fn a_rate_follows_what_is_read_and_forgets_what_was() {
        let mut reading = Reading::default();
        assert_eq!(reading.rate(u32::MAX, at(1000)), 0);
        // 100 reads a second, over the counter's end.
        assert_eq!(reading.rate(99, at(2000)), 800);
        assert_eq!(reading.rate(100, at(2001)), 800);
        assert_eq!(reading.rate(199, at(3000)), 1200);
        for second in 4..20 {
            reading.rate(199, at(second * 1000));
        }
        assert_eq!(reading.rate(199, at(20_000)), 0);
    }
}
