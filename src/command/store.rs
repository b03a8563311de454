//! `passerelle store`: makes a backup of the store, also while the gateway serves, and accepts a restored one. Both work on
//! the file itself, not through the operator's API: a restored store is accepted before a gateway serves it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{CommandError, Configuration, serve::runtime, terminal};
use crate::{
    config,
    store::{AcceptedRestore, Backup, Newest, Older, Settings, Store, StoreError},
};

/// The size of a page of SQLite, for progress.
const PAGE: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: StoreCommand,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Copy an SQLite store into one file, check the copy, and describe it. The gateway may serve meanwhile.
    Backup {
        /// The file to write. It must not exist. Only its owner can read it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Accept a restored store that lacks writes which were made here. Stop the gateway before.
    AcceptRestore {
        /// Accept it. Without this, the command shows what is lost, and changes nothing.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let loaded = config::load(configuration.file().as_deref())?;
    let settings = Settings::of(&loaded).map_err(failed)?;
    match &arguments.command {
        StoreCommand::Backup { out } => backup(&settings, out, arguments.json),
        StoreCommand::AcceptRestore { yes: false } => show_older(&settings, arguments.json),
        StoreCommand::AcceptRestore { yes: true } => accept(&settings, arguments.json),
    }
}

fn failed(error: StoreError) -> CommandError {
    CommandError::Failed(error.to_string())
}

fn backup(settings: &Settings, out: &Path, json: bool) -> Result<(), CommandError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let runtime = runtime()?;
    let flag = Arc::clone(&interrupted);
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            flag.store(true, Ordering::Relaxed);
        }
    });
    let mut progress = Progress::new();
    let made = Backup::make(settings, out, |copied, all| {
        progress.show(copied, all);
        !interrupted.load(Ordering::Relaxed)
    });
    progress.end();
    let Some(backup) = made.map_err(failed)? else {
        return Err(CommandError::Open(format!("interrupted; {} was not made", out.display())));
    };
    let Backup { bytes, copied } = backup;
    if json {
        return terminal::print_json(&json!({
            "file": out,
            "bytes": bytes,
            "operations": copied.operations,
            "newest_operation": copied.newest_operation.map(|(id, at)| json!({ "id": id, "created_at": time(at).to_string() })),
            "audit": record(copied.newest_record.as_ref()),
        }));
    }
    let newest = copied.newest_operation.map_or("none".to_owned(), |(id, at)| format!("{id}, created {}", time(at)));
    let audit = copied.newest_record.map_or("no record".to_owned(), |record| {
        format!("record {} of {}, hash {}", record.head.sequence, record.time(), HEXLOWER.encode(&record.head.hash))
    });
    terminal::print(&format!(
        "{} is complete and was checked; only its owner can read it\n\nsize              {bytes} bytes\noperations        {}\nnewest \
         operation  {newest}\naudit             {audit}\n\nThe key of the store is not in it. Keep the key, in another place.",
        out.display(),
        copied.operations,
    ))
}

/// Shows what a restored store lacks. That is no success: something is to be decided.
fn show_older(settings: &Settings, json: bool) -> Result<(), CommandError> {
    let Some(older) = Store::older(settings).map_err(failed)? else { return nothing_to_accept(json) };
    if json {
        terminal::print_json(&described(&older, false, &[]))?;
        return Err(CommandError::Open(String::new()));
    }
    terminal::print(&format!(
        "the store was not changed, and no gateway opens it: {}\n\n{}",
        older.explanation(),
        risk(&older)
    ))?;
    Err(CommandError::Open(
        "\nRestore a newer copy if there is one. Otherwise follow docs/operating.md, \"Backup and restore\", and then accept \
         this one:\n\n  passerelle store accept-restore --yes"
            .to_owned(),
    ))
}

fn accept(settings: &Settings, json: bool) -> Result<(), CommandError> {
    let accepted = runtime()?.block_on(Store::accept_restore(settings)).map_err(failed)?;
    let Some(AcceptedRestore { older, stopped }) = accepted else { return nothing_to_accept(json) };
    let merchants: Vec<&str> = stopped.iter().map(|switch| switch.merchant.as_str()).collect();
    if json {
        return terminal::print_json(&described(&older, true, &merchants));
    }
    let mut text = format!(
        "accepted, and noted in the audit: {}\n\n{}\n\nThe gateway can be started now.",
        older.explanation(),
        risk(&older)
    );
    if !merchants.is_empty() {
        text.push_str(&format!(
            "\n\nThe open switches of these merchants are stopped, because customers may be copied already that the store \
             does not know of: {}. docs/operating.md says how they go on.",
            merchants.join(", ")
        ));
    }
    terminal::print(&text)
}

fn nothing_to_accept(json: bool) -> Result<(), CommandError> {
    if json {
        return terminal::print_json(
            &json!({ "accepted": false, "noted": null, "found": null, "stopped_switches": [] }),
        );
    }
    terminal::print("nothing is to be accepted: the store has the newest audit record that is known here")
}

/// What is lost, in words.
fn risk(older: &Older) -> String {
    let missing = match older.missing() {
        None => "An unknown number of audit records is missing".to_owned(),
        Some(1) => "1 audit record is missing".to_owned(),
        Some(missing) => format!("{missing} audit records are missing"),
    };
    let since = older.found.map_or("the first write".to_owned(), |found| found.time().to_string());
    format!(
        "{missing}. Of the writes from {since} to {}, the store does not know:\n  \
         - their idempotency keys: a client that repeats one causes a second effect\n  \
         - their outcomes, and the ids and contacts of customers that were created\n  \
         - customers that were deleted, their erasures at other connections, and the steps of switches",
        older.noted.time()
    )
}

fn described(older: &Older, accepted: bool, stopped: &[&str]) -> Value {
    json!({
        "accepted": accepted,
        "noted": record(Some(&older.noted)),
        "found": record(older.found.as_ref()),
        "stopped_switches": stopped,
    })
}

fn record(record: Option<&Newest>) -> Value {
    record.map_or(Value::Null, |record| {
        json!({
            "sequence": record.head.sequence,
            "at": record.time().to_string(),
            "hash": HEXLOWER.encode(&record.head.hash),
        })
    })
}

fn time(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or_default()
}

/// A bar on a terminal; elsewhere a line every ten seconds.
struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    fn new() -> Self {
        let bar = terminal::bar("copying [{bar:30}] {bytes}/{total_bytes} {msg}");
        Self { bar, last_line: Instant::now() }
    }

    fn show(&mut self, copied: u64, all: u64) {
        let (copied, all) = (copied * PAGE, all * PAGE);
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(copied);
            if copied == all {
                bar.set_message("checking");
            }
        } else if self.last_line.elapsed() >= terminal::LINE_INTERVAL || (copied == all && all > 1 << 30) {
            self.last_line = Instant::now();
            let checking = if copied == all { "; checking the copy" } else { "" };
            terminal::print_notice(&format!("copied {} of {} MiB{checking}", copied >> 20, all >> 20));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
