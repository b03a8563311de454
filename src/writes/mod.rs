//! Writes: every command that changes something at a provider. `http` and `drop_in` call [`Writes::execute`]; `App` starts the
//! background workers ([`Writes::run_workers`]).
//!
//! A provider can execute a write and lose the answer, a client can disconnect, and this process can die at any time.
//! So these rules hold, and every change must keep them:
//!
//! 1. **No claim, no write.** The claim is durable in the store before the first request leaves.
//! 2. **A write runs in its own task.** A client that disconnects does not stop it.
//! 3. **Store, then answer.** A client gets a success only after the store keeps it. If the store does not, the client gets
//!    `outcome_unknown`, and the same request gets the true answer later.
//! 4. **Unknown is not failed.** If the outcome is unknown, the gateway reconciles the write: it asks the provider what
//!    happened. It sends the write again only where that does no harm, or where the operator's setting allows it.
//! 5. **Only the newest attempt decides.** The store accepts an end only from it, and it sends only while its lease lasts.
//!
//! Words: a *worker* is a background task of a process. A *keyed* write has an idempotency key. An answer is
//! *undelivered* as long as no client got it. A *trace* is what the provider shows of a write. The gateway *gives up* a search
//! when the provider had enough time and shows no trace. A write is *held* when no worker reconciles it: an operator decides.
//!
//! `new_write` is a write before its claim, `content` what makes two requests the same write, `admission` asks for a place at
//! the provider, `attempt` one attempt, `ends` stores how it ended, `contacts` what it changes about the contacts of its
//! customer, `in_flight` the writes of this process that clients can join, `lease_guard` gives a lease back if its task dies,
//! `repetition` answers a request that repeats an earlier one, `copies` the writes by which the gateway copies customers,
//! `stored_write` what the store keeps for other processes, `recovery` the workers, `reconcile_phase` when they reconcile a write,
//! `surface` the format of answers, `over_http` the headers, `earlier` what earlier versions compared, `traced` spans.
//! `docs/reliability.md` follows a lost answer through all of it.

mod admission;
mod attempt;
mod contacts;
mod content;
mod copies;
mod earlier;
mod ends;
mod in_flight;
mod lease_guard;
mod new_write;
pub mod over_http;
mod receipts;
mod reconcile_phase;
mod recovery;
mod repetition;
mod stored_write;
mod surface;
mod traced;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use passerelle_providers::{
    engine::{Planned, existing::AnsweredBefore},
    model::{Effect, Error, Kind, Written},
};
use tokio::time::Instant;

pub use content::SentRequest;
pub use copies::{CopyEnd, NewCopy};
pub use new_write::{Idempotency, NewWrite};
pub use receipts::{CONNECTION_REMOVED, receipt};
pub use surface::{EndedWrite, FindSurface, StoredSurface, Surface};

use crate::{
    execution::{self, Exchange},
    merchant::Gateway,
    metrics::request::{absorb, in_own_task, waiting},
    problem::Problem,
    store::{
        Carried, CarriedChanges, Claim, ContactChanges, Contacts, End, Finished, Ids, NewOperation, OperationId,
        OperationLog, Record, Store, StoreError, StoredAnswer,
    },
    upstream::Permit,
};
use admission::Admission;
use attempt::{Attempt, AttemptTime, Waiters};
use contacts::created_customer;
use ends::{finish, finish_later, is_permanent};
use in_flight::{ClientPresence, InFlightRegister, InFlightWrite};
use lease_guard::LeaseGuard;
use new_write::{PreparedWrite, Write, new_operation};
use repetition::Ran;
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

/// Why a request for a write gets an error instead of the answer to the write.
#[derive(Debug)]
pub enum Refused {
    /// The store cannot record the write, so nothing was sent.
    Store(StoreError),
    /// The same write is in flight.
    InProgress(OperationId),
    /// The key belongs to this write, which another request made.
    Reused(OperationId),
    /// The write is finished, but its answer is not stored any more.
    Expired(Formerly),
    /// The customer was deleted since, and the answer was erased with it.
    Erased(Formerly),
    /// The customer lives at another connection than the write was planned for, and nothing was sent.
    /// The caller resolves and plans the command anew.
    Moved(Box<NewWrite>),
    /// The task of the write panicked. If the write was claimed, a worker reconciles it.
    Fault,
}

