//! What readers of what is held notice while the rest of the catalogue is read: hits at a fixed rate, over
//! sockets and in process, while nothing happens and during the pass over the inventory's list.

use crate::client::{Client, get};
use crate::figures::{head, row};
use crate::open_loop::{self, Rate, Report};
use crate::serving::path;
use crate::{Setting, service};
use anyhow::{Context, ensure};
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use product_catalog::app::App;
use product_catalog::upstream::transport;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower::ServiceExt;

/// Products that are read: held before the pass begins.
const HOT: usize = 1_000;

/// Connections that requests come on.
const CONNECTIONS: u32 = 16;

/// How long nothing happens.
const QUIET: Duration = Duration::from_secs(5);

/// A pass that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A list: it makes the service want the whole.
const LIST: &str = "/products?limit=1";

/// Two reports: while nothing happens, and during the pass.
struct Pair {
    idle: Report,
    busy: Report,
}

/// Measures both ways.
pub fn measure(setting: &Setting) -> anyhow::Result<()> {
    let mut over_sockets = Vec::new();
    let mut in_process = Vec::new();
    for _ in 0..setting.rounds {
        over_sockets.push(sockets(setting)?);
        in_process.push(router(setting)?);
    }
    let (products, rate) = (setting.products, setting.per_second);
    print(
        &format!("Hits over sockets, {rate}/s, a pass of {products}"),
        &over_sockets,
    );
    print(
        &format!("Hits in process, {rate}/s, a pass of {products}"),
        &in_process,
    );
    Ok(())
}

fn print(title: &str, rounds: &[Pair]) {
    head(title);
    let of = |figure: &dyn Fn(&Pair) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
    let unit = "us";
    row("p50, nothing else happens", unit, of(&|r| r.idle.p50));
    row("p50, during the pass", unit, of(&|r| r.busy.p50));
    row("p99, nothing else happens", unit, of(&|r| r.idle.p99));
    row("p99, during the pass", unit, of(&|r| r.busy.p99));
    row(
        "slowest, nothing else happens",
        unit,
        of(&|r| r.idle.slowest),
    );
    row("slowest, during the pass", unit, of(&|r| r.busy.slowest));
    row(
        "p50, during / without",
        "x",
        of(&|r| r.busy.p50 / r.idle.p50),
    );
    row(
        "p99, during / without",
        "x",
        of(&|r| r.busy.p99 / r.idle.p99),
    );
}

/// Over sockets, of the release binary.
fn sockets(setting: &Setting) -> anyhow::Result<Pair> {
    let home = setting.fresh()?;
    let serving = setting.serve(&home, &[("WARMUP_ON_START", "false")])?;
    let requests: Vec<Vec<u8>> = hot(setting).map(|path| get(&path).into_bytes()).collect();
    let mut client = serving.client()?;
    for request in &requests {
        ensure!(client.exchange(request)? == 200, "a product is missing");
    }
    let addr = serving.server.addr;
    let run =
        |lasts, is_over: &AtomicBool| open_loop::run(addr, setting.rate(lasts), &requests, is_over);
    let idle = run(QUIET, &AtomicBool::new(false))?;
    let busy = during(run, || {
        Client::connect(addr)?.exchange(get(LIST).as_bytes())?;
        serving.until(crate::serving::Stats::is_listed)?;
        Ok(())
    })?;
    drop(serving);
    std::fs::remove_dir_all(home)?;
    Ok(Pair { idle, busy })
}

/// Through the router, in this process: each request on the thread that makes it.
fn router(setting: &Setting) -> anyhow::Result<Pair> {
    let app = setting.runtime.block_on(build(setting))?;
    let public = app.public();
    let paths: Vec<String> = hot(setting).collect();
    let ask = |path: &str| -> anyhow::Result<u16> {
        let request = Request::get(path).body(Body::empty())?;
        setting.runtime.block_on(async {
            let answer = public.clone().oneshot(request).await?;
            let status = answer.status().as_u16();
            answer.into_body().collect().await?;
            Ok(status)
        })
    };
    for path in &paths {
        ensure!(ask(path)? == 200, "a product is missing");
    }
    let run = |lasts, is_over: &AtomicBool| {
        open_loop::pace(setting.rate(lasts), is_over, |number| {
            let mut turns = paths.iter().cycle().skip(number as usize);
            let ask = &ask;
            Ok(move || ask(turns.next().context("no paths")?))
        })
    };
    let idle = run(QUIET, &AtomicBool::new(false))?;
    let busy = during(run, || {
        ask(LIST)?;
        setting.runtime.block_on(service::warmed(app.catalog()))
    })?;
    setting.runtime.block_on(app.stop(Duration::from_secs(5)));
    Ok(Pair { idle, busy })
}

/// Runs the load for as long as `pass` takes.
fn during(
    run: impl Fn(Duration, &AtomicBool) -> anyhow::Result<Report> + Sync,
    pass: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| run(PATIENCE, &is_over));
        let passed = pass();
        is_over.store(true, Ordering::Relaxed);
        let report = load.join().ok().context("a client panicked")?;
        passed?;
        report
    })
}

/// The paths of the products that are read, spread over the catalogue.
fn hot(setting: &Setting) -> impl Iterator<Item = String> {
    let products = setting.products;
    let numbers = (1..=products).step_by(products.div_ceil(HOT));
    numbers.map(move |number| path(number, products))
}

async fn build(setting: &Setting) -> anyhow::Result<App> {
    let network = transport::network(&setting.upstream.parse()?, Duration::from_secs(2))
        .map_err(anyhow::Error::from_boxed)?;
    let variables = [
        ("UPSTREAM_API", setting.upstream.as_str()),
        ("API_KEY", "none"),
        ("WARMUP_ON_START", "false"),
        ("CACHE_MAX_SIZE_MB", &setting.cap),
    ];
    let mut app = service::build(&variables, network, None).await?;
    app.start()?;
    Ok(app)
}

// === impl Setting ===

impl Setting {
    fn rate(&self, lasts: Duration) -> Rate {
        Rate {
            per_second: self.per_second,
            connections: CONNECTIONS,
            lasts,
        }
    }
}
