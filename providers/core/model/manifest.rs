//! The manifest: the abilities of a provider, as data. The engine, the API and the documents derive from it. The
//! conformance suite fails an adapter that does less or more than its manifest declares.

pub use crate::model::coverage::ListCoverage;
use crate::model::{
    CustomerFields, Error, Field, IdPattern, Operation, Patch,
    auth::{AuthScheme, Credentials},
};

/// Whether a provider has an ability, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// The provider has it.
    Native,
    /// The gateway emulates it with other abilities of the provider; the text says how.
    Emulated(&'static str),
    /// Neither has it; the text says why.
    No(&'static str),
}

impl Support {
    /// Whether it is available.
    pub const fn is_supported(self) -> bool {
        !matches!(self, Self::No(_))
    }

    /// How it is emulated, or why it is missing.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::Emulated(reason) | Self::No(reason) => Some(reason),
        }
    }

    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Emulated(_) => "emulated",
            Self::No(_) => "none",
        }
    }
}

/// What a provider does with one field.
#[derive(Debug, Clone, Copy)]
pub struct FieldSupport {
    /// The field.
    pub field: Field,
    /// Whether a create can set it.
    pub create: Support,
    /// Whether an update can set it.
    pub update: Support,
    /// Whether an answer returns it.
    pub read: Support,
    /// The provider's name for the field, or its form.
    pub spelling: &'static str,
}

impl FieldSupport {
    /// A field that the provider stores, under the same or another name.
    pub const fn native(field: Field, spelling: &'static str) -> Self {
        Self { field, create: Support::Native, update: Support::Native, read: Support::Native, spelling }
    }

    /// A field that the gateway computes from other fields, in both directions.
    pub const fn emulated(field: Field, how: &'static str, spelling: &'static str) -> Self {
        let support = Support::Emulated(how);
        Self { field, create: support, update: support, read: support, spelling }
    }

    /// A field that the provider does not have.
    pub const fn none(field: Field, why: &'static str) -> Self {
        let support = Support::No(why);
        Self { field, create: support, update: support, read: support, spelling: "" }
    }

    /// A field that the provider returns but a client cannot write.
    pub const fn read_only(field: Field, spelling: &'static str) -> Self {
        const WHY: Support = Support::No("the provider returns it but does not accept it");
        Self { field, create: WHY, update: WHY, read: Support::Native, spelling }
    }

    /// The same field with other support for updates.
    #[must_use]
    pub const fn updated(mut self, update: Support) -> Self {
        self.update = update;
        self
    }
}

/// Who applies a filter of the list, and how exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterSupport {
    /// The provider filters exactly.
    Exact,
    /// The provider filters exactly, but only by one filter. If there is another filter, the gateway applies this one.
    Alone,
    /// The provider filters loosely, and the gateway filters its answer again. The text says what is loose.
    Loose(&'static str),
    /// The gateway reads the provider's pages and filters them.
    Scan,
    /// The provider does not store the field; the text says why.
    No(&'static str),
}

impl FilterSupport {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact | Self::Alone => "provider",
            Self::Loose(_) | Self::Scan => "gateway",
            Self::No(_) => "none",
        }
    }

    /// What is loose, or why the filter is not available.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Loose(reason) | Self::No(reason) => Some(reason),
            Self::Alone => Some("with another filter, the gateway applies this one"),
            Self::Exact | Self::Scan => None,
        }
    }
}

/// Who applies each filter of the list.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "named after the query parameters")]
pub struct Filters {
    pub email: FilterSupport,
    pub phone: FilterSupport,
    pub did: FilterSupport,
    pub blocked: FilterSupport,
    pub search: FilterSupport,
}

impl Filters {
    /// The gateway applies every filter. There is no filter by DID; `no_did` says why.
    pub const fn scanned(no_did: &'static str) -> Self {
        let scan = FilterSupport::Scan;
        Self { email: scan, phone: scan, did: FilterSupport::No(no_did), blocked: scan, search: scan }
    }
}

