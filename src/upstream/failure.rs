//! What a failure of the client means. Only a failure to connect, and a refusal before anything was done, are surely
//! requests that had no effect.

use std::{error::Error as StdError, io, iter::successors};

use passerelle_providers::model::{Error, Kind};

use super::proxy::Proxy;

/// A proxy that does not take what it was given, with what the operator can do.
const CREDENTIALS: &str =
    ": the proxy wants a user and a password, or refuses those it was given; check the credentials in `outbound.proxy`";

/// A failure of the client before there was an answer. The client's own text names the URL, so nothing of it is kept.
pub(super) fn classify(error: &reqwest::Error, proxy: Option<&Proxy>) -> Error {
    if was_refused_by_protocol(error) {
        let why = "the provider closed the connection before it took the request; nothing was done";
        return Error::new(Kind::Unreachable, why);
    }
    if !error.is_connect() {
        return Error::new(Kind::Interrupted, "the connection to the provider broke before an answer came");
    }
    match proxy {
        None => unreachable("", &tls_failure(error)),
        Some(proxy) => unreachable(&through(proxy), &proxy_failure(error)),
    }
}

/// A proxy that answers in the provider's place, because the request is not encrypted, and refuses to pass it on.
pub(super) fn unauthorized(proxy: &Proxy) -> Error {
    unreachable(&through(proxy), CREDENTIALS)
}

fn unreachable(through: &str, why: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the provider could not be reached{through}{why}; nothing was sent"))
}

fn through(proxy: &Proxy) -> String {
    format!(" through the proxy {}", proxy.name())
}

/// An error and what caused it.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    successors(Some(error), |&error| {
        // What an I/O error holds is not its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map_or_else(|| error.source(), |held| Some(held))
    })
}

/// HTTP/2 says of a request that it was not begun: its number is above the last one that the provider took before it
/// closed the connection, or its stream was refused.
fn was_refused_by_protocol(error: &reqwest::Error) -> bool {
    causes(error).filter_map(|error| error.downcast_ref::<h2::Error>()).any(|error| {
        let left = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (left || refused)
    })
}

/// Why no TLS connection was made, if that was the reason.
fn tls_failure(error: &reqwest::Error) -> String {
    match causes(error).find_map(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(why)) => format!(": its certificate was refused ({why})"),
        Some(why) => format!(": it does not speak TLS as expected ({why})"),
        None => String::new(),
    }
}

/// What went wrong between here, the proxy and the provider. The errors of the proxies' protocols have no public
/// types, so their texts are read; tests with real proxies hold them.
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
