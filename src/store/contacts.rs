//! Contacts: keyed hashes of the e-mail addresses and phone numbers of customers, each with the id of its customer. A
//! look-up needs them at a provider whose lists do not show every customer. [`Contacts`] is their handle. The values
//! themselves never reach the database.
//!
//! A contact is in one of two places, and look-ups ask both in one statement:
//!
//! - in the row in `operations` of the write that set it. The statement that finishes the write sets it there
//!   (`operations/ends.rs`), so a create costs no statement and no row more, only an entry in each of two indexes;
//! - in the table `contacts`, after that row was deleted because of its age ([`delete_operations`]). Versions before
//!   wrote every contact there.
//!
//! Only one place has a contact of a customer: a write that sets or clears it removes it from all others
//! ([`remove_others`]). While an older replica writes to the table, both can have one. The provider decides then: a
//! look-up retrieves the customer, compares, and corrects what differs ([`Contacts::correct`]).
//!
//! `operations` has only the beginning of a hash ([`beginning`]), and so have the contacts that were moved from there to the
//! table. Shorter rows and indexes make a create cheaper. Two values with the same beginning would do no harm, because a
//! look-up retrieves the customer and compares.
//!
//! The secret of the hashes belongs to the store, so a new `store.key` does not change them.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use passerelle_providers::model::Patch;

use super::{
    database::{
        Group, Session, Work,
        head::Hash,
        read,
        values::{Value, limited},
        write,
    },
    error::StoreError,
    hashes::Hashes,
    opened::Opened,
};

/// How old a contact must be before a look-up may correct it. A provider may answer a retrieval with an older state of
/// the customer for a while, and such an answer must not replace what a write has just recorded.
pub(super) const SETTLED: Duration = Duration::from_mins(10);

/// The part of a hash that is in `operations`.
pub(super) fn beginning(hash: &Hash) -> &[u8] {
    hash.split_at(8).0
}

/// The hash of a contact that counts at whichever connection the customer is. No connection has an empty name.
pub(super) fn wherever(hashes: &Hashes, merchant: &str, kind: ContactKind, value: &str) -> Hash {
    hashes.contact(merchant, "", kind.as_str(), value)
}

/// What a customer is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactKind {
    /// By e-mail address.
    Email,
    /// By phone number.
    Phone,
}

impl ContactKind {
    /// The word of the database.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// The column of `operations` and of `customers`.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Email => "email_hash",
            Self::Phone => "phone_hash",
        }
    }
}

/// The customers of one connection of a merchant.
#[derive(Debug, Clone, Copy)]
pub struct ContactsOf<'a> {
    /// The merchant.
    pub merchant: &'a str,
    /// The connection.
    pub connection: &'a str,
}

/// What the end of a write changes about the contacts of its customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactChanges {
    pub(in crate::store) email: Patch<Hash>,
    pub(in crate::store) phone: Patch<Hash>,
    /// What changes in the row of the customer, if there is one.
    pub(in crate::store) row_email: Patch<Hash>,
    pub(in crate::store) row_phone: Patch<Hash>,
    /// What the home shows after the write, as keyed hashes. It goes into the row of the customer, too.
    pub shown: Option<Vec<u8>>,
}

impl ContactChanges {
    /// The changes of a deletion: no contact is kept.
    pub const fn forget() -> Self {
        Self { email: Patch::Clear, phone: Patch::Clear, row_email: Patch::Clear, row_phone: Patch::Clear, shown: None }
    }

    /// What changes in the row of the customer.
    pub(super) fn of_row(&self) -> RowContacts<'_> {
        let [email, phone] = [&self.row_email, &self.row_phone].map(|change| match change {
            Patch::Absent => Patch::Absent,
            Patch::Clear => Patch::Clear,
            Patch::Set(hash) => Patch::Set(beginning(hash)),
        });
        RowContacts { email, phone, shown: self.shown.as_deref() }
    }

    /// The kinds of contact that change.
    fn kinds(&self) -> impl Iterator<Item = ContactKind> {
        let changes = [(ContactKind::Email, &self.email), (ContactKind::Phone, &self.phone)];
        changes.into_iter().filter(|(_, change)| !change.is_absent()).map(|(kind, _)| kind)
    }
}

/// What the end of a write changes about the contacts of its customer's row.
#[derive(Debug, Clone, Default)]
pub(super) struct RowContacts<'a> {
    pub(super) email: Patch<&'a [u8]>,
    pub(super) phone: Patch<&'a [u8]>,
    /// What the home shows after the write.
    pub(super) shown: Option<&'a [u8]>,
}

