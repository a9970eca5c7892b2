//! Warming up, and what the warm service holds.

use crate::bare::Bare;
use crate::client::get;
use crate::figures::{head, number, per, row};
use crate::process::pause;
use crate::serving::{Serving, path};
use crate::{Setting, bare, store};
use anyhow::{Context, ensure};
use product_catalog::telemetry::Stopwatch;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Products that are looked at to know how long one is.
const SAMPLED: usize = 1_000;

/// Until what was written has been flushed, and its size told.
pub const FLUSHED: Duration = Duration::from_millis(1_500);

/// A directory that there can not be: the service runs from memory only.
const NOWHERE: &str = "/dev/null/nowhere";

/// What one warm-up has found.
struct Warm {
    /// From exec until all products are held and indexed, in seconds.
    took: f64,
    /// Until they were written to disk as well, where there is one.
    written: f64,
    /// Processor time of the process, in microseconds a product.
    cpu: f64,
    /// What the cache says it holds, in bytes.
    accounted: u64,
    /// What is live on disk, in bytes.
    live: u64,
    /// Bytes of a body, on average.
    payload: f64,
    /// Resident memory, in bytes: before it knew a product, when it was warm, and the most it ever had.
    idle: u64,
    resident: u64,
    peak: u64,
}

/// What one round has found.
struct Round {
    bare: Bare,
    memory_only: Warm,
    stored: Warm,
    /// Length of the store's files after an orderly stop, in bytes.
    disk: u64,
}

/// Measures warm-ups with and without a store; the folder of the last one's.
pub fn measure(setting: &Setting) -> anyhow::Result<PathBuf> {
    let mut rounds = Vec::new();
    let mut last: Option<PathBuf> = None;
    for _ in 0..setting.rounds {
        let home = setting.fresh()?;
        rounds.push(Round::measured(setting, &home)?);
        if let Some(done) = last.replace(home) {
            std::fs::remove_dir_all(done)?;
        }
    }
    print_warming(setting, &rounds);
    print_holdings(setting, &rounds);
    last.context("no rounds")
}

fn print_warming(setting: &Setting, rounds: &[Round]) {
    let (products, count) = (setting.products, setting.rounds);
    head(&format!("Warm-up of {products} products, {count} rounds"));
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let speed = |seconds: f64| number(setting.products as u64) / seconds;
    let unit = "products/s";
    row(
        "bare loop: page, parse, drop",
        unit,
        of(&|r| speed(r.bare.took)),
    );
    row(
        "exec to held and indexed, memory only",
        unit,
        of(&|r| speed(r.memory_only.took)),
    );
    row(
        "exec to held and indexed, with a store",
        unit,
        of(&|r| speed(r.stored.took)),
    );
    row(
        "exec to written as well",
        unit,
        of(&|r| speed(r.stored.written)),
    );
    row(
        "memory only / bare loop",
        "x",
        of(&|r| r.bare.took / r.memory_only.took),
    );
    row(
        "with a store / bare loop",
        "x",
        of(&|r| r.bare.took / r.stored.took),
    );
    row(
        "written / bare loop",
        "x",
        of(&|r| r.bare.took / r.stored.written),
    );
    row(
        "CPU of the service, memory only",
        "us/product",
        of(&|r| r.memory_only.cpu),
    );
    row(
        "CPU of the service, with a store",
        "us/product",
        of(&|r| r.stored.cpu),
    );
}

