//! What one request costs inside the process: time and allocations, without sockets.
//!
//! See `benches/README.md`.

#![allow(
    clippy::expect_used,
    reason = "a benchmark that can not be set up has nothing to measure"
)]

#[path = "shared/machine.rs"]
mod machine;
#[path = "shared/service.rs"]
mod service;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use bytes::Bytes;
use divan::{AllocProfiler, Bencher, Divan};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ETAG, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, USER_AGENT,
};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use product_catalog::app::App;
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::http::Front;
use product_catalog::telemetry;
use product_catalog::upstream::transport::in_process;
use std::cell::RefCell;
use std::fmt;
use std::sync::OnceLock;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;
use tower::Service;

/// The service's allocator; divan counts the allocations of the thread that measures.
#[global_allocator]
static ALLOC: AllocProfiler<Jemalloc> = AllocProfiler::new(Jemalloc);

/// Built by `main` before anything is measured.
static STAGE: OnceLock<Stage> = OnceLock::new();

/// Products in the cache: 100 MB, far more than a processor's caches hold.
const PRODUCTS: usize = 100_000;

/// Products where nothing is measured: `cargo test --benches` only runs everything once.
const PRODUCTS_IN_TEST: usize = 100;

/// The product that is asked for again and again.
const PRODUCT: &str = "/products/P-000042";

/// A date behind all that happens here.
const LATER: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

/// Tags of other products, one of them weak.
const OTHERS: &str = "\"aaaa\", \"bbbb\", W/\"cccc\", \"dddd\", \"eeee\"";

/// What Firefox says that it takes.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const CODINGS: &str = "gzip, deflate, br, zstd";

/// A warm service, and what is asked of it.
struct Stage {
    runtime: Runtime,
    app: App,
    /// The least there can be: a router of one route that answers with a body of the same size.
    bare: Front,
    etag: HeaderValue,
    products: usize,
}

/// What is asked.
#[derive(Clone, Copy)]
enum Asked {
    /// The bare router, for comparison.
    Bare,
    /// One product, again and again.
    Hit,
    /// Any product: what memory costs once processor caches do not help.
    HitAnywhere,
    /// One product, with its entity tag.
    NotModified,
    /// The same with every condition there is: many tags of which none is its own, and dates that say no.
    Conditions,
    /// The same with what a browser says of languages, forms and codings; answered in a coding that is kept.
    Negotiated,
    /// A page of 20 products.
    Page,
    /// A product that is known not to exist.
    Negative,
}

// === impl Asked ===

impl Asked {
    const ALL: [Self; 8] = [
        Self::Bare,
        Self::Hit,
        Self::HitAnywhere,
        Self::NotModified,
        Self::Conditions,
        Self::Negotiated,
        Self::Page,
        Self::Negative,
    ];

    fn path(self, stage: &Stage, random: &mut fastrand::Rng) -> String {
        match self {
            Self::Bare | Self::Hit | Self::NotModified | Self::Conditions | Self::Negotiated => {
                PRODUCT.to_owned()
            }
            Self::HitAnywhere => format!("/products/P-{:06}", random.usize(1..=stage.products)),
            Self::Page => "/products?limit=20".to_owned(),
            Self::Negative => "/products/no-such-product".to_owned(),
        }
    }

    /// A request with the headers that a plain client sends.
    ///
    /// Like the parts of one that was read from a socket, its own share their buffers, so that cloning
    /// them allocates nothing.
    fn request(self, stage: &Stage, random: &mut fastrand::Rng) -> Result<Request, http::Error> {
        let request = Request::get(self.path(stage, random))
            .header(HOST, HeaderValue::from_static("localhost:8080"))
            .header(USER_AGENT, HeaderValue::from_static("wrk/4.1.0"))
            .header(ACCEPT, HeaderValue::from_static("*/*"));
        let request = match self {
            Self::NotModified => request.header(IF_NONE_MATCH, stage.etag.clone()),
            Self::Conditions => request
                .header(IF_MATCH, HeaderValue::from_static("*"))
                .header(IF_UNMODIFIED_SINCE, HeaderValue::from_static(LATER))
                .header(IF_NONE_MATCH, HeaderValue::from_static(OTHERS))
                .header(IF_MODIFIED_SINCE, HeaderValue::from_static(LATER)),
            Self::Negotiated => request
                .header(ACCEPT, HeaderValue::from_static(BROWSER))
                .header(ACCEPT_LANGUAGE, HeaderValue::from_static("en-GB,en;q=0.5"))
                .header(ACCEPT_ENCODING, HeaderValue::from_static(CODINGS)),
            _ => request,
        }
        .body(Body::empty())?;
        // The first clone is what makes a buffer shared.
        drop(request.uri().clone());
        Ok(request)
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Bare
            | Self::Hit
            | Self::HitAnywhere
            | Self::Conditions
            | Self::Negotiated
            | Self::Page => StatusCode::OK,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::Negative => StatusCode::NOT_FOUND,
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare_axum_router",
            Self::Hit => "hit",
            Self::HitAnywhere => "hit_anywhere",
            Self::NotModified => "not_modified_304",
            Self::Conditions => "all_conditions",
            Self::Negotiated => "negotiated",
            Self::Page => "page_of_20",
            Self::Negative => "negative_404",
        })
    }
}

