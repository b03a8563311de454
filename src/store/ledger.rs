//! What the store does, statement by statement, once for both databases. Every piece of work runs alone:
//! SQLite has one writer, and PostgreSQL's writers lock the end of the audit chain first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle_providers::model::Operation;

use super::{
    Adopted, OperationId, Reaped, Resend, State, StoreError,
    audit::{AuditRecord, BEGINNING, Event, Hash, Head},
    database::{Group, Row, Session, Value, Work},
    lease::LONGEST_ATTEMPT,
};

/// How many rows one transaction takes away, so that the writes between them need not wait long.
const HANDFUL: i64 = 500;

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
    fingerprint: Vec<u8>,
    erased: bool,
}

/// The columns of [`Stored`], in its order.
macro_rules! columns {
    () => {
        "id, merchant, connection, operation, customer, key_hash, state, attempt, created_at, sent_at, finished_at, \
         reconcile_after, command, status, answer, fingerprint, erased"
    };
}

impl Stored {
    fn read(mut row: Row) -> Result<Self, StoreError> {
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

    fn is_older(&self, lifetime: Duration, now: i64) -> bool {
        self.finished_at.is_some_and(|finished| finished <= before(now, lifetime))
    }
}

fn unsigned<T: TryFrom<i64> + Default>(integer: i64) -> T {
    T::try_from(integer).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn before(now: i64, duration: Duration) -> i64 {
    now.saturating_sub(milliseconds(duration))
}

fn after(now: i64, duration: Duration) -> i64 {
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

struct Subject<'a> {
    id: OperationId,
    merchant: &'a str,
    connection: &'a str,
    operation: &'a str,
    attempt: u32,
    fingerprint: &'a [u8],
}

async fn record(
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

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

// Claims.

/// A claim, with hashes for what is not kept and a sealed command.
pub(super) struct MakeClaim {
    pub(super) terms: Arc<Terms>,
    pub(super) id: OperationId,
    pub(super) merchant: String,
    pub(super) connection: String,
    pub(super) operation: String,
    pub(super) customer: Option<String>,
    pub(super) key_hash: Option<Hash>,
    pub(super) joins: bool,
    pub(super) fingerprint: Hash,
    pub(super) command: Vec<u8>,
    /// Told once the row was inserted, whatever comes of the transaction.
    pub(super) inserted: Arc<AtomicBool>,
}

/// What a claim found.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    InFlight(Stored),
    Unknown(Stored),
    Finished(Stored),
    Reused,
    Expired(Stored),
    Erased(Stored),
}

#[async_trait]
impl Work for MakeClaim {
    type Done = Found;

    /// Whoever stopped waiting will not send, and the claim would have to be reconciled for nothing.
    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Found, StoreError> {
        let Some(key_hash) = &self.key_hash else {
            if !self.joins {
                return self.insert(session, group).await.map(|_| Found::Nothing);
            }
            let twin = self.unfinished_twin(session, group).await?;
            return match twin {
                Some(twin) if twin.state == State::Unknown => Ok(Found::Unknown(twin)),
                Some(twin) => Ok(Found::InFlight(twin)),
                None => match self.unheard_twin(session, group).await? {
                    Some(twin) => Ok(Found::Finished(twin)),
                    None => self.insert(session, group).await.map(|_| Found::Nothing),
                },
            };
        };
        // Most claims are new, so that the insertion is tried first. Nobody else writes meanwhile.
        if self.insert(session, group).await? {
            return Ok(Found::Nothing);
        }
        let select = concat!("SELECT ", columns!(), " FROM operations WHERE merchant = ?1 AND key_hash = ?2");
        let values = [Value::Text(&self.merchant), Value::Bytes(key_hash)];
        let row = session.rows(select, &values).await?.pop();
        let gone = || StoreError::Damaged("an idempotency key is taken by a row that is not there".to_owned());
        let holder = Stored::read(row.ok_or_else(gone)?)?;
        // Lifetimes hold whether or not the reaper has been here.
        if holder.is_older(self.terms.tombstones, group.now) {
            let delete = "DELETE FROM operations WHERE id = ?1";
            session.execute(delete, &[Value::Text(&holder.id.to_string())]).await?;
            self.insert(session, group).await?;
            return Ok(Found::Nothing);
        }
        if holder.fingerprint != self.fingerprint {
            return Ok(Found::Reused);
        }
        Ok(match holder.state {
            State::Sending => Found::InFlight(holder),
            State::Unknown => Found::Unknown(holder),
            State::Done | State::Failed if holder.erased => Found::Erased(holder),
            State::Done | State::Failed => {
                match holder.answer.is_none() || holder.is_older(self.terms.answers, group.now) {
                    true => Found::Expired(Stored { answer: None, ..holder }),
                    false => Found::Finished(holder),
                }
            }
        })
    }
}

impl MakeClaim {
    async fn unfinished_twin(&self, session: &mut dyn Session, group: &Group) -> Result<Option<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND state IN ('sending', 'unknown') \
             AND created_at > ?3 ORDER BY created_at LIMIT 1"
        );
        let values = [
            Value::Text(&self.merchant),
            Value::Bytes(&self.fingerprint),
            Value::Integer(before(group.now, self.terms.joining)),
        ];
        session.rows(select, &values).await?.pop().map(Stored::read).transpose()
    }

