//! Reaping: what has outlived its time is taken away.

use std::sync::Arc;

use async_trait::async_trait;

use super::{record::Reaped, rows::before};
use crate::store::{
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    terms::Terms,
};

/// How many rows one transaction takes away, so that the writes between them need not wait long.
const HANDFUL: i64 = 500;

/// Takes away a handful of what has outlived its time. Unfinished operations never do.
pub(in crate::store) struct Reap {
    pub(in crate::store) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Reap {
    type Done = Reaped;

    /// Each statement chooses its rows and changes them at once, and what it chooses is finished and old. Where two
    /// replicas choose the same rows, the second finds them gone. A claim expects that the holder of its key goes.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Reaped, StoreError> {
        let delete = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                      WHERE finished_at IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.tombstones)), Value::Integer(HANDFUL)];
        let tombstones = session.execute(delete, &values).await?;
        let update = "UPDATE operations SET answer = NULL WHERE id IN (SELECT id FROM operations \
                      WHERE answer IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.answers)), Value::Integer(HANDFUL)];
        let answers = session.execute(update, &values).await?;
        Ok(Reaped { answers, tombstones })
    }
}
