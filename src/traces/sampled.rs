//! A sampled request, from its head until its spans are in the queue. `metrics::request` owns it and reports to it.

use std::{
    cell::Cell,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::Method;
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{
        Span, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};

use super::{
    context::{SampleRatio, SpanContext, SpanId, TraceId},
    otlp::{number, text},
    queue::SpanQueue,
};

/// What the head of a request says, without any value that its client chose.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The method, from [`method_name`].
    pub method: &'static str,
    /// The pattern of the route. Empty where there is none.
    pub route: &'static str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The version of HTTP.
    pub version: &'static str,
}

/// The connection that serves a request, as its spans name it.
#[derive(Debug, Clone, Copy)]
pub struct Connection<'n> {
    /// The name of the merchant.
    pub merchant: &'n str,
    /// The name of the connection.
    pub connection: &'n str,
    /// The name of its provider.
    pub provider: &'static str,
    /// The host and the port of the provider.
    pub server: (&'n str, u16),
}

/// A request to a provider that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The method, from [`method_name`].
    pub method: &'static str,
    /// The status of the provider's answer.
    pub status: Option<u16>,
    /// What went wrong, where that is not the status.
    pub error: Option<&'static str>,
}

/// All requests to providers so far.
#[derive(Debug, Clone, Copy)]
struct Calls {
    count: u32,
    began: Instant,
    /// The one that ended last.
    last: Call,
}

impl Calls {
    fn and(self, other: Self) -> Self {
        let last = if other.last.ended >= self.last.ended { other.last } else { self.last };
        Self { count: self.count + other.count, began: self.began.min(other.began), last }
    }
}

/// A sampled request, or sampled work for one.
#[derive(Debug)]
pub struct Sampled {
    queue: SpanQueue,
    trace: TraceId,
    /// The span of the requests to providers. It has its id before it begins, because those requests name it.
    calls_span: SpanId,
    began: Began,
    role: Role,
    calls: Cell<Option<Calls>>,
}

#[derive(Debug)]
enum Role {
    /// The request itself.
    Request { span: SpanId, parent: Option<SpanId>, head: Head, answer: Cell<Option<Answer>> },
    /// A part of a request that has a task of its own. It may outlive the request.
    Part { of: SpanContext },
    /// Work for a request that has ended.
    Later { than: SpanContext },
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    status: u16,
    /// The code of the problem, if it is one.
    problem: Option<&'static str>,
}

/// A time by both clocks.
#[derive(Debug, Clone, Copy)]
struct Began {
    at: Instant,
    time: SystemTime,
}

