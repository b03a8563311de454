//! Contacts: keyed hashes of the e-mail addresses and phone numbers of customers, each with the id of its customer. A
//! look-up needs them at a provider whose lists do not show every customer. [`Contacts`] is their handle. The values
//! themselves never reach the database.
//!
//! They change in the transaction that finishes a create, an update or a deletion (`operations/ends.rs`). A look-up that
//! finds out that the provider has another value corrects them ([`Contacts::correct`]). The secret of the hashes belongs
//! to the store, so a new `store.key` does not change them.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    database::{
        Group, Session, Work,
        head::Hash,
        read,
        values::{Value, limited},
        write,
    },
    error::StoreError,
    opened::Opened,
};

/// How old a contact must be before a look-up may correct it. A provider may answer a retrieval with an older state of
/// the customer for a while, and such an answer must not replace what a write has just recorded.
const SETTLED: Duration = Duration::from_mins(10);

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
    const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
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
    changes: Vec<(ContactKind, Option<Hash>)>,
}

impl ContactChanges {
    /// The changes of a create, for tests of the database alone.
    #[cfg(test)]
    pub(in crate::store) fn of_hashes(email: Hash, phone: Hash) -> Self {
        Self { changes: vec![(ContactKind::Email, Some(email)), (ContactKind::Phone, Some(phone))] }
    }

    /// The changes of a deletion: no contact is kept.
    pub fn forget() -> Self {
        Self { changes: vec![(ContactKind::Email, None), (ContactKind::Phone, None)] }
    }
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
        let mut changes: Vec<(ContactKind, Option<Hash>)> = Vec::new();
        for (kind, value) in values {
            changes.retain(|(other, _)| *other != kind);
            changes.push((kind, value.map(|value| self.hash(of, kind, value))));
        }
        ContactChanges { changes }
    }

    /// The ids of at most `limit` customers with a value, the one that was changed last first.
    pub async fn find(
        &self,
        of: ContactsOf<'_>,
        kind: ContactKind,
        value: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        read(&*self.store.database, Find { hash: self.hash(of, kind, value), limit }).await
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
    pub(in crate::store) hash: Hash,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for Find {
    type Done = Vec<String>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<String>, StoreError> {
        let select = "SELECT customer FROM contacts WHERE hash = ?1 ORDER BY changed_at DESC LIMIT ?2";
        let values = [Value::Bytes(&self.hash), Value::Integer(limited(self.limit))];
        session.rows(select, &values).await?.into_iter().map(|mut row| row.text()).collect()
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

    /// One statement, which changes the contact only while it still has the hash that the caller has read. A concurrent
    /// end of a write sets the hash whatever it was, so its value stays in either order.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let Owner { merchant, connection, customer } = &self.owner;
        let settled = i64::try_from(SETTLED.as_millis()).unwrap_or(i64::MAX);
        let values = [
            Value::Text(merchant),
            Value::Text(connection),
            Value::Text(customer),
            Value::Text(self.kind.as_str()),
            Value::Bytes(&self.from),
            Value::Integer(group.now.saturating_sub(settled)),
        ];
        if let Some(to) = &self.to {
            let update = "UPDATE contacts SET hash = ?7 WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
                          AND kind = ?4 AND hash = ?5 AND changed_at <= ?6";
            session.execute(update, &[&values[..], &[Value::Bytes(to)]].concat()).await?;
        } else {
            let delete = "DELETE FROM contacts WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
                          AND kind = ?4 AND hash = ?5 AND changed_at <= ?6";
            session.execute(delete, &values).await?;
        }
        Ok(())
    }
}

/// The statement that sets the contacts in these rows.
/// Changes the contacts of a customer, in the transaction that finishes the write.
pub(super) async fn change(
    session: &mut dyn Session,
    group: &Group,
    of: ContactsOf<'_>,
    customer: &str,
    changes: &ContactChanges,
) -> Result<(), StoreError> {
    let [merchant, connection, customer] = [of.merchant, of.connection, customer].map(Value::Text);
    for (kind, hash) in &changes.changes {
        let kind = Value::Text(kind.as_str());
        if let Some(hash) = hash {
            // A statement that inserts several rows would need a journal of its own.
            let insert = "INSERT INTO contacts (merchant, connection, customer, kind, hash, changed_at) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (merchant, connection, customer, kind) \
                          DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at";
            let values = [merchant, connection, customer, kind, Value::Bytes(hash), Value::Integer(group.now)];
            session.execute(insert, &values).await?;
        } else {
            let delete = "DELETE FROM contacts WHERE merchant = ?1 AND connection = ?2 AND customer = ?3 \
                          AND kind = ?4";
            session.execute(delete, &[merchant, connection, customer, kind]).await?;
        }
    }
    Ok(())
}
