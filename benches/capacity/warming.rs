//! Warming up, and what the warm service holds.

use crate::alone::{Bare, Role, Warm, ask};
use crate::figures::{head, number, per, row};
use crate::{Setting, store};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};

/// What one round has found.
struct Round {
    bare: Bare,
    memory_only: Warm,
    stored: Warm,
    disk: u64,
}

/// Measures warm-ups with and without a store; the last store is left below `scratch`.
pub fn measure(setting: &Setting, scratch: &Path) -> anyhow::Result<PathBuf> {
    let mut rounds = Vec::new();
    let mut last: Option<PathBuf> = None;
    for number in 0..setting.rounds {
        let dir = scratch.join(number.to_string());
        rounds.push(Round::measured(setting, &dir)?);
        if let Some(done) = last.replace(dir) {
            std::fs::remove_dir_all(done)?;
        }
    }
    print_warming(setting, &rounds);
    print_holdings(&rounds);
    last.context("no rounds")
}

fn print_warming(setting: &Setting, rounds: &[Round]) {
    let (products, count) = (setting.products, setting.rounds);
    head(&format!("Warm-up of {products} products, {count} rounds"));
    let bare = |round: &Round| per_second(round.bare.products as u64, round.bare.took);
    let memory = |round: &Round| per_second(round.memory_only.products, round.memory_only.took);
    let stored = |round: &Round| per_second(round.stored.products, round.stored.took);
    let on_disk = |round: &Round| per_second(round.stored.products, round.stored.on_disk);
    let unit = "products/s";
    row(
        "bare loop: page, parse, drop",
        unit,
        rounds.iter().map(bare),
    );
    row("warm-up, memory only", unit, rounds.iter().map(memory));
    row("warm-up, with a store", unit, rounds.iter().map(stored));
    row(
        "warm-up, until all is on disk",
        unit,
        rounds.iter().map(on_disk),
    );
    let against = |round: &Round| memory(round) / bare(round);
    row("memory only / bare loop", "x", rounds.iter().map(against));
    let against = |round: &Round| stored(round) / bare(round);
    row("with a store / bare loop", "x", rounds.iter().map(against));
}

fn print_holdings(rounds: &[Round]) {
    head("What a product costs");
    let payload = |warm: &Warm| per(warm.payload, warm.products);
    let above = |bytes: u64, warm: &Warm| per(bytes, warm.products) - payload(warm);
    let unit = "bytes";
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    row(
        "payload: the rendered JSON",
        unit,
        of(&|r| payload(&r.stored)),
    );
    let figure = |r: &Round| above(r.memory_only.accounted, &r.memory_only);
    row("accounted by the cache, above payload", unit, of(&figure));
    let figure = |r: &Round| above(r.memory_only.memory.added(), &r.memory_only);
    row("resident above payload, memory only", unit, of(&figure));
    let figure = |r: &Round| above(r.memory_only.memory.added_at_most(), &r.memory_only);
    row("  at its peak (VmHWM)", unit, of(&figure));
    let figure = |r: &Round| above(r.stored.memory.added(), &r.stored);
    row("resident above payload, with a store", unit, of(&figure));
    let figure = |r: &Round| above(r.stored.memory.added_at_most(), &r.stored);
    row("  at its peak (VmHWM)", unit, of(&figure));
    let figure = |r: &Round| number(r.stored.memory.peak) / number(r.stored.accounted);
    row(
        "peak of the process / accounted, with a store",
        "x",
        of(&figure),
    );
    row(
        "live in the store",
        unit,
        of(&|r| per(r.stored.live, r.stored.products)),
    );
    row("on disk", unit, of(&|r| per(r.disk, r.stored.products)));
    row(
        "on disk / live",
        "x",
        of(&|r| number(r.disk) / number(r.stored.live)),
    );
}

fn per_second(products: u64, seconds: f64) -> f64 {
    number(products) / seconds
}

// === impl Round ===

impl Round {
    fn measured(setting: &Setting, dir: &Path) -> anyhow::Result<Self> {
        let round = Self {
            bare: ask(Role::Bare, setting, None)?,
            memory_only: ask(Role::Warm, setting, None)?,
            stored: ask(Role::Warm, setting, Some(dir))?,
            disk: store::bytes(dir)?,
        };
        let products = setting.products as u64;
        let found = [
            round.bare.products as u64,
            round.memory_only.products,
            round.stored.products,
        ];
        ensure!(
            found == [products; 3],
            "of {products} products came {found:?}"
        );
        Ok(round)
    }
}
