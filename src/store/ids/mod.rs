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

#[cfg(test)]
mod costs;
mod rows;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use arc_swap::ArcSwap;
use uuid::{Uuid, fmt::Hyphenated};

use self::rows::{Add, ReadPublic, ReadRouted, Resolve, Route};
use super::{
    database::{read, write},
    error::StoreError,
    opened::Opened,
};

/// The connection that serves a merchant, and how often that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The active connection.
    pub connection: String,
    /// The number of changes so far.
    pub epoch: u64,
}

/// A customer at a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewId {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The connection.
    pub connection: String,
    /// The id at the connection.
    pub provider_id: String,
    /// Where the customer stays whichever connection is active. It counts if this is the first row of the customer.
    pub pinned: Option<String>,
}

/// What became of a [`NewId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is stored, now or before.
    Stored,
    /// The customer has another id at this connection, or the id there is that of another customer.
    Taken,
    /// The merchant has no routing row.
    NotRouted,
}

/// A customer, with its id at every connection that holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownCustomer {
    /// The id that the merchant knows.
    pub public_id: String,
    /// Where the customer stays whichever connection is active.
    pub pinned: Option<String>,
    /// The ids by the names of the connections.
    pub at: HashMap<String, String>,
}

/// What an id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The merchant's routing.
    pub routing: Routing,
    /// The customers that the id names: the one whose public id it is, otherwise those who have it at a connection.
    pub customers: Vec<KnownCustomer>,
}

/// The ids that a store keeps. Clones share one store.
#[derive(Clone)]
pub struct Ids {
    store: Arc<Opened>,
    routed: Arc<ArcSwap<BTreeSet<String>>>,
}

impl fmt::Debug for Ids {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ids").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl Ids {
    pub(super) async fn of(store: &Arc<Opened>) -> Result<Self, StoreError> {
        let ids = Self { store: Arc::clone(store), routed: Arc::default() };
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
}

/// An id as it is kept and compared: a UUID in lower case, every other id as it is.
fn folded(id: &str) -> String {
    match id.len() == Hyphenated::LENGTH && Uuid::try_parse(id).is_ok() {
        true => id.to_ascii_lowercase(),
        false => id.to_owned(),
    }
}
