//! The audit: every intent and every outcome of a write, in a chain in which a later change is detected. `chain`
//! defines a record and verifies the chain, and knows no database. This file writes the records and reads them.

mod chain;
mod of_operation;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;

pub use super::database::head::{Hash, Head};
pub use chain::{AuditRecord, Broken, Event, verify};

use super::{
    database::{
        Database, Group, Session, Work,
        head::{self, BEGINNING},
        read,
        values::{Row, Value, limited, unsigned},
        write,
    },
    error::StoreError,
    operation_id::OperationId,
};

/// How many records are checked at a time.
const PAGE: usize = 200;

/// The audit of a store.
#[derive(Clone)]
pub struct AuditLog(Arc<dyn Database>);

impl fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("AuditLog").field(&self.0).finish()
    }
}

impl AuditLog {
    pub(super) fn of(database: &Arc<dyn Database>) -> Self {
        Self(Arc::clone(database))
    }

    /// Records behind a place, in their order.
    pub async fn records(&self, after: u64, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        read(&*self.0, ReadAudit { after, limit }).await
    }

    /// Adds a command of the operator.
    pub async fn command(&self, command: CommandRecord) -> Result<(), StoreError> {
        write(&*self.0, command).await
    }

    /// Checks the whole chain, up to the end that the row of `chain` names, so that a record missing at the end is
    /// noticed. Returns the last good place, or the first record that is wrong.
    pub async fn verify(&self) -> Result<Result<Head, Broken>, StoreError> {
        let end = read(&*self.0, ReadHead).await?;
        let mut head = Head::BEGINNING;
        while head.sequence < end.sequence {
            let records = self.records(head.sequence, PAGE).await?;
            if records.is_empty() {
                return Ok(Err(Broken::Missing(head.sequence + 1)));
            }
            match verify(head, &records) {
                Ok(reached) => head = reached,
                Err(broken) => return Ok(Err(broken)),
            }
        }
        Ok(Ok(head))
    }
}

/// What an audit record is about.
pub(in crate::store) struct Subject<'a> {
    pub(in crate::store) id: OperationId,
    pub(in crate::store) merchant: &'a str,
    pub(in crate::store) connection: &'a str,
    pub(in crate::store) operation: &'a str,
    pub(in crate::store) attempt: u32,
    pub(in crate::store) fingerprint: &'a [u8],
    /// Of a command of the operator, and of the intent of a write with a named API key.
    pub(in crate::store) detail: Option<&'a str>,
}

/// A command of the operator, or how it ended.
#[derive(Debug, Clone)]
pub struct CommandRecord {
    /// The same for the command and its end.
    pub id: OperationId,
    /// Whether it begins, was executed, or was refused.
    pub event: Event,
    /// The merchant.
    pub merchant: String,
    /// The connection that it is about.
    pub connection: String,
    /// The name of the command.
    pub command: String,
    /// Who gave it, and what it changed, as JSON. It has no value of a customer.
    pub detail: String,
}

#[async_trait]
impl Work for CommandRecord {
    type Done = ();

    /// It adds an audit record.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let subject = Subject {
            id: self.id,
            merchant: &self.merchant,
            connection: &self.connection,
            operation: &self.command,
            attempt: 1,
            fingerprint: &[],
            detail: Some(&self.detail),
        };
        record(session, group, self.event, subject).await
    }
}

/// Whether the database answers.
pub(super) async fn ready(database: &dyn Database) -> Result<(), StoreError> {
    read(database, ReadHead).await.map(|_| ())
}

/// Adds a record to the audit chain. The work that does so must run alone.
pub(in crate::store) async fn record(
    session: &mut dyn Session,
    group: &mut Group,
    event: Event,
    subject: Subject<'_>,
) -> Result<(), StoreError> {
    let not_alone =
        || StoreError::Unavailable("work that is audited must run alone: a fault of the gateway".to_owned());
    let head = group.head.ok_or_else(not_alone)?;
    let mut record = AuditRecord {
        sequence: head.sequence + 1,
        at: Timestamp::from_millisecond(group.now).unwrap_or_default(),
        event,
        merchant: subject.merchant.to_owned(),
        connection: subject.connection.to_owned(),
        operation: subject.operation.to_owned(),
        id: subject.id,
        attempt: subject.attempt,
        request_hash: subject.fingerprint.to_vec(),
        detail: subject.detail.map(str::to_owned),
        hash: BEGINNING,
    };
    record.hash = record.hash_after(&head.hash);
    let insert = "INSERT INTO audit \
                  (sequence, at, event, merchant, connection, operation, operation_id, attempt, request_hash, hash, \
                  detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
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
        Value::text(subject.detail),
    ];
    session.execute(insert, &values).await?;
    group.head = Some(Head { sequence: record.sequence, hash: record.hash });
    Ok(())
}

/// Audit records after a place.
struct ReadAudit {
    after: u64,
    limit: usize,
}

#[async_trait]
impl Work for ReadAudit {
    type Done = Vec<AuditRecord>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Self::Done, StoreError> {
        let select = "SELECT sequence, at, event, merchant, connection, operation, operation_id, attempt, \
                      request_hash, hash, detail FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
        let values = [Value::Integer(self.after.cast_signed()), Value::Integer(limited(self.limit))];
        session.rows(select, &values).await?.into_iter().map(audited).collect()
    }
}

/// Reads a record from all columns of its row.
fn audited(mut row: Row) -> Result<AuditRecord, StoreError> {
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
        hash: head::hash_of(&row.bytes()?),
        detail: row.maybe_text()?,
    })
}

/// The end of the audit chain, as the database knows it.
struct ReadHead;

#[async_trait]
impl Work for ReadHead {
    type Done = Head;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Head, StoreError> {
        head::read(session.rows(head::READ, &[]).await?.first_mut().ok_or_else(head::missing)?)
    }
}
