//! The one source of "now".

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A wall clock that never runs backwards and that follows `tokio::time::pause()`.
///
/// Ages are persisted, so they need wall time; inside one process they must not jump with it.
/// Reading the wall once and adding monotonic time gives both.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Moment,
    started: Instant,
}

/// A point in time, in whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

// === impl Clock ===

impl Clock {
    /// Starts a clock at the current wall time.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the place everyone else asks"
    )]
    pub fn start() -> Self {
        Self::starting_at(Moment::from(SystemTime::now()))
    }

    /// Starts a clock that believes the wall shows `wall`.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the place everyone else asks"
    )]
    pub fn starting_at(wall: Moment) -> Self {
        Self {
            wall,
            started: Instant::now(),
        }
    }

    /// The current time.
    pub fn now(&self) -> Moment {
        self.wall + self.started.elapsed()
    }
}

// === impl Moment ===

impl Moment {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: the resolution of HTTP dates.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long ago `earlier` was; zero if it is in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Moment {
    type Output = Self;

    /// Times before 1970 count as 1970.
    fn sub(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(by))
    }
}

impl From<SystemTime> for Moment {
    /// Times before 1970 count as 1970.
    fn from(time: SystemTime) -> Self {
        Self::default() + time.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> Self {
        UNIX_EPOCH + Duration::from_millis(moment.0)
    }
}
