//! What a tick of the contract engine costs, and how that grows with the keys there are.
//!
//! See `benches/README.md`.

#[path = "shared/machine.rs"]
mod machine;

use clap::Parser;
use product_catalog::cache::{
    Cache, Config, Contract, ContractsConfig, Degrade, Known, Loaded, Pair, Pattern, Purpose,
    Restored, Source,
};
use product_catalog::clock::{Clock, Moment};
use product_catalog::telemetry::events::Events;
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// How many keys there are, under one contract with a prefix.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];

/// How many of them are read.
const IN_USE: u32 = 1_000;

/// Where nothing is measured: `cargo test --benches` only runs everything once.
const IN_TEST: u32 = 100;

/// Ticks that are measured: a minute.
const TICKS: u32 = 1_200;

/// What is left out beforehand: every key has passed its window and its grace by then.
const SETTLING: u32 = 400;

const WINDOW: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(50);

/// Measures the tick of the contract engine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Keys; more than one is more than one run.
    #[arg(long)]
    keys: Vec<u32>,
    /// Runs nothing unless `contracts` contains one of these.
    filters: Vec<String>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A source that answers at once that nothing has changed.
struct Unchanging(Clock);

#[derive(Debug, thiserror::Error)]
#[error("it never fails")]
struct Never;

/// What ticks took, in microseconds.
struct Figures {
    median: f64,
    p99: f64,
    slowest: f64,
    /// The slowest tick while all keys passed their windows for the first time.
    lapse: f64,
    refreshes: u64,
}

// === impl Unchanging ===

impl Source for Unchanging {
    type Key = u32;
    type Value = u32;
    type Place = Pair<u32, u32>;
    type Error = Never;
    type Gone = ();
    type Cause = ();
    type Tag = ();
    type Reading = ();
    type Fallback = ();

    async fn load(
        &self,
        key: &u32,
        _: Option<&u32>,
        _: Purpose,
        (): (),
    ) -> Result<Loaded<u32, ()>, Never> {
        let (value, as_of) = (*key, self.0.now());
        Ok(Loaded::Value { value, as_of })
    }

    fn room_for_refreshes(&self) -> usize {
        usize::MAX
    }

    fn stand_in(&self, (): &(), key: &u32) -> u32 {
        *key
    }

    fn weight(&self, _: &u32, _: &u32) -> usize {
        0
    }

    fn same(&self, held: &u32, listed: &u32) -> bool {
        held == listed
    }

    fn name(key: &u32) -> String {
        key.to_string()
    }

    fn encode_key(&self, key: &u32) -> Vec<u8> {
        key.to_be_bytes().to_vec()
    }

    fn decode_key(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn encode(&self, value: &u32) -> Vec<u8> {
        value.to_be_bytes().to_vec()
    }

    fn decode(&self, _: &[u8]) -> Option<u32> {
        None
    }

    fn summarize(&self, _: &u32) -> Vec<u8> {
        Vec::new()
    }

    fn learned(&self, _: &u32, _: Known<'_, u32>, _: Option<&()>, _: Moment) -> bool {
        false
    }

    fn exists(&self, _: &u32, _: Known<'_, u32>, _: Moment) {}

    fn let_go(&self, _: &u32) {}

    fn vanished(&self, _: &u32) {}

    fn for_each_known(&self, _: &mut dyn FnMut(&u32, Moment)) {}

    fn everything() {}

    fn has_any(&self, _: &u32, _: &u32, tags: &[()]) -> bool {
        !tags.is_empty()
    }

    fn encode_tag(&self, (): &()) -> Vec<u8> {
        Vec::new()
    }

    fn decode_tag(&self, _: &[u8]) -> Option<()> {
        Some(())
    }

    fn knows_all(&self) -> bool {
        false
    }

    fn remembers(&self) -> bool {
        true
    }

    fn is_listing(&self) -> bool {
        false
    }

    fn held_bytes(&self) -> usize {
        0
    }

    fn lacks_summaries(&self) {}

    fn restored(&self, _: &Restored) {}
}

fn cache(clock: Clock) -> Cache<Unchanging> {
    let config = Config {
        ttl: Duration::from_secs(3600),
        grace: Duration::from_secs(3600),
        stale_while_revalidate: Duration::ZERO,
        shadow_rate: 0.0,
        soft_timeout: None,
        contracts: Some(ContractsConfig::default()),
        negative_ttl: Duration::from_secs(30),
        fail_throttle: Duration::from_secs(1),
        max_bytes: 4 << 30,
        max_entry_bytes: 1 << 20,
        dir: None,
        lineage: String::new(),
    };
    let (tasks, events) = (TaskTracker::new(), Events::new());
    let cache = Cache::new(Unchanging(clock), config, clock, tasks, events);
    cache.govern(vec![Contract {
        name: "everything".into(),
        pattern: Pattern::Prefix(Box::default()),
        fresh_within: WINDOW,
        grace_period: WINDOW,
        on_degrade: Degrade::ServeStale,
        refresh_from: None,
        fallback: None,
        idle_after: 2 * WINDOW,
    }]);
    cache
}

/// Lets time pass tick by tick, with every key in use read once a second.
async fn measure(keys: u32, ticks: u32) -> Figures {
    let clock = Clock::start();
    let cache = cache(clock);
    let listing = cache.begin_listing();
    for key in 0..keys {
        cache.confirm(&listing, &key, key, clock.now());
    }
    drop(listing);
    let in_use = IN_USE.min(keys);
    let (mut took, mut lapse) = (Vec::new(), 0.0_f64);
    for tick in 0..SETTLING + ticks {
        tokio::time::advance(TICK).await;
        for key in (0..in_use).filter(|key| key % 20 == tick % 20) {
            let _ = cache.get(&key, ()).await;
        }
        let began = real();
        cache.tick(&|| ()).await;
        let micros = began.elapsed().as_secs_f64() * 1e6;
        match tick < SETTLING {
            true => lapse = lapse.max(micros),
            false => took.push(micros),
        }
        // Refreshes end.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    took.sort_by(f64::total_cmp);
    let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or(0.0);
    let stats = cache.contract_stats("everything").unwrap_or_default();
    Figures {
        median: at(500),
        p99: at(990),
        slowest: took.last().copied().unwrap_or(0.0),
        lapse,
        refreshes: stats.refreshes_triggered,
    }
}

/// The time, whatever the paused clock shows.
#[expect(
    clippy::disallowed_methods,
    reason = "the service's own clocks are paused here"
)]
fn real() -> Instant {
    Instant::now()
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let is_meant = |filter: &String| "contracts".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return Ok(());
    }
    let (sizes, ticks) = match (arguments.bench, arguments.keys.is_empty()) {
        (false, _) => (vec![IN_TEST], 10),
        (true, true) => (SIZES.to_vec(), TICKS),
        (true, false) => (arguments.keys, TICKS),
    };
    println!("\n{}", machine::describe());
    println!(
        "\n| keys | in use | tick, median µs | p99, µs | slowest, µs | slowest while all lapse, µs | refreshes |\n|---|---|---|---|---|---|---|"
    );
    for keys in sizes {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        let figures = runtime.block_on(measure(keys, ticks));
        println!(
            "| {keys} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            IN_USE.min(keys),
            figures.median,
            figures.p99,
            figures.slowest,
            figures.lapse,
            figures.refreshes
        );
    }
    Ok(())
}
