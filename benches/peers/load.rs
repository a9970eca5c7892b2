//! One measurement: a server under load, by `wrk` or at a fixed rate, and what it cost the server.

use crate::open_loop;
use crate::process::Server;
use anyhow::{Context, ensure};
use product_catalog::telemetry::Stopwatch;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Threads of `wrk`, as many as the load generator of the figures in the README had.
const THREADS: u32 = 2;

/// The longest that an answer may take, in seconds.
const PATIENCE: u32 = 10;

/// How servers are loaded.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub connections: u32,
    pub seconds: u32,
    /// Requests a second; without it as many as the answers allow.
    pub rate: Option<u32>,
}

/// What one measurement has found; times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub requests: u64,
    pub per_second: f64,
    /// Processor time of the server and its children, a request.
    pub cpu: f64,
    pub p50: f64,
    pub p99: f64,
}

/// What `load.lua` prints.
#[derive(Deserialize)]
struct Summary {
    requests: u64,
    micros: u64,
    p50: f64,
    p99: f64,
    /// Answers with a status of 400 or more.
    refused: u64,
    /// Connections that broke, and answers that took longer than [`PATIENCE`].
    broken: u64,
}

// === impl Load ===

impl Load {
    /// Loads `server` with the requests in `file`.
    ///
    /// # Errors
    /// Where a request is not answered, or with an error.
    pub fn on(&self, server: &Server, file: &Path) -> anyhow::Result<Sample> {
        let before = server.processor_time()?;
        let mut sample = match self.rate {
            None => self.as_fast_as_possible(server, file),
            Some(rate) => self.steadily(server, file, rate),
        }
        .with_context(|| format!("load on {}", server.name))?;
        let took = server.processor_time()?.saturating_sub(before);
        sample.cpu = took.as_secs_f64() * 1e6 / crate::figures::number(sample.requests);
        Ok(sample)
    }

    fn as_fast_as_possible(&self, server: &Server, file: &Path) -> anyhow::Result<Sample> {
        let output = Command::new("wrk")
            .args([format!("-t{THREADS}"), format!("-c{}", self.connections)])
            .args([
                format!("-d{}s", self.seconds),
                format!("--timeout={PATIENCE}s"),
            ])
            .arg("-s")
            .arg(folder().join("load.lua"))
            .arg(format!("http://{}", server.addr))
            .arg("--")
            .arg(file)
            .arg(THREADS.to_string())
            .output()
            .context("wrk can not be run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let summary = text.lines().find(|line| line.starts_with('{'));
        let summary = summary.with_context(|| {
            format!(
                "wrk failed: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        let summary: Summary = serde_json::from_str(summary)?;
        let (refused, broken) = (summary.refused, summary.broken);
        ensure!(
            refused == 0 && broken == 0 && summary.requests > 0,
            "of {} requests {refused} were refused, and {broken} connections broke or timed out",
            summary.requests
        );
        let number = crate::figures::number;
        Ok(Sample {
            requests: summary.requests,
            per_second: number(summary.requests) / number(summary.micros) * 1e6,
            cpu: 0.0,
            p50: summary.p50,
            p99: summary.p99,
        })
    }

    /// In a process of its own: timers of its own, and its processor time is nobody else's.
    fn steadily(&self, server: &Server, file: &Path, rate: u32) -> anyhow::Result<Sample> {
        let watch = Stopwatch::start();
        let output = Command::new(std::env::current_exe()?)
            .args(["--role", "open-loop", "--addr", &server.addr.to_string()])
            .args(["--rate", &rate.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .arg("--file")
            .arg(file)
            .output()?;
        let failure = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{failure}");
        let report: open_loop::Report = serde_json::from_slice(&output.stdout)?;
        ensure!(
            report.requests > 0,
            "nothing was sent in {:?}",
            watch.elapsed()
        );
        let requests = u64::try_from(report.requests)?;
        Ok(Sample {
            requests,
            per_second: crate::figures::per(requests, self.seconds.into()),
            cpu: 0.0,
            p50: report.p50,
            p99: report.p99,
        })
    }
}

/// Where this benchmark's files lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}
