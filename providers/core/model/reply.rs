//! What a command is answered with.

use crate::model::{Customer, Error, Kind, OverdueInvoices, Page, Payment, PaymentMethod};

/// What a create did.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The customer.
    pub customer: Customer,
    /// Whether it already existed and matched, instead of being created now.
    pub existing: bool,
}

impl Created {
    /// A customer that did not exist before.
    pub const fn new(customer: Customer) -> Self {
        Self { customer, existing: false }
    }
}

/// What a write may answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// A create made a customer, or found the one that was there.
    Created(Created),
    /// An update, a block or an unblock left the customer like this.
    Changed(Customer),
    /// The customer is deleted.
    Deleted,
}

/// What a command is answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A write.
    Written(Written),
    /// One customer, asked for by its id.
    Customer(Customer),
    /// The customer that a look-up found, if it found one.
    Found(Option<Customer>),
    /// A page of customers.
    Customers(Page<Customer>),
    /// A page of a customer's payment methods.
    PaymentMethods(Page<PaymentMethod>),
    /// A page of a customer's payments.
    Payments(Page<Payment>),
    /// A customer's overdue invoices, with the customer where the caller shows it as well.
    OverdueInvoices(Option<Customer>, OverdueInvoices),
}

impl Reply {
    /// A create made this customer.
    pub const fn created(customer: Customer) -> Self {
        Self::Written(Written::Created(Created::new(customer)))
    }

    /// A write left the customer like this.
    pub const fn changed(customer: Customer) -> Self {
        Self::Written(Written::Changed(customer))
    }

    /// The customer is deleted.
    pub const DELETED: Self = Self::Written(Written::Deleted);

    /// Every customer in the reply.
    pub fn customers(&self) -> impl Iterator<Item = &Customer> {
        let (one, many): (Option<&Customer>, &[Customer]) = match self {
            Self::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer))
            | Self::Customer(customer)
            | Self::Found(Some(customer))
            | Self::OverdueInvoices(Some(customer), _) => (Some(customer), &[]),
            Self::Customers(page) => (None, &page.items),
            Self::Written(Written::Deleted)
            | Self::Found(None)
            | Self::PaymentMethods(_)
            | Self::Payments(_)
            | Self::OverdueInvoices(None, _) => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// Every customer in the reply, to be changed.
    pub fn customers_mut(&mut self) -> impl Iterator<Item = &mut Customer> {
        let (one, many): (Option<&mut Customer>, &mut [Customer]) = match self {
            Self::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer))
            | Self::Customer(customer)
            | Self::Found(Some(customer))
            | Self::OverdueInvoices(Some(customer), _) => (Some(customer), &mut []),
            Self::Customers(page) => (None, &mut page.items),
            Self::Written(Written::Deleted)
            | Self::Found(None)
            | Self::PaymentMethods(_)
            | Self::Payments(_)
            | Self::OverdueInvoices(None, _) => (None, &mut []),
        };
        one.into_iter().chain(many)
    }
}

impl TryFrom<Reply> for Written {
    type Error = Error;

    fn try_from(reply: Reply) -> Result<Self, Error> {
        match reply {
            Reply::Written(written) => Ok(written),
            _ => Err(Error::new(Kind::BadResponse, "a write was answered with what only a read can answer")),
        }
    }
}
