//! What a whole catalogue costs: warming up, restarting, memory, disk, and what readers notice of it.
//!
//! Every figure is one of the release binary, in a process of its own. See `benches/README.md`.

mod bare;
mod bound;
mod churn;
#[path = "../shared/client.rs"]
mod client;
#[path = "../shared/figures.rs"]
mod figures;
mod latency;
#[path = "../shared/machine.rs"]
mod machine;
#[path = "../shared/open_loop.rs"]
mod open_loop;
#[path = "../shared/process.rs"]
mod process;
mod restart;
#[path = "../shared/service.rs"]
mod service;
#[path = "../shared/serving.rs"]
mod serving;
mod store;
mod touches;
mod trace;
mod warming;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use product_catalog::demo::{Catalogue, Inventory};
use serving::Serving;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Products, rounds and seconds where nothing is measured: `cargo test --benches` only runs everything once.
const IN_TEST: (usize, usize, Duration) = (400, 1, Duration::from_secs(2));

/// What is measured where nobody says: the rest takes long, or another cap.
const USUAL: [Part; 4] = [Part::Warming, Part::Restart, Part::Touches, Part::Latency];

/// Measures warm-up, restart, memory, disk, and latency meanwhile.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured; without it `warming`, `restart`, `touches` and `latency`. Can be given more than once.
    #[arg(long = "part")]
    parts: Vec<Part>,
    /// Products in the inventory.
    #[arg(long, default_value_t = 100_000)]
    products: usize,
    /// The least JSON of a product in the inventory, in bytes; without it they are as long as they come.
    #[arg(long, default_value_t = 0)]
    body: usize,
    /// `CACHE_MAX_SIZE_MB`.
    #[arg(long, default_value_t = 512)]
    cap: u64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long `churn` and `bound` read and write, in minutes.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Requests a second of `latency`, `churn` and `bound`.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// Runs nothing unless `capacity` contains one of these.
    filters: Vec<String>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
    /// What this process does for the one that measures.
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// Base URL of the inventory.
    #[arg(long, hide = true, default_value = "")]
    upstream: String,
}

/// What a process does.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Pages through the inventory's list and parses it.
    Bare,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Warming up, and what the warm service holds in memory and on disk.
    Warming,
    /// Restarting from the store.
    Restart,
    /// Disk and what is live on it, while everything is confirmed again and again.
    Touches,
    /// Hits while the rest of the catalogue is read, against hits while nothing happens.
    Latency,
    /// Memory, second by second, with more products than the cap can hold.
    Bound,
    /// Memory and disk under reads and writes of more products than the cap can hold.
    Churn,
}

/// What is measured against what.
struct Setting {
    runtime: Runtime,
    inventory: Inventory,
    /// Where the inventory answers.
    inventory_addr: SocketAddr,
    upstream: String,
    products: usize,
    rounds: usize,
    /// `CACHE_MAX_SIZE_MB`, and the same in bytes.
    cap: String,
    cap_bytes: u64,
    per_second: u32,
    /// How long readers and writers go on.
    lasts: Duration,
    /// For stores and logs.
    scratch: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(Role::Bare) = arguments.role {
        return bare::play(&arguments.upstream);
    }
    let is_meant = |filter: &String| "capacity".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return Ok(());
    }
    if arguments.parts.is_empty() {
        arguments.parts = USUAL.to_vec();
    }
    let mut lasts = Duration::from_secs(60 * arguments.minutes);
    if !arguments.bench {
        (arguments.products, arguments.rounds, lasts) = IN_TEST;
        arguments.parts = Part::value_variants().to_vec();
    }
    println!("\n{}", machine::describe());
    let scratch = tempfile::tempdir().context("no temporary directory for the stores")?;
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let setting = Setting::new(&arguments, lasts, scratch.path(), &tasks, stop.clone())?;
    measure(&setting, &arguments.parts)?;

    stop.cancel();
    tasks.close();
    setting.runtime.block_on(tasks.wait());
    Ok(())
}

fn measure(setting: &Setting, parts: &[Part]) -> anyhow::Result<()> {
    let has = |part| parts.contains(&part);
    if has(Part::Warming) || has(Part::Restart) {
        let store = warming::measure(setting)?;
        if has(Part::Restart) {
            restart::measure(setting, &store)?;
        }
    }
    if has(Part::Touches) {
        touches::measure(setting)?;
    }
    if has(Part::Latency) {
        latency::measure(setting)?;
    }
    if has(Part::Bound) {
        bound::measure(setting)?;
    }
    if has(Part::Churn) {
        churn::measure(setting)?;
    }
    Ok(())
}

// === impl Setting ===

impl Setting {
    /// Starts the inventory on a loopback port.
    fn new(
        arguments: &Arguments,
        lasts: Duration,
        scratch: &Path,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let catalogue = Catalogue::generated_with(arguments.products, 1, arguments.body);
        let inventory = Inventory::new(catalogue);
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let inventory_addr = listener.local_addr()?;
        tasks.spawn_on(inventory.clone().serve(listener, stop), runtime.handle());
        Ok(Self {
            runtime,
            inventory,
            inventory_addr,
            upstream: format!("http://{inventory_addr}"),
            products: arguments.products,
            rounds: arguments.rounds.max(1),
            cap: arguments.cap.to_string(),
            cap_bytes: arguments.cap * 1024 * 1024,
            per_second: arguments.rate,
            lasts,
            scratch: scratch.to_owned(),
        })
    }

    /// Starts the service with the cap, with these variables beside its defaults, its store in `home`.
    fn serve(&self, home: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Serving> {
        let mut all = vec![("CACHE_MAX_SIZE_MB", self.cap.as_str())];
        all.extend(variables);
        Serving::start("the service", &self.upstream, home, &all)
    }

    /// An empty folder for one service.
    fn fresh(&self) -> anyhow::Result<PathBuf> {
        let home = tempfile::Builder::new().tempdir_in(&self.scratch)?;
        Ok(home.keep())
    }
}
