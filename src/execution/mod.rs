//! The one entry point for the commands of a merchant. `http` and `drop_in` call it for reads, `writes` for writes.
//!
//! A command is first resolved: which connection executes it, and which id the customer has there. Then it is planned
//! for that connection, and executed over a transport. At last the ids in the reply become those that the merchant
//! knows. A merchant without a middleware has one active connection and its ids, so nothing has to be translated.
//!
//! [`read`], [`show_list`] and [`write()`] are the only functions that send a command of a client. The requests with which
//! the gateway finds out how a write ended are not commands of a client; `writes/recovery.rs` sends them.

mod at_homes;
mod carrying;
mod finding;
mod known;
mod reader;
mod transport;
mod unknown;
mod walk;

use std::sync::Arc;

use jiff::Timestamp;
use passerelle_providers::{
    engine::{self, Conditions, Planned, carry},
    model::{
        BorrowedCustomer, Command, CustomerFilter, Error, Kind, ListCustomers, LossPolicy, Page, Position, Reply,
        Written,
    },
};

pub use at_homes::{Answered, Start, at_start, read_at_homes};
pub use carrying::{complete_name, complete_write};
pub use reader::Reader;
pub use transport::{Exchange, ProviderTransport};
pub use walk::{Place, Walk};

use crate::merchant::{Connection, Home, Merchant, Middleware};

/// The outcome of a write to which the provider has answered, while the store could not be asked for what the answer needs.
/// It counts as unknown, so that the gateway reconciles the write and makes the answer then. A failure must not be stored as
/// the answer: every request with the same key would get that failure, also when the store works again.
pub fn answer_not_made() -> Error {
    let detail = "the provider has answered, and the gateway's store could not be asked for what the answer needs";
    // No other kind says that the provider may have executed the write.
    Error::new(Kind::Interrupted, detail).after(true, false)
}

/// Decides which connection executes a command, and gives the command the customer's id at that connection. Where the store
/// does not know the customer, connections are asked with `reader`. Without one, nothing is sent.
pub async fn resolve(merchant: &Merchant, command: &mut Command, reader: Option<&Reader<'_>>) -> Result<Home, Error> {
    let Some(middleware) = &merchant.middleware else { return Ok(Home::at(Arc::clone(&merchant.active))) };
    let home = middleware.resolve(merchant, command).await?;
    let Some(homes) = middleware.homes() else { return Ok(home) };
    match (reader, &mut *command) {
        (Some(reader), Command::Create(create)) if create.distinct => {
            Box::pin(finding::match_distinct(reader, homes, create, home)).await
        }
        (None, _) | (_, Command::List(_)) => unknown::at_active(command, home),
        (Some(reader), _) if home.customer.is_none() => {
            let home = Box::pin(unknown::ask(reader, homes, command, home)).await?;
            // A customer who is known is not created: it is read at its home, which another provider can be.
            if let (Some(_), Command::RetrieveOrCreate(id)) = (&home.customer, &*command) {
                *command = Command::Retrieve(id.clone());
            }
            Ok(home)
        }
        (Some(_), _) => Ok(home),
    }
}

/// The connection that serves commands which name no customer.
pub async fn active(merchant: &Merchant) -> Result<Arc<Connection>, Error> {
    let filter = CustomerFilter::default();
    let list = ListCustomers { limit: 1, position: Position::START, filter };
    Ok(resolve(merchant, &mut Command::List(list), None).await?.connection)
}

/// The same for a write, with the reason why it cannot be executed now. The write is refused only after the search for
/// an earlier one with its key, so a connection is given in any case.
pub async fn resolve_write(
    merchant: &Merchant,
    command: &mut Command,
    reader: Option<&Reader<'_>>,
    on_loss: LossPolicy,
) -> (Home, Option<Error>) {
    match resolve(merchant, command, reader).await {
        Ok(home) => {
            let refusal = carry::require(home.connection.manifest, command.operation(), on_loss).err();
            (home, refusal)
        }
        Err(error) => (Home::at(Arc::clone(&merchant.active)), Some(error)),
    }
}

/// Plans a command for a connection's provider. Nothing is sent.
pub fn plan(connection: &Connection, command: &Command, conditions: Conditions) -> Result<Planned, Error> {
    engine::plan(&connection.provider, command, conditions)
}

