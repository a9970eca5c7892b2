//! [`Launch`] and [`Process`]: the binary, started and watched, ended with the test.

use crate::client::{self, Answer};
use crate::upstream::Upstream;
use serde_json::Value;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// How long anything may take that a test waits for. Far above what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The binary with arguments and an environment, and nothing of the environment around the test.
pub struct Launch {
    command: Command,
    home: TempDir,
}

/// A process under way. Killed when it is dropped.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
    /// Deleted with the process.
    _home: TempDir,
    addrs: Option<(SocketAddr, SocketAddr)>,
}

/// What a process left behind.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// What a process has written so far.
#[derive(Default)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

// === impl Launch ===

impl Launch {
    /// The binary with these arguments, and ports of the system's choice on loopback.
    pub fn new(args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_product-catalog"));
        command
            .args(args)
            .env_clear()
            // `./data` is the default store.
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, home }
            .set("HTTP_ADDR", "127.0.0.1:0")
            .set("METRICS_ADDR", "127.0.0.1:0")
    }

    /// `serve` before this inventory, stopping without a pause, and looking after a second whether one that
    /// went away is back.
    pub fn serve(upstream: &Upstream) -> Self {
        Self::new(&["serve"])
            .set("CIRCUIT_RECOVERY_SECONDS", "1")
            .set("UPSTREAM_API", &upstream.url())
            .set("API_KEY", "k")
            .set("DRAIN_DELAY_SECONDS", "0")
    }

    /// Sets a variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Keeps its store in `dir`.
    pub fn store(self, dir: &Path) -> Self {
        let dir = dir.to_str().unwrap().to_owned();
        self.set("CACHE_DIR", &dir)
    }

    /// Starts it without reading its standard output: the pipe fills up.
    pub fn start_unread(mut self) -> Process {
        let mut child = self.command.spawn().unwrap();
        let stderr = Output::of(child.stderr.take().unwrap());
        Process {
            child,
            stdout: Output::default(),
            stderr,
            _home: self.home,
            addrs: None,
        }
    }

    /// Starts it.
    pub fn start(self) -> Process {
        let mut process = self.start_unread();
        process.stdout = Output::of(process.child.stdout.take().unwrap());
        process
    }

    /// Starts it and waits until it says where it listens.
    pub async fn listening(self) -> Process {
        let mut process = self.start();
        let addrs = process
            .logged("Serving products on", |line| {
                let addr = |name: &str| line[name].as_str()?.parse::<SocketAddr>().ok();
                Some((addr("http")?, addr("internal")?))
            })
            .await;
        process.addrs = Some(addrs);
        process
    }

    /// Starts it, and waits until it has listed the whole inventory.
    pub async fn warm(self) -> Process {
        let process = self.listening().await;
        process.warmed().await;
        process
    }

    /// Runs it to its end.
    pub async fn run(self) -> Ended {
        self.start().ended().await
    }
}

// === impl Process ===

impl Process {
    /// Where the public API listens.
    pub fn http(&self) -> SocketAddr {
        self.addrs.expect("it listens").0
    }

    /// Where the internal listener listens.
    pub fn internal(&self) -> SocketAddr {
        self.addrs.expect("it listens").1
    }

    /// Gets `path` from the public API.
    pub async fn get(&self, path: &str) -> Answer {
        client::get(self.http(), path).await
    }

    /// The statistics of the cache.
    pub async fn stats(&self) -> Value {
        client::get(self.internal(), "/cache/stats").await.json()
    }

    /// The sum of a metric's series whose labels contain `label`.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let text = client::get(self.internal(), "/metrics").await.text();
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// Waits for a listing pass to end.
    pub async fn warmed(&self) {
        self.logged("products; ", |line| line["confirmed"].as_u64())
            .await;
    }

    /// Waits until `/health` has this status, and returns it.
    pub async fn health(&self, status: &str) -> Answer {
        self.until(&format!("/health to be {status}"), async || {
            let health = self.get("/health").await;
            (health.json()["status"] == status).then_some(health)
        })
        .await
    }

    /// Waits for a log line whose message contains `text` and that `pick` takes something from.
    pub async fn logged<T>(&self, text: &str, pick: impl Fn(&Value) -> Option<T>) -> T {
        self.until(&format!("a log line with {text:?}"), async || {
            self.logs()
                .iter()
                .filter(|line| line["Message"].as_str().is_some_and(|m| m.contains(text)))
                .find_map(&pick)
        })
        .await
    }

    /// Waits until `look` sees something.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let Ok(seen) = timeout(PATIENCE, looking).await else {
            panic!("waited for {what} in vain\n{}", self.told());
        };
        seen
    }

    /// The log so far. Fails on a line that is no JSON object.
    pub fn logs(&self) -> Vec<Value> {
        let text = self.stdout.text();
        // What is behind the last line end is a line under way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| match serde_json::from_str(line) {
                Ok(line @ Value::Object(_)) => line,
                _ => panic!("not a JSON object: {line}"),
            })
            .collect()
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        self.stdout.text()
    }

    /// Standard error so far.
    pub fn err(&self) -> String {
        self.stderr.text()
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success(), "{kill}");
    }

    /// Ends it as kill -9 does, and waits for that.
    pub fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        self.ended_with(status)
    }

    /// Asks it to stop, and waits for its end.
    pub async fn stop(self) -> Ended {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let ending = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        match timeout(PATIENCE, ending).await {
            Ok(status) => self.ended_with(status),
            Err(_) => panic!("it does not end\n{}", self.told()),
        }
    }

    /// What it told, for whoever has to find out what went wrong: without requests.
    fn told(&self) -> String {
        let out = self.out();
        let lines = out.lines().filter(|line| !line.contains("\"Access\""));
        let lines: Vec<_> = lines.collect();
        let last = lines.len().saturating_sub(50);
        format!("{}\n{}", lines[last..].join("\n"), self.err())
    }

    fn ended_with(&mut self, status: ExitStatus) -> Ended {
        self.stdout.end();
        self.stderr.end();
        Ended {
            status,
            stdout: self.out(),
            stderr: self.err(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Ended ===

impl Ended {
    /// Its exit code; none where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Everything it wrote.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

// === impl Output ===

impl Output {
    /// Reads `pipe` to its end, on a thread of its own.
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let read = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                read.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Waits for the rest of what an ended process wrote.
    fn end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}
