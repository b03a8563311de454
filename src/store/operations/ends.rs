//! Ends: how an attempt ended, whether its answer was delivered, what is recorded about the contacts of its customer, and
//! what is erased with a deleted customer.
//!
//! [`Finish`] changes the row only if the row still has the number of the attempt that finishes. After a takeover, the
//! former process finishes an older attempt, and changes nothing.

use async_trait::async_trait;
use passerelle_providers::model::Operation;

use super::record::{Finished, State};
use crate::store::{
    audit::{Event, Subject, record},
    contacts::{self, ContactChanges, ContactsOf},
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    operation_id::OperationId,
};

/// After a deletion: erases every answer about the customer, except those to successful deletions. Open operations
/// about the customer are flagged, so that their answers are not kept either.
const ERASE: &str = "UPDATE operations SET answer = NULL, erased = 1, unheard = 0 WHERE merchant = ?1 \
                     AND connection = ?2 AND customer = ?3 AND NOT (operation = 'delete' AND state = 'done') \
                     AND (answer IS NOT NULL OR state IN ('sending', 'unknown'))";

/// After a create: the same for its own row, where its customer was deleted before the create was finished.
const ERASE_LATE: &str = "UPDATE operations SET answer = NULL, erased = 1, unheard = 0 WHERE id = ?1 \
                          AND EXISTS (SELECT 1 FROM operations AS other WHERE other.merchant = ?2 \
                          AND other.connection = ?3 AND other.customer = ?4 AND other.id > ?1 \
                          AND other.operation = 'delete' AND other.state = 'done')";

/// The end of an attempt, with its answer sealed.
pub(in crate::store) struct Finish {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) attempt: u32,
    pub(in crate::store) event: Event,
    pub(in crate::store) customer: Option<String>,
    pub(in crate::store) contacts: ContactChanges,
    pub(in crate::store) reconcile_after: Option<i64>,
    pub(in crate::store) status: Option<u16>,
    pub(in crate::store) answer: Option<Vec<u8>>,
    /// Whether the client sent no key and disconnected before the answer.
    pub(in crate::store) is_undelivered: bool,
    /// Whether nothing is stored if the customer is the outcome of another create already.
    pub(in crate::store) refuses_shared: bool,
}

#[async_trait]
impl Work for Finish {
    type Done = Finished;

    /// It adds an audit record.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Finished, StoreError> {
        let id = self.id.to_string();
        if self.refuses_shared && self.is_shared(session, &id).await? {
            return Ok(Finished::Shared);
        }
        let state = match self.event {
            Event::Done => Some(State::Done),
            Event::Failed => Some(State::Failed),
            Event::NotSent => None,
            Event::Intent | Event::TakenOver | Event::Unknown | Event::Held => Some(State::Unknown),
        };
        let rows = match state {
            None => {
                let delete = "DELETE FROM operations WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') \
                              RETURNING merchant, connection, operation, fingerprint, customer, erased";
                session.rows(delete, &[Value::Text(&id), Value::Integer(self.attempt.into())]).await?
            }
            Some(state) => {
                let update = "UPDATE operations SET state = ?3, customer = coalesce(?4, customer), status = ?5, \
                              answer = CASE WHEN erased = 1 THEN answer ELSE ?6 END, finished_at = ?7, \
                              reconcile_after = ?8, worker = NULL, leased_at = NULL, lease_until = NULL, unheard = ?9, \
                              command = CASE WHEN CAST(?7 AS BIGINT) IS NULL THEN command ELSE NULL END \
                              WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') \
                              RETURNING merchant, connection, operation, fingerprint, customer, erased";
                let values = [
                    Value::Text(&id),
                    Value::Integer(self.attempt.into()),
                    Value::Text(state.as_str()),
                    Value::text(self.customer.as_deref()),
                    Value::integer(self.status.map(i64::from)),
                    Value::bytes(self.answer.as_deref()),
                    Value::integer(state.is_final().then_some(group.now)),
                    Value::integer(self.reconcile_after),
                    Value::Integer((self.is_undelivered && state.is_final()).into()),
                ];
                session.rows(update, &values).await?
            }
        };
        let Some(mut row) = rows.into_iter().next() else {
            return Ok(if self.is_repeated(session, &id, state).await? {
                Finished::Stored
            } else {
                Finished::Overtaken
            });
        };
        let (merchant, connection, operation) = (row.text()?, row.text()?, row.text()?);
        let subject = Subject {
            id: self.id,
            merchant: &merchant,
            connection: &connection,
            operation: &operation,
            attempt: self.attempt,
            fingerprint: &row.bytes()?,
        };
        record(session, group, self.event, subject).await?;
        if self.event == Event::Done
            && let Some(customer) = row.maybe_text()?
        {
            let values = [&id, &merchant, &connection, &customer].map(|text| Value::Text(text.as_str()));
            let is_customer_deleted = row.integer()? == 1;
            let of = ContactsOf { merchant: &merchant, connection: &connection };
            match Operation::parse(&operation) {
                Some(Operation::Delete) => {
                    session.execute(ERASE, &values[1..]).await?;
                    contacts::change(session, group, of, &customer, &self.contacts).await?;
                }
                // The customer was deleted before this write was finished: nothing is recorded about it any more.
                Some(Operation::Create) if session.execute(ERASE_LATE, &values).await? > 0 => {}
                _ if is_customer_deleted => {}
                _ => contacts::change(session, group, of, &customer, &self.contacts).await?,
            }
        }
        Ok(Finished::Stored)
    }
}

