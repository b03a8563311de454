//! Reads of one customer at one side of a switch.

use std::sync::Arc;

use passerelle_providers::{
    engine::{self, Conditions},
    kit,
    model::{Command, Customer, CustomerId, Error, IdPattern, Kind, LossPolicy, Operation, Reply},
    switch::{Finding, FindingCode, Side},
    text::Text,
};
use tokio::time::Instant;

use super::context::{Context, Stalled};
use crate::{
    execution::{self, ProviderTransport},
    merchant::{Connection, Merchant},
    upstream::Sender,
};

/// A read of a customer.
#[derive(Debug)]
pub(super) enum Read {
    /// The connection shows the customer.
    Found(Box<Customer>),
    /// The connection does not find the customer, twice, a visibility lag apart.
    Missing,
    /// The answer is about another customer: the provider has merged the two records.
    Merged,
    /// The answer cannot be read, or the provider refuses to give it.
    Unreadable(Error),
}

impl Read {
    /// The finding of a read at a home that stops a copy.
    pub(super) fn finding(&self, connection: &Connection) -> Finding {
        let name = &connection.name;
        match self {
            Self::Missing => {
                Finding::new(FindingCode::CustomerGone, None, format!("`{name}` does not find the customer any more"))
            }
            Self::Merged => {
                Finding::new(FindingCode::RecordMerged, None, format!("`{name}` answers another customer's record"))
            }
            Self::Unreadable(error) => Finding::refused_by_provider(error),
            Self::Found(_) => Finding::new(FindingCode::ProviderRefused, None, "the customer was read"),
        }
    }
}

/// One side: a connection of the merchant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) context: &'r Context,
    pub(super) merchant: &'r Merchant,
    pub(super) connection: &'r Arc<Connection>,
}

impl Reader<'_> {
    pub(super) fn transport(&self, operation: Operation) -> ProviderTransport<'_> {
        let deadline = Instant::now() + self.context.gateway.load().deadline;
        ProviderTransport::new(self.connection, operation, deadline)
            .knowing(self.context.store.contacts(), self.merchant)
            .sent_by(Sender::Gateway)
    }

    /// Reads the customer as a client sees it, at its home.
    pub(super) async fn as_client(&self, public_id: &str, provider_id: &str) -> Result<Read, Stalled> {
        self.twice(Some(public_id), provider_id).await
    }

    async fn once_as_client(&self, public_id: &str, provider_id: &str) -> Result<Box<Customer>, Error> {
        let public = CustomerId::parse(Text::from(public_id), &IdPattern::PUBLIC)?;
        let id = public.at(Text::from(provider_id), &self.connection.manifest.id)?;
        let conditions = Conditions::canonical(LossPolicy::Drop);
        let planned = execution::plan(self.connection, &Command::Retrieve(id), conditions)?;
        let transport = self.transport(Operation::Retrieve);
        match execution::read(self.merchant, &transport, planned).await? {
            Reply::Customer(customer) => Ok(customer),
            _ => Err(Error::new(Kind::BadResponse, "the provider answered something else than a customer")),
        }
    }

    /// Reads the record of an id at the provider.
    pub(super) async fn record(&self, provider_id: &str) -> Result<Read, Stalled> {
        self.twice(None, provider_id).await
    }

    pub(super) async fn once(&self, provider_id: &str) -> Result<Box<Customer>, Error> {
        let id = CustomerId::parse(Text::from(provider_id), &self.connection.manifest.id)?;
        engine::retrieve(&self.connection.provider, &self.transport(Operation::Retrieve), &id).await
    }

    /// A provider may show a new record late, and a broken answer may be an accident. So both are read again.
    async fn twice(&self, public_id: Option<&str>, provider_id: &str) -> Result<Read, Stalled> {
        let mut last = Read::Missing;
        for attempt in 0..2 {
            if attempt > 0 {
                tokio::time::sleep(self.connection.visibility_lag).await;
            }
            let read = match public_id {
                Some(public_id) => self.once_as_client(public_id, provider_id).await,
                None => self.once(provider_id).await,
            };
            last = match read {
                Ok(customer) => return Ok(Read::Found(customer)),
                Err(error) => match Stalled::of(&error, self.connection) {
                    Some(stalled) => return Err(stalled),
                    None if error.kind == Kind::NotFound => Read::Missing,
                    None if error.kind == Kind::BadResponse && self.is_another(provider_id).await => Read::Merged,
                    None => Read::Unreadable(error),
                },
            };
        }
        tracing::debug!(connection = self.connection.name, "the record {provider_id} was not read: {last:?}");
        Ok(last)
    }

    /// Whether the provider answers the id with the record of another id.
    async fn is_another(&self, provider_id: &str) -> bool {
        let Ok(id) = CustomerId::parse(Text::from(provider_id), &self.connection.manifest.id) else { return false };
        let Ok(plan) = self.connection.provider.plan_retrieve(&id) else { return false };
        match kit::run(&self.transport(Operation::Retrieve), plan).await {
            Ok(customer) => !id.is_at_provider(&customer.id) && customer.did.as_ref() != Some(id.at_provider()),
            Err(_) => false,
        }
    }
}

/// A connection as a side of a copy.
pub(super) fn side(connection: &Connection) -> Side<'_> {
    Side { connection: &connection.name, provider: &connection.provider }
}
