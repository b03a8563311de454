//! The reads of one request. A merchant who switches providers has customers at two connections, so one request can need
//! several commands at both.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use passerelle_providers::{
    engine::{Conditions, Language},
    model::{Command, Customer, CustomerId, Error, Kind, Operation, Reply},
};
use tokio::time::Instant;

use super::{Exchange, ProviderTransport, plan};
use crate::{
    merchant::{Connection, Merchant},
    store::Contacts,
};

/// Executes the reads of one request of a client.
#[derive(Debug)]
pub struct Reader<'r> {
    /// The merchant.
    pub merchant: &'r Merchant,
    contacts: &'r Contacts,
    conditions: Conditions,
    /// Until when everything is sent and received.
    until: Instant,
    exchanges: Option<Mutex<Vec<Exchange>>>,
    received: AtomicUsize,
    failed_at: Mutex<Option<Arc<Connection>>>,
}

impl<'r> Reader<'r> {
    /// A reader with a deadline.
    pub const fn new(merchant: &'r Merchant, contacts: &'r Contacts, conditions: Conditions, until: Instant) -> Self {
        Self {
            merchant,
            contacts,
            conditions,
            until,
            exchanges: None,
            received: AtomicUsize::new(0),
            failed_at: Mutex::new(None),
        }
    }

    /// The same reader, which keeps the providers' answers if `shows` is set.
    #[must_use]
    pub fn showing_exchanges(self, shows: bool) -> Self {
        Self { exchanges: shows.then(Mutex::default), ..self }
    }

    /// Executes a command that only reads, at a connection. The ids in it and in its reply are those of the connection.
    pub(super) async fn run(&self, connection: &Arc<Connection>, command: &Command) -> Result<Reply, Error> {
        let result = self.execute(connection, command).await;
        // A look-up by id that finds no customer is an answer.
        if result.as_ref().is_err_and(|error| error.kind != Kind::NotFound) {
            *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(connection));
        }
        result
    }

    async fn execute(&self, connection: &Connection, command: &Command) -> Result<Reply, Error> {
        let planned = plan(connection, command, self.conditions)?;
        let transport = ProviderTransport::new(connection, command.operation(), self.until)
            .showing_exchanges(self.exchanges.is_some())
            .knowing(self.contacts, self.merchant);
        let reply = planned.execute(&transport).await;
        self.received.fetch_max(transport.received(), Ordering::Relaxed);
        if let (Some(all), Some(new)) = (&self.exchanges, transport.exchanges()) {
            all.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
        }
        reply
    }

    /// Retrieves a customer by its id at a connection. `None`: the provider has no such customer.
    pub(super) async fn retrieve(
        &self,
        connection: &Arc<Connection>,
        id: &CustomerId,
    ) -> Result<Option<Customer>, Error> {
        connection.manifest.require(Operation::Retrieve)?;
        match self.run(connection, &Command::Retrieve(id.clone())).await {
            Ok(Reply::Customer(customer)) => Ok(Some(*customer)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Ok(_) => Err(Error::bad_response("the reply of another command")),
            Err(error) => Err(error),
        }
    }

    /// Whether the client chooses pages by their numbers or offsets, as clients of imitated providers do. Such pages are those of
    /// one list.
    pub(super) fn is_numbered(&self) -> bool {
        self.conditions.language == Language::Imitated
    }

    /// The connection at which a command failed last, if one did.
    pub fn failed_at(&self) -> Option<Arc<Connection>> {
        self.failed_at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The size of the largest answer that arrived, in bytes.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// Takes the answers that were kept. `None` if none are to be shown.
    pub fn exchanges(&self) -> Option<Vec<Exchange>> {
        let exchanges = self.exchanges.as_ref()?;
        Some(std::mem::take(&mut *exchanges.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
