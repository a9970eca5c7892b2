//! The command line.

mod demo;

use crate::app::signals::{self, Signals};
use crate::app::{App, Bound, progress};
use crate::clock::Clock;
use crate::config::{Config, Environment, Problems, Profile, Setting};
use crate::contract::Contract;
use crate::secrets::Fetch;
use crate::upstream::transport::{self, BodyLimit};
use crate::{http::openapi, telemetry};
use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tower::ServiceExt;

/// How long `healthcheck` waits for an answer.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long connecting to the inventory or a Vault may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Exit code for a configuration that can not be used.
const EXIT_CONFIG: u8 = 2;

/// Serves products from a write-through cache that rebuilds itself from an inventory.
///
/// Configured by environment variables: `config check` lists them all with their values.
#[derive(Debug, Parser)]
#[command(name = "product-catalog", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves (the default): needs UPSTREAM_API and API_KEY.
    Serve,
    /// Serves with an embedded inventory and a catalogue of its own: needs nothing.
    Demo(DemoArgs),
    /// Asks the service on this machine for its health, for a container's probe. Exit code 0: it serves.
    Healthcheck,
    /// Prints the OpenAPI 3.1 document.
    Openapi,
    /// Looks at the configuration without starting anything.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Checks every variable and lists what is in force. Exit code 2: something is wrong.
    Check {
        /// Also resolves `secret://` references, which asks Vault.
        #[arg(long)]
        resolve: bool,
    },
}

/// What the demo can be told.
#[derive(Debug, Args)]
struct DemoArgs {
    /// How many products to make up.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=2_000_000), conflicts_with = "catalogue")]
    products: u32,
    /// Which made-up catalogue: the same seed makes the same products.
    #[arg(long, default_value_t = 1, conflicts_with = "catalogue")]
    seed: u64,
    /// A real catalogue: JSON (an array, or an object with it under `products` or `data`) or NDJSON.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Starts with the inventory away, to see what a warm store is worth (with CACHE_DIR set).
    #[arg(long)]
    inventory_away: bool,
}

// === impl Cli ===

impl Cli {
    /// Does what was asked for.
    pub async fn run(self) -> ExitCode {
        let done = match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve().await,
            Command::Demo(args) => demo::run(args).await,
            Command::Healthcheck => healthcheck().await,
            Command::Openapi => print(&openapi::document()),
            Command::Config {
                command: ConfigCommand::Check { resolve },
            } => check(resolve).await,
        };
        match done {
            Ok(code) => code,
            Err(error) => fail(&error),
        }
    }
}

/// Reports an error, its causes after it; a configuration's problems have lines of their own.
fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        eprintln!("The configuration can not be used:\n{problems}");
        return ExitCode::from(EXIT_CONFIG);
    }
    eprintln!("product-catalog: {error:#}");
    ExitCode::FAILURE
}

fn environment() -> Environment {
    Environment::of_process().on_terminal(std::io::stdout().is_terminal())
}

async fn serve() -> anyhow::Result<ExitCode> {
    let signals = Signals::listen().context("can not listen for signals")?;
    let contract = Contract::embedded()?;
    let config = Config::load(&contract, &environment(), &Profile::Serve, fetch()).await?;
    let (_guard, bound) = open(config).await?;
    run(bound, signals).await
}

/// Starts logging, and takes the ports.
async fn open(config: Config) -> anyhow::Result<(telemetry::Guard, Bound)> {
    let guard = telemetry::init(&config.telemetry)?;
    signals::log_panics();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let transport = transport::outbound(&config.upstream, CONNECT_TIMEOUT)
        .map_err(|error| anyhow::anyhow!("can not set up TLS: {error}"))?;
    let bound = App::build(config, transport, Clock::start()).bind().await?;
    Ok((guard, bound))
}

/// Serves until a signal says to stop.
async fn run(bound: Bound, signals: Signals) -> anyhow::Result<ExitCode> {
    let bar = progress::draw(bound.app().catalog().progress());
    let serving = bound.run(signals.shutdown());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        served = &mut serving => served?,
        () = bar => serving.await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What Vault is asked through. A client is made for each call: there are few, and most starts need none.
fn fetch() -> Fetch {
    Fetch::new(tower::service_fn(|request: http::Request<Bytes>| async {
        let client = transport::network(request.uri(), CONNECT_TIMEOUT)?;
        client.oneshot(request).await
    }))
}

/// Asks where the service listens, whatever else its configuration says.
async fn healthcheck() -> anyhow::Result<ExitCode> {
    let contract = Contract::embedded()?;
    let addr = Config::http_addr(&contract, &environment())?;
    let addr = reachable(addr);
    let uri: http::Uri = format!("http://{addr}{}", contract.health_path()).parse()?;
    let mut request = http::Request::get(&uri).body(Bytes::new())?;
    request.extensions_mut().insert(BodyLimit(64 * 1024));
    let client =
        transport::network(&uri, HEALTHCHECK_TIMEOUT).map_err(anyhow::Error::from_boxed)?;
    let answer = tokio::time::timeout(HEALTHCHECK_TIMEOUT, client.oneshot(request))
        .await
        .with_context(|| format!("{addr} does not answer in time"))?
        .map_err(|_| anyhow::anyhow!("nobody answers on {addr}"))?;
    println!("{}", String::from_utf8_lossy(answer.body()).trim_end());
    Ok(if answer.status().is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// An address to connect to: one that listens on any address is reachable as this machine.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

async fn check(resolve: bool) -> anyhow::Result<ExitCode> {
    let contract = Contract::embedded()?;
    let (settings, warnings) = if resolve {
        let config = Config::load(&contract, &environment(), &Profile::Serve, fetch()).await?;
        for pending in &config.pending {
            eprintln!("{}: its Vault does not answer yet", pending.variable());
        }
        (config.settings, config.warnings)
    } else {
        let report = Config::check(&contract, &environment(), &Profile::Serve)?;
        (report.settings, report.warnings)
    };
    let line = |setting: &Setting| format!("{setting}\n");
    print(&settings.iter().map(line).collect::<String>())?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints to standard output; a reader that went away is no error.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
