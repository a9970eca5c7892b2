//! Accepting connections, within limits, and letting go of them in time.
//!
//! `axum::serve` exposes neither hyper's limits nor a deadline for idle connections, so this is an
//! accept loop of our own. HTTP/1.1: a gateway in front speaks anything else.

use super::patience::{Patience, Patient};
use super::threads::Threads;
use crate::http::fault::{ErrorCode, Fault};
use crate::http::{Front, Peer};
use futures_util::TryFutureExt;
use http::header::HOST;
use http::{HeaderMap, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// The longest block of headers, in bytes, as they stand on the wire.
const HEADER_BYTES: usize = 32 * 1024;

/// The longest block of request line and headers together that is read. More than is let through, so
/// that whatever is too long is told so by a fault: hyper's own answers are bare, and for headers one
/// that this service never gives (431). 64 KiB is the longest URI that hyper reads.
const HEAD_BYTES: usize = (64 + 8) * 1024 + HEADER_BYTES;

/// How long a client may take over a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// The pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port and who answers on it.
pub struct Listener {
    socket: TcpListener,
    addr: SocketAddr,
    front: Front,
    tells_peers: bool,
    threads: Option<Threads>,
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
    /// Serves `front` on `socket`.
    pub fn new(socket: TcpListener, addr: SocketAddr, front: Front) -> Self {
        Self {
            socket,
            addr,
            front,
            tells_peers: false,
            threads: None,
        }
    }

    /// The same; requests carry the address they come from, if so.
    #[must_use]
    pub fn telling_peers(self, tells_peers: bool) -> Self {
        Self {
            tells_peers,
            ..self
        }
    }

    /// The same; connections are served on these threads, and not where they are accepted.
    #[must_use]
    pub fn on(self, threads: Threads) -> Self {
        Self {
            threads: Some(threads),
            ..self
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
                    Ok((stream, peer)) => {
                        let peer = self.tells_peers.then_some(peer.ip());
                        let (front, closing) = (self.front.clone(), closing.clone());
                        let serve = move |stream| serve(stream, peer, front, closing);
                        match &self.threads {
                            Some(threads) => {
                                // What is lost here is a connection that its client has lost already.
                                let _ = threads.spawn(stream, &connections, serve);
                            }
                            None => drop(connections.spawn(serve(stream))),
                        }
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

/// Whether headers take more than they may: each its name, a colon, a space, its value and a line end.
fn are_too_large(headers: &HeaderMap) -> bool {
    let lines = headers.iter();
    let bytes: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    bytes > HEADER_BYTES
}

async fn serve(stream: TcpStream, peer: Option<IpAddr>, front: Front, closing: Closing) {
    // Small answers must not wait for the peer's acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let patience = Patience::default();
    let answering = patience.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        answering.head_is_complete();
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer));
        }
        if !has_one_host(&request) {
            let fault = Fault::new(ErrorCode::InvalidRequest);
            request.extensions_mut().insert(fault);
        } else if are_too_large(request.headers()) {
            let fault = Fault::new(ErrorCode::HeadersTooLarge);
            request.extensions_mut().insert(fault);
        }
        let answering = answering.clone();
        front
            .handle(request)
            .inspect_ok(move |_| answering.head_may_begin())
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream, patience, HEAD)), service);
    let mut connection = pin!(connection);
    // Each time the connection gets on, this is looked at as well: not at what all connections share.
    let begun = closing.begun.child_token();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = begun.cancelled() => {
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
    use axum::Router;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What a connection that sends `head` and closes is answered.
    async fn answer_to(head: &str) -> String {
        let router = Router::new()
            .fallback(async || "fine")
            .layer(ObserveLayer::new(Which::Internal, Draining::default()));
        asked(head, router, false).await
    }

    async fn asked(head: &str, router: Router, tells_peers: bool) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let (closing, connections) = (Closing::default(), TaskTracker::new());
        let listener =
            Listener::new(socket, addr, Front::new(router, None)).telling_peers(tells_peers);
        let accepting = listener.accept(closing.clone(), connections);
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
    async fn requests_carry_the_address_they_come_from_where_that_is_wanted() {
        for (tells_peers, said) in [(true, "from 127.0.0.1"), (false, "from nowhere")] {
            let router = Router::new().fallback(async |request: axum::extract::Request| {
                let peer = request.extensions().get::<Peer>();
                peer.map_or("from nowhere".to_owned(), |Peer(peer)| {
                    format!("from {peer}")
                })
            });
            let answer = asked("GET / HTTP/1.1\r\nhost: a\r\n\r\n", router, tells_peers).await;
            assert!(answer.ends_with(said), "{answer}");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_is_told_so_by_a_fault() {
        let headers = |length: usize| {
            let filler = "y".repeat(length - "host: a\r\nx: \r\n".len());
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {filler}\r\n\r\n")
        };
        let uri = |length: usize| {
            let path = "y".repeat(length - 1);
            format!("GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n")
        };
        for (head, status, said) in [
            (headers(HEADER_BYTES), 200, "fine"),
            (headers(HEADER_BYTES + 1), 400, "HEADERS_TOO_LARGE"),
            (headers(HEADER_BYTES * 2), 400, "HEADERS_TOO_LARGE"),
            (uri(8 * 1024), 200, "fine"),
            (uri(8 * 1024 + 1), 414, "URI_TOO_LONG"),
            (uri(60_000), 414, "URI_TOO_LONG"),
            // Hyper's own.
            (uri(70_000), 414, ""),
            (headers(HEAD_BYTES + 1), 431, ""),
        ] {
            let answer = answer_to(&head).await;
            let length = head.len();
            let expected = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&expected), "{length}: {answer}");
            assert!(answer.contains(said), "{length}: {answer}");
        }
    }
}
