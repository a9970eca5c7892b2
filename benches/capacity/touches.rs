//! Disk and what is live on it, after everything was written once and then confirmed again and again.

use crate::figures::{head, per, row};
use crate::process::pause;
use crate::serving::Serving;
use crate::warming::FLUSHED;
use crate::{Setting, store};
use std::path::Path;

/// How often everything is confirmed.
const PASSES: usize = 4;

/// Measures it.
pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..setting.rounds {
        let home = setting.fresh()?;
        let serving = setting.serve(&home, &[])?;
        serving.until_warm(setting.products)?;
        let mut ratios = vec![ratio(&serving, &home)?];
        for _ in 0..PASSES {
            serving.confirm_all()?;
            ratios.push(ratio(&serving, &home)?);
        }
        rounds.push(ratios);
        drop(serving);
        std::fs::remove_dir_all(home)?;
    }
    let products = setting.products;
    head(&format!("On disk / live, {products} products"));
    for passes in 0..=PASSES {
        let name = match passes {
            0 => "after everything was written once".to_owned(),
            1 => "after everything was confirmed".to_owned(),
            _ => format!("after everything was confirmed {passes} times"),
        };
        let of_round = |ratios: &Vec<f64>| ratios.get(passes).copied();
        row(&name, "x", rounds.iter().filter_map(of_round));
    }
    Ok(())
}

/// The length of the store's files, against what is live in them.
fn ratio(serving: &Serving, home: &Path) -> anyhow::Result<f64> {
    pause(FLUSHED);
    let live = serving.stats()?.store.live_bytes;
    Ok(per(store::bytes(home)?, live))
}
