//! Gives records of a connection their rows, before an answer shows them.
//!
//! The public id of a record without a row is its id at the connection. If that names another customer, as its public id or
//! at another connection, it is a UUID that derives from the store's secret, so that every replica derives the same.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;

use super::{AdoptedId, Deletion, routes::routing, rows::CHUNK};
use crate::store::{
    contacts::{ContactKind, SETTLED},
    database::{
        Group, Session, Work,
        lists::{list, pieces, places},
        values::Value,
    },
    error::StoreError,
    hashes::Hashes,
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

impl NewRow {
    pub(super) fn contact(&self, kind: ContactKind) -> Option<&[u8]> {
        match kind {
            ContactKind::Email => self.email.as_deref(),
            ContactKind::Phone => self.phone.as_deref(),
        }
    }
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
    noted_at: i64,
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
            let places = places(&mut values, records.iter().map(|record| Value::Text(&record.provider_id)));
            let select = format!(
                "SELECT ids.provider_id, customers.public_id, coalesce(customers.pinned, routing.connection), \
                 customers.deletion, customers.written_at, customers.email_hash, customers.phone_hash, ids.copied_at, \
                 customers.copied_at \
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
                    noted_at: row.integer()?,
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

    fn adopted(&self, known: &HashMap<String, Known>) -> Vec<AdoptedId> {
        let adopted = self.records.iter().map(|record| match known.get(&record.provider_id) {
            Some(known) => AdoptedId {
                public_id: known.public_id.clone(),
                home: known.home.clone(),
                is_tombstoned: known.is_tombstoned,
                is_held: false,
                copied_at: known.copied_at,
                noted_at: known.noted_at,
            },
            // Every record gets a row, except those that are held.
            None => AdoptedId {
                public_id: record.provider_id.clone(),
                home: self.connection.clone(),
                is_tombstoned: false,
                is_held: true,
                copied_at: None,
                noted_at: 0,
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
        let (mut shown, mut refreshed, mut new, mut again) = (HashSet::new(), Vec::new(), Vec::new(), Vec::new());
        for record in page.records.iter().filter(|record| shown.insert(&record.provider_id)) {
            let row = known.get(&record.provider_id);
            match (page.need(record, row, group.now), row) {
                (Need::Nothing, _) => {}
                (Need::Refresh, Some(row)) => refreshed.push((row.public_id.as_str(), row.contacts(record, group.now))),
                (Need::NewCustomer, _) => again.push(record),
                _ => new.push(record),
            }
        }
        self.refresh(session, &refreshed).await?;
        if page.sent_at.is_none() && !new.is_empty() {
            let made = page.may_be_made(session, &new).await?;
            new.retain(|record| !made.contains(record.provider_id.as_str()));
        }
        for (public_id, record) in self.insert(session, &new, &again, pinned).await? {
            let row = Known {
                public_id,
                home: page.connection.clone(),
                is_tombstoned: false,
                written_at: 0,
                email: record.email.clone(),
                phone: record.phone.clone(),
                copied_at: None,
                noted_at: 0,
            };
            known.insert(record.provider_id.clone(), row);
        }
        Ok(page.adopted(&known))
    }
}

/// A customer who is to be inserted.
struct Candidate<'r> {
    record: &'r NewRow,
    public_id: String,
    /// How many UUIDs were derived for it.
    derived: u32,
}

impl Adopt {
    async fn refresh(
        &self,
        session: &mut dyn Session,
        customers: &[(&str, [&Option<Vec<u8>>; 2])],
    ) -> Result<(), StoreError> {
        for piece in pieces(customers) {
            let mut values = vec![Value::Text(&self.page.merchant)];
            let rows = piece.iter().map(|(public_id, [email, phone])| {
                [Value::Text(public_id), Value::bytes(email.as_deref()), Value::bytes(phone.as_deref())]
            });
            // Each of these rows is there.
            let update = format!(
                "INSERT INTO customers (public_id, email_hash, phone_hash, merchant) VALUES {} \
                 ON CONFLICT (merchant, public_id) DO UPDATE SET email_hash = excluded.email_hash, \
                 phone_hash = excluded.phone_hash, \
                 written_at = CASE WHEN customers.written_at < 0 THEN 0 ELSE customers.written_at END",
                list(&mut values, rows, "?1")
            );
            session.execute(&update, &values).await?;
        }
        Ok(())
    }

    fn derived<'r>(&self, record: &'r NewRow, number: u32) -> Result<Candidate<'r>, StoreError> {
        if number >= MOST_DERIVED {
            return Err(StoreError::Damaged("every id that derives for a record is taken".to_owned()));
        }
        let Page { merchant, connection, .. } = &*self.page;
        let public_id = self.hashes.public_id(merchant, connection, &record.provider_id, number);
        Ok(Candidate { record, public_id, derived: number + 1 })
    }

    /// Inserts customers of records that have no row, and of those whose row is that of a deleted customer (`again`). Returns
    /// their public ids.
    async fn insert<'r>(
        &self,
        session: &mut dyn Session,
        new: &[&'r NewRow],
        again: &[&'r NewRow],
        pinned: Option<&str>,
    ) -> Result<Vec<(String, &'r NewRow)>, StoreError> {
        let page = &*self.page;
        let (merchant, connection) = (Value::Text(&page.merchant), Value::Text(&page.connection));
        let named = page.named(session, new).await?;
        let own = |record: &&'r NewRow| match named.contains(&record.provider_id) {
            true => self.derived(record, 0),
            false => Ok(Candidate { record, public_id: record.provider_id.clone(), derived: 0 }),
        };
        let again_derived = again.iter().map(|record| self.derived(record, 0));
        let mut waiting = new.iter().map(own).chain(again_derived).collect::<Result<Vec<_>, _>>()?;
        let mut inserted = Vec::new();
        while !waiting.is_empty() {
            let mut free = HashSet::new();
            for piece in pieces(&waiting) {
                let mut values = vec![merchant, Value::text(pinned)];
                let rows = piece.iter().map(|Candidate { record, public_id, .. }| {
                    [
                        Value::Text(public_id),
                        Value::bytes(record.email.as_deref()),
                        Value::bytes(record.phone.as_deref()),
                    ]
                });
                let insert = format!(
                    "INSERT INTO customers (public_id, email_hash, phone_hash, merchant, pinned) VALUES {} \
                     ON CONFLICT DO NOTHING RETURNING public_id",
                    list(&mut values, rows, "?1, ?2")
                );
                for mut row in session.rows(&insert, &values).await? {
                    free.insert(row.text()?);
                }
            }
            let mut taken = Vec::new();
            for candidate in waiting {
                match free.remove(&candidate.public_id) {
                    true => inserted.push((candidate.public_id, candidate.record)),
                    false => taken.push(self.derived(candidate.record, candidate.derived)?),
                }
            }
            waiting = taken;
        }
        let (again, new): (Vec<_>, Vec<_>) =
            inserted.iter().partition(|(_, record)| again.iter().any(|other| std::ptr::eq(*other, *record)));
        for piece in pieces(&new) {
            let mut values = vec![merchant, connection];
            let rows =
                piece.iter().map(|(public_id, record)| [Value::Text(public_id), Value::Text(&record.provider_id)]);
            let insert = format!(
                "INSERT INTO customer_ids (public_id, provider_id, merchant, connection) VALUES {}",
                list(&mut values, rows, "?1, ?2")
            );
            session.execute(&insert, &values).await?;
        }
        for (public_id, record) in again {
            let update = "UPDATE customer_ids SET public_id = ?4, origin = 'first', seen = NULL, copied_at = NULL \
                          WHERE merchant = ?1 AND connection = ?2 AND provider_id = ?3";
            let values = [merchant, connection, Value::Text(&record.provider_id), Value::Text(public_id)];
            session.execute(update, &values).await?;
        }
        Ok(inserted)
    }
}
