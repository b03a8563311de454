//! Gives records of a connection their rows, before an answer shows them.
//!
//! The public id of a record without a row is its id at the connection. If that names another customer, as its public id or
//! at another connection, it is a UUID that derives from the store's secret, so that every replica derives the same.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;

use super::{
    AdoptedId, Deletion,
    routes::routing,
    rows::{CHUNK, places},
};
use crate::store::{
    contacts::{ContactKind, SETTLED},
    database::{Group, Session, Work, values::Value},
    error::StoreError,
    keyring::Hashes,
};

/// `written_at` of a row that only a claim made: nothing shows yet that the customer exists.
pub(super) const ONLY_CLAIMED: i64 = -1;

/// The most UUIDs that are derived for one record.
const MOST_DERIVED: u32 = 1000;

/// A record, as its row has it.
#[derive(Debug)]
pub(in crate::store) struct NewRow {
    pub(in crate::store) provider_id: String,
    pub(in crate::store) email: Option<Vec<u8>>,
    pub(in crate::store) phone: Option<Vec<u8>>,
}

/// Records of one connection.
#[derive(Debug)]
pub(in crate::store) struct Page {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) records: Vec<NewRow>,
    /// When the create was first sent that made the record, if one did.
    pub(in crate::store) sent_at: Option<i64>,
}

/// The row of a record.
struct Known {
    public_id: String,
    home: String,
    is_tombstoned: bool,
    written_at: i64,
    email: Option<Vec<u8>>,
    phone: Option<Vec<u8>>,
    copied_at: Option<i64>,
}

impl Known {
    /// The contacts that the row is to have, by what the record shows. A provider may show an older state for a while, which
    /// must not replace what a write has just recorded.
    fn contacts<'k>(&'k self, record: &'k NewRow, now: i64) -> [&'k Option<Vec<u8>>; 2] {
        let settled = i64::try_from(SETTLED.as_millis()).unwrap_or(i64::MAX);
        let is_settled = self.written_at <= now.saturating_sub(settled);
        [(&self.email, &record.email), (&self.phone, &record.phone)]
            .map(|(kept, shown)| if is_settled || kept.is_none() { shown } else { kept })
    }
}

/// What has to be written for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    /// The row has other contacts, or only a claim made it.
    Refresh,
    /// There is no row.
    Row,
    /// A create made a record whose id is that of a customer who was deleted before.
    NewCustomer,
}

impl Page {
    async fn known(&self, session: &mut dyn Session) -> Result<HashMap<String, Known>, StoreError> {
        let mut known = HashMap::new();
        for records in self.records.chunks(CHUNK) {
            let mut values = vec![Value::Text(&self.merchant), Value::Text(&self.connection)];
            let places = places(&mut values, records.iter().map(|record| record.provider_id.as_str()));
            let select = format!(
                "SELECT ids.provider_id, customers.public_id, coalesce(customers.pinned, routing.connection), \
                 customers.deletion, customers.written_at, customers.email_hash, customers.phone_hash, ids.copied_at \
                 FROM routing CROSS JOIN customer_ids AS named CROSS JOIN customers CROSS JOIN customer_ids AS ids \
                 WHERE routing.merchant = ?1 AND named.merchant = ?1 AND named.connection = ?2 \
                 AND named.provider_id IN ({places}) AND customers.merchant = ?1 \
                 AND customers.public_id = named.public_id AND ids.merchant = ?1 \
                 AND ids.public_id = named.public_id AND ids.connection = ?2"
            );
            for mut row in session.rows(&select, &values).await? {
                let provider_id = row.text()?;
                let row = Known {
                    public_id: row.text()?,
                    home: row.text()?,
                    is_tombstoned: row.maybe_text()?.as_deref() == Some(Deletion::Confirmed.as_str()),
                    written_at: row.integer()?,
                    email: row.maybe_bytes()?,
                    phone: row.maybe_bytes()?,
                    copied_at: row.maybe_integer()?,
                };
                known.insert(provider_id, row);
            }
        }
        Ok(known)
    }

    fn need(&self, record: &NewRow, known: Option<&Known>, now: i64) -> Need {
        let Some(known) = known else { return Need::Row };
        if known.is_tombstoned {
            let is_new = self.sent_at.is_some_and(|sent_at| known.written_at <= sent_at);
            return if is_new { Need::NewCustomer } else { Need::Nothing };
        }
        let is_other = known.contacts(record, now) != [&known.email, &known.phone];
        match known.written_at == ONLY_CLAIMED || is_other && known.home == self.connection {
            true => Need::Refresh,
            false => Need::Nothing,
        }
    }

    /// Whether a create at this connection that has not ended, of a client or of the copier, may have made a record (R22). Its
    /// end gives the record its row. A second row would make another customer of it.
    async fn may_be_made(&self, session: &mut dyn Session, record: &NewRow) -> Result<bool, StoreError> {
        for (kind, hash) in [(ContactKind::Email, &record.email), (ContactKind::Phone, &record.phone)] {
            let Some(hash) = hash else { continue };
            let select = format!(
                "SELECT id FROM operations WHERE {} = ?1 AND finished_at IS NULL AND merchant = ?2 AND connection = ?3 \
                 AND operation = 'create' LIMIT 1",
                kind.column()
            );
            let values = [Value::Bytes(hash), Value::Text(&self.merchant), Value::Text(&self.connection)];
            if !session.rows(&select, &values).await?.is_empty() {
                return Ok(true);
            }
        }
        // A copy whose record was found, and which has not ended: its end writes the row.
        let select = "SELECT id FROM operations WHERE merchant = ?1 AND customer = ?2 AND connection = ?3 \
                      AND copy_of IS NOT NULL AND finished_at IS NULL LIMIT 1";
        let values = [&self.merchant, &record.provider_id, &self.connection].map(|text| Value::Text(text));
        Ok(!session.rows(select, &values).await?.is_empty())
    }

