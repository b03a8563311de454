//! The one outbound HTTP client, with every limit set: the time to connect, TLS and public addresses unless the operator allows
//! more. The automatic features of reqwest are off: redirects, referers, proxies from the environment and retries.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header};
use reqwest::{redirect, retry};
use rustls::ClientConfig;
use url::Host;

use super::{connects::Connects, proxy::Proxy, resolve::AddressResolver};
use crate::tls;

/// How the outbound client is built.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Allows `http://` and private addresses.
    pub allow_insecure: bool,
    /// How long it may take to connect, including the TLS handshake.
    pub connect_timeout: Duration,
    /// How many connections to one host stay open while they are idle.
    pub max_idle: usize,
    /// How long a connection stays open while it is idle.
    pub idle_timeout: Duration,
    /// Whether it calls only servers without TLS. Then it needs no certificate authorities.
    pub without_tls: bool,
    /// The proxy through which providers are called.
    pub proxy: Option<Arc<Proxy>>,
    /// Counts the connections that it opens.
    pub connects: Connects,
}

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
    connect_timeout: Duration,
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

    /// Whether it calls only servers with TLS.
    pub(super) const fn encrypted_only(&self) -> bool {
        self.encrypted_only
    }

    /// How long it may take to connect.
    pub(super) const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The network of a simulated process.
    #[cfg(feature = "simulation")]
    pub(super) fn network(&self) -> Option<Arc<dyn super::Network>> {
        self.network.clone()
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
        connect_timeout: settings.connect_timeout,
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
        .connector_layer(settings.connects.clone())
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(settings.max_idle)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    let builder = match proxy {
        Some(proxy) => builder.proxy(proxy.for_all()?),
        None => builder,
    };
    builder.build().map_err(|_| "the outbound HTTP client cannot be built".to_owned())
}
