//! The servers that are compared, and what stands behind them.

use crate::bare::Flavour;
use crate::load::folder;
use crate::process::{Server, free_addr};
use crate::serving::Serving;
use anyhow::Context;
use clap::ValueEnum;
use std::fmt::Write;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What tables call the product, bare hyper, and the peers.
pub const PRODUCT: &str = "product-catalog";
pub const BARE: &str = "bare hyper";
const BARE_APART: &str = "bare hyper, a runtime a core";
const PLAIN: &str = "its cache behind nothing";
const NGINX: &str = "nginx";
const VARNISH: &str = "Varnish";

/// Longer than any run, so that what is warm stays warm: ten days, in seconds.
pub const KEPT: &str = "864000";

/// Descriptors that nginx needs beside those of its open files.
const SPARE_FILES: u64 = 4096;

/// Log records of Varnish that a hit, a miss or a pass would make.
const VARNISH_RECORDS: &[&str] = &[
    "Begin",
    "BackendClose",
    "BackendOpen",
    "BackendReuse",
    "BereqAcct",
    "BereqHeader",
    "BereqMethod",
    "BereqProtocol",
    "BereqURL",
    "BerespHeader",
    "BerespProtocol",
    "BerespReason",
    "BerespStatus",
    "End",
    "Fetch_Body",
    "Filters",
    "Hit",
    "HitMiss",
    "HitPass",
    "Length",
    "Link",
    "ReqAcct",
    "ReqHeader",
    "ReqMethod",
    "ReqProtocol",
    "ReqStart",
    "ReqURL",
    "ReqUnset",
    "RespHeader",
    "RespProtocol",
    "RespReason",
    "RespStatus",
    "RespUnset",
    "SessClose",
    "SessOpen",
    "Storage",
    "TTL",
    "Timestamp",
    "VCL_call",
    "VCL_return",
    "VCL_use",
];

/// Starts servers whose files lie below one folder.
#[derive(Clone, Debug)]
pub struct Yard {
    pub home: PathBuf,
    pub products: usize,
}

/// The product before it is started.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub name: &'static str,
    pub inventory: SocketAddr,
    pub is_warm: bool,
    pub has_access_log: bool,
}

// === impl Yard ===

impl Yard {
    /// The embedded inventory, `latency` milliseconds away.
    pub fn inventory(&self, latency: u64) -> anyhow::Result<Server> {
        let addr = free_addr()?;
        let mut command = role("inventory", addr)?;
        command.args(["--products", &self.products.to_string()]);
        command.args(["--latency", &latency.to_string()]);
        Server::start("inventory", addr, &mut command, &self.log("inventory"))
    }

    /// Bare hyper that answers everything with what lies in `template`.
    pub fn bare(&self, template: &Path, flavour: Flavour) -> anyhow::Result<Server> {
        let name = match flavour {
            Flavour::Multi => BARE,
            Flavour::Apart => BARE_APART,
        };
        let addr = free_addr()?;
        let flavour = flavour.to_possible_value().context("no such flavour")?;
        let mut command = role("bare", addr)?;
        command.args(["--flavour", flavour.get_name()]);
        command.arg("--file").arg(template);
        Server::start(name, addr, &mut command, &self.log("bare"))
    }

    /// The product's cache behind nothing but HTTP.
    pub fn plain(&self, inventory: SocketAddr) -> anyhow::Result<Server> {
        let addr = free_addr()?;
        let mut command = role("plain", addr)?;
        command.args(["--inventory", &inventory.to_string()]);
        Server::start(PLAIN, addr, &mut command, &self.log("plain"))
    }

    /// The release binary, with its defaults but for how long things are kept.
    pub fn service(&self, service: Service) -> anyhow::Result<Server> {
        let upstream = format!("http://{}", service.inventory);
        let level = if service.has_access_log {
            "info"
        } else {
            "warn"
        };
        let is_warm = service.is_warm.to_string();
        let serving = Serving::start(
            service.name,
            &upstream,
            &self.fresh(service.name)?,
            &[
                ("CACHE_TTL_SECONDS", KEPT),
                ("HTTP_MAX_AGE_SECONDS", KEPT),
                ("WARMUP_ON_START", &is_warm),
                ("RUST_LOG", level),
            ],
        )?;
        if service.is_warm {
            serving.until_warm(self.products)?;
        }
        Ok(serving.server)
    }

