//! The memory that the replies of all providers share, so that large replies cannot fill the memory of the process.
//!
//! The 96 MiB have four parts:
//!
//! - Every request in flight has [`FREE`] bytes for its reply. It reserves them with its place, before it is sent.
//! - Replies up to [`LARGE_REPLY`] share the part for usual replies. Larger ones also share the part for large replies, so
//!   they take nothing from others.
//! - A write that was sent must not fail for lack of memory. Where the parts above are used up, the reply to a write
//!   waits for the part that is kept for such replies. A read fails.
//!
//! A reply keeps its part until the last slice of it is dropped, so until the answer to the client is written.

use std::sync::Arc;

use bytes::Bytes;
use passerelle_providers::{
    kit::LARGE_REPLY,
    model::{Error, Kind},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::memory::{KIB, reserve};

/// The bytes that every reply has without asking: 32 MiB for the default of 2048 requests in flight.
pub(super) const FREE: usize = 16 * KIB;

const USUAL: usize = 24 * KIB;
const LARGE: usize = 32 * KIB;

/// The largest `outbound.max_reply`: one such reply fits into the budget.
pub const LARGEST_REPLY: usize = LARGE * KIB;

/// The shared parts, in KiB.
#[derive(Debug)]
pub(super) struct Budget {
    usual: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// Its one permit is worth one reply of any size.
    writes: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        let part = |size| Arc::new(Semaphore::new(size));
        Self { usual: part(USUAL), large: part(LARGE), writes: part(1) }
    }
}

/// What one reply holds of the budget.
#[derive(Debug)]
pub(super) struct Share<'b> {
    budget: &'b Budget,
    writes: bool,
    /// How many bytes the reply may have.
    size: usize,
    permits: Permits,
}

#[derive(Debug, Default)]
struct Permits {
    usual: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
    kept_for_writes: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// The share of a new reply.
    pub(super) const fn share(&self, writes: bool) -> Share<'_> {
        let permits = Permits { usual: None, large: None, kept_for_writes: None };
        Share { budget: self, writes, size: FREE, permits }
    }
}

impl Share<'_> {
    /// How many bytes the reply may have.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Makes the share larger. A read fails if the budget is used up; a write waits for the part that is kept for writes.
    pub(super) async fn grow(&mut self, size: usize) -> Result<(), Error> {
        let Permits { usual, large, kept_for_writes } = &mut self.permits;
        if kept_for_writes.is_none() {
            let fits = reserve(&self.budget.usual, usual, size.min(LARGE_REPLY).saturating_sub(FREE))
                && reserve(&self.budget.large, large, size.saturating_sub(LARGE_REPLY));
            if !fits && !self.writes {
                let message = "the replies of all providers together are too large at the moment; try again later";
                return Err(Error::new(Kind::Overloaded, message).with_retry_after(Some(1)));
            }
            if !fits {
                *kept_for_writes = Arc::clone(&self.budget.writes).acquire_owned().await.ok();
            }
        }
        self.size = self.size.max(size);
        Ok(())
    }

    /// The reply with its share, which ends with the last slice of the reply.
    pub(super) fn into_body(self, body: Bytes) -> Bytes {
        struct Held(Bytes, #[expect(dead_code, reason = "it is held")] Permits);
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        if self.size > FREE { Bytes::from_owner(Held(body, self.permits)) } else { body }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    const REPLY: usize = 8 * KIB * KIB;

    async fn held(budget: &Budget, size: usize, writes: bool) -> Result<Bytes, Error> {
        let mut share = budget.share(writes);
        share.grow(size).await?;
        Ok(share.into_body(Bytes::from_static(b"{}")))
    }

    #[tokio::test]
    async fn large_replies_share_a_budget_and_usual_ones_have_their_own() {
        let budget = Budget::default();
        let mut replies = Vec::new();
        while let Ok(reply) = held(&budget, REPLY, false).await {
            replies.push(reply);
        }
        assert_eq!(replies.len(), LARGE * KIB / REPLY);
        assert_eq!(held(&budget, REPLY, false).await.expect_err("it is used up").kind, Kind::Overloaded);
        assert!(held(&budget, LARGE_REPLY, false).await.is_ok(), "a usual reply has room");
        let slice = replies.pop().map(|reply| reply.slice(..1));
        assert!(held(&budget, REPLY, false).await.is_err(), "a slice of it is still used");
        drop(slice);
        assert!(held(&budget, REPLY, false).await.is_ok());
    }

    #[tokio::test]
    async fn the_reply_to_a_write_waits_for_the_part_that_is_kept_for_writes() {
        let budget = Budget::default();
        let mut replies = Vec::new();
        while let Ok(reply) = held(&budget, REPLY, false).await {
            replies.push(reply);
        }
        let first = held(&budget, REPLY, true).await.expect("one is kept for writes");
        let mut second = pin!(held(&budget, REPLY, true));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(matches!(second.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn a_small_reply_holds_nothing() {
        let budget = Budget::default();
        drop(budget.share(false).into_body(Bytes::from_static(b"{}")));
        assert_eq!((budget.usual.available_permits(), budget.large.available_permits()), (USUAL, LARGE));
    }
}
