//! Sends the requests of one connection to its provider, through a stack of tower services over plain `http` types.
//! `execution` calls [`Upstream::send`]; `merchant` builds one [`Upstream`] for every connection.
//!
//! The layers, from the outside in, each with its reason:
//!
//! 1. **Admission.** A client's request above the configured rate (`rate`), or a request above a limit of requests in flight
//!    (`shares`), is refused at once and does not queue. A request counts as in flight during all its attempts, so a provider
//!    that fails gets fewer requests. A write asks for its place before it is claimed in the store ([`Upstream::admit`]). While
//!    the provider fails, its breakers refuse requests (`breaker`, `gate`). Every attempt counts for them.
//! 2. **Retry.** Reads are sent again, and so is every request that was certainly not sent.
//! 3. **Authorization.** It is inside the retry, so every attempt gets a new signature. It is behind everything that
//!    could log, so no log can contain a secret.
//! 4. **The client**, innermost: reqwest, with TLS, decompression and, if the operator configured one, a proxy. A response
//!    with any status is an answer, not an error. One timer ends an attempt at the time-out of an attempt or at the
//!    request's deadline, whichever comes first. Reading the reply is part of the attempt, and so is a flood of interim (1xx)
//!    responses. A request that is too late is refused here, because after this check only connecting takes time.
//!
//! The stack is cloned for every request. So its parts are shared, and its type is written out without boxes between the
//! layers.

mod address;
mod base;
mod breaker;
mod budget;
mod client;
mod collector;
mod connects;
mod failure;
mod gate;
mod network;
mod outbound;
mod proxy;
mod rate;
mod recent;
mod reply;
mod resolve;
mod retry;
mod shares;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use passerelle_providers::{
    kit::Endpoint,
    model::{
        Error, Kind, Operation, Request, Response,
        auth::{AuthScheme, Credentials, Stamp},
    },
};
use tokio::time::Instant;
use tower::{
    BoxError, ServiceBuilder, ServiceExt,
    filter::{Filter, Predicate},
    retry::Retry,
};
use url::Url;

pub use address::{check_base_url, is_loopback};
pub use base::Base;
pub use budget::LARGEST_REPLY;
pub use collector::Collector;
pub use connects::Connects;
#[cfg(feature = "simulation")]
pub use network::Network;
pub use outbound::{ClientSettings, HttpClient, http_client};
pub use proxy::{Exception, Proxy};
pub use rate::Sender;
pub use retry::RetryLimits;
pub use shares::{ConnectionName, MaxInFlight, Shared};

use self::{
    gate::{Entry, Gate, Pass},
    rate::Turns,
    shares::{Places, Replies, Taken},
};

use crate::{
    config::{BreakerConfig, Rate},
    metrics::{ConnectionSeries, Metrics},
};

/// A request to the provider. Its path is below the provider's base URL, and `headers` are those of one attempt.
#[derive(Debug, Clone)]
struct Outgoing {
    request: Arc<Request>,
    headers: HeaderMap,
    /// Whether the request changes something at the provider.
    writes: bool,
    times: Times,
    pass: Pass,
}

/// The deadlines of a request.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// No attempt to send it starts later.
    pub send_until: Instant,
    /// The gateway waits for its answer until then.
    pub answer_until: Instant,
}

impl Times {
    /// The same deadline for both.
    pub const fn until(deadline: Instant) -> Self {
        Self { send_until: deadline, answer_until: deadline }
    }
}

/// How one connection's provider is called.
#[derive(Debug)]
pub struct UpstreamSettings<'n> {
    /// The connection.
    pub name: ConnectionName<'n>,
    /// The name of its provider.
    pub provider: &'static str,
    /// Where the provider is.
    pub endpoint: Endpoint,
    /// How requests are authorized.
    pub scheme: &'static AuthScheme,
    /// The secrets for it.
    pub credentials: Credentials,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How many requests may be sent in a period.
    pub rate_limit: Option<Rate>,
    /// How many requests may be in flight.
    pub max_in_flight: MaxInFlight,
    /// The largest reply that is accepted, in bytes.
    pub max_reply: usize,
    /// When nothing is sent to a provider that fails.
    pub breaker: BreakerConfig,
    /// How often requests are sent again.
    pub retries: RetryLimits,
    /// Whether the requests of a sampled request have a `traceparent`.
    pub sends_traceparent: bool,
}

