//! The audit records of one write. The audit has no index of operations, because every write would pay for it. But its
//! records are in the order of their times, so the first one of a write is found by bisection, and those of a write that has
//! ended lie close together.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{AuditLog, AuditRecord, audited};
use crate::store::{
    database::{
        Group, Session, Work, head, read,
        values::{Value, limited},
    },
    error::StoreError,
    operation_id::OperationId,
};

/// The clocks of replicas differ by less.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// The most records that are looked through, so that a write of long ago which has not ended costs no reading of everything.
const MOST_SEARCHED: i64 = 500_000;

impl AuditLog {
    /// The records of a write in their order, at most `limit`. It was claimed at `created_at`, and ended at `finished_at`.
    pub async fn of_operation(
        &self,
        id: OperationId,
        created_at: Timestamp,
        finished_at: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let from = created_at.saturating_sub(MARGIN).unwrap_or(created_at).as_millisecond();
        let until = finished_at.map(|at| at.saturating_add(MARGIN).unwrap_or(at).as_millisecond());
        read(&*self.0, ReadOfOperation { id, from, until, limit }).await
    }
}

struct ReadOfOperation {
    id: OperationId,
    from: i64,
    until: Option<i64>,
    limit: usize,
}

#[async_trait]
impl Work for ReadOfOperation {
    type Done = Vec<AuditRecord>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let end = head::read(session.rows(head::READ, &[]).await?.first_mut().ok_or_else(head::missing)?)?;
        let end = end.sequence.cast_signed();
        let first = first_since(session, self.from, end).await?;
        let last = match self.until {
            Some(until) => first_since(session, until.saturating_add(1), end).await?,
            None => end,
        };
        let last = last.min(first.saturating_add(MOST_SEARCHED));
        let select = "SELECT sequence, at, event, merchant, connection, operation, operation_id, attempt, \
                      request_hash, hash, detail FROM audit WHERE sequence >= ?1 AND sequence <= ?2 \
                      AND operation_id = ?3 ORDER BY sequence LIMIT ?4";
        let id = self.id.to_string();
        let values =
            [Value::Integer(first), Value::Integer(last), Value::Text(&id), Value::Integer(limited(self.limit))];
        session.rows(select, &values).await?.into_iter().map(audited).collect()
    }
}

/// The first record at a time or later; the one after `end` if there is none.
async fn first_since(session: &mut dyn Session, time: i64, end: i64) -> Result<i64, StoreError> {
    let (mut low, mut high) = (1, end + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let select = "SELECT at FROM audit WHERE sequence >= ?1 ORDER BY sequence LIMIT 1";
        let at = match session.rows(select, &[Value::Integer(middle)]).await?.first_mut() {
            Some(row) => row.integer()?,
            None => i64::MAX,
        };
        if at < time { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
