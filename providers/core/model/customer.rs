//! The canonical language: customers as the gateway answers them. The commands it takes are in
//! `command.rs`, and are named from here as well.
//!
//! Nothing here knows a provider. Text is held as slices of the message it came from, and JSON
//! objects that only pass through (`metadata`) stay raw. `Debug` shows ids and which fields are
//! set, never what they hold.

use std::{fmt, ops::Deref};

use crate::{
    json::{Extra, JsonObject},
    model::{Address, Fidelity, Field},
    text::{Source, Str, Text, name, phone},
};

/// Whether a customer is a person or a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerType {
    /// A person.
    Individual,
    /// A company.
    Business,
}

impl CustomerType {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Business => "business",
        }
    }

    /// Reads the word of the API; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "individual" => Some(Self::Individual),
            "business" => Some(Self::Business),
            _ => None,
        }
    }
}

/// A customer as the gateway answers it. What a provider does not tell is `None`. `T` is how its text is held: counted
/// slices of the answer that can be kept, or, while a page is answered, borrowed ([`BorrowedCustomer`]).
#[derive(Clone, Default, PartialEq)]
pub struct Customer<T = Text> {
    /// The id that the merchant knows.
    pub id: T,
    /// The id at the provider, where it is another one.
    pub provider_id: Option<T>,
    /// The full name.
    pub name: Option<T>,
    /// The given names.
    pub first_name: Option<T>,
    /// The family name.
    pub last_name: Option<T>,
    /// The e-mail address.
    pub email: Option<T>,
    /// E.164 where it could be known.
    pub phone: Option<T>,
    /// E.164 where it could be known.
    pub whatsapp: Option<T>,
    /// The postal address.
    pub address: Address<Option<T>>,
    /// Person or company.
    pub kind: Option<CustomerType>,
    /// A decentralised identifier.
    pub did: Option<T>,
    /// A decimal string.
    pub balance: Option<T>,
    /// Whether a payment is overdue.
    pub delinquent: Option<bool>,
    /// Whether the provider refuses this customer's payments.
    pub blocked: Option<bool>,
    /// Whether the record is a live one, as opposed to a test one.
    pub livemode: Option<bool>,
    /// The merchant's own keys.
    pub metadata: JsonObject<T>,
    /// The gateway's own mark, taken out of the metadata: which write made this customer.
    pub marker: Option<T>,
    /// RFC 3339, UTC.
    pub created_at: Option<T>,
    /// RFC 3339, UTC.
    pub updated_at: Option<T>,
    /// Every member of the provider's object that has no canonical place, untouched.
    pub extra: Extra<T>,
    /// What is not plainly as the provider holds it.
    pub fidelity: Fidelity<T>,
}

/// What one field of a customer holds, by its sort.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "named after what they hold")]
pub enum FieldValue<'c, T = Text> {
    Text(Option<&'c T>),
    Type(Option<CustomerType>),
    Flag(Option<bool>),
    Object(&'c JsonObject<T>),
}

impl<T: Deref<Target = str>> FieldValue<'_, T> {
    /// Whether anything is held; of an object, any member.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Text(text) => text.is_some(),
            Self::Type(kind) => kind.is_some(),
            Self::Flag(flag) => flag.is_some(),
            Self::Object(object) => !object.is_empty(),
        }
    }
}

/// A customer whose text is borrowed from the answer that told it.
pub type BorrowedCustomer<'a> = Customer<Str<'a>>;

impl BorrowedCustomer<'_> {
    /// Fills the full name from its parts or the parts from the full name, and reports it.
    pub fn complete_names(&mut self) {
        if self.name.is_none() {
            let joined = name::join(self.first_name.as_deref(), self.last_name.as_deref());
            self.name = joined.map(|joined| joined.into_owned().into());
            if self.name.is_some() {
                self.fidelity.derived(Field::Name, name::JOINED);
            }
        } else if self.first_name.is_none() && self.last_name.is_none() {
            if let Some(full) = &self.name {
                [self.first_name, self.last_name] = full.divided(name::split);
            }
            for (part, field) in [(&self.first_name, Field::FirstName), (&self.last_name, Field::LastName)] {
                if part.is_some() {
                    self.fidelity.derived(field, name::SPLIT);
                }
            }
        }
    }

    /// The customer with text that can be kept: slices of the message it was read from.
    pub fn into_owned(self, message: &Source) -> Customer {
        self.held_as(|text| text.into_owned(message))
    }
}

impl Customer {
    /// Gives the customer the id that the merchant knows. Until then it has the provider's.
    pub fn set_public_id(&mut self, public: Text) {
        let provider = self.id_at_provider().clone();
        self.provider_id = (provider != public).then_some(provider);
        self.id = public;
    }

