//! Signals and panics: what the world and our own mistakes tell the process.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::error;

/// Linux's number of SIGXFSZ: "file larger than the process may write".
const SIGXFSZ: i32 = 25;

/// The signals the service listens to, from when it was made.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Its default would end the process where a limit on file sizes only costs us the store.
    _too_large: Signal,
}

// === impl Signals ===

impl Signals {
    /// Starts listening.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _too_large: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Completes at the first SIGTERM or SIGINT.
    pub async fn shutdown(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Sends panics to the log instead of to standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        // A payload may hold anything, a request's contents too: the place says enough.
        error!(at, "Something panicked; this is a bug, please report it");
    }));
}
