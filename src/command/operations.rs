//! `passerelle operations`: what became of writes, above all of those whose outcome nobody knows yet.

use clap::Args;

use super::{Configuration, Failed, providers::table, serve::runtime, terminal};
use crate::{
    config,
    http::operations::OperationList,
    store::{Inspection, OperationId, Settings, State},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only `sending`, `done`, `failed` or `unknown` ones.
    #[arg(long, value_parser = outcome)]
    outcome: Option<State>,
    /// Only those of one merchant.
    #[arg(long)]
    merchant: Option<String>,
    /// Go on behind this operation.
    #[arg(long, value_name = "ID", value_parser = operation)]
    after: Option<OperationId>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn outcome(word: &str) -> Result<State, &'static str> {
    State::parse(word).ok_or("an outcome is sending, done, failed or unknown")
}

fn operation(text: &str) -> Result<OperationId, String> {
    text.parse().map_err(|error: crate::store::NoOperationId| error.to_string())
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), Failed> {
    let records = runtime()?.block_on(async {
        let store = open(configuration)?;
        let Arguments { outcome, merchant, after, limit, .. } = arguments;
        let found = store.operations(merchant.as_deref(), *outcome, *after, limit.saturating_add(1)).await;
        found.map_err(|error| Failed::Failed(error.to_string()))
    })?;
    if arguments.json {
        return terminal::print_json(&OperationList::of(records, arguments.limit));
    }
    if records.is_empty() {
        return terminal::print("there are no such writes");
    }
    let mut table = table();
    table.set_header(["operation", "merchant", "connection", "what", "outcome", "customer", "at"]);
    for record in records.iter().take(arguments.limit) {
        let held = record.state == State::Unknown && record.reconcile_after.is_none();
        table.add_row([
            record.id.to_string(),
            record.merchant.clone(),
            record.connection.clone(),
            record.operation.clone(),
            if held { "unknown, held".to_owned() } else { record.state.as_str().to_owned() },
            record.customer.clone().unwrap_or_default(),
            record.created_at.to_string(),
        ]);
    }
    let mut text = table.to_string();
    if records.len() > arguments.limit
        && let Some(last) = records.get(arguments.limit.saturating_sub(1))
    {
        text.push_str(&format!("\n\nthere are more: --after {}", last.id));
    }
    terminal::print(&text)
}

/// The store of a configuration, to look at.
pub(super) fn open(configuration: &Configuration) -> Result<Inspection, Failed> {
    let loaded = config::load(configuration.config.as_deref())?;
    let failed = |error: crate::store::StoreError| Failed::Failed(error.to_string());
    let settings = Settings::from(loaded.config.store.as_ref()).map_err(failed)?;
    Inspection::open(&settings).map_err(failed)
}