    /// A twin whose outcome nobody heard: whoever asked first gave up before, and asks again now. It is heard
    /// with that, and stands for nobody else.
    async fn unheard_twin(&self, session: &mut dyn Session, group: &mut Group) -> Result<Option<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE merchant = ?1 AND fingerprint = ?2 AND unheard = 1 AND answer IS NOT NULL \
             AND created_at > ?3 ORDER BY created_at LIMIT 1"
        );
        let values = [
            Value::Text(&self.merchant),
            Value::Bytes(&self.fingerprint),
            Value::Integer(before(group.now, self.terms.joining)),
        ];
        let Some(row) = session.rows(select, &values).await?.pop() else { return Ok(None) };
        let twin = Stored::read(row)?;
        Hear { id: twin.id }.perform(session, group).await?;
        Ok(Some(twin))
    }

    /// Whether the row was inserted; not if its key is taken.
    async fn insert(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let insert = "INSERT INTO operations (id, merchant, connection, operation, customer, key_hash, fingerprint, \
                      state, attempt, created_at, sent_at, worker, leased_at, lease_until, command) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'sending', 1, ?8, ?8, ?9, ?8, ?10, ?11) \
                      ON CONFLICT (merchant, key_hash) DO NOTHING";
        let values = [
            Value::Text(&self.id.to_string()),
            Value::Text(&self.merchant),
            Value::Text(&self.connection),
            Value::Text(&self.operation),
            Value::text(self.customer.as_deref()),
            Value::bytes(self.key_hash.as_ref().map(|hash| &hash[..])),
            Value::Bytes(&self.fingerprint),
            Value::Integer(group.now),
            Value::Text(&self.terms.worker),
            Value::Integer(after(group.now, self.terms.lease)),
            Value::Bytes(&self.command),
        ];
        if session.execute(insert, &values).await? == 0 {
            return Ok(false);
        }
        self.inserted.store(true, Ordering::Relaxed);
        let subject = Subject {
            id: self.id,
            merchant: &self.merchant,
            connection: &self.connection,
            operation: &self.operation,
            attempt: 1,
            fingerprint: &self.fingerprint,
        };
        record(session, group, Event::Intent, subject).await?;
        Ok(true)
    }
}

// Ends.

/// Takes away every answer about a customer but those to its deletion, and those of open writes that are still to come.
const ERASE: &str = "UPDATE operations SET answer = NULL, erased = 1, unheard = 0 WHERE merchant = ?1 \
                     AND connection = ?2 AND customer = ?3 AND NOT (operation = 'delete' AND state = 'done') \
                     AND (answer IS NOT NULL OR state IN ('sending', 'unknown'))";

/// The same of a create whose customer was deleted before its own answer came.
const ERASE_LATE: &str = "UPDATE operations SET answer = NULL, erased = 1, unheard = 0 WHERE id = ?1 \
                          AND EXISTS (SELECT 1 FROM operations AS other WHERE other.merchant = ?2 \
                          AND other.connection = ?3 AND other.customer = ?4 AND other.id > ?1 \
                          AND other.operation = 'delete' AND other.state = 'done')";

/// The end of an attempt, with its answer sealed.
pub(super) struct Finish {
    pub(super) id: OperationId,
    pub(super) attempt: u32,
    pub(super) event: Event,
    pub(super) customer: Option<String>,
    pub(super) reconcile_after: Option<i64>,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<Vec<u8>>,
    /// Whether nobody waits for it any more who could ask again only without a key.
    pub(super) unheard: bool,
}

