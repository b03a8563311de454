//! Sends the requests to one provider by the outbound HTTP client, with a time-out for each attempt and a limit on the
//! decompressed size of replies.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use passerelle_providers::model::{AsksForMany, Error, Kind, Request, Response};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service};

use super::{
    Outgoing,
    base::Base,
    failure::{Failure, proxy_unauthorized},
    gate::Gate,
    network::{Sending, Way},
    outbound::HttpClient,
    proxy::Proxy,
    reply::{self, Limit},
    shares::Replies,
};
use crate::{
    metrics::{
        CallOutcome, ConnectionSeries,
        request::{Attempt, calls_context},
    },
    traces::{TRACEPARENT, method_name},
};

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
        if client.encrypted_only() && !base.is_encrypted() {
            return Err(
                "has a base URL that does not begin with https://; change it, or set outbound.allow_insecure = true"
                    .to_owned(),
            );
        }
        #[cfg(feature = "simulation")]
        let network = client.network();
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
    ) -> Result<Response, Failure> {
        let response = response.response(self.proxy.as_deref()).await?;
        if let Some(proxy) = self.refusing_proxy(response.status()) {
            return Err(proxy_unauthorized(proxy));
        }
        let reply = reply::read(response, limit, self.replies.share(writes)).await;
        // Only the budget fails in this way after the request was sent.
        Ok(reply.inspect_err(|error| {
            if error.kind == Kind::Overloaded {
                self.series.count_refused_reply();
            }
        })?)
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
            let too_late = || Err(Error::new(Kind::TimedOut, "the provider did not answer in time").into());
            let result = result.unwrap_or_else(too_late);
            parts.gate.record(pass, &result);
            let result = result.map_err(|failure| failure.error);
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
        upstream::{ClientSettings, ConnectionName, Connects, Shared, Times, http_client},
    };

    fn series() -> Arc<ConnectionSeries> {
        ConnectionSeries::new(&Metrics::default(), "acme", "main", "lomi", ("127.0.0.1", 80))
    }

    fn replies() -> Arc<Replies> {
        Arc::new(Shared::default().replies("http://127.0.0.1"))
    }

    fn client(allow_insecure: bool) -> HttpClient {
        let connect_timeout = Duration::from_secs(1);
        let settings = ClientSettings {
            allow_insecure,
            connect_timeout,
            max_idle: 1,
            idle_timeout: connect_timeout,
            without_tls: true,
            proxy: None,
            connects: Connects::default(),
        };
        http_client(settings).expect("a client")
    }

    const LIMITS: Limits = Limits { timeout: Duration::from_secs(1), max_reply: 1024 };

    fn gate() -> Arc<Gate> {
        let name = ConnectionName { merchant: "acme", connection: "main" };
        Arc::new(Gate::new(
            Shared::default().breakers(name, "lomi", "https://a.example", [0; 32]),
            crate::config::BreakerConfig::tested(),
            Duration::from_secs(1),
        ))
    }

    /// The error of a request that may be sent until `send_until`.
    async fn send(client: HttpClient, base: &str, path: &'static str, send_until: Instant) -> Error {
        let gate = gate();
        let pass = gate.enter(passerelle_providers::model::Operation::Create).expect("it is closed").send();
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
