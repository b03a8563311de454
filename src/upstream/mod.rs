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
//! 4. **the client**, innermost: reqwest, with TLS, decompression and, where the operator names one, a proxy; any
//!    status is an answer. It keeps the time of an attempt, the reading of the reply included, and the request's
//!    deadline, whichever comes first: one timer, not two. What comes too late to be sent is refused here, where
//!    nothing but connecting can take time any more.
//!
//! The stack is cloned for every request, so its parts are shared and its type is spelled out: nothing is boxed
//! between the layers.

mod address;
mod base;
mod client;
mod failure;
mod proxy;
mod reply;
mod resolve;
mod retry;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use passerelle_providers::{
    kit::Endpoint,
    model::{
        Error, Kind, Request, Response,
        auth::{AuthScheme, Credentials, Stamp},
    },
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};
use tower::{
    BoxError, ServiceBuilder, ServiceExt,
    filter::{Filter, Predicate},
    retry::Retry,
};

pub use address::check_base_url;
pub use client::{ClientSettings, HttpClient, http_client};
pub use proxy::{Exception, Proxy};

use crate::config::Rate;

/// A request on its way out. Its path is one below the provider's base, and its headers are those of an attempt.
#[derive(Debug, Clone)]
struct Outgoing {
    request: Arc<Request>,
    headers: HeaderMap,
    writes: bool,
    times: Times,
}

/// The times that a request has to keep.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// No attempt to send it begins later.
    pub begun: Instant,
    /// Its answer is not waited for any longer.
    pub answered: Instant,
}

impl Times {
    /// One deadline for all.
    pub const fn until(deadline: Instant) -> Self {
        Self { begun: deadline, answered: deadline }
    }
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
pub struct Upstream {
    endpoint: Endpoint,
    admission: Admission,
    stack: Retry<retry::Policy, Filter<client::Wire, Authorizer>>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Upstream({})", self.endpoint.base_url())
    }
}

impl Upstream {
    /// Builds the stack over the one outbound client. The error says what is wrong with the settings.
    pub fn new(client: HttpClient, settings: UpstreamSettings) -> Result<Self, String> {
        let UpstreamSettings { endpoint, scheme, credentials, timeout, rate_limit, max_in_flight, max_reply } =
            settings;
        let wire = client::Wire::new(client, endpoint.base_url(), timeout, max_reply)?;
        let authorizer = Authorizer::new(endpoint.clone(), scheme, credentials)?;
        let stack = ServiceBuilder::new().retry(retry::Policy::new()).filter(authorizer).service(wire);
        let admission = Admission { limiter: rate_limit.map(rate_limiter), places: Semaphore::new(max_in_flight) };
        Ok(Self { endpoint, admission, stack })
    }

    /// Where the provider is.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a plan's request, in as many attempts as are allowed in its times.
    pub async fn send(&self, request: Request, writes: bool, times: Times) -> Result<Response, Error> {
        let _place = self.admission.admit()?;
        let outgoing = Outgoing { request: Arc::new(request), headers: HeaderMap::new(), writes, times };
        self.stack.clone().oneshot(outgoing).await.map_err(describe)
    }
}

/// How much is sent at all.
struct Admission {
    limiter: Option<DefaultDirectRateLimiter>,
    places: Semaphore,
}

impl Admission {
    fn admit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let refused = |kind, told| Error::new(kind, told).with_retry_after(Some(1));
        if self.limiter.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            return Err(refused(Kind::Throttled, "this connection's own `rate_limit` is used up; nothing was sent"));
        }
        self.places.try_acquire().map_err(|_| {
            refused(Kind::Overloaded, "too many requests to this connection's provider are under way; nothing was sent")
        })
    }
}

/// Adds what every request carries, and the secret or the signature.
#[derive(Clone)]
struct Authorizer(Arc<Authorization>);

struct Authorization {
    endpoint: Endpoint,
    scheme: &'static AuthScheme,
    credentials: Credentials,
    /// A secret in a header is the same for every request.
    constant: Option<(HeaderName, HeaderValue)>,
}

impl Authorizer {
    fn new(endpoint: Endpoint, scheme: &'static AuthScheme, credentials: Credentials) -> Result<Self, String> {
        let constant = scheme.constant_header(&credentials).map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Authorization { endpoint, scheme, credentials, constant })))
    }
}

impl Predicate<Outgoing> for Authorizer {
    type Request = Outgoing;

    fn check(&mut self, mut outgoing: Outgoing) -> Result<Outgoing, BoxError> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let Authorization { endpoint, scheme, credentials, constant } = &*self.0;
        let headers = &mut outgoing.headers;
        if let Some((name, value)) = constant {
            headers.insert(name, value.clone());
        } else {
            // A signature is over the whole URL.
            let mut signed = endpoint.finish(Request::clone(&outgoing.request))?;
            scheme.authorize(&mut signed, credentials, &stamp()?)?;
            *headers = std::mem::take(signed.headers_mut());
        }
        if !outgoing.request.body().is_empty() {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        Ok(outgoing)
    }
}

/// The errors of the stack in our words. All of them are ours already.
fn describe(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::new(Kind::Interrupted, "the connection to the provider failed"),
    }
}

fn rate_limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let period = rate.per / rate.requests.get();
    let quota = Quota::with_period(period.max(Duration::from_nanos(1)))
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
        .allow_burst(rate.requests);
    RateLimiter::direct(quota)
}

/// The time and a nonce for a signature.
fn stamp() -> Result<Stamp, Error> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| Error::new(Kind::Unreachable, "the system gives no random numbers; nothing was sent"))?;
    Ok(Stamp { now: jiff::Timestamp::now().as_second(), nonce })
}
