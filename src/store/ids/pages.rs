//! What reads ask: the customers of a page of a connection, and how many are pinned to a connection.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{
    Epochs, Ids, KnownCustomer, folded,
    rows::{CHUNK, collect, customer},
};
use crate::store::{
    database::{
        Group, Session, Work,
        lists::places,
        read,
        values::{Value, limited, unsigned},
    },
    error::StoreError,
};

/// The customers that have these ids at one connection, by their ids there.
pub(in crate::store) struct ReadPage {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) provider_ids: Vec<String>,
}

#[async_trait]
impl Work for ReadPage {
    type Done = HashMap<String, KnownCustomer>;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        true
    }

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let mut customers = Vec::new();
        for ids in self.provider_ids.chunks(CHUNK) {
            let mut values = vec![Value::Text(&self.merchant), Value::Text(&self.connection)];
            let places = places(&mut values, ids.iter().map(|id| Value::Text(id)));
            let select = format!(
                concat!(
                    "SELECT ",
                    customer!(),
                    " FROM customer_ids AS named CROSS JOIN customers CROSS JOIN customer_ids AS ids \
                     WHERE named.merchant = ?1 AND named.connection = ?2 AND named.provider_id IN ({places}) \
                     AND customers.merchant = ?1 AND customers.public_id = named.public_id \
                     AND ids.merchant = ?1 AND ids.public_id = named.public_id"
                ),
                places = places
            );
            for mut row in session.rows(&select, &values).await? {
                let public_id = row.text()?;
                collect(&mut customers, public_id, &mut row)?;
            }
        }
        let by_id = customers.into_iter().filter_map(|customer: KnownCustomer| {
            let id = customer.id_at(&self.connection)?.to_owned();
            Some((id, customer))
        });
        Ok(by_id.collect())
    }
}

/// Counts the customers that are pinned to a connection, up to a number.
pub(in crate::store) struct CountPinned {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) most: usize,
}

#[async_trait]
impl Work for CountPinned {
    type Done = u64;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<u64, StoreError> {
        let select = "SELECT count(*) FROM (SELECT 1 FROM customers WHERE merchant = ?1 AND pinned IS NOT NULL \
                      AND pinned = ?2 AND (deletion IS NULL OR deletion <> 'confirmed') LIMIT ?3) AS pinned";
        let values = [Value::Text(&self.merchant), Value::Text(&self.connection), Value::Integer(limited(self.most))];
        let row = session.rows(select, &values).await?.pop();
        row.map_or(Ok(0), |mut row| row.integer().map(unsigned))
    }
}

/// Whether the list of a merchant's other side can have customers that a walk through the first list does not show.
pub(in crate::store) struct HasTail {
    pub(in crate::store) merchant: String,
    pub(in crate::store) first: String,
    pub(in crate::store) other: String,
    pub(in crate::store) since: i64,
}

#[async_trait]
impl Work for HasTail {
    type Done = bool;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        true
    }

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let select = "SELECT pinned FROM (SELECT pinned FROM customers WHERE merchant = ?1 AND pinned IS NOT NULL \
                      AND pinned = ?2 AND (deletion IS NULL OR deletion <> 'confirmed') LIMIT 1) AS pinned_there \
                      UNION ALL SELECT connection FROM (SELECT connection FROM customer_ids WHERE merchant = ?1 \
                      AND connection = ?3 AND copied_at IS NOT NULL AND copied_at > ?4 LIMIT 1) AS copied";
        let [merchant, other, first] = [&self.merchant, &self.other, &self.first].map(|text| Value::Text(text));
        let rows = session.rows(select, &[merchant, other, first, Value::Integer(self.since)]).await?;
        Ok(!rows.is_empty())
    }
}

impl Ids {
    /// Whether a walk that began in the list of the connection `first` has to go on in that of `other`: a customer is pinned
    /// there, or a copy made a row at `first` after `since`.
    pub async fn has_tail(&self, merchant: &str, first: &str, other: &str, since: i64) -> Result<bool, StoreError> {
        let [merchant, first, other] = [merchant, first, other].map(str::to_owned);
        read(&*self.store.database, HasTail { merchant, first, other, since }).await
    }

    /// The customers that have these ids at a connection, in the same order. `None` where there is no row. It is one query for
    /// up to 512 ids.
    pub async fn known(
        &self,
        merchant: &str,
        connection: &str,
        ids: &[&str],
    ) -> Result<Vec<Option<KnownCustomer>>, StoreError> {
        let provider_ids: Vec<String> = ids.iter().map(|id| folded(id)).collect();
        let page = ReadPage {
            merchant: merchant.to_owned(),
            connection: connection.to_owned(),
            provider_ids: provider_ids.clone(),
        };
        let known = read(&*self.store.database, page).await?;
        Ok(provider_ids.iter().map(|id| known.get(id).cloned()).collect())
    }

    /// How many customers are pinned to a connection. It counts no more than `most`.
    pub async fn count_pinned_to(&self, merchant: &str, connection: &str, most: usize) -> Result<u64, StoreError> {
        let count = CountPinned { merchant: merchant.to_owned(), connection: connection.to_owned(), most };
        read(&*self.store.database, count).await
    }

    /// The highest epochs that this process has read.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }
}
