//! Stores how an attempt ended: once, or until the store keeps it. `Writes::store_end` calls it.

use std::time::Duration;

use passerelle_providers::model::Kind;
use tokio::time::Instant;

use super::{WriteAnswer, attempt::Attempt};
use crate::{
    metrics::WriteEnd,
    store::{End, Finished, LONGEST_ATTEMPT, OperationId, OperationLog, StoreError},
};

/// Repeats the finish of an attempt until the store keeps the end. It stops when this process does not renew the lease
/// on the attempt any more. A worker then takes the write over and reconciles it.
pub(super) async fn finish_later(
    store: OperationLog,
    id: OperationId,
    attempt: u32,
    end: End,
    is_keyed: bool,
    refuses_shared: bool,
) {
    const INTERVAL: Duration = Duration::from_millis(500);
    let stops_at = Instant::now() + LONGEST_ATTEMPT;
    while Instant::now() < stops_at {
        tokio::time::sleep(INTERVAL).await;
        match finish(&store, id, attempt, end.clone(), is_keyed, refuses_shared).await {
            // This answer is not the true one. The write is taken over and reconciled: by a worker, or if it is held, when its
            // client repeats the request.
            Ok(Finished::Shared) => return store.give_back(id, attempt).await,
            Ok(Finished::Stored | Finished::Overtaken) => return,
            Err(_) => {}
        }
    }
}

/// The end of an attempt, as the metrics and the log name it.
const fn end_word(end: &End) -> WriteEnd {
    match end {
        End::Done { .. } | End::Copied { .. } => WriteEnd::Done,
        End::Failed { .. } => WriteEnd::Failed,
        End::Unknown { .. } => WriteEnd::Unknown,
        End::NotSent => WriteEnd::NotSent,
    }
}

impl Attempt<'_> {
    /// Records that the store keeps the end of the attempt, and returns its answer. Where the outcome was not known before,
    /// the log says what it is now.
    pub(super) fn recorded(&self, end: &End, answer: WriteAnswer) -> WriteAnswer {
        let end = end_word(end);
        let is_reconciled = self.number > 1;
        self.connection.upstream.series().count_write(end, is_reconciled);
        if is_reconciled && end != WriteEnd::Unknown {
            let (merchant, connection) = (&self.merchant.name, &self.connection.name);
            let (provider, outcome) = (self.connection.manifest.name, end.word());
            tracing::info!(operation.id = %self.id, operation = self.command.operation().name(), merchant, connection, provider, outcome, attempts = self.number, "the outcome of a write is known now: {outcome}");
        }
        answer
    }
}

/// Stores the end of an attempt, once.
pub(super) async fn finish(
    store: &OperationLog,
    id: OperationId,
    attempt: u32,
    end: End,
    can_reach_client: bool,
    refuses_shared: bool,
) -> Result<Finished, StoreError> {
    let is_stored = match (refuses_shared, can_reach_client) {
        (true, _) => return store.finish_created(id, attempt, end, !can_reach_client).await,
        (false, true) => store.finish(id, attempt, end).await?,
        (false, false) => store.finish_undelivered(id, attempt, end).await?,
    };
    Ok(if is_stored { Finished::Stored } else { Finished::Overtaken })
}

/// Whether the provider would refuse the same write again. Such a refusal is stored, and replayed to the same key.
/// After any other failure without an effect, the gateway releases the claim, and the client may send the key again.
pub(super) const fn is_permanent(kind: Kind) -> bool {
    matches!(kind, Kind::NotFound | Kind::Rejected | Kind::FieldsNotSupported | Kind::SharedRecord)
}