fn print_holdings(setting: &Setting, rounds: &[Round]) {
    head("What a product costs");
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let each = |bytes: u64| per(bytes, setting.products as u64);
    let above = |bytes: u64, warm: &Warm| each(bytes) - warm.payload;
    let unit = "bytes";
    row(
        "payload: the rendered JSON",
        unit,
        of(&|r| r.stored.payload),
    );
    row(
        "accounted by the cache, above payload",
        unit,
        of(&|r| above(r.memory_only.accounted, &r.memory_only)),
    );
    row(
        "resident above payload, memory only",
        unit,
        of(&|r| above(r.memory_only.added(), &r.memory_only)),
    );
    row(
        "  at its peak (VmHWM)",
        unit,
        of(&|r| above(r.memory_only.added_at_most(), &r.memory_only)),
    );
    row(
        "resident above payload, with a store",
        unit,
        of(&|r| above(r.stored.added(), &r.stored)),
    );
    row(
        "  at its peak (VmHWM)",
        unit,
        of(&|r| above(r.stored.added_at_most(), &r.stored)),
    );
    row(
        "peak of the process / accounted, with a store",
        "x",
        of(&|r| per(r.stored.peak, r.stored.accounted)),
    );
    row("live in the store", unit, of(&|r| each(r.stored.live)));
    row("on disk", unit, of(&|r| each(r.disk)));
    row("on disk / live", "x", of(&|r| per(r.disk, r.stored.live)));
}

// === impl Round ===

impl Round {
    fn measured(setting: &Setting, home: &Path) -> anyhow::Result<Self> {
        let bare = bare::ask(setting)?;
        let (products, found) = (setting.products, bare.products);
        ensure!(found == products, "of {products} products came {found}");
        let memory_only = [("CACHE_DIR", NOWHERE)];
        Ok(Self {
            bare,
            memory_only: Warm::measured(setting, &setting.fresh()?, &memory_only)?,
            stored: Warm::measured(setting, home, &[])?,
            disk: store::bytes(home)?,
        })
    }
}

// === impl Warm ===

impl Warm {
    fn measured(
        setting: &Setting,
        home: &Path,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let idle = idle(setting, variables)?;
        let watch = Stopwatch::start();
        let serving = setting.serve(home, variables)?;
        let products = setting.products;
        serving.until(|stats| {
            // What does not fit will never be held.
            stats.is_listed() && (stats.entries == products || stats.evicted() > 0)
        })?;
        let took = watch.elapsed().as_secs_f64();
        serving.until_warm(products)?;
        let written = watch.elapsed().as_secs_f64();
        let cpu = serving.server.processor_time()?.as_secs_f64() * 1e6;
        pause(FLUSHED);
        let stats = serving.stats()?;
        let (resident, peak) = (serving.server.resident()?, serving.server.peak()?);
        let payload = payload(&serving, products)?;
        serving.server.stop()?;
        Ok(Self {
            took,
            written,
            cpu: cpu / number(products as u64),
            accounted: stats.bytes,
            live: stats.store.live_bytes,
            payload,
            idle,
            resident,
            peak,
        })
    }

    /// What the products added, in bytes.
    fn added(&self) -> u64 {
        self.resident.saturating_sub(self.idle)
    }

    /// The most they added at any time, in bytes.
    fn added_at_most(&self) -> u64 {
        self.peak.saturating_sub(self.idle)
    }
}

/// Resident memory of a service that knows no product, in bytes.
fn idle(setting: &Setting, variables: &[(&str, &str)]) -> anyhow::Result<u64> {
    let mut variables = variables.to_vec();
    variables.push(("WARMUP_ON_START", "false"));
    let serving = setting.serve(&setting.fresh()?, &variables)?;
    serving.until(|stats| stats.listing.passes == 0)?;
    serving.server.resident()
}

/// Bytes of a body, on average.
fn payload(serving: &Serving, products: usize) -> anyhow::Result<f64> {
    let mut client = serving.client()?;
    let (mut bytes, mut count) = (0, 0);
    for number in (1..=products).step_by(products.div_ceil(SAMPLED)) {
        let answer = client.ask(get(&path(number, products)).as_bytes())?;
        ensure!(answer.status == 200, "product {number}: {}", answer.status);
        bytes += answer.body.len() as u64;
        count += 1;
    }
    Ok(per(bytes, count))
}
