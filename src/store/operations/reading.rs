//! Reads operations, one or a page of them. Nothing sealed is opened here.

use async_trait::async_trait;

use super::{
    record::{Record, State},
    rows::{Stored, columns},
};
use crate::store::{
    database::{
        Database, Group, Session, Work, read,
        values::{Value, limited},
    },
    error::StoreError,
    operation_id::OperationId,
};

/// Whether the store has any operation.
pub(in crate::store) struct HasOperations;

#[async_trait]
impl Work for HasOperations {
    type Done = bool;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        Ok(!session.rows("SELECT id FROM operations LIMIT 1", &[]).await?.is_empty())
    }
}

/// Operations, the newest first.
#[derive(Default)]
pub(in crate::store) struct ReadOperations {
    pub(in crate::store) merchant: Option<String>,
    pub(in crate::store) id: Option<OperationId>,
    pub(in crate::store) state: Option<State>,
    pub(in crate::store) after: Option<OperationId>,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for ReadOperations {
    type Done = Vec<Stored>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<Stored>, StoreError> {
        let (id, after) = (self.id.map(|id| id.to_string()), self.after.map(|id| id.to_string()));
        let conditions = [
            ("merchant =", self.merchant.as_deref()),
            ("id =", id.as_deref()),
            ("id <", after.as_deref()),
            ("state =", self.state.map(State::as_str)),
        ];
        let mut select = concat!("SELECT ", columns!(), " FROM operations WHERE 1 = 1").to_owned();
        let mut values = Vec::new();
        for (condition, value) in conditions {
            let Some(value) = value else { continue };
            values.push(Value::Text(value));
            select.push_str(&format!(" AND {condition} ?{}", values.len()));
        }
        let mut order = "id";
        match self.state {
            Some(State::Sending | State::Unknown) => {
                // The state is compared twice, and the order is not simply by id, so that the database uses the small
                // index of open operations and not the index of all.
                select.push_str(" AND state IN ('sending', 'unknown')");
                order = "id || ''";
            }
            // The small index again.
            Some(State::Failed) => select.push_str(" AND state = 'failed'"),
            Some(State::Done) | None => {}
        }
        values.push(Value::Integer(limited(self.limit)));
        select.push_str(&format!(" ORDER BY {order} DESC LIMIT ?{}", values.len()));
        session.rows(&select, &values).await?.into_iter().map(Stored::read).collect()
    }
}

/// Operations, the newest first, without their sealed parts, for readers that have no key.
pub(in crate::store) async fn list_unopened(
    database: &dyn Database,
    merchant: Option<&str>,
    state: Option<State>,
    after: Option<OperationId>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let work = ReadOperations { merchant: merchant.map(str::to_owned), id: None, state, after, limit };
    Ok(read(database, work).await?.into_iter().map(|stored| stored.record(None, None)).collect())
}
