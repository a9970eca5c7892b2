//! What carries a call to the inventory: reqwest over the network, or a router in this process.

use super::Config;
use super::origin::{Origin, is_public};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

/// One attempt: a request to a whole answer. The answer's body is bounded by the request's [`BodyLimit`].
///
/// Fails with a [`TransportError`].
pub type Transport = BoxCloneSyncService<http::Request<Bytes>, http::Response<Bytes>, BoxError>;

/// Request extension: the longest body of an answer, in bytes after decoding.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);

/// Why there is no whole answer. Names no address.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection came about: nothing was sent.
    #[error("no connection to the inventory")]
    NotSent(#[source] BoxError),
    /// The connection broke after something may have been sent.
    #[error("the connection to the inventory broke")]
    Broken(#[source] BoxError),
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// The most that is read of the body of an answer that is no success; the rest is let go.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Resolves names to public addresses only. What is filtered is what is connected to: a name that leads
/// somewhere else when it is asked a second time gains nothing.
struct PublicOnly;

/// An answer's body while it arrives.
struct Gathered {
    bytes: BytesMut,
    limit: usize,
}

/// Over the network to `base`: pooled connections, TLS with the platform's roots, gzip, no redirects.
///
/// `connect_timeout` bounds connecting, TLS included. Proxies of the environment are used unless
/// `base` is on this machine.
///
/// # Errors
/// Where TLS can not be set up, e.g. because the platform has no root certificates.
pub fn network(base: &http::Uri, connect_timeout: Duration) -> Result<Transport, BoxError> {
    let mut builder = client(connect_timeout);
    if base.scheme_str() == Some("http") {
        // Without redirects there will be no TLS: do not depend on the platform's roots.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    Ok(over(builder.build()?))
}

/// Over the network to hosts that only an allow-list vouches for: like [`network`], but names lead to
/// public addresses only. Addresses themselves are called as they are, since somebody wrote them down.
/// Without proxies, which would resolve names on their own.
///
/// # Errors
/// As [`network`].
fn public_network(connect_timeout: Duration) -> Result<Transport, BoxError> {
    let builder = client(connect_timeout)
        .no_proxy()
        .dns_resolver(Arc::new(PublicOnly));
    Ok(over(builder.build()?))
}

/// What the inventory is called through, and whatever else contracts may refresh from.
///
/// # Errors
/// As [`network`].
pub fn outbound(config: &Config, connect_timeout: Duration) -> Result<Transport, BoxError> {
    let own = network(&config.base, connect_timeout)?;
    if config.refresh_origins.is_empty() {
        return Ok(own);
    }
    let others = public_network(connect_timeout)?;
    Ok(by_origin(&config.base, own, others))
}

/// Sends what goes to the origin of `base` by `own`, and everything else by `others`.
fn by_origin(base: &http::Uri, own: Transport, others: Transport) -> Transport {
    let origin = Origin::of(base);
    Transport::new(tower::service_fn(move |request: http::Request<Bytes>| {
        let is_own = Origin::of(request.uri()) == origin;
        let way = if is_own { own.clone() } else { others.clone() };
        way.oneshot(request)
    }))
}

fn client(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // Fails where the process has a provider already, which then is the one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("product-catalog/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .gzip(true)
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(60))
}

fn over(client: reqwest::Client) -> Transport {
    Transport::new(tower::service_fn(move |request| {
        let client = client.clone();
        async move { exchange(&client, request).await.map_err(BoxError::from) }
    }))
}

/// Into a router of this process: no sockets, so that paused time works. Bodies are held to the
/// same limits; one that ends in an error counts as a broken connection, and as none at all
/// where that error is [`io::ErrorKind::ConnectionRefused`].
pub fn in_process(router: axum::Router) -> Transport {
    let service = tower::service_fn(move |request| {
        let router = router.clone();
        async move { route(router, request).await.map_err(BoxError::from) }
    });
    Transport::new(service)
}

// === impl PublicOnly ===

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

// === impl Gathered ===

impl Gathered {
    /// Gets ready for a body that says it will have `declared` bytes.
    fn expecting(declared: Option<u64>, limit: usize) -> Result<Self, TransportError> {
        let declared = declared.map_or(Ok(0), usize::try_from);
        match declared {
            // Makes room for what is likely; what is claimed beyond that must first arrive.
            Ok(length) if length <= limit => Ok(Self {
                bytes: BytesMut::with_capacity(length.min(64 * 1024)),
                limit,
            }),
            _ => Err(TransportError::TooLong(limit)),
        }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), TransportError> {
        if chunk.len() > self.limit - self.bytes.len() {
            return Err(TransportError::TooLong(self.limit));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, TransportError> {
    let limit = limit_of(&request);
    let request = reqwest::Request::try_from(request).map_err(not_sent)?;
    let response = client.execute(request).await.map_err(|error| {
        // Addresses are internal, and errors end up in logs.
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            not_sent(error)
        } else {
            broken(error)
        }
    })?;
    gather(http::Response::from(response), limit, |error| {
        broken(error.without_url())
    })
    .await
}

async fn route(
    router: axum::Router,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, TransportError> {
    let limit = limit_of(&request);
    let Ok(response) = router.oneshot(request.map(axum::body::Body::from)).await;
    let declared = declared_length(response.headers());
    let whole = gather(response, limit, |error| match refused(&error) {
        true => not_sent(error),
        false => broken(error),
    })
    .await?;
    // A socket would notice; in here we have to.
    let received = whole.body().len() as u64;
    if whole.status().is_success() && declared.is_some_and(|length| length != received) {
        return Err(broken("the body ended before its declared length"));
    }
    Ok(whole)
}

/// Reads the body: all of a success, and of anything else what there is, up to a limit, because
/// there the status says it all.
async fn gather<B: axum::body::HttpBody<Data = Bytes> + Unpin>(
    response: http::Response<B>,
    limit: usize,
    failed: impl Fn(B::Error) -> TransportError,
) -> Result<http::Response<Bytes>, TransportError> {
    let (head, mut incoming) = response.into_parts();
    if !head.status.is_success() {
        let mut body = Gathered::expecting(None, MAX_ERROR_BYTES)?;
        while let Some(Ok(frame)) = incoming.frame().await {
            let chunk = frame.data_ref();
            if chunk.is_some_and(|chunk| body.push(chunk).is_err()) {
                break;
            }
        }
        return Ok(http::Response::from_parts(head, body.bytes.freeze()));
    }
    let mut body = Gathered::expecting(declared_length(&head.headers), limit)?;
    while let Some(frame) = incoming.frame().await {
        if let Some(chunk) = frame.map_err(&failed)?.data_ref() {
            body.push(chunk)?;
        }
    }
    Ok(http::Response::from_parts(head, body.bytes.freeze()))
}

fn declared_length(headers: &http::HeaderMap) -> Option<u64> {
    let length = headers.get(http::header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn limit_of(request: &http::Request<Bytes>) -> usize {
    /// For a request that does not say: an error's body.
    const DEFAULT: BodyLimit = BodyLimit(64 * 1024);
    request.extensions().get().unwrap_or(&DEFAULT).0
}

fn not_sent(error: impl Into<BoxError>) -> TransportError {
    TransportError::NotSent(error.into())
}

fn broken(error: impl Into<BoxError>) -> TransportError {
    TransportError::Broken(error.into())
}

fn refused(error: &(dyn Error + 'static)) -> bool {
    let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref().is_some_and(is_refused) {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_loopback(base: &http::Uri) -> bool {
    let host = base.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use base64::Engine;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// 100,000 zeros, compressed.
    const BOMB: &str = "H4sIAAAAAAACA+3BMQEAAADCoPVPbQ0PoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIBXA32VEdSghgEA";

    async fn send(
        transport: &Transport,
        url: &str,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let request = http::Request::get(url).extension(BodyLimit(10_000));
        let answer = transport
            .clone()
            .oneshot(request.body(Bytes::new()).unwrap());
        answer.await.map_err(|error| *error.downcast().unwrap())
    }

    async fn routed(
        answer: fn() -> http::Response<Body>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let router = Router::new().fallback(move || async move { answer() });
        send(&in_process(router), "http://inventory/products").await
    }

    fn failing(kind: io::ErrorKind) -> http::Response<Body> {
        let parts = [Ok("half"), Err(io::Error::from(kind))];
        http::Response::new(Body::from_stream(stream::iter(parts)))
    }

    /// What comes of one call over a socket that answers with `bytes` and closes.
    async fn served(bytes: &[u8]) -> Result<http::Response<Bytes>, TransportError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let transport = network(&url.parse().unwrap(), Duration::from_secs(5)).unwrap();
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(bytes).await;
        };
        tokio::join!(send(&transport, &url), serve).0
    }

    #[tokio::test]
    async fn a_body_is_held_to_its_limit() {
        let fits = routed(|| http::Response::new(Body::from(vec![b'x'; 10_000])))
            .await
            .unwrap();
        assert_eq!(fits.body().len(), 10_000);
        let declared = routed(|| http::Response::new(Body::from(vec![b'x'; 10_001]))).await;
        assert!(
            matches!(declared, Err(TransportError::TooLong(10_000))),
            "{declared:?}"
        );
        let streamed = routed(|| {
            let endless = stream::repeat_with(|| Ok::<_, io::Error>("xxxxxxxxxxxxxxxx"));
            http::Response::new(Body::from_stream(endless))
        });
        assert!(matches!(
            streamed.await,
            Err(TransportError::TooLong(10_000))
        ));
    }

    #[tokio::test]
    async fn an_error_is_known_by_its_status_however_long_its_body() {
        let answer = routed(|| {
            let mut response = http::Response::new(Body::from(vec![b'x'; 1 << 20]));
            *response.status_mut() = http::StatusCode::BAD_GATEWAY;
            response
        });
        assert_eq!(answer.await.unwrap().status(), 502);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_broken_connection() {
        let broken = routed(|| failing(io::ErrorKind::UnexpectedEof)).await;
        assert!(
            matches!(broken, Err(TransportError::Broken(_))),
            "{broken:?}"
        );
        let refused = routed(|| failing(io::ErrorKind::ConnectionRefused)).await;
        assert!(
            matches!(refused, Err(TransportError::NotSent(_))),
            "{refused:?}"
        );
        let short = routed(|| {
            let parts = stream::iter([Ok::<_, io::Error>("half")]);
            let response = http::Response::builder().header("content-length", 8);
            response.body(Body::from_stream(parts)).unwrap()
        });
        assert!(matches!(short.await, Err(TransportError::Broken(_))));
    }

    #[tokio::test]
    async fn nothing_was_sent_where_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let transport = network(&url.parse().unwrap(), Duration::from_secs(5)).unwrap();
        let result = send(&transport, &url).await;
        let Err(error @ TransportError::NotSent(_)) = result else {
            panic!("{result:?}");
        };
        let mut chain = String::new();
        let mut next: Option<&dyn Error> = Some(&error);
        while let Some(error) = next {
            chain += &error.to_string();
            next = error.source();
        }
        let address = url.trim_start_matches("http://");
        assert!(!chain.contains(address), "an address is in {chain}");
    }

    #[tokio::test]
    async fn what_broke_after_sending_is_told_apart() {
        for bytes in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-le",
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal",
            "SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            let result = served(bytes.as_bytes()).await;
            assert!(
                matches!(result, Err(TransportError::Broken(_))),
                "{bytes}: {result:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_believed() {
        let result = served(b"HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n").await;
        assert!(
            matches!(result, Err(TransportError::TooLong(10_000))),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn a_compressed_body_is_held_to_the_limit_after_decoding() {
        let bomb = base64::engine::general_purpose::STANDARD
            .decode(BOMB)
            .unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            bomb.len()
        );
        let result = served(&[head.as_bytes(), &bomb].concat()).await;
        assert!(
            matches!(result, Err(TransportError::TooLong(10_000))),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_called_where_only_a_list_vouches_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let others = public_network(Duration::from_secs(5)).unwrap();
        let refused = send(&others, &format!("http://localhost:{port}/")).await;
        assert!(
            matches!(refused, Err(TransportError::NotSent(_))),
            "{refused:?}"
        );
        // Nobody came: the next to connect is the one that names the address itself.
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            let answer =
                b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n";
            socket.write_all(answer).await.unwrap();
        };
        let url = format!("http://127.0.0.1:{port}/");
        let (answer, ()) = tokio::join!(send(&others, &url), serve);
        assert_eq!(answer.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn each_origin_has_its_way() {
        let way = |status: u16| {
            let status = http::StatusCode::from_u16(status).unwrap();
            in_process(Router::new().fallback(move || async move { status }))
        };
        let base = "https://inventory.test/api".parse().unwrap();
        let both = by_origin(&base, way(201), way(202));
        for (url, expected) in [
            ("https://inventory.test/elsewhere", 201),
            ("https://INVENTORY.test:443/", 201),
            ("http://inventory.test/api", 202),
            ("https://inventory.test:8443/api", 202),
            ("https://prices.test/", 202),
        ] {
            let answer = send(&both, url).await.unwrap();
            assert_eq!(answer.status(), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let answer = served(
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
        assert_eq!(answer.unwrap().status(), 302);
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (base, expected) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1/api", true),
            ("http://[::1]:80", true),
            ("https://inventory.internal/api", false),
            ("http://127.example.com", false),
        ] {
            assert_eq!(is_loopback(&base.parse().unwrap()), expected, "{base}");
        }
    }
}
