//! The release binary, serving: what users run, with its allocator and its runtime. And what its clients send.

use crate::client::{Answer, Client, get};
use crate::process::{Server, free_addr, pause};
use anyhow::{Context, ensure};
use product_catalog::telemetry::Stopwatch;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What writers send as `x-api-key`.
const WRITE_KEY: &str = "benchmark";

/// What operators send as bearer token.
const ADMIN_TOKEN: &str = "benchmark-operator";

/// Between two looks at what it says of itself: each of them costs it something.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// The service in a process of its own. Ended when it is dropped.
#[derive(Debug)]
pub struct Serving {
    pub server: Server,
    internal: SocketAddr,
}

/// What `/cache/stats` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Products that are held.
    pub entries: usize,
    /// All that counts against the cap, in bytes.
    pub bytes: u64,
    pub evictions: BTreeMap<String, u64>,
    pub store: Store,
    pub index_complete: bool,
    pub listing: Listing,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    pub up: bool,
    pub live_bytes: u64,
    pub queue_length: u64,
}

#[derive(Debug, Deserialize)]
pub struct Listing {
    /// Passes that came to an end.
    pub passes: u64,
}

// === impl Serving ===

impl Serving {
    /// Starts it with these variables beside its defaults, its store and its log in `home`.
    pub fn start(
        name: &'static str,
        upstream: &str,
        home: &Path,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let (addr, internal) = (free_addr()?, free_addr()?);
        let mut command = Command::new(env!("CARGO_BIN_EXE_product-catalog"));
        command
            .arg("serve")
            .env_clear()
            .env("CACHE_DIR", home.join("store"))
            .envs([
                ("UPSTREAM_API", upstream),
                ("API_KEY", "none"),
                ("HTTP_ADDR", &addr.to_string()),
                ("METRICS_ADDR", &internal.to_string()),
                ("WRITE_API_KEYS", &format!("bench:{}", digest(WRITE_KEY))),
                ("ADMIN_TOKEN", ADMIN_TOKEN),
                ("DRAIN_DELAY_SECONDS", "0"),
                ("RUST_LOG", "warn"),
            ])
            .envs(variables.iter().copied());
        let server = Server::start(name, addr, &mut command, &home.join("log"))?;
        Ok(Self { server, internal })
    }

    pub fn stats(&self) -> anyhow::Result<Stats> {
        let answer = Client::connect(self.internal)?.ask(get("/cache/stats").as_bytes())?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Waits until `is_done`.
    pub fn until(&self, is_done: impl Fn(&Stats) -> bool) -> anyhow::Result<Stats> {
        let watch = Stopwatch::start();
        loop {
            let stats = self.stats()?;
            if is_done(&stats) {
                return Ok(stats);
            }
            ensure!(watch.elapsed() < PATIENCE, "waited in vain: {stats:?}");
            pause(LOOK_EVERY);
        }
    }

    /// Waits until so many products are held and indexed, and everything is on disk where there is one.
    pub fn until_warm(&self, products: usize) -> anyhow::Result<Stats> {
        self.until(|stats| stats.is_listed() && stats.entries == products && stats.is_written())
    }

    /// Has everything confirmed by a pass over the inventory's list, and waits until that is on disk.
    pub fn confirm_all(&self) -> anyhow::Result<()> {
        let passes = self.stats()?.listing.passes;
        let body = r#"{"all":true}"#;
        let order = format!(
            "POST /cache/invalidations HTTP/1.1\r\nHost: bench\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = Client::connect(self.internal)?.ask(order.as_bytes())?;
        ensure!(answer.status < 300, "refused: {answer:?}");
        self.until(|stats| stats.listing.passes > passes && stats.is_written())?;
        Ok(())
    }

    /// A connection to the public listener.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.server.addr)
    }
}

// === impl Stats ===

impl Stats {
    /// Whether a pass over the inventory's list is through.
    pub fn is_listed(&self) -> bool {
        self.listing.passes > 0 && self.index_complete
    }

    /// Products that had to make room, for whatever reason.
    pub fn evicted(&self) -> u64 {
        self.evictions.values().sum()
    }

    /// Whether nothing waits for the disk.
    pub fn is_written(&self) -> bool {
        !self.store.up || self.store.queue_length == 0
    }
}

fn digest(key: &str) -> String {
    let digest = Sha256::digest(key);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The path of a product of a generated catalogue.
pub fn path(number: usize, products: usize) -> String {
    let width = products.to_string().len().max(6);
    format!("/products/P-{number:0width$}")
}

/// A write of what was read of some product, at another price.
///
/// # Errors
/// Where it is not JSON.
pub fn put(path: &str, product: &Answer, cents: usize) -> anyhow::Result<String> {
    let mut product: serde_json::Value = serde_json::from_slice(&product.body)?;
    let members = product.as_object_mut().context("a product is an object")?;
    members.remove("id");
    members.remove("createdAt");
    members.remove("updatedAt");
    let price = serde_json::json!({"amount": cents, "currency": "EUR"});
    members.insert("price".to_owned(), price);
    let body = product.to_string();
    Ok(format!(
        "PUT {path} HTTP/1.1\r\nHost: bench\r\nx-api-key: {WRITE_KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}
