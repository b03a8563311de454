//! Maps the errors of the outbound client to ours. This decides whether a write may have been executed: a request had
//! certainly no effect only if the client failed to connect, or if the provider says over HTTP/2 that it did not process
//! the request. Every other failure is `Interrupted`.

use std::{error::Error as StdError, io, iter::successors};

use passerelle_providers::model::{Error, Kind};
use rustix::io::Errno;

use super::{gate::Reach, proxy::Proxy, resolve::Unresolved};

/// The end of a message: the proxy refuses the credentials. `docs/operating.md` quotes it.
const CREDENTIALS: &str =
    ": the proxy requires a user and a password, or refuses the given ones; check the credentials in `outbound.proxy`";

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// What it has shown about the provider's host.
    pub(super) reach: Reach,
}

/// Of an attempt that has connected, or whose time was over.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reach = match error.kind {
            Kind::BadResponse | Kind::Overloaded => Reach::Reached,
            // Only the network of a simulation makes this error without saying more.
            Kind::Unreachable => Reach::NotReached,
            // The connection may have been open before, and the host may be down since.
            _ => Reach::Unknown,
        };
        Self { error, reach }
    }
}

/// Classifies an error of the client that came before any answer. The client's message contains the URL, so the new
/// error repeats nothing of it.
pub(super) fn classify(error: &reqwest::Error, proxy: Option<&Proxy>) -> Failure {
    if was_refused_by_protocol(error) {
        let message =
            "the provider refused the request, or closed the connection, and did not process it; nothing was done";
        return Failure { error: Error::new(Kind::Unreachable, message), reach: Reach::Reached };
    }
    if is_no_http(error) {
        return Error::bad_response("a head that is not HTTP, or is too large").into();
    }
    if !error.is_connect() {
        return Error::new(Kind::Interrupted, "the connection to the provider broke before an answer came").into();
    }
    let reach = if lacks_resources(error) { Reach::Unknown } else { Reach::NotReached };
    let error = match proxy {
        None => unreachable("", &connect_failure(error)),
        Some(proxy) => unreachable(&through(proxy), &proxy_failure(error)),
    };
    Failure { error, reach }
}

/// The error for a proxy that answered an unencrypted request itself, because it refuses the credentials.
pub(super) fn proxy_unauthorized(proxy: &Proxy) -> Failure {
    Failure { error: unreachable(&through(proxy), CREDENTIALS), reach: Reach::NotReached }
}

/// Whether the gateway itself could not connect, because it has too many files open or too little of something else.
fn lacks_resources(error: &(dyn StdError + 'static)) -> bool {
    const LACKS: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    let errors = causes(error).filter_map(|error| error.downcast_ref::<io::Error>());
    errors.filter_map(Errno::from_io_error).any(|errno| LACKS.contains(&errno))
}

fn unreachable(through: &str, why: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the provider could not be reached{through}{why}; nothing was sent"))
}

fn through(proxy: &Proxy) -> String {
    format!(" through the proxy {}", proxy.name())
}

/// An error, its cause, the cause of that, and so on.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    successors(Some(error), |&error| {
        // `source` of an I/O error skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped))
    })
}

/// Whether the provider said over HTTP/2 that it did not process the request. Either it closed the connection with
/// GOAWAY, and the number of the request's stream is above the last stream that it processed; or it reset the stream with
/// REFUSED_STREAM.
fn was_refused_by_protocol(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|error| error.downcast_ref::<h2::Error>()).any(|error| {
        let closed = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (closed || refused)
    })
}

/// Whether the head of the answer cannot be parsed, or is larger than the client accepts.
fn is_no_http(error: &reqwest::Error) -> bool {
    !error.is_connect()
        && causes(error).filter_map(|error| error.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse)
}

/// Why the TLS handshake failed. Empty if something else failed.
fn tls_failure(error: &reqwest::Error) -> String {
    match causes(error).find_map(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(why)) => format!(": its certificate was refused ({why})"),
        Some(why) => format!(": it does not speak TLS as expected ({why})"),
        None => String::new(),
    }
}

/// Why there is no connection to the provider. Empty if that is not known.
fn connect_failure(error: &reqwest::Error) -> String {
    let tls = tls_failure(error);
    if !tls.is_empty() {
        return tls;
    }
    if let Some(unresolved) = causes(error).find_map(|error| error.downcast_ref::<Unresolved>()) {
        return format!(": {unresolved}; check the host in `base_url`");
    }
    if error.is_timeout() {
        return ": no connection was made within `outbound.connect_timeout`".to_owned();
    }
    match causes(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            ": it refused the connection; check the port in `base_url`".to_owned()
        }
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            ": there is no route to it from this machine".to_owned()
        }
        Some(io::ErrorKind::ConnectionReset) => ": it closed the connection before the request".to_owned(),
        _ => String::new(),
    }
}

/// What failed between the gateway, the proxy and the provider. The client's errors for the protocols of proxies have no
/// public types, so this compares their texts. `tests/proxies` checks those texts with real proxies.
fn proxy_failure(error: &reqwest::Error) -> String {
    for text in causes(error).map(ToString::to_string) {
        let Some(why) = text.strip_prefix("tunnel error: ").or_else(|| text.strip_prefix("SOCKS error: ")) else {
            continue;
        };
        return match why {
            "failed to create underlying connection" => unreachable_proxy(error),
            "proxy authorization required"
            | "credentials not accepted"
            | "server does not support user/pass authentication"
            | "server implements authentication incorrectly" => CREDENTIALS.to_owned(),
            "unsuccessful" => {
                ": the proxy refused or failed to connect to it; check that the proxy takes the credentials \
                               in `outbound.proxy`, allows this host and port, and can resolve and reach it"
                    .to_owned()
            }
            why => format!(
                ": the proxy refused or failed to connect to it ({why}); check that the proxy allows this host and \
                 port, can resolve and reach it, and speaks the protocol that `outbound.proxy` names"
            ),
        };
    }
    let tls = tls_failure(error);
    match (tls.is_empty(), error.is_timeout()) {
        (false, _) => tls,
        (true, true) => ": neither the proxy nor, behind it, the provider answered within `outbound.connect_timeout`; \
                         check that the proxy runs, and can reach the provider"
            .to_owned(),
        (true, false) => unreachable_proxy(error),
    }
}

fn unreachable_proxy(error: &reqwest::Error) -> String {
    let tls = tls_failure(error).replace(": ", "; ");
    format!(": the proxy does not answer{tls}; check that it runs, and its address in `outbound.proxy`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_has_too_many_files_open_says_nothing_about_the_host() {
        let without = |errno: Errno| Unresolved::NoAddress(io::Error::from_raw_os_error(errno.raw_os_error()));
        for lacks in [Errno::MFILE, Errno::ADDRNOTAVAIL] {
            assert!(lacks_resources(&without(lacks)), "{lacks}");
            assert!(lacks_resources(&io::Error::other(without(lacks))), "{lacks}, inside another error");
        }
        assert!(!lacks_resources(&without(Errno::CONNREFUSED)));
        assert!(!lacks_resources(&Unresolved::NoPublicAddress));
    }
}
