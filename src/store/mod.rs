//! The store: what must survive a restart. [`Store`] is the open database with its key. Each thing that is kept in it
//! has a folder or a file, and a handle:
//!
//! | | what | handle |
//! |---|---|---|
//! | `operations/` | every write with its outcome, so that none is sent twice | [`OperationLog`] |
//! | `contacts.rs` | hashes of e-mail addresses and phone numbers, for look-ups where lists are not complete | [`Contacts`] |
//! | `ids/` | the ids of customers of merchants who switch providers | [`Ids`] |
//! | `carried/` | what the gateway keeps of customers because their provider cannot hold it | [`Carried`] |
//! | `switches/` | switches of providers, and what has become of each customer | [`SwitchLog`] |
//! | `signatures.rs` | signatures of drop-in clients, so that none is accepted twice | [`Signatures`] |
//! | `ended_sessions.rs` | sessions of the console that were logged out of | [`EndedSessions`] |
//! | `audit/` | a record of every intent and outcome, in a chain | [`AuditLog`] |
//! | `secret.rs` | the secret that hashes derive from | none |
//!
//! Such a folder has the SQL of its tables, once for both databases. `database/` executes it on SQLite or PostgreSQL,
//! in transactions of several pieces of work, and knows nothing of what is kept. Its module comment has the rules for
//! concurrent replicas. The tables are in `migrations/`, for each database.
//!
//! Data of customers is sealed, or hashed with a key, before it reaches the database (`keyring`, `sealed`, `hashes`). The
//! database holds ids, hashes, times and sealed bytes.
//!
//! To keep another thing: add a folder beside `operations/`, a handle in this file, a migration for each database, and
//! a line in `sealed` for each sealed column. Files in the folders never import this file, so that dependencies between
//! the folders have one direction: `operations` uses `audit` and `contacts`, and all use `database`.
//!
//! `inspection`, `backup` and `restore` are for the command line. `docs/store.md` is for operators.

pub mod audit;
mod backup;
mod carried;
mod contacts;
mod database;
mod ended_sessions;
mod error;
mod hashes;
mod ids;
mod inspection;
mod keyring;
mod lease;
mod opened;
mod operation_id;
mod operations;
mod restore;
mod sealed;
mod secret;
mod settings;
mod signatures;
mod switches;
mod terms;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use secrecy::SecretBox;
use tokio::{sync::Mutex, time::Instant};

pub use audit::{AuditLog, AuditRecord, CommandRecord, Event};
pub use backup::Backup;
pub use carried::{Carried, CarriedChanges};
pub use contacts::{ContactChanges, ContactKind, Contacts, ContactsOf};
#[cfg(feature = "simulation")]
pub use database::sqlite::simulated::{Fate, SimulatedDatabase, StoreFaults};
pub use database::sqlite::{Copied, Newest, Older};
pub use ended_sessions::EndedSessions;
pub use error::StoreError;
pub use ids::{
    Added, AdoptedId, CopyComplete, CopyState, Deletion, Epochs, Erased, Erasure, HomeOfWrite, IdAt, IdCounts,
    IdOrigin, Ids, KeptErasure, KnownCustomer, NewId, OpenSwitch, Resolved, Routing, Seen, ShownRecord,
};
pub use inspection::Inspection;
pub use lease::{LONGEST_ATTEMPT, Lease};
pub use operation_id::{NoOperationId, OperationId};
pub use operations::{
    Adopted, Claim, CopyOf, CreatedContacts, EarlierContents, End, Finished, NewOperation, OpenCount, OperationLog,
    Reaped, Record, Resend, State, StoredAnswer,
};
pub use restore::AcceptedRestore;
pub use settings::{Clock, Settings, is_literal};
pub use signatures::{Earlier, SignatureId, Signatures};
pub use switches::{
    Held, NewSwitch, RecordChange, RecordCount, RecordRow, Step, Switch, SwitchChange, SwitchLog, SwitchState, Target,
    TargetKeys,
};

use database::{
    Database, closed,
    postgres::Postgres,
    sqlite::{self, Reserved, Sqlite},
};
use keyring::{Key, Keyring};
use lease::Renewals;
use opened::Opened;
use terms::Terms;

use crate::metrics::{Metrics, StoreSeries};

