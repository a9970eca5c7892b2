//! What an operation costs, on one thread and on two: time on a processor, which is all that is the tier's. Where
//! threads wait for each other asleep, that is not in it.

use crate::candidates::{self, Candidate, Tier};
use fastrand::Rng;
use std::thread;

/// Every product weighs the same here, in bytes.
const WEIGHT: u32 = 1_024;

/// How often everything is measured; the median counts.
const ROUNDS: usize = 5;

/// Prints a row per candidate, in nanoseconds.
pub fn measure(products: usize, only: &str) {
    println!(
        "\n| ns an operation | hit | miss and insert | … that evicts | hit, two threads | … that evicts, two threads |"
    );
    println!("|---|---|---|---|---|---|");
    for candidate in [&candidates::EXACT].into_iter().chain(&candidates::ALL) {
        if candidate.name.contains(only) || candidate.name == candidates::EXACT.name {
            println!("{}", row(products, candidate));
        }
    }
}

fn row(products: usize, candidate: &Candidate) -> String {
    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let round = round(products, candidate);
        for (figures, figure) in figures.iter_mut().zip(round) {
            figures.push(figure);
        }
    }
    let median = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        format!(" {:.0} |", figures[ROUNDS / 2])
    };
    let cells: String = figures.map(median).concat();
    format!("| {} |{cells}", candidate.name)
}

fn round(products: usize, candidate: &Candidate) -> [f64; 5] {
    let products = products as u32;
    // Half as much again as is put in: shards fill unevenly.
    let tier = (candidate.make)(u64::from(products) * u64::from(WEIGHT) * 3 / 2);
    let tier = &*tier;
    let insert = each(products, |product| read(tier, product));
    let picks = picks(products, 1);
    let hit = each(products, |at| get(tier, picks[at as usize]));
    let hit_by_two = by_two(&|thread| {
        let picks = self::picks(products, thread);
        each(products, |at| get(tier, picks[at as usize]))
    });
    let tier = (candidate.make)(u64::from(products) * u64::from(WEIGHT) / 4);
    let tier = &*tier;
    for product in 0..products {
        read(tier, product);
    }
    let evict = each(products, |product| read(tier, products + product));
    let evict_by_two = by_two(&|thread| {
        let first = products * (2 + thread);
        each(products, |product| read(tier, first + product))
    });
    [hit, insert, evict, hit_by_two, evict_by_two]
}

/// Products in random order.
fn picks(products: u32, seed: u32) -> Vec<u32> {
    let mut picks: Vec<u32> = (0..products).collect();
    Rng::with_seed(seed.into()).shuffle(&mut picks);
    picks
}

/// What a thread takes for an operation while another does the same.
fn by_two(act: &(impl Fn(u32) -> f64 + Sync)) -> f64 {
    thread::scope(|scope| {
        let other = scope.spawn(|| act(1));
        let own = act(0);
        other.join().map_or(own, |other| own.max(other))
    })
}

/// Nanoseconds an operation.
fn each(operations: u32, mut act: impl FnMut(u32)) -> f64 {
    let before = on_processor();
    for at in 0..operations {
        act(at);
    }
    (on_processor() - before) / f64::from(operations)
}

/// How long this thread has been on a processor, in nanoseconds.
fn on_processor() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    first.unwrap_or_default()
}

fn get(tier: &dyn Tier, product: u32) {
    std::hint::black_box(tier.get(product));
}

fn read(tier: &dyn Tier, product: u32) {
    if !tier.get(product) {
        tier.insert(product, WEIGHT);
    }
}
