//! Limits how many requests are in flight and how much memory their replies need, so that one provider does not use up the
//! process: each connection, each host of a provider and the process have a number of places, and a host has at most half
//! of the memory for replies. [`Shared`] outlives a reload of the configuration, and so does what requests hold; a reload
//! changes only the limits.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use passerelle_providers::model::{Error, Kind};
use tokio::sync::{Semaphore, mpsc};
use url::Url;

use super::{
    budget::{Budget, Share},
    gate::{Breakers, Host},
    recent::Recent,
};
use crate::{
    metrics::{Counter, Metrics, number},
    traces::{Message, SpanQueue},
};

/// What the connections of a process share. All clones are one.
#[derive(Clone, Default)]
pub struct Shared(Arc<Parts>);

struct Parts {
    process: Arc<Held>,
    others: Mutex<HashMap<Owner, Arc<Held>>>,
    breakers: Mutex<HashMap<Account, Arc<Breakers>>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    decoders: Semaphore,
    metrics: Metrics,
    spans: SpanQueue,
    /// The other end of `spans`, until the exporter takes it.
    ended_spans: Mutex<Option<mpsc::Receiver<Message>>>,
    #[cfg(feature = "simulation")]
    network: Option<Arc<dyn super::Network>>,
}

impl Default for Parts {
    fn default() -> Self {
        // The other half of the cores answers everybody else meanwhile.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let metrics = Metrics::default();
        let (spans, ended_spans) = SpanQueue::new(metrics.spans("dropped"));
        Self {
            process: Arc::new(Held { replies: Budget::whole(), ..Held::default() }),
            others: Mutex::default(),
            breakers: Mutex::default(),
            hosts: Mutex::default(),
            decoders: Semaphore::new((cores / 2).max(1)),
            metrics,
            spans,
            ended_spans: Mutex::new(Some(ended_spans)),
            #[cfg(feature = "simulation")]
            network: None,
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("process", &self.0.process).finish_non_exhaustive()
    }
}

/// Who has a number of places and a part of the memory.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// The scheme, the host and the port of a base URL.
    Host(String),
    /// A merchant and its connection.
    Connection(String, String),
}

/// A digest of a connection, of its base URL and of its credentials. Where one of them changes, the breakers begin anew.
pub(super) type Account = [u8; 32];

/// What requests hold of an owner.
#[derive(Debug)]
pub(super) struct Held {
    /// The number of requests in flight.
    in_flight: AtomicUsize,
    /// The memory for their replies.
    pub(super) replies: Budget,
    /// The requests of a connection.
    sent: Recent,
}

impl Default for Held {
    fn default() -> Self {
        Self { in_flight: AtomicUsize::default(), replies: Budget::half(), sent: Recent::default() }
    }
}

/// The names of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionName<'n> {
    /// The merchant.
    pub merchant: &'n str,
    /// The connection.
    pub connection: &'n str,
}

/// How many requests may be in flight.
#[derive(Debug, Clone, Copy)]
pub struct MaxInFlight {
    /// Of a connection.
    pub per_connection: usize,
    /// At a provider's host.
    pub per_host: usize,
    /// In total.
    pub total: usize,
}

impl Owner {
    fn host(base_url: &str) -> Self {
        Self::Host(origin(base_url))
    }
}

/// The scheme, the host and the port of a base URL.
fn origin(base_url: &str) -> String {
    let origin = Url::parse(base_url).map(|url| url.origin().ascii_serialization());
    origin.unwrap_or_else(|_| base_url.to_owned())
}

/// The memory for the replies of one host.
#[derive(Debug)]
pub(super) struct Replies([Arc<Held>; 2]);

impl Replies {
    /// The share of a new reply.
    pub(super) fn share(&self, writes: bool) -> Share<'_> {
        Share::new([&self.0[0].replies, &self.0[1].replies], writes)
    }
}

impl Shared {
    /// The places for the requests of a connection.
    pub(super) fn places(&self, name: ConnectionName<'_>, base_url: &str, limits: MaxInFlight) -> Places {
        let connection = Owner::Connection(name.merchant.to_owned(), name.connection.to_owned());
        let place = |of, word, limit, held| {
            let refused = self.metrics().places_refused(name.merchant, name.connection, word);
            Place { of, limit, held, refused }
        };
        Places([
            place("this connection", "connection", limits.per_connection, self.held(connection)),
            place("this provider's host", "host", limits.per_host, self.held(Owner::host(base_url))),
            place("the gateway", "gateway", limits.total, Arc::clone(&self.0.process)),
        ])
    }

    /// The memory for the replies of a host: its own, and that of the process.
    pub(super) fn replies(&self, base_url: &str) -> Replies {
        Replies([self.held(Owner::host(base_url)), Arc::clone(&self.0.process)])
    }

    fn held(&self, owner: Owner) -> Arc<Held> {
        let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        // Only the map still knows the places of a connection that an earlier reload removed.
        others.retain(|_, held| Arc::strong_count(held) > 1);
        Arc::clone(others.entry(owner).or_default())
    }

    /// The breakers of a connection to this base URL.
    pub(super) fn breakers(
        &self,
        name: ConnectionName<'_>,
        provider: &'static str,
        base_url: &str,
        account: Account,
    ) -> Arc<Breakers> {
        let mut breakers = self.0.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.retain(|_, breakers| Arc::strong_count(breakers) > 1);
        let new = || Arc::new(Breakers::new(name, provider, self.host(base_url), self.metrics()));
        Arc::clone(breakers.entry(account).or_insert_with(new))
    }