/// Who answers each look-up of one customer.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "named after the query parameters")]
pub struct Lookups {
    pub email: FilterSupport,
    pub phone: FilterSupport,
    pub did: FilterSupport,
    pub reference: FilterSupport,
}

/// How a provider divides lists into pages.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    /// Pages, offsets or tokens.
    pub style: PagingStyle,
    /// The names of the provider's parameters.
    pub parameters: &'static str,
    /// The most entries a page may have.
    pub max_limit: u16,
    /// Whether the provider returns the total number of entries.
    pub tells_total: bool,
}

/// How a provider addresses the pages of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PagingStyle {
    /// Numbered pages of a chosen size.
    Pages,
    /// Entries to skip.
    Offset,
    /// Opaque tokens.
    Token,
    /// The id of the last customer that the client has seen. A page's `next` is a token that holds this id.
    AfterCustomer,
}

impl PagingStyle {
    /// Whether the position of a page is known only from the page before it, so that an offset cannot be computed.
    pub const fn has_tokens(self) -> bool {
        matches!(self, Self::Token | Self::AfterCustomer)
    }
}

/// What prevents a repeated write from having a second effect. The conformance suite sends every write twice to the
/// provider's twin, and fails a manifest that declares another class than it observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedupe {
    /// K: the provider honours an idempotency key.
    Key,
    /// N: the request names the record; a create names it by an id that the client chose. A repetition has no second
    /// effect, and the record shows whether the write happened.
    Id,
    /// U: a value such as the e-mail address is unique, and a second create answers the first record.
    Unique,
    /// S: a repetition has a second effect, but a search can find the results.
    Search,
    /// O: nothing prevents it, and no search can find the results.
    Nothing,
}

impl Dedupe {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Id => "id",
            Self::Unique => "unique",
            Self::Search => "search",
            Self::Nothing => "nothing",
        }
    }
}

/// What prevents a second effect, for each write.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "named after the operations")]
pub struct Dedupes {
    pub create: Dedupe,
    pub update: Dedupe,
    pub delete: Dedupe,
    pub block: Dedupe,
    pub unblock: Dedupe,
}

impl Dedupes {
    /// This class for creates. The other writes name their record and its final state, so they have the class `Id`.
    pub const fn of_creates(create: Dedupe) -> Self {
        Self { create, update: Dedupe::Id, delete: Dedupe::Id, block: Dedupe::Id, unblock: Dedupe::Id }
    }
}

/// How a provider updates a record. It decides whether the gateway reads the record first.
#[derive(Debug, Clone, Copy)]
pub struct UpdateStyle {
    /// How the provider stores names.
    pub names: NameStyle,
    /// Whether an update replaces the whole record, so that the gateway must send every field.
    pub replaces_record: bool,
    /// Whether the gateway must send every part of an address, because the provider may replace the whole object.
    pub whole_address: bool,
    /// What the provider does with `null`.
    pub clears: Clears,
}

/// How a provider stores names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameStyle {
    /// One full name.
    Full,
    /// The first and the last name separately.
    Split,
}

/// What a provider does with `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clears {
    /// It clears the field, or this is not known. The gateway sends `null` and checks the answer.
    Sent,
    /// The gateway cannot send `null`; the text says why.
    No(&'static str),
}

/// A requirement of every customer: a create must give one of the fields, and no update may remove the last of them.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// At least one of these fields.
    pub any_of: &'static [Field],
    /// The message if none of them is given.
    pub message: &'static str,
}

