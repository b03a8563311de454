//! The operations of the customers API.

/// An operation of the customers API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named after the operations of the API")]
pub enum Operation {
    Create,
    Retrieve,
    Find,
    Update,
    Delete,
    List,
    Block,
    Unblock,
    PaymentMethods,
    Payments,
    OverdueInvoices,
}

impl Operation {
    /// Every operation, in the order of the API.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Retrieve,
        Self::Find,
        Self::Update,
        Self::Delete,
        Self::List,
        Self::Block,
        Self::Unblock,
        Self::PaymentMethods,
        Self::Payments,
        Self::OverdueInvoices,
    ];

    /// The name in manifests, fixtures and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Retrieve => "retrieve",
            Self::Find => "find",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::PaymentMethods => "payment_methods",
            Self::Payments => "payments",
            Self::OverdueInvoices => "overdue_invoices",
        }
    }

    /// What a provider does, or cannot do, in a sentence.
    pub const fn deed(self) -> &'static str {
        match self {
            Self::PaymentMethods => "list payment methods",
            Self::Payments => "list payments",
            Self::OverdueInvoices => "list overdue invoices",
            other => other.name(),
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Whether it changes anything at the provider.
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete | Self::Block | Self::Unblock)
    }
}
