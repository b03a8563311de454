//! The statements over the table of carried fields, the same for both databases.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use passerelle_providers::engine::carry::Change;

use super::CarriedChanges;
use crate::store::{
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    ids::folded,
    keyring::Keyring,
    operation_id::OperationId,
    sealed::CARRIED,
};

/// The most customers of one statement.
const CHUNK: usize = 512;

/// The place of a row, to which its sealed value is bound.
pub(super) fn place(merchant: &str, public_id: &str, field: &str) -> String {
    [merchant, public_id, field].join("\n")
}

/// The bytes of a value before they are sealed.
fn encoded(value: Option<&str>) -> Vec<u8> {
    match value {
        Some(value) => [b"=", value.as_bytes()].concat(),
        None => b"-".to_vec(),
    }
}

/// The value of the bytes; `None` for a value that was removed.
pub(super) fn decoded(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix('=').map(str::to_owned)
}

/// The merchants who have rows. It reads one row for each.
pub(in crate::store) struct ReadMerchants;

#[async_trait]
impl Work for ReadMerchants {
    type Done = BTreeSet<String>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<BTreeSet<String>, StoreError> {
        let (mut merchants, mut after) = (BTreeSet::new(), String::new());
        loop {
            let select = "SELECT merchant FROM carried WHERE merchant > ?1 ORDER BY merchant LIMIT 1";
            let Some(mut row) = session.rows(select, &[Value::Text(&after)]).await?.pop() else {
                return Ok(merchants);
            };
            after = row.text()?;
            merchants.insert(after.clone());
        }
    }
}

/// A row, sealed.
pub(in crate::store) struct PartRow {
    pub(in crate::store) public_id: String,
    pub(in crate::store) field: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) native_hash: Option<Vec<u8>>,
    pub(in crate::store) value: Vec<u8>,
}

/// What is kept of these customers.
pub(in crate::store) struct ReadParts {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_ids: Vec<String>,
}

#[async_trait]
impl Work for ReadParts {
    type Done = Vec<PartRow>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<PartRow>, StoreError> {
        let mut found = Vec::new();
        for ids in self.public_ids.chunks(CHUNK) {
            // As in `ids/rows.rs`: few different statements, so that they stay prepared.
            let places = ids.len().next_power_of_two();
            let filling = ids.last().into_iter().cycle();
            let mut values = vec![Value::Text(&self.merchant)];
            values.extend(ids.iter().chain(filling).take(places).map(|id| Value::Text(id)));
            let named: Vec<String> = (2..places + 2).map(|number| format!("?{number}")).collect();
            let select = format!(
                "SELECT public_id, field, connection, native_hash, value FROM carried \
                 WHERE merchant = ?1 AND public_id IN ({}) ORDER BY public_id, field",
                named.join(", ")
            );
            for mut row in session.rows(&select, &values).await? {
                found.push(PartRow {
                    public_id: row.text()?,
                    field: row.text()?,
                    connection: row.text()?,
                    native_hash: row.maybe_bytes()?,
                    value: row.bytes()?,
                });
            }
        }
        Ok(found)
    }
}

/// Changes what is kept of a customer. It belongs to the transaction that ends the write, which runs alone: it reads
/// rows before it writes them.
pub(in crate::store) async fn change(
    session: &mut dyn Session,
    keyring: &Keyring,
    merchant: &str,
    operation: OperationId,
    carried: &CarriedChanges,
) -> Result<(), StoreError> {
    let (public_id, operation) = (folded(&carried.public_id), operation.to_string());
    if carried.forgets {
        return forget(session, merchant, &public_id, None).await;
    }
    for change in &carried.changes {
        let field = change.field().name();
        let row = [merchant, &public_id, field].map(Value::Text);
        let place = place(merchant, &public_id, field);
        let select = "SELECT operation, value FROM carried WHERE merchant = ?1 AND public_id = ?2 AND field = ?3";
        let current = match session.rows(select, &row).await?.pop() {
            None => None,
            Some(mut found) => Some((found.text()?, decoded(keyring.open(CARRIED.at(&place), &found.bytes()?)?))),
        };
        let is_newer = current.as_ref().is_some_and(|(newest, _)| *newest > operation);
        let value = match &current {
            // A newer write has changed the part. A patch of metadata still adds the keys that are not there.
            Some((_, value)) if is_newer => match value.as_deref().and_then(|newer| change.value_below(newer)) {
                Some(value) => Some(value),
                None => continue,
            },
            current => change.value(current.as_ref().and_then(|(_, value)| value.as_deref())),
        };
        let native = match change {
            Change::Remove(_) => {
                let delete = "DELETE FROM carried WHERE merchant = ?1 AND public_id = ?2 AND field = ?3";
                session.execute(delete, &row).await?;
                continue;
            }
            Change::Put { native, .. } | Change::Merge { native, .. } => native,
        };
        let sealed = keyring.seal(CARRIED.at(&place), &encoded(value.as_deref()))?;
        let (upsert, values) = if is_newer {
            let update = "UPDATE carried SET value = ?4 WHERE merchant = ?1 AND public_id = ?2 AND field = ?3";
            (update, vec![Value::Bytes(&sealed)])
        } else {
            let insert = "INSERT INTO carried (merchant, public_id, field, value, connection, operation, native_hash) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (merchant, public_id, field) DO UPDATE \
                          SET value = excluded.value, connection = excluded.connection, \
                          operation = excluded.operation, native_hash = excluded.native_hash";
            let native = Value::bytes(native.as_ref().map(|hash| &hash[..]));
            let place = [&carried.connection, &operation].map(|text| Value::Text(text));
            (insert, vec![Value::Bytes(&sealed), place[0], place[1], native])
        };
        session.execute(upsert, &[&row[..], &values].concat()).await?;
    }
    Ok(())
}

