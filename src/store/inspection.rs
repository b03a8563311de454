//! The store for the command line: read only, while a gateway may be using it, and without the key, because nothing
//! sealed is opened.

use std::{fmt, sync::Arc};

use super::{
    audit::AuditLog,
    database::{Database, postgres::Postgres, sqlite::Sqlite},
    error::StoreError,
    operation_id::OperationId,
    operations::{self, Record, State},
    settings::{self, Settings},
};

/// A store that is only read.
pub struct Inspection(Arc<dyn Database>);

impl fmt::Debug for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Inspection").field(&self.0).finish()
    }
}

impl Inspection {
    /// Opens a store to read it.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        Ok(Self(match &settings.place {
            settings::Location::Memory => {
                let message = "the store is in the gateway's memory (sqlite::memory:): ask the gateway itself, with \
                            GET /v1/operations";
                return Err(StoreError::Settings(message.to_owned()));
            }
            settings::Location::File(path) => Arc::new(Sqlite::open_read_only(path)?),
            #[cfg(feature = "simulation")]
            settings::Location::Simulated(database, faults) => Arc::new(database.open(Arc::clone(faults))),
            settings::Location::Server(url) => Arc::new(Postgres::open_read_only(url)?),
        }))
    }

    /// Operations, the newest first, without their sealed parts; with `after`, those older than that one.
    pub async fn operations(
        &self,
        merchant: Option<&str>,
        state: Option<State>,
        after: Option<OperationId>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        operations::list_unopened(&*self.0, merchant, state, after, limit).await
    }

    /// Their audit.
    pub fn audit(&self) -> AuditLog {
        AuditLog::of(&self.0)
    }
}
