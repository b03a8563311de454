//! What one request of a client is recorded with: its operation, its connection, and the time in which requests to
//! providers were open. The inbound layer (`src/app.rs`) begins and ends it. Code below it that knows more calls the
//! functions of this module. They find the request in a task-local value, which needs no memory of its own, and do nothing
//! in tasks that serve no request. If the request is sampled, its spans are made from the same (`traces`).

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::{Duration, Instant},
};

use passerelle_providers::model::Operation;
use tokio::task_local;

use super::{CallOutcome, ConnectionSeries, Gauge, Metrics, Outcome, connection::OtherSeries, during::During};
use crate::traces::{Call, Sampled, SpanContext, TraceId};

task_local! {
    static REQUEST: Request;
}

/// The series of all requests.
#[derive(Debug)]
pub struct RequestSeries {
    others: OtherSeries,
    active: Gauge,
}

impl RequestSeries {
    /// The series of the requests of a process.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self { others: OtherSeries::new(metrics), active: metrics.active_requests() })
    }
}

/// What is known of one request.
#[derive(Debug, Default)]
pub struct Request {
    operation: Cell<Option<Operation>>,
    connection: RefCell<Option<Arc<ConnectionSeries>>>,
    /// How many requests to providers are open, and since when at least one is.
    open: Cell<u32>,
    open_since: Cell<Option<Instant>>,
    /// How long at least one was open before.
    provider_time: Cell<Duration>,
    /// Whether a circuit breaker has refused a request to a provider.
    is_turned_away: Cell<bool>,
    /// Where the end is recorded. `None` after the end, and for the part of a request that has a task of its own.
    end: Option<(Instant, Arc<RequestSeries>)>,
    /// What its spans are made from, if it is sampled.
    sampled: Option<Box<Sampled>>,
}

/// The times of a request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long at least one request to a provider was open.
    pub provider: Duration,
    /// The rest.
    pub overhead: Duration,
}

impl Request {
    /// A request that began at this time.
    pub fn new(began: Instant, series: &Arc<RequestSeries>) -> Self {
        series.active.inc();
        let mut request = Self::default();
        request.end = Some((began, Arc::clone(series)));
        request
    }

    /// The same request, with what its spans are made from.
    #[must_use]
    pub fn sampled(mut self, sampled: Option<Box<Sampled>>) -> Self {
        self.sampled = sampled;
        self
    }

    /// Executes the work of the request.
    pub fn during<F: Future>(self, work: F) -> During<F> {
        During::new(REQUEST.scope(self, work))
    }

    /// The operation, if it is known.
    pub fn operation(&self) -> Option<Operation> {
        self.operation.get()
    }

    /// The series of the connection that was asked last, if it is known.
    pub fn connection(&self) -> Option<Arc<ConnectionSeries>> {
        self.connection.borrow().clone()
    }

    /// Whether a circuit breaker has refused a request to a provider. Its metric counts it.
    pub fn is_turned_away(&self) -> bool {
        self.is_turned_away.get()
    }

    /// The trace of the request, if it is sampled.
    pub fn trace(&self) -> Option<TraceId> {
        self.sampled.as_ref().map(|sampled| sampled.trace())
    }

    /// Says what the request is answered with: the status, and the code of a problem.
    pub fn answered(&self, status: u16, problem: Option<&'static str>) {
        if let Some(sampled) = &self.sampled {
            sampled.answered(status, problem);
        }
    }

    /// Records the end of the request.
    pub fn finish(mut self, outcome: Outcome) -> Times {
        self.record(outcome)
    }

    fn record(&mut self, outcome: Outcome) -> Times {
        let provider = self.provider_time.get();
        let Some((began, series)) = self.end.take() else { return Times { provider, overhead: Duration::ZERO } };
        let total = began.elapsed();
        let overhead = total.saturating_sub(provider);
        series.active.dec();
        match (self.operation.get(), &*self.connection.borrow()) {
            (Some(operation), Some(connection)) => connection.record_request(operation, outcome, total, overhead),
            _ => series.others.record(outcome, total),
        }
        self.end_spans(outcome);
        Times { provider, overhead }
    }

    fn end_spans(&mut self, outcome: Outcome) {
        if let Some(sampled) = self.sampled.take() {
            let connection = self.connection.borrow();
            let operation = self.operation.get().map(Operation::name);
            sampled.end(connection.as_ref().map(|connection| connection.in_spans()), operation, outcome.word());
        }
    }

