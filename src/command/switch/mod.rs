//! `passerelle switch`: switches a merchant from one provider to another. Every command is a client of the operator's API
//! of a gateway that is being served; the gateway does the work, and goes on when the command is interrupted.

mod ask;
pub(super) mod client;
mod download;
mod follow;
mod rehearse;
mod show;
mod start;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{CommandError, Configuration, serve::runtime, terminal};
use crate::{
    operator::requests::{ActiveBody, RateBody},
    switch::view::{SwitchList, SwitchView},
};
use client::Client;
use follow::{Goal, follow};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done and nothing open; 1 refused, failed, or ended with something that needs a person; 2 wrong usage.\n\n\
    The usual order:\n  passerelle switch plan acme --to new --out plan/\n  passerelle switch run acme\n  passerelle switch verify acme\n  \
    passerelle switch cutover acme\n  passerelle switch complete acme\n\n`passerelle switch status acme` always says what comes next."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Switch,
}

/// Which gateway is called, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// The operator's listener of the gateway, such as `http://127.0.0.1:9464`, instead of `operator.listen` of the
    /// configuration. The key is then in PASSERELLE_OPERATOR_KEY.
    #[arg(long, value_name = "URL", env = "PASSERELLE_OPERATOR", global = true)]
    pub(super) operator: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
enum Switch {
    /// Read both sides, compare them, and forecast what becomes of each field. Writes nothing to a provider.
    Plan(start::Plan),
    /// Copy the customers. From then on, changes reach both sides.
    Run(start::Run),
    /// Show how far a switch is, what it waits for, and the next command.
    Status {
        /// The merchant.
        merchant: String,
        /// Show it again whenever it changes, until it ends or is interrupted.
        #[arg(long)]
        watch: bool,
    },
    /// List the switches of all merchants, the newest first.
    List,
    /// End sending. `run` goes on.
    Stop {
        /// The merchant.
        merchant: String,
    },
    /// Steer: `rate=60/min`, `rate=none`, or after a restored backup `active=CONNECTION`.
    Set {
        /// The merchant.
        merchant: String,
        /// What to set.
        #[arg(value_parser = setting)]
        setting: Setting,
    },
    /// Take the decisions of an edited `decisions.csv`. Only ids and decisions are read.
    Decide {
        /// The merchant.
        merchant: String,
        /// The file.
        file: PathBuf,
    },
    /// Compare both sides, field by field, with what was promised.
    Verify(start::Verify),
    /// Make the target the active connection.
    Cutover(ask::Conditions),
    /// Make the source the active connection again.
    Rollback(ask::Conditions),
    /// End copying back. This cannot be undone.
    Complete(ask::Conditions),
    /// End the switch before its cutover.
    Abandon {
        #[command(flatten)]
        conditions: ask::Conditions,
        /// Delete what the switch created at the target.
        #[arg(long)]
        undo: bool,
    },
    /// Write the ids of every customer, both ways.
    Map {
        #[command(flatten)]
        file: File,
        /// `stripe`: Stripe's two columns.
        #[arg(long)]
        format: Option<Format>,
    },
    /// Write what became of every record.
    Results(File),
    /// Write the records that need a person, to mend and to feed back with `decide` or `run --only`.
    Errors(File),
    /// Write the report: one page for people.
    Report {
        #[command(flatten)]
        file: File,
        /// Show the values of the customers of a plan's sample. Without it they are masked.
        #[arg(long)]
        show_values: bool,
    },
    /// Play a whole switch between two twins in this process, while a client reads and writes. Needs no gateway.
    Rehearse(rehearse::Rehearse),
}

/// Where a file is written.
#[derive(Debug, Args)]
struct File {
    /// The merchant.
    merchant: String,
    /// The file to write. It must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Stripe,
}

#[derive(Debug, Clone)]
enum Setting {
    Rate(Option<String>),
    Active(String),
}

fn setting(text: &str) -> Result<Setting, &'static str> {
    match text.split_once('=') {
        Some(("rate", "none")) => Ok(Setting::Rate(None)),
        Some(("rate", rate)) if !rate.is_empty() => Ok(Setting::Rate(Some(rate.to_owned()))),
        Some(("active", connection)) if !connection.is_empty() => Ok(Setting::Active(connection.to_owned())),
        _ => Err("write rate=60/min, rate=none or active=CONNECTION"),
    }
}