#[async_trait]
impl Work for Finish {
    type Done = bool;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let id = self.id.to_string();
        let state = match self.event {
            Event::Done => Some(State::Done),
            Event::Failed => Some(State::Failed),
            Event::NotSent => None,
            Event::Intent | Event::TakenOver | Event::Unknown | Event::Held => Some(State::Unknown),
        };
        let rows = match state {
            None => {
                let delete = "DELETE FROM operations WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') \
                              RETURNING merchant, connection, operation, fingerprint, customer";
                session.rows(delete, &[Value::Text(&id), Value::Integer(self.attempt.into())]).await?
            }
            Some(state) => {
                let update = "UPDATE operations SET state = ?3, customer = coalesce(?4, customer), status = ?5, \
                              answer = CASE WHEN erased = 1 THEN answer ELSE ?6 END, finished_at = ?7, reconcile_after = ?8, worker = NULL, leased_at = NULL, \
                              lease_until = NULL, unheard = ?9, \
                              command = CASE WHEN CAST(?7 AS BIGINT) IS NULL THEN command ELSE NULL END \
                              WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') \
                              RETURNING merchant, connection, operation, fingerprint, customer";
                let values = [
                    Value::Text(&id),
                    Value::Integer(self.attempt.into()),
                    Value::Text(state.as_str()),
                    Value::text(self.customer.as_deref()),
                    Value::integer(self.status.map(i64::from)),
                    Value::bytes(self.answer.as_deref()),
                    Value::integer(state.is_final().then_some(group.now)),
                    Value::integer(self.reconcile_after),
                    Value::Integer((self.unheard && state.is_final()).into()),
                ];
                session.rows(update, &values).await?
            }
        };
        let Some(mut row) = rows.into_iter().next() else { return self.was_here(session, &id, state).await };
        let (merchant, connection, operation) = (row.text()?, row.text()?, row.text()?);
        let subject = Subject {
            id: self.id,
            merchant: &merchant,
            connection: &connection,
            operation: &operation,
            attempt: self.attempt,
            fingerprint: &row.bytes()?,
        };
        record(session, group, self.event, subject).await?;
        if self.event == Event::Done
            && let Some(customer) = row.maybe_text()?
        {
            let values = [&id, &merchant, &connection, &customer].map(|text| Value::Text(text.as_str()));
            match Operation::parse(&operation) {
                Some(Operation::Delete) => session.execute(ERASE, &values[1..]).await?,
                Some(Operation::Create) => session.execute(ERASE_LATE, &values).await?,
                _ => 0,
            };
        }
        Ok(true)
    }
}

/// That somebody has heard how a write ended.
pub(super) struct Hear {
    pub(super) id: OperationId,
}

#[async_trait]
impl Work for Hear {
    type Done = ();

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE operations SET unheard = 0 WHERE id = ?1";
        session.execute(update, &[Value::Text(&self.id.to_string())]).await.map(|_| ())
    }
}

impl Finish {
    /// Whether the same attempt ended so already: its commit was durable and the word of it was lost.
    async fn was_here(&self, session: &mut dyn Session, id: &str, state: Option<State>) -> Result<bool, StoreError> {
        let select = "SELECT state, attempt FROM operations WHERE id = ?1";
        match session.rows(select, &[Value::Text(id)]).await?.pop() {
            None => Ok(state.is_none()),
            Some(mut row) => Ok(Some(row.parsed(State::parse)?) == state && row.integer()? == i64::from(self.attempt)),
        }
    }
}

// Leases.

/// A sign of life for all that this process is at work on.
pub(super) struct Renew {
    pub(super) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Renew {
    type Done = ();

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE operations SET lease_until = ?1 \
                      WHERE state IN ('sending', 'unknown') AND worker = ?2 AND leased_at > ?3";
        let values = [
            Value::Integer(after(group.now, self.terms.lease)),
            Value::Text(&self.terms.worker),
            Value::Integer(before(group.now, LONGEST_ATTEMPT)),
        ];
        session.execute(update, &values).await?;
        Ok(())
    }
}

/// Whether an attempt that took a write over may send it once more, noted before it does.
pub(super) struct SendAgain {
    pub(super) terms: Arc<Terms>,
    pub(super) id: OperationId,
    pub(super) attempt: u32,
}