/// Everything that the gateway, the documents and the conformance suite know about a provider.
#[derive(Debug)]
pub struct Manifest {
    /// The name in configuration and URLs.
    pub name: &'static str,
    /// The name that people use.
    pub title: &'static str,
    /// The generation of its API.
    pub generation: &'static str,
    /// Where its API is documented.
    pub documentation: &'static str,
    /// The documented base URL; `None` if every installation has its own.
    pub base_url: Option<&'static str>,
    /// The authorization schemes; the first one is the default.
    pub auth: &'static [AuthScheme],
    /// The operations that are not native. All others are native.
    pub operations: &'static [(Operation, Support)],
    /// The support of each field.
    pub fields: &'static [FieldSupport],
    /// The fields that an answer to a write repeats from the request, whether the provider stores them or not. Only a
    /// read shows what it keeps.
    pub echoes: &'static [Field],
    /// The fields that every customer must have.
    pub requires: &'static [Requirement],
    /// Which customers its lists and searches show.
    pub lists: ListCoverage,
    /// How its lists are filtered.
    pub filters: Filters,
    /// How one customer is found.
    pub lookups: Lookups,
    /// How its lists are paged.
    pub paging: Paging,
    /// The pattern of its ids.
    pub id: IdPattern,
    /// What prevents a second effect of repeated writes.
    pub dedupe: Dedupes,
    /// Whether it answers success for the deletion of a customer who does not exist. Its twin does the same. The gateway
    /// does not rely on it: it reads the customer before every deletion.
    pub deletes_unknown: bool,
    /// Whether the provider itself can answer an existing customer instead of creating a second one.
    pub distinct: Support,
    /// How it updates records.
    pub update: UpdateStyle,
}

impl Manifest {
    /// Whether the provider has an operation.
    pub fn operation(&self, operation: Operation) -> Support {
        self.operations.iter().find(|(listed, _)| *listed == operation).map_or(Support::Native, |(_, support)| *support)
    }

    /// Refuses an operation that the provider does not have, with the reason.
    pub fn require(&self, operation: Operation) -> Result<(), Error> {
        match self.operation(operation).is_supported() {
            true => Ok(()),
            false => Err(Error::not_supported(self, operation)),
        }
    }

    /// What prevents a second effect of a repeated write. `None` for a read, and for an operation that the provider
    /// does not have.
    pub fn dedupe(&self, operation: Operation) -> Option<Dedupe> {
        let class = match operation {
            Operation::Create => self.dedupe.create,
            Operation::Update => self.dedupe.update,
            Operation::Delete => self.dedupe.delete,
            Operation::Block => self.dedupe.block,
            Operation::Unblock => self.dedupe.unblock,
            Operation::Retrieve
            | Operation::Find
            | Operation::List
            | Operation::PaymentMethods
            | Operation::Payments
            | Operation::OverdueInvoices => return None,
        };
        self.operation(operation).is_supported().then_some(class)
    }

    /// Whether a repeated operation has the same effect and the same answer as a single one.
    pub fn is_idempotent(&self, operation: Operation) -> bool {
        !operation.is_write() || self.dedupe(operation) == Some(Dedupe::Id)
    }

    /// The support of a field. The provider does not have a field that the manifest does not list.
    pub fn field(&self, field: Field) -> FieldSupport {
        let listed = self.fields.iter().find(|listed| listed.field == field);
        listed.copied().unwrap_or(FieldSupport::none(field, "the provider has no counterpart"))
    }

    /// The fields of a command that the provider cannot store, with the reasons.
    pub fn losses(&self, fields: &CustomerFields, operation: Operation) -> impl Iterator<Item = (Field, &'static str)> {
        Field::WRITABLE.into_iter().filter_map(move |field| {
            let support = self.field(field);
            let write_support = if operation == Operation::Create { support.create } else { support.update };
            match (fields.state(field), write_support, self.update.clears) {
                (Patch::Absent, ..) => None,
                (_, Support::No(why), _) | (Patch::Clear, _, Clears::No(why)) => Some((field, why)),
                _ => None,
            }
        })
    }

    /// The first scheme whose credentials are all present; `None` if there is no such scheme.
    pub fn scheme_for(&self, credentials: &Credentials) -> Option<&'static AuthScheme> {
        self.auth.iter().find(|scheme| scheme.credentials().iter().all(|name| credentials.get(name).is_some()))
    }
}
