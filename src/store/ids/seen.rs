//! What a copy keeps about a record: keyed hashes of what both sides last had in common.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;

use super::{
    Ids, folded,
    marks::{Forget, Hold},
    rows::CHUNK,
};
use crate::store::{
    database::{Group, Session, Work, lists::places, read, values::Value, write},
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

struct ReadSeenAt {
    merchant: String,
    connection: String,
    provider_ids: Vec<String>,
}

#[async_trait]
impl Work for ReadSeenAt {
    type Done = HashMap<String, Vec<Vec<u8>>>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let mut seen: Self::Done = HashMap::new();
        for ids in self.provider_ids.chunks(CHUNK) {
            let mut values = vec![Value::Text(&self.merchant), Value::Text(&self.connection)];
            let places = places(&mut values, ids.iter().map(|id| Value::Text(id)));
            let select = format!(
                "SELECT named.public_id, ids.seen FROM customer_ids AS named CROSS JOIN customer_ids AS ids \
                 WHERE named.merchant = ?1 AND named.connection = ?2 AND named.provider_id IN ({places}) \
                 AND ids.merchant = ?1 AND ids.public_id = named.public_id AND ids.seen IS NOT NULL"
            );
            for mut row in session.rows(&select, &values).await? {
                seen.entry(row.text()?).or_default().push(row.bytes()?);
            }
        }
        Ok(seen)
    }
}

impl Ids {
    /// What [`Ids::keep_copy`] last kept about customers, by their public ids. They are given by their ids at a connection. It is
    /// one query for up to 512 ids.
    pub async fn seen_of(
        &self,
        merchant: &str,
        connection: &str,
        ids: &[&str],
    ) -> Result<HashMap<String, Vec<Vec<u8>>>, StoreError> {
        let [merchant, connection] = [merchant, connection].map(str::to_owned);
        let provider_ids = ids.iter().map(|id| folded(id)).collect();
        read(&*self.store.database, ReadSeenAt { merchant, connection, provider_ids }).await
    }

    /// Drops the id of a record that a copy made and that was deleted again. `false`: it is the customer's only one, or no
    /// copy has made it.
    pub async fn forget(
        &self,
        merchant: &str,
        public_id: &str,
        connection: &str,
        provider_id: &str,
    ) -> Result<bool, StoreError> {
        let [merchant, connection] = [merchant, connection].map(str::to_owned);
        let [public_id, provider_id] = [public_id, provider_id].map(folded);
        write(&*self.store.database, Forget { merchant, public_id, connection, provider_id }).await
    }

    /// Lets the claims on a customer wait for so long, while it is moved. `None`: they go on.
    pub async fn hold(&self, merchant: &str, public_id: &str, time: Option<Duration>) -> Result<(), StoreError> {
        let time = time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let hold = Hold { merchant: merchant.to_owned(), public_id: folded(public_id), time };
        write(&*self.store.database, hold).await
    }

    /// What [`Ids::keep_copy`] last kept about the record of a customer at a connection.
    pub async fn seen(&self, merchant: &str, public_id: &str, connection: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let [merchant, connection] = [merchant, connection].map(str::to_owned);
        read(&*self.store.database, ReadSeen { merchant, public_id: folded(public_id), connection }).await
    }
}
