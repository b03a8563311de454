//! Scopes: what a key of a merchant's client allows. [`Scope::of`] is the one place that says which scope an operation
//! needs, for the API and for drop-in alike. A handler names its [`Action`] to get its merchant, so none can forget it.

use std::fmt;

use passerelle_providers::model::Operation;

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To read customers and what belongs to them, and what providers support.
    Read,
    /// To change customers.
    Write,
    /// To read the merchant's own writes and their outcomes.
    Admin,
}

/// What a client asks the gateway for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An operation of the customers API, also one that is only explained.
    Customers(Operation),
    /// What a provider supports: the merchant's own one, or any other.
    Capabilities,
    /// The merchant's own writes.
    OwnWrites,
}

/// The scopes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The scope that an action needs. It matches without `_`, so that a new operation does not compile without one.
    pub const fn of(action: Action) -> Self {
        match action {
            Action::Customers(operation) => match operation {
                Operation::Retrieve
                | Operation::Find
                | Operation::List
                | Operation::PaymentMethods
                | Operation::Payments
                | Operation::OverdueInvoices => Self::Read,
                Operation::Create | Operation::Update | Operation::Delete | Operation::Block | Operation::Unblock => {
                    Self::Write
                }
            },
            Action::Capabilities => Self::Read,
            Action::OwnWrites => Self::Admin,
        }
    }

    /// The word in the configuration and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Admin => 4,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(Scope::Read.bit() | Scope::Write.bit() | Scope::Admin.bit());

    /// Whether a scope is one of them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_customer_needs_another_scope_than_what_reads_one() {
        for operation in Operation::ALL {
            let expected = if operation.is_write() { Scope::Write } else { Scope::Read };
            assert_eq!(Scope::of(Action::Customers(operation)), expected, "{operation:?}");
        }
    }

    #[test]
    fn words_read_back_and_each_scope_is_its_own() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            let only: Scopes = [scope].into_iter().collect();
            assert!(Scopes::ALL.has(scope) && only.has(scope));
            assert!(Scope::ALL.iter().all(|other| only.has(*other) == (*other == scope)), "{scope}");
        }
        assert_eq!(Scope::parse("Read"), None);
    }
}
