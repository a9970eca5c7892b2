//! An inventory that goes away for a while and comes back, under steady load from real clients: what
//! they get, and what the inventory sees.
//!
//! See `benches/README.md`.

#[path = "shared/machine.rs"]
mod machine;
#[path = "shared/service.rs"]
mod service;

use anyhow::{Context, bail};
use clap::Parser;
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::upstream::transport::network;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PRODUCTS: u64 = 20_000;

/// Connections that stay open.
const CLIENTS: u64 = 64;

/// The service with its times scaled, so that products pass through every state within ten minutes.
const VARIABLES: &[(&str, &str)] = &[
    ("API_KEY", "none"),
    ("HTTP_ADDR", "127.0.0.1:0"),
    ("METRICS_ADDR", "127.0.0.1:0"),
    ("CACHE_TTL_SECONDS", "60"),
    ("CACHE_STALE_WHILE_REVALIDATE_SECONDS", "20"),
    ("CACHE_GRACE_SECONDS", "300"),
];

/// Measures an outage.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds before it.
    #[arg(long, default_value_t = 30)]
    before: u64,
    /// Seconds that it lasts.
    #[arg(long, default_value_t = 600)]
    down: u64,
    /// Seconds after it.
    #[arg(long, default_value_t = 120)]
    after: u64,
    /// Requests a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Seconds that a row of the table is about.
    #[arg(long, default_value_t = 30)]
    row: u64,
    /// Runs nothing unless `outage` contains one of these.
    filters: Vec<String>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What clients got within some time.
#[derive(Default)]
struct Row {
    fresh: u64,
    stale: u64,
    failed: u64,
    /// Microseconds from when a request was due to its whole answer.
    latencies: Vec<u32>,
}

/// An answer, as far as it matters here.
struct Answer {
    status: u16,
    is_stale: bool,
}

/// What happens when.
#[derive(Clone, Copy)]
struct Plan {
    began: Instant,
    end: Instant,
    row: Duration,
}

// === impl Plan ===

impl Plan {
    fn row_of(&self, at: Instant) -> usize {
        let since = at.duration_since(self.began).as_millis();
        usize::try_from(since / self.row.as_millis().max(1)).unwrap_or(usize::MAX)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client has no clock of the service"
)]
fn now() -> Instant {
    Instant::now()
}

/// Asks for products at a steady rate until the end, whatever the answers.
async fn client(
    number: u64,
    addr: SocketAddr,
    rate: u64,
    plan: Plan,
    rows: Arc<Mutex<Vec<Row>>>,
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let pause = Duration::from_secs(CLIENTS) / u32::try_from(rate)?;
    let mut due = plan.began + pause * u32::try_from(number)? / u32::try_from(CLIENTS)?;
    let mut random = fastrand::Rng::with_seed(number);
    while due < plan.end {
        tokio::time::sleep_until(due.into()).await;
        // A few products are read a lot, most of them seldom.
        let skewed = random.f64().powi(4);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below the number of products"
        )]
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let product = (skewed * PRODUCTS as f64) as u64 + 1;
        let answer = ask(&mut stream, product).await?;
        let took = now().duration_since(due).as_micros();
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let at = plan.row_of(due);
        if rows.len() <= at {
            rows.resize_with(at + 1, Row::default);
        }
        if let Some(row) = rows.get_mut(at) {
            match answer {
                Answer {
                    status: 200,
                    is_stale: false,
                } => row.fresh += 1,
                Answer {
                    status: 200,
                    is_stale: true,
                } => row.stale += 1,
                _ => row.failed += 1,
            }
            row.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
        }
        due += pause;
    }
    Ok(())
}

