//! Open operations: lease renewal, takeover, and what the new attempt may do.
//!
//! A takeover raises the number of the attempt, and gives the new process a lease. After the takeover is committed, the
//! older attempt cannot change the row any more. But the database cannot stop the former process from sending a request
//! to the provider. For that, each process looks at its own clock before it sends (`lease.rs`).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    record::{Adopted, Resend},
    rows::{Stored, after, before, columns},
    unanswered::{Begun, Leased},
};
use crate::store::{
    audit::{Event, record},
    database::{
        Group, Session, Work,
        values::{Value, limited},
    },
    error::StoreError,
    ids::{Planned, folded},
    lease::LONGEST_ATTEMPT,
    operation_id::OperationId,
    terms::Terms,
};

/// Renews the leases of this process on all of its open operations.
pub(in crate::store) struct Renew {
    pub(in crate::store) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Renew {
    type Done = ();

    /// One statement, on the rows of this process. Another replica may take one of these rows over at the same time.
    /// Then the database makes the later statement wait for the commit of the earlier one and test its condition again.
    /// If the takeover was earlier, the row names another process, and the renewal does not change it. If the renewal
    /// was earlier, the row has a new lease, and the takeover does not change it.
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

/// Decides whether an attempt may send again an operation that it has taken over. If it may, this notes that in the row
/// before the attempt sends.
pub(in crate::store) struct SendAgain {
    pub(in crate::store) terms: Arc<Terms>,
    pub(in crate::store) id: OperationId,
    pub(in crate::store) attempt: u32,
}

#[async_trait]
impl Work for SendAgain {
    type Done = Resend;

    /// It adds an audit record, and it looks for newer writes first.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Resend, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            ", (SELECT routing.connection FROM routing WHERE routing.merchant = operations.merchant) \
             FROM operations WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') AND worker = ?3 \
             AND lease_until > ?4"
        );
        let id = self.id.to_string();
        let values = [
            Value::Text(&id),
            Value::Integer(self.attempt.into()),
            Value::Text(&self.terms.worker),
            Value::Integer(group.now),
        ];
        let Some(mut row) = session.rows(select, &values).await?.pop() else { return Ok(Resend::Lost) };
        let stored = Stored::read_first(&mut row)?;
        if Self::is_overtaken(session, &stored).await? {
            return Ok(Resend::Overtaken);
        }
        if row.maybe_text()?.is_some() && !Self::claim(session, &stored).await? {
            return Ok(Resend::Moved);
        }
        // `reconcile_after`: if this attempt dies too, the next process reconciles at once. `sent_at`: the
        // time that the provider has to show the write counts from now on.
        let update = "UPDATE operations SET sent_at = ?2, \
                      reconcile_after = CASE WHEN state = 'unknown' THEN ?2 ELSE reconcile_after END WHERE id = ?1";
        session.execute(update, &[Value::Text(&id), Value::Integer(group.now)]).await?;
        record(session, group, Event::Intent, stored.subject()).await?;
        Ok(Resend::Noted)
    }
}

impl SendAgain {
    /// Claims the customer's home again, for a merchant with a routing row. `false`: it is elsewhere now.
    async fn claim(session: &mut dyn Session, stored: &Stored) -> Result<bool, StoreError> {
        let customer = stored.customer.as_deref().map(folded);
        let planned = Planned {
            merchant: &stored.merchant,
            connection: &stored.connection,
            operation: &stored.operation,
            customer: customer.as_deref(),
            is_copy: stored.is_copy,
        };
        let Some(allowed) = planned.allowed(session, None).await? else { return Ok(false) };
        planned.claim(session, &allowed).await?;
        Ok(true)
    }

    /// Whether a newer write has overtaken this one: it changed the same customer, and sending again would undo it.
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

/// Adopts a customer for a create: records that this create made it. This records nothing if another create made the
/// customer, or if another create is in flight and may have made it.
pub(in crate::store) struct Adopt {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) attempt: u32,
    pub(in crate::store) customer: String,
    pub(in crate::store) has_marker: bool,
}

/// Another create that began earlier may have made the customer. Only creates that began at most this much earlier are
/// compared, so that the database reads few rows.
const ALIKE: Duration = Duration::from_mins(15);

#[async_trait]
impl Work for Adopt {
    type Done = Adopted;

    /// It adds no audit record, but it reads other rows before it writes its own. Without running alone, two replicas
    /// could record one customer for two creates.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Adopted, StoreError> {
        let id = self.id.to_string();
        // The first condition on the state only lets the database use the small index of open operations.
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
        Ok(if session.execute(update, &values).await? > 0 { Adopted::Own } else { Adopted::Refused })
    }
}

/// Takes over operations whose lease has run out, and operations that are `unknown` and due to be reconciled.
///
/// The query orders by time and not by id, as every query that wants few rows of many. To order by id, the database
/// would read all rows.
pub(in crate::store) struct TakeOver {
    pub(in crate::store) terms: Arc<Terms>,
    /// Only this operation, whether it is due or not.
    pub(in crate::store) only: Option<OperationId>,
    pub(in crate::store) limit: usize,
    pub(super) begun: Begun,
}

#[async_trait]
impl Work for TakeOver {
    type Done = Vec<Stored>;

    /// It adds audit records.
    const RUNS_ALONE: bool = true;

    /// A caller that has stopped waiting does not reconcile what it took over.
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
        // An earlier execution of this work was rolled back.
        self.begun.clear();
        let mut taken = Vec::new();
        for row in session.rows(select, &values).await? {
            let mut stored = Stored::read(row)?;
            stored.attempt += 1;
            // The `UPDATE` tests the lease again, because its holder may have renewed it since the `SELECT`.
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
            self.begun.add(Leased { id: stored.id, attempt: stored.attempt, since: Some(group.now) });
            taken.push(stored);
        }
        Ok(taken)
    }
}
