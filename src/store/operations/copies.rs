//! Copies of customers to another connection, which the gateway itself makes while a merchant switches providers. A copy is
//! an operation like any other, but its key is in a space of its own: a client's key never names a copy.
//!
//! A customer has one key at each connection, for creates, updates and deletions alike. So the unique index of the keys
//! lets only one copy of a customer at a connection be open. A row with an open copy is found whatever the content of the
//! new copy is. A row whose copy has ended gives way to the next copy, with one exception: the row of a create that
//! happened is the memory of it for the next create.

use async_trait::async_trait;
use data_encoding::HEXLOWER;

use super::{
    OperationLog,
    duplicates::Found,
    record::{CopyOf, Record, State},
    rows::{Stored, columns},
};
use crate::store::{
    audit::Hash,
    database::{Group, Session, Work, read, values::Value},
    error::StoreError,
    hashes::Hashes,
};

/// A copy that is about to be claimed.
#[derive(Debug, Clone)]
pub(in crate::store) struct Copy {
    pub(super) of: CopyOf,
    /// Whether it creates the record.
    pub(super) is_create: bool,
}

impl Copy {
    /// What the row with the key of this copy means for it.
    pub(super) fn judge(&self, existing: Stored) -> Found {
        match existing.state {
            State::Sending => Found::InFlight(existing),
            State::Unknown => Found::Unknown(existing),
            State::Done if self.is_create && existing.operation == "create" && Self::remembers(&existing) => {
                Found::Finished(existing)
            }
            State::Done | State::Failed => Found::Nothing,
        }
    }

    /// Whether the state that it copies is still that of the customer. No write of a client claims between this and the
    /// insertion of the copy, so no copy of an older state follows one of a newer state.
    pub(super) async fn is_of_current_state(
        &self,
        session: &mut dyn Session,
        merchant: &str,
    ) -> Result<bool, StoreError> {
        let Some(version) = self.of.version else { return Ok(true) };
        let select = "SELECT public_id FROM customers WHERE merchant = ?1 AND public_id = ?2 AND version = ?3";
        let version = Value::Integer(i64::try_from(version).unwrap_or(i64::MAX));
        let values = [Value::Text(merchant), Value::Text(&self.of.public_id), version];
        Ok(!session.rows(select, &values).await?.is_empty())
    }

    /// Whether the record that an earlier create made exists, as far as the gateway knows.
    fn remembers(existing: &Stored) -> bool {
        existing.customer.is_some() && !existing.erased
    }
}

impl CopyOf {
    pub(super) fn key(&self, hashes: &Hashes, merchant: &str, connection: &str) -> Hash {
        // Keys of clients are hashed with another secret.
        hashes.contact(merchant, connection, "copy key", &self.public_id)
    }
}

impl OperationLog {
    /// The last copy of a customer at a connection, of those that are kept. It claims nothing.
    pub async fn find_copy(
        &self,
        merchant: &str,
        connection: &str,
        public_id: &str,
    ) -> Result<Option<Record>, StoreError> {
        let of = CopyOf { public_id: public_id.to_owned(), version: None };
        let key = of.key(&self.store.hashes, merchant, connection);
        let found = read(&*self.store.database, FindCopy { merchant: merchant.to_owned(), key }).await?;
        found.map(|stored| self.opened(stored)).transpose()
    }

    /// The marker of the records that copies of a customer make, where the provider has a place for it. Only a store with
    /// the same secret makes the same one, so the marker of another gateway or of another merchant never equals it.
    pub fn copy_marker(&self, merchant: &str, public_id: &str) -> String {
        let hash = self.store.hashes.contact(merchant, "", "copy marker", public_id);
        format!("copy_{}", HEXLOWER.encode(&hash[..16]))
    }

    /// The beginning of the keyed hash of a value of a customer: by it a copy recognizes what the gateway wrote before.
    pub fn copied_value_hash(&self, merchant: &str, value: &[u8]) -> [u8; 8] {
        let mut beginning = [0; 8];
        let hash = self.store.hashes.contact(merchant, "", "copied value", &String::from_utf8_lossy(value));
        beginning.copy_from_slice(&hash[..8]);
        beginning
    }
}

/// The operation with the key of a copy.
struct FindCopy {
    merchant: String,
    key: Hash,
}

#[async_trait]
impl Work for FindCopy {
    type Done = Option<Stored>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<Stored>, StoreError> {
        let select = concat!("SELECT ", columns!(), " FROM operations WHERE merchant = ?1 AND key_hash = ?2");
        let values = [Value::Text(&self.merchant), Value::Bytes(&self.key)];
        session.rows(select, &values).await?.pop().map(Stored::read).transpose()
    }
}
