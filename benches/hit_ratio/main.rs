//! What share of reads each serving tier answers from the same bytes, and what an operation costs.
//!
//! See `benches/README.md`.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "products, ranks and slots are drawn below the lengths of what they index; nobody depends on a run"
)]

mod candidates;
#[path = "../shared/machine.rs"]
mod machine;
mod replay;
mod strict;
mod timing;
mod traces;

use candidates::Candidate;
use clap::Parser;
use traces::{Setting, Trace};

/// Products and reads where nothing is measured: `cargo test --benches` only runs everything once.
const IN_TEST: (usize, usize) = (2_000, 20_000);

/// Compares serving tiers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Products there are.
    #[arg(long, default_value_t = 200_000)]
    products: usize,
    /// Reads in each trace.
    #[arg(long, default_value_t = 4_000_000)]
    reads: usize,
    /// What part of all bytes fits, in hundredths; more than one is more than one table.
    #[arg(long, default_values_t = [10])]
    share: Vec<u64>,
    /// Where random choices begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only candidates whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// Leaves out what operations cost.
    #[arg(long)]
    no_timing: bool,
    /// Runs nothing unless `hit_ratio` contains one of these.
    filters: Vec<String>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let is_meant = |filter: &String| "hit_ratio".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return;
    }
    let (products, reads) = match arguments.bench {
        true => (arguments.products, arguments.reads),
        false => IN_TEST,
    };
    println!("\n{}", machine::describe());
    for share in &arguments.share {
        let setting = Setting::new(products, reads, *share, arguments.seed);
        let capacity = setting.capacity >> 20;
        println!(
            "\n{products} products, {reads} reads, {share} % of all bytes fit: {capacity} MiB\n"
        );
        compare(&setting, &arguments.only);
    }
    if !arguments.no_timing {
        timing::measure(products, &arguments.only);
    }
}

/// Prints a row per candidate: its hit ratio on each trace, and in brackets its ratio to exact LRU.
fn compare(setting: &Setting, only: &str) {
    let exact: Vec<f64> = Trace::ALL
        .into_iter()
        .map(|trace| {
            replay::run(
                &*(candidates::EXACT.make)(setting.capacity),
                &setting.trace(trace),
            )
        })
        .collect();
    let names = Trace::ALL.map(Trace::name).join(" | ");
    println!("| hit ratio, % (× exact LRU) | {names} |");
    println!("|---{}|", "|---".repeat(Trace::ALL.len()));
    let cells = exact.iter().map(|ratio| format!(" {:.1} |", ratio * 100.0));
    println!(
        "| {} |{}",
        candidates::EXACT.name,
        cells.collect::<String>()
    );
    for candidate in candidates::ALL.iter().filter(|it| it.name.contains(only)) {
        println!("{}", row(setting, candidate, &exact));
    }
}

fn row(setting: &Setting, candidate: &Candidate, exact: &[f64]) -> String {
    let cell = |(trace, exact): (Trace, &f64)| {
        let tier = (candidate.make)(setting.capacity);
        let ratio = replay::run(&*tier, &setting.trace(trace));
        let share = match *exact > 0.001 {
            true => format!("{:.3}", ratio / exact),
            false => "∞".to_owned(),
        };
        format!(" {:.1} ({share}) |", ratio * 100.0)
    };
    let cells = Trace::ALL.into_iter().zip(exact).map(cell);
    format!("| {} |{}", candidate.name, cells.collect::<String>())
}