/// The contacts that a store keeps. Clones share one store.
#[derive(Clone)]
pub struct Contacts {
    store: Arc<Opened>,
}

impl fmt::Debug for Contacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Contacts").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl Contacts {
    pub(super) fn of(store: &Arc<Opened>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// The changes that a create or an update makes: each kind with its new value, or with `None` if the customer has
    /// none any more. A kind that is not named stays as it is. Equal values must be given as equal texts.
    pub fn changes<'v>(
        &self,
        of: ContactsOf<'_>,
        values: impl IntoIterator<Item = (ContactKind, Option<&'v str>)>,
    ) -> ContactChanges {
        let mut changes = ContactChanges::default();
        for (kind, value) in values {
            let change = value.map_or(Patch::Clear, |value| Patch::Set(self.hash(of, kind, value)));
            match kind {
                ContactKind::Email => changes.email = change,
                ContactKind::Phone => changes.phone = change,
            }
        }
        changes
    }

    /// Adds what a write changes in the row of its customer, for a merchant with a routing row. The values are given as for
    /// [`Contacts::changes`].
    #[must_use]
    pub fn with_row<'v>(
        &self,
        merchant: &str,
        mut changes: ContactChanges,
        values: impl IntoIterator<Item = (ContactKind, Option<&'v str>)>,
    ) -> ContactChanges {
        for (kind, value) in values {
            let change =
                value.map_or(Patch::Clear, |value| Patch::Set(wherever(&self.store.hashes, merchant, kind, value)));
            match kind {
                ContactKind::Email => changes.row_email = change,
                ContactKind::Phone => changes.row_phone = change,
            }
        }
        changes
    }

    /// The ids of at most `limit` customers with a value, the one that was changed last first.
    pub async fn find(
        &self,
        of: ContactsOf<'_>,
        kind: ContactKind,
        value: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        read(&*self.store.database, Find { kind, hash: self.hash(of, kind, value), limit }).await
    }

    /// Corrects a customer's contact that has the value `from` to the value `to`, or deletes it (`None`). Nothing changes
    /// if a write has changed the contact a short time ago, or since the caller has read it.
    pub async fn correct(
        &self,
        of: ContactsOf<'_>,
        customer: &str,
        kind: ContactKind,
        from: &str,
        to: Option<&str>,
    ) -> Result<(), StoreError> {
        let correction = Correct {
            owner: Owner::new(of, customer),
            kind,
            from: self.hash(of, kind, from),
            to: to.map(|to| self.hash(of, kind, to)),
        };
        write(&*self.store.database, correction).await
    }

    fn hash(&self, of: ContactsOf<'_>, kind: ContactKind, value: &str) -> Hash {
        self.store.hashes.contact(of.merchant, of.connection, kind.as_str(), value)
    }
}

/// The customer whose contact it is.
pub(in crate::store) struct Owner {
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) customer: String,
}

impl Owner {
    fn new(of: ContactsOf<'_>, customer: &str) -> Self {
        Self { merchant: of.merchant.to_owned(), connection: of.connection.to_owned(), customer: customer.to_owned() }
    }
}

/// The customers with a contact. The hash is different for every merchant, connection and kind.
pub(in crate::store) struct Find {
    pub(in crate::store) kind: ContactKind,
    pub(in crate::store) hash: Hash,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for Find {
    type Done = Vec<String>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<String>, StoreError> {
        let column = self.kind.column();
        // An older replica that erases an operation leaves its hashes.
        let select = format!(
            "SELECT customer FROM (SELECT * FROM (SELECT customer, finished_at AS changed_at FROM operations \
             WHERE {column} = ?1 AND erased = 0 ORDER BY finished_at DESC LIMIT ?3) AS newer \
             UNION ALL SELECT * FROM (SELECT customer, changed_at FROM contacts \
             WHERE hash IN (?1, ?2) ORDER BY changed_at DESC LIMIT ?3) AS older) AS found \
             GROUP BY customer ORDER BY max(changed_at) DESC LIMIT ?3"
        );
        let limit = Value::Integer(limited(self.limit));
        let values = [Value::Bytes(beginning(&self.hash)), Value::Bytes(&self.hash), limit];
        session.rows(&select, &values).await?.into_iter().map(|mut row| row.text()).collect()
    }
}

/// Corrects one contact.
pub(in crate::store) struct Correct {
    pub(in crate::store) owner: Owner,
    pub(in crate::store) kind: ContactKind,
    pub(in crate::store) from: Hash,
    pub(in crate::store) to: Option<Hash>,
}

#[async_trait]
impl Work for Correct {
    type Done = ();