    /// A part of the request of this task that has a task of its own.
    fn part() -> Self {
        let mut part = Self::default();
        let _ = REQUEST.try_with(|request| {
            part.operation.set(request.operation.get());
            part.sampled = request.sampled.as_ref().map(|sampled| sampled.part());
        });
        part
    }

    fn begin_call(&self, now: Instant) {
        if self.open.replace(self.open.get() + 1) == 0 {
            self.open_since.set(Some(now));
        }
    }

    fn end_call(&self, now: Instant) {
        let open = self.open.get().saturating_sub(1);
        self.open.set(open);
        if open == 0
            && let Some(since) = self.open_since.take()
        {
            self.provider_time.set(self.provider_time.get() + now.saturating_duration_since(since));
        }
    }
}

/// A request whose future is dropped has no client any more. A part that no request has absorbed outlived its request.
impl Drop for Request {
    fn drop(&mut self) {
        if self.end.is_some() {
            self.record(Outcome::Abandoned);
        } else {
            self.end_spans(Outcome::Abandoned);
        }
    }
}

/// Says which operation the request is, and which connection serves it as far as is known.
pub fn is_for(operation: Operation, connection: &Arc<ConnectionSeries>) {
    let _ = REQUEST.try_with(|request| request.operation.set(Some(operation)));
    is_served_by(connection);
}

/// Says which connection serves the request. The last one counts.
pub fn is_served_by(connection: &Arc<ConnectionSeries>) {
    let _ = REQUEST.try_with(|request| request.connection.replace(Some(Arc::clone(connection))));
}

/// Says that a circuit breaker has refused a request to a provider.
pub fn turn_away() {
    let _ = REQUEST.try_with(|request| request.is_turned_away.set(true));
}

/// Waits for the answer to the same request of another client. Its time is that of a provider, because that is what it waits
/// for.
pub async fn waiting<F: Future>(work: F) -> F::Output {
    let _waiting = Waiting::new();
    work.await
}

/// Executes a part of the request of this task in another task. [`absorb`] adds what it returns to the request.
pub fn in_own_task<F: Future>(work: F) -> impl Future<Output = (F::Output, Request)> {
    // Here, because the other task does not know the request. Boxed, because a task moves its future several times, and that of
    // a write is large.
    Request::part().during(Box::pin(work))
}

/// Executes work for a request that has ended, and that was sampled.
pub async fn after_request<F: Future>(sampled: Box<Sampled>, operation: Option<Operation>, work: F) -> F::Output {
    let request = Request::default().sampled(Some(sampled));
    request.operation.set(operation);
    let (output, _) = request.during(work).await;
    output
}

/// The span of the request, if it is sampled.
pub fn context() -> Option<SpanContext> {
    REQUEST.try_with(|request| request.sampled.as_ref().map(|sampled| sampled.context())).ok().flatten()
}

/// The span that a request to a provider belongs to, if the request of the client is sampled.
pub fn calls_context() -> Option<SpanContext> {
    REQUEST.try_with(|request| request.sampled.as_ref().map(|sampled| sampled.calls_context())).ok().flatten()
}

/// Adds a part of the request that had a task of its own. The request waited for it and did nothing meanwhile.
pub fn absorb(part: &Request) {
    let _ = REQUEST.try_with(|request| {
        request.provider_time.set(request.provider_time.get() + part.provider_time.get());
        request.is_turned_away.set(request.is_turned_away() || part.is_turned_away());
        if let Some(connection) = part.connection() {
            request.connection.replace(Some(connection));
        }
        if let (Some(sampled), Some(part)) = (&request.sampled, &part.sampled) {
            sampled.absorb(part);
        }
    });
}

/// The wait for a request to a provider, until this is dropped.
#[derive(Debug)]
struct Waiting;

impl Waiting {
    fn new() -> Self {
        let _ = REQUEST.try_with(|request| request.begin_call(Instant::now()));
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = REQUEST.try_with(|request| request.end_call(Instant::now()));
    }
}

/// An attempt to send a request to a provider, until this is dropped.
#[derive(Debug)]
pub struct Attempt<'c> {
    connection: &'c ConnectionSeries,
    began: Instant,
    /// The name of the method.
    method: &'static str,
    outcome: CallOutcome,
    /// The status of the provider's answer.
    status: Option<u16>,
}

impl<'c> Attempt<'c> {
    /// An attempt that begins now, with a request of this method.
    pub fn new(connection: &'c ConnectionSeries, method: &'static str) -> Self {
        let (began, outcome) = (Instant::now(), CallOutcome::Abandoned);
        let _ = REQUEST.try_with(|request| request.begin_call(began));
        Self { connection, began, method, outcome, status: None }
    }

