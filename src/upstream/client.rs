//! The one outbound HTTP client, with every limit set: time-outs, TLS and public addresses unless the operator allows
//! more, and a limit on the decompressed size of replies. The automatic features of reqwest are off: redirects, referers,
//! proxies from the environment and retries.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use passerelle_providers::model::{AsksForMany, Error, Kind, Request, Response};
use reqwest::{redirect, retry};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service};
use url::Host;

use super::{
    Outgoing,
    base::Base,
    failure,
    gate::Gate,
    network::{Sending, Way},
    proxy::Proxy,
    reply::{self, Limit},
    resolve::AddressResolver,
    shares::Replies,
};
use crate::{
    metrics::{
        CallOutcome, ConnectionSeries,
        request::{Attempt, calls_context},
    },
    tls,
    traces::{TRACEPARENT, method_name},
};

/// How the outbound client is built.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Allows `http://` and private addresses.
    pub allow_insecure: bool,
    /// How long it may take to connect, including the TLS handshake.
    pub connect_timeout: Duration,
    /// Whether it calls only servers without TLS. Then it needs no certificate authorities.
    pub without_tls: bool,
    /// The proxy through which providers are called.
    pub proxy: Option<Arc<Proxy>>,
}

/// Shorter than the keep-alive of common load balancers, so that they rarely close a connection while it is used.
const POOL_IDLE: Duration = Duration::from_secs(20);
/// As many as may be in flight. With 32, a load of 200 took a third more CPU. Each keeps up to 400 KiB after a large reply.
const MAX_IDLE: usize = 256;

/// One HTTP/2 connection carries all requests to a provider. If it broke without notice, every request would fail with a
/// time-out. So the client sends a PING while requests are open, and drops the connection if no answer comes.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A constant, because it is cloned without a reference count, and reqwest clones it several times per request.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("passerelle/", env!("CARGO_PKG_VERSION")));

/// The outbound client.
#[derive(Clone)]
pub struct HttpClient {
    direct: reqwest::Client,
    /// The client for all hosts that are reached through the proxy, if there is one.
    proxied: Option<(reqwest::Client, Arc<Proxy>)>,
    encrypted_only: bool,
    /// The network of a simulated process, over which everything is sent.
    #[cfg(feature = "simulation")]
    network: Option<Arc<dyn super::Network>>,
}

impl HttpClient {
    /// The client for a host, and the proxy through which it is reached.
    pub(super) fn for_host(self, host: Option<Host<&str>>) -> (reqwest::Client, Option<Arc<Proxy>>) {
        match self.proxied.filter(|(_, proxy)| host.is_some_and(|host| proxy.is_for(&host))) {
            Some((client, proxy)) => (client, Some(proxy)),
            None => (self.direct, None),
        }
    }

    /// The same client, over the network of a simulated process if there is one.
    #[cfg(feature = "simulation")]
    pub(super) fn over(self, network: Option<Arc<dyn super::Network>>) -> Self {
        Self { network, ..self }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HttpClient").field(&self.proxied.as_ref().map(|(_, proxy)| proxy)).finish()
    }
}

/// Builds an outbound client. All connections to providers share one; those to twins and the collector of traces have others.
pub fn http_client(settings: ClientSettings) -> Result<HttpClient, String> {
    let tls = if settings.without_tls { tls::without_roots() } else { tls::with_system_roots() };
    let mut tls = tls.map_err(|error| format!("cannot set up TLS for outbound requests: {error}"))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Two clients, so that the choice between proxy and direct is made once per connection, not for every request.
    let proxied = match &settings.proxy {
        Some(proxy) => Some((build(&settings, tls.clone(), Some(proxy))?, Arc::clone(proxy))),
        None => None,
    };
    let direct = build(&settings, tls, None)?;
    Ok(HttpClient {
        direct,
        proxied,
        encrypted_only: !settings.allow_insecure,
        #[cfg(feature = "simulation")]
        network: None,
    })
}

#[expect(clippy::disallowed_methods, reason = "this is the only outbound client")]
fn build(settings: &ClientSettings, tls: ClientConfig, proxy: Option<&Proxy>) -> Result<reqwest::Client, String> {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let resolver = AddressResolver { public_only: !settings.allow_insecure, proxy: proxy.and_then(Proxy::host) };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(!settings.allow_insecure)
        .dns_resolver(resolver)
        .redirect(redirect::Policy::none())
        .referer(false)
        // Without `max_retries_per_request(0)`, reqwest would clone every request for a retry that never comes.
        .retry(retry::never().max_retries_per_request(0))
        .no_proxy()
        .user_agent(USER_AGENT)
        .default_headers(HeaderMap::from_iter([(header::ACCEPT, JSON)]))
        // hyper divides this time among the addresses of a name, so a dead address leaves time for the next one.
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    let builder = match proxy {
        Some(proxy) => builder.proxy(proxy.for_all()?),
        None => builder,
    };
    builder.build().map_err(|_| "the outbound HTTP client cannot be built".to_owned())
}

