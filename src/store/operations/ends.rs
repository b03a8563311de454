//! Ends: how an attempt ended, whether its answer was delivered, what is recorded about the contacts of its customer, and
//! what is erased with a deleted customer.
//!
//! [`Finish`] changes the row only if the row still has the number of the attempt that finishes. After a takeover, the
//! former process finishes an older attempt, and changes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use passerelle_providers::model::Operation;

use super::record::{Finished, State};
use crate::store::{
    audit::{Event, Subject, record},
    carried::{self, CarriedChanges},
    contacts::{self, ContactChanges, ContactsOf, beginning},
    database::{
        Group, Session, Work,
        values::{Row, Value},
    },
    error::StoreError,
    ids::{self, Planned},
    keyring::Keyring,
    operation_id::OperationId,
};

/// After a deletion: erases every answer about the customer, except those to successful deletions. Open operations
/// about the customer are flagged, so that their answers are not kept either.
const ERASE: &str = "UPDATE operations SET answer = NULL, erased = 1, unheard = 0 WHERE merchant = ?1 \
                     AND connection = ?2 AND customer = ?3 AND NOT (operation = 'delete' AND state = 'done') \
                     AND (answer IS NOT NULL OR state IN ('sending', 'unknown'))";

/// The open operation of an attempt. For a create, there is one row for each other create of its customer, and for each
/// deletion of its customer; if there is none, one row with NULL.
const ENDING: &str = "SELECT this.merchant, this.connection, this.operation, this.fingerprint, \
                      coalesce(?3, this.customer), this.erased, \
                      CAST(CASE WHEN this.state = 'unknown' AND this.worker IS NULL THEN 1 ELSE 0 END AS BIGINT), this.copy_of, \
                      (SELECT routing.connection FROM routing WHERE routing.merchant = this.merchant), \
                      other.operation, other.id \
                      FROM operations AS this LEFT JOIN operations AS other ON this.operation = 'create' \
                      AND other.merchant = this.merchant AND other.connection = this.connection \
                      AND other.customer = coalesce(?3, this.customer) AND other.id <> this.id \
                      AND (other.operation = 'create' AND other.state <> 'failed' \
                      OR other.operation = 'delete' AND other.state = 'done') \
                      WHERE this.id = ?1 AND this.attempt = ?2 AND this.state IN ('sending', 'unknown')";

/// An operation that is about to end.
struct Ending {
    merchant: String,
    connection: String,
    operation: String,
    fingerprint: Vec<u8>,
    customer: Option<String>,
    /// Whether a deletion that ended before has erased it: then it keeps nothing about the customer.
    is_erased: bool,
    /// Whether its outcome is unknown, and no attempt has a lease on it.
    is_left_unknown: bool,
    /// Of a write of the copier: the public id of the customer that it copies.
    copy_of: Option<String>,
    /// Whether its merchant has a routing row.
    is_routed: bool,
    /// Whether a later write deleted the customer of this create. It could not know that the create made it.
    is_deleted: bool,
    /// Whether its customer is the outcome of another create, and was not deleted through the gateway since.
    is_shared: bool,
}

impl Ending {
    fn read(id: &str, rows: Vec<Row>) -> Result<Option<Self>, StoreError> {
        let mut ending = None;
        let (mut last_create, mut last_deletion) = (None, None);
        for mut row in rows {
            ending = Some(Self {
                merchant: row.text()?,
                connection: row.text()?,
                operation: row.text()?,
                fingerprint: row.bytes()?,
                customer: row.maybe_text()?,
                is_erased: row.integer()? == 1,
                is_left_unknown: row.integer()? == 1,
                copy_of: row.maybe_text()?,
                is_routed: row.maybe_text()?.is_some(),
                is_deleted: false,
                is_shared: false,
            });
            let last = match row.maybe_text()?.as_deref() {
                None => continue,
                Some("create") => &mut last_create,
                Some(_) => &mut last_deletion,
            };
            *last = row.maybe_text()?.max(last.take());
        }
        if let Some(ending) = &mut ending {
            ending.is_shared = last_create > last_deletion;
            ending.is_deleted = last_deletion.as_deref() > Some(id);
        }
        Ok(ending)
    }
}

/// The end of an attempt, with its answer sealed.
pub(in crate::store) struct Finish {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) attempt: u32,
    pub(in crate::store) event: Event,
    pub(in crate::store) customer: Option<String>,
    pub(in crate::store) contacts: ContactChanges,
    /// What changes about the fields that the gateway keeps of the customer, and the keys that seal them.
    pub(in crate::store) carried: Option<(Arc<Keyring>, CarriedChanges)>,
    pub(in crate::store) reconcile_after: Option<i64>,
    pub(in crate::store) status: Option<u16>,
    pub(in crate::store) answer: Option<Vec<u8>>,
    /// Whether the client sent no key and disconnected before the answer.
    pub(in crate::store) is_undelivered: bool,
    /// Whether nothing is stored if the customer is the outcome of another create already.
    pub(in crate::store) refuses_shared: bool,
    /// Whether a copy has made a new record. Its row is written with this end: without a row, a list or a pass would take the
    /// record for a new customer.
    pub(in crate::store) makes_record: bool,
}

#[async_trait]
impl Work for Finish {
    type Done = Finished;