/// What is still known of a write whose answer is not stored any more.
#[derive(Debug)]
pub struct Formerly {
    /// The id of its customer.
    pub customer: Option<String>,
    /// The connection that executed it, by its name.
    pub connection: String,
}

/// How often a write is planned, if its customer is moved between each plan and the claim.
pub const MOST_PLANS: usize = 8;

/// Executes writes.
#[derive(Debug)]
pub struct Writes {
    store: OperationLog,
    contacts: Contacts,
    carried: Carried,
    ids: Ids,
    gateway: Arc<ArcSwap<Gateway>>,
    find_surface: FindSurface,
    in_flight: InFlightRegister,
}

impl Writes {
    /// Writes over a store. Workers find the connection of a stored write in the current configuration, and its surface
    /// with `find_surface`.
    pub fn new(store: &Store, gateway: Arc<ArcSwap<Gateway>>, find_surface: FindSurface) -> Arc<Self> {
        let (contacts, carried, ids) = (store.contacts().clone(), store.carried().clone(), store.ids().clone());
        let store = store.operations().clone();
        Arc::new(Self { store, contacts, carried, ids, gateway, find_surface, in_flight: InFlightRegister::default() })
    }

    /// Executes a write, or answers it with the answer to an earlier request for the same write. If the client
    /// disconnects, this future is dropped, but the task that executes the write continues.
    ///
    /// An error of the outer result means that the command cannot be planned for its connection. Nothing is claimed or
    /// sent then, and the request does not repeat an earlier write.
    pub async fn execute(
        self: &Arc<Self>,
        new: NewWrite,
        idempotency: Idempotency,
    ) -> Result<Result<WriteAnswer, Refused>, Error> {
        match new.plan() {
            Ok(write) => Ok(self.execute_planned(write, idempotency).await),
            Err(refused) => Box::pin(self.repeat(&refused.new, &idempotency)).await.ok_or(refused.error),
        }
    }

    async fn execute_planned(self: &Arc<Self>, write: Write, idempotency: Idempotency) -> Result<WriteAnswer, Refused> {
        // If the client disconnects, the server drops this future, and this value with it. So the task can see whether
        // the client still waits.
        let client = Arc::new(());
        let time = self.attempt_time(write.new.deadline);
        let prepared = PreparedWrite::new(write, idempotency);
        // A client that only waits for another write has started nothing, so it needs no task of its own. If it gets no
        // answer here, the claim below decides.
        if prepared.may_join()
            && let Some(duplicate) = self.in_flight.join_duplicate(&prepared.content, &Arc::downgrade(&client))
            && let Some(answer) = waiting(duplicate.answer(time.deadline)).await
        {
            return Ok(WriteAnswer { is_replay: true, ..answer });
        }
        // This process registers the write before it claims it. A duplicate that arrives between the two steps already
        // waits for this write.
        let in_flight_write = self.in_flight.register(prepared.write.id, Some(prepared.content.clone()));
        let run = Arc::clone(self).run(prepared, in_flight_write, time, Arc::downgrade(&client));
        let Ok((result, part)) = tokio::spawn(in_own_task(run)).await else { return Err(Refused::Fault) };
        absorb(&part);
        result
    }

