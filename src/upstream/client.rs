//! The one outbound client, with every limit set: time-outs, TLS by default, public addresses only, and a cap on
//! replies after decompression. What reqwest does by itself is turned off: redirects, referers, proxies of the
//! environment and retries.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use passerelle_providers::model::{Error, Kind, Request, Response};
use reqwest::{redirect, retry};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service};

use super::{Outgoing, base::Base, failure, proxy::Proxy, reply, resolve::Resolver};
use crate::tls;

/// How the outbound client is built.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Lets it speak http:// and reach private addresses.
    pub allow_insecure: bool,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// Whether only twins in this process are called, so that no certificates are needed.
    pub loopback_only: bool,
    /// The proxy through which providers are called.
    pub proxy: Option<Arc<Proxy>>,
}

/// Below the keep-alive of the usual load balancers, so that a connection is rarely closed as it is used.
const POOL_IDLE: Duration = Duration::from_secs(20);
const MOST_IDLE: usize = 256;

/// One connection of HTTP/2 carries all requests to a provider. One that died unnoticed would fail all of them, time-out
/// after time-out, so that it has to answer while something is asked on it.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A constant value is not counted each time it is cloned, and reqwest clones it several times for each request.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("passerelle/", env!("CARGO_PKG_VERSION")));

/// The outbound client.
#[derive(Clone)]
pub struct HttpClient {
    direct: reqwest::Client,
    proxied: Option<(reqwest::Client, Arc<Proxy>)>,
    encrypted_only: bool,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("HttpClient").field(&self.proxied.as_ref().map(|(_, proxy)| proxy)).finish()
    }
}

/// Builds the outbound client. All connections share it.
pub fn http_client(settings: ClientSettings) -> Result<HttpClient, String> {
    let tls = if settings.loopback_only { tls::without_roots() } else { tls::with_system_roots() };
    let mut tls = tls.map_err(|wrong| format!("no TLS for providers: {wrong}"))?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Which way a connection goes is decided once, where it is built, so no request asks for it.
    let proxied = match &settings.proxy {
        Some(proxy) => Some((build(&settings, tls.clone(), Some(proxy))?, Arc::clone(proxy))),
        None => None,
    };
    let direct = build(&settings, tls, None)?;
    Ok(HttpClient { direct, proxied, encrypted_only: !settings.allow_insecure })
}

#[expect(clippy::disallowed_methods, reason = "this is the one")]
fn build(settings: &ClientSettings, tls: ClientConfig, proxy: Option<&Proxy>) -> Result<reqwest::Client, String> {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let resolver = Resolver { public_only: !settings.allow_insecure, proxy: proxy.and_then(Proxy::host) };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(!settings.allow_insecure)
        .dns_resolver(resolver)
        .redirect(redirect::Policy::none())
        .referer(false)
        // Without the second, every request would be cloned for a retry that never comes.
        .retry(retry::never().max_retries_per_request(0))
        .no_proxy()
        .user_agent(USER_AGENT)
        .default_headers(HeaderMap::from_iter([(header::ACCEPT, JSON)]))
        // Shared among the addresses of a name, so that one that is dead leaves time for the next.
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    let builder = match proxy {
        Some(proxy) => builder.proxy(proxy.for_all()?),
        None => builder,
    };
    builder.build().map_err(|_| "the outbound client cannot be built".to_owned())
}

/// The client as a service over plain `http` types. It is cloned for every request.
#[derive(Clone)]
pub(super) struct Wire(Arc<Shared>);

/// What all clones have in common.
struct Shared {
    client: reqwest::Client,
    proxy: Option<Arc<Proxy>>,
    base: Base,
    timeout: Duration,
    max_reply: usize,
}

impl Wire {
    /// The client before one provider. The error says what is wrong with its base URL.
    pub(super) fn new(client: HttpClient, base_url: &str, timeout: Duration, max_reply: usize) -> Result<Self, String> {
        let base = Base::new(base_url)?;
        if client.encrypted_only && !base.is_encrypted() {
            return Err(
                "has a base URL that must begin with https://, unless outbound.allow_insecure is set".to_owned()
            );
        }
        let proxied = client.proxied.filter(|(_, proxy)| base.host().is_some_and(|host| proxy.is_for(&host)));
        let (client, proxy) = match proxied {
            Some((client, proxy)) => (client, Some(proxy)),
            None => (client.direct, None),
        };
        Ok(Self(Arc::new(Shared { client, proxy, base, timeout, max_reply })))
    }
}