/// The client for one provider, as a service over plain `http` types. It is cloned for every request.
#[derive(Clone)]
pub(super) struct ProviderClient(Arc<Parts>);

/// The parts that all clones of a [`ProviderClient`] share.
struct Parts {
    way: Way,
    proxy: Option<Arc<Proxy>>,
    base: Base,
    limits: Limits,
    replies: Arc<Replies>,
    gate: Arc<Gate>,
    series: Arc<ConnectionSeries>,
    sends_traceparent: bool,
}

/// What one attempt may need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long it may take.
    pub(super) timeout: Duration,
    /// The largest reply, in bytes.
    pub(super) max_reply: usize,
}

impl ProviderClient {
    /// The client for the provider at `base_url`. The error says what is wrong with the URL.
    pub(super) fn new(
        client: HttpClient,
        base_url: &str,
        limits: Limits,
        replies: Arc<Replies>,
        gate: Arc<Gate>,
        series: Arc<ConnectionSeries>,
        sends_traceparent: bool,
    ) -> Result<Self, String> {
        let base = Base::new(base_url)?;
        if client.encrypted_only && !base.is_encrypted() {
            return Err(
                "has a base URL that does not begin with https://; change it, or set outbound.allow_insecure = true"
                    .to_owned(),
            );
        }
        #[cfg(feature = "simulation")]
        let network = client.network.clone();
        let (client, proxy) = client.for_host(base.host());
        let way = Way::Client(client);
        #[cfg(feature = "simulation")]
        let way = network.map_or(way, Way::Simulated);
        Ok(Self(Arc::new(Parts { way, proxy, base, limits, replies, gate, series, sends_traceparent })))
    }
}

impl Parts {
    /// The planned request in the form of reqwest. reqwest adds the host, because HTTP/1.1 and HTTP/2 send it in different
    /// places.
    fn to_reqwest(&self, planned: &Request, mut headers: HeaderMap) -> Result<reqwest::Request, Error> {
        let mut request = reqwest::Request::new(planned.method().clone(), self.base.below(planned.uri())?);
        if !planned.body().is_empty() {
            *request.body_mut() = Some(planned.body().clone().into());
        } else if matches!(*planned.method(), Method::POST | Method::PUT | Method::PATCH) {
            // Some front ends refuse a request of these methods that has no length.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The proxy, if it answered in place of the provider: a proxy sees unencrypted requests, and can refuse one with 407.
    fn refusing_proxy(&self, status: StatusCode) -> Option<&Proxy> {
        let is_refused = status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && !self.base.is_encrypted();
        self.proxy.as_deref().filter(|_| is_refused)
    }

    /// Waits for the response of a request, and reads it to its end.
    async fn exchange(
        &self,
        response: Sending<impl Future<Output = reqwest::Result<reqwest::Response>>>,
        limit: Limit,
        writes: bool,
    ) -> Result<Response, Error> {
        let response = response.response(self.proxy.as_deref()).await?;
        if let Some(proxy) = self.refusing_proxy(response.status()) {
            return Err(failure::proxy_unauthorized(proxy));
        }
        let reply = reply::read(response, limit, self.replies.share(writes)).await;
        // Only the budget fails in this way after the request was sent.
        reply.inspect_err(|error| {
            if error.kind == Kind::Overloaded {
                self.series.count_refused_reply();
            }
        })
    }
}

impl Service<Outgoing> for ProviderClient {
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, outgoing: Outgoing) -> Self::Future {
        let Outgoing { request, mut headers, writes, times, pass } = outgoing;
        let parts = Arc::clone(&self.0);
        let now = Instant::now();
        if now >= times.send_until {
            return Box::pin(async { Err(too_late().into()) });
        }
        let limit = match request.extensions().get::<AsksForMany>() {
            Some(AsksForMany) => Limit::of_page(parts.limits.max_reply),
            None => Limit::of_record(parts.limits.max_reply),
        };
        let deadline = times.answer_until.min(now + parts.limits.timeout);
        if parts.sends_traceparent
            && let Some(context) = calls_context()
            && let Ok(value) = HeaderValue::try_from(context.to_string())
        {
            headers.insert(TRACEPARENT, value);
        }
        let method = method_name(request.method());
        // Created outside the async block, which then has to store only this future and not the request. It sends nothing
        // before it is polled.
        let response = parts.to_reqwest(&request, headers).map(|request| parts.way.send(request));
        Box::pin(async move {
            // Pinned here, because otherwise the timer would contain a second copy of this large future.
            let exchange = pin!(parts.exchange(response?, limit, writes));
            let attempt = Attempt::new(&parts.series, method);
            let result = complete_before(deadline, exchange).await;
            let result =
                result.unwrap_or_else(|| Err(Error::new(Kind::TimedOut, "the provider did not answer in time")));
            parts.gate.record(pass, &result);
            attempt.finish(CallOutcome::of(&result), result.as_ref().ok().map(|response| response.status().as_u16()));
            Ok(result?)
        })
    }
}

/// The error for a request that may not be sent any more. Its process may have been suspended meanwhile, and another
/// replica may have taken the write over.
fn too_late() -> Error {
    Error::new(Kind::Unreachable, "the time for sending the request was over; nothing was sent")
}

/// Polls a future only before the deadline. `timeout_at` alone polls it once more after the deadline: if the process is
/// suspended while it connects, that last poll could find the connection open and send the request, although another
/// replica may have taken the write over.
async fn complete_before<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let polled_in_time = poll_fn(|context| match Instant::now() < deadline {
        true => work.as_mut().poll(context),
        false => Poll::Pending,
    });
    timeout_at(deadline, polled_in_time).await.ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bytes::Bytes;
    use http::Uri;