async fn ask(stream: &mut BufReader<TcpStream>, product: u64) -> anyhow::Result<Answer> {
    let request = format!("GET /products/P-{product:06} HTTP/1.1\r\nhost: bench\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (mut length, mut is_stale) = (0, false);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name {
            "content-length" => length = value.parse()?,
            "x-cache-stale" => is_stale = true,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let status = status.context("an answer without a status")?;
    Ok(Answer { status, is_stale })
}

/// Starts the clients; returns what they note, and how many of them had to give up.
fn start_clients(
    addr: SocketAddr,
    rate: u64,
    plan: Plan,
    tasks: &TaskTracker,
) -> (Arc<Mutex<Vec<Row>>>, Arc<AtomicU64>) {
    let rows = Arc::new(Mutex::new(Vec::new()));
    let broken = Arc::new(AtomicU64::new(0));
    for number in 0..CLIENTS {
        let (noted, gave_up) = (Arc::clone(&rows), Arc::clone(&broken));
        tasks.spawn(async move {
            if client(number, addr, rate, plan, noted).await.is_err() {
                gave_up.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    (rows, broken)
}

/// What the inventory sees, second by second: calls, and the most at once.
async fn watch(inventory: Inventory, plan: Plan) -> Vec<u64> {
    let (mut seen, mut calls) = (Vec::new(), inventory.calls());
    while now() < plan.end {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = std::mem::replace(&mut calls, inventory.calls());
        seen.push(calls - before);
    }
    seen
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let products = usize::try_from(PRODUCTS)?;
    let inventory = Inventory::new(Catalogue::generated(products, 1));
    inventory.knobs().turn(|faults| faults.latency_ms = 20);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(inventory.clone().serve(listener, stop.clone()));
    let variables: Vec<_> = VARIABLES
        .iter()
        .copied()
        .chain([("UPSTREAM_API", url.as_str())])
        .collect();
    let transport = network(&url.parse()?, Duration::from_secs(1));
    let transport = transport.map_err(|error| anyhow::anyhow!(error))?;
    let app = service::build(&variables, transport, None).await?;
    let bound = app.bind().await?;
    let (addr, catalog) = (bound.http_addr(), Arc::clone(bound.app().catalog()));
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move { bound.run(stopped).await.is_ok() });
    service::warmed(&catalog).await?;

    let began = now();
    let lasts = Duration::from_secs(arguments.before + arguments.down + arguments.after);
    let plan = Plan {
        began,
        end: began + lasts,
        row: Duration::from_secs(arguments.row),
    };
    let (rows, broken) = start_clients(addr, arguments.rate, plan, &tasks);
    let (down, after) = (arguments.before, arguments.before + arguments.down);
    let knobs = inventory.knobs().clone();
    tasks.spawn(async move {
        tokio::time::sleep_until((began + Duration::from_secs(down)).into()).await;
        knobs.turn(|faults| faults.away = true);
        tokio::time::sleep_until((began + Duration::from_secs(after)).into()).await;
        knobs.turn(|faults| faults.away = false);
    });
    let seen = watch(inventory.clone(), plan).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let broken = broken.load(Ordering::Relaxed);
    if broken > 0 {
        bail!("{broken} connections broke");
    }
    report(arguments, &rows, &seen);
    println!(
        "\nMost calls at once at the inventory: {}",
        inventory.max_in_flight()
    );
    stop.cancel();
    Ok(())
}

fn report(arguments: &Arguments, rows: &Mutex<Vec<Row>>, seen: &[u64]) {
    println!(
        "\n| from, s | inventory | fresh | stale | failed | p50, ms | p99, ms | slowest, ms | calls a second | most in a second |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    for (number, row) in (0_u64..).zip(rows.iter_mut()) {
        row.latencies.sort_unstable();
        let at = |share: usize| {
            let latency = row
                .latencies
                .get(row.latencies.len().saturating_sub(1) * share / 1000);
            f64::from(latency.copied().unwrap_or(0)) / 1000.0
        };
        let from = number * arguments.row;
        let is_down = (arguments.before..arguments.before + arguments.down).contains(&from);
        let seconds = usize::try_from(arguments.row).unwrap_or(1);
        let first = usize::try_from(from).unwrap_or(0);
        let calls = seen
            .get(first..(first + seconds).min(seen.len()))
            .unwrap_or_default();
        println!(
            "| {from} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.1} | {} |",
            if is_down { "away" } else { "there" },
            row.fresh,
            row.stale,
            row.failed,
            at(500),
            at(990),
            at(1000),
            calls.iter().sum::<u64>() as f64 / calls.len().max(1) as f64,
            calls.iter().max().copied().unwrap_or(0),
        );
    }
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    let is_meant = |filter: &String| "outage".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return Ok(());
    }
    if !arguments.bench {
        // `cargo test --benches` only runs everything once.
        (arguments.before, arguments.down, arguments.after) = (1, 1, 1);
        (arguments.rate, arguments.row) = (200, 1);
    }
    println!("\n{}", machine::describe());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(&arguments))
}
