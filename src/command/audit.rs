//! `passerelle audit`: prints or verifies the audit records of the store. Every write has one record of its intent and
//! one of its outcome, and each record contains the hash of the record before it.

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{CommandError, Configuration, operations::open, serve::runtime, terminal};
use crate::store::AuditRecord;

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
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Check that no record is missing or changed, from the first to the last.
    Verify,
}

pub(super) fn run(configuration: &Configuration, arguments: &Arguments) -> Result<(), CommandError> {
    let failed = |error: crate::store::StoreError| CommandError::Failed(error.to_string());
    runtime()?.block_on(async {
        let store = open(configuration)?;
        match arguments.command {
            Some(Audit::Verify) => match store.audit().verify().await.map_err(failed)? {
                Ok(head) => terminal::print(&format!("{} records, none missing, none changed", head.sequence)),
                Err(broken) => {
                    Err(CommandError::Failed(format!("{broken}; restore the store from a backup and compare")))
                }
            },
            None => {
                let records = store.audit().records(arguments.after, arguments.limit).await.map_err(failed)?;
                // One JSON object per line, for other programs.
                let lines: Vec<String> = records.iter().map(|record| line(record).to_string()).collect();
                terminal::print(&lines.join("\n"))
            }
        }
    })
}

fn line(record: &AuditRecord) -> Value {
    json!({
        "sequence": record.sequence,
        "at": record.at.to_string(),
        "event": record.event.as_str(),
        "merchant": record.merchant,
        "connection": record.connection,
        "operation": record.operation,
        "operation_id": record.id.to_string(),
        "attempt": record.attempt,
        "request_hash": HEXLOWER.encode(&record.request_hash),
        "hash": HEXLOWER.encode(&record.hash),
    })
}
