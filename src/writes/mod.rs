//! Writes: whatever changes something at a provider. A write is claimed in the store before it is sent, runs in a
//! task of its own that outlives the client's connection, and its end is kept before it is told. What cannot be
//! known is looked for, never sent again blindly.

mod in_flight;
mod new_write;
mod operation;
pub mod over_http;
mod recovery;
mod stored_write;
mod surface;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use passerelle_providers::{
    engine::Planned,
    model::{Command, Effect, Error, Kind, Written},
};
use tokio::time::Instant;

pub use new_write::{Idempotency, NewWrite, Write};
pub use surface::{EndedWrite, FindSurface, KeptSurface, Surface};

use crate::{
    execution::{self, Exchange},
    merchant::Gateway,
    problem::Problem,
    store::{Claim, End, KeptAnswer, LONGEST_ATTEMPT, NewOperation, OperationId, OperationLog, Record, StoreError},
};
use in_flight::{Content, InFlight, InFlightWrite};
use operation::{AttemptTime, Operation, Waiters};
use stored_write::StoredWrite;

/// What a write is answered with.
#[derive(Debug, Clone)]
pub struct WriteAnswer {
    /// The write.
    pub id: OperationId,
    /// The answer.
    pub answer: KeptAnswer,
    /// The same for the log, where it is a failure of this request.
    pub failure: Option<Problem>,
    /// Whether it was given before, to the same request.
    pub is_replay: bool,
}

/// Why a write was not carried out, nor answered from an earlier one.
#[derive(Debug)]
pub enum Refused {
    /// Nothing can be recorded, so nothing was sent.
    Store(StoreError),
    /// The same request is under way.
    InProgress(OperationId),
    /// The key belongs to another request.
    Reused,
    /// The answer is too old to be given again; this is the customer it was about.
    Expired(Option<String>),
    /// The answer went with the customer that it was about, which was deleted since.
    Erased(Option<String>),
    /// A fault of the gateway; what was claimed is looked for later.
    Fault,
}

/// Carries out writes.
#[derive(Debug)]
pub struct Writes {
    store: OperationLog,
    gateway: Arc<ArcSwap<Gateway>>,
    surfaces: FindSurface,
    in_flight: InFlight,
}

impl Writes {
    /// Over a store. Connections are found in the configuration that is served.
    pub fn new(store: OperationLog, gateway: Arc<ArcSwap<Gateway>>, surfaces: FindSurface) -> Arc<Self> {
        Arc::new(Self { store, gateway, surfaces, in_flight: InFlight::default() })
    }

    /// Executes a write, or answers it from an earlier one that was the same. The client that asked may go away: what
    /// was begun goes on.
    pub async fn execute(self: &Arc<Self>, write: Write, idempotency: Idempotency) -> Result<WriteAnswer, Refused> {
        // Goes with the client that asked.
        let client = Arc::new(());
        let time = self.time(write.new.deadline);
        let pending = PendingWrite::new(write, idempotency);
        // Who only waits for another write has begun nothing that must go on, and nothing more would be known of it.
        if pending.joins()
            && let Some(twin) = self.in_flight.join_duplicate(&pending.content, &Arc::downgrade(&client))
            && let Some(told) = twin.answer(time.ends).await
        {
            return Ok(WriteAnswer { is_replay: true, ..told });
        }
        let in_flight_write = self.in_flight.begin(pending.write.id, Some(pending.content.clone()));
        let running = tokio::spawn(Arc::clone(self).run(pending, in_flight_write, time, Arc::downgrade(&client)));
        running.await.unwrap_or(Err(Refused::Fault))
    }

