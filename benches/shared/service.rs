//! The service as the benchmarks set it up: its defaults, and nothing from the environment.

use anyhow::Context;
use axum::Router;
use product_catalog::app::App;
use product_catalog::catalog::Catalog;
use product_catalog::clock::Clock;
use product_catalog::config::{Config, Environment, Profile};
use product_catalog::contract::Contract;
use product_catalog::upstream::transport::{Transport, in_process};
use std::path::PathBuf;

/// Builds the service with these variables beside its defaults; it keeps a store only in `dir`.
pub async fn build(
    variables: &[(&str, &str)],
    transport: Transport,
    dir: Option<PathBuf>,
) -> anyhow::Result<App> {
    let environment: Environment = variables.iter().copied().collect();
    let contract = Contract::embedded()?;
    let no_vault = in_process(Router::new());
    let mut config = Config::load(&contract, &environment, &Profile::Serve, no_vault)
        .await
        .context("the benchmark's configuration")?;
    config.cache.dir = dir;
    Ok(App::build(config, transport, Clock::start()))
}

/// Waits until the first pass over the inventory's list is through.
pub async fn warmed(catalog: &Catalog) -> anyhow::Result<()> {
    let mut progress = catalog.progress();
    progress
        .wait_for(|progress| progress.passes > 0)
        .await
        .context("the service ended")?;
    Ok(())
}
