//! Customers who follow a rollback although their last writes were not copied back.

use async_trait::async_trait;

use super::records::{KeepRecords, RecordChange};
use crate::store::{
    database::{
        Group, Session, Work,
        values::{Value, limited},
    },
    error::StoreError,
};

/// Lets customers who are pinned to the side that was left follow the active connection as they are there. The switch lists
/// them in the same transaction.
pub(in crate::store) struct UnpinStale {
    pub(in crate::store) merchant: String,
    pub(in crate::store) left: String,
    pub(in crate::store) limit: usize,
    pub(in crate::store) switch_id: String,
    /// What is new in the record of each of them. The id is filled in.
    pub(in crate::store) change: RecordChange,
}

#[async_trait]
impl Work for UnpinStale {
    type Done = usize;

    /// No claim is between its look at the open writes and its change.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<usize, StoreError> {
        // Who is not at the active connection stays. So does who is written at this moment, until that has ended.
        let update = "UPDATE customers SET pinned = NULL, merged_at = NULL WHERE merchant = ?1 AND public_id IN (SELECT stale.public_id \
                      FROM customers AS stale CROSS JOIN routing CROSS JOIN customer_ids AS here \
                      WHERE stale.merchant = ?1 AND stale.pinned = ?2 AND stale.deletion IS NULL AND routing.merchant = ?1 \
                      AND routing.switch_id IS NOT NULL AND routing.other = ?2 AND here.merchant = ?1 \
                      AND here.public_id = stale.public_id AND here.connection = routing.connection \
                      AND NOT EXISTS (SELECT 1 FROM customer_ids AS ids CROSS JOIN operations \
                      WHERE ids.merchant = ?1 AND ids.public_id = stale.public_id AND operations.merchant = ?1 \
                      AND operations.customer = ids.provider_id AND operations.connection = ids.connection \
                      AND operations.state = 'sending') \
                      ORDER BY stale.public_id LIMIT ?3) RETURNING public_id";
        let values = [Value::Text(&self.merchant), Value::Text(&self.left), Value::Integer(limited(self.limit))];
        let mut records = Vec::new();
        for mut row in session.rows(update, &values).await? {
            records.push(RecordChange { public_id: row.text()?, ..self.change.clone() });
        }
        let count = records.len();
        KeepRecords { switch_id: self.switch_id.clone(), records }.perform(session, group).await?;
        Ok(count)
    }
}