impl Finish {
    /// Whether the customer is the outcome of another create, and was not deleted through the gateway since.
    async fn is_shared(&self, session: &mut dyn Session, id: &str) -> Result<bool, StoreError> {
        let select = "SELECT other.id FROM operations AS this JOIN operations AS other \
                      ON other.merchant = this.merchant AND other.connection = this.connection \
                      WHERE this.id = ?1 AND this.attempt = ?2 AND other.customer = ?3 AND other.id <> ?1 \
                      AND other.operation = 'create' AND other.state <> 'failed' \
                      AND NOT EXISTS (SELECT 1 FROM operations AS deletion WHERE deletion.merchant = this.merchant \
                      AND deletion.customer = ?3 AND deletion.id > other.id AND deletion.connection = this.connection \
                      AND deletion.operation = 'delete' AND deletion.state = 'done') LIMIT 1";
        let Some(customer) = &self.customer else { return Ok(false) };
        let values = [Value::Text(id), Value::Integer(self.attempt.into()), Value::Text(customer)];
        Ok(!session.rows(select, &values).await?.is_empty())
    }

    /// Whether the same attempt has ended in the same way before: the commit was durable, but the database's answer was
    /// lost, and the caller calls again.
    async fn is_repeated(&self, session: &mut dyn Session, id: &str, state: Option<State>) -> Result<bool, StoreError> {
        let select = "SELECT state, attempt FROM operations WHERE id = ?1";
        match session.rows(select, &[Value::Text(id)]).await?.pop() {
            None => Ok(state.is_none()),
            Some(mut row) => Ok(Some(row.parsed(State::parse)?) == state && row.integer()? == i64::from(self.attempt)),
        }
    }
}

/// Notes whether a client got the answer. The column keeps its name of the first schema, `unheard`.
pub(in crate::store) struct MarkDelivered {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) is_delivered: bool,
}

#[async_trait]
impl Work for MarkDelivered {
    type Done = ();

    /// One statement, which sets one column of one row whatever its value was. A concurrent claim can read that column
    /// before this statement and set it after. The result is the same as if the two had run one after the other.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE operations SET unheard = ?2 WHERE id = ?1";
        let values = [Value::Text(&self.id.to_string()), Value::Integer((!self.is_delivered).into())];
        session.execute(update, &values).await.map(|_| ())
    }
}
