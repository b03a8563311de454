//! The streams of an HTTP/2 connection: each is one request and its answer. They are counted, so that an idle connection
//! is known, and each ends after a limited time, whatever its client does.

use std::{future::Future, sync::Arc, time::Duration};

use hyper::rt::Executor;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{admission::Admitted, transport::CurrentTransport};

/// The open streams of a connection. All clones are one.
#[derive(Clone)]
pub(super) struct Streams {
    open: watch::Sender<usize>,
    admitted: Arc<Admitted>,
    transport: CurrentTransport,
    write_timeout: Duration,
}

impl Streams {
    pub(super) fn new(transport: CurrentTransport, admitted: Arc<Admitted>, write_timeout: Duration) -> Self {
        Self { open: watch::Sender::new(0), admitted, transport, write_timeout }
    }

    /// Waits until no stream has been open for a time. Until the first one, it is `first`.
    pub(super) async fn idle(&self, first: Duration, later: Duration) {
        let mut open = self.open.subscribe();
        let mut limit = first;
        // The sender is `self`, so nothing fails.
        while open.wait_for(|open| *open == 0).await.is_ok() {
            if timeout(limit, open.changed()).await.is_err() {
                return;
            }
            limit = later;
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let limit = (self.transport)().request_timeout + self.write_timeout;
        let open = Open::new(self);
        tokio::spawn(async move {
            tokio::select! {
                _ = stream => {}
                () = sleep(limit) => {}
            }
            drop(open);
        });
    }
}

/// A stream. It is open until this is dropped.
struct Open {
    open: watch::Sender<usize>,
    admitted: Arc<Admitted>,
}

impl Open {
    fn new(streams: &Streams) -> Self {
        let (open, admitted) = (streams.open.clone(), Arc::clone(&streams.admitted));
        open.send_modify(|open| {
            if *open == 0 {
                admitted.begin();
            }
            *open += 1;
        });
        Self { open, admitted }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.send_modify(|open| {
            *open -= 1;
            if *open == 0 {
                self.admitted.progress().answered();
            }
        });
    }
}
