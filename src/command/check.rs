//! `passerelle check`: reports the mistakes in a configuration before an operator serves it. With `--probe` it also calls
//! the provider of every connection once.

use std::time::Duration;

use clap::Args;
use passerelle_providers::{
    engine::Conditions,
    model::{Command, CustomerFilter, Kind, ListCustomers, LossPolicy, Operation, Position},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{CommandError, Configuration, serve::runtime, terminal};
use crate::{
    config::{self, ConfigError, Mistake},
    execution::{self, ProviderTransport},
    merchant::{Connection, Gateway},
    upstream::Shared,
};

/// How long the probe of one connection may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also call the provider of every connection once: list one customer.
    #[arg(long)]
    probe: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The result for a program.
#[derive(Debug, Default, Serialize)]
struct Report<'a> {
    file: &'a str,
    merchants: usize,
    connections: usize,
    mistakes: Vec<Mistake<'a>>,
    warnings: Vec<Mistake<'a>>,
    /// Empty without `--probe`.
    probes: Vec<Probe<'a>>,
}

/// What became of the call to one provider.
#[derive(Debug, Serialize)]
struct Probe<'a> {
    merchant: &'a str,
    connection: &'a str,
    provider: &'static str,
    /// `None`: that of a twin.
    base_url: Option<&'a str>,
    /// `None`: not called.
    ok: Option<bool>,
    message: String,
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let file = configuration.file();
    let mut read = config::read(file.as_deref())?;
    if let Some(loaded) = &mut read.rest {
        // Each probe says what is wrong with its connection, however many others to the same host fail.
        loaded.config.outbound.breaker = loaded.config.outbound.breaker.without_limits();
    }
    // A connection can only be built inside a runtime, although nothing is sent here.
    let runtime = runtime()?;
    let entered = runtime.enter();
    let resolved = read.rest.as_ref().map(|rest| Gateway::resolve(rest, None, &Shared::default()));
    drop(entered);
    let name = read.name.clone();
    let (loaded, resolved) = match read.and(resolved.unwrap_or_else(|| Err(ConfigError { mistakes: Vec::new() }))) {
        Err(error) if arguments.json => {
            let mistakes = error.mistakes.iter().map(|mistake| Mistake::of(mistake, &name)).collect();
            terminal::print_json(&Report { file: &name, mistakes, ..Report::default() })?;
            return Err(CommandError::Open(String::new()));
        }
        checked => checked?,
    };
    let (merchants, connections) = (loaded.config.merchants.len(), resolved.gateway.connections().count());
    if !arguments.json {
        for warning in &resolved.warnings {
            terminal::print_warning(warning);
        }
        terminal::print(&format!(
            "{name}: {merchants} merchant{}, {connections} connection{}, no mistakes",
            if merchants == 1 { "" } else { "s" },
            if connections == 1 { "" } else { "s" },
        ))?;
    }
    let called = resolved.gateway.connections().filter(|_| arguments.probe);
    let mut probes = Vec::new();
    for (merchant, connection) in called {
        let configured =
            loaded.config.merchants.get(&merchant.name).and_then(|merchant| merchant.connections.get(&connection.name));
        let (ok, message) = match configured.is_some_and(|connection| connection.sandbox) {
            true => (None, "not called; its twin runs only while the gateway is served".to_owned()),
            false => match runtime.block_on(probe(connection)) {
                Ok(()) => (Some(true), "the provider answers and accepts the credentials".to_owned()),
                Err(message) => (Some(false), message),
            },
        };
        let (provider, base_url) = (connection.manifest.name, ok.map(|_| connection.upstream.endpoint().base_url()));
        if !arguments.json {
            let address = base_url.map_or(String::new(), |base_url| format!(", {base_url}"));
            terminal::print(&format!("{}.{} ({provider}{address}): {message}", merchant.name, connection.name))?;
        }
        probes.push(Probe { merchant: &merchant.name, connection: &connection.name, provider, base_url, ok, message });
    }
    let failed = probes.iter().filter(|probe| probe.ok == Some(false)).count();
    if arguments.json {
        let warnings = resolved.warnings.iter().map(|warning| Mistake::of(warning, &name)).collect();
        terminal::print_json(&Report { file: &name, merchants, connections, mistakes: Vec::new(), warnings, probes })?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(CommandError::Failed(format!("{failed} of {connections} connections failed"))),
    }
}

async fn probe(connection: &Connection) -> Result<(), String> {
    let list = ListCustomers { limit: 1, position: Position::START, filter: CustomerFilter::default() };
    let transport = ProviderTransport::new(connection, Operation::List, Instant::now() + PROBE_TIMEOUT);
    let listed = match execution::plan(connection, &Command::List(list), Conditions::canonical(LossPolicy::Reject)) {
        Ok(planned) => planned.execute(&transport).await,
        Err(error) => Err(error),
    };
    listed.map(drop).map_err(|error| {
        // A list names no customer.
        if error.kind == Kind::NotFound {
            return "the provider has no customers at this address (404); check `base_url`".to_owned();
        }
        let vendor_message = error.vendor.as_ref().and_then(|vendor| vendor.message.clone());
        match vendor_message.map(|message| connection.redacted(message)) {
            Some(message) => format!("{error} (\"{message}\")"),
            None => error.to_string(),
        }
    })
}
