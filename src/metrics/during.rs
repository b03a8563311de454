//! The future of the work of a request, which returns the request with the output of the work.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

use super::request::Request;

pin_project! {
    /// The work of a request. It is no `async fn`, whose future would have room for the work twice.
    pub struct During<F> {
        #[pin]
        scope: TaskLocalFuture<Request, F>,
    }
}

impl<F> During<F> {
    pub(super) const fn new(scope: TaskLocalFuture<Request, F>) -> Self {
        Self { scope }
    }
}

impl<F: Future> Future for During<F> {
    type Output = (F::Output, Request);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut scope = self.project().scope;
        let output = ready!(scope.as_mut().poll(context));
        Poll::Ready((output, scope.take_value().unwrap_or_default()))
    }
}

impl<F> fmt::Debug for During<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("During").finish_non_exhaustive()
    }
}
