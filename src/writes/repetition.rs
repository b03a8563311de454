//! Answers a request that repeats an earlier one: with the stored answer, with that of the attempt in flight, or with
//! what a reconciliation finds. The write stays at the connection that it was sent through, whichever is active now.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    AttemptTime, Claim, ClientPresence, Formerly, Idempotency, NewWrite, OperationId, Record, Refused, WriteAnswer,
    Writes, new_operation,
};
use crate::{
    execution,
    merchant::Merchant,
    metrics::request::{absorb, in_own_task, waiting},
};

/// What became of a write in the task that claims it.
pub(super) enum Ran {
    /// It was sent, or refused before its claim.
    Sent(WriteAnswer),
    /// Its claim found an earlier write.
    Repeats(Box<Claim>),
    /// Its customer lives elsewhere than it was planned for.
    Moved(Box<NewWrite>),
}

impl Writes {
    /// Answers a request with a key that cannot be executed now, if it repeats an earlier write. That write was executed by
    /// another connection, or under other settings of the merchant. `None` if there is none. If the store cannot be read, the answer
    /// is [`Refused::Store`].
    pub(super) async fn repeat(
        self: &Arc<Self>,
        new: &NewWrite,
        idempotency: &Idempotency,
    ) -> Option<Result<WriteAnswer, Refused>> {
        idempotency.key.as_ref()?;
        let client = Arc::new(());
        let time = self.attempt_time(new.deadline);
        let sought = new_operation(new, OperationId::now(), idempotency.clone(), new.content(), Bytes::new());
        let claim = match self.store.find_duplicate(&sought).await {
            Ok(claim) => claim?,
            // The write may have been executed before it had to be refused, such as a deletion whose customer is deleted now.
            Err(error) => return Some(Err(Refused::Store(error))),
        };
        let (writes, merchant, presence) = (Arc::clone(self), Arc::clone(&new.merchant), Arc::downgrade(&client));
        // A client that disconnects does not stop what this begins.
        let answering = async move { writes.answer_repetition(claim, true, &merchant, &time, &presence).await };
        let Ok((result, part)) = tokio::spawn(in_own_task(answering)).await else { return Some(Err(Refused::Fault)) };
        absorb(&part);
        Some(result)
    }

    /// Answers a request whose claim found an earlier request for the same write.
    pub(super) async fn answer_repetition(
        self: &Arc<Self>,
        claim: Claim,
        is_keyed: bool,
        merchant: &Merchant,
        time: &AttemptTime,
        client: &ClientPresence,
    ) -> Result<WriteAnswer, Refused> {
        match claim {
            // The caller sends a new write, or plans it anew.
            Claim::New { .. } | Claim::Moved => Err(Refused::Fault),
            Claim::InFlight(record) if is_keyed => Err(Refused::InProgress(record.id)),
            Claim::InFlight(record) => waiting(self.join(&record, time.deadline, client)).await,
            Claim::Unknown(record) => Box::pin(self.reconcile_now(record, time, client)).await,
            Claim::Finished(record) => {
                self.mark_undelivered_if_client_left(&record, client).await;
                replayed(record)
            }
            Claim::Reused(id) => Err(Refused::Reused(id)),
            Claim::Expired(record) => Err(Refused::Expired(formerly(merchant, record).await)),
            Claim::Erased(record) => Err(Refused::Erased(formerly(merchant, record).await)),
        }
    }

    /// A claim without a key can find an undelivered answer, and then marks the answer as delivered. If the client of
    /// the claim has disconnected since, this marks the answer as undelivered again. Otherwise the gateway would send
    /// the client's next repetition as a new write.
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
                    // The process that stored the end did not know this client. So it may have stored the answer as
                    // undelivered.
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
            Some(taken) => {
                let lease = self.lease_of(&taken);
                match self.reconcile(taken, lease, time, client).await {
                    Some(answer) => Ok(WriteAnswer { is_replay: true, ..answer }),
                    None => replayed(record),
                }
            }
            // Another attempt reconciles it already, or has found the outcome since the claim.
            None => self.join(&record, time.deadline, client).await,
        }
    }
}

async fn formerly(merchant: &Merchant, record: Record) -> Formerly {
    let customer = execution::public_id(merchant, &record.connection, record.customer).await;
    Formerly { customer, connection: record.connection }
}

/// The stored answer, as a replay.
fn replayed(record: Record) -> Result<WriteAnswer, Refused> {
    match record.answer {
        Some(answer) => Ok(WriteAnswer { id: record.id, answer, failure: None, is_replay: true }),
        None => Err(Refused::InProgress(record.id)),
    }
}
