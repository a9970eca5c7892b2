//! Load at a fixed rate, whatever the answers: a slow answer delays no other request's due time, and latency
//! counts from that time, so that nothing is left out of what clients would have waited.

use crate::client::Client;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Until all connections are open.
const HEAD_START: Duration = Duration::from_millis(200);

/// How often something is asked, on how many connections, and for how long at most.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
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
    pub slowest: f64,
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

/// Sends these requests over sockets, one after the other, each at its time, until the time is up or `is_over`.
///
/// # Errors
/// Where one is refused, or a connection breaks.
pub fn run(
    addr: SocketAddr,
    rate: Rate,
    requests: &[Vec<u8>],
    is_over: &AtomicBool,
) -> anyhow::Result<Report> {
    pace(rate, is_over, |number| {
        let mut client = Client::connect(addr)?;
        let mut turns = requests.iter().cycle().skip(number as usize);
        let step = rate.connections as usize;
        Ok(move || {
            let request = turns.next().context("no requests")?;
            if step > 1 {
                turns.nth(step - 2);
            }
            client.exchange(request)
        })
    })
}

/// The same, whatever it is that `connect` gives each connection to ask with.
///
/// # Errors
/// Where one is refused.
pub fn pace<A>(
    rate: Rate,
    is_over: &AtomicBool,
    connect: impl Fn(u32) -> anyhow::Result<A> + Sync,
) -> anyhow::Result<Report>
where
    A: FnMut() -> anyhow::Result<u16>,
{
    // Threads wake up when they should, and not up to 50 µs later. Where that can not be had, all
    // servers look slower by that.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
    let began = now() + HEAD_START;
    let connect = &connect;
    std::thread::scope(|scope| {
        let connections: Vec<_> = (0..rate.connections)
            .map(|number| {
                scope.spawn(move || converse(number, rate, began, connect(number)?, is_over))
            })
            .collect();
        let mut all = Seen::default();
        for connection in connections {
            let seen = connection.join().ok().context("a connection panicked")??;
            all.nanos.extend(seen.nanos);
            all.unsent += seen.unsent;
        }
        Ok(all.report())
    })
}

/// Asks when it is time to.
fn converse(
    number: u32,
    rate: Rate,
    began: Instant,
    mut ask: impl FnMut() -> anyhow::Result<u16>,
    is_over: &AtomicBool,
) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let pause = Duration::from_secs(1) * rate.connections / rate.per_second;
    let end = began + rate.lasts;
    let mut due = began + pause * number / rate.connections;
    while due < end && !is_over.load(Ordering::Relaxed) {
        wait_until(due);
        if now() < end {
            let status = ask()?;
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

// === impl Seen ===

impl Seen {
    fn report(mut self) -> Report {
        self.nanos.sort_unstable();
        let at = |hundredths: usize| {
            let place = self.nanos.len().saturating_sub(1) * hundredths / 100;
            let nanos = self.nanos.get(place).copied().unwrap_or_default();
            Duration::from_nanos(nanos).as_secs_f64() * 1e6
        };
        Report {
            requests: self.nanos.len() - self.unsent,
            unsent: self.unsent,
            p50: at(50),
            p99: at(99),
            slowest: at(100),
        }
    }
}