/// Executes a planned command that only reads, and gives the customers in the reply the ids that the merchant knows. It is no
/// `async fn`, whose future would have room for the plan.
pub fn read<'r>(
    merchant: &'r Merchant,
    transport: &'r ProviderTransport<'_>,
    planned: Planned,
) -> impl Future<Output = Result<Reply, Error>> + Send + use<'r> {
    let executed = planned.execute(transport);
    async move {
        let mut reply = executed.await;
        if let Some(middleware) = &merchant.middleware {
            reply = Box::pin(present(&**middleware, merchant, transport.connection(), reply)).await;
        }
        if let (Some(carried), Ok(reply)) = (&merchant.carried, &mut reply) {
            Box::pin(carrying::show(carried, merchant, |_| transport.connection(), reply)).await?;
        }
        reply
    }
}

/// Executes a planned list of customers, and passes the page to `show` while its text still borrows from the provider's
/// answer. It changes no customer, so it is only for a merchant whose customers pass through unchanged.
pub fn show_list<R>(
    transport: &ProviderTransport<'_>,
    planned: Planned,
    show: impl FnOnce(Page<BorrowedCustomer<'_>>) -> R + Send,
) -> impl Future<Output = Result<R, Error>> + Send {
    planned.show_list(transport, show)
}

/// Sends a planned write once. [`present_written`] gives its result the ids that the merchant knows.
pub async fn write(transport: &ProviderTransport<'_>, planned: Planned) -> Result<Written, Error> {
    planned.write(transport).await
}

async fn present(
    middleware: &dyn Middleware,
    merchant: &Merchant,
    connection: &Connection,
    reply: Result<Reply, Error>,
) -> Result<Reply, Error> {
    match reply {
        Ok(mut reply) => {
            middleware.present(merchant, connection, &mut reply).await?;
            Ok(reply)
        }
        Err(error) => Err(present_error(merchant, connection, error).await),
    }
}

/// Gives the customer in the result of a write the id that the merchant knows. The provider has executed the write by then.
/// So where the store cannot be asked, its outcome is unknown.
///
/// A customer that a create made gets its row here, before the answer is written: `sent_at` is when the create was first
/// sent.
pub async fn present_written(
    merchant: &Merchant,
    connection: &Connection,
    result: Result<Written, Error>,
    sent_at: Timestamp,
) -> Result<Written, Error> {
    let Some(middleware) = &merchant.middleware else { return result };
    match result {
        Ok(Written::Created(mut created)) => {
            let (is_new, customer) = (!created.existing, &mut created.customer);
            match middleware.present_created(merchant, connection, customer, is_new.then_some(sent_at)).await {
                Ok(()) => Ok(Written::Created(created)),
                Err(_) if is_new => Err(answer_not_made()),
                // The create only matched the customer, so nothing was made.
                Err(error) => Err(error),
            }
        }
        Ok(written) => {
            let mut reply = Reply::Written(written);
            let presented = middleware.present(merchant, connection, &mut reply).await.and_then(|()| reply.try_into());
            presented.map_err(|_: Error| answer_not_made())
        }
        Err(error) => Err(present_error(merchant, connection, error).await),
    }
}

/// The ids that the merchant knows of customers, each given by the name of its connection and its id there. An error
/// means that the ids cannot be looked up now.
pub async fn public_ids(merchant: &Merchant, customers: Vec<(String, String)>) -> Result<Vec<String>, Error> {
    match &merchant.middleware {
        None => Ok(customers.into_iter().map(|(_, id)| id).collect()),
        Some(middleware) => middleware.public_ids(merchant, customers).await,
    }
}

/// The same for one customer of which a failure speaks. Where its id cannot be looked up, the failure does not name it.
pub async fn public_id(merchant: &Merchant, connection: &str, id: Option<String>) -> Option<String> {
    match public_ids(merchant, id.map(|id| (connection.to_owned(), id)).into_iter().collect()).await {
        Ok(ids) => ids.into_iter().next(),
        Err(error) => {
            tracing::warn!(merchant.name, connection, "a failure does not name its customer: {error}");
            None
        }
    }
}

async fn present_error(merchant: &Merchant, connection: &Connection, error: Error) -> Error {
    let error = match error.existing.clone() {
        None => error,
        Some(id) => error.with_existing_id(public_id(merchant, &connection.name, Some(id)).await),
    };
    if error.matching.is_empty() {
        return error;
    }
    let matching = error.matching.iter().map(|id| (connection.name.clone(), id.clone())).collect();
    match public_ids(merchant, matching).await {
        Ok(ids) => error.with_matching(ids),
        Err(failure) => {
            tracing::warn!(merchant.name, connection.name, "a failure does not name its customers: {failure}");
            error.with_matching(Vec::new())
        }
    }
}
