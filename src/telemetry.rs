//! Logs, metrics, events, and the id that ties them together.

mod conversation;
pub mod events;
mod line;
pub mod metrics;

pub use conversation::Conversation;

use line::JsonLines;
use std::io::{BufWriter, Write, stdout};
use std::time::Duration;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// Lines that wait for whoever reads standard output; beyond that the newest are dropped. About 4 MB.
const WAITING_LINES: usize = 8192;

/// Bytes collected before they are written, so that a burst of lines is one system call.
const WRITE_BUFFER: usize = 64 * 1024;

/// How long the end of the process waits for the last lines to be taken.
const LAST_LINES: Duration = Duration::from_millis(1500);

/// How the service logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `LOG_FORMAT`.
    pub format: Format,
    /// `RUST_LOG`: a tracing filter.
    pub filter: String,
    /// `LOG_ENVIRONMENT`: where this runs (`production`, say), for the `Environment` of every line.
    pub environment: String,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Pretty,
}

/// Keeps the log writer alive. Dropping it writes out what still waits.
#[must_use = "logging ends when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    writer: Option<WorkerGuard>,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// `RUST_LOG` is not a tracing filter. Correct it.
    #[error("RUST_LOG is not a valid filter: {0}")]
    BadFilter(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process logs already. Initialise once.
    #[error("logging is already initialised")]
    AlreadyInitialised,
}

/// Measures how long something takes. For telemetry only: what decides asks the clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(tokio::time::Instant);

// === impl Stopwatch ===

impl Stopwatch {
    /// Starts it.
    #[allow(
        clippy::disallowed_methods,
        reason = "it measures, it never decides; the service's clock counts in milliseconds"
    )]
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        // The writer's guard reports a stuck reader on standard output, where that reader is stuck:
        // it may wait there for ever, on a thread that the end of the process does not wait for.
        let writer = self.writer.take();
        let (written, wait) = std::sync::mpsc::channel::<()>();
        let writing = std::thread::Builder::new().spawn(move || {
            drop(writer);
            drop(written);
        });
        if writing.is_ok() {
            // Ends with the sender; nothing is ever sent.
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }
}

/// Starts logging to standard output and installs the metrics recorder.
///
/// # Errors
/// [`InitError::BadFilter`], and [`InitError::AlreadyInitialised`] on a second call.
pub fn init(config: &Config) -> Result<Guard, InitError> {
    init_to(config, stdout())
}

/// Like [`init`], but the lines go to `out`.
///
/// They go through a bounded queue to a thread of their own: a reader that is stuck costs lines,
/// never a request.
///
/// # Errors
/// [`InitError::BadFilter`], and [`InitError::AlreadyInitialised`] on a second call.
pub fn init_to(config: &Config, out: impl Write + Send + 'static) -> Result<Guard, InitError> {
    let filter = EnvFilter::builder().parse(&config.filter)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(BufWriter::with_capacity(WRITE_BUFFER, out));

    let lines = fmt::layer().with_writer(writer);
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        Format::Json => registry
            .with(
                lines
                    .with_ansi(false)
                    .fmt_fields(fmt::format::JsonFields::new())
                    .event_format(JsonLines::of_this_process(&config.environment)),
            )
            .try_init(),
        Format::Pretty => registry.with(lines.with_target(false).compact()).try_init(),
    }
    .map_err(|_| InitError::AlreadyInitialised)?;

    metrics::install();
    Ok(Guard {
        writer: Some(guard),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_can_not_be_parsed_is_refused_before_anything_starts() {
        let config = Config {
            format: Format::Json,
            filter: "info,product_catalog=loud".to_owned(),
            environment: "test".to_owned(),
        };
        assert!(matches!(init(&config), Err(InitError::BadFilter(_))));
    }
}
