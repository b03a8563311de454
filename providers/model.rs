//! The canonical language: customers as the gateway answers them, and the commands it takes.
//!
//! Nothing here knows a provider. Text is held as slices of the message it came from, and JSON
//! objects that only pass through (`metadata`) stay raw. `Debug` shows ids and which fields are
//! set, never what they hold.

use std::fmt;

use crate::{
    error::Error,
    fidelity::Fidelity,
    manifest::IdPattern,
    text::{Text, email, name, part_of, phone},
    wire::{Extra, JsonObject, Str, str_patch},
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

/// A customer as the gateway answers it. What a provider does not tell is `None`.
#[derive(Clone, Default, PartialEq)]
pub struct Customer {
    /// The id at the provider.
    pub id: Text,
    /// The full name.
    pub name: Option<Text>,
    /// The given names.
    pub first_name: Option<Text>,
    /// The family name.
    pub last_name: Option<Text>,
    /// The e-mail address.
    pub email: Option<Text>,
    /// E.164 where it could be known.
    pub phone: Option<Text>,
    /// E.164 where it could be known.
    pub whatsapp: Option<Text>,
    /// The postal address.
    pub address: Address<Option<Text>>,
    /// Person or company.
    pub kind: Option<CustomerType>,
    /// A decentralised identifier.
    pub did: Option<Text>,
    /// A decimal string.
    pub balance: Option<Text>,
    /// Whether a payment is overdue.
    pub delinquent: Option<bool>,
    /// Whether the provider refuses this customer's payments.
    pub blocked: Option<bool>,
    /// Whether the record is a live one, as opposed to a test one.
    pub livemode: Option<bool>,
    /// The merchant's own keys.
    pub metadata: JsonObject,
    /// RFC 3339, UTC.
    pub created_at: Option<Text>,
    /// RFC 3339, UTC.
    pub updated_at: Option<Text>,
    /// Every member of the provider's object that has no canonical place, untouched.
    pub extra: Extra,
    /// What is not plainly as the provider holds it.
    pub fidelity: Fidelity,
}

impl Customer {
    /// Fills the full name from its parts or the parts from the full name, and reports it.
    pub fn complete_names(&mut self) {
        if self.name.is_none() {
            let joined = name::join(self.first_name.as_deref(), self.last_name.as_deref());
            self.name = joined.map(|joined| Text::from(joined.into_owned()));
            if self.name.is_some() {
                self.fidelity.derived(Field::Name, name::JOINED);
            }
        } else if self.first_name.is_none() && self.last_name.is_none() {
            if let Some(full) = &self.name {
                let (first, last) = name::split(full);
                self.first_name = first.map(|part| part_of(full, part));
                self.last_name = last.map(|part| part_of(full, part));
            }
            for (part, field) in [(&self.first_name, Field::FirstName), (&self.last_name, Field::LastName)] {
                if part.is_some() {
                    self.fidelity.derived(field, name::SPLIT);
                }
            }
        }
    }

    /// The full name, joined where only its parts are held.
    pub fn full_name(&self) -> Option<Str<'_>> {
        let joined = || name::join(self.first_name.as_deref(), self.last_name.as_deref());
        self.name.as_deref().map(Str::new).or_else(|| joined().map(Str))
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

    /// The text a field holds, for the fields that hold text.
    pub fn text(&self, field: Field) -> Option<&Text> {
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

impl fmt::Debug for Customer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Customer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One field of a merge patch (RFC 7396): left alone, cleared with `null`, or set.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Absent,
    /// `null`: to be cleared.
    Clear,
    /// A new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field is left alone.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The new value, if one is set.
    pub const fn set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Clear => None,
        }
    }

    /// The same patch for a record that is new, in which there is nothing to clear.
    #[must_use]
    pub fn of_new(self) -> Self {
        if let Self::Clear = self { Self::Absent } else { self }
    }

    /// The same patch of a converted value.
    pub fn map<'p, U>(&'p self, convert: impl FnOnce(&'p T) -> U) -> Patch<U> {
        match self {
            Self::Absent => Patch::Absent,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(convert(value)),
        }
    }

    /// What the field holds once the patch was applied to its current value.
    pub fn apply(&self, current: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Absent => current,
            Self::Clear => None,
            Self::Set(value) => Some(value.clone()),
        }
    }

    /// This patch, or one that sets the current value again where the field is left alone.
    #[must_use]
    pub fn or_keep(&self, current: Option<&T>) -> Self
    where
        T: Clone,
    {
        match (self, current) {
            (Self::Absent, Some(current)) => Self::Set(current.clone()),
            _ => self.clone(),
        }
    }
}

