//! A page of customers that borrows its text from the provider's answer.

use crate::{
    kit::{Answer, Plan},
    model::{BorrowedCustomer, Customer, Error, Page},
};

/// A page of customers as the provider answered it. Its customers borrow their text from the answer, so that a client's
/// list request needs no text copies and no reference counting.
pub struct CustomerPage {
    pub(super) answer: Answer,
    pub(super) read: Box<ReadPage>,
}

pub(super) type ReadPage = dyn for<'a> Fn(&'a Answer) -> Result<Page<BorrowedCustomer<'a>>, Error> + Send + Sync;

impl CustomerPage {
    /// Whether the answer is so large that its page should be read as [`Transport::compute`](super::Transport::compute)
    /// says.
    pub fn is_large(&self) -> bool {
        self.answer.is_large()
    }

    /// Reads the page with borrowed text.
    pub fn borrowed(&self) -> Result<Page<BorrowedCustomer<'_>>, Error> {
        (self.read)(&self.answer)
    }

    /// Reads the page with owned customers, which can outlive the answer.
    pub fn into_owned(&self) -> Result<Page<Customer>, Error> {
        let (Page { items, next, total }, source) = (self.borrowed()?, self.answer.source()?);
        Ok(Page { items: items.into_iter().map(|customer| customer.into_owned(&source)).collect(), next, total })
    }
}

impl std::fmt::Debug for CustomerPage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CustomerPage").finish_non_exhaustive()
    }
}

impl Plan<CustomerPage> {
    /// The same plan with owned customers.
    #[must_use]
    pub fn into_owned(self) -> Plan<Page<Customer>> {
        self.map(|page| page.into_owned())
    }
}
