//! Copies: the writes by which the gateway itself brings a customer to another connection, while a merchant switches
//! providers. `switch` calls [`Writes::copy`].
//!
//! A copy keeps the rules of every write: it is claimed durably, sent once, and reconciled by the workers when its outcome
//! is unknown. It differs in this:
//!
//! - Its key is in a space of its own (`store/operations/copies.rs`). One copy of a customer at a connection is open or
//!   unknown at a time, and it joins no other write.
//! - Its stored answer has no values of the customer, only the id at the provider.
//! - It gives no customer a new id, and is not presented to a client.
//! - It is not sent again. Where another write would be, its key becomes free, and the next copy reads the customer again. A
//!   create is searched first until the gateway gives up, because the provider may show the new record late.
//! - A create has the marker of its customer, so that every later process finds the record that it made.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use passerelle_providers::{
    engine::Conditions,
    model::{Command, Effect, Error, LossPolicy, Written},
    text::Source,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    AttemptTime, Claim, End, EndedWrite, Idempotency, NewWrite, PreparedWrite, Record, SentRequest, Surface,
    WriteAnswer, Writes, repetition::Ran,
};
use crate::{
    merchant::{Connection, Merchant},
    problem::Problem,
    store::{CopyOf, HomeOfWrite, OperationId, State, StoreError, StoredAnswer},
};

/// The name of the surface of copies, before the marker and the hashes.
const SURFACE: &str = "copy ";

/// A copy that the gateway is about to make.
#[derive(Debug)]
pub struct NewCopy {
    /// The merchant whose customer it is.
    pub merchant: Arc<Merchant>,
    /// The connection at which it is made. It is not the customer's home.
    pub connection: Arc<Connection>,
    /// The customer.
    pub of: CopyOf,
    /// The epoch under which it was planned.
    pub epoch: u64,
    /// What it does there: a create, an update, a block, an unblock or a deletion.
    pub command: Command,
    /// What the record has if this happens, as keyed hashes. A later process learns by it which values the gateway wrote.
    pub seen: Vec<u8>,
}

/// How a copy ended.
#[derive(Debug)]
pub enum CopyEnd {
    /// It happened, now or before.
    Done {
        /// The id of the record, where it was made or matched.
        provider_id: Option<String>,
        /// Whether a create was answered with a record that existed before.
        existing: bool,
        /// What the copy gave the record, as [`NewCopy::seen`] has it. Empty where that is not known any more.
        seen: Vec<u8>,
        /// The result, where this call received it.
        written: Option<Box<Written>>,
    },
    /// It certainly did not happen, and its key is free. The error says why, where this call received it.
    Refused(Error),
    /// It has to be planned anew: the customer was written, moved or deleted since, and nothing was sent; or an earlier copy
    /// turned out not to have happened.
    Moved,
    /// It is in flight, or its outcome is unknown. The workers reconcile it; if it is held, each further copy of the
    /// customer does so once, and a decision of the operator ends the doubt.
    InDoubt,
}

impl Writes {
    /// Copies a customer: makes this write at a connection. If an earlier copy of the customer there is open, that one is
    /// reported, whatever it does. If an earlier copy has created the record, a create reports that one.
    ///
    /// If this future is dropped, the copy continues.
    pub async fn copy(self: &Arc<Self>, copy: NewCopy) -> Result<CopyEnd, StoreError> {
        let NewCopy { merchant, connection, of, epoch, command, seen } = copy;
        let home = HomeOfWrite { epoch, public_id: Some(of.public_id.clone()), is_copy: true };
        let until = Instant::now() + self.gateway.load().deadline;
        if let Err(error) = connection.upstream.own_turn(command.operation(), until).await {
            return Ok(CopyEnd::Refused(error));
        }
        let marker = self.store.copy_marker(&merchant.name, &of.public_id);
        let surface = CopySurface::new(marker, HEXLOWER.encode(&seen));
        self.make(merchant, connection, home, command, surface, Some(of)).await
    }

    /// Writes values of a customer to its home that stand there already, so that it is known that the home accepts writes.
    /// It is a write like a client's, but no client is answered.
    pub async fn write_back(
        self: &Arc<Self>,
        merchant: Arc<Merchant>,
        connection: Arc<Connection>,
        home: HomeOfWrite,
        command: Command,
    ) -> Result<CopyEnd, StoreError> {
        let surface = CopySurface::new("back".to_owned(), String::new());
        self.make(merchant, connection, home, command, surface, None).await
    }