    /// The same customer, its text borrowed.
    pub fn borrowed(&self) -> BorrowedCustomer<'_> {
        self.held_as(|text| Str::new(text))
    }
}

impl<T> Customer<T> {
    /// The same customer with its text held otherwise.
    fn held_as<'a, U>(&'a self, hold: impl Fn(&'a T) -> U) -> Customer<U> {
        let held = |text: &'a Option<T>| text.as_ref().map(&hold);
        Customer {
            id: hold(&self.id),
            provider_id: held(&self.provider_id),
            name: held(&self.name),
            first_name: held(&self.first_name),
            last_name: held(&self.last_name),
            email: held(&self.email),
            phone: held(&self.phone),
            whatsapp: held(&self.whatsapp),
            address: self.address.map(held),
            kind: self.kind,
            did: held(&self.did),
            balance: held(&self.balance),
            delinquent: self.delinquent,
            blocked: self.blocked,
            livemode: self.livemode,
            metadata: self.metadata.map(&hold),
            marker: held(&self.marker),
            created_at: held(&self.created_at),
            updated_at: held(&self.updated_at),
            extra: self.extra.map(&hold),
            fidelity: self.fidelity.map(&hold),
        }
    }

    /// The id at the provider.
    pub fn id_at_provider(&self) -> &T {
        self.provider_id.as_ref().unwrap_or(&self.id)
    }

    /// What a field holds.
    pub const fn held(&self, field: Field) -> FieldValue<'_, T> {
        match field {
            Field::Id => FieldValue::Text(Some(&self.id)),
            Field::Name => FieldValue::Text(self.name.as_ref()),
            Field::FirstName => FieldValue::Text(self.first_name.as_ref()),
            Field::LastName => FieldValue::Text(self.last_name.as_ref()),
            Field::Email => FieldValue::Text(self.email.as_ref()),
            Field::Phone => FieldValue::Text(self.phone.as_ref()),
            Field::Whatsapp => FieldValue::Text(self.whatsapp.as_ref()),
            Field::Line1 => FieldValue::Text(self.address.line1.as_ref()),
            Field::Line2 => FieldValue::Text(self.address.line2.as_ref()),
            Field::City => FieldValue::Text(self.address.city.as_ref()),
            Field::State => FieldValue::Text(self.address.state.as_ref()),
            Field::PostalCode => FieldValue::Text(self.address.postal_code.as_ref()),
            Field::Country => FieldValue::Text(self.address.country.as_ref()),
            Field::Type => FieldValue::Type(self.kind),
            Field::Did => FieldValue::Text(self.did.as_ref()),
            Field::Balance => FieldValue::Text(self.balance.as_ref()),
            Field::Delinquent => FieldValue::Flag(self.delinquent),
            Field::Blocked => FieldValue::Flag(self.blocked),
            Field::Livemode => FieldValue::Flag(self.livemode),
            Field::Metadata => FieldValue::Object(&self.metadata),
            Field::CreatedAt => FieldValue::Text(self.created_at.as_ref()),
            Field::UpdatedAt => FieldValue::Text(self.updated_at.as_ref()),
        }
    }

    /// The text a field holds, for the fields that hold text.
    pub const fn text(&self, field: Field) -> Option<&T> {
        match self.held(field) {
            FieldValue::Text(text) => text,
            FieldValue::Type(_) | FieldValue::Flag(_) | FieldValue::Object(_) => None,
        }
    }
}

impl<T: Deref<Target = str>> Customer<T> {
    /// The full name, joined where only its parts are held.
    pub fn full_name(&self) -> Option<Str<'_>> {
        let joined = || name::join(self.first_name.as_deref(), self.last_name.as_deref());
        self.name.as_deref().map(Str::new).or_else(|| joined().map(Str::from))
    }

    /// The first and the last name, split where only the full name is held.
    pub fn split_name(&self) -> (Option<&str>, Option<&str>) {
        match (&self.name, &self.first_name, &self.last_name) {
            (Some(full), None, None) => name::split(full),
            (_, first, last) => (first.as_deref(), last.as_deref()),
        }
    }

    /// The dial code of the phone number, and its national digits; all of it where it has no dial code.
    pub fn split_phone(&self) -> (Option<&str>, Option<&str>) {
        let (code, national) = self.phone.as_deref().and_then(phone::split).unzip();
        (code, national.or(self.phone.as_deref()))
    }
}

impl<T: fmt::Debug> fmt::Debug for Customer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Customer").field("id", &self.id).finish_non_exhaustive()
    }
}