    use super::*;
    use crate::{
        metrics::Metrics,
        upstream::{ConnectionName, Shared, Times},
    };

    fn series() -> Arc<ConnectionSeries> {
        ConnectionSeries::new(&Metrics::default(), "acme", "main", "lomi", ("127.0.0.1", 80))
    }

    fn replies() -> Arc<Replies> {
        Arc::new(Shared::default().replies("http://127.0.0.1"))
    }

    fn client(allow_insecure: bool) -> HttpClient {
        let connect_timeout = Duration::from_secs(1);
        let settings = ClientSettings { allow_insecure, connect_timeout, without_tls: true, proxy: None };
        http_client(settings).expect("a client")
    }

    const LIMITS: Limits = Limits { timeout: Duration::from_secs(1), max_reply: 1024 };

    fn gate() -> Arc<Gate> {
        let name = ConnectionName { merchant: "acme", connection: "main" };
        Arc::new(Gate::new(Shared::default().breakers(name, "lomi", [0; 32]), crate::config::BreakerConfig::tested()))
    }

    /// The error of a request that may be sent until `send_until`.
    async fn send(client: HttpClient, base: &str, path: &'static str, send_until: Instant) -> Error {
        let gate = gate();
        let pass = gate.enter(passerelle_providers::model::Operation::Create).expect("it is closed").pass;
        let mut client =
            ProviderClient::new(client, base, LIMITS, replies(), gate, series(), false).expect("a base URL");
        let times = Times { send_until, answer_until: Instant::now() + Duration::from_mins(1) };
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = Uri::from_static(path);
        let request = Arc::new(request);
        let result = client.call(Outgoing { request, headers: HeaderMap::new(), writes: true, times, pass }).await;
        *result.expect_err("an error").downcast::<Error>().expect("ours")
    }

    /// A port, and a function that says whether a client has connected to it.
    fn listen() -> (u16, impl Fn() -> bool) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let port = listener.local_addr().expect("an address").port();
        (port, move || listener.accept().is_ok())
    }

    #[tokio::test]
    async fn nothing_is_started_after_its_deadline() {
        let now = Instant::now();
        assert_eq!(complete_before(now, async { unreachable!("it was polled") }).await, None::<()>);
        assert_eq!(complete_before(now + Duration::from_mins(1), async { 7 }).await, Some(7));

        let (port, was_connected) = listen();
        let refused = send(client(true), &format!("http://127.0.0.1:{port}"), "/", now).await;
        assert_eq!(refused.kind, Kind::Unreachable);
        assert!(!was_connected(), "nothing was sent");
    }

    /// The configuration check is repeated here: a name may resolve to another address than when it was checked.
    #[tokio::test]
    async fn the_client_connects_to_nothing_private_or_unencrypted() {
        let (port, was_connected) = listen();
        let later = Instant::now() + Duration::from_mins(1);
        let refused = send(client(false), &format!("https://localhost:{port}"), "/", later).await;
        assert_eq!(refused.kind, Kind::Unreachable);
        let base = format!("http://127.0.0.1:{port}");
        let plain = ProviderClient::new(client(false), &base, LIMITS, replies(), gate(), series(), false);
        assert!(plain.err().is_some_and(|error| error.contains("does not begin with https://")));
        assert!(!was_connected());
    }

    #[tokio::test]
    async fn a_url_that_would_be_rewritten_is_not_sent() {
        let (port, was_connected) = listen();
        let later = Instant::now() + Duration::from_mins(1);
        for path in ["/customers/%2e%2e/admin", "/customers?name=O'Brien"] {
            let refused = send(client(true), &format!("http://127.0.0.1:{port}/v1"), path, later).await;
            assert_eq!(refused.kind, Kind::Invalid, "{path}");
            assert!(refused.to_string().contains("nothing was sent"), "{refused}");
        }
        assert!(!was_connected());
    }
}
