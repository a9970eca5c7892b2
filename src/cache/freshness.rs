//! When an entry may answer: pure rules over its age.

use std::time::Duration;

/// The longest share of a window that jitter takes away, in thousandths.
pub const MAX_JITTER_PER_MILLE: u16 = 100;

/// How long an entry may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How old an entry may be and still be fresh; `None` never expires.
    pub window: Option<Duration>,
    /// How long past the window readers get the old value at once while it is refreshed.
    pub stale_while_revalidate: Duration,
    /// How long past the window the old value may answer while refreshing fails.
    pub grace: Duration,
}

/// Whether the upstream's word for an entry still stands, its age apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trust {
    /// It does.
    Confirmed = 0,
    /// Not known (an unclean stop, a broad invalidation): answer as stale until confirmed.
    Unconfirmed = 1,
    /// Somebody said this very entry changed: the next reader waits for the new value.
    Doubted = 2,
}

/// What may be done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer from it.
    Fresh {
        /// What remains of the window; [`Duration::MAX`] if it never expires.
        remaining: Duration,
    },
    /// Answer from it at once, marked stale, and refresh in the background.
    Stale,
    /// Wait for a refresh; answer from it, marked stale, only if that fails.
    Overdue,
    /// Never answer from it.
    Expired,
}

// === impl Rule ===

impl Rule {
    /// Judges an entry of this `age`. `jitter_per_mille` shortens the window.
    ///
    /// Bounds are inclusive: an entry exactly as old as its window is fresh (DESIGN section 2).
    pub fn judge(&self, age: Duration, trust: Trust, jitter_per_mille: u16) -> Verdict {
        let Some(window) = self.window else {
            return match trust {
                Trust::Confirmed => Verdict::Fresh {
                    remaining: Duration::MAX,
                },
                Trust::Unconfirmed => Verdict::Stale,
                Trust::Doubted => Verdict::Overdue,
            };
        };
        let jitter = window / 1000 * u32::from(jitter_per_mille.min(MAX_JITTER_PER_MILLE));
        let window = window - jitter;
        if age > window + self.grace {
            return Verdict::Expired;
        }
        let tolerated = window + self.stale_while_revalidate.min(self.grace);
        match trust {
            Trust::Doubted => Verdict::Overdue,
            Trust::Confirmed if age <= window => Verdict::Fresh {
                remaining: window - age,
            },
            Trust::Confirmed | Trust::Unconfirmed if age <= tolerated => Verdict::Stale,
            Trust::Confirmed | Trust::Unconfirmed => Verdict::Overdue,
        }
    }
}

// === impl Trust ===

impl Trust {
    /// The word on the console.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::Doubted => "doubted",
        }
    }
}

impl From<u8> for Trust {
    fn from(byte: u8) -> Self {
        match byte {
            0 => Self::Confirmed,
            1 => Self::Unconfirmed,
            _ => Self::Doubted,
        }
    }
}

// === impl Verdict ===

impl Verdict {
    /// The word on the console.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh { .. } => "fresh",
            Self::Stale => "stale",
            Self::Overdue => "overdue",
            Self::Expired => "expired",
        }
    }

    /// What remains of the window; zero unless fresh.
    pub const fn remaining(self) -> Duration {
        match self {
            Self::Fresh { remaining } => remaining,
            Self::Stale | Self::Overdue | Self::Expired => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULE: Rule = Rule {
        window: Some(Duration::from_secs(100)),
        stale_while_revalidate: Duration::from_secs(10),
        grace: Duration::from_secs(1000),
    };

    fn judge(age: u64, trust: Trust) -> Verdict {
        RULE.judge(Duration::from_secs(age), trust, 0)
    }

    #[test]
    fn an_entry_passes_from_fresh_over_stale_and_overdue_to_expired() {
        let fresh = |secs| Verdict::Fresh {
            remaining: Duration::from_secs(secs),
        };
        for (age, confirmed, unconfirmed, doubted) in [
            (0, fresh(100), Verdict::Stale, Verdict::Overdue),
            (100, fresh(0), Verdict::Stale, Verdict::Overdue),
            (101, Verdict::Stale, Verdict::Stale, Verdict::Overdue),
            (110, Verdict::Stale, Verdict::Stale, Verdict::Overdue),
            (111, Verdict::Overdue, Verdict::Overdue, Verdict::Overdue),
            (1100, Verdict::Overdue, Verdict::Overdue, Verdict::Overdue),
            (1101, Verdict::Expired, Verdict::Expired, Verdict::Expired),
        ] {
            assert_eq!(judge(age, Trust::Confirmed), confirmed, "{age}");
            assert_eq!(judge(age, Trust::Unconfirmed), unconfirmed, "{age}");
            assert_eq!(judge(age, Trust::Doubted), doubted, "{age}");
        }
    }

    #[test]
    fn a_window_of_none_never_expires() {
        let rule = Rule {
            window: None,
            ..RULE
        };
        let age = Duration::from_secs(1 << 40);
        assert_eq!(
            rule.judge(age, Trust::Confirmed, 100),
            Verdict::Fresh {
                remaining: Duration::MAX
            }
        );
    }

    #[test]
    fn without_grace_nothing_answers_past_its_window() {
        let rule = Rule {
            grace: Duration::ZERO,
            ..RULE
        };
        let age = Duration::from_secs(101);
        assert_eq!(rule.judge(age, Trust::Confirmed, 0), Verdict::Expired);
    }

    proptest! {
        #[test]
        fn an_older_or_more_jittered_entry_is_never_judged_better(
            age in 0u64..2_000_000, older in 0u64..100_000, jitter in 0u16..=100, more in 0u16..=50,
        ) {
            let rank = |verdict| match verdict {
                Verdict::Fresh { .. } => 0,
                Verdict::Stale => 1,
                Verdict::Overdue => 2,
                Verdict::Expired => 3,
            };
            let now = RULE.judge(Duration::from_millis(age), Trust::Confirmed, jitter);
            let later = RULE.judge(Duration::from_millis(age + older), Trust::Confirmed, jitter + more);
            prop_assert!(rank(now) <= rank(later));
            if let Verdict::Fresh { remaining } = now {
                prop_assert!(Duration::from_millis(age) + remaining <= Duration::from_secs(100));
            }
        }
    }
}