impl Began {
    /// A time as nanoseconds since 1970.
    fn nanoseconds(self, at: Instant) -> u64 {
        let time = self.time + at.saturating_duration_since(self.at);
        time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Sampled {
    /// Decides whether a request is sampled that has just begun. If the client names a span, the sampling flag of that span
    /// decides; otherwise the ratio does.
    pub fn request(
        queue: &SpanQueue,
        ratio: SampleRatio,
        parent: Option<SpanContext>,
        at: Instant,
        head: impl FnOnce() -> Head,
    ) -> Option<Box<Self>> {
        let trace = match parent {
            Some(parent) => parent.is_sampled.then_some(parent.trace)?,
            None => Some(TraceId::random()).filter(|trace| ratio.keeps(*trace))?,
        };
        let (span, parent) = (SpanId::random(), parent.map(|parent| parent.span));
        let role = Role::Request { span, parent, head: head(), answer: Cell::default() };
        Some(Box::new(Self::new(queue, trace, Began { at, time: SystemTime::now() }, role)))
    }

    /// Work for a request that has ended. It is sampled because the request was.
    pub fn later(queue: &SpanQueue, than: SpanContext) -> Box<Self> {
        let began = Began { at: Instant::now(), time: SystemTime::now() };
        Box::new(Self::new(queue, TraceId::random(), began, Role::Later { than }))
    }

    fn new(queue: &SpanQueue, trace: TraceId, began: Began, role: Role) -> Self {
        Self { queue: queue.clone(), trace, calls_span: SpanId::random(), began, role, calls: Cell::default() }
    }

    /// A part of the request that has a task of its own. It takes over the calls so far, and [`Self::absorb`] gives all of them
    /// back. If the request has ended before, [`Self::end`] of the part sends the one span of all calls.
    #[must_use]
    pub fn part(&self) -> Box<Self> {
        let (role, calls) = (Role::Part { of: self.context() }, Cell::new(self.calls.take()));
        let Self { ref queue, trace, calls_span, began, .. } = *self;
        Box::new(Self { queue: queue.clone(), trace, calls_span, began, role, calls })
    }

    /// Adds the calls of a part, which sends no span of its own then.
    pub fn absorb(&self, part: &Self) {
        self.add(part.calls.take());
    }

    /// Adds a request to a provider.
    pub fn add_call(&self, call: Call) {
        self.add(Some(Calls { count: 1, began: call.began, last: call }));
    }

    fn add(&self, more: Option<Calls>) {
        let both = self.calls.get().into_iter().chain(more).reduce(Calls::and);
        self.calls.set(both);
    }

    /// The trace.
    pub const fn trace(&self) -> TraceId {
        self.trace
    }

    /// The span of the request.
    pub const fn context(&self) -> SpanContext {
        match self.role {
            Role::Request { span, .. } => SpanContext { trace: self.trace, span, is_sampled: true },
            Role::Part { of: context } | Role::Later { than: context } => context,
        }
    }

    /// The span of the requests to providers, as those requests name it.
    pub const fn calls_context(&self) -> SpanContext {
        SpanContext { trace: self.trace, span: self.calls_span, is_sampled: true }
    }

    /// What the request is answered with.
    pub fn answered(&self, status: u16, problem: Option<&'static str>) {
        if let Role::Request { answer, .. } = &self.role {
            answer.set(Some(Answer { status, problem }));
        }
    }

    /// Puts the spans into the queue.
    ///
    /// A client can have every one of its requests sampled. So such a request has spans only if the client has proved whose
    /// it is, and asks for an operation.
    pub fn end(&self, connection: Option<Connection<'_>>, operation: Option<&'static str>, outcome: &'static str) {
        let (parent, link) = match &self.role {
            Role::Request { parent: Some(_), .. } if connection.is_none() => return,
            Role::Request { span, parent, head, answer } => {
                let mut attributes = of_connection(connection, operation);
                attributes.push(text("passerelle.outcome", outcome));
                self.queue.put(self.server_span(*span, *parent, *head, answer.get(), attributes));
                (Some(*span), None)
            }
            Role::Part { of } => (Some(of.span), Some(*of)),
            Role::Later { than } => (None, Some(*than)),
        };
        if let Some(calls) = self.calls.take() {
            let mut attributes = of_connection(connection, operation);
            if let Some((host, port)) = connection.map(|connection| connection.server) {
                attributes.extend([text("server.address", host), number("server.port", port)]);
            }
            let name = match (&self.role, operation) {
                (Role::Later { .. }, Some(operation)) => format!("reconcile {operation}"),
                _ => calls.last.method.to_owned(),
            };
            let span = self.calls_span(calls, parent, link, attributes);
            self.queue.put(Span { name, ..span });
        }
    }

    fn server_span(
        &self,
        id: SpanId,
        parent: Option<SpanId>,
        Head { method, route, scheme, version }: Head,
        answer: Option<Answer>,
        mut attributes: Vec<KeyValue>,
    ) -> Span {
        attributes.extend([
            text("http.request.method", method),
            text("url.scheme", scheme),
            text("network.protocol.version", version),
        ]);
        let method = if method == OTHER_METHOD { "HTTP" } else { method };
        let name = if route.is_empty() { method.to_owned() } else { format!("{method} {route}") };
        if !route.is_empty() {
            attributes.push(text("http.route", route));
        }
        let error = match answer {
            None => Some("abandoned"),
            Some(Answer { status: 500.., problem }) => Some(problem.unwrap_or("500")),
            Some(_) => None,
        };
        if let Some(Answer { status, problem }) = answer {
            attributes.push(number("http.response.status_code", status));
            attributes.extend(problem.map(|code| text("passerelle.problem", code)));
        }
        let (began, ended) = (self.began.at, Instant::now());
        let span = self.span(id, parent, SpanKind::Server, [began, ended], error, attributes);
        // The client's span, if there is one, is in another process.
        Span { name, flags: span.flags | parent.map_or(0, |_| PARENT_IS_REMOTE), ..span }
    }

    fn calls_span(
        &self,
        calls: Calls,
        parent: Option<SpanId>,
        link: Option<SpanContext>,
        mut attributes: Vec<KeyValue>,
    ) -> Span {
        let Calls { count, began, last: Call { ended, method, status, error, .. } } = calls;
        attributes.extend([text("http.request.method", method), number("passerelle.provider_requests", count)]);
        attributes.extend(status.map(|status| number("http.response.status_code", status)));
        let refused = status.filter(|status| *status >= 400).map(|status| status.to_string());
        let error = refused.as_deref().or(error);
        let links = link.iter().map(|SpanContext { trace, span, .. }| Link {
            trace_id: trace.0.to_vec(),
            span_id: span.0.to_vec(),
            flags: FLAGS,
            ..Link::default()
        });
        let span = self.span(self.calls_span, parent, SpanKind::Client, [began, ended], error, attributes);
        Span { links: links.collect(), ..span }
    }

    fn span(
        &self,
        id: SpanId,
        parent: Option<SpanId>,
        kind: SpanKind,
        [began, ended]: [Instant; 2],
        error: Option<&str>,
        mut attributes: Vec<KeyValue>,
    ) -> Span {
        let status = error.map(|error| {
            attributes.push(text("error.type", error));
            Status { code: StatusCode::Error.into(), ..Status::default() }
        });
        Span {
            trace_id: self.trace.0.to_vec(),
            span_id: id.0.to_vec(),
            parent_span_id: parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
            flags: FLAGS,
            kind: kind.into(),
            start_time_unix_nano: self.began.nanoseconds(began),
            end_time_unix_nano: self.began.nanoseconds(ended),
            attributes,
            status,
            ..Span::default()
        }
    }
}

/// The flags of a span or a link: it is sampled, and it is said whether its parent is in another process.
const FLAGS: u32 = 0x101;
const PARENT_IS_REMOTE: u32 = 0x200;

fn of_connection(connection: Option<Connection<'_>>, operation: Option<&'static str>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    if let Some(Connection { merchant, connection, provider, .. }) = connection {
        attributes.extend([
            text("passerelle.merchant", merchant),
            text("passerelle.connection", connection),
            text("passerelle.provider", provider),
        ]);
    }
    attributes.extend(operation.map(|operation| text("passerelle.operation", operation)));
    attributes
}

/// What the semantic conventions call a method that a client made up.
const OTHER_METHOD: &str = "_OTHER";

/// The name of a method. One that is not a standard one has the name that the semantic conventions give it.
pub const fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => OTHER_METHOD,
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use tokio::sync::mpsc::Receiver;

    use super::{super::Message, *};

    fn spans(mut queue: Receiver<Message>) -> Vec<Span> {
        let messages = std::iter::from_fn(|| queue.try_recv().ok());
        messages.filter_map(|message| if let Message::Span(span) = message { Some(*span) } else { None }).collect()
    }

    /// A client can disconnect after the request has read something, while a part of the request goes on.
    #[test]
    fn a_part_that_outlives_its_request_sends_the_one_span_of_all_calls() {
        let (queue, sent) = SpanQueue::new(Counter::default());
        let head = || Head { method: "POST", route: "/v1/customers", scheme: "http", version: "1.1" };
        let request = Sampled::request(&queue, SampleRatio(1.0), None, Instant::now(), head).expect("all are sampled");
        let call = Call { began: Instant::now(), ended: Instant::now(), method: "GET", status: Some(200), error: None };
        request.add_call(call);
        let part = request.part();
        part.add_call(call);
        request.end(None, None, "abandoned");
        part.end(None, None, "ok");
        let spans = spans(sent);
        let [server, calls] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&calls.trace_id, &calls.parent_span_id), (&server.trace_id, &server.span_id));
        assert!(calls.attributes.contains(&number("passerelle.provider_requests", 2u32)), "{calls:?}");
    }
}
