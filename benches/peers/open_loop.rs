//! Load at a fixed rate, whatever the answers: a slow answer delays no other request's due time, and latency
//! counts from that time, so that nothing is left out of what clients would have waited.

use crate::client::Client;
use crate::requests;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Until all connections are open.
const HEAD_START: Duration = Duration::from_millis(200);

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub addr: SocketAddr,
    pub per_second: u32,
    pub connections: u32,
    pub lasts: Duration,
}

/// What came of it. Latencies are in microseconds from when a request was due to its whole answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub requests: usize,
    /// Those that were due but not sent, because the answers before them took too long.
    pub unsent: usize,
    pub p50: f64,
    pub p99: f64,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    nanos: Vec<u64>,
    unsent: usize,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client has no clock of the service"
)]
fn now() -> Instant {
    Instant::now()
}

/// Sends the requests in `file`, one after the other, each at its time.
pub fn run(rate: Rate, file: &Path) -> anyhow::Result<Report> {
    // Threads wake up when they should, and not up to 50 µs later. Where that can not be had, all
    // servers look slower by that.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let requests = Arc::new(requests::read(file)?);
    let began = now() + HEAD_START;
    let connections: Vec<_> = (0..rate.connections)
        .map(|number| {
            let requests = Arc::clone(&requests);
            std::thread::spawn(move || converse(number, rate, began, &requests))
        })
        .collect();
    let mut all = Seen::default();
    for connection in connections {
        let seen = connection.join().ok().context("a connection panicked")??;
        all.nanos.extend(seen.nanos);
        all.unsent += seen.unsent;
    }
    all.nanos.sort_unstable();
    let at = |hundredths: usize| {
        let place = all.nanos.len().saturating_sub(1) * hundredths / 100;
        let nanos = all.nanos.get(place).copied().unwrap_or_default();
        Duration::from_nanos(nanos).as_secs_f64() * 1e6
    };
    Ok(Report {
        requests: all.nanos.len() - all.unsent,
        unsent: all.unsent,
        p50: at(50),
        p99: at(99),
    })
}

fn converse(number: u32, rate: Rate, began: Instant, requests: &[Vec<u8>]) -> anyhow::Result<Seen> {
    let mut client = Client::connect(rate.addr)?;
    let mut seen = Seen::default();
    let pause = Duration::from_secs(1) * rate.connections / rate.per_second;
    let end = began + rate.lasts;
    let mut due = began + pause * number / rate.connections;
    let mut turns = requests.iter().cycle().skip(number as usize);
    while due < end {
        wait_until(due);
        if now() < end {
            let request = turns.next().context("no requests")?;
            turns.nth(rate.connections as usize - 2);
            let status = client.exchange(request)?;
            ensure!(status < 400, "a request was answered with {status}");
        } else {
            seen.unsent += 1;
        }
        let nanos = now().duration_since(due).as_nanos();
        seen.nanos.push(u64::try_from(nanos)?);
        due += pause;
    }
    Ok(seen)
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
