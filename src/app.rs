//! Assembly: builds every part, runs both listeners and the background tasks, and stops in order.
//!
//! Stopping (DESIGN 18, 20): ready turns 503 at once; for a moment new requests are still served, with
//! `Connection: close`; then nothing is accepted any more, requests in flight finish, the store is
//! flushed and closed. All of that within `GRACEFUL_SHUTDOWN_SECONDS`.

mod listener;
mod patience;
pub mod progress;
pub mod signals;
mod threads;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Config, Pending};
use crate::http::auth::Authority;
use crate::http::{Draining, Front, HttpState};
use crate::ops::OpsState;
use crate::telemetry::events::Events;
use crate::telemetry::metrics;
use crate::upstream::Inventory;
use crate::upstream::transport::Transport;
use axum::Router;
use listener::{Closing, Listener};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use threads::Threads;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// The part of the time for stopping that is kept for flushing the store: a fifth.
const FLUSH_SHARE: u32 = 5;

/// How often the metrics are tidied up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What a request may take beyond the deadline of the call to the inventory that it waits for.
const REQUEST_MARGIN: Duration = Duration::from_secs(2);

/// A service that is built but not yet listening.
pub struct App {
    http_addr: SocketAddr,
    metrics_addr: SocketAddr,
    graceful_shutdown: Duration,
    drain_delay: Duration,
    catalog: Arc<Catalog>,
    authority: Arc<Authority>,
    public: Front,
    internal: Router,
    counts_clients: bool,
    pending: Vec<Pending>,
    draining: Draining,
    tasks: TaskTracker,
    loads: TaskTracker,
    stop: CancellationToken,
    clock: Clock,
}

/// A service that has its ports, and serves when [`Bound::run`] is called.
pub struct Bound {
    app: App,
    public: Listener,
    internal: Listener,
}

/// A port that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} ({variable}): {hint}")]
pub struct BindError {
    variable: &'static str,
    addr: SocketAddr,
    hint: String,
    #[source]
    source: std::io::Error,
}

// === impl App ===

impl App {
    /// Builds every part, innermost first. Opens no port, reads no disk, calls nobody.
    pub fn build(config: Config, transport: Transport, clock: Clock) -> Self {
        metrics::install();
        let loads = TaskTracker::new();
        let (draining, events) = (Draining::default(), Events::new());
        let stop = CancellationToken::new();
        let deadline = config.upstream.deadline + REQUEST_MARGIN;
        let inventory = Inventory::new(config.upstream, transport, clock, events.clone());
        let catalog = Arc::new(Catalog::new(
            config.catalog,
            config.cache,
            inventory,
            clock,
            loads.clone(),
            events.clone(),
        ));
        let authority = Arc::new(Authority::new(&config.http, clock));
        let counts_clients = config.http.rate_limit.is_some();
        let public = crate::http::public(HttpState {
            catalog: Arc::clone(&catalog),
            config: config.http,
            authority: Arc::clone(&authority),
            clock,
            draining: draining.clone(),
            deadline,
        });
        let internal = crate::ops::router(OpsState {
            catalog: Arc::clone(&catalog),
            config: config.ops,
            draining: draining.clone(),
            events,
            stop: stop.child_token(),
        });
        Self {
            http_addr: config.http_addr,
            metrics_addr: config.metrics_addr,
            graceful_shutdown: config.graceful_shutdown,
            drain_delay: config.drain_delay,
            catalog,
            authority,
            public,
            internal,
            counts_clients,
            pending: config.pending,
            draining,
            tasks: TaskTracker::new(),
            loads,
            stop,
            clock,
        }
    }