    /// nginx as a cache in front of `origin`.
    pub fn nginx(&self, origin: SocketAddr, has_access_log: bool) -> anyhow::Result<Server> {
        let addr = free_addr()?;
        let home = self.fresh(NGINX)?;
        let log = home.join("access.log");
        let access_log = match has_access_log {
            true => format!("{} all buffer=64k", log.display()),
            false => "off".to_owned(),
        };
        let files = descriptors()?;
        let config = filled(
            "nginx.conf",
            &[
                ("home", home.display().to_string()),
                ("workers", cores().to_string()),
                ("files", files.to_string()),
                ("open_files", files.saturating_sub(SPARE_FILES).to_string()),
                ("access_log", access_log),
                ("origin", origin.to_string()),
                ("listen", addr.to_string()),
            ],
        )?;
        let file = home.join("nginx.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new(crate::setup::program("nginx"));
        command.arg("-p").arg(&home).arg("-c").arg(&file);
        Server::start(NGINX, addr, &mut command, &home.join("log"))
    }

    /// Varnish as a cache in front of `origin`, everything in memory and nothing logged.
    pub fn varnish(&self, origin: SocketAddr) -> anyhow::Result<Server> {
        let addr = free_addr()?;
        let home = self.fresh(VARNISH)?;
        let config = filled(
            "varnish.vcl",
            &[
                ("host", origin.ip().to_string()),
                ("port", origin.port().to_string()),
            ],
        )?;
        let file = home.join("varnish.vcl");
        std::fs::write(&file, config)?;
        let mut unlogged = String::new();
        for record in VARNISH_RECORDS {
            write!(
                unlogged,
                "{}-{record}",
                if unlogged.is_empty() { "" } else { "," }
            )?;
        }
        let mut command = Command::new(crate::setup::program("varnishd"));
        command
            .args(["-F", "-j", "none", "-s", "malloc,2g", "-t", KEPT])
            .args(["-p", "http_gzip_support=off", "-p", "thread_pools=2"])
            .args(["-p", "thread_pool_min=100", "-p", "timeout_idle=3600"])
            .args(["-p", &format!("vsl_mask={unlogged}")])
            .args(["-a", &addr.to_string()])
            .arg("-n")
            .arg(home.join("run"))
            .arg("-f")
            .arg(file);
        Server::start(VARNISH, addr, &mut command, &home.join("log"))
    }

    /// An empty folder for one server.
    fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let home = tempfile::Builder::new()
            .prefix(name)
            .tempdir_in(&self.home)?;
        Ok(home.keep())
    }

    /// Empties what servers have logged: it lies in memory.
    pub fn empty_logs(&self) -> anyhow::Result<()> {
        for home in std::fs::read_dir(&self.home)? {
            let home = home?.path();
            for log in [home.join("log"), home.join("access.log")] {
                if let Ok(file) = File::options().write(true).open(log) {
                    file.set_len(0)?;
                }
            }
        }
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.home.join(format!("{name}.log"))
    }
}

/// This program in one of its roles.
fn role(name: &str, addr: SocketAddr) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", name, "--addr", &addr.to_string()]);
    Ok(command)
}

/// A file of this folder, with what stands in double braces filled in.
fn filled(file: &str, values: &[(&str, String)]) -> anyhow::Result<String> {
    let mut text = std::fs::read_to_string(folder().join(file))?;
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    Ok(text)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How many files a process may have open.
fn descriptors() -> anyhow::Result<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(4));
    // Where there is no limit, this is plenty.
    Ok(hard.and_then(|hard| hard.parse().ok()).unwrap_or(1_000_000))
}