#[async_trait]
impl Work for SendAgain {
    type Done = Resend;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Resend, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE id = ?1 AND attempt = ?2 AND state IN ('sending', 'unknown') AND worker = ?3 \
             AND lease_until > ?4"
        );
        let id = self.id.to_string();
        let values = [
            Value::Text(&id),
            Value::Integer(self.attempt.into()),
            Value::Text(&self.terms.worker),
            Value::Integer(group.now),
        ];
        let Some(row) = session.rows(select, &values).await?.pop() else { return Ok(Resend::Lost) };
        let stored = Stored::read(row)?;
        if Self::is_overtaken(session, &stored).await? {
            return Ok(Resend::Overtaken);
        }
        // Whoever takes it over from this attempt looks at once, and must give the provider its time anew.
        let update = "UPDATE operations SET sent_at = ?2, \
                      reconcile_after = CASE WHEN state = 'unknown' THEN ?2 ELSE reconcile_after END WHERE id = ?1";
        session.execute(update, &[Value::Text(&id), Value::Integer(group.now)]).await?;
        let subject = Subject {
            id: self.id,
            merchant: &stored.merchant,
            connection: &stored.connection,
            operation: &stored.operation,
            attempt: self.attempt,
            fingerprint: &stored.fingerprint,
        };
        record(session, group, Event::Intent, subject).await?;
        Ok(Resend::Noted)
    }
}

impl SendAgain {
    /// Whether a newer write to the same customer would be undone.
    async fn is_overtaken(session: &mut dyn Session, stored: &Stored) -> Result<bool, StoreError> {
        let undone = match stored.operation.as_str() {
            "update" => ["update", "update"],
            "block" | "unblock" => ["block", "unblock"],
            _ => return Ok(false),
        };
        let Some(customer) = &stored.customer else { return Ok(false) };
        let select = "SELECT id FROM operations WHERE merchant = ?1 AND id > ?2 AND connection = ?3 AND customer = ?4 \
                      AND operation IN (?5, ?6) AND state <> 'failed' LIMIT 1";
        let values = [
            Value::Text(&stored.merchant),
            Value::Text(&stored.id.to_string()),
            Value::Text(&stored.connection),
            Value::Text(customer),
            Value::Text(undone[0]),
            Value::Text(undone[1]),
        ];
        Ok(!session.rows(select, &values).await?.is_empty())
    }
}

/// Says that a customer is what came of a create, unless that is said of another one, or may be before long.
pub(super) struct Adopt {
    pub(super) id: OperationId,
    pub(super) attempt: u32,
    pub(super) customer: String,
    pub(super) is_marked: bool,
}

/// How long before a create others may have begun that made a customer which looks like its own.
const ALIKE: Duration = Duration::from_mins(15);

#[async_trait]
impl Work for Adopt {
    type Done = Adopted;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Adopted, StoreError> {
        let id = self.id.to_string();
        let select = "SELECT other.id FROM operations AS this JOIN operations AS other \
                      ON other.merchant = this.merchant AND other.fingerprint = this.fingerprint \
                      WHERE this.id = ?1 AND other.id <> ?1 AND other.state IN ('sending', 'unknown') \
                      AND other.state = 'sending' LIMIT 1";
        if !self.is_marked && !session.rows(select, &[Value::Text(&id)]).await?.is_empty() {
            return Ok(Adopted::Open);
        }
        let update = "UPDATE operations SET customer = ?3 WHERE id = ?1 AND attempt = ?2 \
                      AND state IN ('sending', 'unknown') AND NOT EXISTS (SELECT 1 FROM operations AS other \
                      WHERE other.merchant = operations.merchant AND other.id > ?4 AND other.id <> ?1 \
                      AND other.connection = operations.connection AND other.operation = operations.operation \
                      AND other.customer = ?3)";
        let values = [
            Value::Text(&id),
            Value::Integer(self.attempt.into()),
            Value::Text(&self.customer),
            Value::Text(&self.id.earliest_within(ALIKE)),
        ];
        Ok(if session.execute(update, &values).await? > 0 { Adopted::Own } else { Adopted::Anothers })
    }
}

/// Takes over what nobody is at work on any more, and what is due to be looked up. Ordered by time and not by id, as
/// everywhere where few rows of many are meant: an order by id would walk all of them.
pub(super) struct TakeOver {
    pub(super) terms: Arc<Terms>,
    /// Only this one, whether it is due or not.
    pub(super) only: Option<OperationId>,
    pub(super) limit: usize,
}

#[async_trait]
impl Work for TakeOver {
    type Done = Vec<Stored>;

