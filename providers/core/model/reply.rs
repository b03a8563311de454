//! The replies to commands.

use crate::model::{Customer, Error, Kind, OverdueInvoices, Page, Payment, PaymentMethod};

/// The result of a create.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The customer.
    pub customer: Customer,
    /// Whether the customer existed before and matched the create.
    pub existing: bool,
}

impl Created {
    /// The result of a create that made a customer.
    pub const fn new(customer: Customer) -> Self {
        Self { customer, existing: false }
    }
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// A create made a customer, or found an existing one.
    Created(Created),
    /// The customer after an update, a block or an unblock.
    Changed(Customer),
    /// The customer is deleted.
    Deleted,
}

/// The reply to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The result of a write.
    Written(Written),
    /// One customer, retrieved by its id.
    Customer(Customer),
    /// The customer that a look-up found, if it found one.
    Found(Option<Customer>),
    /// A page of customers.
    Customers(Page<Customer>),
    /// A page of a customer's payment methods.
    PaymentMethods(Page<PaymentMethod>),
    /// A page of a customer's payments.
    Payments(Page<Payment>),
    /// A customer's overdue invoices.
    OverdueInvoices(OverdueInvoices),
}

impl Reply {
    /// The reply to a create that made this customer.
    pub const fn created(customer: Customer) -> Self {
        Self::Written(Written::Created(Created::new(customer)))
    }

    /// The reply to an update, a block or an unblock, with the customer after it.
    pub const fn changed(customer: Customer) -> Self {
        Self::Written(Written::Changed(customer))
    }

    /// The customer is deleted.
    pub const DELETED: Self = Self::Written(Written::Deleted);

    /// Whether it is the result of a write.
    pub const fn is_written(&self) -> bool {
        matches!(self, Self::Written(_))
    }

    /// Every customer in the reply.
    pub fn customers(&self) -> impl Iterator<Item = &Customer> {
        let (one, many): (Option<&Customer>, &[Customer]) = match self {
            Self::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer))
            | Self::Customer(customer)
            | Self::Found(Some(customer))
            | Self::OverdueInvoices(OverdueInvoices { customer: Some(customer), .. }) => (Some(customer), &[]),
            Self::Customers(page) => (None, &page.items),
            Self::Written(Written::Deleted)
            | Self::Found(None)
            | Self::PaymentMethods(_)
            | Self::Payments(_)
            | Self::OverdueInvoices(_) => (None, &[]),
        };
        one.into_iter().chain(many)
    }

    /// Mutable references to every customer in the reply.
    pub fn customers_mut(&mut self) -> impl Iterator<Item = &mut Customer> {
        let (one, many): (Option<&mut Customer>, &mut [Customer]) = match self {
            Self::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer))
            | Self::Customer(customer)
            | Self::Found(Some(customer))
            | Self::OverdueInvoices(OverdueInvoices { customer: Some(customer), .. }) => (Some(customer), &mut []),
            Self::Customers(page) => (None, &mut page.items),
            Self::Written(Written::Deleted)
            | Self::Found(None)
            | Self::PaymentMethods(_)
            | Self::Payments(_)
            | Self::OverdueInvoices(_) => (None, &mut []),
        };
        one.into_iter().chain(many)
    }
}

impl TryFrom<Reply> for Written {
    type Error = Error;

    fn try_from(reply: Reply) -> Result<Self, Error> {
        match reply {
            Reply::Written(written) => Ok(written),
            _ => Err(Error::new(Kind::BadResponse, "the reply to a write is the reply of a read")),
        }
    }
}
