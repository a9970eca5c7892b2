//! Restarting from a store, with the inventory away.

use crate::client::get;
use crate::figures::{head, number, per, row};
use crate::serving::path;
use crate::{Setting, store};
use product_catalog::telemetry::Stopwatch;
use std::path::Path;

/// What one round has found; times are in seconds.
struct Round {
    raw: f64,
    /// From exec to the first 200, of the product that a scan meets last.
    first_hit: f64,
    /// From exec until everything is held and indexed.
    loaded: f64,
    /// Resident memory when it is, in bytes.
    resident: u64,
}

/// Measures restarts from the store in `home`: with its files in the system's memory, and without.
pub fn measure(setting: &Setting, home: &Path) -> anyhow::Result<()> {
    setting.inventory.knobs().turn(|faults| faults.away = true);
    let mebibytes = store::bytes(home)? / 1024 / 1024;
    let about = format!("{} products, {mebibytes} MiB", setting.products);
    for is_cold in [false, true] {
        let mut rounds = Vec::new();
        for _ in 0..setting.rounds {
            rounds.extend(Round::measured(setting, home, is_cold)?);
        }
        let state = if is_cold { "cold" } else { "warm" };
        if rounds.is_empty() {
            println!("\nNo `dd` that empties the page cache here: no {state} restart");
        } else {
            print(
                setting,
                &format!("Restart, page cache {state}: {about}"),
                &rounds,
            );
        }
    }
    setting.inventory.knobs().reset();
    Ok(())
}

fn print(setting: &Setting, title: &str, rounds: &[Round]) {
    head(title);
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let products = setting.products as u64;
    row("raw read of the store's files", "ms", of(&|r| r.raw * 1e3));
    row(
        "exec to first 200, of the last product",
        "ms",
        of(&|r| r.first_hit * 1e3),
    );
    row("exec to fully loaded", "ms", of(&|r| r.loaded * 1e3));
    row("fully loaded / raw read", "x", of(&|r| r.loaded / r.raw));
    row(
        "restored",
        "products/s",
        of(&|r| number(products) / r.loaded),
    );
    row(
        "resident a product, payload included",
        "bytes",
        of(&|r| per(r.resident, products)),
    );
}

// === impl Round ===

impl Round {
    /// `None` where `is_cold` can not be had.
    fn measured(setting: &Setting, home: &Path, is_cold: bool) -> anyhow::Result<Option<Self>> {
        let prepare = || anyhow::Ok(!is_cold || store::forget(home)?);
        if !prepare()? {
            return Ok(None);
        }
        let watch = Stopwatch::start();
        store::read(home)?;
        let raw = watch.elapsed().as_secs_f64();

        prepare()?;
        let products = setting.products;
        let last = get(&path(products, products));
        let watch = Stopwatch::start();
        let serving = setting.serve(
            home,
            &[
                ("WARMUP_ON_START", "false"),
                // A read that came too early for the store is soon told so, and asks again.
                ("UPSTREAM_MAX_ATTEMPTS", "1"),
                ("CACHE_FAIL_THROTTLE_MS", "0"),
            ],
        )?;
        let mut client = serving.client()?;
        while client.exchange(last.as_bytes())? != 200 {}
        let first_hit = watch.elapsed().as_secs_f64();
        serving.until(|stats| stats.entries == products && stats.index_complete)?;
        let loaded = watch.elapsed().as_secs_f64();
        let resident = serving.server.resident()?;
        // In order, so that the next start finds the store as a good stop leaves it.
        serving.server.stop()?;
        Ok(Some(Self {
            raw,
            first_hit,
            loaded,
            resident,
        }))
    }
}
