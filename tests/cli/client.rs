//! A client of a few lines: it shows what is on the wire, and it can misbehave.

use crate::process::PATIENCE;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A connection that stays open.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

// === impl Answer ===

impl Answer {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// Whether it is marked as stale, and as not to be stored by anybody.
    pub fn is_stale(&self) -> bool {
        let stale = self.header("x-cache-stale") == Some("true");
        assert_eq!(stale, self.header("cache-control") == Some("no-store"));
        stale
    }

    /// The seconds of its `max-age`.
    pub fn max_age(&self) -> Option<u64> {
        let policy = self.header("cache-control")?;
        let ages = policy
            .split(", ")
            .filter_map(|d| d.strip_prefix("max-age="));
        ages.last()?.parse().ok()
    }
}

// === impl Connection ===

impl Connection {
    /// Connects.
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends raw bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    /// Sends a request and waits for its answer.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Answer> {
        self.send(head(method, path, headers, body).as_bytes())
            .await?;
        self.answer().await
    }

    /// Gets `path`.
    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.call("GET", path, &[], "").await
    }

    /// Reads one answer. An error of the kind `UnexpectedEof` where the connection ends before it.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let reading = read(&mut self.stream);
        timeout(PATIENCE, reading).await.expect("an answer in time")
    }

    /// Waits until the other side closes the connection; true if it sent nothing before.
    pub async fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        // A reset closes it too.
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        let _ = read.expect("to be closed in time");
        rest.is_empty()
    }
}

/// Gets `path` on a connection of its own.
pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    call(addr, "GET", path, &[], "").await
}

/// Calls on a connection of its own.
pub async fn call(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut connection = Connection::open(addr).await.unwrap();
    connection
        .call(method, path, headers, body)
        .await
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// All products' ids, by walking through the list.
pub async fn ids(addr: SocketAddr) -> Vec<String> {
    let mut connection = Connection::open(addr).await.unwrap();
    let mut ids = Vec::new();
    let mut path = "/products?limit=100".to_owned();
    loop {
        let page = connection.get(&path).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        let data = page["data"].as_array().unwrap();
        ids.extend(data.iter().map(|p| p["id"].as_str().unwrap().to_owned()));
        match page["paging"]["cursors"]["after"].as_str() {
            Some(after) => path = format!("/products?limit=100&after={after}"),
            None => return ids,
        }
    }
}

fn head(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head + "\r\n" + body
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let status = line(stream).await?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut headers = Vec::new();
    loop {
        let line = line(stream).await?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer {
        status: status.expect("a status line"),
        headers,
        body: Vec::new(),
    };
    assert_eq!(answer.header("transfer-encoding"), None, "bodies are whole");
    if answer.status != 304
        && let Some(length) = answer.header("content-length")
    {
        answer.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut answer.body).await?;
    }
    Ok(answer)
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
