//! Reaping: answers and rows that are older than their lifetime are deleted. The contacts in such a row are kept.

use std::sync::Arc;

use async_trait::async_trait;

use super::{record::Reaped, rows::before};
use crate::store::{
    contacts,
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    terms::Terms,
};

/// How many rows one transaction deletes, so that the work in the queue does not wait long.
const BATCH: i64 = 500;

/// Deletes one batch of old answers and one of old rows. Open operations are never old.
pub(in crate::store) struct Reap {
    pub(in crate::store) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Reap {
    type Done = Reaped;

    /// Each statement selects and changes its rows at once, and only rows that are finished and old. Where two replicas
    /// select the same rows, the second finds that they are gone. A claim expects that the row with its key disappears
    /// between two of its statements. A write that changes a contact expects that the reaper moves it.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Reaped, StoreError> {
        let delete = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                      WHERE finished_at IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.tombstones)), Value::Integer(BATCH)];
        let tombstones = contacts::delete_operations(session, delete, &values).await?;
        let update = "UPDATE operations SET answer = NULL WHERE id IN (SELECT id FROM operations \
                      WHERE answer IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.answers)), Value::Integer(BATCH)];
        let answers = session.execute(update, &values).await?;
        Ok(Reaped { answers, tombstones })
    }
}