impl<T> From<Option<T>> for Patch<T> {
    /// A value that is there is set; one that is not is left alone.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Set)
    }
}

impl<T> fmt::Debug for Patch<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Absent => "absent",
            Self::Clear => "clear",
            Self::Set(_) => "set",
        })
    }
}

impl<T> fmt::Debug for Address<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Address { .. }")
    }
}

/// The fields of a create or an update. A create never clears.
#[derive(Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
pub struct CustomerFields {
    /// Excludes the parts, unless they join to it.
    pub name: Patch<Text>,
    pub first_name: Patch<Text>,
    pub last_name: Patch<Text>,
    pub email: Patch<Text>,
    pub phone: Patch<Text>,
    pub whatsapp: Patch<Text>,
    pub address: Address<Patch<Text>>,
    pub kind: Patch<CustomerType>,
    pub did: Patch<Text>,
    pub balance: Patch<Text>,
    pub metadata: Patch<JsonObject>,
}

impl CustomerFields {
    /// Whether no field is mentioned.
    pub fn is_empty(&self) -> bool {
        Field::WRITABLE.iter().all(|field| self.state(*field).is_absent())
    }

    /// What is asked of one field, without its value.
    pub fn state(&self, field: Field) -> Patch<()> {
        let of = |text: &Patch<Text>| text.map(|_| ());
        match field {
            Field::Name => of(&self.name),
            Field::FirstName => of(&self.first_name),
            Field::LastName => of(&self.last_name),
            Field::Email => of(&self.email),
            Field::Phone => of(&self.phone),
            Field::Whatsapp => of(&self.whatsapp),
            Field::Line1 => of(&self.address.line1),
            Field::Line2 => of(&self.address.line2),
            Field::City => of(&self.address.city),
            Field::State => of(&self.address.state),
            Field::PostalCode => of(&self.address.postal_code),
            Field::Country => of(&self.address.country),
            Field::Type => self.kind.map(|_| ()),
            Field::Did => of(&self.did),
            Field::Balance => of(&self.balance),
            Field::Metadata => self.metadata.map(|_| ()),
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                Patch::Absent
            }
        }
    }

    /// Leaves a field alone, whatever was asked of it.
    pub fn forget(&mut self, field: Field) {
        let text = match field {
            Field::Name => &mut self.name,
            Field::FirstName => &mut self.first_name,
            Field::LastName => &mut self.last_name,
            Field::Email => &mut self.email,
            Field::Phone => &mut self.phone,
            Field::Whatsapp => &mut self.whatsapp,
            Field::Line1 => &mut self.address.line1,
            Field::Line2 => &mut self.address.line2,
            Field::City => &mut self.address.city,
            Field::State => &mut self.address.state,
            Field::PostalCode => &mut self.address.postal_code,
            Field::Country => &mut self.address.country,
            Field::Did => &mut self.did,
            Field::Balance => &mut self.balance,
            Field::Type => return self.kind = Patch::Absent,
            Field::Metadata => return self.metadata = Patch::Absent,
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                return;
            }
        };
        *text = Patch::Absent;
    }

    /// What is asked of the full name, joined from its parts where those were given.
    pub fn full_name(&self) -> Patch<Str<'_>> {
        match (&self.name, &self.first_name, &self.last_name) {
            (Patch::Absent, Patch::Absent, Patch::Absent) => Patch::Absent,
            (Patch::Absent, first, last) => {
                let joined = name::join(first.set().map(|part| &**part), last.set().map(|part| &**part));
                joined.map_or(Patch::Clear, |joined| Patch::Set(Str(joined)))
            }
            (name, ..) => str_patch(name),
        }
    }

    /// What is asked of the first and the last name, split from the full name where that was given.
    /// A part that a full name does not have is cleared.
    pub fn split_name(&self) -> (Patch<Str<'_>>, Patch<Str<'_>>) {
        match (&self.name, &self.first_name, &self.last_name) {
            (Patch::Set(full), Patch::Absent, Patch::Absent) => {
                let part = |part: Option<_>| part.map_or(Patch::Clear, |part| Patch::Set(Str::new(part)));
                let (first, last) = name::split(full);
                (part(first), part(last))
            }
            (Patch::Clear, Patch::Absent, Patch::Absent) => (Patch::Clear, Patch::Clear),
            (_, first, last) => (str_patch(first), str_patch(last)),
        }
    }

    /// What is asked of the dial code of the phone number, and of its national digits. A number that has no dial
    /// code must not keep the one of another.
    pub fn split_phone(&self) -> (Patch<Str<'_>>, Patch<Str<'_>>) {
        match self.phone.map(|number| phone::split(number)) {
            Patch::Set(Some((code, national))) => (Patch::Set(Str::new(code)), Patch::Set(Str::new(national))),
            Patch::Absent => (Patch::Absent, Patch::Absent),
            Patch::Clear | Patch::Set(None) => (Patch::Clear, str_patch(&self.phone)),
        }
    }

    /// Drops every clearing, for a create, where there is nothing to clear.
    #[must_use]
    pub fn without_clears(mut self) -> Self {
        for field in Field::WRITABLE {
            if self.state(field) == Patch::Clear {
                self.forget(field);
            }
        }
        self
    }

    /// Whether any part of the address is mentioned.
    pub fn mentions_address(&self) -> bool {
        self.address.parts().into_iter().any(|(_, part)| !part.is_absent())
    }

    /// The customer as these fields change it.
    pub fn apply_to(&self, customer: &mut Customer) {
        let texts = [
            (&self.email, &mut customer.email),
            (&self.phone, &mut customer.phone),
            (&self.whatsapp, &mut customer.whatsapp),
            (&self.address.line1, &mut customer.address.line1),
            (&self.address.line2, &mut customer.address.line2),
            (&self.address.city, &mut customer.address.city),
            (&self.address.state, &mut customer.address.state),
            (&self.address.postal_code, &mut customer.address.postal_code),
            (&self.address.country, &mut customer.address.country),
            (&self.did, &mut customer.did),
            (&self.balance, &mut customer.balance),
            (&self.name, &mut customer.name),
            (&self.first_name, &mut customer.first_name),
            (&self.last_name, &mut customer.last_name),
        ];
        for (patch, held) in texts {
            *held = patch.apply(held.take());
        }
        customer.kind = self.kind.apply(customer.kind);
        match &self.metadata {
            Patch::Absent => {}
            Patch::Clear => customer.metadata = JsonObject::default(),
            Patch::Set(object) => customer.metadata = object.clone(),
        }
    }
}

