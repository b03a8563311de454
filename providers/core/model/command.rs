//! Commands: everything that the gateway can ask of a provider, in canonical terms.

use crate::{
    model::{CustomerFields, CustomerFilter, CustomerId, Lookup, Operation, Position},
    text::Text,
};

/// Create a customer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CreateCustomer {
    /// The values to store.
    pub fields: CustomerFields,
    /// Whether an existing customer that matches is the answer, instead of a second customer.
    pub distinct: bool,
    /// The existing customer of a distinct create, where the gateway knows already who it is. Then no customer is made, and
    /// the provider is asked for no other one.
    pub existing: Option<CustomerId>,
}

/// Change some fields of a customer.
#[derive(Clone, PartialEq, Debug)]
pub struct UpdateCustomer {
    /// The customer to change.
    pub id: CustomerId,
    /// The changes.
    pub fields: CustomerFields,
}

/// List customers.
#[derive(Clone, PartialEq, Debug)]
pub struct ListCustomers {
    /// The most entries per page.
    pub limit: u16,
    /// Where the page begins.
    pub position: Position,
    /// The customers to list.
    pub filter: CustomerFilter,
}

/// List a customer's payment methods or payments.
#[derive(Clone, PartialEq, Debug)]
pub struct ListOfCustomer {
    /// The customer.
    pub id: CustomerId,
    /// The most entries per page.
    pub limit: u16,
    /// Where the page begins.
    pub position: Position,
    /// Only payments of this status, in the provider's words.
    pub status: Option<Text>,
}

/// Any command for a provider.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "named after the operations of the API")]
pub enum Command {
    Create(CreateCustomer),
    Retrieve(CustomerId),
    RetrieveOrCreate(CustomerId),
    Find(Lookup),
    Update(UpdateCustomer),
    Delete(CustomerId),
    List(ListCustomers),
    Block(CustomerId),
    Unblock(CustomerId),
    PaymentMethods(ListOfCustomer),
    Payments(ListOfCustomer),
    OverdueInvoices(CustomerId),
}

impl Command {
    /// A create with these fields. It drops clears, because a new record has nothing to clear.
    pub fn create(fields: CustomerFields) -> Self {
        Self::Create(CreateCustomer { fields: fields.without_clears(), ..CreateCustomer::default() })
    }

    /// An update with these fields.
    pub const fn update(fields: CustomerFields, id: CustomerId) -> Self {
        Self::Update(UpdateCustomer { id, fields })
    }

    /// The customer that the command names by id, if it names one.
    pub const fn customer(&self) -> Option<&CustomerId> {
        match self {
            Self::Retrieve(id)
            | Self::RetrieveOrCreate(id)
            | Self::Delete(id)
            | Self::Block(id)
            | Self::Unblock(id)
            | Self::OverdueInvoices(id)
            | Self::Update(UpdateCustomer { id, .. })
            | Self::PaymentMethods(ListOfCustomer { id, .. })
            | Self::Payments(ListOfCustomer { id, .. })
            | Self::List(ListCustomers { position: Position::AfterCustomer(id), .. }) => Some(id),
            Self::Create(_) | Self::Find(_) | Self::List(_) => None,
        }
    }

    /// A mutable reference to that id, for replacing the public id with the provider's id.
    pub const fn customer_mut(&mut self) -> Option<&mut CustomerId> {
        match self {
            Self::Retrieve(id)
            | Self::RetrieveOrCreate(id)
            | Self::Delete(id)
            | Self::Block(id)
            | Self::Unblock(id)
            | Self::OverdueInvoices(id)
            | Self::Update(UpdateCustomer { id, .. })
            | Self::PaymentMethods(ListOfCustomer { id, .. })
            | Self::Payments(ListOfCustomer { id, .. })
            | Self::List(ListCustomers { position: Position::AfterCustomer(id), .. }) => Some(id),
            Self::Create(_) | Self::Find(_) | Self::List(_) => None,
        }
    }

    /// Whether the command is meant to change something at the provider. A retrieval that creates a missing customer
    /// counts as a read, because a repetition answers the same customer.
    pub const fn is_write(&self) -> bool {
        self.operation().is_write() && !matches!(self, Self::RetrieveOrCreate(_))
    }

    /// The operation of the command.
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Create(_) | Self::RetrieveOrCreate(_) => Operation::Create,
            Self::Retrieve(_) => Operation::Retrieve,
            Self::Find(_) => Operation::Find,
            Self::Update(_) => Operation::Update,
            Self::Delete(_) => Operation::Delete,
            Self::List(_) => Operation::List,
            Self::Block(_) => Operation::Block,
            Self::Unblock(_) => Operation::Unblock,
            Self::PaymentMethods(_) => Operation::PaymentMethods,
            Self::Payments(_) => Operation::Payments,
            Self::OverdueInvoices(_) => Operation::OverdueInvoices,
        }
    }
}
