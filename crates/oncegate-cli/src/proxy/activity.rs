//! What a client's connection is doing, and until when it may go on doing that.
//!
//! hyper has one timer, for HTTP/1 heads, and it starts only when the protocol is known: a client that connects and
//! says nothing would be waited for without end. So the socket and the service note here what happens, and the
//! connection's task asks for the deadline after every step. Promises: a deadline exists whenever the client is the
//! one to move, and none while an execution runs. It deliberately does not look into bytes; how long a body may
//! stall is kept by [`ServerBody`](super::ServerBody).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::Version;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::transport::Transport;

/// How long a client may keep us waiting, by what it is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) first_byte_timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
}

/// What happens at a deadline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expiry {
    /// Nobody waits for an answer: say goodbye as the protocol has it.
    Close,
    /// The client does not do its part: drop the connection.
    Cut,
}

/// What one connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// The connection's task.
    task: AtomicWaker,
}

/// A request, from its head until its answer's last byte is taken or given up.
#[derive(Debug)]
pub(super) struct OpenRequest {
    activity: Arc<Activity>,
}

/// A client's socket that notes what happens on it.
#[derive(Debug)]
pub(super) struct WatchedStream {
    stream: Transport,
    activity: Arc<Activity>,
    lingering: Option<Lingering>,
}

/// Our side has ended; what still comes is read and dropped for a while. Closed at once, the socket would answer it
/// with a reset, and a reset takes the refusal with it that the client has not read yet.
#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

#[derive(Clone, Copy, Debug)]
struct State {
    open_requests: usize,
    /// A request was seen on this connection.
    served: bool,
    /// HTTP/2: bytes between requests are no beginning of a head.
    multiplexed: bool,
    /// The connection began, or the last request ended.
    quiet_since: Instant,
    /// Bytes came while no request was open, and they are no whole head yet.
    head_since: Option<Instant>,
    /// The socket takes no more of what we write.
    blocked_since: Option<Instant>,
    /// A close must not look like the end of a body.
    reset_at_end: bool,
    /// A body was answered before it was read to its end: the client may still be writing.
    lingers: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = State {
            open_requests: 0,
            served: false,
            multiplexed: false,
            quiet_since: Instant::now(),
            head_since: None,
            blocked_since: None,
            reset_at_end: false,
            lingers: false,
        };
        Self {
            state: Mutex::new(state),
            task: AtomicWaker::new(),
        }
    }

    /// Who is to be woken when the deadline changes behind the back of the connection's task.
    pub(super) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// Until when the client must have moved; `None` while it is not its turn.
    pub(super) fn deadline(&self, patience: &Patience) -> Option<(Instant, Expiry)> {
        self.state.lock().deadline(patience)
    }

    /// A request's head was read.
    pub(super) fn open_request(self: &Arc<Self>, version: Version) -> OpenRequest {
        let mut state = self.state.lock();
        state.open_requests += 1;
        state.served = true;
        state.multiplexed = version == Version::HTTP_2;
        state.head_since = None;
        // Whatever was left of the body before, in HTTP/1 it was read to get here.
        state.lingers = false;
        OpenRequest {
            activity: Arc::clone(self),
        }
    }

    /// A request's body is left unread: the connection must not be closed in the client's face. An HTTP/2 stream ends
    /// by itself.
    pub(super) fn note_unread(&self) {
        let mut state = self.state.lock();
        state.lingers = !state.multiplexed;
    }

    /// The connection was asked to end; from now on it is late.
    pub(super) fn note_goodbye(&self) {
        let mut state = self.state.lock();
        state.served = true;
        state.quiet_since = Instant::now();
    }

    fn note_read(&self) {
        let mut state = self.state.lock();
        if state.open_requests == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    fn note_write(&self, is_blocked: bool) {
        let mut state = self.state.lock();
        state.blocked_since = is_blocked.then(|| state.blocked_since.unwrap_or_else(Instant::now));
    }
}

impl State {
    fn deadline(&self, patience: &Patience) -> Option<(Instant, Expiry)> {
        if let Some(blocked_since) = self.blocked_since {
            return Some((blocked_since + patience.write_timeout, Expiry::Cut));
        }
        if self.open_requests > 0 {
            return None;
        }
        match self.head_since {
            Some(head_since) if !self.multiplexed => {
                Some((head_since + patience.header_timeout, Expiry::Cut))
            }
            Some(_) | None if self.served => {
                Some((self.quiet_since + patience.idle_timeout, Expiry::Close))
            }
            Some(_) | None => Some((self.quiet_since + patience.first_byte_timeout, Expiry::Cut)),
        }
    }
}

