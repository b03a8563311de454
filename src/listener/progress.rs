//! What a connection has to know about its requests: when a head may take a limited time only, whether the client may
//! still be sending when the connection is closed, since when the connection waits for its client, and whether it rests. A
//! connection that waits may be closed in favour of a new one (`admission`).

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::extract::Request;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tower::Service;

/// The states of a connection that does not wait for its client. All others are times.
const ANSWERING: Time = 0;
const CLOSED: Time = Time::MAX;

/// The requests of one connection. The listener, the connection and its service share it.
#[derive(Debug)]
pub(super) struct Progress {
    /// The beginning of all times.
    epoch: Instant,
    /// How many requests have begun.
    requests: AtomicUsize,
    /// Whether a request is being answered, or since when the connection waits for its client, or whether it was closed.
    state: AtomicU64,
    /// Notified when the connection was closed.
    closed: Notify,
    /// Whether the last answer was a failure. Then the client may have more to send than was read.
    failed: AtomicBool,
    /// Whether the next answer is the last one of the connection.
    leaves: AtomicBool,
    /// Whether hyper still has a request, or the body of its answer.
    sending: AtomicBool,
    /// Notified when the connection rests.
    rests: Notify,
}

impl Progress {
    /// The progress of a new connection. It waits for its client. The listener has one epoch for all of its connections.
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            requests: AtomicUsize::new(0),
            state: AtomicU64::new(time_since(epoch)),
            closed: Notify::new(),
            failed: AtomicBool::new(false),
            leaves: AtomicBool::new(false),
            sending: AtomicBool::new(false),
            rests: Notify::new(),
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn is_answering(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ANSWERING
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Closes the connection after its next answer.
    pub(super) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
    }

    /// A request has begun. Returns whether it may be answered: not if the connection was closed.
    pub(super) fn begin(&self) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.sending.store(true, Ordering::Relaxed);
        self.change(|_| ANSWERING)
    }

    /// The answer is known. From now on the connection waits until the client has taken it, and then for the next request.
    pub(super) fn answered(&self) {
        self.change(|_| time_since(self.epoch));
    }

    /// The client has taken bytes that waited for it.
    pub(super) fn taken(&self) {
        self.change(|state| if state == ANSWERING { ANSWERING } else { time_since(self.epoch) });
    }

    /// Since when the connection waits for its client: for a request, for the rest of a head, or until it takes an answer.
    /// `None` while a request is answered.
    pub(super) fn waits_since(&self) -> Option<Time> {
        let state = self.state.load(Ordering::Relaxed);
        (state != ANSWERING && state != CLOSED).then_some(state)
    }

    /// Closes the connection, if it has waited since this time. Returns whether it did: not if a request has begun meanwhile, or
    /// the client has taken something.
    pub(super) fn close(&self, since: Time) -> bool {
        let closed = self.state.compare_exchange(since, CLOSED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if closed {
            self.closed.notify_one();
        }
        closed
    }

    /// The listener does not close the connection after all. It waits for its client from now on.
    pub(super) fn reopen(&self) {
        self.state.store(time_since(self.epoch), Ordering::Relaxed);
    }

    /// Whether hyper still has a request, or the body of its answer.
    pub(super) fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Relaxed)
    }

    /// Waits until the listener has closed the connection.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// The connection is idle, and what hyper has written to it is sent. It rests, unless hyper has more of an answer.
    pub(super) fn rest(&self) {
        if !self.sending.load(Ordering::Relaxed) {
            self.rests.notify_one();
        }
    }

    /// Waits until the connection rests. Then its task can do without hyper, which needs 9 KiB for an idle connection.
    pub(super) async fn rests(&self) {
        self.rests.notified().await;
    }

    /// Changes the state of a connection that is not closed. Returns whether it did.
    fn change(&self, state: impl Fn(u64) -> u64) -> bool {
        let change = |before| (before != CLOSED).then(|| state(before));
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

/// A time in milliseconds, which is later than zero.
pub(super) type Time = u64;

/// The present time, counted from this epoch.
pub(super) fn time_since(epoch: Instant) -> Time {
    Time::try_from(epoch.elapsed().as_millis()).unwrap_or(CLOSED - 2) + 1
}

/// A service that records the progress of its requests.
#[derive(Debug, Clone)]
pub(super) struct Tracked<S> {
    pub(super) service: S,
    pub(super) progress: Arc<Progress>,
}

impl<S, B, R> Service<Request<R>> for Tracked<S>
where
    S: Service<Request<R>, Response = Response<B>, Future: Unpin>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let answer = self.progress.begin().then(|| self.service.call(request));
        TrackedFuture { answer, progress: Arc::clone(&self.progress) }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct TrackedFuture<F> {
    /// `None` if the connection was closed before the request. The task of the connection then ends without an answer.
    answer: Option<F>,
    progress: Arc<Progress>,
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = Result<Response<TrackedBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let mut answer = ready!(Pin::new(answer).poll(context));
        if self.progress.leaves.load(Ordering::Relaxed)
            && let Ok(answer) = &mut answer
        {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let failed = answer.as_ref().is_ok_and(|answer| answer.status().as_u16() >= 400);
        self.progress.failed.store(failed, Ordering::Relaxed);
        self.progress.answered();
        let progress = &self.progress;
        let tracked = |body| TrackedBody { body, progress: Arc::clone(progress) };
        Poll::Ready(answer.map(|answer| answer.map(tracked)))
    }
}

/// The body of an answer. hyper drops it when it has all of it.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    body: B,
    progress: Arc<Progress>,
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        self.progress.sending.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_connection_does_not_rest_while_an_answer_is_sent() {
        let progress = Arc::new(Progress::new(Instant::now()));
        let rests = || {
            progress.rest();
            progress.rests().now_or_never().is_some()
        };
        assert!(rests(), "it has no request");
        assert!(progress.begin() && !rests());
        let body = TrackedBody { body: (), progress: Arc::clone(&progress) };
        progress.answered();
        assert!(!rests(), "the answer is known, and hyper does not have all of it");
        drop(body);
        assert!(rests());
    }
}
