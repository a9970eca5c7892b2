//! What a whole catalogue costs: warming up, restarting, memory and disk.
//!
//! Every figure comes from a process of its own, so that none inherits another's memory. See
//! `benches/README.md`.

mod alone;
#[path = "../shared/figures.rs"]
mod figures;
#[path = "../shared/machine.rs"]
mod machine;
mod restart;
#[path = "../shared/service.rs"]
mod service;
mod store;
mod warming;

use alone::Role;
use anyhow::Context;
use clap::Parser;
use product_catalog::demo::{Catalogue, Inventory};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Products and rounds where nothing is measured: `cargo test --benches` only runs everything once.
const IN_TEST: (usize, usize) = (200, 1);

/// Measures warm-up, restart, memory and disk.
#[derive(Debug, Parser)]
struct Arguments {
    /// Products in the inventory.
    #[arg(long, default_value_t = 100_000)]
    products: usize,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
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
    /// Where the store lies.
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
}

/// What is measured against what.
struct Setting {
    runtime: Runtime,
    inventory: Inventory,
    /// Where the inventory answers.
    upstream: String,
    products: usize,
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(role) = arguments.role {
        let last = last_product(arguments.products);
        return alone::play(role, &arguments.upstream, arguments.dir, &last);
    }
    let is_meant = |filter: &String| "capacity".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return Ok(());
    }
    let (products, rounds) = match arguments.bench {
        true => (arguments.products, arguments.rounds),
        false => IN_TEST,
    };
    println!("\n{}", machine::describe());
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let setting = set(products, rounds.max(1), &tasks, stop.clone())?;
    let scratch = tempfile::tempdir().context("no temporary directory for the stores")?;
    let store = warming::measure(&setting, scratch.path())?;
    restart::measure(&setting, &store)?;

    stop.cancel();
    tasks.close();
    setting.runtime.block_on(tasks.wait());
    Ok(())
}

/// The path of the last product that a generated catalogue of so many has: a scan meets it last.
fn last_product(products: usize) -> String {
    format!("/products/P-{products:06}")
}

/// Starts the inventory on a loopback port.
fn set(
    products: usize,
    rounds: usize,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Setting> {
    let runtime = Runtime::new()?;
    let inventory = Inventory::new(Catalogue::generated(products, 1));
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let upstream = format!("http://{}", listener.local_addr()?);
    tasks.spawn_on(inventory.clone().serve(listener, stop), runtime.handle());
    Ok(Setting {
        runtime,
        inventory,
        upstream,
        products,
        rounds,
    })
}
