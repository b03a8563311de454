//! What a provider answers to a command.

use crate::model::{Customer, OverdueInvoices, Page, Payment, PaymentMethod};

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

/// What a provider answers to a command that it carried out.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named after what they hold")]
pub enum Reply {
    Created(Created),
    Customer(Customer),
    Deleted,
    Customers(Page<Customer>),
    PaymentMethods(Page<PaymentMethod>),
    Payments(Page<Payment>),
    OverdueInvoices(Customer, OverdueInvoices),
}
