//! A stream that gives its client only so long for the head of a request, for taking what it is sent, and to
//! lie idle.
//!
//! hyper has one timeout for both an idle connection and a slow head. Idle may last a minute; a client
//! that sends a byte of its head every few seconds must not hold a connection that long. Nor may one that
//! reads nothing of an answer hold it, and a listener's place, for ever: hyper has no limit for that. Nor does a
//! request that comes whole and is answered at once set a timer here: hyper's does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client may take nothing of what waits for it.
const STALLED: Duration = Duration::from_secs(60);

/// How long a connection may lie idle, in looks; and how long it is from one look to the next.
const IDLE_LOOKS: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Where a connection is: even while a head is awaited, odd while a request is answered. Shared
/// between the connection's stream and its service.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<AtomicU64>);

/// A stream that fails when a head that was begun is not complete in time, or none begins for 75 to 90 seconds.
pub struct Patient<S> {
    stream: S,
    patience: Patience,
    limit: Duration,
    /// Where the connection was when the first byte of a head came, and once there is more to wait for, until when.
    begun: Option<(u64, Option<Pin<Box<Sleep>>>)>,
    /// When it is looked at next whether it lies idle.
    look: Option<Pin<Box<Sleep>>>,
    /// Where the connection was when it was looked at last, and how often it was there.
    idle: (u64, u32),
    /// Until when the client has to take something, where it does not at the moment.
    stalled: Option<Pin<Box<Sleep>>>,
}

// === impl Patience ===

impl Patience {
    /// The head of a request has been read; what comes now is its body.
    pub fn head_is_complete(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The request has been answered; what comes now is the next one.
    pub fn head_may_begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Where the connection is, if it awaits a head.
    fn awaited(&self) -> Option<u64> {
        let at = self.0.load(Ordering::Relaxed);
        at.is_multiple_of(2).then_some(at)
    }
}

// === impl Patient ===

impl<S> Patient<S> {
    /// Gives the client of `stream` up to `limit` for each head.
    pub fn new(stream: S, patience: Patience, limit: Duration) -> Self {
        Self {
            stream,
            patience,
            limit,
            begun: None,
            look: None,
            idle: (0, 0),
            stalled: None,
        }
    }

    /// Whether the head that was begun has come to the end of its time.
    fn is_late(&mut self, awaited: Option<u64>, cx: &mut Context<'_>) -> bool {
        match &mut self.begun {
            Some((at, limit)) if awaited == Some(*at) => {
                let limit = limit.get_or_insert_with(|| Box::pin(sleep(self.limit)));
                limit.as_mut().poll(cx).is_ready()
            }
            _ => {
                // A head that came whole was answered before this: no timer was made for it.
                self.begun = None;
                false
            }
        }
    }

    /// Whether nothing has come for too long, where the next head is awaited.
    fn is_idle(&mut self, awaited: u64, cx: &mut Context<'_>) -> bool {
        let look = self.look.get_or_insert_with(|| Box::pin(sleep(LOOK_EVERY)));
        while look.as_mut().poll(cx).is_ready() {
            let next = look.deadline() + LOOK_EVERY;
            look.as_mut().reset(next);
            self.idle = match self.idle {
                (at, looks) if at == awaited => (at, looks + 1),
                _ => (awaited, 0),
            };
            if self.idle.1 >= IDLE_LOOKS {
                return true;
            }
        }
        false
    }

    /// What came of writing; a failure where the client took nothing for too long.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        ready!(limit.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let awaited = this.patience.awaited();
        let late = || Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        if this.is_late(awaited, cx) {
            return late();
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(at) = awaited.filter(|_| this.begun.is_none()) else {
            return read;
        };
        match read {
            Poll::Pending if this.is_idle(at, cx) => return late(),
            Poll::Ready(Ok(())) if buf.filled().len() > before => this.begun = Some((at, None)),
            _ => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn an_idle_client_is_left_alone_and_a_slow_head_is_not() {
        let (mut client, server) = duplex(64);
        let mut stream = Patient::new(server, Patience::default(), LIMIT);
        let mut byte = [0; 1];
        let idle = tokio::time::timeout(LIMIT * 3, stream.read_exact(&mut byte)).await;
        assert!(idle.is_err(), "still waiting");
        client.write_all(b"G").await.unwrap();
        stream.read_exact(&mut byte).await.unwrap();
        let error = stream.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_lies_idle_ends_and_one_that_is_used_now_and_then_does_not() {
        let (mut client, server) = duplex(64);
        let patience = Patience::default();
        let mut stream = Patient::new(server, patience.clone(), LIMIT);
        let mut byte = [0; 1];
        let using = async {
            for _ in 0..10 {
                tokio::time::sleep(LOOK_EVERY * IDLE_LOOKS - LIMIT).await;
                client.write_all(b"G").await.unwrap();
            }
        };
        let serving = async {
            for _ in 0..10 {
                stream.read_exact(&mut byte).await.unwrap();
                patience.head_is_complete();
                patience.head_may_begin();
            }
        };
        tokio::join!(using, serving);
        let clock = Clock::start();
        let since = clock.now();
        let error = stream.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let idle = clock.now().since(since);
        assert!(idle >= LOOK_EVERY * IDLE_LOOKS, "{idle:?}");
        assert!(idle <= LOOK_EVERY * (IDLE_LOOKS + 1), "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go_and_a_slow_one_is_not() {
        let (mut client, server) = duplex(4);
        let mut stream = Patient::new(server, Patience::default(), LIMIT);
        let reading = async {
            let mut bytes = [0; 4];
            for _ in 0..5 {
                tokio::time::sleep(STALLED * 9 / 10).await;
                client.read_exact(&mut bytes).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 20]), reading);
        written.unwrap();
        let error = stream.write_all(&[0; 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_and_the_next_head_have_their_own_time() {
        let (mut client, server) = duplex(64);
        let patience = Patience::default();
        let mut stream = Patient::new(server, patience.clone(), LIMIT);
        let mut byte = [0; 1];
        for _ in 0..3 {
            client.write_all(b"Gb").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            patience.head_is_complete();
            tokio::time::sleep(LIMIT * 2).await;
            stream.read_exact(&mut byte).await.unwrap();
            patience.head_may_begin();
            tokio::time::sleep(LIMIT * 2).await;
        }
    }
}
