//! The messages of OTLP: what a collector receives in the body of a `POST`, in protobuf.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

/// What the spans say of the process that made them.
#[derive(Debug, Clone, Copy)]
pub struct Service<'s> {
    /// `service.name`: the same for every replica.
    pub name: &'s str,
    /// `service.instance.id`: of one process.
    pub instance: &'s str,
}

/// An attribute with a text.
pub(super) fn text(key: &'static str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// An attribute with a number.
pub(super) fn number(key: &'static str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn attribute(key: &'static str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The body of a request to the collector.
pub fn encode(service: Service<'_>, spans: Vec<Span>) -> Vec<u8> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let scope = InstrumentationScope {
        name: "passerelle".to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    };
    let attributes = vec![
        text("service.name", service.name),
        text("service.version", VERSION),
        text("service.instance.id", service.instance),
    ];
    let resource = Resource { attributes, ..Resource::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let of_process = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_process] }.encode_to_vec()
}

/// How many spans the collector rejected, from the body of its answer. A body in another form says nothing.
pub fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| partial.rejected_spans.try_into().unwrap_or(0))
}
