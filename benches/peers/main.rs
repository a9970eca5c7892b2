//! The product against what could be put in front of an inventory instead: nginx and Varnish; and bare
//! hyper, which nobody who speaks HTTP by way of hyper can beat.
//!
//! Every server is a process of its own, on loopback. See `benches/README.md`.

mod bare;
mod check;
#[path = "../shared/client.rs"]
mod client;
#[path = "../shared/figures.rs"]
mod figures;
mod fleet;
mod lists;
mod load;
#[path = "../shared/machine.rs"]
mod machine;
mod measure;
#[path = "../shared/open_loop.rs"]
mod open_loop;
mod plain;
#[path = "../shared/process.rs"]
#[allow(dead_code, reason = "other benchmarks need the rest")]
mod process;
mod requests;
#[path = "../shared/service.rs"]
mod service;
#[path = "../shared/serving.rs"]
#[allow(dead_code, reason = "other benchmarks need the rest")]
mod serving;
mod setup;
mod table;

use anyhow::Context;
use bare::Flavour;
use clap::{Parser, ValueEnum};
use fleet::Yard;
use load::Load;
use measure::Bench;
use open_loop::Rate;
use product_catalog::demo::{Catalogue, Inventory};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Products, rounds, seconds and requests a second where nothing is measured: `cargo test --benches` only
/// sees that it works, and these cases need all that there is.
const IN_TEST: (usize, usize, u32, u32) = (1_000, 1, 1, 500);
const CASES_IN_TEST: [Case; 3] = [Case::NotModified, Case::Rate, Case::Mixed];

/// Files that lie in memory, where there are any.
const IN_MEMORY: &str = "/dev/shm";

/// Measures the product, nginx, Varnish and bare hyper, side by side.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured; without it everything. Can be given more than once.
    #[arg(long = "case")]
    cases: Vec<Case>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each time.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Products in the inventory.
    #[arg(long, default_value_t = 100_000)]
    products: usize,
    /// Connections that stay open.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Requests a second of the case `rate`.
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Runs nothing unless `peers` contains one of these.
    filters: Vec<String>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
    /// What this process does for the one that measures.
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// Where it listens, or whom it asks.
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Requests, or an answer.
    #[arg(long, hide = true, default_value = "requests")]
    file: PathBuf,
    #[arg(long, hide = true, default_value = "multi")]
    flavour: Flavour,
    /// Milliseconds to the inventory.
    #[arg(long, hide = true, default_value_t = 0)]
    latency: u64,
    /// Where the inventory is.
    #[arg(long, hide = true, default_value = "127.0.0.1:0")]
    inventory: SocketAddr,
}

/// What a process does.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Answers everything with one fixed answer.
    Bare,
    /// Is the inventory.
    Inventory,
    /// Asks at a fixed rate.
    OpenLoop,
    /// Is the product's cache behind nothing but HTTP.
    Plain,
}

/// What is asked, in the order in which it is measured: writes come last, since they change what everybody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// A product.
    #[value(name = "200")]
    Hit,
    /// A product that the reader has already.
    #[value(name = "304")]
    NotModified,
    /// Pages of 20 in the order of ids.
    ById,
    /// Pages of 20 by price.
    ByPrice,
    /// 20 products of one brand from a price on.
    Filter,
    /// A product, at a fixed rate.
    Rate,
    /// A product, with access logs.
    Logged,
    /// A product, against the same cache behind nothing but HTTP.
    Middleware,
    /// A product that nobody holds, the inventory 20 ms away.
    Misses,
    /// 95 % products, 4 % lists, 1 % writes.
    Mixed,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(role) = arguments.role {
        return play(role, &arguments);
    }
    let is_meant = |filter: &String| "peers".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return Ok(());
    }
    let missing = setup::missing();
    if arguments.bench {
        if !missing.is_empty() {
            setup::install()?;
        }
    } else {
        if !missing.is_empty() {
            println!("peers: nothing to compare with, {missing:?} not installed");
            return Ok(());
        }
        (
            arguments.products,
            arguments.rounds,
            arguments.seconds,
            arguments.rate,
        ) = IN_TEST;
        arguments.cases = CASES_IN_TEST.to_vec();
    }
    if arguments.cases.is_empty() {
        arguments.cases = Case::value_variants().to_vec();
    }
    println!("\n{}\n{}", machine::describe(), setup::versions()?);

    let home = tempfile::Builder::new()
        .prefix("peers")
        .tempdir_in(folder());
    let home = home.context("no temporary directory for the servers")?;
    let yard = Yard {
        home: home.path().to_owned(),
        products: arguments.products,
    };
    let load = Load {
        connections: arguments.connections,
        seconds: arguments.seconds,
        rate: None,
    };
    let bench = Bench::set(yard, load, arguments.rate, arguments.rounds.max(1))?;
    for case in Case::value_variants() {
        if arguments.cases.contains(case) {
            bench.run(*case)?;
        }
    }
    Ok(())
}

/// Where servers keep their files.
fn folder() -> PathBuf {
    match Path::new(IN_MEMORY).is_dir() {
        true => IN_MEMORY.into(),
        false => std::env::temp_dir(),
    }
}

/// Does what `role` says, in this process.
fn play(role: Role, arguments: &Arguments) -> anyhow::Result<()> {
    match role {
        Role::Bare => bare::serve(arguments.addr, &arguments.file, arguments.flavour),
        Role::Inventory => inventory(arguments),
        Role::OpenLoop => {
            let rate = Rate {
                per_second: arguments.rate,
                connections: arguments.connections,
                lasts: Duration::from_secs(arguments.seconds.into()),
            };
            let requests = requests::read(&arguments.file)?;
            let report = open_loop::run(arguments.addr, rate, &requests, &AtomicBool::new(false))?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
        Role::Plain => plain::serve(arguments.addr, arguments.inventory, fleet::KEPT),
    }
}

/// Is the inventory, until the process is ended.
fn inventory(arguments: &Arguments) -> anyhow::Result<()> {
    let inventory = Inventory::new(Catalogue::generated(arguments.products, 1));
    let latency = arguments.latency;
    inventory.knobs().turn(|faults| faults.latency_ms = latency);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(arguments.addr).await?;
        Ok(inventory.serve(listener, CancellationToken::new()).await?)
    })
}

// === impl Case ===

impl Case {
    /// What the table of this case is called.
    fn title(self) -> &'static str {
        match self {
            Self::Hit => "200: products by zipf",
            Self::NotModified => "304: products by zipf, unchanged",
            Self::ById => "Pages of 20 in the order of ids",
            Self::ByPrice => "Pages of 20 by price",
            Self::Filter => "20 of a brand from a price on",
            Self::Rate => "200 at a fixed rate",
            Self::Logged => "200 with access logs",
            Self::Middleware => "200 behind all middleware and behind none",
            Self::Misses => "Misses, the inventory 20 ms away",
            Self::Mixed => "95 % reads, 4 % lists, 1 % writes",
        }
    }

    /// What a request of this case is answered with.
    fn status(self) -> u16 {
        match self {
            Self::NotModified => 304,
            _ => 200,
        }
    }
}
