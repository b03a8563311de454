//! Receipts: what the erasure of a customer has reached at each connection that holds it (R31). The end of the deletion begins
//! the erasures at the other connections; `switch::erasing` tries them.

use passerelle_providers::{
    api::view::Receipt,
    model::{Error, Operation, Written},
};

use super::{Attempt, Writes};
use crate::{
    execution,
    merchant::{Connection, Merchant},
    store::{Erased, State, StoreError},
};

const DELETED: &str = "deleted";
const PENDING: &str = "pending";
const CANNOT: &str = "cannot";
/// The reason where the configuration has the connection no more.
pub const CONNECTION_REMOVED: &str = "connection_removed";

impl Writes {
    /// The receipts of a deletion that happened. None for a merchant who never began to switch providers. Where the store
    /// cannot be asked for them, the outcome of the deletion is unknown, because the answer must have them.
    pub(super) async fn receipts_of(&self, attempt: &Attempt<'_>, result: &mut Result<Written, Error>) -> Vec<Receipt> {
        let (merchant, home) = (attempt.merchant, attempt.connection);
        let is_deletion = matches!(result, Ok(Written::Deleted)) && !attempt.is_copy;
        let (true, Some(id), Some(_)) = (is_deletion, attempt.command.customer(), merchant.homes()) else {
            return Vec::new();
        };
        let own = Receipt { outcome: DELETED, ..receipt(merchant, &home.name) };
        match self.receipts_elsewhere(merchant, home, id.public()).await {
            Ok(others) => [own].into_iter().chain(others).collect(),
            Err(error) => {
                tracing::error!(
                    merchant = merchant.name,
                    "the connections that hold a customer cannot be read: {error}"
                );
                *result = Err(execution::answer_not_made());
                Vec::new()
            }
        }
    }

    /// The receipts of every connection that holds a customer, but its home.
    pub async fn receipts_elsewhere(
        &self,
        merchant: &Merchant,
        home: &Connection,
        public_id: &str,
    ) -> Result<Vec<Receipt>, StoreError> {
        let Some(resolved) = self.ids.resolve(&merchant.name, Some(public_id)).await? else { return Ok(Vec::new()) };
        let kept = self.ids.erasures(&merchant.name, public_id).await?;
        let customer = resolved.customers.into_iter().find(|customer| customer.public_id == public_id);
        let mut holders: Vec<String> = customer.into_iter().flat_map(|customer| customer.at.into_keys()).collect();
        // A copy that has not ended may have made a record at the other side. It has no row yet.
        for side in resolved.routing.open.into_iter().flat_map(|open| [open.other, resolved.routing.connection.clone()])
        {
            let copy = self.store.find_copy(&merchant.name, &side, public_id).await?;
            let may_hold = copy.is_some_and(|copy| copy.state != State::Failed && copy.operation != "delete");
            if may_hold && !holders.contains(&side) {
                holders.push(side);
            }
        }
        holders.retain(|holder| *holder != home.name);
        holders.sort();
        let receipts = holders.into_iter().map(|holder| {
            let is_erased = kept.iter().any(|kept| kept.connection == holder && kept.erased == Erased::Deleted);
            let receipt = receipt(merchant, &holder);
            if is_erased { Receipt { outcome: DELETED, reason: None, ..receipt } } else { receipt }
        });
        Ok(receipts.collect())
    }
}

/// The receipt of a connection that holds the customer still.
pub fn receipt(merchant: &Merchant, connection: &str) -> Receipt {
    let configured = merchant.connections.get(connection);
    let (outcome, reason) = match configured.map(|configured| configured.manifest.require(Operation::Delete)) {
        Some(Ok(())) => (PENDING, None),
        Some(Err(error)) => (CANNOT, Some(error.to_string())),
        None => (CANNOT, Some(CONNECTION_REMOVED.to_owned())),
    };
    let provider = configured.map(|configured| configured.manifest.name);
    Receipt { connection: connection.to_owned(), provider, outcome, reason }
}
