//! The canonical language: customers as the gateway answers them. The commands it takes are in
//! `command.rs`, and are named from here as well.
//!
//! Nothing here knows a provider. Text is held as slices of the message it came from, and JSON
//! objects that only pass through (`metadata`) stay raw. `Debug` shows ids and which fields are
//! set, never what they hold.

use std::{fmt, ops::Deref};

pub use crate::command::{
    Command, CreateCustomer, CustomerFields, CustomerFilter, ListCustomers, ListOfCustomer, Lookup, Operation, Patch,
    Position, UpdateCustomer,
};
use crate::{
    error::Error,
    fidelity::Fidelity,
    manifest::IdPattern,
    text::{Source, Str, Text, name, phone},
    wire::{Extra, JsonObject},
};

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

/// A postal address; `T` is `Option<Text>` in an answer and `Patch<Text>` in a command.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
pub struct Address<T> {
    pub line1: T,
    pub line2: T,
    pub city: T,
    pub state: T,
    pub postal_code: T,
    /// ISO 3166-1 alpha-2 where the text names a country, else the text as it is.
    pub country: T,
}

impl<T> Address<T> {
    /// Every part, in the order of the API.
    pub const fn parts(&self) -> [(Field, &T); 6] {
        [
            (Field::Line1, &self.line1),
            (Field::Line2, &self.line2),
            (Field::City, &self.city),
            (Field::State, &self.state),
            (Field::PostalCode, &self.postal_code),
            (Field::Country, &self.country),
        ]
    }

    /// The same, to be changed.
    pub const fn parts_mut(&mut self) -> [(Field, &mut T); 6] {
        [
            (Field::Line1, &mut self.line1),
            (Field::Line2, &mut self.line2),
            (Field::City, &mut self.city),
            (Field::State, &mut self.state),
            (Field::PostalCode, &mut self.postal_code),
            (Field::Country, &mut self.country),
        ]
    }

    /// The part that a field names.
    pub fn part(&self, field: Field) -> Option<&T> {
        self.parts().into_iter().find_map(|(part, held)| (part == field).then_some(held))
    }

    /// The same, to be changed.
    pub fn part_mut(&mut self, field: Field) -> Option<&mut T> {
        self.parts_mut().into_iter().find_map(|(part, held)| (part == field).then_some(held))
    }

    /// The same address with every part converted.
    pub fn map<'a, U>(&'a self, convert: impl Fn(&'a T) -> U) -> Address<U> {
        let Self { line1, line2, city, state, postal_code, country } = self;
        let [line1, line2, city, state, postal_code, country] =
            [line1, line2, city, state, postal_code, country].map(convert);
        Address { line1, line2, city, state, postal_code, country }
    }
}

impl<T> fmt::Debug for Address<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address { .. }")
    }
}

/// A customer as the gateway answers it. What a provider does not tell is `None`. `T` is how its text is held: counted
/// slices of the answer that can be kept, or, while a page is answered, borrowed ([`Told`]).
#[derive(Clone, Default, PartialEq)]
pub struct Customer<T = Text> {
    /// The id at the provider.
    pub id: T,
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

/// A customer whose text is borrowed from the answer that told it.
pub type Told<'a> = Customer<Str<'a>>;

impl Told<'_> {
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
    pub fn kept(self, message: &Source) -> Customer {
        self.held_as(|text| text.kept(message))
    }
}

impl Customer {
    /// The same customer, its text borrowed.
    pub fn told(&self) -> Told<'_> {
        self.held_as(|text| Str::new(text))
    }
}

