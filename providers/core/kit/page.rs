//! A page of customers as the provider answered it.

use crate::{
    kit::{Answer, Plan},
    model::{BorrowedCustomer, Customer, Error, Page},
};

/// A page of customers as the provider answered it. Its customers borrow their text from it, so that answering a page
/// neither copies text nor counts who holds it.
pub struct CustomerPage {
    pub(super) answer: Answer,
    pub(super) read: Box<ReadPage>,
}

pub(super) type ReadPage = dyn for<'a> Fn(&'a Answer) -> Result<Page<BorrowedCustomer<'a>>, Error> + Send + Sync;

impl CustomerPage {
    /// Reads the page.
    pub fn borrowed(&self) -> Result<Page<BorrowedCustomer<'_>>, Error> {
        (self.read)(&self.answer)
    }

    /// The page with customers that can be kept.
    pub fn into_owned(&self) -> Result<Page<Customer>, Error> {
        let (Page { items, next, total }, source) = (self.borrowed()?, self.answer.source()?);
        Ok(Page { items: items.into_iter().map(|told| told.into_owned(&source)).collect(), next, total })
    }
}

impl std::fmt::Debug for CustomerPage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CustomerPage").finish_non_exhaustive()
    }
}

impl Plan<CustomerPage> {
    /// The same plan with customers that can be kept.
    #[must_use]
    pub fn into_owned(self) -> Plan<Page<Customer>> {
        self.map(|page| page.into_owned())
    }
}