pub(super) fn run(configuration: &Configuration, arguments: Arguments) -> Result<(), CommandError> {
    let Arguments { target, command } = arguments;
    if let Switch::Rehearse(arguments) = command {
        return rehearse::run(arguments, target.json);
    }
    let client = Client::new(configuration, &target)?;
    runtime()?.block_on(execute(&client, target.json, command))
}

async fn execute(client: &Client, json: bool, command: Switch) -> Result<(), CommandError> {
    match command {
        Switch::Plan(plan) => start::plan(client, json, plan).await,
        Switch::Run(run) => start::run(client, json, run).await,
        Switch::Verify(verify) => start::verify(client, json, verify).await,
        Switch::Status { merchant, watch } => status(client, json, &merchant, watch).await,
        Switch::List => list(client, json).await,
        Switch::Stop { merchant } => {
            let switch = client.of_merchant(&merchant).await?;
            let stopped: SwitchView = client.post(&format!("/v1/switches/{}/stop", switch.id), &()).await?;
            show::print(&stopped, json)
        }
        Switch::Set { merchant, setting } => set(client, json, &merchant, setting).await,
        Switch::Decide { merchant, file } => start::decide(client, json, &merchant, &file).await,
        Switch::Cutover(conditions) => ask::cutover(client, json, conditions).await,
        Switch::Rollback(conditions) => ask::rollback(client, json, conditions).await,
        Switch::Complete(conditions) => ask::complete(client, json, conditions).await,
        Switch::Abandon { conditions, undo } => ask::abandon(client, json, conditions, undo).await,
        Switch::Map { file, format } => {
            let format = format.map_or("", |Format::Stripe| "?format=stripe");
            write(client, json, file, &format!("map.csv{format}")).await
        }
        Switch::Results(file) => write(client, json, file, "results.csv").await,
        Switch::Errors(file) => write(client, json, file, "errors.csv").await,
        Switch::Report { file, show_values } => {
            let values = if show_values { "?show_values=true" } else { "" };
            write(client, json, file, &format!("report.html{values}")).await
        }
        // It needs no client, so `run` has executed it.
        Switch::Rehearse(_) => Ok(()),
    }
}

async fn status(client: &Client, json: bool, merchant: &str, watch: bool) -> Result<(), CommandError> {
    let switch = client.of_merchant(merchant).await?;
    if !watch {
        return show::print(&switch, json);
    }
    follow(client, switch, Goal::Ended { shown: !json }).await.and_then(|switch| show::print(&switch, json))
}

async fn list(client: &Client, json: bool) -> Result<(), CommandError> {
    let (mut all, mut cursor): (Vec<SwitchView>, Option<String>) = (Vec::new(), None);
    loop {
        let after = cursor.map_or(String::new(), |cursor| format!("&cursor={}", client::encoded(&cursor)));
        let page: SwitchList = client.get(&format!("/v1/switches?limit=100{after}")).await?;
        all.extend(page.data);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json { terminal::print_json(&all) } else { terminal::print(&show::list(&all)) }
}

async fn set(client: &Client, json: bool, merchant: &str, setting: Setting) -> Result<(), CommandError> {
    match setting {
        Setting::Rate(limit) => {
            let switch = client.of_merchant(merchant).await?;
            let path = format!("/v1/switches/{}/rate", switch.id);
            let switch: SwitchView = client.post(&path, &RateBody { limit }).await?;
            show::print(&switch, json)
        }
        Setting::Active(connection) => {
            let path = format!("/v1/merchants/{}/active", client::encoded(merchant));
            let active: serde_json::Value = client.put(&path, &ActiveBody { connection }).await?;
            if json {
                return terminal::print_json(&active);
            }
            let [connection, epoch] = ["connection", "epoch"].map(|name| active[name].to_string());
            let connection = connection.trim_matches('"').to_owned();
            terminal::print(&format!(
                "{connection} is the active connection of {merchant} now, in epoch {epoch}. The merchant's requests are \
                 served again within a second.\n\nnext: passerelle switch status {merchant}"
            ))
        }
    }
}

async fn write(client: &Client, json: bool, file: File, name: &str) -> Result<(), CommandError> {
    let switch = client.of_merchant(&file.merchant).await?;
    let written = download::download(client, &format!("/v1/switches/{}/{name}", switch.id), &file.out).await?;
    match json {
        true => terminal::print_json(&serde_json::json!({ "file": file.out, "bytes": written })),
        false => terminal::print(&format!("{} was written: {written} bytes, readable by you only", file.out.display())),
    }
}
