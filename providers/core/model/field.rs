//! The fields of the canonical customer.

/// A field of the canonical customer, as fidelity reports and manifests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
pub enum Field {
    Id,
    Name,
    FirstName,
    LastName,
    Email,
    Phone,
    Whatsapp,
    Line1,
    Line2,
    City,
    State,
    PostalCode,
    Country,
    Type,
    Did,
    Balance,
    Delinquent,
    Blocked,
    Livemode,
    Metadata,
    CreatedAt,
    UpdatedAt,
}

impl Field {
    /// Every field that a merchant may write, in the order of the API.
    pub const WRITABLE: [Self; 16] = [
        Self::Name,
        Self::FirstName,
        Self::LastName,
        Self::Email,
        Self::Phone,
        Self::Whatsapp,
        Self::Line1,
        Self::Line2,
        Self::City,
        Self::State,
        Self::PostalCode,
        Self::Country,
        Self::Type,
        Self::Did,
        Self::Balance,
        Self::Metadata,
    ];

    /// The dotted name, such as `address.city`.
    pub const fn name(self) -> &'static str {
        self.pointer_and_name().1
    }

    /// The JSON Pointer into a customer, such as `/address/city`.
    pub const fn pointer(self) -> &'static str {
        self.pointer_and_name().0
    }

    const fn pointer_and_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Id => ("/id", "id"),
            Self::Name => ("/name", "name"),
            Self::FirstName => ("/first_name", "first_name"),
            Self::LastName => ("/last_name", "last_name"),
            Self::Email => ("/email", "email"),
            Self::Phone => ("/phone", "phone"),
            Self::Whatsapp => ("/whatsapp", "whatsapp"),
            Self::Line1 => ("/address/line1", "address.line1"),
            Self::Line2 => ("/address/line2", "address.line2"),
            Self::City => ("/address/city", "address.city"),
            Self::State => ("/address/state", "address.state"),
            Self::PostalCode => ("/address/postal_code", "address.postal_code"),
            Self::Country => ("/address/country", "address.country"),
            Self::Type => ("/type", "type"),
            Self::Did => ("/did", "did"),
            Self::Balance => ("/balance", "balance"),
            Self::Delinquent => ("/delinquent", "delinquent"),
            Self::Blocked => ("/blocked", "blocked"),
            Self::Livemode => ("/livemode", "livemode"),
            Self::Metadata => ("/metadata", "metadata"),
            Self::CreatedAt => ("/created_at", "created_at"),
            Self::UpdatedAt => ("/updated_at", "updated_at"),
        }
    }
}
