//! The canonical language: what can be asked of a provider, and what is asked of each field.

use std::fmt;

use crate::{
    model::{Address, Customer, CustomerId, CustomerType, Field},
    text::{Str, Text, email, name, phone},
    wire::{JsonObject, str_patch},
};

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
                joined.map_or(Patch::Clear, |joined| Patch::Set(joined.into()))
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

    /// Changes these fields of a record.
    pub const fn update(fields: CustomerFields, id: CustomerId) -> Self {
        Self::Update(UpdateCustomer { id, fields })
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
}
