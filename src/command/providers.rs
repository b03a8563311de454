//! `passerelle providers`: shows what the providers support, from their manifests.

use clap::Args;
use passerelle_providers::{VENDORS, Vendor, model::Operation, text::country::Region};

use super::{
    CommandError,
    table::{shown, table},
    terminal,
};
use crate::{
    capabilities::{ProviderView, heading, manifests, manifests_of},
    config::nearest,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show one provider in full.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match (&arguments.name, arguments.json) {
        (None, true) => terminal::print_json(&manifests().map(ProviderView::from).collect::<Vec<_>>()),
        (None, false) => terminal::print(&overview()),
        (Some(name), json) => {
            let found = manifests_of(name);
            if found.is_empty() {
                return Err(unknown(name));
            }
            let views: Vec<ProviderView> = found.into_iter().map(ProviderView::from).collect();
            if json {
                return terminal::print_json(&views);
            }
            views.iter().try_for_each(|view| terminal::print(&in_full(view)))
        }
    }
}

/// The error for a name that no provider has.
pub(super) fn unknown(name: &str) -> CommandError {
    let known: Vec<&str> = VENDORS.iter().map(|vendor| vendor.name()).collect();
    let hint = match nearest(name, &known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("the providers are {}", known.join(", ")),
    };
    CommandError::Usage(format!("`{name}` is not a provider; {hint}"))
}

/// The error for a generation that the provider's API does not have.
pub(super) fn unknown_generation(vendor: &Vendor, generation: Option<&str>) -> CommandError {
    let known: Vec<&str> = vendor.manifests.iter().map(|manifest| manifest.generation).collect();
    let generation = generation.unwrap_or_default();
    CommandError::Usage(format!("{} has no generation `{generation}`; known: {}", vendor.name(), known.join(", ")))
}

/// The region of a command.
pub(super) fn region(code: Option<&str>) -> Result<Option<Region>, CommandError> {
    let Some(code) = code else { return Ok(None) };
    let invalid = || CommandError::Usage(format!("`{code}` is not an ISO 3166-1 alpha-2 code, such as SN"));
    Region::parse(code).ok_or_else(invalid).map(Some)
}

fn overview() -> String {
    let manifests: Vec<_> = manifests().collect();
    let mut table = table();
    table.set_header(std::iter::once("operation".to_owned()).chain(manifests.iter().map(|manifest| heading(manifest))));
    for operation in Operation::ALL {
        let cells = manifests.iter().map(|manifest| manifest.operation(operation).as_str().to_owned());
        table.add_row(std::iter::once(operation.name().replace('_', " ")).chain(cells));
    }
    format!(
        "{}\n\nnative: the provider does it · emulated: the gateway does it with other requests · `passerelle providers NAME` says why not",
        shown(&table)
    )
}

fn in_full(view: &ProviderView) -> String {
    let mut text = format!("{} ({}), generation {}\n", view.title, view.name, view.generation);
    text.push_str(&format!("documentation  {}\n", view.documentation));
    text.push_str(&format!(
        "base_url       {}\n",
        view.base_url.unwrap_or("none: set `base_url` in the configuration")
    ));
    let ways: Vec<String> = view.credentials.iter().map(|names| names.join(" + ")).collect();
    text.push_str(&format!("credentials    {}\n", ways.join(", or ")));
    text.push_str(&format!("ids            {}\n", view.id_pattern));
    for requirement in &view.requires {
        text.push_str(&format!("requires       {}\n", requirement.any_of.join(" or ")));
    }
    if let Some(reason) = view.clears.reason {
        text.push_str(&format!("cannot clear   {reason}\n"));
    }
    let listed = view.lists.shown.map_or("all customers".to_owned(), |listed| format!("only {listed}"));
    text.push_str(&format!("lists show     {listed}\n"));
    text.push_str(&format!(
        "paging         {} ({}), at most {}\n\n",
        view.paging.style, view.paging.parameters, view.paging.max_limit
    ));
    let mut operations = table();
    operations.set_header(["operation", "support", "dedupe", "how, or why not"]);
    for operation in &view.operations {
        operations.add_row([
            operation.operation,
            operation.support,
            operation.dedupe.unwrap_or_default(),
            operation.reason.unwrap_or_default(),
        ]);
    }
    let mut fields = table();
    fields.set_header(["field", "create", "update", "read", "the provider's name for it", "how, or why not"]);
    for field in &view.fields {
        fields.add_row([
            field.field,
            field.create,
            field.update,
            field.read,
            field.spelling.unwrap_or_default(),
            field.reason.unwrap_or_default(),
        ]);
    }
    let mut filters = table();
    filters.set_header(["filter or look-up", "answered by", "limits, or why not"]);
    for (verb, views) in [("list by", &view.filters), ("find by", &view.lookups)] {
        for filter in views {
            filters.add_row([
                format!("{verb} {}", filter.parameter),
                filter.answered_by.to_owned(),
                filter.reason.unwrap_or_default().to_owned(),
            ]);
        }
    }
    let tables = [operations, fields, filters];
    format!("{text}{}\n", tables.each_ref().map(shown).join("\n\n"))
}
