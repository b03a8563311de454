//! What can be asked of a provider.

use crate::{
    model::{CustomerFields, CustomerFilter, CustomerId, Lookup, Operation, Position},
    text::Text,
};

/// Create a customer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CreateCustomer {
    /// What to store.
    pub fields: CustomerFields,
    /// Answer the existing customer on a match instead of creating a second one.
    pub distinct: bool,
}

/// Change some fields of a customer.
#[derive(Clone, PartialEq, Debug)]
pub struct UpdateCustomer {
    /// Whom to change.
    pub id: CustomerId,
    /// What to change.
    pub fields: CustomerFields,
}

/// List customers.
#[derive(Clone, PartialEq, Debug)]
pub struct ListCustomers {
    /// At most this many a page.
    pub limit: u16,
    /// Where the page begins.
    pub position: Position,
    /// Which customers.
    pub filter: CustomerFilter,
}

/// List what belongs to a customer.
#[derive(Clone, PartialEq, Debug)]
pub struct ListOfCustomer {
    /// Whose.
    pub id: CustomerId,
    /// At most this many a page.
    pub limit: u16,
    /// Where the page begins.
    pub position: Position,
    /// Only payments of this status, in the provider's words.
    pub status: Option<Text>,
}

/// Everything that can be asked of a provider.
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
    /// Creates a record of these fields, in which there is nothing to clear.
    pub fn create(fields: CustomerFields) -> Self {
        Self::Create(CreateCustomer { fields: fields.without_clears(), distinct: false })
    }

    /// Changes these fields of a record.
    pub const fn update(fields: CustomerFields, id: CustomerId) -> Self {
        Self::Update(UpdateCustomer { id, fields })
    }

    /// Whom the command is about, where it names a customer by id.
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

    /// The same, to be resolved (its public id replaced by the provider's).
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

    /// Whether executing it changes anything at the provider by intent. A retrieval that creates a customer on demand
    /// counts as a read: repeated, it answers the same customer.
    pub const fn is_write(&self) -> bool {
        self.operation().is_write() && !matches!(self, Self::RetrieveOrCreate(_))
    }

    /// Which operation this is.
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
