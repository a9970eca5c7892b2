//! The threads that connections are served on: one for each processor, each with a runtime of its own.
//!
//! A connection stays on its thread, and so does everything its requests touch: nothing is stolen, no
//! other thread is woken for it. Background work runs elsewhere. docs/ARCHITECTURE.md has what that was
//! measured to save.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// The threads. When the last clone is dropped they end, with whatever still runs on them.
#[derive(Clone, Debug)]
pub struct Threads {
    threads: Arc<[Serving]>,
    _running: Arc<DropGuard>,
}

#[derive(Debug)]
struct Serving {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// A connection of a thread's, counted until it is dropped.
struct Counted(Arc<AtomicUsize>);

// === impl Threads ===

impl Threads {
    /// Starts as many threads as this process may use processors.
    ///
    /// # Errors
    /// If one can not be started.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let stop = CancellationToken::new();
        let running = Arc::new(stop.clone().drop_guard());
        let threads = (0..count).map(|number| Serving::start(number, stop.clone()));
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
            _running: running,
        })
    }

    /// Serves a connection on the thread that has the fewest, as one of `tracked`.
    ///
    /// # Errors
    /// If the connection is not to be had any more.
    pub fn spawn<F>(
        &self,
        stream: TcpStream,
        tracked: &TaskTracker,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send,
    {
        // Out of the runtime that accepted it.
        let stream = stream.into_std()?;
        let load = |thread: &&Serving| thread.connections.load(Ordering::Relaxed);
        let Some(thread) = self.threads.iter().min_by_key(load) else {
            return Ok(());
        };
        let counted = Counted::one_more(&thread.connections);
        let serving = async move {
            let _counted = counted;
            if let Ok(stream) = TcpStream::from_std(stream) {
                serve(stream).await;
            }
        };
        drop(tracked.spawn_on(serving, &thread.runtime));
        Ok(())
    }
}

// === impl Serving ===

impl Serving {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name(format!("serve-{number}"))
            .spawn(move || {
                runtime.block_on(stop.cancelled());
                // Not waiting for threads that may be looking up a name.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            connections: Arc::default(),
        })
    }
}

// === impl Counted ===

impl Counted {
    fn one_more(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn connections_are_spread_over_the_threads_and_end_with_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (threads, tracked) = (Threads::start().unwrap(), TaskTracker::new());
        let count = threads.threads.len();
        let (names, mut named) = mpsc::unbounded_channel();
        let mut clients = Vec::new();
        for _ in 0..2 * count {
            clients.push(TcpStream::connect(addr).await.unwrap());
            let (stream, _) = listener.accept().await.unwrap();
            let names = names.clone();
            let serve = |stream: TcpStream| async move {
                names
                    .send(thread::current().name().map(str::to_owned))
                    .unwrap();
                let _ = stream.readable().await;
            };
            threads.spawn(stream, &tracked, serve).unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..2 * count {
            seen.push(named.recv().await.unwrap().unwrap());
        }
        seen.sort();
        let each = |number: usize| [format!("serve-{number}"), format!("serve-{number}")];
        let mut expected: Vec<_> = (0..count).flat_map(each).collect();
        expected.sort();
        assert_eq!(seen, expected);

        // Those of one client go, and its thread is the next again.
        drop(clients.pop());
        for _ in 0..200 {
            if threads
                .threads
                .iter()
                .any(|thread| thread.connections.load(Ordering::Relaxed) == 1)
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let loads = threads
            .threads
            .iter()
            .map(|thread| thread.connections.load(Ordering::Relaxed));
        assert_eq!(loads.sum::<usize>(), 2 * count - 1);

        drop(threads);
        tracked.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), tracked.wait());
        assert!(ended.await.is_ok(), "they end with their threads");
    }
}
