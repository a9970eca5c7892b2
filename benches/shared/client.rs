//! A client on one connection: what is checked and warmed is asked for with it, and the load at a fixed rate.

use anyhow::{Context, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Whoever takes longer to answer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that stays open.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    head: String,
    body: Vec<u8>,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The header lines without the status line, as they came.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            head: String::new(),
            body: Vec::new(),
        })
    }

    /// Sends a request, byte for byte, and reads the answer to its end. The status.
    ///
    /// # Errors
    /// Where the connection breaks, or the answer does not say how long it is.
    pub fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.get_mut().write_all(request)?;
        self.head.clear();
        let mut line = 0;
        loop {
            let read = self.stream.read_line(&mut self.head)?;
            ensure!(read > 0, "the connection was closed");
            if self.head.get(line..) == Some("\r\n") {
                break;
            }
            line = self.head.len();
        }
        let status = self.head.split(' ').nth(1);
        let status = status.context("an answer without a status")?.parse()?;
        let length = match status {
            204 | 304 => 0,
            _ => self.length()?,
        };
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(status)
    }

    /// The same, with all of the answer.
    ///
    /// # Errors
    /// As [`Client::exchange`].
    pub fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        let status = self.exchange(request)?;
        let lines = self.head.lines().skip(1);
        let head = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Ok(Answer {
            status,
            head: head.collect(),
            body: self.body.clone(),
        })
    }

    fn length(&self) -> anyhow::Result<usize> {
        for line in self.head.lines() {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                return Ok(value.trim().parse()?);
            }
        }
        bail!("an answer of unknown length: {}", self.head)
    }
}

/// A read of `path` with nothing that need not be there.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")
}
