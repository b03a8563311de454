//! How many operations have not ended, for the metrics.

use async_trait::async_trait;
use jiff::Timestamp;

use super::OperationLog;
use crate::store::{
    database::{
        Group, Session, Work, read,
        values::{Row, unsigned},
    },
    error::StoreError,
};

/// How many operations of a connection have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCount {
    /// The merchant.
    pub merchant: String,
    /// The connection.
    pub connection: String,
    /// `sending`, `unknown` or `held`.
    pub state: String,
    /// How many.
    pub count: usize,
    /// When the oldest one was claimed.
    pub oldest: Timestamp,
}

impl OperationLog {
    /// How many operations have not ended, of all replicas.
    pub async fn open_counts(&self) -> Result<Vec<OpenCount>, StoreError> {
        read(&*self.store.database, CountOpen).await
    }
}

pub(in crate::store) struct CountOpen;

#[async_trait]
impl Work for CountOpen {
    type Done = Vec<OpenCount>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<OpenCount>, StoreError> {
        // The group is not simply by merchant, so that the database uses the small index of open operations and not the
        // index of all.
        let select = "SELECT merchant || '', connection, \
                      CASE WHEN state = 'unknown' AND reconcile_after IS NULL THEN 'held' ELSE state END, \
                      COUNT(*), MIN(created_at) \
                      FROM operations WHERE state IN ('sending', 'unknown') GROUP BY 1, 2, 3";
        let count = |mut row: Row| {
            Ok(OpenCount {
                merchant: row.text()?,
                connection: row.text()?,
                state: row.text()?,
                count: unsigned(row.integer()?),
                oldest: Timestamp::from_millisecond(row.integer()?).unwrap_or_default(),
            })
        };
        session.rows(select, &[]).await?.into_iter().map(count).collect()
    }
}
