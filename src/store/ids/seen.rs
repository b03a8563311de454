//! What a copy keeps about a record: keyed hashes of what both sides last had in common.

use async_trait::async_trait;

use super::{Ids, folded};
use crate::store::{
    database::{Group, Session, Work, read, values::Value},
    error::StoreError,
};

struct ReadSeen {
    merchant: String,
    public_id: String,
    connection: String,
}

#[async_trait]
impl Work for ReadSeen {
    type Done = Option<Vec<u8>>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<Vec<u8>>, StoreError> {
        let select = "SELECT seen FROM customer_ids WHERE merchant = ?1 AND public_id = ?2 AND connection = ?3";
        let values = [&self.merchant, &self.public_id, &self.connection].map(|text| Value::Text(text));
        match session.rows(select, &values).await?.pop() {
            Some(mut row) => row.maybe_bytes(),
            None => Ok(None),
        }
    }
}

impl Ids {
    /// What [`Ids::copied`] last kept about the record of a customer at a connection.
    pub async fn seen(&self, merchant: &str, public_id: &str, connection: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let [merchant, connection] = [merchant, connection].map(str::to_owned);
        read(&*self.store.database, ReadSeen { merchant, public_id: folded(public_id), connection }).await
    }
}
