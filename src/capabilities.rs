//! What providers support, taken from their manifests. The API, the command line and the README show it.

use passerelle_providers::{
    VENDORS,
    model::{
        Field, Operation,
        manifest::{Clears, Dedupe, FilterSupport, ListCoverage, Manifest, PagingStyle, Requirement, Support},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi;

/// What one generation of a provider's API supports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderView {
    /// Always `provider`.
    #[schema(value_type = openapi::ProviderObject, inline)]
    pub object: &'static str,
    /// The name in configuration and URLs.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// The generation of its API.
    pub generation: &'static str,
    /// Where its API is documented.
    pub documentation: &'static str,
    /// The documented base URL; `null` if every installation has its own.
    #[schema(required)]
    pub base_url: Option<&'static str>,
    /// The names of the credentials: one list per way to authorize.
    pub credentials: Vec<Vec<&'static str>>,
    /// Every operation of the API.
    pub operations: Vec<OperationSupport>,
    /// Every field of the API, also those that can only be read.
    pub fields: Vec<FieldView>,
    /// What every customer must have: a create gives it, and no update removes it.
    pub requires: Vec<RequirementView>,
    /// Whether an update can clear a field with `null`.
    pub clears: ClearsView,
    /// Which customers its lists and searches show.
    pub lists: ListsView,
    /// The filters of the list.
    pub filters: Vec<FilterView>,
    /// The look-ups of one customer.
    pub lookups: Vec<FilterView>,
    /// How lists are paged.
    pub paging: PagingView,
    /// The form of its ids.
    pub id_pattern: &'static str,
    /// What prevents a create from being executed twice. `operations` has the same for every write. `null` if the provider
    /// cannot create customers.
    #[schema(required, value_type = Option<openapi::Dedupe>)]
    pub dedupe: Option<&'static str>,
}

/// Whether the provider supports an operation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationView)]
pub struct OperationSupport {
    /// The operation.
    #[schema(value_type = openapi::OperationName)]
    pub operation: &'static str,
    /// `native` (by the provider), `emulated` (by the gateway, with other requests) or `none`.
    #[schema(value_type = openapi::Support)]
    pub support: &'static str,
    /// How it is emulated, or why it is not supported.
    #[schema(required)]
    pub reason: Option<&'static str>,
    /// What prevents a write from being executed twice: `key` (the provider accepts an idempotency key), `id` (the request
    /// names its record, so a repetition has the same result), `unique` (the provider answers a second create with the
    /// first record), `search` (the gateway can search for the result) or `nothing`. `null` for reads.
    #[schema(required, value_type = Option<openapi::Dedupe>)]
    pub dedupe: Option<&'static str>,
}

/// How a provider supports a field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldView {
    /// The field.
    pub field: &'static str,
    /// Whether a create accepts it: `native`, `emulated` or `none`.
    #[schema(value_type = openapi::Support)]
    pub create: &'static str,
    /// Whether an update accepts it.
    #[schema(value_type = openapi::Support)]
    pub update: &'static str,
    /// Whether answers contain it.
    #[schema(value_type = openapi::Support)]
    pub read: &'static str,
    /// The provider's own name for it.
    #[schema(required)]
    pub spelling: Option<&'static str>,
    /// How it is emulated, or why it is not supported.
    #[schema(required)]
    pub reason: Option<&'static str>,
}

/// Fields of which a customer needs at least one.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequirementView {
    /// The fields. One of them is enough.
    pub any_of: Vec<&'static str>,
    /// What the provider requires, in words.
    pub reason: &'static str,
}

impl From<&Requirement> for RequirementView {
    fn from(requirement: &Requirement) -> Self {
        // A body with a part of the name has a name.
        let fields = requirement.any_of.iter().flat_map(|field| match field {
            Field::Name => &[Field::Name, Field::FirstName, Field::LastName][..],
            field => std::slice::from_ref(field),
        });
        Self { any_of: fields.map(|field| field.name()).collect(), reason: requirement.message }
    }
}

/// Whether an update can clear a field with `null`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClearsView {
    /// `native` or `none`.
    #[schema(value_type = openapi::Support)]
    pub support: &'static str,
    /// Why a field cannot be cleared.
    #[schema(required)]
    pub reason: Option<&'static str>,
}

impl From<Clears> for ClearsView {
    fn from(clears: Clears) -> Self {
        let (support, reason) = match clears {
            Clears::Sent => (Support::Native, None),
            Clears::No(reason) => (Support::No(reason), Some(reason)),
        };
        Self { support: support.as_str(), reason }
    }
}

/// Which customers the lists and searches of a provider show.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListsView {
    /// `all`, or `partial`: a customer that the lists do not show may exist all the same. Look-ups, `distinct` and
    /// reconciliation also find the customers that were created or changed through this gateway.
    #[schema(value_type = openapi::Coverage)]
    pub coverage: &'static str,
    /// Which customers partial lists show.
    #[schema(required)]
    pub shown: Option<&'static str>,
}

impl From<ListCoverage> for ListsView {
    fn from(lists: ListCoverage) -> Self {
        Self { coverage: lists.as_str(), shown: lists.shown() }
    }
}

/// Who applies a filter or a look-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilterView {
    /// The parameter.
    pub parameter: &'static str,
    /// Who applies it: `provider`, `gateway` or `none`.
    #[schema(value_type = openapi::AnsweredBy)]
    pub answered_by: &'static str,
    /// Where the provider's filter is not exact, or why there is none.
    #[schema(required)]
    pub reason: Option<&'static str>,
}

