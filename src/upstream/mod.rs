//! The way out: one tower stack a connection, over plain `http` types.
//!
//! Outermost first, each with its reason:
//!
//! 1. **admission**: what exceeds the configured rate, or finds no place among the requests under way, is
//!    refused at once instead of queueing; the place is kept through retries on purpose, so a struggling
//!    provider sees less of us;
//! 2. **retry**: reads, and whatever provably was not sent;
//! 3. **authorize**: inside retry, so that every attempt is signed afresh, and after everything that
//!    could log, so that no trace can hold a secret;
//! 4. **timeout** of one attempt, the reading of the reply included;
//! 5. **reqwest**, innermost: any status is an answer.

mod address;
mod client;
mod retry;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderName, HeaderValue, header};
use passerelle_providers::{
    error::{Error, Kind},
    plan::{Endpoint, Request, Response, Transport},
    sign::{AuthScheme, Credentials, Stamp},
};
use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, ServiceBuilder, ServiceExt, timeout::error::Elapsed, util::BoxCloneSyncService};

pub use address::check_base_url;
pub use client::{ClientSettings, http_client};

use crate::config::Rate;

/// A request on its way out. Its path is one below the provider's base.
#[derive(Debug, Clone)]
pub struct Outgoing {
    request: Request,
    writes: bool,
    /// Its place among the requests under way, given back when the last attempt ended.
    place: Option<Arc<OwnedSemaphorePermit>>,
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
    /// Builds the stack over the one outbound client. The error says what is wrong with the settings.
    pub fn new(client: reqwest::Client, settings: UpstreamSettings) -> Result<Self, String> {
        let UpstreamSettings { endpoint, scheme, credentials, timeout, rate_limit, max_in_flight, max_reply } =
            settings;
        let base = Url::parse(endpoint.base_url()).map_err(|error| format!("is no URL: {error}"))?;
        let authorizer = Authorizer::new(endpoint.clone(), scheme, credentials)?;
        let limiter = rate_limit.map(rate_limiter);
        let places = Arc::new(Semaphore::new(max_in_flight));
        let admit = move |mut outgoing: Outgoing| -> Result<Outgoing, BoxError> {
            if limiter.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
                return Err(refused(
                    Kind::Throttled,
                    "this connection's own `rate_limit` is used up; nothing was sent",
                ));
            }
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                let told = "too many requests to this connection's provider are under way; nothing was sent";
                return Err(refused(Kind::Overloaded, told));
            };
            outgoing.place = Some(Arc::new(place));
            Ok(outgoing)
        };
        let stack = ServiceBuilder::new()
            .filter(admit)
            .retry(retry::Policy::new())
            .filter(move |outgoing: Outgoing| authorizer.authorize(outgoing))
            .timeout(timeout)
            .service(client::Wire::new(client, base, max_reply));
        Ok(Self { endpoint, stack: BoxCloneSyncService::new(stack) })
    }

    /// Where the provider is.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

#[async_trait]
impl Transport for Upstream {
    async fn send(&self, request: Request, writes: bool) -> Result<Response, Error> {
        self.stack.clone().oneshot(Outgoing { request, writes, place: None }).await.map_err(describe)
    }
}

/// Adds what every request carries, and the secret or the signature.
#[derive(Clone)]
struct Authorizer {
    endpoint: Endpoint,
    scheme: &'static AuthScheme,
    credentials: Arc<Credentials>,
    /// A secret in a header is the same for every request.
    constant: Option<(HeaderName, HeaderValue)>,
}

impl Authorizer {
    fn new(endpoint: Endpoint, scheme: &'static AuthScheme, credentials: Credentials) -> Result<Self, String> {
        let constant = scheme.constant_header(&credentials).map_err(|error| error.to_string())?;
        Ok(Self { endpoint, scheme, credentials: Arc::new(credentials), constant })
    }

    fn authorize(&self, mut outgoing: Outgoing) -> Result<Outgoing, BoxError> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let has_body = !outgoing.request.body().is_empty();
        if let Some((name, value)) = &self.constant {
            outgoing.request.headers_mut().insert(name, value.clone());
        } else {
            // A signature is over the whole URL.
            let mut signed = self.endpoint.finish(outgoing.request.clone())?;
            self.scheme.authorize(&mut signed, &self.credentials, &stamp()?)?;
            *outgoing.request.headers_mut() = std::mem::take(signed.headers_mut());
        }
        let headers = outgoing.request.headers_mut();
        headers.insert(header::ACCEPT, JSON);
        if has_body {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        Ok(outgoing)
    }
}

fn refused(kind: Kind, told: &'static str) -> BoxError {
    Error::new(kind, told).with_retry_after(Some(1)).into()
}

/// The errors of the stack's own layers, in our words.
fn describe(error: BoxError) -> Error {
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
