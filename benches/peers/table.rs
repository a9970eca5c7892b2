//! The figures of one case, and their ratios round by round.

use crate::figures::{head, row};
use crate::fleet::{BARE, PRODUCT};
use crate::load::Sample;

/// What was measured of each server, in the order in which they came; the rounds of each in turn.
#[derive(Debug)]
pub struct Table {
    title: String,
    servers: Vec<(&'static str, Vec<Sample>)>,
}

/// One figure of a sample.
type Figure = fn(&Sample) -> f64;

const FIGURES: [(&str, &str, Figure); 4] = [
    ("requests a second", "", |sample| sample.per_second),
    ("CPU of the server a request", "us", |sample| sample.cpu),
    ("latency p50", "us", |sample| sample.p50),
    ("latency p99", "us", |sample| sample.p99),
];

// === impl Table ===

impl Table {
    pub fn new(title: String) -> Self {
        Self {
            title,
            servers: Vec::new(),
        }
    }

    /// Notes what one round has found.
    pub fn add(&mut self, server: &'static str, sample: Sample) {
        match self.servers.iter_mut().find(|(name, _)| *name == server) {
            Some((_, samples)) => samples.push(sample),
            None => self.servers.push((server, vec![sample])),
        }
    }

    /// Prints medians, and how far the rounds lie apart. `is_steady` says that all were asked for as many
    /// requests: then they differ in how long they take.
    pub fn print(&self, is_steady: bool) {
        head(&self.title);
        for (what, unit, figure) in FIGURES {
            println!(" {what}");
            for (name, samples) in &self.servers {
                row(name, unit, samples.iter().map(figure));
            }
        }
        let (what, figure): (_, Figure) = match is_steady {
            true => ("latency p99", |sample| sample.p99),
            false => ("requests a second", |sample| sample.per_second),
        };
        println!(" {what}, ratios of the same round");
        let ours = self.servers.iter().find(|(name, _)| *name == PRODUCT);
        for (name, theirs) in self.rivals(figure, is_steady) {
            let ours = ours.into_iter().flat_map(|(_, samples)| samples);
            let ratios = ours.zip(theirs).map(|(a, b)| figure(a) / figure(b));
            row(&format!("{PRODUCT} / {name}"), "x", ratios);
        }
    }

    /// Everybody but the product; of those that are bare hyper only the best.
    fn rivals(&self, figure: Figure, is_less_better: bool) -> Vec<(&'static str, &[Sample])> {
        let rank = |samples: &[Sample]| {
            let median = median(samples.iter().map(figure));
            if is_less_better { -median } else { median }
        };
        let is_bare = |name: &str| name.starts_with(BARE);
        let others = self.servers.iter().filter(|(name, _)| *name != PRODUCT);
        let others = others.map(|(name, samples)| (*name, samples.as_slice()));
        let (bare, mut rivals): (Vec<_>, Vec<_>) = others.partition(|(name, _)| is_bare(name));
        let best = bare
            .into_iter()
            .max_by(|(_, a), (_, b)| rank(a).total_cmp(&rank(b)));
        rivals.extend(best);
        rivals
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
