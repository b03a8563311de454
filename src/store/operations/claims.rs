//! Claims: before a process sends a write, it inserts a row for the write, or finds the row of the same write.
//!
//! Two writes are the same if they have the same key, or, without keys, the same content. Of several replicas exactly
//! one inserts the row, because claims run alone. Between the search and the insertion of one claim, no other claim can
//! insert.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::{
    ends::MarkDelivered,
    record::State,
    rows::{Stored, after, before, columns},
};
use crate::store::{
    audit::{Event, Hash, Subject, record},
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    operation_id::OperationId,
    terms::Terms,
};

/// A claim. The caller has hashed the key and the request, and sealed the command.
pub(in crate::store) struct MakeClaim {
    pub(in crate::store) terms: Arc<Terms>,
    pub(in crate::store) id: OperationId,
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) operation: String,
    pub(in crate::store) customer: Option<String>,
    pub(in crate::store) key_hash: Option<Hash>,
    pub(in crate::store) joins: bool,
    pub(in crate::store) fingerprint: Hash,
    pub(in crate::store) command: Vec<u8>,
    /// The claim sets this when it has inserted the row. The transaction may still fail afterwards, or the database may
    /// not answer its commit.
    pub(in crate::store) inserted: Arc<AtomicBool>,
}

/// What a claim found.
#[derive(Debug)]
pub(in crate::store) enum Found {
    Nothing,
    InFlight(Stored),
    Unknown(Stored),
    Finished(Stored),
    Reused,
    Expired(Stored),
    Erased(Stored),
}

#[async_trait]
impl Work for MakeClaim {
    type Done = Found;

    /// A claim adds an audit record, and it looks for a duplicate before it inserts a row.
    const RUNS_ALONE: bool = true;

    /// A caller that has stopped waiting does not send the write. A worker would reconcile its claim for nothing.
    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        let Some(key_hash) = &self.key_hash else {
            if !self.joins {
                return self.insert(session, group).await.map(|_| Found::Nothing);
            }
            let open = self.open_duplicate(session, group).await?;
            return match open {
                Some(open) if open.state == State::Unknown => Ok(Found::Unknown(open)),
                Some(open) => Ok(Found::InFlight(open)),
                None => match self.undelivered_duplicate(session, group).await? {
                    Some(undelivered) => Ok(Found::Finished(undelivered)),
                    None => self.insert(session, group).await.map(|_| Found::Nothing),
                },
            };
        };
        // Most claims are new, so the insertion comes first.
        if self.insert(session, group).await? {
            return Ok(Found::Nothing);
        }
        let select = concat!("SELECT ", columns!(), " FROM operations WHERE merchant = ?1 AND key_hash = ?2");
        let values = [Value::Text(&self.merchant), Value::Bytes(key_hash)];
        let Some(row) = session.rows(select, &values).await?.pop() else {
            // Between the two statements, another replica has reaped (deleted) the row with the key. The key is free
            // now, because no other claim can run between the two statements.
            let gone = || StoreError::Damaged("an idempotency key is taken by a row that is not there".to_owned());
            return self.insert(session, group).await?.then_some(Found::Nothing).ok_or_else(gone);
        };
        let existing = Stored::read(row)?;
        // A row whose lifetime is over does not count, even if no replica has deleted it yet.
        if existing.is_older(self.terms.tombstones, group.now) {
            let delete = "DELETE FROM operations WHERE id = ?1";
            session.execute(delete, &[Value::Text(&existing.id.to_string())]).await?;
            self.insert(session, group).await?;
            return Ok(Found::Nothing);
        }
        if existing.fingerprint != self.fingerprint {
            return Ok(Found::Reused);
        }
        Ok(match existing.state {
            State::Sending => Found::InFlight(existing),
            State::Unknown => Found::Unknown(existing),
            State::Done | State::Failed if existing.erased => Found::Erased(existing),
            State::Done | State::Failed => {
                match existing.answer.is_none() || existing.is_older(self.terms.answers, group.now) {
                    true => Found::Expired(Stored { answer: None, ..existing }),
                    false => Found::Finished(existing),
                }
            }
        })
    }
}

impl MakeClaim {
    /// The oldest write of the last `Terms::joining` that has the same content and is `sending` or `unknown`.
    async fn open_duplicate(&self, session: &mut dyn Session, group: &Group) -> Result<Option<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND state IN ('sending', 'unknown') \
             AND created_at > ?3 ORDER BY created_at LIMIT 1"
        );
        let values = [
            Value::Text(&self.merchant),
            Value::Bytes(&self.fingerprint),
            Value::Integer(before(group.now, self.terms.joining)),
        ];
        session.rows(select, &values).await?.pop().map(Stored::read).transpose()
    }

    /// A finished write with the same content, whose answer no client got (column `unheard`). Its client disconnected
    /// before the answer, and now sends its request again. This marks the answer as delivered. So a further request
    /// with the same content is a new write.
    async fn undelivered_duplicate(
        &self,
        session: &mut dyn Session,
        group: &mut Group,
    ) -> Result<Option<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND unheard = 1 AND answer IS NOT NULL \
             AND created_at > ?3 ORDER BY created_at LIMIT 1"
        );
        let values = [
            Value::Text(&self.merchant),
            Value::Bytes(&self.fingerprint),
            Value::Integer(before(group.now, self.terms.joining)),
        ];
        let Some(row) = session.rows(select, &values).await?.pop() else { return Ok(None) };
        let undelivered = Stored::read(row)?;
        MarkDelivered { id: undelivered.id, is_delivered: true }.perform(session, group).await?;
        Ok(Some(undelivered))
    }

    /// Inserts the row. `false`: another row has the key.
    async fn insert(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let insert = "INSERT INTO operations (id, merchant, connection, operation, customer, key_hash, fingerprint, \
                      state, attempt, created_at, sent_at, worker, leased_at, lease_until, command) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'sending', 1, ?8, ?8, ?9, ?8, ?10, ?11) \
                      ON CONFLICT (merchant, key_hash) DO NOTHING";
        let values = [
            Value::Text(&self.id.to_string()),
            Value::Text(&self.merchant),
            Value::Text(&self.connection),
            Value::Text(&self.operation),
            Value::text(self.customer.as_deref()),
            Value::bytes(self.key_hash.as_ref().map(|hash| &hash[..])),
            Value::Bytes(&self.fingerprint),
            Value::Integer(group.now),
            Value::Text(&self.terms.worker),
            Value::Integer(after(group.now, self.terms.lease)),
            Value::Bytes(&self.command),
        ];
        if session.execute(insert, &values).await? == 0 {
            return Ok(false);
        }
        self.inserted.store(true, Ordering::Relaxed);
        let subject = Subject {
            id: self.id,
            merchant: &self.merchant,
            connection: &self.connection,
            operation: &self.operation,
            attempt: 1,
            fingerprint: &self.fingerprint,
        };
        record(session, group, Event::Intent, subject).await?;
        Ok(true)
    }
}