/// The store: an open database with its key. Clones share one.
#[derive(Clone)]
pub struct Store {
    opened: Arc<Opened>,
    operations: OperationLog,
    contacts: Contacts,
    ids: Ids,
    carried: Carried,
    switches: SwitchLog,
    signatures: Signatures,
    ended_sessions: EndedSessions,
    audit: AuditLog,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("database", &self.opened.database).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store: locks its file, migrates the schema, checks the key, and seals anew what an older key sealed.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let clock = settings.clock.clone();
        match &settings.place {
            settings::Location::Memory => {
                Self::open_with(settings, Arc::new(Sqlite::memory(clock)?), Key::random()?, true).await
            }
            settings::Location::File(path) => Self::open_file(settings, sqlite::reserve(path)?).await,
            settings::Location::Server(url) => {
                // Settings that name a server without a key are refused before.
                let key = settings.key.clone().ok_or_else(closed)?;
                Self::open_with(settings, Arc::new(Postgres::open(url, clock).await?), key, false).await
            }
            #[cfg(feature = "simulation")]
            settings::Location::Simulated(database, faults) => {
                let key = settings.key.clone().ok_or_else(closed)?;
                let replica = Arc::new(database.open(Arc::clone(faults)));
                Self::open_with(settings, replica, key, database.is_exclusive).await
            }
        }
    }

    async fn open_file(settings: &Settings, mut reserved: Reserved) -> Result<Self, StoreError> {
        let key_path = reserved.key_path();
        let known = match &settings.key {
            Some(key) => Some(key.clone()),
            None => Key::beside(&key_path, reserved.path(), reserved.is_new)?,
        };
        if reserved.is_new && known.is_none() {
            // The operator has removed the key file as well.
            reserved.begin_anew();
        }
        let database: Arc<dyn Database> = Arc::new(Sqlite::open(reserved, settings.clock.clone())?);
        // A first start that ended early has left a database without anything that is sealed.
        let key = match known {
            Some(key) => key,
            None if secret::is_stored(&*database).await? => return Err(Key::missing(&key_path)),
            None => Key::make(&key_path)?,
        };
        Self::open_with(settings, database, key, true).await
    }

    async fn open_with(
        settings: &Settings,
        database: Arc<dyn Database>,
        key: Key,
        is_exclusive: bool,
    ) -> Result<Self, StoreError> {
        let keyring = Keyring::new(&key, &settings.previous_keys)?;
        let hashes = Arc::new(secret::unlock(&*database, &keyring).await?);
        let terms = Terms {
            worker: crate::chance::id().simple().to_string(),
            is_exclusive,
            lease: settings.lease,
            joining: settings.joining,
            answers: settings.keep_answers,
            tombstones: settings.keep_tombstones,
        };
        let renewals = Arc::new(Renewals::from(Instant::now(), terms.lease));
        let terms = Arc::new(terms);
        let has_operations = database::read(&*database, operations::HasOperations).await?;
        let opened = Arc::new(Opened {
            database,
            keyring: Arc::new(keyring),
            hashes,
            joins_earlier_until: has_operations.then(|| Instant::now() + settings.joining),
            terms,
            renewals,
            is_failing: AtomicBool::new(false),
            last_refusal: Mutex::default(),
        });
        let (operations, contacts) = (OperationLog::of(&opened), Contacts::of(&opened));
        let (ids, carried) = (Ids::of(&opened).await?, Carried::of(&opened).await?);
        let audit = AuditLog::of(&opened.database);
        let (switches, signatures) = (SwitchLog::of(&opened), Signatures::of(&opened));
        let ended_sessions = EndedSessions::of(&opened);
        let store = Self { opened, operations, contacts, ids, carried, switches, signatures, ended_sessions, audit };
        if !settings.previous_keys.is_empty() {
            match store.reseal().await? {
                0 => {}
                count => tracing::info!(count, "sealed {count} values of the store anew, with `store.key`"),
            }
        }
        Ok(store)
    }

    /// How many statements this process has executed in the database, without those that begin and end transactions.
    pub fn statements(&self) -> u64 {
        self.opened.database.statements().total()
    }

    /// Records the work of the store from now on.
    pub fn record_in(&self, metrics: &Metrics) {
        self.opened.database.statements().record_in(StoreSeries::new(metrics));
    }

    /// The key that seals the sessions of the console. It derives from the store's own secret, so all replicas have the same.
    pub fn session_key(&self) -> SecretBox<[u8; 32]> {
        SecretBox::new(Box::new(self.opened.hashes.session_key()))
    }

    /// Whether the store could not write, and has not been ready since.
    pub fn is_failing(&self) -> bool {
        self.opened.is_failing()
    }

    /// Whether the store can record writes.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.opened.ready().await
    }

    /// The writes.
    pub const fn operations(&self) -> &OperationLog {
        &self.operations
    }

    /// The contacts of customers.
    pub const fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// The ids of customers of merchants who switch providers.
    pub const fn ids(&self) -> &Ids {
        &self.ids
    }

    /// What the gateway keeps of customers because their provider cannot hold it.
    pub const fn carried(&self) -> &Carried {
        &self.carried
    }

    /// The switches of providers.
    pub const fn switches(&self) -> &SwitchLog {
        &self.switches
    }

    /// The sessions of the console that were ended by a logout.
    pub const fn ended_sessions(&self) -> &EndedSessions {
        &self.ended_sessions
    }

    /// The signatures of drop-in clients that were used.
    pub const fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// The audit of the writes.
    pub const fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Seals anew what an older key sealed, and returns how many values that were. Done at every start with
    /// `previous_keys`.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        sealed::reseal(&*self.opened.database, &self.opened.keyring).await
    }
}
