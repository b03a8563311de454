//! `passerelle explain`: a command's exact requests, and what becomes of its fields. Opens no socket.

use bytes::Bytes;
use clap::{Args, builder::PossibleValuesParser};
use passerelle_providers::{
    Settings,
    api::{
        input,
        view::{FidelityView, Origin},
    },
    engine::{self, Conditions},
    kit::{
        Endpoint,
        render::{self, RenderedRequest},
    },
    model::{Error, Fidelity, LossPolicy, Operation},
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
    manifest.require(operation).map_err(|error| Failed::Failed(error.to_string()))?;
    let text = Bytes::from(arguments.command.clone());
    let source = Source::new(&text).ok_or_else(|| Failed::Usage("the command is not UTF-8".to_owned()))?;
    let command = input::command(operation, &source, manifest, region).map_err(|error| told(&error))?;
    let conditions = Conditions::canonical(LossPolicy::Drop);
    let planned = engine::plan(&provider, &command, conditions).map_err(|error| told(&error))?;
    let fidelity = planned.fidelity();

    let base = arguments.base_url.as_deref().or(manifest.base_url).unwrap_or("https://app.example.com/payment");
    let endpoint = Endpoint::new(base);
    let Some(scheme) = manifest.auth.first() else { return Ok(()) };
    let rendered = render::requests(&planned.requests(), &endpoint, scheme).map_err(|error| told(&error))?;
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
