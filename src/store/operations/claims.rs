//! Claims: before a process sends a write, it inserts a row for the write, or finds the row of the same write.
//!
//! Which row is that of the same write, `duplicates` decides. Of several replicas exactly
//! one inserts the row, because claims run alone. Between the search and the insertion of one claim, no other claim can
//! insert.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::{
    duplicates::{Found, Identity},
    rows::after,
};
use crate::store::{
    audit::{Event, Subject, record},
    contacts,
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    ids::{HomeOfWrite, Planned},
    operation_id::OperationId,
};

/// A claim. The caller has hashed the key and the request, and sealed the command.
pub(in crate::store) struct MakeClaim {
    pub(in crate::store) identity: Identity,
    pub(in crate::store) id: OperationId,
    pub(in crate::store) connection: String,
    pub(in crate::store) operation: String,
    pub(in crate::store) customer: Option<String>,
    /// The name of the API key of the client.
    pub(in crate::store) key_name: Option<Arc<str>>,
    pub(in crate::store) command: Vec<u8>,
    pub(in crate::store) home: Option<HomeOfWrite>,
    /// The hashes of the e-mail address and the phone number of the customer that a create makes.
    pub(in crate::store) contacts: [Option<Vec<u8>>; 2],
    /// The claim sets this when it has inserted the row. The transaction may still fail afterwards, or the database may
    /// not answer its commit.
    pub(in crate::store) inserted: Arc<AtomicBool>,
}

#[async_trait]
impl Work for MakeClaim {
    type Done = Found;

    /// A claim adds an audit record, and it looks for a duplicate before it inserts a row.
    const RUNS_ALONE: bool = true;

    /// A caller that has stopped waiting does not send the write. A worker would reconcile its claim for nothing.
    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        let Some(home) = &self.home else { return self.make(session, group).await };
        let allowed = self.planned(home).allowed(session, Some(home)).await?;
        let Some(allowed) = allowed.filter(|allowed| home.is_copy || !allowed.is_held(group.now)) else {
            return Ok(match self.identity.find(session, group).await? {
                Found::Nothing => Found::Moved,
                found => found,
            });
        };
        if let Some(copy) = &self.identity.copy
            && !copy.is_of_current_state(session, &self.identity.merchant).await?
        {
            return Ok(Found::Moved);
        }
        let found = self.make(session, group).await?;
        if matches!(found, Found::Nothing) {
            self.planned(home).claim(session, &allowed).await?;
        }
        Ok(found)
    }
}

impl MakeClaim {
    fn planned(&self, home: &HomeOfWrite) -> Planned<'_> {
        Planned {
            merchant: &self.identity.merchant,
            connection: &self.connection,
            operation: &self.operation,
            customer: self.customer.as_deref(),
            is_copy: home.is_copy,
        }
    }

    /// Inserts the row, or finds that of the same write. A row without a home is only inserted where the merchant has no
    /// routing row: this process may not have learned of that row yet.
    async fn make(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        let Some(key_hash) = &self.identity.key_hash else {
            return match self.identity.find_by_content(session, group).await? {
                Found::Nothing if self.insert(session, group).await? => Ok(Found::Nothing),
                Found::Nothing => Ok(Found::Moved),
                found => Ok(found),
            };
        };
        // Most claims are new, so the insertion comes first.
        if self.insert(session, group).await? {
            return Ok(Found::Nothing);
        }
        let Some(existing) = self.identity.with_key(key_hash, session).await? else {
            // Between the two statements, another replica has reaped (deleted) the row with the key. The key is free
            // now, because no other claim can run between the two statements. Or the merchant has a routing row.
            let is_inserted = self.insert(session, group).await?;
            return Ok(if is_inserted { Found::Nothing } else { Found::Moved });
        };
        let id = existing.id.to_string();
        let found = self.identity.judge(existing, group.now);
        if matches!(found, Found::Nothing) {
            let delete = "DELETE FROM operations WHERE id = ?1";
            contacts::delete_operations(session, delete, &[Value::Text(&id)]).await?;
            if !self.insert(session, group).await? {
                return Ok(Found::Moved);
            }
        }
        Ok(found)
    }

    /// Inserts the row. `false`: another row has the key, or the merchant has a routing row and this write no home.
    async fn insert(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let insert = "INSERT INTO operations (id, merchant, connection, operation, customer, key_hash, fingerprint, \
                      state, attempt, created_at, sent_at, worker, leased_at, lease_until, command, copy_of, \
                      email_hash, phone_hash) \
                      SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 'sending', 1, ?8, ?8, ?9, ?8, ?10, ?11, ?12, ?13, ?14 \
                      WHERE CAST(?15 AS BIGINT) = 1 OR NOT EXISTS (SELECT 1 FROM routing WHERE merchant = ?2) \
                      ON CONFLICT (merchant, key_hash) DO NOTHING";
        let [email, phone] = &self.contacts;
        let copied = self.home.as_ref().filter(|home| home.is_copy);
        let values = [
            Value::Text(&self.id.to_string()),
            Value::Text(&self.identity.merchant),
            Value::Text(&self.connection),
            Value::Text(&self.operation),
            Value::text(self.customer.as_deref()),
            Value::bytes(self.identity.key_hash.as_ref().map(|hash| &hash[..])),
            Value::Bytes(&self.identity.fingerprint),
            Value::Integer(group.now),
            Value::Text(&self.identity.terms.worker),
            Value::Integer(after(group.now, self.identity.terms.lease)),
            Value::Bytes(&self.command),
            Value::text(copied.and_then(|home| home.public_id.as_deref())),
            Value::bytes(email.as_deref()),
            Value::bytes(phone.as_deref()),
            Value::Integer(self.home.is_some().into()),
        ];
        if session.execute(insert, &values).await? == 0 {
            return Ok(false);
        }
        self.inserted.store(true, Ordering::Relaxed);
        // The form is that of an operator's command. A record of an earlier version has none, and so does a key without a
        // name: their hashes are those of a record without a detail.
        let detail = self.key_name.as_deref().map(|key| serde_json::json!({ "key": key }).to_string());
        let subject = Subject {
            id: self.id,
            merchant: &self.identity.merchant,
            connection: &self.connection,
            operation: &self.operation,
            attempt: 1,
            fingerprint: &self.identity.fingerprint,
            detail: detail.as_deref(),
        };
        record(session, group, Event::Intent, subject).await?;
        Ok(true)
    }
}
