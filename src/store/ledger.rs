//! What all work on the database has in common: its rows, the audit chain that every change adds to, and reading.
//! The work itself stands in `claims`, `ends`, `takeovers` and `upkeep`, statement by statement, once for both
//! databases. Every piece of it runs alone: SQLite has one writer, and PostgreSQL's writers lock the end of the audit
//! chain first.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    OperationId, State, StoreError,
    audit::{AuditRecord, BEGINNING, Event, Hash, Head},
    database::{Group, Row, Session, Value, Work},
};

/// What the work of one store goes by.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// This life of this process.
    pub(super) worker: String,
    /// Whether nobody else can have the database open, so that every other worker is dead.
    pub(super) alone: bool,
    /// How long an attempt is left alone without a sign of life.
    pub(super) lease: Duration,
    /// How long an unfinished write without a key stands for others like it.
    pub(super) joining: Duration,
    /// How long answers are kept.
    pub(super) answers: Duration,
    /// How long tombstones are kept.
    pub(super) tombstones: Duration,
}

/// A row of `operations`, with its sealed contents.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: OperationId,
    pub(super) merchant: String,
    pub(super) connection: String,
    pub(super) operation: String,
    pub(super) customer: Option<String>,
    pub(super) keyed: bool,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) created_at: i64,
    pub(super) sent_at: i64,
    pub(super) finished_at: Option<i64>,
    pub(super) reconcile_after: Option<i64>,
    pub(super) command: Option<Vec<u8>>,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<Vec<u8>>,
    pub(super) fingerprint: Vec<u8>,
    pub(super) erased: bool,
}

/// The columns of [`Stored`], in its order.
macro_rules! columns {
    () => {
        "id, merchant, connection, operation, customer, key_hash, state, attempt, created_at, sent_at, finished_at, \
         reconcile_after, command, status, answer, fingerprint, erased"
    };
}
pub(super) use columns;

impl Stored {
    pub(super) fn read(mut row: Row) -> Result<Self, StoreError> {
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
        })
    }

    /// The attempt that may finish it, for the audit.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            id: self.id,
            merchant: &self.merchant,
            connection: &self.connection,
            operation: &self.operation,
            attempt: self.attempt,
            fingerprint: &self.fingerprint,
        }
    }

    pub(super) fn is_older(&self, lifetime: Duration, now: i64) -> bool {
        self.finished_at.is_some_and(|finished| finished <= before(now, lifetime))
    }
}

pub(super) fn unsigned<T: TryFrom<i64> + Default>(integer: i64) -> T {
    T::try_from(integer).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn before(now: i64, duration: Duration) -> i64 {
    now.saturating_sub(milliseconds(duration))
}

pub(super) fn after(now: i64, duration: Duration) -> i64 {
    now.saturating_add(milliseconds(duration))
}

fn hash_of(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap_or(BEGINNING)
}

// The frame of every transaction.

/// The end of the audit chain. PostgreSQL's writers add `FOR UPDATE`.
pub(super) const HEAD: &str = "SELECT sequence, hash FROM chain WHERE one = 1";

/// Reads the end of the chain from a row of [`HEAD`].
pub(super) fn read_head(row: &mut Row) -> Result<Head, StoreError> {
    Ok(Head { sequence: unsigned(row.integer()?), hash: hash_of(&row.bytes()?) })
}

/// The last statement of a transaction that added audit records.
pub(super) const MOVE_HEAD: &str = "UPDATE chain SET sequence = ?1, hash = ?2 WHERE one = 1";

/// The parameters of [`MOVE_HEAD`].
pub(super) fn head_values(head: &Head) -> [Value<'_>; 2] {
    [Value::Integer(head.sequence.cast_signed()), Value::Bytes(&head.hash)]
}

// Audit.

/// What an audit record is about.
pub(super) struct Subject<'a> {
    pub(super) id: OperationId,
    pub(super) merchant: &'a str,
    pub(super) connection: &'a str,
    pub(super) operation: &'a str,
    pub(super) attempt: u32,
    pub(super) fingerprint: &'a [u8],
}

/// Adds a record to the audit chain.
pub(super) async fn record(
    session: &mut dyn Session,
    group: &mut Group,
    event: Event,
    subject: Subject<'_>,
) -> Result<(), StoreError> {
    let mut record = AuditRecord {
        sequence: group.head.sequence + 1,
        at: Timestamp::from_millisecond(group.now).unwrap_or_default(),
        event,
        merchant: subject.merchant.to_owned(),
        connection: subject.connection.to_owned(),
        operation: subject.operation.to_owned(),
        id: subject.id,
        attempt: subject.attempt,
        request_hash: subject.fingerprint.to_vec(),
        hash: BEGINNING,
    };
    record.hash = record.hash_after(&group.head.hash);
    let insert = "INSERT INTO audit \
                  (sequence, at, event, merchant, connection, operation, operation_id, attempt, request_hash, hash) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let values = [
        Value::Integer(record.sequence.cast_signed()),
        Value::Integer(group.now),
        Value::Text(event.as_str()),
        Value::Text(subject.merchant),
        Value::Text(subject.connection),
        Value::Text(subject.operation),
        Value::Text(&subject.id.to_string()),
        Value::Integer(subject.attempt.into()),
        Value::Bytes(subject.fingerprint),
        Value::Bytes(&record.hash),
    ];
    session.execute(insert, &values).await?;
    group.head = Head { sequence: record.sequence, hash: record.hash };
    Ok(())
}

/// Audit records after a place.
pub(super) struct ReadAudit {
    pub(super) after: u64,
    pub(super) limit: usize,
}

#[async_trait]
impl Work for ReadAudit {
    type Done = Vec<AuditRecord>;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let select = "SELECT sequence, at, event, merchant, connection, operation, operation_id, attempt, \
                      request_hash, hash FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
        let values = [Value::Integer(self.after.cast_signed()), Value::Integer(limited(self.limit))];
        let rows = session.rows(select, &values).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(AuditRecord {
                    sequence: unsigned(row.integer()?),
                    at: Timestamp::from_millisecond(row.integer()?).unwrap_or_default(),
                    event: row.parsed(Event::parse)?,
                    merchant: row.text()?,
                    connection: row.text()?,
                    operation: row.text()?,
                    id: row.parsed(|text| text.parse().ok())?,
                    attempt: unsigned(row.integer()?),
                    request_hash: row.bytes()?,
                    hash: hash_of(&row.bytes()?),
                })
            })
            .collect()
    }
}

/// The end of the audit chain, as the database knows it.
pub(super) struct ReadHead;

#[async_trait]
impl Work for ReadHead {
    type Done = Head;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Head, StoreError> {
        let gone = || StoreError::Damaged("the end of the audit chain is missing from the database".to_owned());
        read_head(session.rows(HEAD, &[]).await?.first_mut().ok_or_else(gone)?)
    }
}

pub(super) fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

// Reading.

/// Operations, the newest first.
#[derive(Default)]
pub(super) struct ReadOperations {
    pub(super) merchant: Option<String>,
    pub(super) id: Option<OperationId>,
    pub(super) state: Option<State>,
    pub(super) after: Option<OperationId>,
    pub(super) limit: usize,
}

#[async_trait]
impl Work for ReadOperations {
    type Done = Vec<Stored>;

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
                // Said again, and not simply in the order of the ids, so that the small index of unfinished operations
                // is used and not the one of all.
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
