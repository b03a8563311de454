//! What the planner and the passes read from a provider.

use std::sync::Arc;

use passerelle_providers::{
    engine::Conditions,
    model::{
        Command, Customer, CustomerFilter, CustomerId, Error, IdPattern, Kind, ListCustomers, Lookup, LossPolicy,
        Operation, Page, Position, Reply,
    },
    text::Text,
};
use tokio::time::Instant;

use super::{
    context::{Context, Stalled},
    progress::Place,
    view::BlockedCode,
};
use crate::{
    execution::{self, ProviderTransport},
    merchant::{Connection, Merchant},
    store::ShownRecord,
    upstream::Sender,
};

/// The most customers of one page of a walk.
const PAGE: u16 = 100;

/// A page of a connection's list. The page begins at `place`, or at the beginning of the list.
pub(super) async fn page(
    context: &Context,
    connection: &Connection,
    place: Option<&Place>,
) -> Result<Page<Customer>, Stalled> {
    let position = place.map_or(Position::START, Place::position);
    let limit = PAGE.min(connection.manifest.paging.max_limit);
    let command = Command::List(ListCustomers { limit, position, filter: CustomerFilter::default() });
    match execute(context, connection, &command).await.map_err(|error| stalled(&error, connection))? {
        Reply::Customers(page) => Ok(page),
        _ => Err(stalled(&Error::new(Kind::BadResponse, "the list is not a page of customers"), connection)),
    }
}

/// A customer by its id there. `None`: the connection does not know it.
pub(super) async fn customer(
    context: &Context,
    connection: &Connection,
    id: &str,
) -> Result<Option<Customer>, Stalled> {
    let id = CustomerId::parse(Text::from(id), &IdPattern::PUBLIC)
        .and_then(|public| public.at(Text::from(id), &connection.manifest.id));
    // An id that this provider never gives is one that it does not know.
    let Ok(id) = id else { return Ok(None) };
    match execute(context, connection, &Command::Retrieve(id)).await {
        Ok(Reply::Customer(customer)) => Ok(Some(*customer)),
        Ok(_) => Err(stalled(&Error::new(Kind::BadResponse, "the answer is not a customer"), connection)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(stalled(&error, connection)),
    }
}

async fn execute(context: &Context, connection: &Connection, command: &Command) -> Result<Reply, Error> {
    let deadline = Instant::now() + context.gateway.load().deadline;
    let operation = match command {
        Command::Retrieve(_) => Operation::Retrieve,
        _ => Operation::List,
    };
    let transport = ProviderTransport::new(connection, operation, deadline).sent_by(Sender::Gateway);
    execution::plan(connection, command, Conditions::canonical(LossPolicy::Drop))?.execute(&transport).await
}

/// The stall that a failure of a whole walk means.
fn stalled(error: &Error, connection: &Connection) -> Stalled {
    Stalled::of(error, connection).unwrap_or_else(|| Stalled {
        code: BlockedCode::ProviderUnavailable,
        detail: format!("connection `{}`: {error}", connection.name),
        retry_after: None,
    })
}

/// The merchant and both connections of a switch, as they are configured now.
pub(super) type Configured = (Arc<Merchant>, Arc<Connection>);

/// A connection of a switch.
pub(super) fn configured(context: &Context, merchant: &str, connection: &str) -> Result<Configured, Stalled> {
    let gateway = context.gateway.load();
    let found = gateway.connection(merchant, connection);
    let (merchant, connection) = found.ok_or_else(|| Stalled::not_configured(connection))?;
    Ok((Arc::clone(merchant), Arc::clone(connection)))
}

/// The values by which a customer is found, in the form in which equal ones are equal texts.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
}

impl Contacts {
    pub(super) fn of(customer: &Customer) -> Self {
        let form = |lookup: Lookup| Some(lookup.comparable().into_owned()).filter(|form| !form.is_empty());
        Self {
            email: customer.email.clone().and_then(|email| form(Lookup::Email(email))),
            phone: customer.phone.clone().and_then(|phone| form(Lookup::Phone(phone))),
        }
    }

    /// The record to adopt.
    pub(super) fn record<'r>(&'r self, customer: &'r Customer) -> ShownRecord<'r> {
        ShownRecord {
            provider_id: customer.id_at_provider(),
            email: self.email.as_deref(),
            phone: self.phone.as_deref(),
        }
    }
}
