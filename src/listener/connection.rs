//! A client's connection: it limits the time of a head, gives the HTTP layer's own refusals their form, and closes in a
//! way that lets the client read a refusal.

mod async_io;
mod early;

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use early::Early;

use super::{
    admission::Admitted,
    refusal::{HeadStart, Refuse, encoded, refused_by_hyper},
    timer::Timer,
    transport::{Opened, Stream},
};

/// How long a connection still reads after its last answer was a failure: until the client has sent nothing for the
/// shorter time, and for the longer time at most. If the connection closed while the client is sending, the client's
/// system would discard the answer. A client that reads only after it has sent everything needs this.
const LINGER_SILENT: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_secs(30);

/// How much of a request is read at once while the connection rests: the whole head, nearly always.
const READ_AT_ONCE: usize = 4 << 10;

/// A connection that counts until it is dropped.
pub(super) struct Connection {
    stream: Stream,
    /// What was read and not passed on.
    unread: Bytes,
    admitted: Arc<Admitted>,
    /// How requests are refused. `None` for HTTP/2: the server limits its heads and idle times by its streams.
    http1: Option<Arc<dyn Refuse>>,
    /// The number of the request that `head_ends` was set after.
    requests: usize,
    /// When the head that has begun must be complete. `None` between requests, and while all of the head may have arrived:
    /// most heads arrive whole, and then the time is not asked for.
    head_ends: Option<Instant>,
    /// When the next head must have begun. `None` unless the connection is idle.
    idle_ends: Option<Instant>,
    /// When the idle connection rests. `None` if it did, or is not idle.
    rest_begins: Option<Instant>,
    /// The beginning of the head that is arriving.
    head: HeadStart,
    timer: Timer,
    /// When the client must have taken more of an answer. `None` while it takes what is written.
    write_ends: Option<Instant>,
    write_timer: Timer,
    /// The answer that is sent instead of one of hyper's, and how much of it is sent.
    refusal: Option<(Vec<u8>, usize)>,
    /// When the connection stops waiting for the client to close. `None` before it waits.
    linger_ends: Option<Instant>,
    /// What is refused without hyper.
    early: Early,
}

impl Connection {
    pub(super) fn new(opened: Opened, admitted: Arc<Admitted>, http1: Option<Arc<dyn Refuse>>) -> Self {
        Self {
            stream: opened.stream,
            unread: opened.start,
            http1,
            requests: 0,
            // A new connection must send its first head. Later it may be idle.
            head_ends: Some(opened.since + admitted.limits().head_timeout),
            idle_ends: None,
            rest_begins: None,
            admitted,
            head: HeadStart::EMPTY,
            timer: Timer::default(),
            write_ends: None,
            write_timer: Timer::default(),
            refusal: None,
            linger_ends: None,
            early: Early::default(),
        }
    }

