//! The one outbound client, with every limit set: no redirects, no referer, no proxy of the environment,
//! time-outs, TLS by default, and a cap on replies after decompression.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Uri};
use passerelle_providers::{
    error::{Error, Kind},
    plan::Response,
};
use reqwest::{Client, Url, dns::Name, redirect};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service};

use super::{Outgoing, address};

/// How the outbound client is built.
#[derive(Debug, Clone, Copy)]
pub struct ClientSettings {
    /// Lets it speak http:// and reach private addresses.
    pub allow_insecure: bool,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// Whether only twins in this process are called, so that no certificates are needed.
    pub loopback_only: bool,
}

/// Below the keep-alive of the usual load balancers, so that a connection is rarely closed as it is used.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// Builds the outbound client. All connections share it.
pub fn http_client(settings: ClientSettings) -> Result<Client, String> {
    let builder = Client::builder()
        .user_agent(concat!("passerelle/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .https_only(!settings.allow_insecure)
        .connect_timeout(settings.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(256)
        .tcp_nodelay(true);
    let builder = match (settings.loopback_only, settings.allow_insecure) {
        (true, _) => builder.tls_certs_only([]),
        (false, true) => builder,
        (false, false) => builder.dns_resolver(PublicOnly),
    };
    builder.build().map_err(|error| {
        format!(
            "the outbound client cannot be made: {error}; are CA certificates installed (package `ca-certificates`)?"
        )
    })
}

/// Resolves names to public addresses only, at the moment of connecting, so that a name cannot be
/// pointed at a private address after it was checked.
struct PublicOnly;

impl reqwest::dns::Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| address::is_public(address.ip())).collect();
            match public.is_empty() {
                true => Err(BoxError::from("the name resolves to no public address")),
                false => Ok(Box::new(public.into_iter()) as reqwest::dns::Addrs),
            }
        })
    }
}

/// The client as a service over plain `http` types.
#[derive(Clone)]
pub(super) struct Wire {
    client: Client,
    base: Arc<Url>,
    timeout: Duration,
    max_reply: usize,
}

impl Wire {
    pub(super) fn new(client: Client, base: Url, timeout: Duration, max_reply: usize) -> Self {
        Self { client, base: Arc::new(base), timeout, max_reply }
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
        let max_reply = self.max_reply;
        let now = Instant::now();
        if now >= times.begun {
            return Box::pin(async { Err(too_late().into()) });
        }
        let ends = times.answered.min(now + self.timeout);
        // The client's future is begun here, so that nothing but it has to be carried along.
        let begun = address(&self.base, request.uri())
            .map(|url| self.client.execute(to_send(request.method().clone(), url, headers, request.body().clone())));
        Box::pin(async move {
            match in_time(ends, exchange(begun?, max_reply)).await {
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

/// The URL of a plan's request. One that would be folded or rewritten on the way is refused: it would ask
/// for something else than was planned.
fn address(base: &Url, below: &Uri) -> Result<Url, Error> {
    let mut path = String::with_capacity(base.path().len() + below.path().len());
    path.push_str(base.path().trim_end_matches('/'));
    path.push_str(below.path());
    let mut url = base.clone();
    url.set_path(&path);
    url.set_query(below.query());
    match url.path() == path && url.query() == below.query() {
        true => Ok(url),
        false => Err(Error::new(Kind::Invalid, "the command cannot be written as a URL without changing it")),
    }
}

fn to_send(method: Method, url: Url, headers: HeaderMap, body: Bytes) -> reqwest::Request {
    let mut sent = reqwest::Request::new(method, url);
    *sent.headers_mut() = headers;
    if !body.is_empty() {
        *sent.body_mut() = Some(body.into());
    }
    sent
}

async fn exchange(
    begun: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
    max_reply: usize,
) -> Result<Response, Error> {
    let mut reply = begun.await.map_err(|error| classify(&error))?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = reply.status();
    *response.headers_mut() = std::mem::take(reply.headers_mut());
    *response.body_mut() = body(&mut reply, max_reply).await?;
    Ok(response)
}

/// Reads the whole reply up to the cap. A reply that comes in one piece is not copied.
async fn body(reply: &mut reqwest::Response, max_reply: usize) -> Result<Bytes, Error> {
    let expected = reply.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let Some(first) = reply.chunk().await.map_err(|error| classify(&error))? else { return Ok(Bytes::new()) };
    let mut whole = None;
    let mut read = first.len();
    while read <= max_reply {
        let Some(chunk) = reply.chunk().await.map_err(|error| classify(&error))? else {
            return Ok(whole.map_or(first, BytesMut::freeze));
        };
        read += chunk.len();
        whole
            .get_or_insert_with(|| {
                let mut whole = BytesMut::with_capacity(expected.min(max_reply).max(first.len() * 2));
                whole.extend_from_slice(&first);
                whole
            })
            .extend_from_slice(&chunk);
    }
    Err(Error::bad_response(format_args!("more than the {max_reply} bytes that are read of a reply")))
}

/// What a failure of the client means. Only a failure to connect is surely a request that was not sent.
fn classify(error: &reqwest::Error) -> Error {
    if error.is_connect() {
        Error::new(Kind::Unreachable, "the provider could not be reached; nothing was sent")
    } else if error.is_timeout() {
        Error::new(Kind::TimedOut, "the provider did not answer in time")
    } else if error.is_decode() || error.is_body() {
        Error::bad_response("a body that broke off or could not be decompressed")
    } else if error.is_builder() {
        Error::new(Kind::Unreachable, "the provider's address cannot be used; nothing was sent")
    } else {
        Error::new(Kind::Interrupted, "the connection to the provider broke before an answer came")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Times;

    #[tokio::test]
    async fn what_comes_too_late_is_not_begun() {
        let now = Instant::now();
        assert_eq!(in_time(now, async { unreachable!("it was begun") }).await, None::<()>);
        assert_eq!(in_time(now + Duration::from_mins(1), async { 7 }).await, Some(7));

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let settings =
            ClientSettings { allow_insecure: true, connect_timeout: Duration::from_secs(1), loopback_only: true };
        let mut wire = Wire::new(http_client(settings).expect("a client"), base, Duration::from_secs(1), 1024);
        let times = Times { begun: now, answered: now + Duration::from_mins(1) };
        let request = Arc::new(http::Request::new(Bytes::new()));
        let refused = wire.call(Outgoing { request, headers: HeaderMap::new(), writes: true, times }).await;
        let refused = refused.expect_err("a refusal").downcast::<Error>().expect("ours");
        assert_eq!(refused.kind, Kind::Unreachable);
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "nothing was sent");
    }
}
