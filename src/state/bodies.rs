//! Limits the memory of all request bodies of the process. `body` reserves from it what a body occupies, as the body
//! grows, and the body returns its reservation when it is dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::memory::{KIB, reserve};

/// The largest small body, in bytes. Customers are smaller by far.
pub const SMALL_BODY: usize = 16 << 10;

/// The memory that request bodies may occupy. A quarter of it is only for small bodies, so that clients with large
/// bodies cannot keep ordinary requests from being read.
#[derive(Debug)]
pub struct BodyBudget {
    all: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// The budget has no more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget;

/// The part of the budget that one body occupies.
#[derive(Debug, Default)]
pub struct Reservation {
    all: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / KIB).min(Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(units)), large: Arc::new(Semaphore::new(units / 4 * 3)) }
    }

    /// Reserves what a body needs that grows to `size` bytes, beyond what it has reserved before.
    pub fn grow(&self, held: &mut Reservation, size: usize) -> Result<(), OverBudget> {
        let is_reserved = (size <= SMALL_BODY || reserve(&self.large, &mut held.large, size))
            && reserve(&self.all, &mut held.all, size);
        if is_reserved { Ok(()) } else { Err(OverBudget) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_leave_a_quarter_to_small_ones_and_return_what_they_held() {
        let budget = BodyBudget::new(256 * KIB);
        let mut large = Reservation::default();
        for size in [SMALL_BODY, 100 * KIB, 192 * KIB] {
            budget.grow(&mut large, size).expect("three quarters are for every body");
        }
        budget.grow(&mut large, 192 * KIB - 1).expect("it has this already");
        assert_eq!(budget.grow(&mut Reservation::default(), SMALL_BODY + 1), Err(OverBudget));
        let mut small: [Reservation; 5] = Default::default();
        for held in &mut small[..4] {
            budget.grow(held, SMALL_BODY).expect("a quarter is for small bodies");
        }
        assert_eq!(budget.grow(&mut small[4], 1), Err(OverBudget));
        drop(large);
        budget.grow(&mut small[4], 192 * KIB).expect("the memory was returned");
        drop(small);
        budget.grow(&mut Reservation::default(), 192 * KIB).expect("and again");
    }
}
