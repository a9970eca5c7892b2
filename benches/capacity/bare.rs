//! The least that a warm-up has to do, in a process of its own that reports a line of JSON.

use crate::Setting;
use anyhow::ensure;
use bytes::Bytes;
use http::Request;
use product_catalog::telemetry::Stopwatch;
use product_catalog::upstream::transport::{self, BodyLimit};
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use std::time::Duration;
use tower::ServiceExt;

/// Products on a page of the inventory's list.
const PAGE: usize = 500;

/// What the loop reports.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bare {
    pub products: usize,
    /// In seconds.
    pub took: f64,
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

/// Runs the loop in a process of its own.
pub fn ask(setting: &Setting) -> anyhow::Result<Bare> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", "bare", "--upstream", &setting.upstream]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the bare loop failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs the loop in this process.
pub fn play(upstream: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(page_through(upstream))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// One page after the other, each parsed and dropped.
async fn page_through(upstream: &str) -> anyhow::Result<Bare> {
    let transport = transport::network(&upstream.parse()?, Duration::from_secs(2))
        .map_err(anyhow::Error::from_boxed)?;
    let mut products = 0;
    let mut after: Option<String> = None;
    let watch = Stopwatch::start();
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &PAGE.to_string());
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
