//! The rows of the table `operations`, and the times in them.
//!
//! The column `unheard` is 1 while an answer is undelivered: no client got it. The column keeps its first name.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::record::{Record, State, StoredAnswer};
use crate::store::{
    audit::Subject,
    database::values::{Row, unsigned},
    error::StoreError,
    operation_id::OperationId,
};

/// A row of `operations`, with its sealed contents.
#[derive(Debug)]
pub(in crate::store) struct Stored {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) merchant: String,
    pub(in crate::store) connection: String,
    pub(in crate::store) operation: String,
    pub(in crate::store) customer: Option<String>,
    pub(in crate::store) keyed: bool,
    pub(in crate::store) state: State,
    pub(in crate::store) attempt: u32,
    pub(in crate::store) created_at: i64,
    pub(in crate::store) sent_at: i64,
    pub(in crate::store) finished_at: Option<i64>,
    pub(in crate::store) reconcile_after: Option<i64>,
    pub(in crate::store) command: Option<Vec<u8>>,
    pub(in crate::store) status: Option<u16>,
    pub(in crate::store) answer: Option<Vec<u8>>,
    pub(in crate::store) fingerprint: Vec<u8>,
    pub(in crate::store) erased: bool,
    pub(in crate::store) is_copy: bool,
}

/// The columns of [`Stored`], in its order.
macro_rules! columns {
    () => {
        "id, merchant, connection, operation, customer, key_hash, state, attempt, created_at, sent_at, finished_at, \
         reconcile_after, command, status, answer, fingerprint, erased, copy_of"
    };
}
pub(in crate::store) use columns;

impl Stored {
    pub(in crate::store) fn read(mut row: Row) -> Result<Self, StoreError> {
        Self::read_first(&mut row)
    }

    /// Reads the columns, and leaves those behind them.
    pub(in crate::store) fn read_first(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed(|text| text.parse().ok())?,
            merchant: row.text()?,
            connection: row.text()?,
            operation: row.text()?,
            customer: row.maybe_text()?,
            keyed: row.maybe_bytes()?.is_some(),
            state: row.parsed(State::parse)?,
            attempt: unsigned(row.integer()?),
            created_at: row.integer()?,
            sent_at: row.integer()?,
            finished_at: row.maybe_integer()?,
            reconcile_after: row.maybe_integer()?,
            command: row.maybe_bytes()?,
            status: row.maybe_integer()?.and_then(|status| u16::try_from(status).ok()),
            answer: row.maybe_bytes()?,
            fingerprint: row.bytes()?,
            erased: row.integer()? == 1,
            is_copy: row.maybe_text()?.is_some(),
        })
    }

    /// The attempt that may finish it, for the audit.
    pub(in crate::store) fn subject(&self) -> Subject<'_> {
        Subject {
            id: self.id,
            merchant: &self.merchant,
            connection: &self.connection,
            operation: &self.operation,
            attempt: self.attempt,
            fingerprint: &self.fingerprint,
            detail: None,
        }
    }

    /// The record, with its sealed parts as they were opened.
    pub(in crate::store) fn record(self, command: Option<Bytes>, answer: Option<StoredAnswer>) -> Record {
        let time = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap_or_default();
        Record {
            id: self.id,
            merchant: self.merchant,
            connection: self.connection,
            operation: self.operation,
            customer: self.customer,
            keyed: self.keyed,
            state: self.state,
            attempt: self.attempt,
            created_at: time(self.created_at),
            sent_at: time(self.sent_at),
            finished_at: self.finished_at.map(time),
            reconcile_after: self.reconcile_after.map(time),
            command,
            status: self.status,
            answer,
            is_copy: self.is_copy,
        }
    }

    pub(in crate::store) fn is_older(&self, lifetime: Duration, now: i64) -> bool {
        self.finished_at.is_some_and(|finished| finished <= before(now, lifetime))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(in crate::store) fn before(now: i64, duration: Duration) -> i64 {
    now.saturating_sub(milliseconds(duration))
}

pub(in crate::store) fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(milliseconds(duration))
}
