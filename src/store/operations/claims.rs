//! Claims: what is said of a write before it is sent, and what is found where the same one was said before.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::{
    ends::Hear,
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

/// A claim, with hashes for what is not kept and a sealed command.
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
    /// Told once the row was inserted, whatever comes of the transaction.
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

    /// It is audited, and it looks for a duplicate before it inserts a row.
    const RUNS_ALONE: bool = true;

    /// Whoever stopped waiting will not send, and the claim would have to be reconciled for nothing.
    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        let Some(key_hash) = &self.key_hash else {
            if !self.joins {
                return self.insert(session, group).await.map(|_| Found::Nothing);
            }
            let twin = self.unfinished_twin(session, group).await?;
            return match twin {
                Some(twin) if twin.state == State::Unknown => Ok(Found::Unknown(twin)),
                Some(twin) => Ok(Found::InFlight(twin)),
                None => match self.unheard_twin(session, group).await? {
                    Some(twin) => Ok(Found::Finished(twin)),
                    None => self.insert(session, group).await.map(|_| Found::Nothing),
                },
            };
        };
        // Most claims are new, so that the insertion is tried first.
        if self.insert(session, group).await? {
            return Ok(Found::Nothing);
        }
        let select = concat!("SELECT ", columns!(), " FROM operations WHERE merchant = ?1 AND key_hash = ?2");
        let values = [Value::Text(&self.merchant), Value::Bytes(key_hash)];
        let Some(row) = session.rows(select, &values).await?.pop() else {
            // Another replica reaped the holder between the two statements. No other claim can have come between.
            let gone = || StoreError::Damaged("an idempotency key is taken by a row that is not there".to_owned());
            return self.insert(session, group).await?.then_some(Found::Nothing).ok_or_else(gone);
        };
        let holder = Stored::read(row)?;
        // Lifetimes hold whether or not the reaper has been here.
        if holder.is_older(self.terms.tombstones, group.now) {
            let delete = "DELETE FROM operations WHERE id = ?1";
            session.execute(delete, &[Value::Text(&holder.id.to_string())]).await?;
            self.insert(session, group).await?;
            return Ok(Found::Nothing);
        }
        if holder.fingerprint != self.fingerprint {
            return Ok(Found::Reused);
        }
        Ok(match holder.state {
            State::Sending => Found::InFlight(holder),
            State::Unknown => Found::Unknown(holder),
            State::Done | State::Failed if holder.erased => Found::Erased(holder),
            State::Done | State::Failed => {
                match holder.answer.is_none() || holder.is_older(self.terms.answers, group.now) {
                    true => Found::Expired(Stored { answer: None, ..holder }),
                    false => Found::Finished(holder),
                }
            }
        })
    }
}

impl MakeClaim {
    async fn unfinished_twin(&self, session: &mut dyn Session, group: &Group) -> Result<Option<Stored>, StoreError> {
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

    /// A twin whose outcome nobody heard: whoever asked first gave up before, and asks again now. It is heard
    /// with that, and stands for nobody else.
    async fn unheard_twin(&self, session: &mut dyn Session, group: &mut Group) -> Result<Option<Stored>, StoreError> {
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
        let twin = Stored::read(row)?;
        Hear { id: twin.id, is_heard: true }.perform(session, group).await?;
        Ok(Some(twin))
    }

    /// Whether the row was inserted; not if its key is taken.
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
