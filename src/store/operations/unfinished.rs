//! Creates whose outcome is not known yet, by the contacts of the customers that they make. Only the row of a create of a
//! merchant with a routing row has these contacts from its claim on.

use async_trait::async_trait;

use super::{
    OperationLog,
    record::{CreatedContacts, Record},
    rows::{Stored, columns},
};
use crate::store::{
    contacts::{ContactKind, beginning, wherever},
    database::{Group, Session, Work, head::Hash, read, values::Value},
    error::StoreError,
    hashes::Hashes,
};

impl CreatedContacts {
    /// The hashes of the e-mail address and the phone number, as the row has them.
    pub(super) fn hashes(&self, hashes: &Hashes, merchant: &str) -> [Option<Vec<u8>>; 2] {
        [(ContactKind::Email, &self.email), (ContactKind::Phone, &self.phone)].map(|(kind, value)| {
            value.as_deref().map(|value| beginning(&wherever(hashes, merchant, kind, value)).to_vec())
        })
    }
}

impl OperationLog {
    /// Creates of a merchant with a routing row whose customer has this contact, and whose outcome is not known. Copies are
    /// not among them. Equal values must be given as equal texts.
    pub async fn unfinished_creates(
        &self,
        merchant: &str,
        kind: ContactKind,
        value: &str,
    ) -> Result<Vec<Record>, StoreError> {
        let hash = wherever(&self.store.hashes, merchant, kind, value);
        let work = UnfinishedCreates { merchant: merchant.to_owned(), kind, hash };
        read(&*self.store.database, work).await?.into_iter().map(|stored| self.opened(stored)).collect()
    }
}

/// Creates whose outcome is not known, by a contact of the customer that they make.
pub(in crate::store) struct UnfinishedCreates {
    pub(in crate::store) merchant: String,
    pub(in crate::store) kind: ContactKind,
    pub(in crate::store) hash: Hash,
}

#[async_trait]
impl Work for UnfinishedCreates {
    type Done = Vec<Stored>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<Stored>, StoreError> {
        let select = format!(
            concat!(
                "SELECT ",
                columns!(),
                " FROM operations WHERE {column} = ?1 AND finished_at IS NULL AND merchant = ?2 \
                 AND operation = 'create' AND copy_of IS NULL ORDER BY created_at LIMIT 8"
            ),
            column = self.kind.column()
        );
        let values = [Value::Bytes(beginning(&self.hash)), Value::Text(&self.merchant)];
        session.rows(&select, &values).await?.into_iter().map(Stored::read).collect()
    }
}