/// Deletes rows of a customer: those of these fields, or all.
async fn forget(
    session: &mut dyn Session,
    merchant: &str,
    public_id: &str,
    fields: Option<&[String]>,
) -> Result<(), StoreError> {
    let customer = [merchant, public_id].map(Value::Text);
    let Some(fields) = fields else {
        let delete = "DELETE FROM carried WHERE merchant = ?1 AND public_id = ?2";
        return session.execute(delete, &customer).await.map(|_| ());
    };
    for field in fields {
        let delete = "DELETE FROM carried WHERE merchant = ?1 AND public_id = ?2 AND field = ?3";
        session.execute(delete, &[&customer[..], &[Value::Text(field)]].concat()).await?;
    }
    Ok(())
}

/// Changes what is kept of a customer, outside the end of a write.
pub(in crate::store) struct Apply {
    pub(in crate::store) keyring: Arc<Keyring>,
    pub(in crate::store) merchant: String,
    pub(in crate::store) changes: CarriedChanges,
}

#[async_trait]
impl Work for Apply {
    type Done = ();

    /// It reads rows before it writes them.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        change(session, &self.keyring, &self.merchant, OperationId::now(), &self.changes).await
    }
}

/// Changes what is kept of a customer who is copied, unless the customer was written or deleted since it was read.
///
/// A row keeps the write that made it, and a new row has none: the end of a client's write, which may have been claimed
/// before this, replaces the part in any case.
pub(in crate::store) struct ApplyCopy {
    pub(in crate::store) keyring: Arc<Keyring>,
    pub(in crate::store) merchant: String,
    pub(in crate::store) version: i64,
    pub(in crate::store) changes: CarriedChanges,
}

#[async_trait]
impl Work for ApplyCopy {
    type Done = bool;

    /// It reads the version before it writes.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let (merchant, public_id) = (&self.merchant, folded(&self.changes.public_id));
        let customer = [merchant, &*public_id].map(Value::Text);
        // A copy that ends after the end of its switch keeps nothing: the parts that its connection needs are forgotten then.
        let select = "SELECT public_id FROM customers WHERE merchant = ?1 AND public_id = ?2 AND version = ?3 \
                      AND deletion IS NULL AND EXISTS (SELECT 1 FROM routing WHERE merchant = ?1 AND switch_id IS NOT NULL)";
        let is_current = session.rows(select, &[&customer[..], &[Value::Integer(self.version)]].concat()).await?;
        if is_current.is_empty() {
            return Ok(false);
        }
        for change in &self.changes.changes {
            let field = change.field().name();
            let row = [&customer[..], &[Value::Text(field)]].concat();
            let (Change::Put { value, native, .. }, place) = (change, place(merchant, &public_id, field)) else {
                let delete = "DELETE FROM carried WHERE merchant = ?1 AND public_id = ?2 AND field = ?3";
                session.execute(delete, &row).await?;
                continue;
            };
            let sealed = self.keyring.seal(CARRIED.at(&place), &encoded(value.as_deref()))?;
            let upsert = "INSERT INTO carried (merchant, public_id, field, value, connection, native_hash, operation) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, '') ON CONFLICT (merchant, public_id, field) DO UPDATE \
                          SET value = excluded.value, connection = excluded.connection, \
                          native_hash = excluded.native_hash";
            let native = Value::bytes(native.as_ref().map(|hash| &hash[..]));
            let values = [Value::Bytes(&sealed), Value::Text(&self.changes.connection), native];
            session.execute(upsert, &[&row[..], &values].concat()).await?;
        }
        Ok(true)
    }
}

/// Forgets parts of customers who live at the active connection: those of fields that it holds itself. It takes the rows
/// of some customers after a public id, and returns the last of these.
pub(in crate::store) struct ForgetHeld {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) fields: Vec<&'static str>,
    pub(in crate::store) after: String,
}

#[async_trait]
impl Work for ForgetHeld {
    type Done = Option<String>;

    /// It reads which customers are next.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<String>, StoreError> {
        let select = format!(
            "SELECT max(public_id) FROM (SELECT public_id FROM carried WHERE merchant = ?1 AND public_id > ?2 \
             ORDER BY public_id LIMIT {CHUNK}) AS next"
        );
        let (merchant, after) = (Value::Text(&self.merchant), Value::Text(&self.after));
        let last = match session.rows(&select, &[merchant, after]).await?.pop() {
            Some(mut row) => row.maybe_text()?,
            None => None,
        };
        let Some(last) = last else { return Ok(None) };
        // A part that was written for this connection is a value that it could not take.
        let delete = "DELETE FROM carried WHERE merchant = ?1 AND public_id > ?2 AND public_id <= ?3 \
                      AND connection <> ?4 AND field = ?5 AND NOT EXISTS (SELECT 1 FROM customers \
                      WHERE customers.merchant = ?1 AND customers.public_id = carried.public_id \
                      AND customers.pinned IS NOT NULL AND customers.pinned <> ?4)";
        for field in &self.fields {
            let values = [merchant, after, Value::Text(&last), Value::Text(&self.connection), Value::Text(field)];
            session.execute(delete, &values).await?;
        }
        Ok(Some(last))
    }
}

/// Forgets fields of a customer, or all of them.
pub(in crate::store) struct Forget {
    pub(in crate::store) merchant: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) fields: Option<Vec<String>>,
}

#[async_trait]
impl Work for Forget {
    type Done = ();

    /// Each statement deletes rows, whatever they contain.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        forget(session, &self.merchant, &self.public_id, self.fields.as_deref()).await
    }
}
