//! A stand-in for a collector of traces. It decodes what it receives, and shows the spans with their attributes as text.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, routing::post};
use data_encoding::HEXLOWER;
use http::HeaderMap;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::span::SpanKind,
};
use prost::Message;

/// What a collector has received.
#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    requests: Vec<(HeaderMap, Bytes)>,
}

/// A span, with ids in hexadecimal. An id that is not set is empty.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) nanoseconds: [u64; 2],
    pub(crate) is_error: bool,
    /// Those of the span and of its process.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The trace and the span of each link.
    pub(crate) links: Vec<(String, String)>,
}

impl Span {
    /// An attribute. Empty where there is none.
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// The attributes with these keys.
    pub(crate) fn attributes<const N: usize>(&self, keys: [&str; N]) -> [&str; N] {
        keys.map(|key| self.attribute(key))
    }
}

/// A collector on a free port.
pub(crate) struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let log = Arc::clone(&received);
        let take = async move |headers: HeaderMap, body: Bytes| {
            let message = ExportTraceServiceRequest::decode(body.clone()).expect("a message of OTLP");
            let mut log = log.lock().expect("no panic while it was locked");
            log.spans.extend(spans(message));
            log.requests.push((headers, body));
        };
        let routes = Router::new().route("/v1/traces", post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// The configuration of a gateway that sends spans here.
    pub(crate) fn configuration(&self, ratio: f64) -> String {
        configuration(&self.url(), ratio)
    }

    /// The received spans.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received.lock().expect("no panic while it was locked").spans.clone()
    }

    /// The headers and the bodies of the received requests.
    pub(crate) fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.received.lock().expect("no panic while it was locked").requests.clone()
    }
}

/// The configuration of a gateway that sends spans to this URL.
pub(crate) fn configuration(url: &str, ratio: f64) -> String {
    format!("[telemetry.traces]\nendpoint = \"{url}\"\nsample_ratio = {ratio}\n")
}

fn spans(message: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_process in message.resource_spans {
        let process = of_process.resource.expect("a resource").attributes;
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let id = |bytes: &[u8]| HEXLOWER.encode(bytes);
            spans.push(Span {
                trace: id(&span.trace_id),
                id: id(&span.span_id),
                parent: id(&span.parent_span_id),
                kind: span.kind(),
                nanoseconds: [span.start_time_unix_nano, span.end_time_unix_nano],
                is_error: span.status.is_some_and(|status| status.code == 2),
                attributes: process.iter().chain(&span.attributes).map(shown).collect(),
                links: span.links.iter().map(|link| (id(&link.trace_id), id(&link.span_id))).collect(),
                name: span.name,
            });
        }
    }
    spans
}

fn shown(attribute: &KeyValue) -> (String, String) {
    let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}
