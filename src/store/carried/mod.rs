//! Carried fields: what the gateway keeps of a customer because the provider cannot hold it. One row a field, sealed.
//! [`Carried`] is their handle. The rows change in the transaction that stores the end of a write
//! (`operations/ends.rs`), and go with a deletion.
//!
//! A row names the write that made it. The end of an older write, which was reconciled late, does not change the row of
//! a newer one.
//!
//! A merchant who carries nothing makes no query: the process knows which merchants have rows ([`Carried::is_known`]).
//! What a part means, and when an answer shows it, is in `providers/core/engine/carry.rs`.

#[cfg(test)]
mod costs;
mod rows;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use arc_swap::ArcSwap;
use passerelle_providers::{
    engine::carry::{Change, NativeHash, Part},
    model::Field,
};

pub(super) use self::rows::change;
use self::rows::{Apply, ApplyCopy, Forget, ForgetHeld, ReadMerchants, ReadParts};
use super::{
    contacts::beginning,
    database::{read, write},
    error::StoreError,
    ids::folded,
    opened::Opened,
    sealed::CARRIED,
};

/// What the end of a write changes about the carried fields of its customer. The default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarriedChanges {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The connection that holds the customer.
    pub connection: String,
    /// The changes.
    pub changes: Vec<Change>,
    /// Whether the customer is deleted, so that nothing is kept of it.
    pub forgets: bool,
}

impl CarriedChanges {
    /// The changes of a deletion.
    pub const fn forget(public_id: String) -> Self {
        Self { public_id, connection: String::new(), changes: Vec::new(), forgets: true }
    }

    /// Whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.forgets
    }
}

/// The carried fields that a store keeps. Clones share one store.
#[derive(Clone)]
pub struct Carried {
    store: Arc<Opened>,
    known: Arc<ArcSwap<BTreeSet<String>>>,
}

impl fmt::Debug for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Carried").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl Carried {
    pub(super) async fn of(store: &Arc<Opened>) -> Result<Self, StoreError> {
        let carried = Self { store: Arc::clone(store), known: Arc::default() };
        carried.learn().await?;
        Ok(carried)
    }

    /// Whether this process knows that rows are kept for the merchant. It makes no query.
    pub fn is_known(&self, merchant: &str) -> bool {
        self.known.load().contains(merchant)
    }

    /// Learns for which merchants rows are kept, also from other replicas.
    pub async fn learn(&self) -> Result<(), StoreError> {
        let known = read(&*self.store.database, ReadMerchants).await?;
        if **self.known.load() != known {
            self.known.store(Arc::new(known));
        }
        Ok(())
    }

    /// What is kept of customers, each given by the id that the merchant knows, in the same order. It is one query for up
    /// to 512 customers.
    pub async fn parts(&self, merchant: &str, public_ids: &[&str]) -> Result<Vec<Vec<Part>>, StoreError> {
        let wanted: Vec<String> = public_ids.iter().map(|id| folded(id)).collect();
        let work = ReadParts { merchant: merchant.to_owned(), public_ids: wanted.clone() };
        let mut kept: HashMap<String, Vec<Part>> = HashMap::new();
        for row in read(&*self.store.database, work).await? {
            let Some(field) = field(&row.field) else { continue };
            let place = rows::place(merchant, &row.public_id, &row.field);
            let value = rows::decoded(self.store.keyring.open(CARRIED.at(&place), &row.value)?);
            let native = row.native_hash.and_then(|hash| NativeHash::try_from(hash).ok());
            kept.entry(row.public_id).or_default().push(Part { field, value, connection: row.connection, native });
        }
        Ok(wanted.iter().map(|id| kept.get(id).cloned().unwrap_or_default()).collect())
    }

    /// The keyed hash of a native value.
    pub fn hash(&self, merchant: &str, field: Field, value: &str) -> NativeHash {
        let hash = self.store.hashes.contact(merchant, "", &format!("carried {}", field.name()), value);
        NativeHash::try_from(beginning(&hash)).unwrap_or_default()
    }

    /// Changes what is kept of a customer outside the end of a write.
    pub async fn apply(&self, merchant: &str, changes: CarriedChanges) -> Result<(), StoreError> {
        let keyring = Arc::clone(&self.store.keyring);
        write(&*self.store.database, Apply { keyring, merchant: merchant.to_owned(), changes }).await
    }

    /// Changes what is kept of a customer who is copied. `false`: the customer has another version by now, or is deleted,
    /// and nothing changed.
    pub async fn apply_copy(&self, merchant: &str, version: u64, changes: CarriedChanges) -> Result<bool, StoreError> {
        let (keyring, version) = (Arc::clone(&self.store.keyring), i64::try_from(version).unwrap_or(i64::MAX));
        write(&*self.store.database, ApplyCopy { keyring, merchant: merchant.to_owned(), version, changes }).await
    }

    /// Forgets these fields of all customers who live at a connection, the active one, because it holds them itself.
    pub async fn forget_held(&self, merchant: &str, connection: &str, fields: &[Field]) -> Result<(), StoreError> {
        let fields: Vec<&'static str> = fields.iter().map(|field| field.name()).collect();
        let mut after = String::new();
        loop {
            let (merchant, connection, fields) = (merchant.to_owned(), connection.to_owned(), fields.clone());
            match write(&*self.store.database, ForgetHeld { merchant, connection, fields, after }).await? {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// Forgets fields of a customer, or everything that is kept of it (`None`).
    pub async fn forget(&self, merchant: &str, public_id: &str, fields: Option<&[Field]>) -> Result<(), StoreError> {
        let fields = fields.map(|fields| fields.iter().map(|field| field.name().to_owned()).collect());
        let forget = Forget { merchant: merchant.to_owned(), public_id: folded(public_id), fields };
        write(&*self.store.database, forget).await
    }
}

/// The field of a row. A newer version may have written one that this version does not know.
fn field(name: &str) -> Option<Field> {
    Field::ALL.into_iter().find(|field| field.name() == name)
}
