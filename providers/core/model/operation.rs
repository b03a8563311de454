//! The operations of the customers API, in one table.

/// Whether an operation changes anything at the provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// The store records it, the gateway sends it once, and reconciles it if its outcome is unknown.
    Writes,
    /// It changes nothing.
    Reads,
}

/// The names and the effect of an operation.
struct Row {
    effect: Access,
    name: &'static str,
    phrase: &'static str,
}

/// Generates the enum and its lists from the table, so that no list can lack an operation. Other code that handles
/// single operations matches without `_`, so that the compiler finds a missing operation.
macro_rules! operations {
    ($($operation:ident: $effect:ident $name:literal, $phrase:literal;)*) => {
        /// An operation of the customers API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "named after the operations of the API")]
        pub enum Operation {
            $($operation,)*
        }

        impl Operation {
            /// Every operation, in the order of the API.
            pub const ALL: [Self; [$(Self::$operation),*].len()] = [$(Self::$operation),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$operation => Row { effect: Access::$effect, name: $name, phrase: $phrase },)*
                }
            }
        }
    };
}

operations! {
    Create: Writes "create", "create";
    Retrieve: Reads "retrieve", "retrieve";
    Find: Reads "find", "find";
    Update: Writes "update", "update";
    Delete: Writes "delete", "delete";
    List: Reads "list", "list";
    Block: Writes "block", "block";
    Unblock: Writes "unblock", "unblock";
    PaymentMethods: Reads "payment_methods", "list payment methods";
    Payments: Reads "payments", "list payments";
    OverdueInvoices: Reads "overdue_invoices", "list overdue invoices";
}

impl Operation {
    /// The name in manifests, fixtures and on the command line.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The operation as a verb in a sentence, such as `lomi cannot block`.
    pub const fn phrase(self) -> &'static str {
        self.row().phrase
    }

    /// The operation with a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// Whether the operation changes something at the provider.
    pub const fn is_write(self) -> bool {
        matches!(self.row().effect, Access::Writes)
    }
}
