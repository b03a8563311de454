//! What providers can do, told from their manifests: to the API, to the command line, and to the README.

use passerelle_providers::{
    VENDORS,
    model::{
        Field, Operation,
        manifest::{Dedupe, FilterSupport, Manifest, PagingStyle, Support},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

/// A provider's capabilities.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderView {
    /// Always `provider`.
    pub object: &'static str,
    /// The name in configuration and URLs.
    pub name: &'static str,
    /// The name that people use.
    pub title: &'static str,
    /// The generation of its API.
    pub generation: &'static str,
    /// Where its API is documented.
    pub documentation: &'static str,
    /// The documented base URL; `null` where every installation has its own.
    #[schema(required)]
    pub base_url: Option<&'static str>,
    /// The names of the credentials, one list a way to authorize.
    pub credentials: Vec<Vec<&'static str>>,
    /// Every operation of the API.
    pub operations: Vec<OperationSupport>,
    /// Every writable field of the API, and those that are only told.
    pub fields: Vec<FieldView>,
    /// The filters of the list.
    pub filters: Vec<FilterView>,
    /// The look-ups of one customer.
    pub lookups: Vec<FilterView>,
    /// How lists are paged.
    pub paging: PagingView,
    /// What its ids look like.
    pub id_pattern: &'static str,
    /// What keeps a create from being done twice, as `operations` tells it of every write; `null` where nothing is
    /// created.
    #[schema(required)]
    pub dedupe: Option<&'static str>,
}

/// Whether an operation is there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationView)]
pub struct OperationSupport {
    /// The operation.
    pub operation: &'static str,
    /// `native`, `emulated` or `none`.
    pub support: &'static str,
    /// How it is emulated, or why it is missing.
    #[schema(required)]
    pub reason: Option<&'static str>,
    /// What keeps a write from being done twice: `key` (the provider honours an idempotency key), `id` (it names its
    /// record, so that sent twice it says the same), `unique` (a second one answers the first record), `search` (it
    /// can be searched for) or `nothing`. `null` where nothing is written.
    #[schema(required)]
    pub dedupe: Option<&'static str>,
}

/// What becomes of a field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldView {
    /// The field.
    pub field: &'static str,
    /// Whether a create takes it: `native`, `emulated` or `none`.
    pub create: &'static str,
    /// Whether an update takes it.
    pub update: &'static str,
    /// Whether answers tell it.
    pub read: &'static str,
    /// What the provider calls it.
    #[schema(required)]
    pub spelling: Option<&'static str>,
    /// How it is emulated, or why it is missing.
    #[schema(required)]
    pub reason: Option<&'static str>,
}

/// Who answers a filter or a look-up.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilterView {
    /// The parameter.
    pub parameter: &'static str,
    /// `provider`, `gateway` or `none`.
    pub answered_by: &'static str,
    /// What is loose about the provider's, or why there is none.
    #[schema(required)]
    pub reason: Option<&'static str>,
}

/// How lists are paged.
#[derive(Debug, Serialize, ToSchema)]
pub struct PagingView {
    /// `pages`, `offset` or `token`.
    pub style: &'static str,
    /// What the provider calls its parameters.
    pub parameters: &'static str,
    /// The most entries one of its pages has.
    pub max_limit: u16,
    /// Whether it tells how many there are.
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
    // Every provider has an id.
    let only_read = Field::READ_ONLY.into_iter().filter(|field| *field != Field::Id);
    Field::WRITABLE.into_iter().chain(only_read).map(view).collect()
}

const fn filter_view(parameter: &'static str, support: FilterSupport) -> FilterView {
    FilterView { parameter, answered_by: support.as_str(), reason: support.reason() }
}

/// Every manifest of every provider, the usual generation of each first.
pub fn manifests() -> impl Iterator<Item = &'static Manifest> {
    VENDORS.iter().flat_map(|vendor| vendor.manifests.iter().copied())
}

/// The manifests of one provider; empty when there is no such provider.
pub fn manifests_of(name: &str) -> Vec<&'static Manifest> {
    manifests().filter(|manifest| manifest.name == name).collect()
}

/// How a manifest is headed where generations stand side by side.
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

/// What keeps the writes of every provider from being done twice, as a Markdown table.
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
