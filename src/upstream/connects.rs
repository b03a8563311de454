//! Counts the connections that the outbound client opens. It keeps them for the next requests, so there are far fewer of them than
//! requests. If there are as many, the provider or a proxy closes each one, and every request pays for a handshake.

use std::task::{Context, Poll};

use futures_util::{FutureExt, future::BoxFuture};
use tower::{Layer, Service};

use crate::metrics::{Counter, Metrics};

/// The connections that were opened, and those that could not be. As a layer, it counts those of a connector.
#[derive(Debug, Clone, Default)]
pub struct Connects {
    opened: Counter,
    failed: Counter,
}

impl Connects {
    /// Counts them in the metrics, as connections to providers.
    pub fn of_providers(metrics: &Metrics) -> Self {
        let [opened, failed] = ["opened", "failed"].map(|outcome| metrics.provider_connects(outcome));
        Self { opened, failed }
    }
}

impl<S> Layer<S> for Connects {
    type Service = Counted<S>;

    fn layer(&self, connector: S) -> Counted<S> {
        Counted { connector, connects: self.clone() }
    }
}

/// A connector whose connections are counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    connector: S,
    connects: Connects,
}

impl<S: Service<R>, R> Service<R> for Counted<S>
where
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let Connects { opened, failed } = self.connects.clone();
        let connecting = self.connector.call(target);
        Box::pin(connecting.inspect(move |connected| {
            let counter = if connected.is_ok() { opened } else { failed };
            counter.inc();
        }))
    }
}