    /// It adds an audit record.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Finished, StoreError> {
        let id = self.id.to_string();
        let state = match self.event {
            Event::Done => Some(State::Done),
            Event::Failed => Some(State::Failed),
            Event::NotSent => None,
            Event::Intent | Event::TakenOver | Event::Unknown | Event::Held => Some(State::Unknown),
        };
        let open = [Value::Text(&id), Value::Integer(self.attempt.into()), Value::text(self.customer.as_deref())];
        let Some(ending) = Ending::read(&id, session.rows(ENDING, &open).await?)? else {
            return Ok(if self.is_repeated(session, &id, state).await? {
                Finished::Stored
            } else {
                Finished::Overtaken
            });
        };
        // The same attempt has left it unknown before, and the database's answer to the commit was lost.
        if ending.is_left_unknown && state == Some(State::Unknown) {
            return Ok(Finished::Stored);
        }
        if self.refuses_shared && self.customer.is_some() && ending.is_shared {
            return Ok(Finished::Shared);
        }
        let Some(state) = state else {
            session.execute("DELETE FROM operations WHERE id = ?1", &open[..1]).await?;
            self.audit(session, group, &ending).await?;
            self.change_home(session, group, &ending).await?;
            return Ok(Finished::Stored);
        };
        let is_erased = ending.is_erased || self.event == Event::Done && ending.is_deleted;
        let kept = |_: &&[u8]| !is_erased;
        let update = "UPDATE operations SET state = ?2, customer = ?3, status = ?4, answer = ?5, finished_at = ?6, \
                      reconcile_after = ?7, worker = NULL, leased_at = NULL, lease_until = NULL, unheard = ?8, \
                      command = CASE WHEN CAST(?6 AS BIGINT) IS NULL THEN command ELSE NULL END, erased = ?9, \
                      email_hash = CASE WHEN CAST(?6 AS BIGINT) IS NULL THEN email_hash ELSE ?10 END, \
                      phone_hash = CASE WHEN CAST(?6 AS BIGINT) IS NULL THEN phone_hash ELSE ?11 END WHERE id = ?1";
        let values = [
            Value::Text(&id),
            Value::Text(state.as_str()),
            Value::text(ending.customer.as_deref()),
            Value::integer(self.status.map(i64::from)),
            Value::bytes(self.answer.as_deref().filter(kept)),
            Value::integer(state.is_final().then_some(group.now)),
            Value::integer(self.reconcile_after),
            Value::Integer((self.is_undelivered && state.is_final() && !is_erased).into()),
            Value::Integer(is_erased.into()),
            Value::bytes(self.contacts.email.set().map(beginning).filter(kept)),
            Value::bytes(self.contacts.phone.set().map(beginning).filter(kept)),
        ];
        session.execute(update, &values).await?;
        self.audit(session, group, &ending).await?;
        self.change_home(session, group, &ending).await?;
        if self.event == Event::Done {
            self.change_others(session, &id, &ending).await?;
            if let Some((keyring, carried)) =
                self.carried.as_ref().filter(|(_, carried)| (carried.forgets || !is_erased) && ending.copy_of.is_none())
            {
                carried::change(session, keyring, &ending.merchant, self.id, carried).await?;
            }
        }
        Ok(Finished::Stored)
    }
}

impl Finish {
    async fn audit(&self, session: &mut dyn Session, group: &mut Group, ending: &Ending) -> Result<(), StoreError> {
        let subject = Subject {
            id: self.id,
            merchant: &ending.merchant,
            connection: &ending.connection,
            operation: &ending.operation,
            attempt: self.attempt,
            fingerprint: &ending.fingerprint,
            detail: None,
        };
        record(session, group, self.event, subject).await
    }

    /// Changes the row of the customer, for a merchant with a routing row. A write of the copier changes
    /// none: it only writes the row of a record that it has made.
    async fn change_home(&self, session: &mut dyn Session, group: &Group, ending: &Ending) -> Result<(), StoreError> {
        if !ending.is_routed {
            return Ok(());
        }
        if let Some(public_id) = &ending.copy_of {
            let is_made = self.event == Event::Done && self.makes_record;
            let (true, Some(provider_id)) = (is_made, &ending.customer) else { return Ok(()) };
            let row = [&ending.merchant, public_id, &ending.connection, provider_id].map(|text| Value::Text(text));
            return ids::keep_copied(session, row, group.now).await;
        }
        let planned = Planned {
            merchant: &ending.merchant,
            connection: &ending.connection,
            operation: &ending.operation,
            customer: ending.customer.as_deref(),
            is_copy: false,
        };
        match self.event {
            Event::Done => {
                ids::confirm(session, planned, self.contacts.of_row(), group.now).await?;
                match (&ending.customer, &*ending.operation) {
                    (Some(customer), "delete") => {
                        ids::reach_deleted(session, &ending.merchant, &ending.connection, customer, group.now).await
                    }
                    _ => Ok(()),
                }
            }
            Event::Failed | Event::NotSent => ids::lift(session, planned).await,
            Event::Intent | Event::TakenOver | Event::Unknown | Event::Held => Ok(()),
        }
    }

    /// Changes what other rows keep about the customer of a write that is done.
    async fn change_others(&self, session: &mut dyn Session, id: &str, ending: &Ending) -> Result<(), StoreError> {
        let Ending { merchant, connection, operation, customer: Some(customer), .. } = ending else { return Ok(()) };
        match Operation::parse(operation) {
            // The customer is new. A create that was reconciled can have a customer that was changed since.
            Some(Operation::Create) if self.attempt == 1 => return Ok(()),
            Some(Operation::Delete) => {
                let values = [merchant, connection, customer].map(|text| Value::Text(text));
                session.execute(ERASE, &values).await?;
            }
            _ => {}
        }
        contacts::remove_others(session, ContactsOf { merchant, connection }, customer, &self.contacts, id).await
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
