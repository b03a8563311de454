//! Ids of customers that survive a switch of providers: the id that a merchant knows (the public id), and the id at each
//! connection that holds the customer. [`Ids`] is their handle. `rows` has the statements.
//!
//! A merchant who never began a switch has nothing here. The *routing row* of a merchant comes first: it names the active
//! connection, and no id is kept without it. So a process that knows the few merchants with a routing row knows for which
//! merchants it has to ask ([`Ids::is_routed`]), and asks nothing for the others.
//!
//! A customer has one row in `customers`, and one in `customer_ids` for each connection that holds it. The alternative is
//! one table, with the pin in every row of a customer. Then a pin could differ between two rows, and to change it, a
//! statement would have to lock all of them in the same order as every other statement. A pin in a row of its own is
//! changed by one conditional `UPDATE` of one row, and so is all that a switch will keep once a customer. The price is one
//! more join when an id is resolved, by primary key.
//!
//! UUIDs are kept in lower case, and compared so. All other ids are kept and compared as they are.

mod adopting;
#[cfg(test)]
mod costs;
mod epochs;
mod erasures;
mod homes;
mod marks;
mod pages;
mod routes;
mod rows;
mod seen;
mod strangers;
mod types;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use uuid::{Uuid, fmt::Hyphenated};

use self::{
    adopting::{Adopt, NewRow, Page, ReadAdopted},
    marks::{Copied, Count, Lost, NoteLost, Pin, ReadCustomers, Unpin, Which},
    routes::{Activate, Begin, EndSwitch, Flip},
    rows::{Add, ReadPublic, ReadRouted, Resolve, Route},
};
pub use self::{
    epochs::{Epochs, Seen},
    erasures::{Erased, Erasure, KeptErasure},
    homes::HomeOfWrite,
    types::{
        Added, AdoptedId, CopyComplete, CopyState, Deletion, IdAt, IdCounts, IdOrigin, KnownCustomer, NewId,
        OpenSwitch, Resolved, Routing, ShownRecord,
    },
};
pub(in crate::store) use self::{
    erasures::reach_deleted,
    homes::{Planned, confirm, keep_copied, lift},
};
use super::{
    contacts::{ContactKind, beginning, wherever},
    database::{read, write},
    error::StoreError,
    opened::Opened,
};

/// The ids that a store keeps. Clones share one store.
#[derive(Clone)]
pub struct Ids {
    store: Arc<Opened>,
    routed: Arc<ArcSwap<BTreeSet<String>>>,
    epochs: Arc<Epochs>,
}

impl fmt::Debug for Ids {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ids").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl Ids {
    pub(super) async fn of(store: &Arc<Opened>) -> Result<Self, StoreError> {
        let ids = Self { store: Arc::clone(store), routed: Arc::default(), epochs: Arc::default() };
        ids.learn().await?;
        Ok(ids)
    }

    /// Whether this process knows that the merchant has a routing row. It makes no query.
    pub fn is_routed(&self, merchant: &str) -> bool {
        self.routed.load().contains(merchant)
    }

    /// Learns which merchants have a routing row, also from other replicas. Returns whether that has changed.
    pub async fn learn(&self) -> Result<bool, StoreError> {
        let routed = read(&*self.store.database, ReadRouted).await?;
        let has_changed = **self.routed.load() != routed;
        if has_changed {
            self.routed.store(Arc::new(routed));
        }
        Ok(has_changed)
    }

    /// Writes the first routing row of a merchant. An existing one stays as it is.
    pub async fn route(&self, merchant: &str, connection: &str) -> Result<(), StoreError> {
        let route = Route { merchant: merchant.to_owned(), connection: connection.to_owned() };
        write(&*self.store.database, route).await
    }

    /// Adds the id of a customer at a connection.
    pub async fn add(&self, merchant: &str, new: &NewId) -> Result<Added, StoreError> {
        let new = NewId {
            public_id: folded(&new.public_id),
            provider_id: folded(&new.provider_id),
            connection: new.connection.clone(),
            pinned: new.pinned.clone(),
        };
        write(&*self.store.database, Add { merchant: merchant.to_owned(), new }).await
    }

    /// Finds the customers that an id names, and the merchant's routing, in one query. `None`: the merchant has no
    /// routing row.
    pub async fn resolve(&self, merchant: &str, id: Option<&str>) -> Result<Option<Resolved>, StoreError> {
        let resolve = Resolve { merchant: merchant.to_owned(), id: id.map(folded) };
        read(&*self.store.database, resolve).await
    }

    /// The public ids of customers, each given by its connection and its id there, in the same order. `None` where there
    /// is no row. It is one query for up to 512 customers.
    pub async fn public_ids(
        &self,
        merchant: &str,
        customers: &[(String, String)],
    ) -> Result<Vec<Option<String>>, StoreError> {
        let wanted: Vec<String> = customers.iter().map(|(_, id)| folded(id)).collect();
        let work = ReadPublic { merchant: merchant.to_owned(), provider_ids: wanted.clone() };
        let mut known = HashMap::new();
        for row in read(&*self.store.database, work).await? {
            known.insert((row.connection, row.provider_id), row.public_id);
        }
        let found = customers.iter().zip(wanted);
        Ok(found.map(|((connection, _), id)| known.get(&(connection.clone(), id)).cloned()).collect())
    }

