//! What a connection has to know about its requests: when a head may take a limited time only, and whether the client
//! may still be sending when the connection is closed.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::extract::Request;
use http::{HeaderValue, Response, header};
use tower::Service;

/// The requests of one connection. The connection and its service share it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How many requests have begun.
    requests: AtomicUsize,
    /// Whether a request is being answered.
    is_answering: AtomicBool,
    /// Whether the last answer was a failure. Then the client may have more to send than was read.
    failed: AtomicBool,
    /// Whether the next answer is the last one of the connection.
    leaves: AtomicBool,
}

impl Progress {
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn is_answering(&self) -> bool {
        self.is_answering.load(Ordering::Relaxed)
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
    type Response = S::Response;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        self.progress.requests.fetch_add(1, Ordering::Relaxed);
        self.progress.is_answering.store(true, Ordering::Relaxed);
        TrackedFuture { answer: self.service.call(request), progress: Arc::clone(&self.progress) }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct TrackedFuture<F> {
    answer: F,
    progress: Arc<Progress>,
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut answer = ready!(Pin::new(&mut self.answer).poll(context));
        if self.progress.leaves.load(Ordering::Relaxed)
            && let Ok(answer) = &mut answer
        {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let failed = answer.as_ref().is_ok_and(|answer| answer.status().as_u16() >= 400);
        self.progress.failed.store(failed, Ordering::Relaxed);
        self.progress.is_answering.store(false, Ordering::Relaxed);
        Poll::Ready(answer)
    }
}