// === impl Stage ===

impl Stage {
    fn set(products: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let inventory = Inventory::new(Catalogue::generated(products, 1));
        let variables = [
            ("UPSTREAM_API", "http://inventory.test"),
            ("API_KEY", "none"),
            ("CACHE_NEGATIVE_TTL_SECONDS", "86400"),
        ];
        let app = runtime.block_on(async {
            let transport = in_process(inventory.router());
            let mut app = service::build(&variables, transport, None).await?;
            app.start()?;
            service::warmed(app.catalog()).await?;
            anyhow::Ok(app)
        })?;
        let mut stage = Self {
            runtime,
            app,
            bare: Front::new(Router::new(), None),
            etag: HeaderValue::from_static("\"\""),
            products,
        };
        stage.complete()?;
        Ok(stage)
    }

    /// Asks once for everything that is measured: it must be what it claims to be.
    fn complete(&mut self) -> anyhow::Result<()> {
        let request = Request::get(PRODUCT).body(Body::empty())?;
        let answer = self.runtime.block_on(self.app.public().call(request))?;
        let etag = answer.headers().get(ETAG);
        self.etag = etag.context("a product without a tag")?.clone();
        let body = self.runtime.block_on(answer.into_body().collect())?;
        let body: Bytes = body.to_bytes();
        let bare = Router::new().route("/products/{id}", get(async move || body.clone()));
        self.bare = Front::new(bare, None);
        for asked in Asked::ALL {
            let request = asked.request(self, &mut fastrand::Rng::with_seed(1))?;
            let (status, _) = self.answer(&self.front(asked), request);
            ensure!(
                status == asked.status(),
                "{asked} is answered with {status}"
            );
        }
        Ok(())
    }

    fn front(&self, asked: Asked) -> Front {
        match asked {
            Asked::Bare => self.bare.clone(),
            _ => self.app.public(),
        }
    }

    /// Answers like a connection does: a clone of the service, the call, the body to its end.
    fn answer(&self, front: &Front, request: Request) -> (StatusCode, usize) {
        let mut front = front.clone();
        self.runtime.block_on(async {
            let Ok(answer) = front.call(request).await;
            let (head, mut body) = answer.into_parts();
            let mut length = 0;
            while let Some(Ok(frame)) = body.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
            }
            (head.status, length)
        })
    }
}

/// One request: dispatch, answer, body, and the release of all of it. Making the request is not measured.
#[divan::bench(args = Asked::ALL, min_time = 1, skip_ext_time = true)]
fn request(bencher: Bencher<'_, '_>, asked: Asked) {
    let stage = STAGE.get().expect("main sets it before divan runs");
    let front = stage.front(asked);
    let random = RefCell::new(fastrand::Rng::with_seed(7));
    bencher
        .with_inputs(|| {
            let request = asked.request(stage, &mut random.borrow_mut());
            request.expect("main has made the same request before")
        })
        .bench_local_values(|request| stage.answer(&front, request));
}

/// What `block_on` costs around a future that is ready: part of every figure above.
#[divan::bench(min_time = 1)]
fn runtime_alone() {
    let stage = STAGE.get().expect("main sets it before divan runs");
    stage.runtime.block_on(async {});
}

fn main() -> anyhow::Result<()> {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let products = if measures { PRODUCTS } else { PRODUCTS_IN_TEST };
    let is_first = STAGE.set(Stage::set(products)?).is_ok();
    ensure!(is_first, "the stage is set once");
    println!("{}\n{products} products in the cache", machine::describe());

    println!("\nWithout a log subscriber:");
    let divan = Divan::from_args();
    divan.main();

    println!("\nWith a JSON access line for each request, written to nowhere:");
    let config = telemetry::Config {
        format: telemetry::Format::Json,
        filter: "info".to_owned(),
        environment: "benchmark".to_owned(),
    };
    let _guard = telemetry::init_to(&config, std::io::sink())?;
    divan.main();
    Ok(())
}
