//! Open operations: lease renewal, takeover, and what the new attempt may do.
//!
//! A takeover raises the number of the attempt and gives the new worker a lease. From its commit on, everything that
//! the former worker asks with its older attempt changes nothing. The database cannot stop the former worker's request
//! to the provider. The worker's own clock does that (`lease.rs`).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    record::{Adopted, Resend},
    rows::{Stored, after, before, columns},
};
use crate::store::{
    audit::{Event, record},
    database::{
        Group, Session, Work,
        values::{Value, limited},
    },
    error::StoreError,
    lease::LONGEST_ATTEMPT,
    operation_id::OperationId,
    terms::Terms,
};

/// Renews the leases of this worker on all of its open operations.
pub(in crate::store) struct Renew {
    pub(in crate::store) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Renew {
    type Done = ();

    /// One statement, on the rows of this worker. Where another replica takes a row over at the same time, one of the
    /// two waits for the other's commit and then tests its condition again: either the row has another worker, and the
    /// renewal leaves it alone, or the row has a new lease, and the takeover leaves it alone.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE operations SET lease_until = ?1 \
                      WHERE state IN ('sending', 'unknown') AND worker = ?2 AND leased_at > ?3";
        let values = [
            Value::Integer(after(group.now, self.terms.lease)),
            Value::Text(&self.terms.worker),
            Value::Integer(before(group.now, LONGEST_ATTEMPT)),
        ];
        session.execute(update, &values).await?;
        Ok(())
    }
}

/// Decides whether an attempt that took an operation over may send it once more, and notes it before it sends.
pub(in crate::store) struct SendAgain {
    pub(in crate::store) terms: Arc<Terms>,
    pub(in crate::store) id: OperationId,
    pub(in crate::store) attempt: u32,
}

#[async_trait]
impl Work for SendAgain {
    type Done = Resend;

    /// It is audited, and it looks for newer writes first.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Resend, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') AND worker = ?3 \
             AND lease_until > ?4"
        );
        let id = self.id.to_string();
        let values = [
            Value::Text(&id),
            Value::Integer(self.attempt.into()),
            Value::Text(&self.terms.worker),
            Value::Integer(group.now),
        ];
        let Some(row) = session.rows(select, &values).await?.pop() else { return Ok(Resend::Lost) };
        let stored = Stored::read(row)?;
        if Self::is_overtaken(session, &stored).await? {
            return Ok(Resend::Overtaken);
        }
        // If this attempt dies too, the next worker reconciles at once (`reconcile_after`), and counts the time that
        // the provider has to show the write from this sending (`sent_at`).
        let update = "UPDATE operations SET sent_at = ?2, \
                      reconcile_after = CASE WHEN state = 'unknown' THEN ?2 ELSE reconcile_after END WHERE id = ?1";
        session.execute(update, &[Value::Text(&id), Value::Integer(group.now)]).await?;
        record(session, group, Event::Intent, stored.subject()).await?;
        Ok(Resend::Noted)
    }
}

impl SendAgain {
    /// Whether sending again would undo a newer write to the same customer.
    async fn is_overtaken(session: &mut dyn Session, stored: &Stored) -> Result<bool, StoreError> {
        let undone = match stored.operation.as_str() {
            "update" => ["update", "update"],
            "block" | "unblock" => ["block", "unblock"],
            _ => return Ok(false),
        };
        let Some(customer) = &stored.customer else { return Ok(false) };
        let select = "SELECT id FROM operations WHERE merchant = ?1 AND id > ?2 AND connection = ?3 AND customer = ?4 \
                      AND operation IN (?5, ?6) AND state <> 'failed' LIMIT 1";
        let values = [
            Value::Text(&stored.merchant),
            Value::Text(&stored.id.to_string()),
            Value::Text(&stored.connection),
            Value::Text(customer),
            Value::Text(undone[0]),
            Value::Text(undone[1]),
        ];
        Ok(!session.rows(select, &values).await?.is_empty())
    }
}

/// Records that a create made a customer, unless another create made it, or may turn out to have made it.
pub(in crate::store) struct Adopt {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) attempt: u32,
    pub(in crate::store) customer: String,
    pub(in crate::store) has_marker: bool,
}

