//! `passerelle check`: what is wrong with a configuration, before it is served.

use std::time::Duration;

use clap::Args;
use passerelle_providers::{
    engine::Conditions,
    model::{Command, CustomerFilter, ListCustomers, LossPolicy, Operation, Position},
};
use tokio::time::Instant;

use super::{Configuration, Failed, serve::runtime, terminal};
use crate::{
    config,
    execution::{self, ProviderTransport},
    merchant::{Connection, Gateway},
};

/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Call every connection's provider once, by listing one customer.
    #[arg(long)]
    probe: bool,
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), Failed> {
    let loaded = config::load(configuration.config.as_deref())?;
    // Building a connection needs a runtime, though nothing is sent.
    let runtime = runtime()?;
    let entered = runtime.enter();
    let resolved = Gateway::resolve(&loaded, None)?;
    drop(entered);
    for warning in &resolved.warnings {
        terminal::warn(warning);
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
        let is_sandbox =
            loaded.config.merchants.get(&merchant.name).and_then(|typed| typed.connections.get(&connection.name));
        if is_sandbox.is_some_and(|typed| typed.sandbox) {
            terminal::print(&format!("{name}: a sandbox, which is only there while the gateway is served"))?;
            continue;
        }
        match runtime.block_on(probe(connection)) {
            Ok(()) => terminal::print(&format!("{name}: answers, and takes the credentials"))?,
            Err(told) => {
                failed += 1;
                terminal::print(&format!("{name}: {told}"))?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failed::Failed(format!("{failed} of {connections} connections failed"))),
    }
}

async fn probe(connection: &Connection) -> Result<(), String> {
    let list = ListCustomers { limit: 1, position: Position::START, filter: CustomerFilter::default() };
    let transport = ProviderTransport::new(connection, Operation::List, Instant::now() + PATIENCE);
    let listed = match execution::plan(connection, &Command::List(list), Conditions::canonical(LossPolicy::Reject)) {
        Ok(planned) => planned.execute(&transport).await,
        Err(error) => Err(error),
    };
    listed.map(drop).map_err(|error| {
        let said = error.vendor.as_ref().and_then(|vendor| vendor.message.as_deref());
        match said {
            Some(message) => format!("{error} (\"{message}\")"),
            None => error.to_string(),
        }
    })
}
