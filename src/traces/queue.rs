//! The queue between the requests and the exporter. A request never waits for it: where it is full, a span is counted and
//! lost.

use std::fmt;

use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};

/// How many spans may wait. Each has about 2 KiB.
pub const QUEUE: usize = 2048;

/// What the exporter receives.
#[derive(Debug)]
pub enum Message {
    /// A span that has ended.
    Span(Box<Span>),
    /// Asks the exporter to signal when it has sent, or given up, every span before this message.
    Flush(oneshot::Sender<()>),
}

/// The end of the queue into which spans are put. All clones are one.
#[derive(Clone)]
pub struct SpanQueue {
    sender: mpsc::Sender<Message>,
    dropped: Counter,
}

impl fmt::Debug for SpanQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SpanQueue({} free)", self.sender.capacity())
    }
}

impl SpanQueue {
    /// A queue, and its other end. `dropped` counts the spans for which it had no place.
    pub fn new(dropped: Counter) -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender, dropped }, receiver)
    }

    pub(super) fn put(&self, span: Span) {
        if self.sender.try_send(Message::Span(Box::new(span))).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until every span that is in the queue now was sent or given up.
    pub async fn flushed(&self) {
        let (flushed, is_flushed) = oneshot::channel();
        if self.sender.send(Message::Flush(flushed)).await.is_ok() {
            let _ = is_flushed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_loses_spans_and_counts_them() {
        let dropped = Counter::default();
        let (queue, mut receiver) = SpanQueue::new(dropped.clone());
        for _ in 0..QUEUE + 3 {
            queue.put(Span::default());
        }
        assert_eq!(dropped.get(), 3);
        assert!(receiver.try_recv().is_ok());
        queue.put(Span::default());
        assert_eq!(dropped.get(), 3);
    }
}
