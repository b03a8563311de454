//! `passerelle explain`: prints the exact requests of a command and what happens to its fields. It plans the command
//! with the same code as the gateway, and opens no socket.

use std::{
    fs::File,
    io::{self, Read},
};

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
    model::{Error, Fidelity, Kind, LossPolicy, Operation},
    text::Source,
    vendor,
};

use super::{
    CommandError,
    providers::{region, unknown, unknown_generation},
    terminal,
};
use crate::http::answer::Explanation;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The provider.
    #[arg(long, short)]
    provider: String,
    /// The generation of the provider's API, if it has several.
    #[arg(long)]
    generation: Option<String>,
    /// The merchant's region, such as SN; it completes national phone numbers.
    #[arg(long)]
    region: Option<String>,
    /// The base URL, instead of the provider's documented one.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// What to do with fields that the provider cannot store: `reject` refuses the command, as a gateway does by default; `carry` and
    /// `drop` show the request without them.
    #[arg(long, value_name = "POLICY", default_value = "reject", value_parser = policy)]
    loss: LossPolicy,
    /// Print JSON instead of HTTP text.
    #[arg(long)]
    json: bool,
    /// The operation.
    #[arg(value_parser = PossibleValuesParser::new(Operation::ALL.map(Operation::name)))]
    operation: String,
    /// The operation's parameters and body in one JSON object, such as '{"id":"…","email":"awa@example.com"}'. `-` reads it from
    /// stdin, and `@FILE` from a file.
    #[arg(default_value = "{}")]
    command: String,
}

/// The largest command that is read, in bytes: the default of the largest body.
const MOST: u64 = 1 << 20;

fn policy(word: &str) -> Result<LossPolicy, &'static str> {
    LossPolicy::parse(word).ok_or("the policy must be reject, carry or drop")
}

/// The text of the command: the argument itself, or what it names.
fn text_of(argument: &str) -> Result<Vec<u8>, CommandError> {
    let (name, source): (_, io::Result<Box<dyn Read>>) = match argument.strip_prefix('@') {
        Some(file) => (file, File::open(file).map(|file| Box::new(file) as Box<dyn Read>)),
        None if argument == "-" => ("stdin", Ok(Box::new(io::stdin().lock()))),
        None => return Ok(argument.as_bytes().to_owned()),
    };
    let mut text = Vec::new();
    let read = source.and_then(|source| source.take(MOST + 1).read_to_end(&mut text));
    read.map_err(|error| CommandError::Failed(format!("{name} cannot be read: {error}")))?;
    match text.len() as u64 > MOST {
        true => Err(CommandError::Failed(format!("{name} has more than {MOST} bytes"))),
        false => Ok(text),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let vendor = vendor(&arguments.provider).ok_or_else(|| unknown(&arguments.provider))?;
    let generation = arguments.generation.as_deref();
    let manifest = vendor.manifest(generation).ok_or_else(|| unknown_generation(vendor, generation))?;
    let region = region(arguments.region.as_deref())?;
    let provider = (vendor.connect)(Settings { generation: manifest.generation, region, livemode: true });
    let operation = Operation::parse(&arguments.operation)
        .ok_or_else(|| CommandError::Usage(format!("`{}` is not an operation", arguments.operation)))?;
    manifest.require(operation).map_err(|error| CommandError::Failed(error.to_string()))?;
    let text = Bytes::from(text_of(&arguments.command)?);
    let source = Source::new(&text).ok_or_else(|| CommandError::Usage("the command is not UTF-8".to_owned()))?;
    let command = input::command(operation, &source, manifest, region).map_err(|error| failed(&error))?;
    let conditions = Conditions::canonical(arguments.loss);
    let planned = engine::plan(&provider, &command, conditions).map_err(|error| failed(&error))?;
    let fidelity = planned.fidelity();

    let base = arguments.base_url.as_deref().or(manifest.base_url).unwrap_or("https://app.example.com/payment");
    let endpoint = Endpoint::new(base);
    let Some(scheme) = manifest.auth.first() else { return Ok(()) };
    let rendered = render::requests(&planned.requests(), &endpoint, scheme).map_err(|error| failed(&error))?;
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

fn failed(error: &Error) -> CommandError {
    let mut message = error.to_string();
    if error.kind == Kind::FieldsNotSupported {
        message.push_str("; leave them out, or see the request without them with --loss drop");
    }
    let fields = error.fields.iter().filter(|_| error.fields.len() > 1);
    let of_fields = fields.map(|field| format!("{}: {}", field.pointer, field.detail));
    CommandError::Mistakes(std::iter::once(message).chain(of_fields).collect())
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