    /// Each statement changes the contact only while it still has the hash that the caller has read. A concurrent end of
    /// a write sets the hash whatever it was, so its value stays in either order. A concurrent reaper moves the contact
    /// from the first place to the second, and so do the statements: the first waits for the reaper to commit, and the
    /// second then finds the contact.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let Owner { merchant, connection, customer } = &self.owner;
        let settled = i64::try_from(SETTLED.as_millis()).unwrap_or(i64::MAX);
        let (kind, column) = (Value::Text(self.kind.as_str()), self.kind.column());
        let owner = [merchant, connection, customer].map(|text| Value::Text(text));
        let expected = [Value::Bytes(beginning(&self.from)), Value::Integer(group.now.saturating_sub(settled))];
        let whole = Value::Bytes(&self.from);
        let to = Value::bytes(self.to.as_ref().map(beginning));
        let update = format!(
            "UPDATE operations SET {column} = ?6 WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
             AND {column} = ?4 AND finished_at <= ?5"
        );
        session.execute(&update, &[&owner[..], &expected, &[to]].concat()).await?;
        if self.to.is_some() {
            let update = "UPDATE contacts SET hash = ?8 WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
                          AND kind = ?4 AND hash IN (?5, ?7) AND changed_at <= ?6";
            session.execute(update, &[&owner[..], &[kind], &expected, &[whole, to]].concat()).await?;
        } else {
            let delete = "DELETE FROM contacts WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
                          AND kind = ?4 AND hash IN (?5, ?7) AND changed_at <= ?6";
            session.execute(delete, &[&owner[..], &[kind], &expected, &[whole]].concat()).await?;
        }
        Ok(())
    }
}

/// Removes the contacts that a write has set or cleared from every other place than its own row. It belongs to the
/// transaction that finishes the write. A create that was answered needs none of it: its customer is new.
pub(super) async fn remove_others(
    session: &mut dyn Session,
    of: ContactsOf<'_>,
    customer: &str,
    changes: &ContactChanges,
    own_row: &str,
) -> Result<(), StoreError> {
    let owner = [of.merchant, of.connection, customer].map(Value::Text);
    for kind in changes.kinds() {
        // In this order, because a concurrent reaper moves contacts from the first place to the second.
        let column = kind.column();
        let update = format!(
            "UPDATE operations SET {column} = NULL WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
             AND id <> ?4 AND {column} IS NOT NULL"
        );
        session.execute(&update, &[&owner[..], &[Value::Text(own_row)]].concat()).await?;
        let delete = "DELETE FROM contacts WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 AND kind = ?4";
        session.execute(delete, &[&owner[..], &[Value::Text(kind.as_str())]].concat()).await?;
    }
    Ok(())
}

/// Deletes rows from `operations`, and moves their contacts to the table `contacts`. `delete` is the statement, without
/// its `RETURNING`. Returns how many rows were deleted.
pub(super) async fn delete_operations(
    session: &mut dyn Session,
    delete: &str,
    values: &[Value<'_>],
) -> Result<u64, StoreError> {
    let delete = format!(
        "{delete} RETURNING CASE WHEN erased = 1 THEN NULL ELSE email_hash END, \
         CASE WHEN erased = 1 THEN NULL ELSE phone_hash END, merchant, connection, customer, finished_at"
    );
    let rows = session.rows(&delete, values).await?;
    let deleted = rows.len() as u64;
    for mut row in rows {
        let hashes = [(ContactKind::Email, row.maybe_bytes()?), (ContactKind::Phone, row.maybe_bytes()?)];
        if hashes.iter().all(|(_, hash)| hash.is_none()) {
            continue;
        }
        let (merchant, connection, customer) = (row.text()?, row.text()?, row.text()?);
        let changed_at = row.integer()?;
        for (kind, hash) in hashes {
            let Some(hash) = hash else { continue };
            // A contact that is there already was written by an older replica, after this one.
            let insert = "INSERT INTO contacts (merchant, connection, customer, kind, hash, changed_at) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                          ON CONFLICT (merchant, connection, customer, kind) DO NOTHING";
            let [merchant, connection, customer, kind] =
                [&merchant, &connection, &customer, kind.as_str()].map(Value::Text);
            let values = [merchant, connection, customer, kind, Value::Bytes(&hash), Value::Integer(changed_at)];
            session.execute(insert, &values).await?;
        }
    }
    Ok(deleted)
}
