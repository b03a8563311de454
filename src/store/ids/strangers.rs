//! Records of a connection that have no row there: which of them a create may have made, and whose ids others have.

use std::collections::HashSet;

use super::{
    adopting::{NewRow, Page},
    rows::CHUNK,
};
use crate::store::{
    contacts::ContactKind,
    database::{Session, lists::places, values::Value},
    error::StoreError,
};

impl Page {
    /// The records that a create at this connection which has not ended, of a client or of the copier, may have made (R22).
    /// Its end gives the record its row. A second row would make another customer of it.
    pub(super) async fn may_be_made<'r>(
        &self,
        session: &mut dyn Session,
        records: &[&'r NewRow],
    ) -> Result<HashSet<&'r str>, StoreError> {
        let mut made = HashSet::new();
        for records in records.chunks(CHUNK) {
            let here = [Value::Text(&self.merchant), Value::Text(&self.connection)];
            for kind in [ContactKind::Email, ContactKind::Phone] {
                let hashes: Vec<_> =
                    records.iter().filter_map(|record| record.contact(kind).map(Value::Bytes)).collect();
                if hashes.is_empty() {
                    continue;
                }
                let (column, mut values) = (kind.column(), here.to_vec());
                // `merchant` is compared as an expression: SQLite would read all operations of the merchant by its index.
                let select = format!(
                    "SELECT {column} FROM operations WHERE {column} IN ({}) AND finished_at IS NULL \
                     AND merchant || '' = ?1 AND connection = ?2 AND operation = 'create'",
                    places(&mut values, hashes.into_iter())
                );
                let open = session.rows(&select, &values).await?.into_iter().map(|mut row| row.bytes());
                let open: HashSet<Vec<u8>> = open.collect::<Result<_, _>>()?;
                let by_open =
                    records.iter().filter(|record| record.contact(kind).is_some_and(|hash| open.contains(hash)));
                made.extend(by_open.map(|record| record.provider_id.as_str()));
            }
            // A copy whose record was found, and which has not ended: its end writes the row.
            let mut values = here.to_vec();
            let select = format!(
                "SELECT customer FROM operations WHERE merchant = ?1 AND customer IN ({}) AND connection = ?2 \
                 AND copy_of IS NOT NULL AND finished_at IS NULL",
                places(&mut values, records.iter().map(|record| Value::Text(&record.provider_id)))
            );
            let found = session.rows(&select, &values).await?.into_iter().map(|mut row| row.text());
            let found: HashSet<String> = found.collect::<Result<_, _>>()?;
            made.extend(records.iter().map(|record| record.provider_id.as_str()).filter(|id| found.contains(*id)));
        }
        Ok(made)
    }

    /// The ids of records that another customer has at another connection. Answers have shown them as that customer's, so they
    /// must not become public ids of these: public ids come first (R3).
    pub(super) async fn named(
        &self,
        session: &mut dyn Session,
        records: &[&NewRow],
    ) -> Result<HashSet<String>, StoreError> {
        let mut named = HashSet::new();
        for records in records.chunks(CHUNK) {
            let mut values = vec![Value::Text(&self.merchant)];
            let select = format!(
                "SELECT provider_id FROM customer_ids WHERE merchant = ?1 AND provider_id IN ({})",
                places(&mut values, records.iter().map(|record| Value::Text(&record.provider_id)))
            );
            for mut row in session.rows(&select, &values).await? {
                named.insert(row.text()?);
            }
        }
        Ok(named)
    }
}