    /// Opens the store and starts the background tasks: all that runs without a request.
    ///
    /// # Errors
    /// If the store's thread can not be started.
    pub fn start(&mut self) -> std::io::Result<()> {
        self.catalog.open_store()?;
        let (stop, authority) = (self.stop.child_token(), Arc::clone(&self.authority));
        self.tasks
            .spawn(async move { stop.run_until_cancelled(authority.keep_keys()).await });
        let (warm, probe) = (Arc::clone(&self.catalog), Arc::clone(&self.catalog));
        self.tasks.spawn(warm.keep_warm(self.stop.child_token()));
        let contracts = Arc::clone(&self.catalog);
        self.tasks
            .spawn(contracts.keep_contracts(self.stop.child_token()));
        self.tasks
            .spawn(probe.keep_probing(self.stop.child_token()));
        let contracts = Arc::clone(&self.catalog);
        self.tasks
            .spawn(contracts.recall_contracts(self.stop.child_token()));
        for pending in std::mem::take(&mut self.pending) {
            let stop = self.stop.child_token();
            self.tasks
                .spawn(async move { stop.run_until_cancelled(pending.arrive()).await });
        }
        let stop = self.stop.child_token();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(async {
                loop {
                    tokio::time::sleep(UPKEEP_EVERY).await;
                    metrics::upkeep();
                }
            })
            .await
        });
        Ok(())
    }

    /// Takes both ports.
    ///
    /// # Errors
    /// [`BindError`] names the address, its variable, and how to choose another.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let public = bind("HTTP_ADDR", self.http_addr, self.public.clone()).await?;
        let public = public.telling_peers(self.counts_clients);
        let internal = Front::new(self.internal.clone(), None);
        let internal = bind("METRICS_ADDR", self.metrics_addr, internal).await?;
        Ok(Bound {
            app: self,
            public,
            internal,
        })
    }

    /// The public API, to be called without a socket.
    pub fn public(&self) -> Front {
        self.public.clone()
    }

    /// The internal listener's API, to be called without a socket.
    pub fn internal(&self) -> Router {
        self.internal.clone()
    }

    /// The catalogue.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The switch that begins draining.
    pub fn draining(&self) -> &Draining {
        &self.draining
    }

    /// Ends the background tasks and closes the store, in that order. Calls to the inventory that are
    /// under way get up to `patience` to end: what they bring is worth keeping, but not waiting for.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tasks.close();
        self.loads.close();
        let _ = tokio::time::timeout(patience, async {
            self.tasks.wait().await;
            self.loads.wait().await;
        })
        .await;
        self.catalog.close_store().await;
    }
}

// === impl Bound ===

impl Bound {
    /// Where the public API listens, also if the port was left to the system.
    pub fn http_addr(&self) -> SocketAddr {
        self.public.addr()
    }

    /// Where the internal listener listens.
    pub fn metrics_addr(&self) -> SocketAddr {
        self.internal.addr()
    }

    /// The service.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Serves until `shutdown` completes, then drains, within `GRACEFUL_SHUTDOWN_SECONDS`.
    ///
    /// # Errors
    /// If the service can not be started.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        self.app.start()?;
        let (http, internal) = (self.http_addr(), self.metrics_addr());
        info!(%http, %internal, "Serving products on http://{http}, metrics and operations on http://{internal}");
        let closing = Closing::default();
        let connections = TaskTracker::new();
        let threads = Threads::start()?;
        let public = self.public.on(threads.clone());
        for listener in [public, self.internal] {
            connections.spawn(listener.accept(closing.clone(), connections.clone()));
        }

        shutdown.await;
        let app = self.app;
        let deadline = app.clock.now() + app.graceful_shutdown;
        info!(
            "Stopping: new requests are served for {:?} more",
            app.drain_delay
        );
        app.draining.begin();
        app.stop.cancel();
        tokio::time::sleep(app.drain_delay).await;

        closing.begin();
        connections.close();
        let left = deadline.since(app.clock.now());
        let patience = left.saturating_sub(app.graceful_shutdown / FLUSH_SHARE);
        let drained = tokio::time::timeout(patience, connections.wait()).await;
        let cut = connections.len();
        closing.cut();

        let left = deadline.since(app.clock.now());
        let stopped = tokio::time::timeout(left, app.stop(left / 2)).await;
        if stopped.is_err() {
            warn!(
                "Not everything was written in time; the next start takes the store as left in disorder"
            );
        }
        match drained {
            Ok(()) => info!(cut = 0, "Stopped; every request was finished"),
            Err(_) => warn!(cut, "Stopped; {cut} connections were cut off"),
        }
        drop(threads);
        Ok(())
    }
}

async fn bind(
    variable: &'static str,
    addr: SocketAddr,
    front: Front,
) -> Result<Listener, BindError> {
    let bound = TcpListener::bind(addr).await.and_then(|socket| {
        let addr = socket.local_addr()?;
        Ok(Listener::new(socket, addr, front))
    });
    bound.map_err(|source| BindError {
        variable,
        addr,
        hint: match source.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "the port is taken; choose another, e.g. {variable}={}:{}",
                addr.ip(),
                addr.port().wrapping_add(10_000).max(1024)
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!("not permitted; choose a port above 1023 for {variable}")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                format!(
                    "this machine has no such address; {variable}=0.0.0.0:{} is any",
                    addr.port()
                )
            }
            kind => format!("{kind}; check {variable}"),
        },
        source,
    })
}