/// How lists are paged.
#[derive(Debug, Serialize, ToSchema)]
pub struct PagingView {
    /// `pages`, `offset` or `token`.
    #[schema(value_type = openapi::PagingStyle)]
    pub style: &'static str,
    /// The provider's names of the parameters.
    pub parameters: &'static str,
    /// The most entries on one page of the provider.
    pub max_limit: u16,
    /// Whether the provider returns the number of all entries.
    pub tells_total: bool,
}

impl From<&'static Manifest> for ProviderView {
    fn from(manifest: &'static Manifest) -> Self {
        let filters = &manifest.filters;
        let lookups = &manifest.lookups;
        Self {
            object: "provider",
            name: manifest.name,
            title: manifest.title,
            generation: manifest.generation,
            documentation: manifest.documentation,
            base_url: manifest.base_url,
            credentials: manifest.auth.iter().map(|scheme| scheme.credentials().to_vec()).collect(),
            operations: Operation::ALL.iter().map(|operation| operation_view(manifest, *operation)).collect(),
            fields: fields(manifest),
            requires: manifest.requires.iter().map(RequirementView::from).collect(),
            clears: manifest.update.clears.into(),
            lists: manifest.lists.into(),
            filters: vec![
                filter_view("email", filters.email),
                filter_view("phone", filters.phone),
                filter_view("did", filters.did),
                filter_view("blocked", filters.blocked),
                filter_view("search", filters.search),
            ],
            lookups: vec![
                filter_view("email", lookups.email),
                filter_view("phone", lookups.phone),
                filter_view("did", lookups.did),
                filter_view("reference", lookups.reference),
            ],
            paging: PagingView {
                style: match manifest.paging.style {
                    PagingStyle::Pages => "pages",
                    PagingStyle::Offset => "offset",
                    PagingStyle::Token | PagingStyle::AfterCustomer => "token",
                },
                parameters: manifest.paging.parameters,
                max_limit: manifest.paging.max_limit,
                tells_total: manifest.paging.tells_total,
            },
            id_pattern: manifest.id.described,
            dedupe: manifest.dedupe(Operation::Create).map(Dedupe::as_str),
        }
    }
}

fn operation_view(manifest: &Manifest, operation: Operation) -> OperationSupport {
    let support = manifest.operation(operation);
    OperationSupport {
        operation: operation.name(),
        support: support.as_str(),
        reason: support.reason(),
        dedupe: manifest.dedupe(operation).map(Dedupe::as_str),
    }
}

fn fields(manifest: &Manifest) -> Vec<FieldView> {
    let view = |field: Field| {
        let support = manifest.field(field);
        let reasons = [support.create, support.update, support.read];
        FieldView {
            field: field.name(),
            create: support.create.as_str(),
            update: support.update.as_str(),
            read: support.read.as_str(),
            spelling: Some(support.spelling).filter(|spelling| !spelling.is_empty()),
            reason: reasons.into_iter().find_map(Support::reason),
        }
    };
    // Every provider has an id, so it is not listed.
    let only_read = Field::READ_ONLY.into_iter().filter(|field| *field != Field::Id);
    Field::WRITABLE.into_iter().chain(only_read).map(view).collect()
}

const fn filter_view(parameter: &'static str, support: FilterSupport) -> FilterView {
    FilterView { parameter, answered_by: support.as_str(), reason: support.reason() }
}

/// Every manifest of every provider, the default generation of each first.
pub fn manifests() -> impl Iterator<Item = &'static Manifest> {
    VENDORS.iter().flat_map(|vendor| vendor.manifests.iter().copied())
}

/// The manifests of one provider; empty when there is no such provider.
pub fn manifests_of(name: &str) -> Vec<&'static Manifest> {
    manifests().filter(|manifest| manifest.name == name).collect()
}

/// The heading of a manifest in a table of all generations.
pub fn heading(manifest: &Manifest) -> String {
    match manifests_of(manifest.name).len() {
        1 => manifest.name.to_owned(),
        _ => format!("{} {}", manifest.name, manifest.generation),
    }
}

/// The operations of every provider as a Markdown table, as the README has it.
pub fn markdown_table() -> String {
    table_of(&Operation::ALL, |manifest, operation| match manifest.operation(operation) {
        Support::Native => "yes",
        Support::Emulated(_) => "by the gateway",
        Support::No(_) => "–",
    })
}

/// What prevents the writes of every provider from being executed twice, as a Markdown table.
pub fn dedupe_table() -> String {
    let writes: Vec<_> = Operation::ALL.into_iter().filter(|operation| operation.is_write()).collect();
    table_of(&writes, |manifest, operation| manifest.dedupe(operation).map_or("–", Dedupe::as_str))
}

fn table_of(operations: &[Operation], cell: fn(&Manifest, Operation) -> &'static str) -> String {
    let manifests: Vec<_> = manifests().collect();
    let mut table = String::from("| |");
    for manifest in &manifests {
        table.push_str(&format!(" {} |", heading(manifest)));
    }
    table.push_str(&format!("\n|---|{}\n", "---|".repeat(manifests.len())));
    for operation in operations {
        table.push_str(&format!("| {} |", operation.name().replace('_', " ")));
        for manifest in &manifests {
            table.push_str(&format!(" {} |", cell(manifest, *operation)));
        }
        table.push('\n');
    }
    table
}
