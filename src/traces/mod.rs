//! Traces for OpenTelemetry: which requests of clients are sampled, and the spans of those that are, in the form of OTLP.
//! Nothing here waits: the spans go into a [queue](SpanQueue), from which `telemetry` sends them to the collector.
//!
//! A request is sampled before anything is recorded of it, so one that is not costs a random number at most. A sampled one
//! has at most two spans, which are made at its end from the times that `metrics::request` knows anyway:
//!
//! - the server span, from the head of the request to its answer;
//! - one client span for all its requests to providers, from the beginning of the first to the end of the last. Its status
//!   and its error are those of the last one.
//!
//! Work that outlives its request has one span with a link to the server span: a write whose client has disconnected, and
//! each reconciliation of a write by a worker, also in another process.
//!
//! The attributes follow the semantic conventions for HTTP, except that no URL is among them: it has ids of customers.
//! What a client or a customer chose is in no span.

mod context;
mod otlp;
mod queue;
mod sampled;

pub use context::{SampleRatio, SpanContext, SpanId, TRACEPARENT, TraceId};
pub use otlp::{Service, encode, rejected};
pub use queue::{Message, QUEUE, SpanQueue};
pub use sampled::{Call, Connection, Head, Sampled, method_name};
