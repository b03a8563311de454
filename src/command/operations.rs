//! `passerelle operations`: lists the writes in the store with their outcomes, above all those whose outcome is not known.
//! It asks the gateway where one serves the operator's API; otherwise it reads the store itself.

use clap::Args;
use serde_json::{Value, json};

use super::{
    CommandError, Configuration,
    serve::runtime,
    switch::{
        Target,
        client::{Client, encoded},
    },
    table::{shown, table},
    terminal,
};
use crate::{
    config::{self, nearest},
    operator::OperationOfMerchantList,
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
    #[arg(long, default_value_t = 50, value_parser = at_least_one)]
    limit: usize,
    #[command(flatten)]
    target: Target,
}

fn outcome(word: &str) -> Result<State, &'static str> {
    State::parse(word).ok_or("the outcome must be sending, done, failed or unknown")
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or("must be a number above zero")
}

fn operation(text: &str) -> Result<OperationId, String> {
    text.parse().map_err(|error: crate::store::NoOperationId| error.to_string())
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let list = runtime()?.block_on(async {
        match Client::if_served(configuration, &arguments.target).await? {
            Some(client) => of_gateway(&client, arguments).await,
            None => of_store(configuration, arguments).await,
        }
    })?;
    if arguments.target.json {
        return terminal::print_json(&list);
    }
    let writes = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if writes.is_empty() {
        known(configuration, arguments)?;
        return terminal::print("no such writes");
    }
    let mut table = table();
    table.set_header(["id", "merchant", "connection", "operation", "outcome", "customer", "created at"]);
    for write in writes {
        let text = |name: &str| write[name].as_str().unwrap_or_default().to_owned();
        let outcome = if write["held"] == true { "unknown, held".to_owned() } else { text("outcome") };
        table.add_row([
            text("id"),
            text("merchant"),
            text("connection"),
            text("operation"),
            outcome,
            text("customer"),
            text("created_at"),
        ]);
    }
    let mut text = shown(&table);
    if let Some(last) = list["next_cursor"].as_str() {
        text.push_str(&format!("\n\nthere are more; show them with --after {last}"));
    }
    terminal::print(&text)
}

/// Whether the merchant is configured whose writes were asked for. A mistyped name must not look like a merchant without writes. A
/// merchant that is not configured any more can have some. A gateway that is named by its URL has another configuration.
fn known(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let (Some(merchant), None) = (&arguments.merchant, &arguments.target.operator) else { return Ok(()) };
    let loaded = config::load(configuration.file().as_deref())?;
    let names: Vec<&str> = loaded.config.merchants.keys().map(String::as_str).collect();
    if names.contains(&merchant.as_str()) {
        return Ok(());
    }
    let hint = nearest(merchant, &names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    Err(CommandError::Failed(format!("{} has no merchant `{merchant}`, and no write is of one{hint}", loaded.name())))
}

/// The writes as the store has them.
async fn of_store(configuration: &Configuration, arguments: &Arguments) -> Result<Value, CommandError> {
    let store = open(configuration)?;
    let Arguments { outcome, merchant, after, limit, .. } = arguments;
    let listed = store.operations(merchant.as_deref(), *outcome, *after, limit.saturating_add(1)).await;
    let records = listed.map_err(|error| CommandError::Failed(error.to_string()))?;
    let list = OperationOfMerchantList::of(records, *limit);
    serde_json::to_value(list).map_err(|error| CommandError::Failed(error.to_string()))
}

/// The writes as a gateway tells them.
async fn of_gateway(client: &Client, arguments: &Arguments) -> Result<Value, CommandError> {
    const MOST: usize = 100;
    let Arguments { outcome, merchant, after, limit, .. } = arguments;
    let filters: String = [("outcome", outcome.map(State::as_str)), ("merchant", merchant.as_deref())]
        .iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", encoded((*value)?))))
        .collect();
    let (mut writes, mut cursor) = (Vec::new(), after.map(|id| id.to_string()));
    loop {
        let wanted = (limit - writes.len()).min(MOST);
        let from = cursor.as_ref().map_or(String::new(), |cursor| format!("&cursor={}", encoded(cursor)));
        let mut page: Value = client.get(&format!("/v1/operations?limit={wanted}{filters}{from}")).await?;
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if let Some(found) = page["data"].as_array_mut() {
            writes.append(found);
        }
        if cursor.is_none() || writes.len() >= *limit {
            break;
        }
    }
    Ok(json!({ "object": "list", "data": writes, "has_more": cursor.is_some(), "next_cursor": cursor }))
}

/// Opens the store of a configuration for reading.
pub(super) fn open(configuration: &Configuration) -> Result<Inspection, CommandError> {
    let loaded = config::load(configuration.file().as_deref())?;
    let failed = |error: crate::store::StoreError| CommandError::Failed(error.to_string());
    let settings = Settings::of(&loaded).map_err(failed)?;
    Inspection::open(&settings).map_err(failed)
}
