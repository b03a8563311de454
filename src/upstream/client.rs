//! The one outbound client, with every limit set: time-outs, TLS by default, public addresses only, and a cap on
//! replies after decompression. It follows no redirect, sends no referer and asks no proxy: it has no code for them.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Uri, header,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self, Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use passerelle_providers::model::{Error, Kind, Request, Response};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service, timeout::Timeout, util::MapFuture};
use tower_http::decompression::Decompression;
use url::Url;

use super::{Outgoing, address};
use crate::tls;

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
const MOST_IDLE: usize = 256;

type InTime = Timeout<HttpsConnector<HttpConnector<Resolver>>>;
type Connecting = <InTime as Service<Uri>>::Future;
/// The client wants futures that can be moved.
type Connector = MapFuture<InTime, fn(Connecting) -> Pin<Box<Connecting>>>;

/// The outbound client.
#[derive(Debug, Clone)]
pub struct HttpClient(Client<Connector, Full<Bytes>>);

/// Builds the outbound client. All connections share it.
#[expect(clippy::disallowed_methods, reason = "this is the one")]
pub fn http_client(settings: ClientSettings) -> Result<HttpClient, String> {
    let ClientSettings { allow_insecure, connect_timeout, loopback_only } = settings;
    let tls = if loopback_only { tls::without_roots() } else { tls::with_system_roots() };
    let tls = tls.map_err(|wrong| format!("no TLS for providers: {wrong}"))?;
    let mut tcp = HttpConnector::new_with_resolver(Resolver { public_only: !allow_insecure });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Shared among the addresses of a name, so that one that is dead leaves time for the next.
    tcp.set_connect_timeout(Some(connect_timeout));
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
    let tls = if allow_insecure { tls.https_or_http() } else { tls.https_only() };
    let connector = Timeout::new(tls.enable_http1().wrap_connector(tcp), connect_timeout);
    let connector = Connector::new(connector, Box::pin);
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(MOST_IDLE);
    Ok(HttpClient(builder.build(connector)))
}

/// Resolves names at the moment of connecting, to public addresses only where that is asked, so that a name cannot
/// be pointed at a private address after it was checked.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    public_only: bool,
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let public_only = self.public_only;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<_> = found.filter(|found| !public_only || address::is_public(found.ip())).collect();
            match usable.is_empty() {
                true => Err(io::Error::other("the name resolves to no public address")),
                false => Ok(usable.into_iter()),
            }
        })
    }
}

/// Where a provider is, in the parts that the URI of a request is made of.
struct Base {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    /// Without a slash at the end.
    path: String,
}

impl Base {
    /// The parts of a base URL, after it was brought into the form in which it was checked.
    fn new(base_url: &str) -> Result<Self, String> {
        let url = Url::parse(base_url).map_err(|error| format!("is no URL: {error}"))?;
        let parts = Uri::try_from(url.as_str()).map_err(|error| format!("is no URL: {error}"))?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err("has no host".to_owned());
        };
        let host =
            HeaderValue::from_str(authority.as_str()).map_err(|_| "has a host that cannot be sent".to_owned())?;
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, host, path })
    }

    /// The URI of a plan's request. What was planned is not rewritten.
    fn uri(&self, below: &Uri) -> Result<Uri, Error> {
        let invalid = || Error::new(Kind::Invalid, "the command cannot be written as a URL");
        let below = below.path_and_query().ok_or_else(invalid)?;
        let path = match self.path.as_str() {
            "" => below.clone(),
            path => {
                let mut whole = String::with_capacity(path.len() + below.as_str().len());
                whole.push_str(path);
                whole.push_str(below.as_str());
                PathAndQuery::from_maybe_shared(whole).map_err(|_| invalid())?
            }
        };
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| invalid())
    }
}

/// The client as a service over plain `http` types. It is cloned for every request.
#[derive(Clone)]
pub(super) struct Wire(Arc<Shared>);

