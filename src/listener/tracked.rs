//! The service of one HTTP/1.1 connection. It records when a request begins and whether it has a body, when its answer is known, and
//! when hyper has all of the answer.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::extract::Request;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use tower::Service;

use super::{admission::Admitted, progress::Progress};

/// A service that records the progress of its requests.
#[derive(Debug, Clone)]
pub(super) struct Tracked<S> {
    pub(super) service: S,
    pub(super) admitted: Arc<Admitted>,
}

impl<S, B, R> Service<Request<R>> for Tracked<S>
where
    S: Service<Request<R>, Response = Response<B>, Future: Unpin>,
    R: Body,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        self.admitted.begin();
        let progress = Arc::clone(self.admitted.progress());
        progress.set_sending(true);
        progress.set_body(!request.body().is_end_stream());
        TrackedFuture { answer: self.service.call(request), progress }
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
    type Output = Result<Response<TrackedBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(Pin::new(&mut self.answer).poll(context));
        if self.progress.leaves()
            && let Ok(answer) = &mut answer
        {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let failed = answer.as_ref().is_ok_and(|answer| answer.status().as_u16() >= 400);
        self.progress.set_failed(failed);
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
        self.progress.set_sending(false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
        assert!(progress.begin());
        progress.set_sending(true);
        assert!(!rests());
        let body = TrackedBody { body: (), progress: Arc::clone(&progress) };
        progress.answered();
        assert!(!rests(), "the answer is known, and hyper does not have all of it");
        drop(body);
        assert!(rests());
        progress.rest();
        assert!(progress.begin());
        progress.answered();
        assert!(progress.rests().now_or_never().is_none(), "another request has begun since");
    }
}