    /// What is taken over and not worked on would wait for its next lease to run out.
    const ONLY_IF_AWAITED: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Vec<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE state IN ('sending', 'unknown') \
             AND (state = 'sending' OR reconcile_after <= ?1 OR id = ?5) AND (CAST(?5 AS TEXT) = '' OR id = ?5) \
             AND (lease_until IS NULL OR lease_until <= ?1 OR (CAST(?2 AS BIGINT) = 1 AND worker <> ?3)) \
             ORDER BY created_at LIMIT ?4"
        );
        let only = self.only.map(|id| id.to_string()).unwrap_or_default();
        let values = [
            Value::Integer(group.now),
            Value::Integer(self.terms.alone.into()),
            Value::Text(&self.terms.worker),
            Value::Integer(limited(self.limit)),
            Value::Text(&only),
        ];
        let mut taken = Vec::new();
        for row in session.rows(select, &values).await? {
            let mut stored = Stored::read(row)?;
            stored.attempt += 1;
            let update =
                "UPDATE operations SET attempt = ?2, worker = ?3, leased_at = ?4, lease_until = ?5 WHERE id = ?1";
            let values = [
                Value::Text(&stored.id.to_string()),
                Value::Integer(stored.attempt.into()),
                Value::Text(&self.terms.worker),
                Value::Integer(group.now),
                Value::Integer(after(group.now, self.terms.lease)),
            ];
            session.execute(update, &values).await?;
            let subject = Subject {
                id: stored.id,
                merchant: &stored.merchant,
                connection: &stored.connection,
                operation: &stored.operation,
                attempt: stored.attempt,
                fingerprint: &stored.fingerprint,
            };
            record(session, group, Event::TakenOver, subject).await?;
            taken.push(stored);
        }
        Ok(taken)
    }
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

// Lifetimes.

/// Takes away a handful of what has outlived its time. Unfinished operations never do.
pub(super) struct Reap {
    pub(super) terms: Arc<Terms>,
}

#[async_trait]
impl Work for Reap {
    type Done = Reaped;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Reaped, StoreError> {
        let delete = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                      WHERE finished_at IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.tombstones)), Value::Integer(HANDFUL)];
        let tombstones = session.execute(delete, &values).await?;
        let update = "UPDATE operations SET answer = NULL WHERE id IN (SELECT id FROM operations \
                      WHERE answer IS NOT NULL AND finished_at <= ?1 ORDER BY finished_at LIMIT ?2)";
        let values = [Value::Integer(before(group.now, self.terms.answers)), Value::Integer(HANDFUL)];
        let answers = session.execute(update, &values).await?;
        Ok(Reaped { answers, tombstones })
    }
}

// Keys.

/// The store's own secret, as it is sealed; the one given if there is none yet.
pub(super) struct Secret {
    pub(super) fresh: Vec<u8>,
}

#[async_trait]
impl Work for Secret {
    type Done = Vec<u8>;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<u8>, StoreError> {
        let select = "SELECT value FROM meta WHERE name = 'secret'";
        if let Some(mut row) = session.rows(select, &[]).await?.pop() {
            return row.bytes();
        }
        session.execute("INSERT INTO meta (name, value) VALUES ('secret', ?1)", &[Value::Bytes(&self.fresh)]).await?;
        Ok(self.fresh.clone())
    }
}

/// Replaces the sealed secret, if nobody else did.
pub(super) struct ReplaceSecret {
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

#[async_trait]
impl Work for ReplaceSecret {
    type Done = ();

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE meta SET value = ?2 WHERE name = 'secret' AND value = ?1";
        session.execute(update, &[Value::Bytes(&self.old), Value::Bytes(&self.new)]).await?;
        Ok(())
    }
}

/// Rows with sealed contents, in the order of their ids.
pub(super) struct ReadSealed {
    pub(super) after: String,
    pub(super) limit: usize,
}

#[async_trait]
impl Work for ReadSealed {
    type Done = Vec<Stored>;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<Stored>, StoreError> {
        let select = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE id > ?1 AND (command IS NOT NULL OR answer IS NOT NULL) ORDER BY id LIMIT ?2"
        );
        let values = [Value::Text(&self.after), Value::Integer(limited(self.limit))];
        session.rows(select, &values).await?.into_iter().map(Stored::read).collect()
    }
}

/// Replaces what is sealed in a row, if it is still what was read.
pub(super) struct ReplaceSealed {
    pub(super) id: OperationId,
    pub(super) command: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) answer: Option<(Vec<u8>, Vec<u8>)>,
}

#[async_trait]
impl Work for ReplaceSealed {
    type Done = ();

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let id = self.id.to_string();
        if let Some((old, new)) = &self.command {
            let update = "UPDATE operations SET command = ?3 WHERE id = ?1 AND command = ?2";
            session.execute(update, &[Value::Text(&id), Value::Bytes(old), Value::Bytes(new)]).await?;
        }
        if let Some((old, new)) = &self.answer {
            let update = "UPDATE operations SET answer = ?3 WHERE id = ?1 AND answer = ?2";
            session.execute(update, &[Value::Text(&id), Value::Bytes(old), Value::Bytes(new)]).await?;
        }
        Ok(())
    }
}
