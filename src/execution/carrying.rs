//! Carried fields: what the gateway keeps of a customer because the provider cannot hold it, in the replies to reads and in
//! the results of writes. Only merchants who may have carried fields come here (`Merchant::carried`).

use std::time::Duration;

use passerelle_providers::{
    engine::{self, carry},
    model::{Command, Created, Error, Kind, LossPolicy, Reply, Written},
};
use tokio::time::Instant;

use super::{ProviderTransport, answer_not_made};
use crate::{
    merchant::{Connection, Merchant},
    store::{Carried, CarriedChanges, StoreError},
};

/// Shows the carried fields of every customer in a reply. It is one query. `home` gives the connection that has answered the
/// customer with this index.
pub(super) async fn show<'c>(
    carried: &Carried,
    merchant: &Merchant,
    home: impl Fn(usize) -> &'c Connection,
    reply: &mut Reply,
) -> Result<(), Error> {
    let ids: Vec<&str> = reply.customers().map(|customer| &*customer.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let kept = carried.parts(&merchant.name, &ids).await.map_err(|error| unavailable(merchant, &error))?;
    let hash = |field, value: &str| carried.hash(&merchant.name, field, value);
    for (index, (customer, parts)) in reply.customers_mut().zip(kept).enumerate() {
        let connection = home(index);
        let at = carry::At { connection: &connection.name, manifest: connection.manifest, hash: &hash };
        carry::show(customer, &parts, &at);
    }
    Ok(())
}

/// Completes the result of a write with what the gateway keeps of its customer, and returns what the write changes about
/// that. The provider has executed the write. So where the store cannot be asked, its outcome is unknown.
pub async fn complete_write(
    carried: &Carried,
    merchant: &Merchant,
    connection: &Connection,
    (command, on_loss): (&Command, LossPolicy),
    result: &mut Result<Written, Error>,
) -> CarriedChanges {
    let (customer, is_match) = match result {
        Ok(Written::Created(Created { customer, existing })) => (customer, *existing),
        Ok(Written::Changed(customer)) => (customer, false),
        Ok(Written::Deleted) => {
            let id = command.customer().map(|id| id.public().to_string());
            return id.map(CarriedChanges::forget).unwrap_or_default();
        }
        Err(_) => return CarriedChanges::default(),
    };
    let parts = match carried.parts(&merchant.name, &[&*customer.id]).await {
        Ok(mut kept) => kept.pop().unwrap_or_default(),
        Err(error) => {
            log_unavailable(merchant, &error);
            *result = Err(answer_not_made());
            return CarriedChanges::default();
        }
    };
    let hash = |field, value: &str| carried.hash(&merchant.name, field, value);
    let at = carry::At { connection: &connection.name, manifest: connection.manifest, hash: &hash };
    let changes = carry::complete_write(command, on_loss, customer, is_match, parts, &at);
    let (public_id, connection) = (customer.id.to_string(), connection.name.clone());
    CarriedChanges { public_id, connection, changes, forgets: false }
}

/// Completes an update of one part of a name with the other part, where the gateway keeps the parts. Otherwise the name
/// would be split where the provider's name splits. This reads the customer.
pub async fn complete_name(
    merchant: &Merchant,
    connection: &Connection,
    command: &mut Command,
    deadline: Duration,
) -> Result<(), Error> {
    let (Some(carried), Some(id)) = (&merchant.carried, command.customer().cloned()) else { return Ok(()) };
    if !carry::needs_name_parts(command) {
        return Ok(());
    }
    let kept = carried.parts(&merchant.name, &[&**id.public()]).await;
    let parts = kept.map_err(|error| unavailable(merchant, &error))?.pop().unwrap_or_default();
    if !carry::has_name_parts(&parts) {
        return Ok(());
    }
    let transport = ProviderTransport::new(connection, command.operation(), Instant::now() + deadline);
    let mut customer = match engine::retrieve(&connection.provider, &transport, &id).await {
        Ok(customer) => customer,
        // The write says so.
        Err(error) if error.kind == Kind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let hash = |field, value: &str| carried.hash(&merchant.name, field, value);
    let at = carry::At { connection: &connection.name, manifest: connection.manifest, hash: &hash };
    carry::show(&mut customer, &parts, &at);
    carry::complete_name(command, &customer);
    Ok(())
}

fn log_unavailable(merchant: &Merchant, error: &StoreError) {
    tracing::error!(merchant = merchant.name, "the carried fields of customers cannot be read: {error}");
}

fn unavailable(merchant: &Merchant, error: &StoreError) -> Error {
    log_unavailable(merchant, error);
    let detail = "the gateway's store, which keeps fields of the merchant's customers, cannot be read now; try again";
    Error::new(Kind::StoreUnavailable, detail)
}
