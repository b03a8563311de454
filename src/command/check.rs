//! `passerelle check`: reports the mistakes in a configuration before an operator serves it. With `--probe` it also calls
//! the provider of every connection once.

use std::time::Duration;

use clap::Args;
use passerelle_providers::{
    engine::Conditions,
    model::{Command, CustomerFilter, ListCustomers, LossPolicy, Operation, Position},
};
use tokio::time::Instant;

use super::{CommandError, Configuration, serve::runtime, terminal};
use crate::{
    config,
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
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let loaded = config::load(configuration.config.as_deref())?;
    // A connection can only be built inside a runtime, although nothing is sent here.
    let runtime = runtime()?;
    let entered = runtime.enter();
    let resolved = Gateway::resolve(&loaded, None, &Shared::default())?;
    drop(entered);
    for warning in &resolved.warnings {
        terminal::print_warning(warning);
    }
    let merchants = loaded.config.merchants.len();
    let connections = resolved.gateway.connections().count();
    terminal::print(&format!(
        "{}: {merchants} merchant{}, {} connection{}, no mistakes",
        loaded.name(),
        if merchants == 1 { "" } else { "s" },
        connections,
        if connections == 1 { "" } else { "s" },
    ))?;
    if !arguments.probe {
        return Ok(());
    }
    let mut failed = 0;
    for (merchant, connection) in resolved.gateway.connections() {
        let name = format!("{}.{} ({})", merchant.name, connection.name, connection.manifest.name);
        let configured =
            loaded.config.merchants.get(&merchant.name).and_then(|merchant| merchant.connections.get(&connection.name));
        if configured.is_some_and(|connection| connection.sandbox) {
            terminal::print(&format!("{name}: not called; its twin runs only while the gateway is served"))?;
            continue;
        }
        match runtime.block_on(probe(connection)) {
            Ok(()) => terminal::print(&format!("{name}: the provider answers and accepts the credentials"))?,
            Err(message) => {
                failed += 1;
                terminal::print(&format!("{name}: {message}"))?;
            }
        }
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
        let vendor_message = error.vendor.as_ref().and_then(|vendor| vendor.message.clone());
        match vendor_message.map(|message| connection.redacted(message)) {
            Some(message) => format!("{error} (\"{message}\")"),
            None => error.to_string(),
        }
    })
}
