//! Memory, second by second, while more products come than the cap can hold, and while they are read.

use crate::Setting;
use crate::churn::{Traffic, busy};
use crate::figures::per;
use crate::trace::Trace;

/// Measures it once: what counts is the most that there ever is.
pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let home = setting.fresh()?;
    let mut trace = Trace::new(&home);
    let serving = setting.serve(&home, &[])?;
    trace.watch(&serving, |stats| {
        stats.listing.passes > 0 && stats.is_written()
    })?;
    let report = busy(setting, &serving, Traffic::Reads, &mut trace)?;
    println!(
        "\nMemory with a cap of {} MB: {} products are listed, then read for {:?}, all as popular",
        setting.cap, setting.products, setting.lasts
    );
    trace.print(setting);
    let peak = serving.server.peak()?;
    println!(
        "  VmHWM {} MB, {:.2} x the cap; {} reads, p50 {:.0} us, p99 {:.0} us",
        peak / 1024 / 1024,
        per(peak, setting.cap_bytes),
        report.requests,
        report.p50,
        report.p99
    );
    drop(serving);
    Ok(std::fs::remove_dir_all(home)?)
}
