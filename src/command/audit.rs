//! `passerelle audit`: prints or verifies the audit records of the store. Every write has one record of its intent and
//! one of its outcome, and each record contains the hash of the record before it.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::{
    CommandError, Configuration,
    operations::open,
    serve::runtime,
    switch::{Target, client::Client},
    terminal,
};
use crate::{operator::AuditView, store::StoreError};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Audit>,
    /// Print only the records after this sequence number.
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Print at most this many records.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Check that no record is missing or changed, from the first to the last.
    Verify,
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    runtime()?.block_on(async {
        let client = Client::if_served(configuration, &arguments.target).await?;
        match (&arguments.command, client) {
            (Some(Audit::Verify), client) => verify(configuration, client).await,
            (None, Some(client)) => print(&of_gateway(&client, arguments).await?),
            (None, None) => {
                let records = open(configuration)?.audit().records(arguments.after, arguments.limit).await;
                let views: Vec<AuditView> = records.map_err(failed)?.iter().map(AuditView::from).collect();
                print(&views)
            }
        }
    })
}

fn failed(error: StoreError) -> CommandError {
    CommandError::Failed(error.to_string())
}

/// Prints one JSON object a line, for other programs.
fn print(records: &[impl Serialize]) -> Result<(), CommandError> {
    let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
    terminal::print(&lines.map_err(|error| CommandError::Failed(error.to_string()))?.join("\n"))
}

async fn of_gateway(client: &Client, arguments: &Arguments) -> Result<Vec<Value>, CommandError> {
    const MOST: usize = 100;
    let (mut records, mut after) = (Vec::new(), arguments.after.to_string());
    while records.len() < arguments.limit {
        let wanted = (arguments.limit - records.len()).min(MOST);
        let mut page: Value = client.get(&format!("/v1/audit?limit={wanted}&cursor={after}")).await?;
        if let Some(found) = page["data"].as_array_mut() {
            records.append(found);
        }
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    Ok(records)
}

async fn verify(configuration: &Configuration, client: Option<Client>) -> Result<(), CommandError> {
    let (count, broken) = match client {
        Some(client) => {
            let found: Value = client.get("/v1/audit/verification").await?;
            (found["records"].as_u64().unwrap_or_default(), found["broken"].as_str().map(str::to_owned))
        }
        None => match open(configuration)?.audit().verify().await.map_err(failed)? {
            Ok(head) => (head.sequence, None),
            Err(broken) => (0, Some(broken.to_string())),
        },
    };
    match broken {
        None => terminal::print(&format!("{count} records, none missing, none changed")),
        Some(broken) => Err(CommandError::Failed(format!("{broken}; restore the store from a backup and compare"))),
    }
}