impl OpenRequest {
    /// The answer broke and its reader has no other way to tell: end the connection with a reset.
    pub(super) fn reset_at_end(&self) {
        self.activity.state.lock().reset_at_end = true;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.activity.state.lock();
        state.open_requests -= 1;
        state.quiet_since = Instant::now();
        // HTTP/2 streams are tasks of their own. In HTTP/1 the connection's task itself is what drops this.
        let elsewhere = state.multiplexed && state.open_requests == 0;
        drop(state);
        if elsewhere {
            self.activity.task.wake();
        }
    }
}

impl WatchedStream {
    pub(super) fn new(stream: Transport, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            lingering: None,
        }
    }
}

impl Drop for WatchedStream {
    fn drop(&mut self) {
        if self.activity.state.lock().reset_at_end
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "cannot reset a client's connection");
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.note_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.note_write(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.activity.note_write(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// TLS keeps what it was given until it is flushed: there, too, a client may take nothing.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if self.stream.is_tls() {
            self.activity.note_write(flushed.is_pending());
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A goodbye would say that all was sent.
        if self.activity.state.lock().reset_at_end {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        let Some(lingering) = &mut this.lingering else {
            let closed = Pin::new(&mut this.stream).poll_shutdown(cx);
            this.activity.note_write(closed.is_pending());
            ready!(closed)?;
            if !this.activity.state.lock().lingers {
                return Poll::Ready(Ok(()));
            }
            this.lingering = Some(Lingering {
                until: Box::pin(sleep(LINGER_TIMEOUT)),
                bytes_left: LINGER_BYTES_MAX,
            });
            return self.poll_shutdown(cx);
        };
        lingering.poll_end(&mut this.stream, cx).map(Ok)
    }
}

impl Lingering {
    /// Ready when the client has ended too, or was given enough.
    fn poll_end(&mut self, stream: &mut Transport, cx: &mut Context<'_>) -> Poll<()> {
        let mut dropped = [0; 8 * 1024];
        while self.bytes_left > 0 && self.until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut dropped);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf));
            let length = buf.filled().len();
            if read.is_err() || length == 0 {
                return Poll::Ready(());
            }
            self.bytes_left = self.bytes_left.saturating_sub(length);
        }
        Poll::Ready(())
    }
}

/// How long, and for how many bytes, a client is listened to that was answered in the middle of its body.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        first_byte_timeout: Duration::from_secs(1),
        header_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(4),
        write_timeout: Duration::from_secs(8),
    };

    fn check(activity: &Activity, expected: Option<(Duration, Expiry)>) {
        let (now, deadline) = (Instant::now(), activity.deadline(&PATIENCE));
        let seen = deadline.map(|(at, expiry)| ((at - now).as_millis().div_ceil(1000), expiry));
        let expected = expected.map(|(after, expiry)| (u128::from(after.as_secs()), expiry));
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_deadline_exists_whenever_the_client_is_the_one_to_move() {
        let activity = Arc::new(Activity::new());
        check(&activity, Some((PATIENCE.first_byte_timeout, Expiry::Cut)));
        activity.note_read();
        check(&activity, Some((PATIENCE.header_timeout, Expiry::Cut)));
        let request = activity.open_request(Version::HTTP_11);
        check(&activity, None);
        activity.note_read();
        check(&activity, None);
        activity.note_write(true);
        check(&activity, Some((PATIENCE.write_timeout, Expiry::Cut)));
        activity.note_write(false);
        check(&activity, None);
        drop(request);
        check(&activity, Some((PATIENCE.idle_timeout, Expiry::Close)));
        activity.note_read();
        check(&activity, Some((PATIENCE.header_timeout, Expiry::Cut)));
    }

    #[test]
    fn only_the_last_body_of_an_http1_connection_makes_it_linger() {
        let activity = Arc::new(Activity::new());
        let lingers = |version, is_read: bool| {
            let request = activity.open_request(version);
            if !is_read {
                activity.note_unread();
            }
            drop(request);
            activity.state.lock().lingers
        };
        assert!(lingers(Version::HTTP_11, false));
        assert!(!lingers(Version::HTTP_11, true));
        // A stream that is left unread is reset, and there may be others.
        assert!(!lingers(Version::HTTP_2, false));
    }

    #[test]
    fn a_ping_between_two_http2_requests_begins_no_head() {
        let activity = Arc::new(Activity::new());
        drop(activity.open_request(Version::HTTP_2));
        activity.note_read();
        check(&activity, Some((PATIENCE.idle_timeout, Expiry::Close)));
    }
}