    async fn make(
        self: &Arc<Self>,
        merchant: Arc<Merchant>,
        connection: Arc<Connection>,
        home: HomeOfWrite,
        command: Command,
        surface: CopySurface,
        copy: Option<CopyOf>,
    ) -> Result<CopyEnd, StoreError> {
        let (surface, deadline) = (Arc::new(surface), self.gateway.load().deadline);
        let write = NewWrite {
            merchant,
            key_name: None,
            connection,
            home: Some(home),
            // Two copies with equal contents may have made the same record. Reconciliation compares that.
            sent: SentRequest { body: Source::new(&Bytes::from(command.to_canonical_json())), ..Default::default() },
            command,
            is_keyed: copy.is_some(),
            surface: Arc::clone(&surface) as Arc<dyn Surface>,
            deadline,
            refusal: None,
            copy,
        };
        let write = match write.plan() {
            Ok(write) => write,
            Err(refused) => return Ok(CopyEnd::Refused(refused.error)),
        };
        let time = self.attempt_time(deadline);
        let prepared = PreparedWrite::new(write, Idempotency::default());
        let task = tokio::spawn(Arc::clone(self).run_copy(prepared, surface, time));
        // A task that panicked leaves its claim to the workers.
        task.await.unwrap_or(Ok(CopyEnd::InDoubt))
    }

    /// How the last copy of a customer at a connection ended, or that it is open. `None`: there is none whose record
    /// stands. It claims and sends nothing.
    pub async fn earlier_copy(
        &self,
        merchant: &Merchant,
        connection: &Connection,
        public_id: &str,
    ) -> Result<Option<CopyEnd>, StoreError> {
        let Some(record) = self.store.find_copy(&merchant.name, &connection.name, public_id).await? else {
            return Ok(None);
        };
        Ok(match record.state {
            State::Unknown if record.reconcile_after.is_none() => {
                let time = self.attempt_time(self.gateway.load().deadline);
                Some(self.reconcile_held(record, &time).await?)
            }
            State::Sending | State::Unknown => Some(CopyEnd::InDoubt),
            State::Done if record.operation != "delete" => Some(done_before(record)),
            State::Done | State::Failed => None,
        })
    }

    /// The copy of a customer at a connection whose outcome is unknown, and whether it is held for the operator.
    pub async fn copy_in_doubt(
        &self,
        merchant: &str,
        connection: &str,
        public_id: &str,
    ) -> Result<Option<(OperationId, bool)>, StoreError> {
        let record = self.store.find_copy(merchant, connection, public_id).await?;
        let is_held = |record: &Record| record.state == State::Unknown && record.reconcile_after.is_none();
        let doubtful = record.filter(|record| matches!(record.state, State::Sending | State::Unknown));
        Ok(doubtful.map(|record| (record.id, is_held(&record))))
    }

    /// Releases the claim of a copy that is held, because the operator has decided about it. `false`: an attempt reconciles it
    /// at this moment.
    pub async fn release_copy(
        &self,
        merchant: &str,
        connection: &str,
        public_id: &str,
        id: OperationId,
    ) -> Result<bool, StoreError> {
        match self.copy_in_doubt(merchant, connection, public_id).await? {
            Some((doubtful, true)) if doubtful == id => {}
            // Its outcome is known by now.
            _ => return Ok(true),
        }
        let Some(taken) = self.store.take_over_one(id).await? else { return Ok(false) };
        let lease = self.lease_of(&taken);
        let is_released = self.store.finish(taken.id, taken.attempt, End::NotSent).await?;
        lease.end();
        Ok(is_released)
    }

    /// Reconciles a copy once that no worker reconciles any more.
    async fn reconcile_held(&self, record: Record, time: &AttemptTime) -> Result<CopyEnd, StoreError> {
        let Some(taken) = self.store.take_over_one(record.id).await? else { return Ok(CopyEnd::InDoubt) };
        let lease = self.lease_of(&taken);
        let answer = Box::pin(self.reconcile(taken, lease, time, &Weak::new())).await;
        Ok(answer.map_or(CopyEnd::InDoubt, |answer| KeptEnd::read(&answer.answer.body).into()))
    }

    async fn run_copy(
        self: Arc<Self>,
        prepared: PreparedWrite,
        surface: Arc<CopySurface>,
        time: AttemptTime,
    ) -> Result<CopyEnd, StoreError> {
        let in_flight_write = self.in_flight.register(prepared.write.id, None);
        let claim = match self.claim_and_send(prepared, in_flight_write, &time, &Weak::new()).await? {
            Ran::Sent(answer) => return Ok(surface.end(&answer)),
            Ran::Moved(_) => return Ok(CopyEnd::Moved),
            Ran::Repeats(claim) => *claim,
        };
        Ok(match claim {
            Claim::Finished(record) => done_before(record),
            Claim::Unknown(record) if record.reconcile_after.is_none() => self.reconcile_held(record, &time).await?,
            _ => CopyEnd::InDoubt,
        })
    }
}

