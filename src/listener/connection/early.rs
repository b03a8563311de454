//! Refusals without hyper. While there are more requests than the gateway can answer, it refuses most of them, and each refusal
//! takes time of a processor from the requests that are served. About a third of that time is hyper's. So the connection
//! itself refuses simple requests.
//!
//! For that, the connection must know that the bytes which it reads begin a request. It knows this if hyper has got nothing
//! before, or only simple requests. Otherwise the server takes hyper away from the idle connection, which returns what hyper has
//! read and not used, and serves the connection with a new one.

use std::{
    io,
    task::{Context, Poll},
};

use super::{super::simple, Connection};

/// What a connection needs to refuse requests without hyper.
pub(super) struct Early {
    /// Whether it is known that the next bytes that are read begin a request, once the one before is answered.
    pub(super) is_at_request: bool,
    /// Whether the last bytes that hyper got look like a simple request. Then the next ones may be one.
    may_be_simple: bool,
    /// Whether the server takes hyper away only to learn where the next request begins.
    finds_request: bool,
    /// The refusal that is being sent, and how much of it is sent.
    refusal: Option<(Vec<u8>, usize)>,
}

impl Default for Early {
    /// Of a new connection.
    fn default() -> Self {
        Self { is_at_request: true, may_be_simple: false, finds_request: false, refusal: None }
    }
}

impl Early {
    /// Whether the server took hyper away only to learn where the next request begins. The next call returns `false`.
    pub(super) fn take_finds_request(&mut self) -> bool {
        std::mem::take(&mut self.finds_request)
    }
}

impl Connection {
    /// Asks the server to take hyper away from an idle connection, if the gateway refuses requests and the connection does not know
    /// where the next one begins. After a request with a body hyper stays, because it may have yet to read that body.
    pub(super) fn find_request(&mut self) {
        let progress = self.admitted.progress();
        let is_unknown = !self.early.is_at_request && self.early.may_be_simple && !progress.has_body();
        if is_unknown && self.http1.as_ref().is_some_and(|refuse| refuse.is_refusing()) {
            self.early.finds_request = true;
            progress.rest();
        }
    }

    /// Begins to refuse the request that these bytes are, if it is simple, and hyper has nothing to send before the refusal.
    /// Otherwise, hyper gets the bytes.
    pub(super) fn refuse_early(&mut self, bytes: &[u8]) -> bool {
        let is_at_request = self.early.is_at_request && self.awaits_head() && !self.head.has_begun();
        (self.early.is_at_request, self.early.may_be_simple, self.early.finds_request) = (false, false, false);
        let Some(refuse) = self.http1.as_ref().filter(|refuse| refuse.is_refusing()) else {
            return false;
        };
        let progress = self.admitted.progress();
        let may_refuse = is_at_request && !progress.is_sending() && !progress.leaves();
        let answer = simple::read(bytes, |request| may_refuse.then(|| refuse.request(request)).flatten());
        self.early.may_be_simple = answer.is_some();
        self.early.is_at_request = is_at_request && answer.is_some();
        let Some(answer) = answer.flatten() else { return false };
        self.early.refusal = Some((answer, 0));
        self.admitted.begin();
        progress.set_failed(true);
        progress.answered();
        true
    }

    /// Sends the rest of a refusal, if one is being sent.
    pub(super) fn poll_early_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((answer, mut sent)) = self.early.refusal.take() else { return Poll::Ready(Ok(())) };
        let mut written = self.poll_write_all(context, &answer, &mut sent);
        if let Poll::Ready(Ok(())) = written {
            written = self.poll_flush_stream(context);
        }
        // A refusal that fails stays, so that the next flush fails as well. hyper would close the connection otherwise, as if the
        // client had got a whole answer.
        if !matches!(written, Poll::Ready(Ok(()))) {
            self.early.refusal = Some((answer, sent));
        }
        written
    }
}
