//! What an operator does about a restored store that lacks writes which were made here: looks at what it lacks, and accepts
//! that. Until then the store is not opened (`database/sqlite/newest`).

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{
    Store,
    audit::{CommandRecord, Event},
    database::sqlite::{self, Newest, Older, Reserved},
    error::StoreError,
    operation_id::OperationId,
    settings::{Location, Settings},
    switches::{Switch, SwitchChange},
};

/// The command in the audit.
const COMMAND: &str = "store.accept_restore";
/// The most switches that can be open. A merchant has one at most.
const MOST_SWITCHES: usize = 100_000;

/// A store that was accepted.
#[derive(Debug)]
pub struct AcceptedRestore {
    /// What it lacks.
    pub older: Older,
    /// The switches that were stopped. They would copy customers who are copied already.
    pub stopped: Vec<Switch>,
}

impl Store {
    /// What a restored store lacks. `None`: nothing that is known here. No gateway may be using it.
    pub fn older(settings: &Settings) -> Result<Option<Older>, StoreError> {
        reserve(settings)?.older()
    }

    /// Accepts a restored store although it lacks writes that were made here. The audit says so, and every open switch is
    /// stopped. `None`: it lacks nothing that is known here, and nothing was changed.
    pub async fn accept_restore(settings: &Settings) -> Result<Option<AcceptedRestore>, StoreError> {
        let mut reserved = reserve(settings)?;
        let Some(older) = reserved.older()? else { return Ok(None) };
        reserved.accept_older();
        let store = Self::open_file(settings, reserved).await?;
        let mut stopped = Vec::new();
        for switch in store.switches().open_ones(MOST_SWITCHES).await? {
            if switch.state.has_work() {
                let change = SwitchChange { is_stopped: Some(true), ..SwitchChange::default() };
                store.switches().change(&switch, false, change).await?;
                stopped.push(switch);
            }
        }
        // The record is the last change: it replaces the note that refuses the store.
        let detail = json!({
            "by": "command line",
            "from": place(Some(&older.noted)),
            "to": place(older.found.as_ref()),
            "stopped": stopped.iter().map(|switch| switch.id.as_str()).collect::<Vec<_>>(),
        });
        let record = CommandRecord {
            id: OperationId::now(),
            event: Event::Done,
            merchant: String::new(),
            connection: String::new(),
            command: COMMAND.to_owned(),
            detail: detail.to_string(),
        };
        store.audit().command(record).await?;
        Ok(Some(AcceptedRestore { older, stopped }))
    }
}

fn in_memory() -> StoreError {
    StoreError::Settings("the store is in the gateway's memory: nothing of it can be restored".to_owned())
}

fn reserve(settings: &Settings) -> Result<Reserved, StoreError> {
    match &settings.place {
        Location::File(path) => sqlite::reserve(path),
        Location::Memory => Err(in_memory()),
        #[cfg(feature = "simulation")]
        Location::Simulated(..) => Err(in_memory()),
        Location::Server(_) => Err(StoreError::Settings(
            "the store is a PostgreSQL database, and nothing has to be accepted: a gateway that ran before the restore \
             refuses writes until it is restarted (docs/operating.md, \"Backup and restore\", says what to do before)"
                .to_owned(),
        )),
    }
}

fn place(record: Option<&Newest>) -> Value {
    let Some(record) = record else { return Value::Null };
    json!({
        "sequence": record.head.sequence,
        "at": record.time().to_string(),
        "hash": HEXLOWER.encode(&record.head.hash),
    })
}
