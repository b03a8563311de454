//! What the inbound layer does for the requests of clients, and not for those of the operator: it counts and samples them,
//! refuses those that have no place, and shows their times.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::extract::Request;
use http::{HeaderValue, Version};

use super::{Arrival, overload::OverloadedAnswer};
use crate::{
    admission::Places,
    http as api,
    merchant::Gateway,
    metrics::{
        Counter, Outcome,
        request::{self, RequestSeries},
    },
    problem::{Code, Problem},
    state::App,
    traces::{Head, Sampled, method_name},
};

/// Most times fit into so many bytes.
const TIMING_SIZE: usize = 64;

/// What the layer needs for the requests of clients.
#[derive(Debug)]
pub(super) struct ForClients {
    pub(super) requests: Arc<RequestSeries>,
    /// One for each code, in their order.
    pub(super) problems: Vec<Counter>,
    /// The configuration, which says whether clients see the times and which requests are sampled.
    gateway: Arc<ArcSwap<Gateway>>,
    /// The places of the requests that are being answered.
    pub(super) places: Arc<Places>,
    /// What a simple request is answered with that has no place.
    pub(super) overloaded: Option<OverloadedAnswer>,
}

impl ForClients {
    pub(super) fn new(app: &App) -> Self {
        let metrics = app.metrics();
        let problems = Code::ALL.iter().map(|code| metrics.problems(code.name())).collect();
        let (gateway, places) = (Arc::clone(&app.gateway), Arc::clone(&app.places));
        let overloaded = OverloadedAnswer::new();
        Self { requests: RequestSeries::new(metrics), problems, gateway, places, overloaded }
    }

    /// Refuses a request of the API whose merchant has no place. Its route would refuse it as well, with more work. While there
    /// are too many requests, the requests that are served need the processor's time for that work.
    ///
    /// A path without a route gets the answer that it always gets: it will not exist after `Retry-After` either. The layer
    /// has looked for the route already, so this is less work than the other refusal, which needs the digest of the key.
    pub(super) fn admit<B>(&self, request: &Request<B>, arrival: &Arrival) -> Result<(), Problem> {
        if !self.places.are_short() || !request.uri().path().starts_with("/v1/") {
            return Ok(());
        }
        if arrival.route.is_empty() {
            return Err(Problem::new(Code::NotFound, api::UNKNOWN_PATH));
        }
        let gateway = self.gateway.load();
        let client = api::request::bearer(request.headers()).and_then(|key| gateway.client(key));
        client.map_or(Ok(()), |client| Ok(self.places.check(&client.merchant.places)?))
    }

    /// Refuses a `GET` of a client with this key if its merchant has no place, and records it. `None` if it has one, or
    /// if no client has this key.
    pub(super) fn refuse_in_overload(&self, key: &str, route: &'static str, at: Instant) -> Option<()> {
        let gateway = self.gateway.load();
        self.places.check(&gateway.client(key)?.merchant.places).err()?;
        let sampled = gateway.traces.as_ref().and_then(|traces| {
            let scheme = scheme(&gateway);
            Sampled::request(&traces.queue, traces.ratio, None, at, || Head {
                method: "GET",
                route,
                scheme,
                version: "1.1",
            })
        });
        let measured = request::Request::new(at, &self.requests).sampled(sampled);
        let code = Code::Overloaded;
        if let Some(problems) = self.problems.get(code as usize) {
            problems.inc();
        }
        measured.answered(503, Some(code.name()));
        measured.finish(Outcome::Failed);
        Some(())
    }

    /// Decides whether a request is sampled.
    pub(super) fn sampled<B>(&self, request: &Request<B>, arrival: &Arrival) -> Option<Box<Sampled>> {
        let gateway = self.gateway.load();
        let traces = gateway.traces.as_ref()?;
        Sampled::request(&traces.queue, traces.ratio, arrival.parent, arrival.at, || Head {
            method: method_name(&arrival.method),
            route: arrival.route,
            scheme: scheme(&gateway),
            version: match request.version() {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
        })
    }

    /// The times of an operation, as a header.
    pub(super) fn server_timing(&self, times: request::Times) -> Option<HeaderValue> {
        if !self.gateway.load().server_timing {
            return None;
        }
        let mut text = Vec::with_capacity(TIMING_SIZE);
        text.extend_from_slice(b"provider;dur=");
        push_milliseconds(&mut text, times.provider);
        text.extend_from_slice(b", gateway;dur=");
        push_milliseconds(&mut text, times.overhead);
        HeaderValue::from_bytes(&text).ok()
    }
}

fn scheme(gateway: &Gateway) -> &'static str {
    if gateway.tls.is_some() { "https" } else { "http" }
}

/// Adds a time in milliseconds with three decimals. The formatting of the standard library takes several times as long, and
/// every answer has two times.
fn push_milliseconds(text: &mut Vec<u8>, time: Duration) {
    let mut digits = itoa::Buffer::new();
    text.extend_from_slice(digits.format(time.as_secs() * 1000 + u64::from(time.subsec_millis())).as_bytes());
    // Four digits, of which the first gives way to the point.
    text.extend_from_slice(digits.format(1000 + time.subsec_micros() % 1000).as_bytes());
    let point = text.len() - 4;
    text[point] = b'.';
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds_with_three_decimals() {
        for (nanoseconds, text) in
            [(0, "0.000"), (999, "0.000"), (7_000, "0.007"), (1_230_999, "1.230"), (61_000_045_000, "61000.045")]
        {
            let mut written = Vec::new();
            push_milliseconds(&mut written, Duration::from_nanos(nanoseconds));
            assert_eq!(str::from_utf8(&written), Ok(text));
        }
    }
}
