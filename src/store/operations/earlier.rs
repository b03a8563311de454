//! The create that a record was answered to before, for the comparison with a later create that is answered with the same
//! record. `OperationLog::finish_created` has found that there is one; only then the store is asked for it.

use async_trait::async_trait;

use super::rows::{Stored, columns};
use crate::store::{
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    operation_id::OperationId,
};

/// The newest other create whose outcome is this customer. Nothing if the customer was updated through the gateway since:
/// the answer to that create does not show the customer as it is.
pub(in crate::store) struct FindOtherCreate {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) customer: String,
}

#[async_trait]
impl Work for FindOtherCreate {
    type Done = Option<Stored>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<Stored>, StoreError> {
        let id = self.id.to_string();
        let create = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 AND id <> ?4 \
             AND operation = 'create' AND state <> 'failed' ORDER BY id DESC LIMIT 1"
        );
        let of = [&self.merchant, &self.connection, &self.customer, &id].map(|text| Value::Text(text));
        let Some(row) = session.rows(create, &of).await?.pop() else { return Ok(None) };
        let stored = Stored::read(row)?;
        let update = "SELECT id FROM operations WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 AND id > ?4 \
                      AND operation = 'update' AND state <> 'failed' LIMIT 1";
        let other = stored.id.to_string();
        let since = [&self.merchant, &self.connection, &self.customer, &other].map(|text| Value::Text(text));
        Ok(session.rows(update, &since).await?.is_empty().then_some(stored))
    }
}