    /// Waits until no write is in flight, but not longer than `longest_wait`. `serve` calls this at shutdown.
    pub async fn drained(&self, longest_wait: Duration) {
        let deadline = Instant::now() + longest_wait;
        while !self.in_flight.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Executes a client's write, or answers it with the answer to an earlier request.
    async fn run(
        self: Arc<Self>,
        prepared: PreparedWrite,
        in_flight_write: InFlightWrite,
        time: AttemptTime,
        client: ClientPresence,
    ) -> Result<WriteAnswer, Refused> {
        let (is_keyed, merchant) = (prepared.idempotency.key.is_some(), Arc::clone(&prepared.write.new.merchant));
        match self.claim_and_send(prepared, in_flight_write, &time, &client).await.map_err(Refused::Store)? {
            Ran::Sent(answer) => Ok(answer),
            Ran::Moved(write) => Err(Refused::Moved(write)),
            Ran::Repeats(claim) => Box::pin(self.answer_repetition(*claim, is_keyed, &merchant, &time, &client)).await,
        }
    }

    /// Claims the write, and does what the claim allows. Only [`Claim::New`] sends it.
    async fn claim_and_send(
        &self,
        prepared: PreparedWrite,
        in_flight_write: InFlightWrite,
        time: &AttemptTime,
        client: &ClientPresence,
    ) -> Result<Ran, StoreError> {
        let PreparedWrite { write: Write { new: write, id, conditions, planned }, idempotency, document, content } =
            prepared;
        let new = new_operation(&write, id, idempotency, content.request, document);
        let waiters = Waiters { client, in_flight_write: &in_flight_write };
        let permit = match self.admit(&write.connection, write.command.operation(), &new).await? {
            Admission::Permit(permit) => permit,
            // An earlier request made the write. So the registration ends here: a client that joined it gets no answer, and
            // makes its own claim at once.
            Admission::Repetition(claim) => return Ok(Ran::Repeats(claim)),
            // Nothing is claimed, so the store keeps nothing of this request.
            Admission::Refused(error) => {
                let answer = Attempt::of(&write, id, 1, conditions, waiters).write_answer(&Err(error), None);
                self.deliver(in_flight_write, &answer).await;
                return Ok(Ran::Sent(answer));
            }
        };
        let claim = self.store.claim(new).await?;
        let Claim::New { attempt: number } = claim else {
            drop(permit);
            return Ok(match claim {
                Claim::Moved => Ran::Moved(Box::new(write)),
                earlier => Ran::Repeats(Box::new(earlier)),
            });
        };
        let lease = LeaseGuard::new(&self.store, id, number);
        let attempt = Attempt { lease: Some(&lease), ..Attempt::of(&write, id, number, conditions, waiters) };
        // Boxed: this future is large, and would make the futures of all other branches as large.
        let answer = Box::pin(self.send(attempt, Some(permit), Ok(planned), time)).await;
        self.deliver(in_flight_write, &answer).await;
        Ok(Ran::Sent(answer))
    }

    /// The time for an attempt whose claim or takeover comes after this call.
    fn attempt_time(&self, deadline: Duration) -> AttemptTime {
        AttemptTime { deadline: Instant::now() + deadline, lease: self.store.lease() }
    }

    /// Sends a write, and stores how the attempt ended.
    async fn send<'o>(
        &self,
        attempt: Attempt<'o>,
        permit: Option<Permit<'o>>,
        planned: Result<Planned, Error>,
        time: &AttemptTime,
    ) -> WriteAnswer {
        let transport = time.transport(&attempt, &self.contacts).admitted(permit);
        let sending = async { execution::write(&transport, planned?).await };
        let result = match sending.await {
            // The customer existed when this attempt reconciled the write, and does not exist now. So the provider
            // executed the deletion of an earlier attempt late.
            Err(error) if error.kind == Kind::NotFound && attempt.repeats_deletion() => Ok(Written::Deleted),
            result => result.and_then(|written| attempt.judged(written, &AnsweredBefore::No)),
        };
        let exchanges = transport.exchanges();
        // The place at the provider is free again.
        drop(transport);
        self.conclude(&attempt, result, exchanges).await
    }

    /// Decides from the result of an attempt how the write ended, stores that end, and returns the answer.
    async fn conclude(
        &self,
        attempt: &Attempt<'_>,
        result: Result<Written, Error>,
        exchanges: Option<Vec<Exchange>>,
    ) -> WriteAnswer {
        let Attempt { merchant, connection, .. } = *attempt;
        let mut contacts = attempt.contact_changes(&self.contacts, &result);
        // A copy is read by the gateway alone, which knows the customer by the provider's id.
        let mut result = match attempt.is_copy {
            true => result,
            false => execution::present_written(merchant, connection, result, attempt.first_sent_at).await,
        };
        let mut carried = attempt.complete(&self.carried, &mut result).await;
        contacts.shown = contacts::shown(attempt, &self.store, &result);
        let mut is_compared = false;
        let receipts = self.receipts_of(attempt, &mut result).await;
        loop {
            let answer = attempt.write_answer_with(&result, &receipts, exchanges.as_deref());
            let done = |customer, carried| End::Done {
                customer,
                contacts: contacts.clone(),
                carried,
                answer: answer.answer.clone(),
            };
            let end = match &result {
                // This attempt sent nothing, but an earlier one may have sent the write. So the claim must stay.
                Err(error) if error.effect == Effect::None && attempt.number > 1 && !is_permanent(error.kind) => {
                    return self.leave_unknown(attempt, "the write could not be sent once more").await;
                }
                Ok(Written::Created(created)) if attempt.is_copy && !created.existing => End::Copied {
                    provider_id: created.customer.id_at_provider().to_string(),
                    answer: answer.answer.clone(),
                },
                Ok(written) => done(created_customer(written), carried.clone()),
                Err(error) => match error.effect {
                    // A copy needs the id of the record that it made. Reconciliation finds it.
                    Effect::Done if attempt.is_copied_create() => {
                        End::Unknown { reconcile_after: attempt.time_to_reconcile(), answer: answer.answer.clone() }
                    }
                    Effect::Done => done(None, CarriedChanges::default()),
                    Effect::Unknown => {
                        End::Unknown { reconcile_after: attempt.time_to_reconcile(), answer: answer.answer.clone() }
                    }
                    Effect::None if is_permanent(error.kind) => End::Failed { answer: answer.answer.clone() },
                    Effect::None => End::NotSent,
                },
            };
            let refuses_shared =
                !is_compared && matches!(&result, Ok(Written::Created(created)) if !attempt.is_match(created));
            if let Some(answer) = self.store_end(attempt, answer, end, refuses_shared).await {
                return answer;
            }
            // The customer is the outcome of another create. The result says so from here on, and is stored.
            (is_compared, contacts, carried) = (true, ContactChanges::default(), CarriedChanges::default());
            result = match result {
                Ok(written) => attempt.judged_as_shared(&self.store, written).await,
                Err(error) => Err(error),
            };
        }
    }