impl fmt::Debug for CustomerFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = formatter.debug_map();
        for field in Field::WRITABLE {
            let state = self.state(field);
            if !state.is_absent() {
                map.entry(&field.name(), &state);
            }
        }
        map.finish()
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

/// Find one customer by something other than its id.
#[derive(Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By e-mail address.
    Email(Text),
    /// By phone number.
    Phone(Text),
    /// By decentralised identifier.
    Did(Text),
    /// By the merchant's own reference.
    Reference(Text),
}

impl Lookup {
    /// The name of the query parameter.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
            Self::Did(_) => "did",
            Self::Reference(_) => "reference",
        }
    }

    /// What is looked for.
    pub const fn value(&self) -> &Text {
        match self {
            Self::Email(value) | Self::Phone(value) | Self::Did(value) | Self::Reference(value) => value,
        }
    }
}

impl From<&Lookup> for CustomerFilter {
    /// What the customer that is found must match; a reference is only known to the provider.
    fn from(lookup: &Lookup) -> Self {
        let mut filter = Self::default();
        match lookup {
            Lookup::Email(email) => filter.email = Some(email.clone()),
            Lookup::Phone(phone) => filter.phone = Some(phone.clone()),
            Lookup::Did(did) => filter.did = Some(did.clone()),
            Lookup::Reference(_) => {}
        }
        filter
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lookup({})", self.key())
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// After this many customers. Providers with page numbers count in whole pages.
    Offset(u64),
    /// Where the provider's own token says.
    Token(Text),
}

impl Position {
    /// The beginning of a list.
    pub const START: Self = Self::Offset(0);

