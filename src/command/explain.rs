//! `passerelle explain`: a command's exact requests, and what becomes of its fields. Opens no socket.

use bytes::Bytes;
use clap::{Args, builder::PossibleValuesParser};
use passerelle_providers::{
    CustomerProvider, Settings,
    api::{
        input,
        view::{FidelityView, Origin},
    },
    engine::{lists, prepare},
    kit::{
        Endpoint, Plan,
        render::{self, RenderedRequest},
    },
    model::{Command, CreateCustomer, Error, Fidelity, Operation, Request, manifest::Manifest},
    text::{Source, country::Region},
    vendor,
};

use super::{Failed, providers::unknown, terminal};
use crate::http::answer::Explanation;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The provider.
    #[arg(long, short)]
    provider: String,
    /// The generation of its API, where it has several.
    #[arg(long)]
    generation: Option<String>,
    /// The merchant's region, such as SN, which completes national phone numbers.
    #[arg(long)]
    region: Option<String>,
    /// Replaces the documented base URL.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Print JSON instead of HTTP text.
    #[arg(long)]
    json: bool,
    /// What is asked.
    #[arg(value_parser = PossibleValuesParser::new(Operation::ALL.map(Operation::name)))]
    operation: String,
    /// Its parameters and its body in one JSON object, such as '{"id":"…","email":"awa@example.com"}'.
    #[arg(default_value = "{}")]
    command: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let vendor = vendor(&arguments.provider).ok_or_else(|| unknown(&arguments.provider))?;
    let manifest = vendor.manifest(arguments.generation.as_deref()).ok_or_else(|| {
        let known: Vec<&str> = vendor.manifests.iter().map(|manifest| manifest.generation).collect();
        Failed::Usage(format!("{} has the generations {}", vendor.name(), known.join(", ")))
    })?;
    let region = match &arguments.region {
        None => None,
        Some(code) => {
            let told = || Failed::Usage(format!("`{code}` is no ISO 3166-1 alpha-2 code, such as SN"));
            Some(Region::parse(code).ok_or_else(told)?)
        }
    };
    let provider = (vendor.connect)(Settings { generation: manifest.generation, region, livemode: true });
    let operation = Operation::parse(&arguments.operation)
        .ok_or_else(|| Failed::Usage(format!("`{}` is no operation", arguments.operation)))?;
    prepare::supports(manifest, operation).map_err(|error| Failed::Failed(error.to_string()))?;
    let text = Bytes::from(arguments.command.clone());
    let source = Source::new(&text).ok_or_else(|| Failed::Usage("the command is not UTF-8".to_owned()))?;
    let command = input::command(operation, &source, manifest, region).map_err(|error| told(&error))?;
    let (requests, fidelity) = planned(&*provider, manifest, &command).map_err(|error| told(&error))?;

    let base = arguments.base_url.as_deref().or(manifest.base_url).unwrap_or("https://app.example.com/payment");
    let endpoint = Endpoint::new(base);
    let Some(scheme) = manifest.auth.first() else { return Ok(()) };
    let rendered: Result<Vec<RenderedRequest>, Error> = requests
        .iter()
        .enumerate()
        .map(|(place, request)| {
            let mut rendered = render::request(request, &endpoint, scheme)?;
            rendered.depends_on_previous = place > 0;
            Ok(rendered)
        })
        .collect();
    let rendered = rendered.map_err(|error| told(&error))?;
    if arguments.json {
        return terminal::print_json(&Explanation {
            object: "explanation",
            operation: operation.name(),
            provider: Origin { provider: manifest.name, connection: "-" },
            requests: rendered,
            fidelity: FidelityView(&fidelity),
        });
    }
    terminal::print(&as_text(&rendered, &fidelity))
}

fn told(error: &Error) -> Failed {
    let mut told = error.to_string();
    if error.fields.len() > 1 {
        for field in &error.fields {
            told.push_str(&format!("\n  {}: {}", field.pointer, field.detail));
        }
    }
    Failed::Failed(told)
}

fn as_text(requests: &[RenderedRequest], fidelity: &Fidelity) -> String {
    let texts: Vec<String> = requests.iter().map(RenderedRequest::http_text).collect();
    let mut text = texts.join("\nand then, depending on the answer:\n\n");
    if !fidelity.is_empty() {
        text.push_str("\nfields:\n");
    }
    for entry in fidelity.entries() {
        text.push_str(&format!("  {} {}: {}\n", entry.field.name(), entry.outcome.as_str(), entry.rule));
    }
    text
}

type Planned = (Vec<Request>, Fidelity);

fn requests<T>(plan: Plan<T>) -> Planned {
    (std::iter::once(plan.request).chain(plan.later).collect(), plan.fidelity)
}

fn planned(provider: &dyn CustomerProvider, manifest: &Manifest, command: &Command) -> Result<Planned, Error> {
    Ok(match command {
        Command::Create(create) => create_requests(provider, manifest, create)?,
        Command::Retrieve(id) => requests(provider.plan_retrieve(id)?),
        Command::RetrieveOrCreate(id) => requests(provider.plan_retrieve_or_create(id)?),
        Command::Find(lookup) => requests(lists::first_lookup(provider, lookup)?),
        Command::Update(update) => requests(prepare::update(provider, update)?),
        Command::Delete(id) => requests(provider.plan_delete(id)?),
        Command::List(list) => {
            let mark = lists::Mark { position: list.position.clone(), skip: 0 };
            let query = lists::ListQuery { limit: list.limit, mark, filter: list.filter.clone() };
            requests(lists::first_plan(provider, &query)?)
        }
        Command::Block(id) => requests(provider.plan_block(id)?),
        Command::Unblock(id) => requests(provider.plan_unblock(id)?),
        Command::PaymentMethods(asked) => requests(provider.plan_payment_methods(asked)?),
        Command::Payments(asked) => requests(provider.plan_payments(asked)?),
        Command::OverdueInvoices(id) => requests(provider.plan_overdue_invoices(id)?),
    })
}

/// A distinct create looks first where the provider does not.
fn create_requests(
    provider: &dyn CustomerProvider,
    manifest: &Manifest,
    create: &CreateCustomer,
) -> Result<Planned, Error> {
    let (create_requests, fidelity) = requests(prepare::create(provider, create)?);
    let Some(lookup) = lists::distinct_lookup(manifest, create)? else { return Ok((create_requests, fidelity)) };
    let (mut all, _) = requests(lists::first_lookup(provider, &lookup)?);
    all.extend(create_requests);
    Ok((all, fidelity))
}
