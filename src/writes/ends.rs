//! Stores how an attempt ended: once, or until the store keeps it. `Writes::store_end` calls it.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{End, Finished, LONGEST_ATTEMPT, OperationId, OperationLog, StoreError};

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
        // After `Finished::Shared` a worker takes the write over, because this answer is not the true one.
        if finish(&store, id, attempt, end.clone(), is_keyed, refuses_shared).await.is_ok() {
            return;
        }
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