    /// How many entries lie before this position; zero for a provider's token.
    pub const fn offset(&self) -> u64 {
        match self {
            Self::Offset(offset) => *offset,
            Self::Token(_) => 0,
        }
    }

    /// The number of the page that begins here, counted from one.
    pub const fn page(&self, limit: u16) -> u64 {
        (self.offset() / if limit == 0 { 1 } else { limit as u64 }).saturating_add(1)
    }

    /// The position at which a numbered page begins.
    pub const fn of_page(page: u64, limit: u16) -> Self {
        Self::Offset(page.saturating_sub(1).saturating_mul(limit as u64))
    }
}

/// Which customers a list shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomerFilter {
    /// Exactly this e-mail address.
    pub email: Option<Text>,
    /// Exactly this phone number.
    pub phone: Option<Text>,
    /// Exactly this decentralised identifier.
    pub did: Option<Text>,
    /// Only blocked ones, or only ones that are not.
    pub blocked: Option<bool>,
    /// Name, e-mail or phone contains this text.
    pub search: Option<Text>,
}

impl CustomerFilter {
    /// Whether every customer is shown.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many conditions there are.
    pub fn len(&self) -> usize {
        let Self { email, phone, did, blocked, search } = self;
        let texts = [email, phone, did, search];
        texts.into_iter().flatten().count() + usize::from(blocked.is_some())
    }

    /// Whether a customer is shown: e-mail and phone exactly, search as a part, both without regard to case.
    pub fn matches(&self, customer: &Customer) -> bool {
        let is = |held: &Option<Text>, asked: &Option<Text>, same: fn(&str, &str) -> bool| match (held, asked) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(held), Some(asked)) => same(held, asked),
        };
        is(&customer.email, &self.email, email::same)
            && is(&customer.phone, &self.phone, str::eq)
            && is(&customer.did, &self.did, str::eq)
            && self.blocked.is_none_or(|blocked| customer.blocked == Some(blocked))
            && self.search.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                [&customer.name, &customer.email, &customer.phone]
                    .into_iter()
                    .flatten()
                    .any(|held| held.to_lowercase().contains(&part))
            })
    }
}

impl fmt::Debug for CustomerFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [
            ("email", self.email.is_some()),
            ("phone", self.phone.is_some()),
            ("did", self.did.is_some()),
            ("blocked", self.blocked.is_some()),
            ("search", self.search.is_some()),
        ];
        formatter.debug_set().entries(set.iter().filter(|(_, set)| *set).map(|(key, _)| key)).finish()
    }
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

    /// Whether doing it twice is the same as doing it once.
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Create)
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

    /// A numbered page of a list whose length the provider tells. The next one begins where this one would
    /// end if it were full: a number says nothing of a page that fell short.
    pub fn of_numbered(items: Vec<T>, position: &Position, limit: u16, total: u64) -> Self {
        let end = position.offset() + u64::from(limit);
        let next = (!items.is_empty() && end < total).then_some(Position::Offset(end));
        Self { items, next, total: Some(total) }
    }

    /// A numbered page of which it may be told whether another follows, and how many entries there are in all.
    /// The first decides, else the second, else whether the page is full; a count that contradicts is no total.
    pub fn of_told(items: Vec<T>, position: &Position, limit: u16, more: Option<bool>, count: Option<u64>) -> Self {
        let end = position.offset() + items.len() as u64;
        let more = more.or(count.map(|count| end < count)).unwrap_or(items.len() >= usize::from(limit.max(1)));
        let total = count.filter(|count| if more { *count > end } else { *count == end });
        let next = (more && !items.is_empty()).then(|| Position::of_page(position.page(limit) + 1, limit));
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