    fn adopted(&self, known: &HashMap<String, Known>) -> Vec<AdoptedId> {
        let adopted = self.records.iter().map(|record| match known.get(&record.provider_id) {
            Some(known) => AdoptedId {
                public_id: known.public_id.clone(),
                home: known.home.clone(),
                is_tombstoned: known.is_tombstoned,
                is_held: false,
                copied_at: known.copied_at,
            },
            // Every record gets a row, except those that are held.
            None => AdoptedId {
                public_id: record.provider_id.clone(),
                home: self.connection.clone(),
                is_tombstoned: false,
                is_held: true,
                copied_at: None,
            },
        });
        adopted.collect()
    }
}

/// The rows of records, if nothing has to be written for them.
pub(in crate::store) struct ReadAdopted(pub(in crate::store) Arc<Page>);

#[async_trait]
impl Work for ReadAdopted {
    type Done = Option<Vec<AdoptedId>>;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        true
    }

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        // A reader has no time. So every other contact counts as settled here, and the writer decides.
        let known = self.0.known(session).await?;
        let mut needs =
            self.0.records.iter().map(|record| self.0.need(record, known.get(&record.provider_id), i64::MAX));
        Ok(needs.all(|need| need == Need::Nothing).then(|| self.0.adopted(&known)))
    }
}

/// Writes the rows of records that have none.
pub(in crate::store) struct Adopt {
    pub(in crate::store) page: Arc<Page>,
    pub(in crate::store) hashes: Arc<Hashes>,
}

#[async_trait]
impl Work for Adopt {
    type Done = Vec<AdoptedId>;

    /// It reads the routing and the rows that there are, and writes others by it.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Vec<AdoptedId>, StoreError> {
        let page = &*self.page;
        let mut known = page.known(session).await?;
        let Some(routing) = routing(session, &page.merchant).await? else { return Ok(page.adopted(&known)) };
        let is_pinned = routing.open.is_some() || routing.connection != page.connection;
        let pinned = is_pinned.then_some(page.connection.as_str());
        for record in &page.records {
            let row = known.get(&record.provider_id);
            let (merchant, connection, provider) =
                (Value::Text(&page.merchant), Value::Text(&page.connection), Value::Text(&record.provider_id));
            let need = page.need(record, row, group.now);
            let public_id = match (need, row) {
                (Need::Nothing, _) => continue,
                (Need::Row, _) if page.sent_at.is_none() && page.may_be_made(session, record).await? => continue,
                (Need::Refresh, Some(row)) => {
                    let update = "UPDATE customers SET email_hash = ?3, phone_hash = ?4, \
                                  written_at = CASE WHEN written_at < 0 THEN 0 ELSE written_at END \
                                  WHERE merchant = ?1 AND public_id = ?2";
                    let [email, phone] = row.contacts(record, group.now).map(|hash| Value::bytes(hash.as_deref()));
                    session.execute(update, &[merchant, Value::Text(&row.public_id), email, phone]).await?;
                    continue;
                }
                _ => self.insert(session, record, pinned, need).await?,
            };
            let id = [merchant, connection, provider, Value::Text(&public_id)];
            let keep = match need {
                Need::NewCustomer => {
                    "UPDATE customer_ids SET public_id = ?4, origin = 'first', seen = NULL, copied_at = NULL \
                     WHERE merchant = ?1 AND connection = ?2 AND provider_id = ?3"
                }
                _ => "INSERT INTO customer_ids (merchant, connection, provider_id, public_id) VALUES (?1, ?2, ?3, ?4)",
            };
            session.execute(keep, &id).await?;
            let row = Known {
                public_id,
                home: page.connection.clone(),
                is_tombstoned: false,
                written_at: 0,
                email: record.email.clone(),
                phone: record.phone.clone(),
                copied_at: None,
            };
            known.insert(record.provider_id.clone(), row);
        }
        Ok(page.adopted(&known))
    }
}

impl Adopt {
    /// Whether another customer has the id of a record at another connection. Answers have shown it as that customer's, so
    /// it must not become the public id of this one: public ids come first (R3).
    async fn is_named(&self, session: &mut dyn Session, record: &NewRow) -> Result<bool, StoreError> {
        let select = "SELECT public_id FROM customer_ids WHERE merchant = ?1 AND provider_id = ?2 LIMIT 1";
        let id = [&self.page.merchant, &record.provider_id].map(|text| Value::Text(text));
        Ok(!session.rows(select, &id).await?.is_empty())
    }

    /// Inserts a new customer, and returns its public id.
    async fn insert(
        &self,
        session: &mut dyn Session,
        record: &NewRow,
        pinned: Option<&str>,
        need: Need,
    ) -> Result<String, StoreError> {
        let Page { merchant, connection, .. } = &*self.page;
        let is_free = need == Need::Row && !self.is_named(session, record).await?;
        let own = is_free.then(|| record.provider_id.clone());
        let derived =
            (0..MOST_DERIVED).map(|number| self.hashes.public_id(merchant, connection, &record.provider_id, number));
        for public_id in own.into_iter().chain(derived) {
            let insert = "INSERT INTO customers (merchant, public_id, pinned, email_hash, phone_hash) \
                          VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            let values = [
                Value::Text(merchant),
                Value::Text(&public_id),
                Value::text(pinned),
                Value::bytes(record.email.as_deref()),
                Value::bytes(record.phone.as_deref()),
            ];
            if session.execute(insert, &values).await? == 1 {
                return Ok(public_id);
            }
        }
        Err(StoreError::Damaged("every id that derives for a record is taken".to_owned()))
    }
}