/// Sends the requests of one connection.
pub struct Upstream {
    endpoint: Endpoint,
    authorization: Arc<Authorization>,
    admission: Admission,
    replies: Arc<Replies>,
    shared: Shared,
    series: Arc<ConnectionSeries>,
    stack: Retry<retry::Policy, Filter<client::ProviderClient, Authorizer>>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Upstream({})", self.endpoint.base_url())
    }
}

impl Upstream {
    /// Builds the stack over the one outbound client. The error says what is wrong with the settings.
    pub fn new(client: HttpClient, shared: &Shared, settings: UpstreamSettings<'_>) -> Result<Self, String> {
        let UpstreamSettings { name, provider, endpoint, scheme, credentials, timeout, .. } = settings;
        let UpstreamSettings { rate_limit, max_in_flight, max_reply, breaker, retries, sends_traceparent, .. } =
            settings;
        let shared = shared.clone();
        #[cfg(feature = "simulation")]
        let client = client.over(shared.network());
        let replies = Arc::new(shared.replies(endpoint.base_url()));
        let (limits, base_url) = (client::Limits { timeout, max_reply }, endpoint.base_url());
        let breakers = shared.breakers(name, provider, base_url, account(name, base_url, &credentials));
        let gate = Arc::new(Gate::new(breakers, breaker, client.connect_timeout()));
        let url = Url::parse(base_url).ok();
        let server = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        let (server, metrics) = (server.unwrap_or_default(), shared.metrics());
        let series = ConnectionSeries::new(metrics, name.merchant, name.connection, provider, server);
        let (own, of_client, shown) = (Arc::clone(&replies), Arc::clone(&gate), Arc::clone(&series));
        let client = client::ProviderClient::new(client, base_url, limits, own, of_client, shown, sends_traceparent)?;
        let authorizer = Authorizer::new(endpoint.clone(), scheme, credentials)?;
        let authorization = Arc::clone(&authorizer.0);
        let stack = ServiceBuilder::new()
            .retry(retry::Policy::new(retries, Arc::clone(&gate), Arc::clone(&series)))
            .filter(authorizer)
            .service(client);
        let places = shared.places(name, endpoint.base_url(), max_in_flight);
        let admission = Admission { turns: Turns::new(rate_limit), places, gate };
        Ok(Self { endpoint, authorization, admission, replies, shared, series, stack })
    }

