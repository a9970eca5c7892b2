//! Memory and disk under reads and writes of more products than the cap can hold, so that keys come, go and
//! come back.

use crate::Setting;
use crate::client::{Answer, Client, get};
use crate::figures::per;
use crate::open_loop::{self, Rate, Report};
use crate::serving::{Serving, path, put};
use crate::trace::Trace;
use anyhow::{Context, ensure};
use std::sync::atomic::AtomicBool;

/// Connections that requests come on.
const CONNECTIONS: u32 = 32;

/// One in so many requests is a write.
const WRITE_EVERY: u32 = 10;

/// What there is to be written.
const CONTENTS: usize = 1_000;

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
    let evicted = stats.evicted();
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
    let rate = Rate {
        per_second: setting.per_second,
        connections: CONNECTIONS,
        lasts: setting.lasts,
    };
    let (addr, products) = (serving.server.addr, setting.products);
    let contents = contents(setting)?;
    let connect = move |number: u32| {
        let mut client = Client::connect(addr)?;
        let mut random = fastrand::Rng::with_seed(number.into());
        let contents = contents.clone();
        Ok(move || {
            let path = path(random.usize(1..=products), products);
            let is_write = traffic == Traffic::ReadsAndWrites && random.u32(0..WRITE_EVERY) == 0;
            let request = match random.choice(&contents).filter(|_| is_write) {
                Some(content) => put(&path, content, random.usize(1..100_000))?,
                None => get(&path),
            };
            client.exchange(request.as_bytes())
        })
    };
    let never = AtomicBool::new(false);
    let clients = std::thread::spawn(move || open_loop::pace(rate, &never, connect));
    trace.watch(serving, |_| clients.is_finished())?;
    clients.join().ok().context("a client panicked")?
}

/// What writers write: some products as the inventory knows them.
fn contents(setting: &Setting) -> anyhow::Result<Vec<Answer>> {
    let products = setting.products;
    let mut client = Client::connect(setting.inventory_addr)?;
    let numbers = (1..=products).step_by(products.div_ceil(CONTENTS));
    let content = |number| {
        let product = client.ask(get(&path(number, products)).as_bytes())?;
        ensure!(
            product.status == 200,
            "product {number}: {}",
            product.status
        );
        Ok(product)
    };
    numbers.map(content).collect()
}
