//! Bare hyper with one fixed answer: nobody who speaks HTTP by way of hyper can be faster.

use crate::client::Answer;
use anyhow::Context;
use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::ready;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How its connections share the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Flavour {
    /// One runtime whose threads steal work from each other, as the product's.
    Multi,
    /// One runtime of one thread a core; connections are dealt out in turn.
    Apart,
}

/// The answer to everything.
#[derive(Clone, Debug)]
struct Fixed {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The answer in one piece, without the headers that a server adds by itself.
pub fn template(answer: &Answer) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", answer.status).into_bytes();
    for (name, value) in &answer.head {
        if !["content-length", "date", "connection"].contains(&name.as_str()) {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
    }
    bytes.extend(b"\r\n");
    bytes.extend(&answer.body);
    bytes
}

/// Answers everything with what lies in `template`, for ever.
pub fn serve(addr: SocketAddr, template: &Path, flavour: Flavour) -> anyhow::Result<()> {
    let fixed = Fixed::parse(std::fs::read(template)?.leak())?;
    listen(addr, flavour, move |_| fixed.answer())
}

/// Answers with what `answer` makes, for ever.
pub fn listen<A>(addr: SocketAddr, flavour: Flavour, answer: A) -> anyhow::Result<()>
where
    A: Fn(&mut Request<Incoming>) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind(addr)?;
    let cores = match flavour {
        Flavour::Multi => 1,
        Flavour::Apart => available_parallelism().map_or(1, NonZero::get),
    };
    let mut runtimes = Vec::new();
    for _ in 0..cores {
        let (sender, mut streams) = mpsc::unbounded_channel::<TcpStream>();
        let answer = answer.clone();
        runtimes.push(sender);
        let runtime = match flavour {
            Flavour::Multi => runtime::Builder::new_multi_thread().enable_all().build()?,
            Flavour::Apart => runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                let tasks = TaskTracker::new();
                while let Some(stream) = streams.recv().await {
                    tasks.spawn(converse(stream, answer.clone()));
                }
            });
        });
    }
    for (number, stream) in listener.incoming().enumerate() {
        let runtime = runtimes.get(number % cores).context("no runtime")?;
        runtime.send(stream?)?;
    }
    Ok(())
}

/// Serves one connection; what goes wrong with it is its client's to notice.
async fn converse<A>(stream: TcpStream, answer: A) -> anyhow::Result<()>
where
    A: Fn(&mut Request<Incoming>) -> Response<Full<Bytes>>,
{
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
    let service = service_fn(|mut request| ready(Ok::<_, Infallible>(answer(&mut request))));
    http1::Builder::new()
        .serve_connection(stream, service)
        .await?;
    Ok(())
}

// === impl Fixed ===

impl Fixed {
    /// Reads what [`template`] wrote.
    fn parse(template: &'static [u8]) -> anyhow::Result<Self> {
        let end = template.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let (head, body) = template
            .split_at_checked(end.context("a template without a head")? + 4)
            .context("a template without an end")?;
        let mut lines = std::str::from_utf8(head)?.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Ok(Self {
            status: status.context("no status")?.parse()?,
            headers,
            body: Bytes::from_static(body),
        })
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}