    /// The breaker of a host.
    fn host(&self, base_url: &str) -> Arc<Host> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|_, host| Arc::strong_count(host) > 1);
        let name = origin(base_url);
        Arc::clone(hosts.entry(name.clone()).or_insert_with(|| Arc::new(Host::new(name))))
    }

    /// What the connections of a simulated process share: they send over this network.
    #[cfg(feature = "simulation")]
    pub fn over(network: Arc<dyn super::Network>) -> Self {
        Self(Arc::new(Parts { network: Some(network), ..Parts::default() }))
    }

    /// The network of a simulated process.
    #[cfg(feature = "simulation")]
    pub(super) fn network(&self) -> Option<Arc<dyn super::Network>> {
        self.0.network.clone()
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The queue for the spans of sampled requests.
    pub fn spans(&self) -> &SpanQueue {
        &self.0.spans
    }

    /// The end of that queue from which the spans are sent. `None` if it was taken before.
    pub fn take_ended_spans(&self) -> Option<mpsc::Receiver<Message>> {
        self.0.ended_spans.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Reads how many places are in use.
    pub fn sample(&self) {
        let metrics = self.metrics();
        let in_use = |held: &Held| number(held.in_flight.load(Ordering::Relaxed));
        metrics.places_of_gateway().set(in_use(&self.0.process));
        for (owner, held) in &*self.0.others.lock().unwrap_or_else(PoisonError::into_inner) {
            match owner {
                Owner::Host(host) => metrics.places_of_host(host).set(in_use(held)),
                Owner::Connection(merchant, connection) => {
                    metrics.places_of_connection(merchant, connection).set(in_use(held))
                }
            };
        }
    }

    /// Runs work on a thread that serves no requests. Only a part of the cores does such work at once.
    pub(super) async fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        let _permit = self.0.decoders.acquire().await;
        if let Err(failed) = tokio::task::spawn_blocking(work).await
            && let Ok(panic) = failed.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The places of one connection, of its host, and of the process.
#[derive(Debug)]
pub(super) struct Places([Place; 3]);

#[derive(Debug)]
struct Place {
    of: &'static str,
    limit: usize,
    held: Arc<Held>,
    refused: Counter,
}

impl Places {
    /// Takes one place of each. The error says whose are all taken.
    pub(super) fn take(&self) -> Result<[Taken<'_>; 3], Error> {
        let [connection, host, process] = &self.0;
        Ok([connection.take()?, host.take()?, process.take()?])
    }

    /// How many requests the connection has sent lately.
    pub(super) fn sent(&self) -> &Recent {
        &self.0[0].held.sent
    }
}

impl Place {
    fn take(&self) -> Result<Taken<'_>, Error> {
        let count = &self.held.in_flight;
        let taken =
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < self.limit).then_some(count + 1));
        taken.map(|_| Taken(count)).map_err(|_| {
            self.refused.inc();
            let message = format!("too many requests of {} to providers are in flight; nothing was sent", self.of);
            Error::new(Kind::Overloaded, message).with_retry_after(Some(1))
        })
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'p>(&'p AtomicUsize);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MaxInFlight = MaxInFlight { per_connection: 2, per_host: 3, total: 4 };

    fn places(shared: &Shared, connection: &str, base_url: &str) -> Places {
        shared.places(ConnectionName { merchant: "acme", connection }, base_url, LIMITS)
    }

    #[test]
    fn a_connection_a_host_and_the_process_have_their_own_limits() {
        let shared = Shared::default();
        let one = places(&shared, "one", "https://a.example/v1");
        let two = places(&shared, "two", "https://A.example:443/v2");
        let other = places(&shared, "three", "https://b.example");
        let first = (one.take().expect("a place"), one.take().expect("a place"));
        assert!(one.take().is_err_and(|error| error.to_string().contains("of this connection")));
        let second = two.take().expect("a place");
        assert!(two.take().is_err_and(|error| error.to_string().contains("of this provider's host")));
        let third = other.take().expect("another host has places");
        assert!(other.take().is_err_and(|error| error.to_string().contains("of the gateway")));
        drop((first, second, third));
        assert!(other.take().is_ok() && one.take().is_ok(), "a refused request keeps no place");
    }

    #[test]
    fn places_in_use_and_refusals_are_counted() {
        let shared = Shared::default();
        let one = places(&shared, "one", "https://a.example/v1");
        let _taken = (one.take().expect("a place"), one.take().expect("a place"));
        assert!(one.take().is_err());
        shared.sample();
        let text = shared.metrics().text();
        for line in [
            "passerelle_places_refused_total{merchant=\"acme\",connection=\"one\",places=\"connection\"} 1",
            "passerelle_places_refused_total{merchant=\"acme\",connection=\"one\",places=\"host\"} 0",
            "passerelle_connection_places_in_use{merchant=\"acme\",connection=\"one\"} 2.0",
            "passerelle_host_places_in_use{host=\"https://a.example\"} 2.0",
            "passerelle_gateway_places_in_use 2.0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }

    #[test]
    fn places_that_are_taken_stay_taken_over_a_reload() {
        let shared = Shared::default();
        let before = places(&shared, "one", "https://a.example");
        let taken = (before.take().expect("a place"), before.take().expect("a place"));
        let after = places(&shared, "one", "https://b.example");
        assert!(after.take().is_err());
        drop(taken);
        drop(before);
        assert!(after.take().is_ok());
    }
}
