//! What a provider can do, as data. The manifest is law: the conformance suite fails an adapter that
//! does less than its manifest says, or more.

use crate::model::{
    CustomerFields, Error, Field, IdPattern, Operation, Patch,
    auth::{AuthScheme, Credentials},
};

/// Whether something is there, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// The provider does it.
    Native,
    /// The gateway does it on top of what the provider has; the text says how.
    Emulated(&'static str),
    /// It cannot be had; the text says why.
    No(&'static str),
}

impl Support {
    /// Whether it can be used.
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
    /// Whether an answer tells it.
    pub read: Support,
    /// What the provider calls it, or how it spells it.
    pub spelling: &'static str,
}

impl FieldSupport {
    /// A field that is written and read under another name, or the same.
    pub const fn native(field: Field, spelling: &'static str) -> Self {
        Self { field, create: Support::Native, update: Support::Native, read: Support::Native, spelling }
    }

    /// A field that is computed from others, both ways.
    pub const fn emulated(field: Field, how: &'static str, spelling: &'static str) -> Self {
        let support = Support::Emulated(how);
        Self { field, create: support, update: support, read: support, spelling }
    }

    /// A field that the provider does not have.
    pub const fn none(field: Field, why: &'static str) -> Self {
        let support = Support::No(why);
        Self { field, create: support, update: support, read: support, spelling: "" }
    }

    /// A field that is only told.
    pub const fn read_only(field: Field, spelling: &'static str) -> Self {
        const WHY: Support = Support::No("the provider tells it but does not take it");
        Self { field, create: WHY, update: WHY, read: Support::Native, spelling }
    }

    /// The same field, but with another answer for updates.
    #[must_use]
    pub const fn updated(mut self, update: Support) -> Self {
        self.update = update;
        self
    }
}

/// How a filter of the list is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterSupport {
    /// The provider filters, and exactly.
    Exact,
    /// The provider filters, and exactly, but by nothing else at the same time: beside another filter the
    /// gateway compares.
    Alone,
    /// The provider narrows the list down; the gateway filters again. The text says what is loose.
    Loose(&'static str),
    /// The gateway reads pages and filters.
    Scan,
    /// The provider does not hold the field.
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

    /// What is loose, or why there is none.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Loose(reason) | Self::No(reason) => Some(reason),
            Self::Alone => Some("beside another filter the gateway compares"),
            Self::Exact | Self::Scan => None,
        }
    }
}

/// How the filters of the list are answered.
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
    /// Every field is compared by the gateway; there is no did.
    pub const fn scanned(no_did: &'static str) -> Self {
        let scan = FilterSupport::Scan;
        Self { email: scan, phone: scan, did: FilterSupport::No(no_did), blocked: scan, search: scan }
    }
}

/// How one customer is found by something other than its id.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "named after the query parameters")]
pub struct Lookups {
    pub email: FilterSupport,
    pub phone: FilterSupport,
    pub did: FilterSupport,
    pub reference: FilterSupport,
}

/// How a provider cuts lists into pages.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    /// Pages, offsets or tokens.
    pub style: PagingStyle,
    /// What the provider calls its parameters.
    pub parameters: &'static str,
    /// The most entries a page may have.
    pub max_limit: u16,
    /// Whether the provider tells how many there are in all.
    pub tells_total: bool,
}

/// What a provider counts in.
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
    /// Whether only the page before tells where a page begins, so that no place in the list can be counted to.
    pub const fn has_tokens(self) -> bool {
        matches!(self, Self::Token | Self::AfterCustomer)
    }
}

/// What keeps a write from being done twice, as seen at the provider's twin: the conformance suite sends every write
/// twice, and fails a manifest that declares another class than it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedupe {
    /// K: the provider honours an idempotency key.
    Key,
    /// N: the request names the record, a new one by an id that the client chose. Sent twice it says the same, and the
    /// record tells whether it happened.
    Id,
    /// U: an attribute is unique, and a second write answers the first record.
    Unique,
    /// S: sent twice it is done twice, but what came of it can be searched for.
    Search,
    /// O: there is no way to know.
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

