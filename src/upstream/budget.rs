//! The memory that the replies of all providers share, so that large replies cannot fill the memory of the process. One host
//! of a provider has at most half of each part.
//!
//! The 96 MiB have four parts:
//!
//! - Every request in flight has [`FREE`] bytes for its reply. It reserves them with its place, before it is sent.
//! - Replies up to [`LARGE_REPLY`] share the part for usual replies. Larger ones also share the part for large replies, so
//!   they take nothing from others. What is larger counts as [`FORMS`] times its size.
//! - A write that was sent must not fail for lack of memory. Where the parts above are used up, the reply to a write
//!   waits for the part that is kept for such replies. A read fails.
//!
//! A reply keeps its part until the last slice of it is dropped. A large answer that was written from a reply then takes
//! a part of its own, until the client has read it.

use std::sync::Arc;

use bytes::Bytes;
use passerelle_providers::{
    kit::LARGE_REPLY,
    model::{Error, Kind},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which memory is counted, in bytes: one permit of a semaphore.
const KIB: usize = 1024;

/// The bytes that every reply has without asking: 32 MiB for the default of 2048 requests in flight.
pub(super) const FREE: usize = 16 * KIB;

/// How many forms of a large reply are in memory at once: the reply, and the answer that is written from it.
const FORMS: usize = 2;

const USUAL: usize = 24 * KIB;
const LARGE: usize = 32 * KIB;
/// Each is worth a reply with one record of the largest size, and what the store needs to keep its answer.
const WRITES: usize = 2;

/// The largest `outbound.max_reply`: one such reply fits into the half of a host.
pub const LARGEST_REPLY: usize = LARGE / 2 * KIB / FORMS;

/// The parts that replies share, of the process or of one host. The first two are counted in KiB.
#[derive(Debug)]
pub(super) struct Budget {
    usual: Arc<Semaphore>,
    large: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

/// What one reply holds of the budgets of its host and of the process.
#[derive(Debug)]
pub(super) struct Share<'b> {
    budgets: [&'b Budget; 2],
    writes: bool,
    /// How many bytes the reply may have.
    size: usize,
    permits: [Permits; 2],
}

#[derive(Debug, Default)]
struct Permits {
    usual: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
    kept_for_writes: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// The budget of the process.
    pub(super) fn whole() -> Self {
        Self::divided_by(1)
    }

    /// The budget of one host.
    pub(super) fn half() -> Self {
        Self::divided_by(2)
    }

    fn divided_by(divisor: usize) -> Self {
        let part = |size| Arc::new(Semaphore::new(size / divisor));
        Self { usual: part(USUAL), large: part(LARGE), writes: part(WRITES) }
    }

    /// Reserves what something of this size needs, of which so many forms are in memory. Returns whether there is room.
    fn reserve(&self, permits: &mut Permits, size: usize, forms: usize) -> bool {
        reserve(&self.usual, &mut permits.usual, size.min(LARGE_REPLY).saturating_sub(FREE))
            && reserve(&self.large, &mut permits.large, forms * size.saturating_sub(LARGE_REPLY))
    }
}

impl<'b> Share<'b> {
    /// The share of a new reply in the budgets of its host and of the process.
    pub(super) fn new(budgets: [&'b Budget; 2], writes: bool) -> Self {
        Self { budgets, writes, size: FREE, permits: Default::default() }
    }

    /// How many bytes the reply may have.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Makes the share larger. A read fails if a budget is used up; a write waits for the parts that are kept for writes.
    pub(super) async fn grow(&mut self, size: usize) -> Result<(), Error> {
        let is_kept = self.permits[1].kept_for_writes.is_some();
        if !is_kept && !self.reserve(size, FORMS) {
            if !self.writes {
                return Err(no_room());
            }
            for (budget, permits) in self.budgets.iter().zip(&mut self.permits) {
                permits.kept_for_writes = Arc::clone(&budget.writes).acquire_owned().await.ok();
            }
        }
        self.size = self.size.max(size);
        Ok(())
    }

    fn reserve(&mut self, size: usize, forms: usize) -> bool {
        self.budgets.iter().zip(&mut self.permits).all(|(budget, permits)| budget.reserve(permits, size, forms))
    }

    /// The reply with its share, which ends with the last slice of the reply.
    pub(super) fn into_body(self, body: Bytes) -> Bytes {
        struct Held(Bytes, #[expect(dead_code, reason = "it is held")] [Permits; 2]);
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        if self.size > FREE { Bytes::from_owner(Held(body, self.permits)) } else { body }
    }

    /// An answer to a client. A large one holds what it needs until it is dropped. Others are sent at once: they fit into the
    /// buffers of the connection.
    pub(super) fn into_answer(mut self, answer: Bytes) -> Result<Bytes, Error> {
        if answer.len() <= LARGE_REPLY {
            return Ok(answer);
        }
        if !self.reserve(answer.len(), 1) {
            return Err(no_room());
        }
        self.size = answer.len();
        Ok(self.into_body(answer))
    }
}

/// Extends a reservation until it is worth `bytes`. Returns whether the limit allows it; if not, the reservation stays as it
/// is.
fn reserve(limit: &Arc<Semaphore>, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
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

fn no_room() -> Error {
    let message = "the replies of this provider, or those of all providers together, are too large at the moment; try again later";
    Error::new(Kind::Overloaded, message).with_retry_after(Some(1))
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    const REPLY: usize = 4 * KIB * KIB;

    async fn held(budgets: [&Budget; 2], size: usize, writes: bool) -> Result<Bytes, Error> {
        let mut share = Share::new(budgets, writes);
        share.grow(size).await?;
        Ok(share.into_body(Bytes::from_static(b"{}")))
    }

    /// Replies of one host, as many as have room.
    async fn many(budgets: [&Budget; 2]) -> Vec<Bytes> {
        let mut replies = Vec::new();
        while let Ok(reply) = held(budgets, REPLY, false).await {
            replies.push(reply);
        }
        replies
    }

    #[tokio::test]
    async fn large_replies_share_a_budget_and_usual_ones_have_their_own() {
        let (process, host) = (Budget::whole(), Budget::whole());
        let mut replies = many([&host, &process]).await;
        assert_eq!(replies.len(), LARGE * KIB / (FORMS * (REPLY - LARGE_REPLY)));
        let refused = held([&host, &process], REPLY, false).await.expect_err("it is used up");
        assert_eq!(refused.kind, Kind::Overloaded);
        assert!(held([&host, &process], LARGE_REPLY, false).await.is_ok(), "a usual reply has room");
        let slice = replies.pop().map(|reply| reply.slice(..1));
        assert!(held([&host, &process], REPLY, false).await.is_err(), "a slice of it is still used");
        drop(slice);
        assert!(held([&host, &process], REPLY, false).await.is_ok());
    }

    #[tokio::test]
    async fn one_host_has_at_most_half_of_the_budget() {
        let (process, slow, other) = (Budget::whole(), Budget::half(), Budget::half());
        let replies = many([&slow, &process]).await;
        let others = many([&other, &process]).await;
        assert_eq!(replies.len(), others.len(), "the other host has its half");
        assert!(held([&Budget::half(), &process], LARGEST_REPLY, false).await.is_err(), "both halves are used up");
        drop((replies, others));
        assert!(held([&slow, &process], LARGEST_REPLY, false).await.is_ok(), "the largest reply fits into a half");
    }

    #[tokio::test]
    async fn the_reply_to_a_write_waits_for_the_part_that_is_kept_for_writes() {
        let (process, host) = (Budget::whole(), Budget::half());
        let budgets = [&host, &process];
        let _replies = many(budgets).await;
        let first = held(budgets, REPLY, true).await.expect("one is kept for the writes of a host");
        let mut second = pin!(held(budgets, REPLY, true));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        let other = Budget::half();
        assert!(held([&other, &process], REPLY, true).await.is_ok(), "and one for another host");
        drop(first);
        assert!(matches!(second.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn a_large_answer_holds_its_part_until_it_is_read() {
        let (process, host) = (Budget::whole(), Budget::half());
        let answer = |size| Share::new([&host, &process], false).into_answer(vec![b' '; size].into());
        let unread: Vec<Bytes> = std::iter::from_fn(|| answer(REPLY).ok()).collect();
        assert_eq!(unread.len(), LARGE / 2 * KIB / (REPLY - LARGE_REPLY));
        assert!(answer(LARGE_REPLY).is_ok(), "a usual answer holds nothing");
        drop(unread);
        assert!(answer(REPLY).is_ok());
    }

    #[tokio::test]
    async fn a_small_reply_holds_nothing() {
        let budget = Budget::whole();
        drop(Share::new([&budget, &budget], false).into_body(Bytes::from_static(b"{}")));
        assert_eq!((budget.usual.available_permits(), budget.large.available_permits()), (USUAL, LARGE));
    }
}