/// What all clones have in common.
struct Shared {
    client: HttpClient,
    base: Base,
    timeout: Duration,
    max_reply: usize,
}

impl Wire {
    /// The client before one provider. The error says what is wrong with its base URL.
    pub(super) fn new(client: HttpClient, base_url: &str, timeout: Duration, max_reply: usize) -> Result<Self, String> {
        Ok(Self(Arc::new(Shared { client, base: Base::new(base_url)?, timeout, max_reply })))
    }
}

impl Shared {
    fn to_send(&self, planned: &Request, mut headers: HeaderMap) -> Result<http::Request<Full<Bytes>>, Error> {
        const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("passerelle/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::HOST, self.base.host.clone());
        headers.insert(header::USER_AGENT, USER_AGENT);
        // Some front ends refuse what may have a body and does not say how long it is.
        if planned.body().is_empty() && matches!(*planned.method(), Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut sent = http::Request::new(Full::new(planned.body().clone()));
        *sent.method_mut() = planned.method().clone();
        *sent.uri_mut() = self.base.uri(planned.uri())?;
        *sent.headers_mut() = headers;
        Ok(sent)
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
        let Shared { client: HttpClient(client), timeout, max_reply, .. } = &*self.0;
        let (timeout, max_reply) = (*timeout, *max_reply);
        let now = Instant::now();
        if now >= times.begun {
            return Box::pin(async { Err(too_late().into()) });
        }
        let ends = times.answered.min(now + timeout);
        // The client's future is begun here, so that nothing but it has to be carried along.
        let begun = self.0.to_send(&request, headers).map(|request| Decompression::new(client).call(request));
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

async fn exchange<B>(
    begun: impl Future<Output = Result<http::Response<B>, legacy::Error>>,
    max_reply: usize,
) -> Result<Response, Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (head, body) = begun.await.map_err(|error| classify(&error))?.into_parts();
    match whole(Limited::new(body, max_reply)).await {
        Ok(body) => Ok(Response::from_parts(head, body)),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::bad_response(format_args!("more than the {max_reply} bytes that are read of a reply")))
        }
        Err(_) => Err(Error::bad_response("a body that broke off or could not be decompressed")),
    }
}

/// Reads a body to its end. One that comes in one piece is not copied. Of any other the pieces are: each of them, however
/// small, holds the whole buffer that it was read into, so that whoever sends byte by byte could fill the memory.
async fn whole<B: Body<Data = Bytes, Error = BoxError>>(body: B) -> Result<Bytes, BoxError> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
    let mut body = pin!(body);
    let (mut first, mut copied) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that is read.
        let Ok(piece) = frame?.into_data() else { continue };
        if first.is_empty() && copied.is_empty() {
            first = piece;
            continue;
        }
        if copied.is_empty() {
            copied.reserve(expected.max(first.len()));
            copied.extend_from_slice(&std::mem::take(&mut first));
        }
        copied.extend_from_slice(&piece);
    }
    Ok(if copied.is_empty() { first } else { copied.freeze() })
}

/// What a failure of the client means. Only a failure to connect is surely a request that was not sent.
fn classify(error: &legacy::Error) -> Error {
    if !error.is_connect() {
        return Error::new(Kind::Interrupted, "the connection to the provider broke before an answer came");
    }
    let why = match tls_failure(error) {
        Some(rustls::Error::InvalidCertificate(why)) => format!(": its certificate was refused ({why})"),
        Some(why) => format!(": it does not speak TLS as expected ({why})"),
        None => String::new(),
    };
    Error::new(Kind::Unreachable, format!("the provider could not be reached{why}; nothing was sent"))
}

