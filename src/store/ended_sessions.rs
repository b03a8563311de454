//! Sessions of the console that were ended by a logout, so that no replica accepts one again, also after a restart.
//! [`EndedSessions`] is their handle. `console/session.rs` asks it about every session, and adds one at a logout.
//!
//! A row has the number of a session, with which nothing can be opened, and when the session would have ended by itself. The
//! next logout after that time deletes it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    database::{Group, Session, Work, read, values::Value, write},
    error::StoreError,
    opened::Opened,
};

/// How much longer than the session itself a row is kept, because the clocks of gateways and database differ.
const LONGER: Duration = Duration::from_hours(1);

/// The sessions that were ended. Clones share one store.
#[derive(Clone)]
pub struct EndedSessions {
    store: Arc<Opened>,
}

impl fmt::Debug for EndedSessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EndedSessions").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl EndedSessions {
    pub(super) fn of(store: &Arc<Opened>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// Adds a session that would have ended by itself at this time. Returns how many others were deleted, because their time
    /// is over.
    pub async fn add(&self, id: Uuid, ends_at: Timestamp) -> Result<u64, StoreError> {
        self.store.admit().await?;
        let added = write(&*self.store.database, Add { id: text(id), ends_at: ends_at.as_millisecond() }).await;
        added.inspect_err(|error| self.store.note_failure(error))
    }

    /// Whether a session was ended.
    pub async fn contain(&self, id: Uuid) -> Result<bool, StoreError> {
        read(&*self.store.database, Find(text(id))).await
    }
}

fn text(id: Uuid) -> String {
    id.simple().to_string()
}

struct Add {
    id: String,
    ends_at: i64,
}

#[async_trait]
impl Work for Add {
    type Done = u64;

    /// Each statement is correct in any order with others: it adds one row, or deletes rows that nothing asks for any more.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<u64, StoreError> {
        let insert = "INSERT INTO ended_sessions (id, ends_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
        session.execute(insert, &[Value::Text(&self.id), Value::Integer(self.ends_at)]).await?;
        let longer = i64::try_from(LONGER.as_millis()).unwrap_or(i64::MAX);
        let delete = "DELETE FROM ended_sessions WHERE ends_at < ?1";
        session.execute(delete, &[Value::Integer(group.now.saturating_sub(longer))]).await
    }
}

struct Find(String);

#[async_trait]
impl Work for Find {
    type Done = bool;

    const RUNS_ALONE: bool = false;

    fn is_short(&self) -> bool {
        true
    }

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let select = "SELECT ends_at FROM ended_sessions WHERE id = ?1";
        Ok(!session.rows(select, &[Value::Text(&self.0)]).await?.is_empty())
    }
}
