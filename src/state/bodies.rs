//! Limits the memory of all request bodies of the process. `body` reserves from it what a body occupies, as the body
//! grows, and the body returns its reservation when it is dropped.
//!
//! Within the memory, large bodies have a limit, and so have the bodies of clients that have not proved who they are. In
//! the whole and in both limits, one rule divides the memory between the owners of bodies: **an owner never holds more
//! than is still free**. So one owner holds at most half, a second one at most half of the rest, and so on. Owners with
//! many bodies leave memory to all others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::merchant::SignerId;

/// The largest small body, in bytes. Customers are smaller by far.
const SMALL_BODY: usize = 16 << 10;

/// The memory that request bodies may occupy.
#[derive(Debug)]
pub struct BodyBudget(Arc<Mutex<Memory>>);

/// Whose share of the memory a body takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BodyOwner {
    /// The merchant whose key the client sent.
    Merchant(String),
    /// The signing client that the request names. The signature can only be verified with the whole body, so any client
    /// may have sent the request.
    Signer(SignerId),
    /// The operator.
    Operator,
}

/// The budget has no more memory for this owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget;

/// The memory that one body occupies.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<Mutex<Memory>>,
    owner: BodyOwner,
    held: Sizes,
}

/// How many bytes: in the whole, of large bodies, and of bodies of a [`BodyOwner::Signer`].
type Sizes = [usize; 3];

#[derive(Debug)]
struct Memory {
    free: Sizes,
    /// What each owner holds. An owner that holds nothing is not in the map.
    held: HashMap<BodyOwner, Sizes>,
}

impl BodyBudget {
    /// A budget of so many bytes. Large bodies may have three quarters of it: the rest is for small bodies, also those of
    /// the same owner. Clients that have not proved who they are may have half of it, whatever signers they name.
    pub fn new(bytes: usize) -> Self {
        let free = [bytes, bytes - bytes / 4, bytes / 2];
        Self(Arc::new(Mutex::new(Memory { free, held: HashMap::new() })))
    }

    /// The reservation of a new body. It holds nothing yet.
    pub fn reservation(&self, owner: BodyOwner) -> Reservation {
        Reservation { memory: Arc::clone(&self.0), owner, held: Sizes::default() }
    }
}

impl Memory {
    /// Gives an owner more memory, if it then holds at most as much as is free.
    fn take(&mut self, owner: &BodyOwner, more: Sizes) -> Result<(), OverBudget> {
        let (mut held, mut free) = (self.held.get(owner).copied().unwrap_or_default(), self.free);
        for ((held, free), more) in held.iter_mut().zip(&mut free).zip(more) {
            *held += more;
            *free = free.checked_sub(more).ok_or(OverBudget)?;
            if more > 0 && *held > *free {
                return Err(OverBudget);
            }
        }
        self.free = free;
        match self.held.get_mut(owner) {
            Some(before) => *before = held,
            None => drop(self.held.insert(owner.clone(), held)),
        }
        Ok(())
    }

    fn give_back(&mut self, owner: &BodyOwner, returned: Sizes) {
        let Some(held) = self.held.get_mut(owner) else { return };
        for ((held, free), returned) in held.iter_mut().zip(&mut self.free).zip(returned) {
            *held -= returned;
            *free += returned;
        }
        if *held == Sizes::default() {
            self.held.remove(owner);
        }
    }
}

impl Reservation {
    /// Reserves what the body needs to grow to `size` bytes, beyond what it has reserved before.
    pub fn grow(&mut self, size: usize) -> Result<(), OverBudget> {
        let if_so = |condition| if condition { size } else { 0 };
        let needed = [size, if_so(size > SMALL_BODY), if_so(matches!(self.owner, BodyOwner::Signer(_)))];
        let mut more = needed;
        for (more, held) in more.iter_mut().zip(self.held) {
            *more = more.saturating_sub(held);
        }
        if more == Sizes::default() {
            return Ok(());
        }
        self.memory().take(&self.owner, more)?;
        for (held, more) in self.held.iter_mut().zip(more) {
            *held += more;
        }
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held != Sizes::default() {
            self.memory().give_back(&self.owner, self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn merchant(name: &str) -> BodyOwner {
        BodyOwner::Merchant(name.to_owned())
    }

    /// As many bodies of this size as the owner gets memory for.
    fn many(budget: &BodyBudget, owner: &BodyOwner, size: usize) -> Vec<Reservation> {
        let body = || {
            let mut body = budget.reservation(owner.clone());
            body.grow(size).ok().map(|()| body)
        };
        std::iter::from_fn(body).collect()
    }

    #[test]
    fn an_owner_holds_at_most_as_much_as_is_free_and_returns_what_it_held() {
        let budget = BodyBudget::new(1024 * KIB);
        let mut held = Vec::new();
        for (name, expected) in [("acme", 512), ("other", 256), ("third", 128), ("fourth", 64), ("acme", 0)] {
            let bodies = many(&budget, &merchant(name), KIB);
            assert_eq!(bodies.len(), expected, "{name}");
            held.push(bodies);
        }
        held.remove(0);
        assert_eq!(many(&budget, &merchant("fifth"), KIB).len(), (1024 - 256 - 128 - 64) / 2);
        held.clear();
        assert_eq!(many(&budget, &merchant("acme"), KIB).len(), 512);
        assert!(budget.0.lock().expect("the memory").held.is_empty(), "an owner without bodies is forgotten");
    }

    #[test]
    fn large_bodies_leave_memory_to_small_ones_of_the_same_owner() {
        let budget = BodyBudget::new(1024 * KIB);
        let large = many(&budget, &merchant("acme"), 64 * KIB);
        assert_eq!(large.len(), 6, "half of three quarters");
        assert_eq!(many(&budget, &merchant("acme"), SMALL_BODY).len(), 8);
    }

    #[test]
    fn a_body_grows_within_what_its_owner_may_hold() {
        let budget = BodyBudget::new(256 * KIB);
        let mut body = budget.reservation(merchant("acme"));
        for size in [SMALL_BODY, 96 * KIB] {
            body.grow(size).expect("half of three quarters");
        }
        assert_eq!(body.grow(96 * KIB + 1), Err(OverBudget));
        body.grow(SMALL_BODY).expect("it has this already");
        assert_eq!(budget.reservation(merchant("acme")).grow(SMALL_BODY + 1), Err(OverBudget));
        drop(body);
        budget.reservation(merchant("acme")).grow(96 * KIB).expect("the memory was returned");
    }

    #[test]
    fn all_signers_that_requests_name_hold_at_most_half() {
        let budget = BodyBudget::new(1024 * KIB);
        let held: Vec<_> = (0..20).map(|signer| many(&budget, &BodyOwner::Signer([signer; 32]), KIB)).collect();
        assert_eq!((held[0].len(), held[1].len()), (256, 128));
        assert_eq!(many(&budget, &merchant("acme"), KIB).len(), 256, "half of what they leave");
    }
}
