//! The way out: one tower stack a connection, over plain `http` types.
//!
//! Outermost first, each with its reason:
//!
//! 1. **rate limit**: a request beyond the configured rate is refused before it takes a place;
//! 2. **load shed**, which must wrap the limit to see it full: what finds no place is refused at once
//!    instead of queueing inside;
//! 3. **concurrency limit**: the permit is kept through retries on purpose, so a struggling provider
//!    sees less of us;
//! 4. **retry**: reads, and whatever provably was not sent;
//! 5. **authorize**: inside retry, so that every attempt is signed afresh, and after everything that
//!    could log, so that no trace can hold a secret;
//! 6. **timeout** of one attempt, the reading of the reply included;
//! 7. **reqwest**, innermost: any status is an answer.

mod address;
mod client;
mod retry;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use passerelle_providers::{
    error::{Error, Kind},
    plan::{Endpoint, Request, Response, Transport},
    sign::{AuthScheme, Credentials, Stamp},
};
use tower::{
    BoxError, ServiceBuilder, ServiceExt, load_shed::error::Overloaded, timeout::error::Elapsed,
    util::BoxCloneSyncService,
};

pub use address::check_base_url;
pub use client::{ClientSettings, http_client};

use crate::config::Rate;

/// A request on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    request: Request,
    writes: bool,
}

/// How one connection's provider is called.
#[derive(Debug)]
pub struct UpstreamSettings {
    /// Where the provider is.
    pub endpoint: Endpoint,
    /// How requests are authorized.
    pub scheme: &'static AuthScheme,
    /// With which secrets.
    pub credentials: Credentials,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How many requests may be sent in a time.
    pub rate_limit: Option<Rate>,
    /// How many requests may be under way.
    pub max_in_flight: usize,
    /// The largest reply that is read, in bytes.
    pub max_reply: usize,
}

/// One connection's way out.
#[derive(Clone)]
pub struct Upstream {
    endpoint: Endpoint,
    stack: BoxCloneSyncService<Outgoing, Response, BoxError>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Upstream({})", self.endpoint.base_url())
    }
}

impl Upstream {
    /// Builds the stack over the one outbound client.
    pub fn new(client: reqwest::Client, settings: UpstreamSettings) -> Self {
        let UpstreamSettings { endpoint, scheme, credentials, timeout, rate_limit, max_in_flight, max_reply } =
            settings;
        let limiter = rate_limit.map(rate_limiter);
        let throttle = move |outgoing: Outgoing| match &limiter {
            Some(limiter) if limiter.check().is_err() => {
                let told = "this connection's own `rate_limit` is used up; nothing was sent";
                Err(BoxError::from(Error::new(Kind::Throttled, told).with_retry_after(Some(1))))
            }
            _ => Ok(outgoing),
        };
        let credentials = Arc::new(credentials);
        let authorize = move |mut outgoing: Outgoing| -> Result<Outgoing, BoxError> {
            let stamp = stamp()?;
            scheme.authorize(&mut outgoing.request, &credentials, &stamp)?;
            Ok(outgoing)
        };
        let stack = ServiceBuilder::new()
            .filter(throttle)
            .load_shed()
            .concurrency_limit(max_in_flight)
            .retry(retry::Policy::new())
            .filter(authorize)
            .timeout(timeout)
            .service(client::Wire::new(client, max_reply));
        Self { endpoint, stack: BoxCloneSyncService::new(stack) }
    }

    /// Where the provider is.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

#[async_trait]
impl Transport for Upstream {
    async fn send(&self, request: Request, writes: bool) -> Result<Response, Error> {
        let request = self.endpoint.finish(request)?;
        self.stack.clone().oneshot(Outgoing { request, writes }).await.map_err(describe)
    }
}

/// The errors of the stack's own layers, in our words.
fn describe(error: BoxError) -> Error {
    if error.is::<Overloaded>() {
        let told = "too many requests to this connection's provider are under way; nothing was sent";
        return Error::new(Kind::Overloaded, told).with_retry_after(Some(1));
    }
    if error.is::<Elapsed>() {
        return Error::new(Kind::TimedOut, "the provider did not answer in time");
    }
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::new(Kind::Interrupted, "the connection to the provider failed"),
    }
}

fn rate_limiter(rate: Rate) -> Arc<DefaultDirectRateLimiter> {
    let period = rate.per / rate.requests.get();
    let quota = Quota::with_period(period.max(Duration::from_nanos(1)))
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
        .allow_burst(rate.requests);
    Arc::new(RateLimiter::direct(quota))
}

/// The time and a nonce for a signature.
fn stamp() -> Result<Stamp, Error> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| Error::new(Kind::Unreachable, "the system gives no random numbers; nothing was sent"))?;
    Ok(Stamp { now: jiff::Timestamp::now().as_second(), nonce })
}