/// What keeps each write from being done twice.
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
    /// Creates are of this class; changes name their record, and say how it is to be.
    pub const fn of_creates(create: Dedupe) -> Self {
        Self { create, update: Dedupe::Id, delete: Dedupe::Id, block: Dedupe::Id, unblock: Dedupe::Id }
    }
}

/// How a provider updates a record, which decides what has to be read first.
#[derive(Debug, Clone, Copy)]
pub struct UpdateStyle {
    /// What the provider's names look like.
    pub names: NameStyle,
    /// Whether an update replaces the record, so that the merged whole must be sent.
    pub replaces_record: bool,
    /// Whether an address is sent as one object of which it is unknown whether it is merged.
    pub whole_address: bool,
    /// What `null` does.
    pub clears: Clears,
}

/// What a provider's names look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameStyle {
    /// One full name.
    Full,
    /// First and last name apart.
    Split,
}

/// What `null` does at a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clears {
    /// It clears, or it is not known whether it does: it is sent, and the answer is checked.
    Sent,
    /// It cannot be sent; the text says why.
    No(&'static str),
}

/// What a create must have.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// At least one of these fields.
    pub any_of: &'static [Field],
    /// What to tell when none is there.
    pub told: &'static str,
}

/// Everything the gateway, the documents and the conformance suite know of a provider.
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
    /// The documented base; `None` where every installation has its own.
    pub base_url: Option<&'static str>,
    /// How requests are authorized; the first is the usual one.
    pub auth: &'static [AuthScheme],
    /// What it can do. An operation that is not listed is native.
    pub operations: &'static [(Operation, Support)],
    /// What it does with each field.
    pub fields: &'static [FieldSupport],
    /// What a create must have.
    pub requires: &'static [Requirement],
    /// How its lists are filtered.
    pub filters: Filters,
    /// How one customer is found.
    pub lookups: Lookups,
    /// How its lists are paged.
    pub paging: Paging,
    /// Which ids it has.
    pub id: IdPattern,
    /// What keeps its writes from being done twice.
    pub dedupe: Dedupes,
    /// Whether it can itself answer an existing customer instead of creating a second one.
    pub distinct: Support,
    /// How it updates.
    pub update: UpdateStyle,
}

impl Manifest {
    /// Whether an operation is there.
    pub fn operation(&self, operation: Operation) -> Support {
        self.operations.iter().find(|(listed, _)| *listed == operation).map_or(Support::Native, |(_, support)| *support)
    }

    /// Refuses an operation that is not there, with the reason.
    pub fn require(&self, operation: Operation) -> Result<(), Error> {
        match self.operation(operation).is_supported() {
            true => Ok(()),
            false => Err(Error::not_supported(self, operation)),
        }
    }

    /// What keeps a write from being done twice. `None` where nothing is written, or the operation is not there.
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

    /// Whether doing an operation twice is the same as doing it once, and is answered alike.
    pub fn is_idempotent(&self, operation: Operation) -> bool {
        !operation.is_write() || self.dedupe(operation) == Some(Dedupe::Id)
    }

    /// What becomes of a field. One that the manifest does not list is not there.
    pub fn field(&self, field: Field) -> FieldSupport {
        let listed = self.fields.iter().find(|listed| listed.field == field);
        listed.copied().unwrap_or(FieldSupport::none(field, "the provider has no counterpart"))
    }

    /// The fields of a command that the provider cannot hold, with the reasons.
    pub fn losses(&self, fields: &CustomerFields, operation: Operation) -> impl Iterator<Item = (Field, &'static str)> {
        Field::WRITABLE.into_iter().filter_map(move |field| {
            let support = self.field(field);
            let writing = if operation == Operation::Create { support.create } else { support.update };
            match (fields.state(field), writing, self.update.clears) {
                (Patch::Absent, ..) => None,
                (_, Support::No(why), _) | (Patch::Clear, _, Clears::No(why)) => Some((field, why)),
                _ => None,
            }
        })
    }

    /// The scheme whose credentials are all there; the first scheme where none are.
    pub fn scheme_for(&self, credentials: &Credentials) -> Option<&'static AuthScheme> {
        self.auth.iter().find(|scheme| scheme.credentials().iter().all(|name| credentials.get(name).is_some()))
    }
}