impl Shared {
    /// The host is left to the client: HTTP/1.1 and HTTP/2 name it in different places.
    fn to_send(&self, planned: &Request, mut headers: HeaderMap) -> Result<reqwest::Request, Error> {
        let mut sent = reqwest::Request::new(planned.method().clone(), self.base.below(planned.uri())?);
        if !planned.body().is_empty() {
            *sent.body_mut() = Some(planned.body().clone().into());
        } else if matches!(*planned.method(), Method::POST | Method::PUT | Method::PATCH) {
            // Some front ends refuse what may have a body and does not say how long it is.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *sent.headers_mut() = headers;
        Ok(sent)
    }

    /// A proxy passes on what is not encrypted, and answers like a provider where it does not.
    fn answer_of_proxy(&self, status: StatusCode) -> Option<&Proxy> {
        let refused = status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && !self.base.is_encrypted();
        self.proxy.as_deref().filter(|_| refused)
    }

    async fn exchange(
        &self,
        begun: impl Future<Output = reqwest::Result<reqwest::Response>>,
    ) -> Result<Response, Error> {
        let response = begun.await.map_err(|error| failure::classify(&error, self.proxy.as_deref()))?;
        match self.answer_of_proxy(response.status()) {
            Some(proxy) => Err(failure::unauthorized(proxy)),
            None => reply::read(response, self.max_reply).await,
        }
    }
}

impl Service<Outgoing> for Wire {
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, outgoing: Outgoing) -> Self::Future {
        let Outgoing { request, headers, times, .. } = outgoing;
        let shared = Arc::clone(&self.0);
        let now = Instant::now();
        if now >= times.begun {
            return Box::pin(async { Err(too_late().into()) });
        }
        let ends = times.answered.min(now + shared.timeout);
        // The client's future is begun here, so that nothing but it has to be carried along.
        let begun = shared.to_send(&request, headers).map(|request| shared.client.execute(request));
        Box::pin(async move {
            // Pinned here: the timer would hold its own copy of it.
            let exchange = pin!(shared.exchange(begun?));
            match in_time(ends, exchange).await {
                Some(exchanged) => Ok(exchanged?),
                None => Err(Error::new(Kind::TimedOut, "the provider did not answer in time").into()),
            }
        })
    }
}

/// Whoever stood still until now may have lost the write to somebody else.
fn too_late() -> Error {
    Error::new(Kind::Unreachable, "no time was left to send anything")
}

/// Goes on with something until its time is over, and not once more then: a process that stood still while it
/// connected would find the connection made and the time over at once, and send.
async fn in_time<T>(ends: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let strictly = poll_fn(|context| match Instant::now() < ends {
        true => work.as_mut().poll(context),
        false => Poll::Pending,
    });
    timeout_at(ends, strictly).await.ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bytes::Bytes;
    use http::Uri;

    use super::*;
    use crate::upstream::Times;

    fn client(allow_insecure: bool) -> HttpClient {
        let connect_timeout = Duration::from_secs(1);
        let settings = ClientSettings { allow_insecure, connect_timeout, loopback_only: true, proxy: None };
        http_client(settings).expect("a client")
    }

    /// What becomes of a request that may begin until a time.
    async fn sent(client: HttpClient, base: &str, path: &'static str, begun: Instant) -> Error {
        let mut wire = Wire::new(client, base, Duration::from_secs(1), 1024).expect("a base");
        let times = Times { begun, answered: Instant::now() + Duration::from_mins(1) };
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = Uri::from_static(path);
        let request = Arc::new(request);
        let refused = wire.call(Outgoing { request, headers: HeaderMap::new(), writes: true, times }).await;
        *refused.expect_err("a refusal").downcast::<Error>().expect("ours")
    }

    /// A port, and whether anybody has come to it.
    fn listen() -> (u16, impl Fn() -> bool) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let port = listener.local_addr().expect("an address").port();
        (port, move || listener.accept().is_ok())
    }

    #[tokio::test]
    async fn what_comes_too_late_is_not_begun() {
        let now = Instant::now();
        assert_eq!(in_time(now, async { unreachable!("it was begun") }).await, None::<()>);
        assert_eq!(in_time(now + Duration::from_mins(1), async { 7 }).await, Some(7));

        let (port, somebody_came) = listen();
        let refused = sent(client(true), &format!("http://127.0.0.1:{port}"), "/", now).await;
        assert_eq!(refused.kind, Kind::Unreachable);
        assert!(!somebody_came(), "nothing was sent");
    }

    /// What the configuration refuses is refused here as well: a name may lead elsewhere than when it was checked.
    #[tokio::test]
    async fn nothing_is_connected_to_that_is_private_or_not_encrypted() {
        let (port, somebody_came) = listen();
        let later = Instant::now() + Duration::from_mins(1);
        let refused = sent(client(false), &format!("https://localhost:{port}"), "/", later).await;
        assert_eq!(refused.kind, Kind::Unreachable);
        let plain = Wire::new(client(false), &format!("http://127.0.0.1:{port}"), Duration::from_secs(1), 1024);
        assert!(plain.err().is_some_and(|wrong| wrong.contains("must begin with https://")));
        assert!(!somebody_came());
    }

    #[tokio::test]
    async fn a_url_that_would_be_rewritten_is_not_sent() {
        let (port, somebody_came) = listen();
        let later = Instant::now() + Duration::from_mins(1);
        for path in ["/customers/%2e%2e/admin", "/customers?name=O'Brien"] {
            let refused = sent(client(true), &format!("http://127.0.0.1:{port}/v1"), path, later).await;
            assert_eq!(refused.kind, Kind::Invalid, "{path}");
            assert!(refused.to_string().contains("nothing was sent"), "{refused}");
        }
        assert!(!somebody_came());
    }
}