/// How much earlier another create may have begun and still have made a customer that looks like this one's. It bounds
/// how many rows are compared.
const ALIKE: Duration = Duration::from_mins(15);

#[async_trait]
impl Work for Adopt {
    type Done = Adopted;

    /// It is not audited, but it looks at other rows before it writes its own: two replicas could otherwise both give
    /// one customer to a create of theirs.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Adopted, StoreError> {
        let id = self.id.to_string();
        // The state is compared twice, so that the database can use the small index of open operations.
        let select = "SELECT other.id FROM operations AS this JOIN operations AS other \
                      ON other.merchant = this.merchant AND other.fingerprint = this.fingerprint \
                      WHERE this.id = ?1 AND other.id <> ?1 AND other.state IN ('sending', 'unknown') \
                      AND other.state = 'sending' LIMIT 1";
        if !self.has_marker && !session.rows(select, &[Value::Text(&id)]).await?.is_empty() {
            return Ok(Adopted::Open);
        }
        let update = "UPDATE operations SET customer = ?3 WHERE id = ?1 AND attempt = ?2 \
                      AND state IN ('sending', 'unknown') AND NOT EXISTS (SELECT 1 FROM operations AS other \
                      WHERE other.merchant = operations.merchant AND other.id > ?4 AND other.id <> ?1 \
                      AND other.connection = operations.connection AND other.operation = operations.operation \
                      AND other.customer = ?3)";
        let values = [
            Value::Text(&id),
            Value::Integer(self.attempt.into()),
            Value::Text(&self.customer),
            Value::Text(&self.id.earliest_within(ALIKE).to_string()),
        ];
        Ok(if session.execute(update, &values).await? > 0 { Adopted::Own } else { Adopted::Anothers })
    }
}

/// Takes over operations whose lease has run out, and unknown ones that are due to be reconciled. Ordered by time and
/// not by id, as in every query that wants few rows of many: for an order by id the database would walk through all
/// rows.
pub(in crate::store) struct TakeOver {
    pub(in crate::store) terms: Arc<Terms>,
    /// Only this operation, whether it is due or not.
    pub(in crate::store) only: Option<OperationId>,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for TakeOver {
    type Done = Vec<Stored>;

    /// It is audited.
    const RUNS_ALONE: bool = true;

    /// A caller that stopped waiting does not go on with what it took over. That would wait until the new lease runs
    /// out.
    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Vec<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE state IN ('sending', 'unknown') \
             AND (state = 'sending' OR reconcile_after <= ?1 OR id = ?5) AND (CAST(?5 AS TEXT) = '' OR id = ?5) \
             AND (lease_until IS NULL OR lease_until <= ?1 OR (CAST(?2 AS BIGINT) = 1 AND worker <> ?3)) \
             ORDER BY created_at LIMIT ?4"
        );
        let only = self.only.map(|id| id.to_string()).unwrap_or_default();
        let values = [
            Value::Integer(group.now),
            Value::Integer(self.terms.is_exclusive.into()),
            Value::Text(&self.terms.worker),
            Value::Integer(limited(self.limit)),
            Value::Text(&only),
        ];
        let mut taken = Vec::new();
        for row in session.rows(select, &values).await? {
            let mut stored = Stored::read(row)?;
            stored.attempt += 1;
            // The condition is tested again, because its worker may have renewed the lease since the `SELECT`.
            let update = "UPDATE operations SET attempt = ?2, worker = ?3, leased_at = ?4, lease_until = ?5 \
                          WHERE id = ?1 AND (lease_until IS NULL OR lease_until <= ?4 \
                          OR (CAST(?6 AS BIGINT) = 1 AND worker <> ?3))";
            let values = [
                Value::Text(&stored.id.to_string()),
                Value::Integer(stored.attempt.into()),
                Value::Text(&self.terms.worker),
                Value::Integer(group.now),
                Value::Integer(after(group.now, self.terms.lease)),
                Value::Integer(self.terms.is_exclusive.into()),
            ];
            if session.execute(update, &values).await? == 0 {
                continue;
            }
            record(session, group, Event::TakenOver, stored.subject()).await?;
            taken.push(stored);
        }
        Ok(taken)
    }
}