    /// Waits until nothing is under way, or for as long as it may.
    pub async fn drained(&self, patience: Duration) {
        let ends = Instant::now() + patience;
        while !self.in_flight.is_empty() && Instant::now() < ends {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn run(
        self: Arc<Self>,
        pending: PendingWrite,
        in_flight_write: InFlightWrite,
        time: AttemptTime,
        client: Weak<()>,
    ) -> Result<WriteAnswer, Refused> {
        let PendingWrite { write: Write { new: write, id, conditions, planned }, idempotency, document, content } =
            pending;
        let is_keyed = idempotency.key.is_some();
        let new = NewOperation {
            id,
            merchant: content.merchant,
            connection: write.connection.name.clone(),
            operation: write.command.operation().name().to_owned(),
            customer: subject(&write.command),
            key: idempotency.key,
            joins: idempotency.joins,
            request: content.request,
            command: document,
        };
        match self.store.claim(new).await.map_err(Refused::Store)? {
            Claim::New { attempt } => {
                let waiters = Waiters { client: &client, in_flight_write: &in_flight_write };
                let operation = Operation::of(&write, id, attempt, conditions, waiters);
                // Large, and moved before it is begun: out of the way of those who do not come here.
                let told = Box::pin(self.attempt(operation, Ok(planned), &time)).await;
                self.end(in_flight_write, &told).await;
                Ok(told)
            }
            Claim::InFlight(record) if is_keyed => Err(Refused::InProgress(record.id)),
            // Whoever waits for this one asks the store as well, as soon as it is known that this is no new write.
            Claim::InFlight(record) => {
                drop(in_flight_write);
                self.join(&record, time.ends, &client).await
            }
            Claim::Unknown(record) => {
                drop(in_flight_write);
                Box::pin(self.settle(record, &time, &client)).await
            }
            Claim::Finished(record) => {
                self.leave_unheard(&record, &client).await;
                replayed(record)
            }
            Claim::Reused => Err(Refused::Reused),
            Claim::Expired(record) => {
                let customer = execution::public_id(&write.merchant, &record.connection, record.customer).await;
                Err(Refused::Expired(customer))
            }
            Claim::Erased(record) => {
                let customer = execution::public_id(&write.merchant, &record.connection, record.customer).await;
                Err(Refused::Erased(customer))
            }
        }
    }

    /// What is claimed or taken over from now on may be sent in this time.
    fn time(&self, deadline: Duration) -> AttemptTime {
        AttemptTime { ends: Instant::now() + deadline, lease: self.store.lease() }
    }

    /// Sends a write, and keeps how it ended.
    async fn attempt(
        &self,
        operation: Operation<'_>,
        planned: Result<Planned, Error>,
        time: &AttemptTime,
    ) -> WriteAnswer {
        let transport = time.transport(&operation);
        let sent = async { planned?.write(&transport).await };
        let result = match sent.await {
            // Who was there a moment ago was deleted by the attempt before, which was carried out late.
            Err(error) if error.kind == Kind::NotFound && operation.is_deleted_again() => Ok(Written::Deleted),
            result => result,
        };
        self.conclude(&operation, result, transport.exchanges()).await
    }

    /// Keeps how a write ended, and tells it. A success that could not be kept is not told as one.
    async fn conclude(
        &self,
        operation: &Operation<'_>,
        result: Result<Written, Error>,
        exchanges: Option<Vec<Exchange>>,
    ) -> WriteAnswer {
        let Operation { merchant, connection, .. } = *operation;
        let result = execution::present_written(merchant, connection, result).await;
        let told = operation.write_answer(&result, exchanges.as_deref());
        let end = match &result {
            // That nothing was sent now says nothing of earlier attempts.
            Err(error) if error.effect == Effect::None && operation.attempt > 1 && !is_definite(error.kind) => {
                return self.wait(operation, "it could not be sent once more").await;
            }
            Ok(written) => End::Done { customer: created(written), answer: told.answer.clone() },
            Err(error) => match error.effect {
                Effect::Done => End::Done { customer: None, answer: told.answer.clone() },
                Effect::Unknown => {
                    End::Unknown { reconcile_after: operation.look_again(), answer: told.answer.clone() }
                }
                Effect::None if is_definite(error.kind) => End::Failed { answer: told.answer.clone() },
                Effect::None => End::NotSent,
            },
        };
        self.keep(operation, told, end).await
    }

    /// Leaves open how a write ended, until it is looked for the next time.
    async fn wait(&self, operation: &Operation<'_>, why: &'static str) -> WriteAnswer {
        let told = operation.unrecorded(why);
        let end = End::Unknown { reconcile_after: operation.look_again(), answer: told.answer.clone() };
        self.keep(operation, told, end).await
    }

    async fn keep(&self, operation: &Operation<'_>, told: WriteAnswer, end: End) -> WriteAnswer {
        let (id, attempt) = (operation.id, operation.attempt);
        let is_heard = operation.is_keyed || operation.waiters.are_waiting();
        let is_final = matches!(end, End::Done { .. } | End::Failed { .. });
        let kept = finish(&self.store, id, attempt, end.clone(), is_heard).await;
        if !is_heard && is_final && kept == Ok(true) {
            operation.waiters.in_flight_write.ended_undelivered();
        }
        match kept {
            Ok(true) => told,
            Ok(false) => operation.unrecorded("another process has taken this write over"),
            Err(error) => {
                tracing::error!(operation.id = %operation.id, "the end of a write cannot be kept yet: {error}");
                tokio::spawn(insist(self.store.clone(), id, attempt, end, operation.is_keyed));
                operation.unrecorded("what came of it could not be recorded")
            }
        }
    }

    /// Tells those who wait for a write. Who joined it while its end was kept as unheard has heard it all the same, or
    /// the next one who comes would be taken for the client that asked first.
    async fn end(&self, mut in_flight_write: InFlightWrite, told: &WriteAnswer) {
        if let Some(id) = in_flight_write.close()
            && let Err(error) = self.store.mark_delivered(id).await
        {
            tracing::warn!(operation.id = %id, "that a write was heard cannot be kept: {error}");
        }
        in_flight_write.write_answer(told);
    }

    /// A client that asked for a write without a key that nobody had heard counts with its claim as having heard it; but not
    /// who had gone by then, or its next repetition would be carried out.
    async fn leave_unheard(&self, record: &Record, client: &Weak<()>) {
        if !record.keyed
            && client.strong_count() == 0
            && let Err(error) = self.store.mark_undelivered(record.id).await
        {
            tracing::warn!(operation.id = %record.id, "that nobody heard a write cannot be kept: {error}");
        }
    }

    /// Waits for the same request that is under way, here or in another process.
    async fn join(&self, record: &Record, ends: Instant, client: &Weak<()>) -> Result<WriteAnswer, Refused> {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        if let Some(write) = self.in_flight.join(record.id, client)
            && let Some(told) = write.answer(ends).await
        {
            return Ok(WriteAnswer { is_replay: true, ..told });
        }
        while Instant::now() < ends && client.strong_count() > 0 {
            match self.store.get(&record.merchant, record.id).await.map_err(Refused::Store)? {
                Some(found) if found.state.is_final() || found.answer.is_some() => {
                    // It may have ended before anybody could see that there is somebody who waits.
                    if found.state.is_final() {
                        self.store.mark_delivered(found.id).await.map_err(Refused::Store)?;
                    }
                    return replayed(found);
                }
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
                None => break,
            }
        }
        Err(Refused::InProgress(record.id))
    }

    /// Looks now for what came of a write whose outcome is not known.
    async fn settle(
        self: &Arc<Self>,
        record: Record,
        time: &AttemptTime,
        client: &Weak<()>,
    ) -> Result<WriteAnswer, Refused> {
        match self.store.take_over_one(record.id).await.map_err(Refused::Store)? {
            Some(taken) => match self.resume(taken, time, client).await {
                Some(told) => Ok(WriteAnswer { is_replay: true, ..told }),
                None => replayed(record),
            },
            None => self.join(&record, time.ends, client).await,
        }
    }
}

/// A write, and what it is known by.
struct PendingWrite {
    write: Write,
    idempotency: Idempotency,
    /// What the store keeps of it.
    document: Bytes,
    content: Content,
}

impl PendingWrite {
    fn new(write: Write, idempotency: Idempotency) -> Self {
        let Write { new: NewWrite { merchant, connection, command, surface, .. }, conditions, planned, .. } = &write;
        let fingerprint = stored_write::fingerprint(command, &surface.name(), conditions.on_loss);
        let lost = planned.fidelity().losses().map(|entry| entry.field.name().to_owned()).collect::<Vec<_>>();
        let lost = [lost, surface.lost().to_vec()].concat();
        let document = StoredWrite::write(&fingerprint, command, conditions.on_loss, lost);
        let request = [connection.name.as_bytes(), b"\n", &fingerprint].concat().into();
        let content = Content { merchant: merchant.name.clone(), request };
        Self { write, idempotency, document, content }
    }

    /// Whether it may be a repetition of another one that is under way, which is found by its content.
    const fn joins(&self) -> bool {
        let Idempotency { key, joins } = &self.idempotency;
        key.is_none() && *joins
    }
}

/// Tells the store how a write ended until it can be kept, or the write is taken over because that took too long.
async fn insist(store: OperationLog, id: OperationId, attempt: u32, end: End, is_keyed: bool) {
    const EVERY: Duration = Duration::from_millis(500);
    let gives_up = Instant::now() + LONGEST_ATTEMPT;
    while Instant::now() < gives_up {
        tokio::time::sleep(EVERY).await;
        if finish(&store, id, attempt, end.clone(), is_keyed).await.is_ok() {
            return;
        }
    }
}

async fn finish(
    store: &OperationLog,
    id: OperationId,
    attempt: u32,
    end: End,
    is_heard: bool,
) -> Result<bool, StoreError> {
    match is_heard {
        true => store.finish(id, attempt, end).await,
        false => store.finish_undelivered(id, attempt, end).await,
    }
}

/// The answer that was kept.
fn replayed(record: Record) -> Result<WriteAnswer, Refused> {
    match record.answer {
        Some(answer) => Ok(WriteAnswer { id: record.id, answer, failure: None, is_replay: true }),
        None => Err(Refused::InProgress(record.id)),
    }
}

/// Whether a refusal would be the same again. Everything else may be tried again with the same key.
const fn is_definite(kind: Kind) -> bool {
    matches!(kind, Kind::NotFound | Kind::Rejected | Kind::FieldsNotSupported | Kind::SharedRecord)
}

/// Whom a write is about, by the id at the provider, where that is known before it is sent.
fn subject(command: &Command) -> Option<String> {
    command.customer().map(|id| id.at_provider().to_string())
}

/// Whom a create turned out to be about. Every other write is about whom it names: where a customer has several names,
/// only who is named alike is known for the same.
fn created(written: &Written) -> Option<String> {
    match written {
        Written::Created(created) => Some(created.customer.id_at_provider().to_string()),
        Written::Changed(_) | Written::Deleted => None,
    }
}
