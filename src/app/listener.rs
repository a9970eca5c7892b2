//! Accepting connections, within limits, and letting go of them in time.
//!
//! `axum::serve` exposes neither hyper's limits nor a deadline for idle connections, so this is an
//! accept loop of our own. HTTP/1.1: a gateway in front speaks anything else.

use super::patience::{Patience, Patient};
use crate::http::fault::{ErrorCode, Fault};
use axum::Router;
use axum::body::Body;
use http::Version;
use http::header::HOST;
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

/// The longest block of request line and headers together: room for 8 KiB of URI and 32 KiB of headers.
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

/// Whether a request says once whom it is meant for, as HTTP/1.1 demands
/// ([RFC 9112 section 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)).
fn has_one_host<B>(request: &hyper::Request<B>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().count();
    hosts == 1 || (hosts == 0 && request.version() < Version::HTTP_11)
}

async fn serve(stream: TcpStream, router: Router, closing: Closing) {
    // Small answers must not wait for the peer's acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let patience = Patience::default();
    let answering = patience.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        answering.head_is_complete();
        if !has_one_host(&request) {
            let fault = Fault::new(ErrorCode::InvalidRequest);
            request.extensions_mut().insert(fault);
        }
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
        .max_header_size(HEAD_BYTES)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Draining;
    use crate::http::observe::{Listener as Which, ObserveLayer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What a connection that sends `head` and closes is answered.
    async fn answer_to(head: &str) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let router = Router::new()
            .fallback(async || "fine")
            .layer(ObserveLayer::new(Which::Internal, Draining::default()));
        let (closing, connections) = (Closing::default(), TaskTracker::new());
        let accepting = Listener::new(socket, addr, router).accept(closing.clone(), connections);
        let asking = async {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            closing.begin();
            answer
        };
        tokio::join!(accepting, asking).1
    }

    #[tokio::test]
    async fn a_request_names_its_host_once() {
        for (head, status) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200"),
            ("GET / HTTP/1.1\r\nhost:\r\n\r\n", "HTTP/1.1 200"),
            ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
            (
                "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
                "HTTP/1.1 400",
            ),
            (
                "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n",
                "HTTP/1.0 400",
            ),
        ] {
            let answer = answer_to(head).await;
            assert!(answer.starts_with(status), "{head}: {answer}");
            let refused = answer.contains("INVALID_REQUEST");
            assert_eq!(refused, status.ends_with("400"), "{answer}");
            assert!(answer.contains("x-conversation: "), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_head_of_forty_kibibytes_is_read_and_one_byte_more_is_not() {
        let head = |length: usize| {
            let rest = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
            let filler = "y".repeat(length - rest);
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {filler}\r\n\r\n")
        };
        for (length, status) in [
            (HEAD_BYTES, "HTTP/1.1 200"),
            (HEAD_BYTES + 1, "HTTP/1.1 431"),
        ] {
            let answer = answer_to(&head(length)).await;
            assert!(answer.starts_with(status), "{length}: {answer}");
        }
    }
}