    /// Ends a write that waits for the client for too long.
    fn limited<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.write_ends.take().is_some() {
                self.admitted.progress().taken();
            }
            return written;
        }
        self.admitted.progress().set_writing(true);
        let timeout = self.admitted.limits().write_timeout;
        let ends = *self.write_ends.get_or_insert_with(|| Instant::now() + timeout);
        ready!(self.write_timer.poll_until(context, ends));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Like `limited`, for bytes of an answer.
    fn sent(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.idle_ends = None;
        }
        self.limited(context, written)
    }

    /// Whether the connection waits for a head. Notes whether a request has begun since: then the next bytes begin another
    /// head.
    fn awaits_head(&mut self) -> bool {
        let progress = self.admitted.progress();
        if self.http1.is_none() || progress.is_answering() {
            return false;
        }
        let requests = progress.requests();
        if self.requests != requests {
            self.requests = requests;
            self.head_ends = None;
            self.head = HeadStart::EMPTY;
        }
        true
    }

    /// Takes note of bytes of a head, which may be its first ones.
    fn received(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || !self.awaits_head() {
            return;
        }
        self.idle_ends = None;
        self.head.add(bytes);
    }

    /// Ends a connection that waits for a head for too long, or for the rest of one. While a request is answered, and
    /// while a write waits, it waits for no head.
    ///
    /// `is_read`: the connection is being read from. Only then it may begin to rest: hyper may have yet to read a body when it
    /// flushes an answer.
    fn poll_head_ends(&mut self, context: &mut Context<'_>, is_read: bool) -> Poll<io::Error> {
        if self.write_ends.is_some() || !self.awaits_head() {
            return Poll::Pending;
        }
        // hyper reads on at once if only a part of the head has arrived, so the time of its first bytes is now.
        if self.head.has_begun() && self.head_ends.is_none() {
            self.head_ends = Some(Instant::now() + self.admitted.limits().head_timeout);
        }
        let (ends, why) = match self.head_ends {
            Some(ends) => (ends, "the head took too long"),
            None => (self.poll_idle(context, is_read), "the connection was idle for too long"),
        };
        self.timer.poll_until(context, ends).map(|()| io::Error::new(io::ErrorKind::TimedOut, why))
    }

    /// When the idle connection ends. Tells once that it rests, if hyper has passed on everything that it was to send.
    fn poll_idle(&mut self, context: &mut Context<'_>, is_read: bool) -> Instant {
        let ends = *self.idle_ends.get_or_insert_with(|| {
            let now = Instant::now();
            self.rest_begins = Some(now + self.admitted.rests_after());
            now + self.admitted.limits().idle_timeout
        });
        self.find_request();
        if let Some(begins) = self.rest_begins
            && self.timer.poll_until(context, begins).is_ready()
        {
            if is_read {
                self.rest_begins = None;
                self.early.take_finds_request();
                self.admitted.progress().rest();
            } else {
                // hyper reads next.
                context.waker().wake_by_ref();
            }
        }
        ends
    }

    /// Gives the connection its place back if it has lost it, and its next request has arrived and was not read. While an answer is
    /// sent, a further request is no reason.
    fn keep_place(&self) {
        let progress = self.admitted.progress();
        if progress.is_closed() && !progress.is_sending() && self.stream.has_arrived() {
            self.admitted.keep_place();
        }
    }

    /// Takes back what hyper has read and not used. What it has not read yet comes after that.
    pub(super) fn take_back(&mut self, unused: Bytes) {
        self.early.is_at_request = true;
        // Without bytes, it would still keep the buffer that it is a part of.
        if unused.is_empty() {
            return;
        }
        // They are received once more.
        self.head = HeadStart::EMPTY;
        self.unread = if self.unread.is_empty() { unused } else { [&*unused, &*self.unread].concat().into() };
    }

    /// Rests until there is something for hyper: bytes, or the end of the connection.
    pub(super) async fn rest(&mut self) {
        poll_fn(|context| self.poll_rest(context)).await;
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let finds_request = self.early.take_finds_request() && !self.admitted.progress().is_closed();
        if finds_request || !self.unread.is_empty() {
            return Poll::Ready(());
        }
        // It reads, because TLS may hold bytes that the system does not have any more.
        let (stream, mut bytes) = (Pin::new(&mut self.stream), [MaybeUninit::uninit(); READ_AT_ONCE]);
        let mut buffer = ReadBuf::uninit(&mut bytes);
        if stream.poll_read(context, &mut buffer).is_pending() {
            self.keep_place();
            return self.poll_head_ends(context, true).map(drop);
        }
        // hyper reads the end of the connection, or its failure, once more.
        self.unread = Bytes::copy_from_slice(buffer.filled());
        if !self.unread.is_empty() && self.admitted.progress().is_closed() {
            self.admitted.keep_place();
        }
        Poll::Ready(())
    }

    /// The gateway's refusal, if these bytes are one of hyper's.
    fn refusal_for(&self, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        let refuse = self.http1.as_ref()?;
        let status = refused_by_hyper(bytes)?;
        self.admitted.progress().set_failed(true);
        // hyper only knows that its buffer is full. If not even the first line has ended, the URI is too long.
        let status = if status == 431 && !self.head.has_whole_line { 414 } else { status };
        Some((encoded(&refuse.head(status, self.head.bytes(), self.admitted.limits().head)), 0))
    }

    /// Sends the gateway's refusal instead of `bytes`, if hyper refused a head with them. `None` if it did not.
    fn poll_refusal(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Option<io::Result<()>>> {
        let Some((answer, mut sent)) = self.refusal.take().or_else(|| self.refusal_for(bytes)) else {
            return Poll::Ready(None);
        };
        let written = self.poll_write_all(context, &answer, &mut sent);
        if written.is_pending() {
            self.refusal = Some((answer, sent));
        }
        written.map(Some)
    }

    /// Writes the rest of an answer, of which so many bytes are sent.
    fn poll_write_all(&mut self, context: &mut Context<'_>, answer: &[u8], sent: &mut usize) -> Poll<io::Result<()>> {
        while *sent < answer.len() {
            let written = Pin::new(&mut self.stream).poll_write(context, &answer[*sent..]);
            match ready!(self.sent(context, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *sent += written,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what TLS may still hold of what was written.
    fn poll_flush_stream(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        ready!(self.limited(context, flushed))?;
        self.admitted.progress().set_writing(false);
        Poll::Ready(Ok(()))
    }

    /// Reads what the client still sends, until it closes or is silent, or until `linger_ends`.
    fn poll_linger(&mut self, context: &mut Context<'_>, linger_ends: Instant) -> Poll<()> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.head_ends = None,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        // A client that sends without a pause never lets the timer end: tokio interrupts this task before it is polled.
        let now = Instant::now();
        if now >= linger_ends {
            return Poll::Ready(());
        }
        let silent_ends = *self.head_ends.get_or_insert(now + LINGER_SILENT);
        self.timer.poll_until(context, linger_ends.min(silent_ends))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The client gets no whole answer any more.
        if self.write_ends.is_some() {
            self.stream.reset_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::{super::admission, *};

    #[tokio::test]
    async fn what_ended_a_rest_is_kept_if_hyper_does_not_read_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
        let stream = Stream::Plain(listener.accept().await.expect("the same connection").0);
        let opened = Opened { stream, start: Bytes::new(), is_http2: false, since: Instant::now() };
        let admission = admission::tests::admission(1, "10.0.0.0/8");
        let admitted = admission::tests::admit(&admission, [192, 0, 2, 1].into()).expect("a free place");
        let mut connection = Connection::new(opened, Arc::new(admitted), None);
        client.write_all(b"GET").await.expect("it is sent");
        admission::tests::replace(&admission);
        connection.rest().await;
        assert!(!connection.admitted.progress().is_closed(), "it has its place back");
        connection.take_back(Bytes::new());
        let mut read = [0; 3];
        connection.read_exact(&mut read).await.expect("it is there");
        assert_eq!(&read, b"GET");
    }
}
