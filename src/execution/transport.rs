//! The transport that connects an operation to the HTTP client of its connection. One transport serves one operation,
//! which may send several requests.
//!
//! What must hold: no request is sent or awaited after the deadline of the operation, and a request that writes is not
//! sent after its lease. See `store/lease.rs`.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use passerelle_providers::{
    kit::{KnownCustomers, LARGE_REPLY, Transport, render},
    model::{Error, Operation, Request, Response},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

use super::known::KnownAtConnection;
use crate::{
    merchant::{Connection, Merchant},
    metrics::request::is_served_by,
    store::{Contacts, Lease},
    upstream::{Permit, Sender, Times},
};

/// One answer of the provider, for the client that wants to see it.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    status: u16,
    headers: std::collections::BTreeMap<String, String>,
    body: Box<RawValue>,
}

/// The headers of a provider's answer that are shown. The others have no use for the client.
const SHOWN_HEADERS: &[&str] = &[
    "content-type",
    "date",
    "retry-after",
    "x-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// The transport to a connection's provider, for one operation.
#[derive(Debug)]
pub struct ProviderTransport<'c> {
    connection: &'c Connection,
    operation: Operation,
    deadline: Instant,
    lease: Option<Lease>,
    permit: Option<Permit<'c>>,
    sender: Sender,
    exchanges: Option<Mutex<Vec<Exchange>>>,
    known: Option<KnownAtConnection<'c>>,
    received: AtomicUsize,
}

impl<'c> ProviderTransport<'c> {
    /// A transport for reads, with a deadline for everything that it sends and receives.
    pub fn new(connection: &'c Connection, operation: Operation, deadline: Instant) -> Self {
        is_served_by(connection.upstream.series());
        Self {
            connection,
            operation,
            deadline,
            lease: None,
            permit: None,
            sender: Sender::Client,
            exchanges: None,
            known: None,
            received: AtomicUsize::new(0),
        }
    }

    /// The same transport, which keeps the provider's answers if `shows` is set.
    #[must_use]
    pub fn showing_exchanges(self, shows: bool) -> Self {
        Self { exchanges: shows.then(Mutex::default), ..self }
    }

    /// The same transport, for which look-ups also find the customers of a merchant that the store knows. It makes no
    /// difference where the provider's lists show every customer.
    #[must_use]
    pub fn knowing(self, contacts: &'c Contacts, merchant: &'c Merchant) -> Self {
        Self { known: KnownAtConnection::of(contacts, merchant, self.connection), ..self }
    }

    /// The connection.
    pub const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// The operation that it serves.
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The same transport for a write: a request that writes is sent only while the lease lasts.
    #[must_use]
    pub fn under(self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// The same transport for a command that has its place at the provider already. Without a permit, every request
    /// asks for a place of its own.
    #[must_use]
    pub fn admitted(self, permit: Option<Permit<'c>>) -> Self {
        Self { permit, ..self }
    }

    /// The same transport for requests of another sender. Where the rate is limited, clients go first.
    #[must_use]
    pub fn sent_by(self, sender: Sender) -> Self {
        Self { sender, ..self }
    }

    /// Until when a request may be sent, and until when its answer is awaited.
    fn times(&self, writes: bool) -> Times {
        let lease = self.lease.as_ref().filter(|_| writes);
        let send_until = lease.map_or(self.deadline, |lease| lease.send_until().min(self.deadline));
        Times { send_until, answer_until: self.deadline }
    }

    /// The size of the largest answer that arrived, in bytes.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// Takes the answers that were kept. `None` if none are to be shown.
    pub fn exchanges(&self) -> Option<Vec<Exchange>> {
        let mut exchanges = self.exchanges.as_ref()?.lock().ok()?;
        Some(std::mem::take(&mut exchanges))
    }

    /// An answer without secrets and with its shown headers.
    fn exchange(&self, response: &Response) -> Exchange {
        let text = match response.body().len() {
            0..=LARGE_REPLY => String::from_utf8_lossy(response.body()).into_owned(),
            // A large refusal is not read to its end.
            _ => format!("a body of more than {LARGE_REPLY} bytes, which is too large to be shown"),
        };
        let text = self.connection.redacted(text);
        let body = serde_json::from_str::<Box<RawValue>>(&text).or_else(|_| to_raw_value(&text));
        let headers = render::text_headers(response.headers());
        Exchange {
            status: response.status().as_u16(),
            headers: headers.filter(|(name, _)| SHOWN_HEADERS.contains(&name.as_str())).collect(),
            body: body.unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }
}

#[async_trait]
impl Transport for ProviderTransport<'_> {
    async fn send(&self, request: Arc<Request>, writes: bool) -> Result<Response, Error> {
        let (upstream, times) = (&self.connection.upstream, self.times(writes));
        let response = match &self.permit {
            Some(permit) => upstream.send_admitted(permit, request, writes, times).await?,
            None => upstream.send(self.sender, self.operation, request, writes, times).await?,
        };
        tracing::debug!(
            operation = self.operation.name(),
            merchant = self.connection.merchant,
            provider = self.connection.manifest.name,
            connection = self.connection.name,
            status = response.status().as_u16(),
            "the provider answered"
        );
        self.received.fetch_max(response.body().len(), Ordering::Relaxed);
        if let Some(exchanges) = &self.exchanges
            && let Ok(mut exchanges) = exchanges.lock()
        {
            exchanges.push(self.exchange(&response));
        }
        Ok(response)
    }

    async fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        self.connection.upstream.compute(work).await;
    }

    fn known_customers(&self) -> Option<&dyn KnownCustomers> {
        self.known.as_ref().map(|known| known as &dyn KnownCustomers)
    }
}
