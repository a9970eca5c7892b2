//! Memory and disk under reads and writes of more products than the cap can hold, so that keys come, go and
//! come back.

use crate::Setting;
use crate::client::{Client, get};
use crate::figures::per;
use crate::open_loop::{self, Rate, Report};
use crate::serving::{Serving, path, put};
use crate::trace::Trace;
use anyhow::{Context, ensure};
use std::sync::atomic::AtomicBool;

/// Connections that requests come on.
const CONNECTIONS: u32 = 32;

/// Requests that are made up before; then they begin again.
const SEQUENCE: usize = 100_000;

/// One in so many requests is a write.
const WRITE_EVERY: usize = 10;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    Reads,
    ReadsAndWrites,
}

/// Measures it once: what counts is the most that there ever is.
pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let home = setting.fresh()?;
    let mut trace = Trace::new(&home);
    let serving = setting.serve(&home, &[])?;
    trace.watch(&serving, |stats| {
        stats.listing.passes > 0 && stats.is_written()
    })?;
    let report = busy(setting, &serving, Traffic::ReadsAndWrites, &mut trace)?;
    println!(
        "\nChurn with a cap of {} MB: {} products, {} requests a second, one in {WRITE_EVERY} a write, for {:?}",
        setting.cap, setting.products, setting.per_second, setting.lasts
    );
    trace.print(setting);
    let stats = serving.stats()?;
    let evicted: u64 = stats.evictions.values().sum();
    let peak = serving.server.peak()?;
    println!(
        "  VmHWM {} MB, {:.2} x the cap; disk / live at most {:.2}; {} requests, {} not sent in time, p50 {:.0} us, p99 {:.0} us; {evicted} evictions",
        peak / 1024 / 1024,
        per(peak, setting.cap_bytes),
        trace.worst_disk(),
        report.requests,
        report.unsent,
        report.p50,
        report.p99
    );
    if evicted == 0 {
        println!("  Everything fits: this was no churn. Take a smaller --cap or more --products");
    }
    drop(serving);
    Ok(std::fs::remove_dir_all(home)?)
}

/// Keeps a service busy for as long as the setting says, and watches it meanwhile.
pub fn busy(
    setting: &Setting,
    serving: &Serving,
    traffic: Traffic,
    trace: &mut Trace,
) -> anyhow::Result<Report> {
    let requests = requests(setting, traffic)?;
    let rate = Rate {
        per_second: setting.per_second,
        connections: CONNECTIONS,
        lasts: setting.lasts,
    };
    let addr = serving.server.addr;
    let never = AtomicBool::new(false);
    let clients = std::thread::spawn(move || open_loop::run(addr, rate, &requests, &never));
    trace.watch(serving, |_| clients.is_finished())?;
    clients.join().ok().context("a client panicked")?
}

/// Requests about products that are all as popular.
fn requests(setting: &Setting, traffic: Traffic) -> anyhow::Result<Vec<Vec<u8>>> {
    let products = setting.products;
    let mut random = fastrand::Rng::with_seed(1);
    // Products as the inventory knows them, whoever holds them.
    let mut client = Client::connect(setting.inventory_addr)?;
    let mut requests = Vec::with_capacity(SEQUENCE);
    for number in 0..SEQUENCE {
        let path = path(random.usize(1..=products), products);
        let is_write = traffic == Traffic::ReadsAndWrites && number % WRITE_EVERY == 0;
        requests.push(if is_write {
            let product = client.ask(get(&path).as_bytes())?;
            ensure!(product.status == 200, "no {path}: {}", product.status);
            put(&path, &product, random.usize(1..100_000))?.into_bytes()
        } else {
            get(&path).into_bytes()
        });
    }
    Ok(requests)
}
