//! Servers as processes of their own: started, asked for their processor time, and ended.

use anyhow::{Context, ensure};
use product_catalog::telemetry::Stopwatch;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Whatever takes longer to start hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a process may take to end when it is asked to; then it is killed.
const FAREWELL: Duration = Duration::from_secs(30);

/// Between two looks at something that takes its time.
const SOON: Duration = Duration::from_millis(1);

/// What `/proc` counts processor time in: on Linux always a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

/// A server that answers. Ended when it is dropped, its children with it.
#[derive(Debug)]
pub struct Server {
    /// What tables call it.
    pub name: &'static str,
    pub addr: SocketAddr,
    child: Child,
}

// === impl Server ===

impl Server {
    /// Runs `command`, its output going to `log`, until it takes connections on `addr`.
    pub fn start(
        name: &'static str,
        addr: SocketAddr,
        command: &mut Command,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} can not be started"))?;
        let mut server = Self { name, addr, child };
        let watch = Stopwatch::start();
        while TcpStream::connect(addr).is_err() {
            let ended = server.child.try_wait()?;
            ensure!(
                ended.is_none() && watch.elapsed() < PATIENCE,
                "{name} does not answer: {}",
                std::fs::read_to_string(log)?
            );
            pause(SOON);
        }
        Ok(server)
    }

    /// Resident memory now, in bytes, of the process alone.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most resident memory it ever had, in bytes.
    pub fn peak(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    /// A field of `/proc/…/status` that is in kB, in bytes.
    fn status(&self, field: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .with_context(|| format!("{}: resident memory needs Linux", self.name))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
        let kilobytes: u64 = kilobytes
            .with_context(|| format!("no {field}"))?
            .trim()
            .parse()?;
        Ok(kilobytes * 1024)
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// Where it does not say that it ended well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let name = self.name;
        self.end()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        // All of them end their workers on SIGTERM; SIGKILL would leave those behind.
        let signal = format!("kill -TERM {}", self.child.id());
        Command::new("sh").args(["-c", &signal]).status()?;
        let watch = Stopwatch::start();
        while self.child.try_wait()?.is_none() {
            if watch.elapsed() > FAREWELL {
                self.child.kill()?;
            }
            pause(SOON);
        }
        Ok(())
    }

    /// The processor time that it and its children have taken so far, in user and kernel mode.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut processes = BTreeMap::new();
        for entry in std::fs::read_dir("/proc")? {
            // Processes may end while the directory is read.
            if let Ok(text) = std::fs::read_to_string(entry?.path().join("stat"))
                && let Some((process, parent, ticks)) = parse_stat(&text)
            {
                processes.insert(process, (parent, ticks));
            }
        }
        let mut ticks = 0;
        for (&process, &(_, its_ticks)) in &processes {
            let mut ancestor = process;
            while ancestor != self.child.id()
                && let Some(&(parent, _)) = processes.get(&ancestor)
            {
                ancestor = parent;
            }
            if ancestor == self.child.id() {
                ticks += its_ticks;
            }
        }
        Ok(TICK * u32::try_from(ticks)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.end();
    }
}

/// Process, parent, and processor time in ticks, of a line of `/proc/*/stat`.
fn parse_stat(line: &str) -> Option<(u32, u32, u64)> {
    // The name in parentheses may have anything in it.
    let (head, tail) = line.rsplit_once(')')?;
    let process = head.split(' ').next()?.parse().ok()?;
    let mut fields = tail.trim().split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some((process, parent, user + kernel))
}

/// A loopback address that was free a moment ago.
pub fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits, on a thread of one's own.
pub fn pause(length: Duration) {
    std::thread::park_timeout(length);
}
