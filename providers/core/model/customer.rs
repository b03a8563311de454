//! Canonical customers, as the gateway answers them.
//!
//! Text is stored as slices of the message that it was read from, and JSON objects that the gateway only passes on
//! (`metadata`) stay raw. `Debug` shows the id of a customer, but never its values.

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

/// A customer as the gateway answers it. A value that the provider did not return is `None`. `T` is the type of its
/// text: reference-counted slices of the answer, or text that borrows from it ([`BorrowedCustomer`]).
#[derive(Clone, Default, PartialEq)]
pub struct Customer<T = Text> {
    /// The id that the merchant uses.
    pub id: T,
    /// The id at the provider, if it is different.
    pub provider_id: Option<T>,
    /// The full name.
    pub name: Option<T>,
    /// The given names.
    pub first_name: Option<T>,
    /// The family name.
    pub last_name: Option<T>,
    /// The e-mail address.
    pub email: Option<T>,
    /// The phone number: in E.164 if the gateway could convert it, else the provider's text.
    pub phone: Option<T>,
    /// The WhatsApp number, in the same form.
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
    /// Whether the record is a live record instead of a test record.
    pub livemode: Option<bool>,
    /// The merchant's own keys.
    pub metadata: JsonObject<T>,
    /// The idempotency marker from the metadata: the id of the gateway's create that made this customer.
    pub marker: Option<T>,
    /// RFC 3339, UTC.
    pub created_at: Option<T>,
    /// RFC 3339, UTC.
    pub updated_at: Option<T>,
    /// The members of the provider's object that have no canonical field, unchanged.
    pub extra: Extra<T>,
    /// The values that differ from the provider's.
    pub fidelity: Fidelity<T>,
}

/// The value of one field of a customer, by its type.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "named after the types of the values")]
pub enum FieldValue<'c, T = Text> {
    Text(Option<&'c T>),
    Type(Option<CustomerType>),
    Flag(Option<bool>),
    Object(&'c JsonObject<T>),
}

impl<T: Deref<Target = str>> FieldValue<'_, T> {
    /// Whether the field has a value; an object has one if it has a member.
    pub fn has_value(&self) -> bool {
        match self {
            Self::Text(text) => text.is_some(),
            Self::Type(kind) => kind.is_some(),
            Self::Flag(flag) => flag.is_some(),
            Self::Object(object) => !object.is_empty(),
        }
    }
}

/// A customer whose text borrows from the provider's answer.
pub type BorrowedCustomer<'a> = Customer<Str<'a>>;

impl BorrowedCustomer<'_> {
    /// Derives the full name from its parts, or the parts from the full name, and reports it.
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

    /// The customer with owned text: slices of the message that it was read from.
    pub fn into_owned(self, message: &Source) -> Customer {
        self.convert_texts(|text| text.into_owned(message))
    }
}

impl Customer {
    /// Sets the id that the merchant uses. A customer read from a provider has the provider's id until then.
    pub fn set_public_id(&mut self, public: Text) {
        let provider = self.id_at_provider().clone();
        self.provider_id = (provider != public).then_some(provider);
        self.id = public;
    }

    /// Takes the value of a writable field from another customer.
    pub fn take_value(&mut self, other: &mut Self, field: Field) {
        let (target, source) = match field {
            Field::Name => (&mut self.name, &mut other.name),
            Field::FirstName => (&mut self.first_name, &mut other.first_name),
            Field::LastName => (&mut self.last_name, &mut other.last_name),
            Field::Email => (&mut self.email, &mut other.email),
            Field::Phone => (&mut self.phone, &mut other.phone),
            Field::Whatsapp => (&mut self.whatsapp, &mut other.whatsapp),
            Field::Line1 => (&mut self.address.line1, &mut other.address.line1),
            Field::Line2 => (&mut self.address.line2, &mut other.address.line2),
            Field::City => (&mut self.address.city, &mut other.address.city),
            Field::State => (&mut self.address.state, &mut other.address.state),
            Field::PostalCode => (&mut self.address.postal_code, &mut other.address.postal_code),
            Field::Country => (&mut self.address.country, &mut other.address.country),
            Field::Did => (&mut self.did, &mut other.did),
            Field::Balance => (&mut self.balance, &mut other.balance),
            Field::Type => return self.kind = other.kind.take(),
            Field::Metadata => return self.metadata = std::mem::take(&mut other.metadata),
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                return;
            }
        };
        *target = source.take();
    }

    /// The same customer with borrowed text.
    pub fn borrowed(&self) -> BorrowedCustomer<'_> {
        self.convert_texts(|text| Str::new(text))
    }
}

impl<T> Customer<T> {
    /// The same customer with every text converted to another text type.
    pub(crate) fn convert_texts<'a, U>(&'a self, convert: impl Fn(&'a T) -> U) -> Customer<U> {
        let optional = |text: &'a Option<T>| text.as_ref().map(&convert);
        Customer {
            id: convert(&self.id),
            provider_id: optional(&self.provider_id),
            name: optional(&self.name),
            first_name: optional(&self.first_name),
            last_name: optional(&self.last_name),
            email: optional(&self.email),
            phone: optional(&self.phone),
            whatsapp: optional(&self.whatsapp),
            address: self.address.map(optional),
            kind: self.kind,
            did: optional(&self.did),
            balance: optional(&self.balance),
            delinquent: self.delinquent,
            blocked: self.blocked,
            livemode: self.livemode,
            metadata: self.metadata.map(&convert),
            marker: optional(&self.marker),
            created_at: optional(&self.created_at),
            updated_at: optional(&self.updated_at),
            extra: self.extra.map(&convert),
            fidelity: self.fidelity.map(&convert),
        }
    }

    /// The id at the provider.
    pub fn id_at_provider(&self) -> &T {
        self.provider_id.as_ref().unwrap_or(&self.id)
    }

    /// The value of a field.
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

    /// The text of a field; `None` for a field of another type.
    pub const fn text(&self, field: Field) -> Option<&T> {
        match self.held(field) {
            FieldValue::Text(text) => text,
            FieldValue::Type(_) | FieldValue::Flag(_) | FieldValue::Object(_) => None,
        }
    }
}

impl<T: Deref<Target = str>> Customer<T> {
    /// The full name, joined from the parts if the customer has only parts.
    pub fn full_name(&self) -> Option<Str<'_>> {
        let joined = || name::join(self.first_name.as_deref(), self.last_name.as_deref());
        self.name.as_deref().map(Str::new).or_else(|| joined().map(Str::from))
    }

    /// The first and the last name, split from the full name if the customer has only a full name.
    pub fn split_name(&self) -> (Option<&str>, Option<&str>) {
        match (&self.name, &self.first_name, &self.last_name) {
            (Some(full), None, None) => name::split(full),
            (_, first, last) => (first.as_deref(), last.as_deref()),
        }
    }

    /// The dial code of the phone number and its national digits. A number without a dial code is all national digits.
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
