//! How a request leaves: by the outbound HTTP client, or over the network of a simulation (`tests/simulation`), which is not
//! in the program.

use std::future::Future;
#[cfg(feature = "simulation")]
use std::{fmt, sync::Arc};

#[cfg(feature = "simulation")]
use bytes::Bytes;
#[cfg(feature = "simulation")]
use futures_util::future::BoxFuture;
#[cfg(feature = "simulation")]
use passerelle_providers::model::Error;

use super::{
    failure::{Failure, classify},
    proxy::Proxy,
};

/// A network without sockets.
#[cfg(feature = "simulation")]
pub trait Network: fmt::Debug + Send + Sync {
    /// Sends a request when the future is polled, and returns the answer of the provider.
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Result<http::Response<Bytes>, Error>>;
}

/// How the requests to a provider leave.
pub(super) enum Way {
    /// The outbound HTTP client.
    Client(reqwest::Client),
    /// The network of a simulation.
    #[cfg(feature = "simulation")]
    Simulated(Arc<dyn Network>),
}

/// A request that is sent while this is awaited.
pub(super) enum Sending<F> {
    /// By the outbound HTTP client.
    Client(F),
    /// Over the network of a simulation.
    #[cfg(feature = "simulation")]
    Simulated(BoxFuture<'static, Result<http::Response<Bytes>, Error>>),
}

impl Way {
    /// Makes the future that sends a request. It sends nothing before it is polled.
    pub(super) fn send(
        &self,
        request: reqwest::Request,
    ) -> Sending<impl Future<Output = reqwest::Result<reqwest::Response>> + use<>> {
        match self {
            Self::Client(client) => Sending::Client(client.execute(request)),
            #[cfg(feature = "simulation")]
            Self::Simulated(network) => Sending::Simulated(network.send(plain(&request))),
        }
    }
}

impl<F: Future<Output = reqwest::Result<reqwest::Response>>> Sending<F> {
    /// Waits for the response.
    pub(super) async fn response(self, proxy: Option<&Proxy>) -> Result<reqwest::Response, Failure> {
        match self {
            Self::Client(sending) => sending.await.map_err(|error| classify(&error, proxy)),
            #[cfg(feature = "simulation")]
            Self::Simulated(sending) => Ok(sending.await.map(reqwest::Response::from)?),
        }
    }
}

/// The request without the client that would have sent it.
#[cfg(feature = "simulation")]
fn plain(request: &reqwest::Request) -> http::Request<Bytes> {
    let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice).unwrap_or_default();
    let mut plain = http::Request::new(body);
    *plain.method_mut() = request.method().clone();
    *plain.uri_mut() = request.url().as_str().parse().unwrap_or_default();
    *plain.headers_mut() = request.headers().clone();
    plain
}
