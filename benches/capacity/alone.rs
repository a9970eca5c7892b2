//! What runs in a process of its own and reports one line of JSON.

use crate::{Setting, service};
use anyhow::{Context, ensure};
use axum::body::Body;
use bytes::Bytes;
use clap::ValueEnum;
use http::Request;
use product_catalog::app::App;
use product_catalog::catalog::{Catalog, Criteria, PageQuery, Position};
use product_catalog::http::Front;
use product_catalog::telemetry::{Conversation, Stopwatch};
use product_catalog::upstream::transport::{self, BodyLimit, Transport};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tower::{Service, ServiceExt};

/// Whatever takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Products on a page of the inventory's list, and of ours at most.
const UPSTREAM_PAGE: usize = 500;
const OUR_PAGE: usize = 100;

/// What a process does.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Role {
    /// Pages through the inventory's list and parses it.
    Bare,
    /// Warms the service up.
    Warm,
    /// Starts the service from its store.
    Restore,
}

/// What [`Role::Bare`] reports.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bare {
    pub products: usize,
    pub took: f64,
}

/// What [`Role::Warm`] reports. Times are in seconds since the start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Warm {
    pub products: u64,
    pub took: f64,
    /// Until everything was on disk, where there is one.
    pub on_disk: f64,
    /// All rendered bodies, in bytes.
    pub payload: u64,
    /// All values as they lie on disk, in bytes.
    pub live: u64,
    /// What the cache says it holds, in bytes.
    pub accounted: u64,
    pub memory: Memory,
}

/// What [`Role::Restore`] reports. Times are in seconds since the start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Restore {
    pub products: u64,
    pub first_hit: f64,
    pub loaded: f64,
    pub memory: Memory,
}

/// Resident memory, in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Before the service was started.
    pub before: u64,
    pub after: u64,
    /// The most there was at any time.
    pub peak: u64,
}

/// A page of the inventory's list.
#[derive(Deserialize)]
struct Page {
    data: Vec<Product>,
    paging: Paging,
}

#[derive(Deserialize)]
struct Paging {
    cursors: Cursors,
}

#[derive(Deserialize)]
struct Cursors {
    after: Option<String>,
}

