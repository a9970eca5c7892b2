//! Restarting from a store, with the inventory away.

use crate::alone::{PATIENCE, Restore, Role, ask, network};
use crate::figures::{head, number, per, row};
use crate::{Setting, last_product, store};
use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Request;
use product_catalog::telemetry::Stopwatch;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tower::ServiceExt;

/// How often the binary is asked.
const POLL_EVERY: Duration = Duration::from_millis(1);

/// What one round has found; times are in seconds.
struct Round {
    raw: f64,
    started: Restore,
    executed: f64,
}

/// The real binary, serving. Ended when it is dropped.
struct Serving(Child);

/// Measures restarts from the store in `dir`: with its files in the system's memory, and without.
pub fn measure(setting: &Setting, dir: &Path) -> anyhow::Result<()> {
    setting.inventory.knobs().turn(|faults| faults.away = true);
    let mebibytes = store::bytes(dir)? / 1024 / 1024;
    let about = format!("{} products, {mebibytes} MiB", setting.products);
    for is_cold in [false, true] {
        let mut rounds = Vec::new();
        for _ in 0..setting.rounds {
            match Round::measured(setting, dir, is_cold)? {
                Some(round) => rounds.push(round),
                None => {
                    println!("\nNo `dd` that empties the page cache here: no cold restart");
                    return Ok(());
                }
            }
        }
        let state = if is_cold { "cold" } else { "warm" };
        print(&format!("Restart, page cache {state}: {about}"), &rounds);
    }
    Ok(())
}

fn print(title: &str, rounds: &[Round]) {
    head(title);
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let unit = "ms";
    row("raw read of the store's files", unit, of(&|r| r.raw * 1e3));
    row(
        "build to first hit, of the last product",
        unit,
        of(&|r| r.started.first_hit * 1e3),
    );
    row(
        "build to fully loaded",
        unit,
        of(&|r| r.started.loaded * 1e3),
    );
    row(
        "fully loaded / raw read",
        "x",
        of(&|r| r.started.loaded / r.raw),
    );
    let per_second = |r: &Round| number(r.started.products) / r.started.loaded;
    row("restored", "products/s", of(&per_second));
    row(
        "exec of the binary to first 200, of the same",
        unit,
        of(&|r| r.executed * 1e3),
    );
    let resident = |r: &Round| per(r.started.memory.added(), r.started.products);
    row(
        "resident a product, payload included",
        "bytes",
        of(&resident),
    );
    let peak = |r: &Round| per(r.started.memory.added_at_most(), r.started.products);
    row("  at its peak (VmHWM)", "bytes", of(&peak));
}

// === impl Round ===

impl Round {
    /// `None` where `is_cold` can not be had.
    fn measured(setting: &Setting, dir: &Path, is_cold: bool) -> anyhow::Result<Option<Self>> {
        let prepare = || anyhow::Ok(!is_cold || store::forget(dir)?);
        if !prepare()? {
            return Ok(None);
        }
        let watch = Stopwatch::start();
        store::read(dir)?;
        let raw = watch.elapsed().as_secs_f64();

        prepare()?;
        let started: Restore = ask(Role::Restore, setting, Some(dir))?;
        let (products, restored) = (setting.products as u64, started.products);
        ensure!(
            restored == products,
            "of {products} products came {restored}"
        );

        prepare()?;
        let executed = setting.runtime.block_on(execute(setting, dir))?;
        Ok(Some(Self {
            raw,
            started,
            executed: executed.as_secs_f64(),
        }))
    }
}

/// Runs the binary until it has answered with a product.
async fn execute(setting: &Setting, dir: &Path) -> anyhow::Result<Duration> {
    let (public, internal) = (free_port()?, free_port()?);
    let url = format!("http://{public}");
    let product = format!("{url}{}", last_product(setting.products));
    let client = network(&url)?;
    let watch = Stopwatch::start();
    let serving = Serving(
        Command::new(env!("CARGO_BIN_EXE_product-catalog"))
            .arg("serve")
            .env_clear()
            .envs([
                ("UPSTREAM_API", setting.upstream.as_str()),
                ("API_KEY", "none"),
                ("WARMUP_ON_START", "false"),
                ("UPSTREAM_MAX_ATTEMPTS", "1"),
                ("CACHE_FAIL_THROTTLE_MS", "0"),
                ("DRAIN_DELAY_SECONDS", "0"),
                ("HTTP_ADDR", &public),
                ("METRICS_ADDR", &internal),
            ])
            .env("CACHE_DIR", dir)
            .stdout(Stdio::null())
            .spawn()?,
    );
    loop {
        let request = Request::get(&product).body(Bytes::new())?;
        let answer = client.clone().oneshot(request).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        ensure!(watch.elapsed() < PATIENCE, "the binary does not answer");
        tokio::time::sleep(POLL_EVERY).await;
    }
    let took = watch.elapsed();
    serving.stop()?;
    Ok(took)
}

/// A loopback address that was free a moment ago.
fn free_port() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

// === impl Serving ===

impl Serving {
    /// Stops it in order, so that the next start finds the store as a good stop leaves it.
    fn stop(mut self) -> anyhow::Result<()> {
        let signal = format!("kill -TERM {}", self.0.id());
        let asked = Command::new("sh").args(["-c", &signal]).status();
        asked.context("no `sh` to send a signal with")?;
        let ended = self.0.wait()?;
        ensure!(ended.success(), "the binary ended with {ended}");
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
