//! `passerelle operations`: lists the writes in the store with their outcomes, above all those whose outcome is not known.
//! It only reads, and can run beside a gateway that uses the store.

use clap::Args;

use super::{CommandError, Configuration, providers::table, serve::runtime, terminal};
use crate::{
    config,
    http::operations::OperationList,
    store::{Inspection, OperationId, Settings, State},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only writes with this outcome: `sending`, `done`, `failed` or `unknown`.
    #[arg(long, value_parser = outcome)]
    outcome: Option<State>,
    /// Only writes of this merchant.
    #[arg(long)]
    merchant: Option<String>,
    /// Only writes after this one in the list; the output names it when there are more.
    #[arg(long, value_name = "ID", value_parser = operation)]
    after: Option<OperationId>,
    /// List at most this many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn outcome(word: &str) -> Result<State, &'static str> {
    State::parse(word).ok_or("the outcome must be sending, done, failed or unknown")
}

fn operation(text: &str) -> Result<OperationId, String> {
    text.parse().map_err(|error: crate::store::NoOperationId| error.to_string())
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let records = runtime()?.block_on(async {
        let store = open(configuration)?;
        let Arguments { outcome, merchant, after, limit, .. } = arguments;
        let listed = store.operations(merchant.as_deref(), *outcome, *after, limit.saturating_add(1)).await;
        listed.map_err(|error| CommandError::Failed(error.to_string()))
    })?;
    if arguments.json {
        return terminal::print_json(&OperationList::of(records, arguments.limit));
    }
    if records.is_empty() {
        return terminal::print("no such writes");
    }
    let mut table = table();
    table.set_header(["id", "merchant", "connection", "operation", "outcome", "customer", "created at"]);
    for record in records.iter().take(arguments.limit) {
        let is_held = record.state == State::Unknown && record.reconcile_after.is_none();
        table.add_row([
            record.id.to_string(),
            record.merchant.clone(),
            record.connection.clone(),
            record.operation.clone(),
            if is_held { "unknown, held".to_owned() } else { record.state.as_str().to_owned() },
            record.customer.clone().unwrap_or_default(),
            record.created_at.to_string(),
        ]);
    }
    let mut text = table.to_string();
    if records.len() > arguments.limit
        && let Some(last) = records.get(arguments.limit.saturating_sub(1))
    {
        text.push_str(&format!("\n\nthere are more; show them with --after {}", last.id));
    }
    terminal::print(&text)
}

/// Opens the store of a configuration for reading.
pub(super) fn open(configuration: &Configuration) -> Result<Inspection, CommandError> {
    let loaded = config::load(configuration.config.as_deref())?;
    let failed = |error: crate::store::StoreError| CommandError::Failed(error.to_string());
    let settings = Settings::from(loaded.config.store.as_ref()).map_err(failed)?;
    Inspection::open(&settings).map_err(failed)
}