/// Why no TLS connection was made, if that was the reason.
fn tls_failure<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an I/O error holds is not its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map_or_else(|| error.source(), |held| Some(held));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        net::{IpAddr, TcpListener},
    };

    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::upstream::Times;

    fn client(allow_insecure: bool) -> HttpClient {
        let connect_timeout = Duration::from_secs(1);
        http_client(ClientSettings { allow_insecure, connect_timeout, loopback_only: true }).expect("a client")
    }

    /// What becomes of a request that may begin until a time.
    async fn sent(client: HttpClient, base: &str, begun: Instant) -> Error {
        let mut wire = Wire::new(client, base, Duration::from_secs(1), 1024).expect("a base");
        let times = Times { begun, answered: Instant::now() + Duration::from_mins(1) };
        let request = Arc::new(http::Request::new(Bytes::new()));
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
        let refused = sent(client(true), &format!("http://127.0.0.1:{port}"), now).await;
        assert_eq!(refused.kind, Kind::Unreachable);
        assert!(!somebody_came(), "nothing was sent");
    }

    #[tokio::test]
    async fn a_name_leads_to_public_addresses_only_unless_more_is_allowed() {
        let resolved = |public_only| Resolver { public_only }.call("localhost".parse().expect("a name"));
        let refused = resolved(true).await.expect_err("a refusal");
        assert_eq!(refused.to_string(), "the name resolves to no public address");
        let found: Vec<IpAddr> = resolved(false).await.expect("addresses").map(|found| found.ip()).collect();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    /// What the configuration refuses is refused here as well: a name may lead elsewhere than when it was checked.
    #[tokio::test]
    async fn nothing_is_connected_to_that_is_private_or_not_encrypted() {
        let (port, somebody_came) = listen();
        let later = Instant::now() + Duration::from_mins(1);
        for base in [format!("https://localhost:{port}"), format!("http://127.0.0.1:{port}")] {
            let refused = sent(client(false), &base, later).await;
            assert_eq!(refused.kind, Kind::Unreachable, "{base}");
            assert!(!somebody_came(), "{base}");
        }
    }

    /// A piece of a reply, in a buffer of which is known how long it is held.
    struct Piece(Arc<[u8]>);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    /// Each holds a buffer of 8 KiB.
    #[tokio::test]
    async fn the_pieces_of_a_reply_are_not_held_until_its_end() {
        const SENT: usize = 100;
        let (buffer, mut most_held) = (Arc::from(&b"x"[..]), 0);
        let pieces = stream::iter(0..SENT).map(|_| {
            most_held = most_held.max(Arc::strong_count(&buffer) - 1);
            Ok::<_, BoxError>(Frame::data(Bytes::from_owner(Piece(Arc::clone(&buffer)))))
        });
        let reply = http::Response::new(StreamBody::new(pieces));
        let read = exchange(ready(Ok(reply)), SENT).await.expect("a reply");
        assert_eq!(*read.body(), "x".repeat(SENT));
        assert_eq!(most_held, 1);
    }

    #[test]
    fn a_base_is_brought_into_one_form_and_what_was_planned_is_not() {
        let below = Uri::from_static("/customers/a%2fb/../%7E?q=%C3%A9+a&q=");
        for (base, host, url) in [
            ("https://api.lomi.africa/v1", "api.lomi.africa", "https://api.lomi.africa/v1"),
            ("HTTPS://API.Lomi.Africa:443/v1//", "api.lomi.africa", "https://api.lomi.africa/v1"),
            ("https://api.lomi.africa", "api.lomi.africa", "https://api.lomi.africa"),
            ("https://api.lomi.africa:8443/", "api.lomi.africa:8443", "https://api.lomi.africa:8443"),
            ("http://[::1]:80/x", "[::1]", "http://[::1]/x"),
            ("https://bücher.example/é", "xn--bcher-kva.example", "https://xn--bcher-kva.example/%C3%A9"),
        ] {
            let settled = Base::new(base).expect("a base");
            assert_eq!(settled.host, host, "{base}");
            let whole = settled.uri(&below).expect("a URI");
            assert_eq!(whole, *format!("{url}{below}"), "{base}");
        }
        assert!(Base::new("/v1").is_err() && Base::new("data:text").is_err());
    }
}
