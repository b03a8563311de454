//! Writes: every command that changes something at a provider. `http` and `drop_in` call [`Writes::execute`];
//! `serve` starts the background workers ([`Writes::run_in_background`]).
//!
//! A provider can execute a write and lose the answer, a client can disconnect, and this process can die at any time.
//! So these rules hold, and every change must keep them:
//!
//! 1. **No claim, no write.** The claim is durable in the store before the first request leaves.
//! 2. **A write runs in its own task.** A client that disconnects does not stop it.
//! 3. **Store, then answer.** A client gets a success only after the store keeps it. If the store does not, the client
//!    gets `outcome_unknown`, and the same request gets the true answer later.
//! 4. **Unknown is not failed.** If the outcome is unknown, a worker reconciles: it asks the provider what happened.
//!    The write is sent again only where that can do no harm, or where the operator chose it.
//! 5. **Only the newest attempt decides.** The store accepts an end only from the newest attempt, and an attempt sends
//!    only while its lease lasts.
//!
//! `new_write` is a write before its claim, `operation` one attempt, `in_flight` the writes of this process that
//! clients can join, `stored_write` what the store keeps for other processes, `recovery` the workers, `surface` the
//! format of answers, `over_http` the headers. `docs/reliability.md` follows a lost answer through all of it.

mod in_flight;
mod new_write;
mod operation;
pub mod over_http;
mod recovery;
mod stored_write;
mod surface;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use passerelle_providers::{
    engine::Planned,
    model::{Command, Effect, Error, Kind, Written},
};
use tokio::time::Instant;

pub use new_write::{Idempotency, NewWrite, Write};
pub use surface::{EndedWrite, FindSurface, StoredSurface, Surface};

use crate::{
    execution::{self, Exchange},
    merchant::Gateway,
    problem::Problem,
    store::{Claim, End, LONGEST_ATTEMPT, NewOperation, OperationId, OperationLog, Record, StoreError, StoredAnswer},
};
use in_flight::{ClientPresence, InFlightRegister, InFlightWrite};
use new_write::PreparedWrite;
use operation::{AttemptTime, Operation, Waiters};
use stored_write::StoredWrite;

/// The answer to a write.
#[derive(Debug, Clone)]
pub struct WriteAnswer {
    /// The id of the write.
    pub id: OperationId,
    /// The answer.
    pub answer: StoredAnswer,
    /// If this request failed, the problem, for the log.
    pub failure: Option<Problem>,
    /// Whether it is the answer to an earlier request for the same write.
    pub is_replay: bool,
}

/// Why a request for a write gets neither an execution nor the answer of an earlier one.
#[derive(Debug)]
pub enum Refused {
    /// The store cannot record the write, so nothing was sent.
    Store(StoreError),
    /// The same write is in flight.
    InProgress(OperationId),
    /// The key belongs to another request.
    Reused,
    /// The write is finished, but its answer is not stored any more. With the id of its customer.
    Expired(Option<String>),
    /// The customer was deleted since, and the answer was erased with it. With the id of the customer.
    Erased(Option<String>),
    /// The task of the write panicked. If the write was claimed, a worker reconciles it when its lease has run out.
    Fault,
}

/// Executes writes.
#[derive(Debug)]
pub struct Writes {
    store: OperationLog,
    gateway: Arc<ArcSwap<Gateway>>,
    find_surface: FindSurface,
    in_flight: InFlightRegister,
}

impl Writes {
    /// Writes over a store. Workers find the connection of a stored write in the current configuration, and its surface
    /// with `find_surface`.
    pub fn new(store: OperationLog, gateway: Arc<ArcSwap<Gateway>>, find_surface: FindSurface) -> Arc<Self> {
        Arc::new(Self { store, gateway, find_surface, in_flight: InFlightRegister::default() })
    }

