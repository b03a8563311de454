//! Limits how much memory the process uses for one purpose. `upstream` limits the replies of providers with it, and `state`
//! the bodies of requests. Both reserve memory as what they hold grows.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which memory is counted, in bytes: one permit of a semaphore.
pub(crate) const KIB: usize = 1024;

/// Extends a reservation until it is worth `bytes`. Returns whether the limit allows it; if not, the reservation stays as it
/// is.
pub(crate) fn reserve(limit: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
    let missing = bytes.div_ceil(KIB).saturating_sub(held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
    if missing == 0 {
        return true;
    }
    let Ok(missing) = u32::try_from(missing) else { return false };
    let Ok(permit) = Arc::clone(limit).try_acquire_many_owned(missing) else { return false };
    match held {
        Some(held) => held.merge(permit),
        None => *held = Some(permit),
    }
    true
}
