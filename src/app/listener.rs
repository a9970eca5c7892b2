//! Accepting connections, within limits, and letting go of them in time.
//!
//! `axum::serve` exposes neither hyper's limits nor a deadline for idle connections, so this is an
//! accept loop of our own. HTTP/1.1: a gateway in front speaks anything else.

use super::patience::{Patience, Patient};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::{debug, warn};

/// The longest block of request line and headers: 8 KiB of URI and 32 KiB of headers.
const HEAD_BYTES: usize = 40 * 1024;

/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(75);

/// How long a client may take over a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// The pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port and who answers on it.
pub struct Listener {
    socket: TcpListener,
    addr: SocketAddr,
    router: Router,
}

/// Two steps of closing: finish what is in flight, then cut it off.
#[derive(Clone, Default)]
pub struct Closing {
    begun: CancellationToken,
    cut: CancellationToken,
}

// === impl Closing ===

impl Closing {
    /// Accepts nothing more, closes what is idle, lets requests in flight finish.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Drops what is left.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

// === impl Listener ===

impl Listener {
    /// Serves `router` on `socket`.
    pub fn new(socket: TcpListener, addr: SocketAddr, router: Router) -> Self {
        Self {
            socket,
            addr,
            router,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts connections until closing begins; each runs on `connections`.
    pub async fn accept(self, closing: Closing, connections: TaskTracker) {
        let accepting = async {
            loop {
                match self.socket.accept().await {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, self.router.clone(), closing.clone()));
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        warn!(%error, "Accepting connections fails, will retry");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        closing.begun.run_until_cancelled(accepting).await;
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn serve(stream: TcpStream, router: Router, closing: Closing) {
    // Small answers must not wait for the peer's acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let patience = Patience::default();
    let answering = patience.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        answering.head_is_complete();
        let mut router = router.clone();
        let answering = answering.clone();
        async move {
            let response = router.call(request.map(Body::new)).await;
            answering.head_may_begin();
            response.map_err(|never: Infallible| never)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream, patience, HEAD)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.begun.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = closing.cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "A connection ended with an error");
    }
}
