//! What the inbound layer does for the requests of clients, and not for those of the operator: it counts and samples them,
//! refuses those that have no place, and shows their times.

use std::{fmt::Write as _, sync::Arc};

use arc_swap::ArcSwap;
use axum::extract::Request;
use http::{HeaderValue, Version};

use super::Arrival;
use crate::{
    admission::{Places, TooMany},
    http as api,
    merchant::Gateway,
    metrics::{
        Counter,
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
    places: Arc<Places>,
}

impl ForClients {
    pub(super) fn new(app: &App) -> Self {
        let metrics = app.metrics();
        let problems = Code::ALL.iter().map(|code| metrics.problems(code.name())).collect();
        let (gateway, places) = (Arc::clone(&app.gateway), Arc::clone(&app.places));
        Self { requests: RequestSeries::new(metrics), problems, gateway, places }
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
        match client.is_some_and(|client| self.places.would_refuse(&client.merchant.places)) {
            true => Err(TooMany::InFlight.into()),
            false => Ok(()),
        }
    }

    /// Decides whether a request is sampled.
    pub(super) fn sampled<B>(&self, request: &Request<B>, arrival: &Arrival) -> Option<Box<Sampled>> {
        let gateway = self.gateway.load();
        let traces = gateway.traces.as_ref()?;
        Sampled::request(&traces.queue, traces.ratio, arrival.parent, arrival.at, || Head {
            method: method_name(&arrival.method),
            route: arrival.route,
            scheme: if gateway.tls.is_some() { "https" } else { "http" },
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
        // Milliseconds as two integers of 64 bits, because it takes long to format a float, or an integer of 128 bits.
        let [provider, gateway] = [times.provider, times.overhead]
            .map(|time| (time.as_secs() * 1000 + u64::from(time.subsec_millis()), time.subsec_micros() % 1000));
        let mut text = String::with_capacity(TIMING_SIZE);
        let _ =
            write!(text, "provider;dur={}.{:03}, gateway;dur={}.{:03}", provider.0, provider.1, gateway.0, gateway.1);
        HeaderValue::try_from(text).ok()
    }
}