    /// Gives every record of a connection a row, and says under which id the merchant knows it. A record that has one
    /// costs one query for up to 512 of them, and a write only where its contacts are others.
    ///
    /// A new row is pinned to the connection while a switch is open, and where the connection is not the active one.
    pub async fn adopt(
        &self,
        merchant: &str,
        connection: &str,
        records: &[ShownRecord<'_>],
    ) -> Result<Vec<AdoptedId>, StoreError> {
        self.adopt_all(merchant, connection, records, None).await
    }

    /// The same for the record that a create made, which was first sent at `sent_at`, in milliseconds since 1970. If the
    /// id at the provider is that of a customer who was deleted before, the record is a new customer.
    pub async fn adopt_created(
        &self,
        merchant: &str,
        connection: &str,
        record: ShownRecord<'_>,
        sent_at: i64,
    ) -> Result<Option<AdoptedId>, StoreError> {
        Ok(self.adopt_all(merchant, connection, &[record], Some(sent_at)).await?.pop())
    }

    async fn adopt_all(
        &self,
        merchant: &str,
        connection: &str,
        records: &[ShownRecord<'_>],
        sent_at: Option<i64>,
    ) -> Result<Vec<AdoptedId>, StoreError> {
        let records: Vec<NewRow> = records.iter().map(|record| self.new_row(merchant, record)).collect();
        let page = Page { merchant: merchant.to_owned(), connection: connection.to_owned(), records, sent_at };
        let page = Arc::new(page);
        match read(&*self.store.database, ReadAdopted(Arc::clone(&page))).await? {
            Some(adopted) => Ok(adopted),
            None => write(&*self.store.database, Adopt { page, hashes: Arc::clone(&self.store.hashes) }).await,
        }
    }

    fn new_row(&self, merchant: &str, record: &ShownRecord<'_>) -> NewRow {
        NewRow {
            provider_id: folded(record.provider_id),
            email: record.email.map(|value| self.contact(merchant, ContactKind::Email, value)),
            phone: record.phone.map(|value| self.contact(merchant, ContactKind::Phone, value)),
        }
    }

    fn contact(&self, merchant: &str, kind: ContactKind, value: &str) -> Vec<u8> {
        beginning(&wherever(&self.store.hashes, merchant, kind, value)).to_vec()
    }

    /// Opens a switch: writes the first routing row, or opens the switch in the row that there is. The routing that is
    /// returned names another switch if that one is open.
    pub async fn begin(
        &self,
        merchant: &str,
        connection: &str,
        switch_id: &str,
        other: &str,
    ) -> Result<Routing, StoreError> {
        let [merchant, connection, switch_id, other] = [merchant, connection, switch_id, other].map(str::to_owned);
        write(&*self.store.database, Begin { merchant, connection, switch_id, other }).await
    }

    /// Closes the open switch. `false`: it is not the open one, or the epoch is another.
    pub async fn end_switch(&self, merchant: &str, switch_id: &str, epoch: u64) -> Result<bool, StoreError> {
        let (merchant, switch_id) = (merchant.to_owned(), switch_id.to_owned());
        write(&*self.store.database, EndSwitch { merchant, switch_id, epoch }).await
    }

    /// Makes the other side active, and raises the epoch. `false`: the routing is another than `from`.
    pub async fn flip(&self, merchant: &str, switch_id: &str, from: &Routing, to: &str) -> Result<bool, StoreError> {
        let [merchant, switch_id, to] = [merchant, switch_id, to].map(str::to_owned);
        write(&*self.store.database, Flip { merchant, switch_id, from: from.clone(), to }).await
    }

    /// Makes a connection active, under an epoch that is higher than the one that is kept, and higher than `above`. It is
    /// the way out of a restored backup. `None`: the merchant has no routing row.
    pub async fn activate(&self, merchant: &str, connection: &str, above: u64) -> Result<Option<Routing>, StoreError> {
        let (merchant, connection) = (merchant.to_owned(), connection.to_owned());
        write(&*self.store.database, Activate { merchant, connection, above }).await
    }

    /// Pins customers who are pinned nowhere to the active connection: those among the first `limit` after `after`. Returns
    /// where the next call begins.
    ///
    /// A switch does that before it copies anything, because customers can have rows of an earlier switch.
    pub async fn pin(&self, merchant: &str, after: Option<&str>, limit: usize) -> Result<Option<String>, StoreError> {
        let pin = Pin { merchant: merchant.to_owned(), after: after.unwrap_or_default().to_owned(), limit };
        write(&*self.store.database, pin).await
    }

    /// Lets a customer follow the active connection. It must be copied up to `version`, which must still be its version;
    /// both sides of the open switch must have it; no write to it may be open or unknown, nor a deletion claimed; and its
    /// last copy must have been noted a `lag` ago. Otherwise it is `false`, and nothing changes.
    ///
    /// `complete` says how the caller knows that the first copy is complete.
    pub async fn unpin(
        &self,
        merchant: &str,
        public_id: &str,
        lag: Duration,
        version: u64,
        complete: CopyComplete,
    ) -> Result<bool, StoreError> {
        let (merchant, lag) = (merchant.to_owned(), i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
        let needs_outcome = complete == CopyComplete::ByRecord;
        let unpin = Unpin { merchant, public_id: folded(public_id), lag, version, needs_outcome };
        write(&*self.store.database, unpin).await
    }

    /// Keeps that a customer is at a connection as `provider_id`, in the state of `version`. An origin that is kept stays.
    /// `false`: the customer has another id there, or the id belongs to another customer; or its deletion was claimed, or
    /// a newer version was copied. Where the customer was deleted, the id is kept all the same, so that the record can be
    /// deleted too.
    pub async fn keep_copy(&self, merchant: &str, copy: CopyState<'_>) -> Result<bool, StoreError> {
        let copied = Copied {
            merchant: merchant.to_owned(),
            public_id: folded(copy.public_id),
            version: copy.version,
            connection: copy.connection.to_owned(),
            provider_id: folded(copy.provider_id),
            origin: copy.origin,
            seen: copy.seen,
            home: copy.home.map(|(home, seen)| (home.to_owned(), seen)),
        };
        write(&*self.store.database, copied).await
    }

    /// Notes that a customer is not found at its home any more, or that it is found again.
    pub async fn note_gone(&self, merchant: &str, public_id: &str, is_gone: bool) -> Result<(), StoreError> {
        let (merchant, public_id) = (merchant.to_owned(), folded(public_id));
        write(&*self.store.database, NoteLost { merchant, public_id, lost: Lost::Gone, is_so: is_gone }).await
    }

    /// Notes whether the home answers the id of a customer with another customer's record. Nothing is written to such a
    /// customer, which would reach the other one.
    pub async fn note_merged(&self, merchant: &str, public_id: &str, is_merged: bool) -> Result<(), StoreError> {
        let (merchant, public_id) = (merchant.to_owned(), folded(public_id));
        write(&*self.store.database, NoteLost { merchant, public_id, lost: Lost::Merged, is_so: is_merged }).await
    }

    /// Customers whose version is above the copied version, except those whose deletion is confirmed, by their public ids.
    pub async fn marked(
        &self,
        merchant: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KnownCustomer>, StoreError> {
        self.customers(merchant, Which::Marked { after: after.unwrap_or_default().to_owned() }, limit).await
    }

    /// Customers who are pinned to a connection, by their public ids.
    pub async fn pinned_to(
        &self,
        merchant: &str,
        connection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KnownCustomer>, StoreError> {
        let (connection, after) = (connection.to_owned(), after.unwrap_or_default().to_owned());
        self.customers(merchant, Which::Pinned { connection, after }, limit).await
    }

    /// All customers, by their public ids.
    pub async fn all(
        &self,
        merchant: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KnownCustomer>, StoreError> {
        self.customers(merchant, Which::All { after: after.unwrap_or_default().to_owned() }, limit).await
    }

    /// The customers whose row has a contact. Equal values must be given as equal texts. A row can lag behind the provider:
    /// the caller compares with the record.
    pub async fn by_contact(
        &self,
        merchant: &str,
        kind: ContactKind,
        value: &str,
    ) -> Result<Vec<KnownCustomer>, StoreError> {
        const MOST: usize = 32;
        let hash = self.contact(merchant, kind, value);
        self.customers(merchant, Which::HasContact { kind, hash }, MOST).await
    }

    async fn customers(&self, merchant: &str, which: Which, limit: usize) -> Result<Vec<KnownCustomer>, StoreError> {
        read(&*self.store.database, ReadCustomers { merchant: merchant.to_owned(), which, limit }).await
    }

    /// How many customers are pinned where, and how many are marked.
    pub async fn counts(&self, merchant: &str) -> Result<IdCounts, StoreError> {
        read(&*self.store.database, Count { merchant: merchant.to_owned(), switch_id: None }).await
    }

    /// The same, without the marks of customers that a switch does not copy until a person decides about them, such as those
    /// who were left.
    pub async fn counts_in(&self, merchant: &str, switch_id: &str) -> Result<IdCounts, StoreError> {
        let switch_id = Some(switch_id.to_owned());
        read(&*self.store.database, Count { merchant: merchant.to_owned(), switch_id }).await
    }
}

/// An id as it is kept and compared: a UUID in lower case, every other id as it is.
pub(in crate::store) fn folded(id: &str) -> String {
    match id.len() == Hyphenated::LENGTH && Uuid::try_parse(id).is_ok() {
        true => id.to_ascii_lowercase(),
        false => id.to_owned(),
    }
}