    /// The attempt has ended, with a status if the provider answered.
    pub fn finish(mut self, outcome: CallOutcome, status: Option<u16>) {
        (self.outcome, self.status) = (outcome, status);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Self { connection, began, method, outcome, status } = *self;
        let ended = Instant::now();
        connection.record_call(outcome, ended - began);
        let _ = REQUEST.try_with(|request| {
            request.end_call(ended);
            if let Some(sampled) = &request.sampled {
                let error = (outcome != CallOutcome::Success).then(|| outcome.word());
                sampled.add_call(Call { began, ended, method, status, error });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(metrics: &Metrics) -> Arc<ConnectionSeries> {
        ConnectionSeries::new(metrics, "acme", "main", "lomi", ("api.example", 443))
    }

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.text().lines().any(|shown| shown.starts_with(line))
    }

    #[tokio::test]
    async fn requests_to_providers_at_the_same_time_count_once() {
        let metrics = Metrics::default();
        let connection = series(&metrics);
        let began = Instant::now();
        let request = Request::new(began, &RequestSeries::new(&metrics));
        let work = async {
            is_for(Operation::List, &connection);
            let (first, second) = (Attempt::new(&connection, "GET"), Attempt::new(&connection, "GET"));
            // Longer than everything else here.
            while first.began.elapsed() < Duration::from_millis(5) {
                std::hint::spin_loop();
            }
            first.finish(CallOutcome::Success, Some(200));
            second.finish(CallOutcome::Failure, Some(500));
        };
        let ((), request) = request.during(work).await;
        let times = request.finish(Outcome::Ok);
        assert!(times.provider >= Duration::from_millis(5), "{times:?}");
        assert!(times.provider + times.overhead <= began.elapsed(), "{times:?}");
        let labels = "merchant=\"acme\",connection=\"main\",provider=\"lomi\"";
        for line in [
            format!("http_server_request_duration_seconds_count{{{labels},operation=\"list\",outcome=\"ok\"}} 1"),
            format!("passerelle_overhead_seconds_count{{{labels},operation=\"list\"}} 1"),
            format!(
                "http_client_request_duration_seconds_count{{{labels},server_address=\"api.example\",outcome=\"2xx\"}} 1"
            ),
            format!(
                "http_client_request_duration_seconds_count{{{labels},server_address=\"api.example\",outcome=\"5xx\"}} 1"
            ),
            "http_server_active_requests 0".to_owned(),
        ] {
            assert!(has(&metrics, &line), "{line}\n{}", metrics.text());
        }
    }

    #[tokio::test]
    async fn a_part_in_a_task_of_its_own_belongs_to_its_request() {
        let metrics = Metrics::default();
        let (connection, other) = (series(&metrics), ConnectionSeries::new(&metrics, "acme", "old", "lomi", ("", 443)));
        let request = Request::new(Instant::now(), &RequestSeries::new(&metrics));
        let work = async {
            is_for(Operation::Create, &connection);
            let part = in_own_task(async move {
                is_served_by(&other);
                Attempt::new(&other, "POST").finish(CallOutcome::Success, Some(200));
            });
            let ((), part) = tokio::spawn(part).await.expect("no panic");
            absorb(&part);
        };
        let ((), request) = request.during(work).await;
        assert!(request.finish(Outcome::Unknown).provider > Duration::ZERO);
        let line = "http_server_request_duration_seconds_count{merchant=\"acme\",connection=\"old\",provider=\"lomi\",operation=\"create\",outcome=\"unknown\"} 1";
        assert!(has(&metrics, line), "{}", metrics.text());
    }

    #[tokio::test]
    async fn a_request_whose_client_disconnects_is_abandoned_and_so_is_its_call() {
        let metrics = Metrics::default();
        let connection = series(&metrics);
        let request = Request::new(Instant::now(), &RequestSeries::new(&metrics));
        let work = async {
            is_for(Operation::Retrieve, &connection);
            let _attempt = Attempt::new(&connection, "GET");
            std::future::pending::<()>().await;
        };
        assert!(futures_util::FutureExt::now_or_never(request.during(work)).is_none());
        let text = metrics.text();
        assert!(text.contains("operation=\"retrieve\",outcome=\"abandoned\"} 1"), "{text}");
        assert!(text.contains("server_address=\"api.example\",outcome=\"abandoned\"} 1"), "{text}");
        assert!(has(&metrics, "http_server_active_requests 0"), "{text}");
    }
}