    /// Executes a write, or answers it with the answer to an earlier request for the same write. If the client
    /// disconnects, this future is dropped, but the task that executes the write continues.
    pub async fn execute(self: &Arc<Self>, write: Write, idempotency: Idempotency) -> Result<WriteAnswer, Refused> {
        // Dropped together with this future, so that the task can see whether the client still waits.
        let client = Arc::new(());
        let time = self.attempt_time(write.new.deadline);
        let prepared = PreparedWrite::new(write, idempotency);
        // A client that only waits for another write has started nothing, so it needs no task of its own. If it gets no
        // answer here, the claim below decides.
        if prepared.may_join()
            && let Some(duplicate) = self.in_flight.join_duplicate(&prepared.content, &Arc::downgrade(&client))
            && let Some(answer) = duplicate.answer(time.deadline).await
        {
            return Ok(WriteAnswer { is_replay: true, ..answer });
        }
        // Registered before the claim, so that a duplicate that comes between the two already waits for this write.
        let in_flight_write = self.in_flight.register(prepared.write.id, Some(prepared.content.clone()));
        let task = tokio::spawn(Arc::clone(self).run(prepared, in_flight_write, time, Arc::downgrade(&client)));
        task.await.unwrap_or(Err(Refused::Fault))
    }

    /// Waits until no write is in flight, but not longer than `patience`. For the shutdown.
    pub async fn drained(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.in_flight.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Claims the write, and does what the claim allows. Only [`Claim::New`] sends it.
    async fn run(
        self: Arc<Self>,
        prepared: PreparedWrite,
        in_flight_write: InFlightWrite,
        time: AttemptTime,
        client: ClientPresence,
    ) -> Result<WriteAnswer, Refused> {
        let PreparedWrite { write: Write { new: write, id, conditions, planned }, idempotency, document, content } =
            prepared;
        let is_keyed = idempotency.key.is_some();
        let new = NewOperation {
            id,
            merchant: content.merchant,
            connection: write.connection.name.clone(),
            operation: write.command.operation().name().to_owned(),
            customer: named_customer(&write.command),
            key: idempotency.key,
            joins: idempotency.joins,
            request: content.request,
            command: document,
        };
        match self.store.claim(new).await.map_err(Refused::Store)? {
            Claim::New { attempt } => {
                let waiters = Waiters { client: &client, in_flight_write: &in_flight_write };
                let operation = Operation::of(&write, id, attempt, conditions, waiters);
                // Boxed: this future is large, and would make the futures of all other branches as large.
                let answer = Box::pin(self.send(operation, Ok(planned), &time)).await;
                self.deliver(in_flight_write, &answer).await;
                Ok(answer)
            }
            Claim::InFlight(record) if is_keyed => Err(Refused::InProgress(record.id)),
            // In the next two branches this request is no new write. Clients that joined it are released at once: the
            // dropped write gives them no answer, and each of them makes its own claim.
            Claim::InFlight(record) => {
                drop(in_flight_write);
                self.join(&record, time.deadline, &client).await
            }
            Claim::Unknown(record) => {
                drop(in_flight_write);
                Box::pin(self.reconcile_now(record, &time, &client)).await
            }
            Claim::Finished(record) => {
                self.mark_undelivered_if_client_left(&record, &client).await;
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

    /// The time for an attempt whose claim or takeover comes after this call.
    fn attempt_time(&self, deadline: Duration) -> AttemptTime {
        AttemptTime { deadline: Instant::now() + deadline, lease: self.store.lease() }
    }

    /// Sends a write, and stores how the attempt ended.
    async fn send(&self, operation: Operation<'_>, planned: Result<Planned, Error>, time: &AttemptTime) -> WriteAnswer {
        let transport = time.transport(&operation);
        let sending = async { planned?.write(&transport).await };
        let result = match sending.await {
            // The customer was there when the worker reconciled, so the deletion of an earlier attempt was executed
            // late.
            Err(error) if error.kind == Kind::NotFound && operation.repeats_deletion() => Ok(Written::Deleted),
            result => result,
        };
        self.conclude(&operation, result, transport.exchanges()).await
    }

    /// Decides from the result of an attempt how the write ended, stores that end, and returns the answer.
    async fn conclude(
        &self,
        operation: &Operation<'_>,
        result: Result<Written, Error>,
        exchanges: Option<Vec<Exchange>>,
    ) -> WriteAnswer {
        let Operation { merchant, connection, .. } = *operation;
        let result = execution::present_written(merchant, connection, result).await;
        let answer = operation.write_answer(&result, exchanges.as_deref());
        let end = match &result {
            // Only this attempt sent nothing. An earlier one may have sent the write, so the claim must stay.
            Err(error) if error.effect == Effect::None && operation.attempt > 1 && !is_permanent(error.kind) => {
                return self.leave_unknown(operation, "the write could not be sent once more").await;
            }
            Ok(written) => End::Done { customer: created_customer(written), answer: answer.answer.clone() },
            Err(error) => match error.effect {
                Effect::Done => End::Done { customer: None, answer: answer.answer.clone() },
                Effect::Unknown => {
                    End::Unknown { reconcile_after: operation.reconcile_after(), answer: answer.answer.clone() }
                }
                Effect::None if is_permanent(error.kind) => End::Failed { answer: answer.answer.clone() },
                Effect::None => End::NotSent,
            },
        };
        self.store_end(operation, answer, end).await
    }

    /// Leaves the outcome unknown until it is reconciled next.
    async fn leave_unknown(&self, operation: &Operation<'_>, detail: &'static str) -> WriteAnswer {
        let answer = operation.unknown_answer(detail);
        let end = End::Unknown { reconcile_after: operation.reconcile_after(), answer: answer.answer.clone() };
        self.store_end(operation, answer, end).await
    }

    /// Stores the end of an attempt. Returns `answer` only if the store keeps that end; otherwise the client gets
    /// `outcome_unknown`.
    ///
    /// A client without a key that has left cannot ask for its answer by a key: it repeats its request. So an answer
    /// that no client waits for is stored as undelivered, and the next request with the same content gets it.
    async fn store_end(&self, operation: &Operation<'_>, answer: WriteAnswer, end: End) -> WriteAnswer {
        let (id, attempt) = (operation.id, operation.attempt);
        let is_delivered = operation.is_keyed || operation.waiters.are_waiting();
        let is_final = matches!(end, End::Done { .. } | End::Failed { .. });
        let stored = finish(&self.store, id, attempt, end.clone(), is_delivered).await;
        if !is_delivered && is_final && stored == Ok(true) {
            operation.waiters.in_flight_write.stored_undelivered();
        }
        match stored {
            Ok(true) => answer,
            Ok(false) => operation.unknown_answer("another worker has taken this write over"),
            Err(error) => {
                tracing::error!(operation.id = %operation.id, "the store cannot keep the end of a write yet: {error}");
                // The client gets `outcome_unknown`, so the true answer counts as undelivered unless a key finds it.
                tokio::spawn(finish_later(self.store.clone(), id, attempt, end, operation.is_keyed));
                operation.unknown_answer("the outcome could not be recorded")
            }
        }
    }

    /// Delivers the answer to the clients that joined a write, after its end was stored.
    ///
    /// A client may have joined while the end was being stored as undelivered. Its answer must be marked as delivered
    /// before the client gets it. Otherwise its next request with the same content, which is a new write, would get
    /// this answer again.
    async fn deliver(&self, mut in_flight_write: InFlightWrite, answer: &WriteAnswer) {
        if let Some(id) = in_flight_write.close()
            && let Err(error) = self.store.mark_delivered(id).await
        {
            tracing::warn!(operation.id = %id, "an answer cannot be marked as delivered: {error}");
        }
        in_flight_write.deliver(answer);
    }

    /// A claim without a key that finds an undelivered answer marks it as delivered. If its client has left meanwhile,
    /// this marks it as undelivered again. Otherwise the client's next repetition would be sent as a new write.
    async fn mark_undelivered_if_client_left(&self, record: &Record, client: &ClientPresence) {
        if !record.keyed
            && client.strong_count() == 0
            && let Err(error) = self.store.mark_undelivered(record.id).await
        {
            tracing::warn!(operation.id = %record.id, "an answer cannot be marked as undelivered: {error}");
        }
    }

    /// Waits for the answer to a write that is in flight in this process or in another one, and replays it.
    async fn join(&self, record: &Record, deadline: Instant, client: &ClientPresence) -> Result<WriteAnswer, Refused> {
        const POLL_INTERVAL: Duration = Duration::from_millis(100);
        if let Some(write) = self.in_flight.join(record.id, client)
            && let Some(answer) = write.answer(deadline).await
        {
            return Ok(WriteAnswer { is_replay: true, ..answer });
        }
        // Another process executes it, or has finished it: only the store knows.
        while Instant::now() < deadline && client.strong_count() > 0 {
            match self.store.get(&record.merchant, record.id).await.map_err(Refused::Store)? {
                Some(found) if found.state.is_final() || found.answer.is_some() => {
                    // The worker that stored the end could not see this client, and may have stored it as undelivered.
                    if found.state.is_final() {
                        self.store.mark_delivered(found.id).await.map_err(Refused::Store)?;
                    }
                    return replayed(found);
                }
                Some(_) => tokio::time::sleep(POLL_INTERVAL).await,
                None => break,
            }
        }
        Err(Refused::InProgress(record.id))
    }

    /// Reconciles a write with an unknown outcome now, because a client repeated its request.
    async fn reconcile_now(
        self: &Arc<Self>,
        record: Record,
        time: &AttemptTime,
        client: &ClientPresence,
    ) -> Result<WriteAnswer, Refused> {
        match self.store.take_over_one(record.id).await.map_err(Refused::Store)? {
            Some(taken) => match self.reconcile(taken, time, client).await {
                Some(answer) => Ok(WriteAnswer { is_replay: true, ..answer }),
                None => replayed(record),
            },
            // Another attempt reconciles it already, or has found the outcome since the claim.
            None => self.join(&record, time.deadline, client).await,
        }
    }
}

/// Repeats the finish of an attempt until the store keeps it. It gives up when the lease on the attempt is not renewed
/// any more: then a worker takes the write over and reconciles it.
async fn finish_later(store: OperationLog, id: OperationId, attempt: u32, end: End, is_keyed: bool) {
    const INTERVAL: Duration = Duration::from_millis(500);
    let gives_up = Instant::now() + LONGEST_ATTEMPT;
    while Instant::now() < gives_up {
        tokio::time::sleep(INTERVAL).await;
        if finish(&store, id, attempt, end.clone(), is_keyed).await.is_ok() {
            return;
        }
    }
}

/// Stores the end of an attempt, once. `Ok(false)`: a newer attempt has taken the write over.
async fn finish(
    store: &OperationLog,
    id: OperationId,
    attempt: u32,
    end: End,
    is_delivered: bool,
) -> Result<bool, StoreError> {
    match is_delivered {
        true => store.finish(id, attempt, end).await,
        false => store.finish_undelivered(id, attempt, end).await,
    }
}

/// The stored answer, as a replay.
fn replayed(record: Record) -> Result<WriteAnswer, Refused> {
    match record.answer {
        Some(answer) => Ok(WriteAnswer { id: record.id, answer, failure: None, is_replay: true }),
        None => Err(Refused::InProgress(record.id)),
    }
}

/// Whether the provider would refuse the same write again. Such a refusal is stored, and replayed to the same key.
/// After any other failure without an effect, the claim is released, so that the client may send the key again.
const fn is_permanent(kind: Kind) -> bool {
    matches!(kind, Kind::NotFound | Kind::Rejected | Kind::FieldsNotSupported | Kind::SharedRecord)
}

/// The id at the provider of the customer that a command names. A create names none.
fn named_customer(command: &Command) -> Option<String> {
    command.customer().map(|id| id.at_provider().to_string())
}

/// The id at the provider of the customer that a create made or matched. Every other write keeps the id that its
/// command names: where a customer has several ids, the store recognizes writes to the same customer by the same id.
fn created_customer(written: &Written) -> Option<String> {
    match written {
        Written::Created(created) => Some(created.customer.id_at_provider().to_string()),
        Written::Changed(_) | Written::Deleted => None,
    }
}