/// A product as anyone would parse it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "parsed to be measured")]
struct Product {
    id: String,
    sku: String,
    name: String,
    description: String,
    category: String,
    brand: String,
    price: Price,
    status: String,
    tags: Vec<String>,
    attributes: serde_json::Map<String, serde_json::Value>,
    created_at: String,
    updated_at: String,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed to be measured")]
struct Price {
    amount: i64,
    currency: String,
}

/// Runs `role` in a process of its own.
pub fn ask<T: DeserializeOwned>(
    role: Role,
    setting: &Setting,
    dir: Option<&Path>,
) -> anyhow::Result<T> {
    let name = role.to_possible_value().context("a role without a name")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", name.get_name(), "--upstream", &setting.upstream]);
    command.args(["--products", &setting.products.to_string()]);
    if let Some(dir) = dir {
        command.arg("--dir").arg(dir);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{role:?} failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Does what `role` says, in this process.
pub fn play(role: Role, upstream: &str, dir: Option<PathBuf>, last: &str) -> anyhow::Result<()> {
    let playing = async {
        let report = match role {
            Role::Bare => serde_json::to_string(&bare(upstream).await?),
            Role::Warm => serde_json::to_string(&warm(upstream, dir).await?),
            Role::Restore => serde_json::to_string(&restore(upstream, dir, last).await?),
        };
        anyhow::Ok(report?)
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async { tokio::time::timeout(PATIENCE, playing).await });
    println!("{}", report.context("it hangs")??);
    Ok(())
}

/// The way to the inventory, or to anybody on this machine.
pub fn network(upstream: &str) -> anyhow::Result<Transport> {
    transport::network(&upstream.parse()?, Duration::from_secs(2))
        .map_err(anyhow::Error::from_boxed)
}

/// The least a warm-up has to do: one page after the other, each parsed and dropped.
async fn bare(upstream: &str) -> anyhow::Result<Bare> {
    let transport = network(upstream)?;
    let mut products = 0;
    let mut after: Option<String> = None;
    let watch = Stopwatch::start();
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &UPSTREAM_PAGE.to_string());
        if let Some(after) = &after {
            query.append_pair("after", after);
        }
        let request = Request::get(format!("{upstream}/products?{}", query.finish()))
            .extension(BodyLimit(usize::MAX))
            .body(Bytes::new())?;
        let answer = transport.clone().oneshot(request).await;
        let answer = answer.map_err(anyhow::Error::from_boxed)?;
        let page: Page = serde_json::from_slice(answer.body())?;
        products += std::hint::black_box(page.data).len();
        after = page.paging.cursors.after;
        if after.is_none() {
            break;
        }
    }
    let took = watch.elapsed().as_secs_f64();
    Ok(Bare { products, took })
}

async fn warm(upstream: &str, dir: Option<PathBuf>) -> anyhow::Result<Warm> {
    let before = status("VmRSS:")?;
    let mut app = build(upstream, dir, "true").await?;
    let watch = Stopwatch::start();
    app.start()?;
    service::warmed(app.catalog()).await?;
    let took = watch.elapsed().as_secs_f64();
    app.catalog().flush().await;
    let on_disk = watch.elapsed().as_secs_f64();
    let memory = Memory::now(before)?;

    let stats = app.catalog().stats();
    let (payload, live) = weigh(app.catalog()).await?;
    app.stop(Duration::from_secs(5)).await;
    Ok(Warm {
        products: stats.entries,
        took,
        on_disk,
        payload,
        live,
        accounted: stats.bytes,
        memory,
    })
}

/// All rendered bodies, and all values as they lie on disk, in bytes.
async fn weigh(catalog: &Catalog) -> anyhow::Result<(u64, u64)> {
    let (mut payload, mut live) = (0, 0);
    let mut position = Position::Start;
    loop {
        let query = PageQuery {
            limit: OUR_PAGE,
            criteria: Criteria::default(),
            position,
        };
        let page = catalog.page(&query, Conversation::new()).await?;
        for item in page.items {
            payload += item.stored.representation.body().len() as u64;
            live += item.stored.encode().len() as u64;
        }
        match page.after {
            Some(cursor) => position = Position::After(cursor),
            None => return Ok((payload, live)),
        }
    }
}

async fn restore(upstream: &str, dir: Option<PathBuf>, last: &str) -> anyhow::Result<Restore> {
    let before = status("VmRSS:")?;
    let watch = Stopwatch::start();
    let mut app = build(upstream, dir, "false").await?;
    app.start()?;
    let mut public = app.public();
    while !answers(&mut public, last).await? {
        tokio::task::yield_now().await;
    }
    let first_hit = watch.elapsed().as_secs_f64();
    app.catalog().restored().await;
    let loaded = watch.elapsed().as_secs_f64();
    let memory = Memory::now(before)?;
    let products = app.catalog().stats().entries;
    app.stop(Duration::from_secs(5)).await;
    Ok(Restore {
        products,
        first_hit,
        loaded,
        memory,
    })
}

async fn answers(public: &mut Front, path: &str) -> anyhow::Result<bool> {
    let request = Request::get(path).body(Body::empty())?;
    Ok(public.call(request).await?.status().is_success())
}

async fn build(upstream: &str, dir: Option<PathBuf>, warmup: &str) -> anyhow::Result<App> {
    let variables = [
        ("UPSTREAM_API", upstream),
        ("API_KEY", "none"),
        ("WARMUP_ON_START", warmup),
        // A read that came too early for the store is soon told so, and asks again.
        ("UPSTREAM_MAX_ATTEMPTS", "1"),
        ("CACHE_FAIL_THROTTLE_MS", "0"),
    ];
    service::build(&variables, network(upstream)?, dir).await
}

// === impl Memory ===

impl Memory {
    fn now(before: u64) -> anyhow::Result<Self> {
        Ok(Self {
            before,
            after: status("VmRSS:")?,
            peak: status("VmHWM:")?,
        })
    }

    /// What the service added, in bytes.
    pub fn added(&self) -> u64 {
        self.after.saturating_sub(self.before)
    }

    /// The most it added at any time, in bytes.
    pub fn added_at_most(&self) -> u64 {
        self.peak.saturating_sub(self.before)
    }
}

/// A field of `/proc/self/status` that is in kB, in bytes.
fn status(field: &str) -> anyhow::Result<u64> {
    let text =
        std::fs::read_to_string("/proc/self/status").context("resident memory needs Linux")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kilobytes: u64 = kilobytes
        .with_context(|| format!("no {field}"))?
        .trim()
        .parse()?;
    Ok(kilobytes * 1024)
}