    /// Leaves the outcome unknown until the gateway reconciles the write next.
    async fn leave_unknown(&self, attempt: &Attempt<'_>, detail: &'static str) -> WriteAnswer {
        let answer = attempt.unknown_answer(detail);
        let end = End::Unknown { reconcile_after: attempt.time_to_reconcile(), answer: answer.answer.clone() };
        let stored = self.store_end(attempt, answer, end, false).await;
        stored.unwrap_or_else(|| attempt.unknown_answer(detail))
    }

    /// Stores the end of an attempt. Returns `answer` only if the store keeps that end; otherwise the client gets
    /// `outcome_unknown`. With `refuses_shared`, `None` means that the customer is the outcome of another create, and that
    /// nothing is stored.
    ///
    /// A client that sent no key and has disconnected can only repeat its request. So if no client waits for the answer
    /// to a write without a key, this stores the answer as undelivered. The next request with the same content gets it.
    async fn store_end(
        &self,
        attempt: &Attempt<'_>,
        answer: WriteAnswer,
        end: End,
        refuses_shared: bool,
    ) -> Option<WriteAnswer> {
        let (id, number) = (attempt.id, attempt.number);
        // A client can ask for the answer by its key, or waits for it now.
        let can_reach_client = attempt.is_keyed || attempt.waiters.are_waiting();
        let is_final = matches!(end, End::Done { .. } | End::Copied { .. } | End::Failed { .. });
        let stored = finish(&self.store, id, number, end.clone(), can_reach_client, refuses_shared).await;
        if stored != Ok(Finished::Shared) {
            attempt.lease.inspect(|lease| lease.end());
        }
        if !can_reach_client && is_final && stored == Ok(Finished::Stored) {
            attempt.waiters.in_flight_write.set_stored_undelivered();
        }
        Some(match stored {
            Ok(Finished::Stored) => attempt.recorded(&end, answer),
            Ok(Finished::Shared) => return None,
            Ok(Finished::Overtaken) => attempt.unknown_answer("another attempt has taken this write over"),
            Err(error) => {
                tracing::error!(operation.id = %attempt.id, "the store cannot keep the end of a write yet: {error}");
                // The client gets `outcome_unknown` now. Only a client with a key can ask for the true answer later, so
                // without a key the true answer counts as undelivered.
                tokio::spawn(finish_later(self.store.clone(), id, number, end, attempt.is_keyed, refuses_shared));
                attempt.unknown_answer("the outcome could not be recorded")
            }
        })
    }

    /// Delivers the answer to the clients that joined a write, after its end was stored.
    ///
    /// A client may have joined while this process stored the end as undelivered. The store must mark the answer as
    /// delivered before that client gets it. The client's next request with the same content is a new write: otherwise
    /// it would get this answer again.
    async fn deliver(&self, mut in_flight_write: InFlightWrite, answer: &WriteAnswer) {
        if let Some(id) = in_flight_write.close()
            && let Err(error) = self.store.mark_delivered(id).await
        {
            tracing::warn!(operation.id = %id, "an answer cannot be marked as delivered: {error}");
        }
        in_flight_write.deliver(answer);
    }
}