/// The end of a copy that happened before.
fn done_before(Record { customer, answer, .. }: Record) -> CopyEnd {
    let kept = answer.map_or_else(KeptEnd::default, |answer| KeptEnd::read(&answer.body));
    CopyEnd::Done { provider_id: customer, existing: kept.existing, seen: kept.seen(), written: None }
}

/// The answer to a copy as the store keeps it: nothing in it is a value of the customer.
#[derive(Debug, Serialize, Deserialize)]
struct KeptEnd {
    effect: KeptEffect,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    existing: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    seen: String,
}

impl Default for KeptEnd {
    /// A record of which nothing is known counts as one that existed before: then it is never deleted as a copy.
    fn default() -> Self {
        Self { effect: KeptEffect::Unknown, id: None, existing: true, seen: String::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptEffect {
    None,
    Done,
    Unknown,
}

impl KeptEnd {
    /// The hashes; none where a digit is wrong.
    fn seen(&self) -> Vec<u8> {
        HEXLOWER.decode(self.seen.as_bytes()).unwrap_or_default()
    }

    fn read(body: &Bytes) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    fn of(command: &Command, result: Result<&Written, &Error>, seen: &str) -> Self {
        match result {
            Ok(Written::Created(created)) => Self {
                effect: KeptEffect::Done,
                id: Some(created.customer.id_at_provider().to_string()),
                existing: created.existing,
                seen: seen.to_owned(),
            },
            Ok(Written::Changed(_)) => Self { effect: KeptEffect::Done, seen: seen.to_owned(), ..Self::default() },
            Ok(Written::Deleted) => Self { effect: KeptEffect::Done, ..Self::default() },
            Err(error) => {
                let effect = match error.effect {
                    Effect::None => KeptEffect::None,
                    // The record that a create made is not known yet.
                    Effect::Done if !matches!(command, Command::Create(_)) => KeptEffect::Done,
                    Effect::Done | Effect::Unknown => KeptEffect::Unknown,
                };
                Self { effect, ..Self::default() }
            }
        }
    }
}

impl From<KeptEnd> for CopyEnd {
    fn from(kept: KeptEnd) -> Self {
        match kept.effect {
            KeptEffect::Done => {
                Self::Done { seen: kept.seen(), provider_id: kept.id, existing: kept.existing, written: None }
            }
            // Why is not kept. The next copy finds out.
            KeptEffect::None => Self::Moved,
            KeptEffect::Unknown => Self::InDoubt,
        }
    }
}

/// How a copy is answered. It keeps the result for the caller of the same process.
pub(super) struct CopySurface {
    marker: String,
    /// What the record has after the copy, as hexadecimal digits.
    seen: String,
    result: Mutex<Option<Result<Written, Error>>>,
}

impl std::fmt::Debug for CopySurface {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CopySurface")
    }
}

impl CopySurface {
    const fn new(marker: String, seen: String) -> Self {
        Self { marker, seen, result: Mutex::new(None) }
    }

    /// The surface with this name. `None`: it is not that of a copy.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (marker, seen) = name.strip_prefix(SURFACE)?.split_once(' ')?;
        Some(Self::new(marker.to_owned(), seen.to_owned()))
    }

    /// How the copy ended whose answer this is. The newest result is the one that the answer was made from.
    fn end(&self, answer: &WriteAnswer) -> CopyEnd {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, CopyEnd::from(KeptEnd::read(&answer.answer.body))) {
            (Some(Ok(written)), CopyEnd::Done { provider_id, existing, seen, .. }) => {
                CopyEnd::Done { provider_id, existing, seen, written: Some(Box::new(written)) }
            }
            (Some(Err(error)), CopyEnd::Moved) => CopyEnd::Refused(error),
            (_, end) => end,
        }
    }
}

impl Surface for CopySurface {
    fn name(&self) -> String {
        format!("{SURFACE}{} {}", self.marker, self.seen)
    }

    /// What a copy loses, the plan of the switch has accepted.
    fn conditions(&self, _: &Connection) -> Conditions {
        Conditions::canonical(LossPolicy::Drop)
    }

    fn copy_marker(&self) -> Option<&str> {
        Some(&self.marker)
    }

    fn write_answer(&self, ended: &EndedWrite<'_>) -> (StoredAnswer, Option<Problem>) {
        let kept = KeptEnd::of(ended.command, ended.result, &self.seen);
        let status = match (kept.effect, ended.command) {
            (KeptEffect::Done, Command::Create(_)) => 201,
            (KeptEffect::Done, _) => 200,
            (KeptEffect::None, _) => 422,
            (KeptEffect::Unknown, _) => 504,
        };
        let body = serde_json::to_vec(&kept).unwrap_or_default().into();
        let result = ended.result.cloned().map_err(Error::clone);
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        (StoredAnswer { status, headers: Vec::new(), body }, None)
    }
}
