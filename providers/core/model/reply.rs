//! The replies to commands. A customer in a reply is boxed, because it is large, and every future that passes a reply on would
//! copy it.

use crate::model::{Customer, Error, Kind, OverdueInvoices, Page, Payment, PaymentMethod};

/// The result of a create.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The customer.
    pub customer: Box<Customer>,
    /// Whether the customer existed before and matched the create.
    pub existing: bool,
}

impl Created {
    /// The result of a create that made a customer.
    pub fn new(customer: impl Into<Box<Customer>>) -> Self {
        Self { customer: customer.into(), existing: false }
    }
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// A create made a customer, or found an existing one.
    Created(Created),
    /// The customer after an update, a block or an unblock.
    Changed(Box<Customer>),
    /// The customer is deleted.
    Deleted,
}

/// The reply to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The result of a write.
    Written(Written),
    /// One customer, retrieved by its id.
    Customer(Box<Customer>),
    /// The customer that a look-up found, if it found one.
    Found(Option<Box<Customer>>),
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
    pub fn created(customer: impl Into<Box<Customer>>) -> Self {
        Self::Written(Written::Created(Created::new(customer)))
    }

    /// The reply to an update, a block or an unblock, with the customer after it.
    pub fn changed(customer: impl Into<Box<Customer>>) -> Self {
        Self::Written(Written::Changed(customer.into()))
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
