//! Sends the spans of sampled requests to the collector of the configuration, in batches. `state` starts it beside the other
//! workers and waits for the last spans at shutdown.
//!
//! Nothing waits for the collector: requests put spans into a queue with a fixed size. A full queue drops spans, which only
//! `passerelle_spans` counts. Spans that a failing collector lost are counted there, too, and logged once in a while. A batch is sent once: spans are not worth the
//! memory that keeping them for later would need.

use std::time::Duration;

use arc_swap::ArcSwap;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    chance,
    merchant::{Gateway, Traces},
    metrics::Counter,
    traces::{Message, Service, encode, rejected},
    upstream::Shared,
};

/// How long a span waits for others before they are sent together.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many spans are sent together at most.
const MAX_BATCH: usize = 512;
/// How often a collector that fails is logged.
const LOG_PERIOD: Duration = Duration::from_mins(1);

/// Sends spans to the collector.
#[derive(Debug)]
pub struct Exporter {
    /// Names this process among the replicas.
    instance: String,
    sent: Counter,
    failed: Counter,
}

/// Spans that are sent together, and who waits until they are.
#[derive(Debug, Default)]
struct Batch {
    spans: Vec<Span>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Exporter {
    /// The exporter of a process.
    pub fn new(shared: &Shared) -> Self {
        let [sent, failed] = ["sent", "failed"].map(|outcome| shared.metrics().spans(outcome));
        Self { instance: chance::id().to_string(), sent, failed }
    }

    /// Sends spans as long as the process runs, to the collector of the present configuration.
    pub async fn run(&self, shared: &Shared, gateway: &ArcSwap<Gateway>) {
        let Some(mut ended) = shared.take_ended_spans() else { return };
        let mut failures = Failures::default();
        while let Some(Batch { spans, waiting }) = Batch::next(&mut ended).await {
            let traces = gateway.load().traces.clone();
            // After a reload, there may be no collector any more.
            if let Some(traces) = traces.filter(|_| !spans.is_empty()) {
                self.send(&traces, spans, &mut failures).await;
            }
            for waiting in waiting {
                let _ = waiting.send(());
            }
        }
    }

    async fn send(&self, traces: &Traces, spans: Vec<Span>, failures: &mut Failures) {
        let count = spans.len() as u64;
        let service = Service { name: &traces.service_name, instance: &self.instance };
        let answered = traces.collector.send(encode(service, spans)).await;
        let (lost, why) = match answered.map(|answer| rejected(&answer).min(count)) {
            Ok(0) => (0, String::new()),
            Ok(rejected) => (rejected, "it rejected spans".to_owned()),
            Err(why) => (count, why),
        };
        self.sent.inc_by(count - lost);
        self.failed.inc_by(lost);
        let collector = traces.collector.name();
        match failures.count(lost, Instant::now()) {
            Some(Line::Lost(lost)) => tracing::warn!(
                "the collector of traces at {collector} fails, and {lost} spans were lost since the last such line: {why}"
            ),
            Some(Line::Works) => tracing::info!("the collector of traces at {collector} takes spans again"),
            None => {}
        }
    }
}

impl Batch {
    /// Waits for a span, and then for a while for more. `None` when there will be no more.
    async fn next(ended: &mut mpsc::Receiver<Message>) -> Option<Self> {
        let mut batch = Self::default();
        batch.add(ended.recv().await?);
        let ends = Instant::now() + INTERVAL;
        while batch.spans.len() < MAX_BATCH && batch.waiting.is_empty() {
            let Ok(Some(message)) = timeout_at(ends, ended.recv()).await else { break };
            batch.add(message);
        }
        Some(batch)
    }

    fn add(&mut self, message: Message) {
        match message {
            Message::Span(span) => self.spans.push(*span),
            Message::Flush(waiting) => self.waiting.push(waiting),
        }
    }
}

/// What is not logged yet of a collector that fails.
#[derive(Debug, Default)]
struct Failures {
    lost: u64,
    logged: Option<Instant>,
    is_failing: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// So many spans were lost.
    Lost(u64),
    /// The collector works again.
    Works,
}

impl Failures {
    /// Counts the spans that a batch has lost. Returns what is to be logged now.
    fn count(&mut self, lost: u64, now: Instant) -> Option<Line> {
        if lost == 0 {
            // Only a failure that the log has also has an end there.
            let is_logged = std::mem::take(&mut self.is_failing) && self.lost == 0;
            return is_logged.then_some(Line::Works);
        }
        self.lost += lost;
        self.is_failing = true;
        if self.logged.is_some_and(|at| now.saturating_duration_since(at) < LOG_PERIOD) {
            return None;
        }
        self.logged = Some(now);
        Some(Line::Lost(std::mem::take(&mut self.lost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_fails_is_logged_once_in_a_period() {
        let (mut failures, begun) = (Failures::default(), Instant::now());
        assert_eq!(failures.count(0, begun), None);
        assert_eq!(failures.count(2, begun), Some(Line::Lost(2)));
        for _ in 0..100 {
            assert_eq!(failures.count(512, begun + LOG_PERIOD / 2), None);
        }
        assert_eq!(failures.count(1, begun + LOG_PERIOD), Some(Line::Lost(51_201)));
        assert_eq!(failures.count(0, begun + LOG_PERIOD), Some(Line::Works));
        assert_eq!(failures.count(0, begun + LOG_PERIOD), None);
    }
}