    /// Where the provider is.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether both use the same credentials.
    pub fn has_credentials_of(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|upstream| &upstream.authorization.credentials);
        own.names().count() == others.names().count() && own.names().all(|name| own.get(name) == others.get(name))
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        self.shared.metrics()
    }

    /// The series of the connection.
    pub const fn series(&self) -> &Arc<ConnectionSeries> {
        &self.series
    }

    /// Whether the number of requests in a period is limited.
    pub fn has_rate_limit(&self) -> bool {
        self.admission.turns.rate().is_some()
    }

    /// The most requests in a minute, where that is limited.
    pub fn most_per_minute(&self) -> Option<u64> {
        let Rate { requests, per } = self.admission.turns.rate()?;
        Some(u64::from(requests.get()) * 60 / per.as_secs().max(1))
    }

    /// How many requests this process has sent in the last minute.
    pub fn sent_in_last_minute(&self) -> u64 {
        self.admission.places.sent().per_minute()
    }

    /// Reserves a place for the requests of one command, which are sent one after the other.
    pub fn admit(&self, operation: Operation) -> Result<Permit<'_>, Error> {
        let entry = self.admission.gate.enter(operation)?;
        self.admission.turns.take(Sender::Client)?;
        self.admission.permit(Sender::Client, entry)
    }

    /// The same for a command of the gateway's own that has had its [turn](Self::own_turn).
    pub fn admit_own(&self, operation: Operation) -> Result<Permit<'_>, Error> {
        self.admission.permit(Sender::Gateway, self.admission.gate.enter(operation)?)
    }

    /// Waits until the gateway may send the first request of a command of its own: clients go first.
    pub async fn own_turn(&self, operation: Operation, send_until: Instant) -> Result<(), Error> {
        self.admission.turns.wait(Sender::Gateway, send_until, || self.admission.gate.check(operation)).await
    }

    /// Whether a request of the gateway's own waits for the rate limit.
    pub fn own_waits(&self) -> bool {
        self.admission.turns.are_waited_for()
    }

    /// Sends a request of a plan, with retries where they are allowed before its deadlines.
    pub async fn send(
        &self,
        sender: Sender,
        operation: Operation,
        request: Arc<Request>,
        writes: bool,
        times: Times,
    ) -> Result<Response, Error> {
        let permit = match sender {
            Sender::Client => self.admit(operation)?,
            Sender::Gateway => {
                self.own_turn(operation, times.send_until).await?;
                self.admit_own(operation)?
            }
        };
        self.send_admitted(&permit, request, writes, times).await
    }

    /// The same for a request of a command that has a place already. Where the rate limit is reached between two requests of
    /// the command, the second one waits. Where a breaker has opened between them, the second one is refused.
    pub async fn send_admitted(
        &self,
        permit: &Permit<'_>,
        request: Arc<Request>,
        writes: bool,
        times: Times,
    ) -> Result<Response, Error> {
        let Admission { turns, places, gate } = &self.admission;
        let is_first = permit.is_before_first_request.swap(false, Ordering::Relaxed);
        let entry;
        let pass = if is_first {
            permit.entry.send()
        } else {
            let operation = permit.entry.operation();
            turns.wait(permit.sender, times.send_until, || gate.check(operation)).await?;
            entry = gate.enter(operation)?;
            entry.send()
        };
        places.sent().note();
        let outgoing = Outgoing { request, headers: HeaderMap::new(), writes, times, pass };
        self.stack.clone().oneshot(outgoing).await.map_err(describe)
    }

    /// The answer that is written from a reply. A large answer takes a part of the memory for replies until the client has
    /// read it, as the reply did before. The error says that there is no room for it.
    pub fn answer(&self, body: impl Into<Bytes>) -> Result<Bytes, Error> {
        self.replies.share(false).into_answer(body.into())
    }

    /// Runs work that takes long on a thread that serves no requests.
    pub async fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        self.shared.compute(work).await;
    }
}

/// Limits how many requests are sent.
struct Admission {
    turns: Turns,
    places: Places,
    gate: Arc<Gate>,
}

/// A place among the requests in flight to a provider.
#[derive(Debug)]
pub struct Permit<'u> {
    _places: [Taken<'u>; 3],
    /// Whether no request is sent yet. The rate limit has counted the first one, and the breakers have let it in.
    is_before_first_request: AtomicBool,
    sender: Sender,
    entry: Entry<'u>,
}

impl Admission {
    fn permit<'u>(&'u self, sender: Sender, entry: Entry<'u>) -> Result<Permit<'u>, Error> {
        Ok(Permit { _places: self.places.take()?, is_before_first_request: AtomicBool::new(true), sender, entry })
    }
}

/// Names the account that a connection uses.
fn account(name: ConnectionName<'_>, base_url: &str, credentials: &Credentials) -> shares::Account {
    let texts = [name.merchant, name.connection, base_url].into_iter();
    let secrets = credentials.names().flat_map(|name| [Some(name), credentials.get(name)]).flatten();
    let mut digest = digest::Context::new(&digest::SHA256);
    for text in texts.chain(secrets) {
        digest.update(&(text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    }
    let mut account = shares::Account::default();
    account.copy_from_slice(digest.finish().as_ref());
    account
}

/// Adds the content type, and the secret or the signature.
#[derive(Clone)]
struct Authorizer(Arc<Authorization>);

struct Authorization {
    endpoint: Endpoint,
    scheme: &'static AuthScheme,
    credentials: Credentials,
    /// The header with the secret, for schemes where it is the same in every request.
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
            // A signature covers the whole URL.
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

/// Unwraps an error of the stack. Every layer returns our own type; another type would be a mistake.
fn describe(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(_) => Error::new(Kind::Interrupted, "the connection to the provider failed"),
    }
}

/// The current time and a nonce, for a signature.
fn stamp() -> Result<Stamp, Error> {
    let mut nonce = [0; 16];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| Error::new(Kind::Unreachable, "the system gives no random numbers; nothing was sent"))?;
    Ok(Stamp { now: crate::clock::now().as_second(), nonce })
}