impl<T> Customer<T> {
    /// The same customer with its text held otherwise.
    fn held_as<'a, U>(&'a self, hold: impl Fn(&'a T) -> U) -> Customer<U> {
        let held = |text: &'a Option<T>| text.as_ref().map(&hold);
        Customer {
            id: hold(&self.id),
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

    /// The text a field holds, for the fields that hold text.
    pub fn text(&self, field: Field) -> Option<&T> {
        match field {
            Field::Id => Some(&self.id),
            Field::Name => self.name.as_ref(),
            Field::FirstName => self.first_name.as_ref(),
            Field::LastName => self.last_name.as_ref(),
            Field::Email => self.email.as_ref(),
            Field::Phone => self.phone.as_ref(),
            Field::Whatsapp => self.whatsapp.as_ref(),
            Field::Line1 => self.address.line1.as_ref(),
            Field::Line2 => self.address.line2.as_ref(),
            Field::City => self.address.city.as_ref(),
            Field::State => self.address.state.as_ref(),
            Field::PostalCode => self.address.postal_code.as_ref(),
            Field::Country => self.address.country.as_ref(),
            Field::Did => self.did.as_ref(),
            Field::Balance => self.balance.as_ref(),
            Field::CreatedAt => self.created_at.as_ref(),
            Field::UpdatedAt => self.updated_at.as_ref(),
            Field::Type | Field::Delinquent | Field::Blocked | Field::Livemode | Field::Metadata => None,
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

/// A customer's id at a provider, known to match the provider's pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CustomerId(Text);

impl CustomerId {
    /// Checks an id against the provider's pattern, so that it can stand in a URL.
    pub fn parse(id: Text, pattern: &IdPattern) -> Result<Self, Error> {
        if pattern.matches(&id) { Ok(Self(id)) } else { Err(Error::invalid_id(pattern)) }
    }

    /// The id.
    pub const fn text(&self) -> &Text {
        &self.0
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries, in the provider's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Position>,
    /// How many there are in all pages, where the provider tells.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// A page of a list whose length the provider tells.
    pub fn of_total(items: Vec<T>, position: &Position, total: u64) -> Self {
        let end = position.offset().saturating_add(items.len() as u64);
        let next = (!items.is_empty() && end < total).then_some(Position::Offset(end));
        Self { items, next, total: Some(total) }
    }

    /// A page cut out of a list that the provider tells whole.
    pub fn of_all(all: Vec<T>, position: &Position, limit: u16) -> Self {
        let (total, begin) = (all.len() as u64, usize::try_from(position.offset()).unwrap_or(usize::MAX));
        Self::of_total(all.into_iter().skip(begin).take(limit.into()).collect(), position, total)
    }

    /// A numbered page of a list whose length the provider may tell. The next one begins where this one would
    /// end if it were full: a number says nothing of a page that fell short.
    pub fn of_numbered(items: Vec<T>, position: &Position, limit: u16, total: Option<u64>) -> Self {
        let Some(total) = total else { return Self::of_unknown_length(items, position, limit) };
        let end = position.offset().saturating_add(limit.into());
        let next = (!items.is_empty() && end < total).then_some(Position::Offset(end));
        Self { items, next, total: Some(total) }
    }

    /// A numbered page of which it may be told whether another follows, and how many entries there are in all.
    /// The first decides, else the second, else whether the page is full; a count that contradicts is no total.
    pub fn of_told(items: Vec<T>, position: &Position, limit: u16, more: Option<bool>, count: Option<u64>) -> Self {
        let end = position.offset().saturating_add(items.len() as u64);
        let more = more.or(count.map(|count| end < count)).unwrap_or(items.len() >= usize::from(limit.max(1)));
        let total = count.filter(|count| if more { *count > end } else { *count == end });
        let next =
            (more && !items.is_empty()).then(|| Position::of_page(position.page(limit).saturating_add(1), limit));
        Self { items, next, total }
    }

    /// A page of a list whose length is not told: a full page may be followed by another.
    pub fn of_unknown_length(items: Vec<T>, position: &Position, limit: u16) -> Self {
        let end = position.offset().saturating_add(items.len() as u64);
        let next = (items.len() >= usize::from(limit.max(1))).then_some(Position::Offset(end));
        Self { items, next, total: None }
    }
}

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

/// A means of paying that a provider keeps for a customer.
#[derive(Clone, Default, PartialEq)]
pub struct PaymentMethod {
    /// The id at the provider.
    pub id: Text,
    /// The provider's word for its sort.
    pub kind: Option<Text>,
    /// The provider's channel or gateway.
    pub channel: Option<Text>,
    /// The last four digits.
    pub last4: Option<Text>,
    /// The phone number it is bound to.
    pub phone: Option<Text>,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// Everything else the provider tells.
    pub extra: Extra,
}

/// A payment that a customer made.
#[derive(Clone, Default, PartialEq)]
pub struct Payment {
    /// The id at the provider.
    pub id: Text,
    /// The merchant's reference.
    pub reference: Option<Text>,
    /// A decimal string, in the provider's unit.
    pub amount: Option<Text>,
    /// The provider's currency code.
    pub currency: Option<Text>,
    /// The provider's word.
    pub status: Option<Text>,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// Everything else the provider tells.
    pub extra: Extra,
}

/// An invoice that a customer has not paid.
#[derive(Clone, Default, PartialEq)]
pub struct Invoice {
    /// The id at the provider.
    pub id: Text,
    /// The number printed on it.
    pub number: Option<Text>,
    /// The provider's word.
    pub status: Option<Text>,
    /// A decimal string, in the provider's unit.
    pub amount_due: Option<Text>,
    /// A decimal string, in the provider's unit.
    pub amount_remaining: Option<Text>,
    /// The provider's currency code or id.
    pub currency: Option<Text>,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// Everything else the provider tells.
    pub extra: Extra,
}

/// A customer's overdue invoices.
#[derive(Clone, Default, PartialEq)]
pub struct OverdueInvoices {
    /// The invoices.
    pub invoices: Vec<Invoice>,
    /// The provider's sums by currency, untouched.
    pub summary: Option<JsonObject>,
}

macro_rules! debug_by_id {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($name)).field("id", &self.id).finish_non_exhaustive()
            }
        }
    )*};
}
debug_by_id!(PaymentMethod, Payment, Invoice);

impl fmt::Debug for OverdueInvoices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.invoices).finish()
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
