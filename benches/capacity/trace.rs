//! A service watched second by second: its memory, and its store.

use crate::process::pause;
use crate::serving::{Serving, Stats};
use crate::{Setting, store};
use product_catalog::telemetry::Stopwatch;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Lines of the table, at most.
const LINES: usize = 24;

/// What was seen so far.
pub struct Trace {
    watch: Stopwatch,
    home: PathBuf,
    samples: Vec<Sample>,
}

/// One look. Sizes are in bytes.
struct Sample {
    /// Seconds since the beginning.
    at: f64,
    /// Products held.
    entries: usize,
    /// Products that had to make room so far.
    evicted: u64,
    /// What counts against the cap.
    accounted: u64,
    resident: u64,
    live: u64,
    /// Length of the store's files; `None` where some went while they were looked at.
    disk: Option<u64>,
}

// === impl Trace ===

impl Trace {
    /// Begins to watch a service whose store lies in `home`.
    pub fn new(home: &Path) -> Self {
        Self {
            watch: Stopwatch::start(),
            home: home.to_owned(),
            samples: Vec::new(),
        }
    }

    /// Looks each second until `is_done`.
    pub fn watch(
        &mut self,
        serving: &Serving,
        mut is_done: impl FnMut(&Stats) -> bool,
    ) -> anyhow::Result<()> {
        loop {
            let stats = serving.stats()?;
            self.samples.push(Sample {
                at: self.watch.elapsed().as_secs_f64(),
                entries: stats.entries,
                evicted: stats.evicted(),
                accounted: stats.bytes,
                resident: serving.server.resident()?,
                live: stats.store.live_bytes,
                disk: sized(&self.home)?,
            });
            if is_done(&stats) {
                return Ok(());
            }
            pause(LOOK_EVERY);
        }
    }

    /// The most that the files ever were, against what was live in them then; beside the 64 MB that a small
    /// store may have over.
    pub fn worst_disk(&self) -> f64 {
        let ratios = self.samples.iter().filter_map(Sample::ratio);
        ratios.fold(0.0, f64::max)
    }

    /// Prints some of the samples, evenly spread, and the last.
    pub fn print(&self, setting: &Setting) {
        println!(
            "{:>8} {:>9} {:>10} {:>13} {:>12} {:>10} {:>8} {:>8} {:>12}",
            "seconds",
            "entries",
            "evicted",
            "accounted MB",
            "resident MB",
            "x the cap",
            "disk MB",
            "live MB",
            "disk / live"
        );
        let step = self.samples.len().div_ceil(LINES).max(1);
        let last = self.samples.len().saturating_sub(1);
        for (number, sample) in self.samples.iter().enumerate() {
            if number % step == 0 || number == last {
                sample.print(setting);
            }
        }
    }
}

// === impl Sample ===

impl Sample {
    fn ratio(&self) -> Option<f64> {
        let disk = self.disk.filter(|_| self.live > 0)?;
        Some(crate::figures::per(disk, self.live))
    }

    fn print(&self, setting: &Setting) {
        let mega = |bytes: u64| crate::figures::number(bytes) / 1024.0 / 1024.0;
        println!(
            "{:>8.0} {:>9} {:>10} {:>13.0} {:>12.0} {:>10.2} {:>8.0} {:>8.0} {:>12.2}",
            self.at,
            self.entries,
            self.evicted,
            mega(self.accounted),
            mega(self.resident),
            crate::figures::per(self.resident, setting.cap_bytes),
            mega(self.disk.unwrap_or_default()),
            mega(self.live),
            self.ratio().unwrap_or_default()
        );
    }
}

/// The length of the store's files. The service may remove some while they are looked at.
fn sized(home: &Path) -> io::Result<Option<u64>> {
    match store::bytes(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some),
    }
}
