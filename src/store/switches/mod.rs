//! Switches of providers: what they are, where they stand, and what has become of each customer. [`SwitchLog`] is their
//! handle. `states` has the states, `rows` the statements over switches, `records` those over the customers of a switch,
//! `stale` those over customers who follow a rollback without their last writes, `targets` those over what the planner saw at the target.
//!
//! The store knows the state of a switch and who works on it. What the operator chose, where the walks are, the forecast
//! and the verification are texts that only `src/switch` reads.
//!
//! One process works on a switch while it holds the switch's lease. Everything that it stores names its worker, and is
//! stored only while the lease is that worker's. The database decides by its own clock.

mod records;
mod rows;
mod stale;
mod states;
mod targets;

use std::{fmt, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;

pub use records::{RecordChange, RecordCount, RecordRow};
pub use states::{Step, SwitchState};
pub use targets::{Target, TargetKeys};

use self::{
    records::{AddRecords, Count, Decide, ForgetDetails, KeepRecords, ReadRecord, ReadRecords, ReadUnseen},
    rows::{Control, Lease, Open, Read, Release, Selected, Settle, Store},
    stale::UnpinStale,
    targets::{Candidates, KeepTargets, Link, ReadListed},
};
use super::{
    contacts::{ContactKind, beginning},
    database::{read, write},
    error::StoreError,
    opened::Opened,
};

/// A switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Its id: `sw_…`.
    pub id: String,
    /// The merchant.
    pub merchant: String,
    /// The connection that was active when the switch was planned.
    pub from: String,
    /// The connection that is to become active.
    pub to: String,
    /// Its state.
    pub state: SwitchState,
    /// The epoch of the merchant's routing, as far as this switch has seen it.
    pub epoch: u64,
    /// The hash of everything that the plan depends on.
    pub plan_hash: Option<String>,
    /// What the operator chose.
    pub settings: String,
    /// Where the walks are.
    pub progress: String,
    /// The forecast of the plan.
    pub forecast: Option<String>,
    /// The last verification.
    pub verified: Option<String>,
    /// What the switch waits for.
    pub blocked_by: Option<String>,
    /// Whether the operator has stopped it.
    pub is_stopped: bool,
    /// When it was planned, in milliseconds since 1970.
    pub created_at: i64,
    /// When it last progressed, in milliseconds since 1970.
    pub progress_at: i64,
}

impl Switch {
    /// The connection at the other side of a home.
    pub fn other_side(&self, home: &str) -> &str {
        if home == self.to { &self.from } else { &self.to }
    }
}

/// A switch that begins.
#[derive(Debug, Clone)]
pub struct NewSwitch {
    /// The merchant.
    pub merchant: String,
    /// The active connection.
    pub from: String,
    /// The other one.
    pub to: String,
    /// The epoch of the merchant's routing.
    pub epoch: u64,
    /// What the operator chose.
    pub settings: String,
    /// Where the walks begin.
    pub progress: String,
    /// Whether no worker may take it yet.
    pub is_stopped: bool,
}

/// What changes at once, if the switch is still as the one who decided saw it.
#[derive(Debug, Clone, Default)]
pub struct SwitchChange {
    /// The new state.
    pub state: Option<SwitchState>,
    /// The new epoch.
    pub epoch: Option<u64>,
    /// The hash of the plan.
    pub plan_hash: Option<String>,
    /// Where the walks are.
    pub progress: Option<String>,
    /// What the operator chose.
    pub settings: Option<String>,
    /// Whether the switch is stopped.
    pub is_stopped: Option<bool>,
    /// The forecast.
    pub forecast: Option<String>,
    /// The verification.
    pub verified: Option<String>,
    /// What the switch waits for; `Some(None)`: nothing any more.
    pub blocked_by: Option<Option<String>>,
}

/// What a worker must know before each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The state of the switch.
    pub state: SwitchState,
    /// Whether the operator has stopped it.
    pub is_stopped: bool,
    /// How long the lease lasts from the beginning of the question.
    pub lease: Duration,
}

/// The switches that a store keeps. Clones share one store.
#[derive(Clone)]
pub struct SwitchLog {
    store: Arc<Opened>,
}

impl fmt::Debug for SwitchLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SwitchLog").field("database", &self.store.database).finish_non_exhaustive()
    }
}

impl SwitchLog {
    pub(super) fn of(store: &Arc<Opened>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// The name of this process as a worker.
    pub fn worker(&self) -> &str {
        &self.store.terms.worker
    }

    /// How long the lease on a switch lasts.
    pub fn lease(&self) -> Duration {
        self.store.terms.lease
    }

    /// Whether no other process can have the store.
    pub fn is_exclusive(&self) -> bool {
        self.store.terms.is_exclusive
    }

    /// Begins a switch. A plan of the merchant that was not run is abandoned for it. `Err`: another switch of the merchant
    /// is open, and which.
    pub async fn open(&self, new: NewSwitch) -> Result<Result<Switch, Switch>, StoreError> {
        let id = format!("sw_{}", crate::chance::later_id().simple());
        write(&*self.store.database, Open { id, new }).await
    }

    /// A switch by its id.
    pub async fn get(&self, id: &str) -> Result<Option<Switch>, StoreError> {
        Ok(self.read(Selected::Id(id.to_owned()), 1).await?.pop())
    }

    /// The newest switch of a merchant: the open one, if there is one.
    pub async fn of_merchant(&self, merchant: &str) -> Result<Option<Switch>, StoreError> {
        Ok(self.read(Selected::Merchant(merchant.to_owned()), 1).await?.pop())
    }

    /// The switches, of one merchant if it is named, the newest first, after an id.
    pub async fn list(
        &self,
        merchant: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Switch>, StoreError> {
        let (merchant, before) = (merchant.map(str::to_owned), after.map(str::to_owned));
        self.read(Selected::List { merchant, before }, limit).await
    }

    /// Switches that have not ended, in no order.
    pub async fn open_ones(&self, limit: usize) -> Result<Vec<Switch>, StoreError> {
        self.read(Selected::Open, limit).await
    }

    async fn read(&self, selected: Selected, limit: usize) -> Result<Vec<Switch>, StoreError> {
        read(&*self.store.database, Read { selected, limit }).await
    }

    /// Changes a switch if its state and its epoch are still those of `seen`. Returns whether they were. With
    /// `by_worker`, the lease must be that of this process, too.
    pub async fn change(&self, seen: &Switch, by_worker: bool, change: SwitchChange) -> Result<bool, StoreError> {
        let worker = by_worker.then(|| self.store.terms.worker.clone());
        let settle = Settle { id: seen.id.clone(), state: seen.state, epoch: seen.epoch, worker, change };
        write(&*self.store.database, settle).await
    }

    /// Takes the lease of every switch that has work and no living worker.
    pub async fn lease_free(&self) -> Result<Vec<Switch>, StoreError> {
        if read(&*self.store.database, Read { selected: Selected::Working, limit: 1 }).await?.is_empty() {
            return Ok(Vec::new());
        }
        let (worker, lease) = (self.store.terms.worker.clone(), self.store.terms.lease);
        write(&*self.store.database, Lease { worker, lease, is_exclusive: self.store.terms.is_exclusive }).await
    }

    /// Renews the lease of this process on a switch. `None`: it is another's by now, or the switch has ended.
    pub async fn renew(&self, id: &str) -> Result<Option<Held>, StoreError> {
        let (worker, lease) = (self.store.terms.worker.clone(), self.store.terms.lease);
        write(&*self.store.database, Control { id: id.to_owned(), worker, lease }).await
    }

    /// Gives the lease back, so that another process may go on at once.
    pub async fn release(&self, id: &str) -> Result<(), StoreError> {
        let worker = self.store.terms.worker.clone();
        write(&*self.store.database, Release { id: id.to_owned(), worker }).await
    }

    /// Stores what a page of a walk has shown, and where the walk goes on, in one transaction. `false`: the lease is
    /// another's, and nothing was stored.
    pub async fn store_page(
        &self,
        id: &str,
        progress: Option<String>,
        records: Vec<RecordChange>,
    ) -> Result<bool, StoreError> {
        let worker = self.store.terms.worker.clone();
        let keep = KeepRecords { switch_id: id.to_owned(), records };
        write(&*self.store.database, Store { id: id.to_owned(), worker, progress, keep }).await
    }

    /// Lets customers who are pinned to the target follow a rollback, although their last writes were not copied back. Each of
    /// them gets this change of its record in the same transaction. Returns how many they are.
    pub async fn unpin_stale(&self, switch: &Switch, limit: usize, change: RecordChange) -> Result<usize, StoreError> {
        let Switch { id, merchant, to, .. } = switch;
        let [switch_id, merchant, left] = [id, merchant, to].map(String::clone);
        write(&*self.store.database, UnpinStale { merchant, left, limit, switch_id, change }).await
    }

    /// Adds customers that a file names, before a worker has the switch.
    pub async fn add_records(&self, id: &str, records: Vec<RecordChange>) -> Result<(), StoreError> {
        write(&*self.store.database, AddRecords(KeepRecords { switch_id: id.to_owned(), records })).await
    }

    /// Stores what the list of the target has shown. The plan and the passes call it.
    pub async fn store_targets(&self, id: &str, progress: String, targets: Vec<Target>) -> Result<bool, StoreError> {
        let worker = self.store.terms.worker.clone();
        write(&*self.store.database, KeepTargets { switch_id: id.to_owned(), worker, progress, targets }).await
    }

    /// The targets that a customer may be: by any of the keys.
    pub async fn candidates(&self, id: &str, public_id: &str, keys: TargetKeys) -> Result<Vec<Target>, StoreError> {
        let work = Candidates { switch_id: id.to_owned(), public_id: public_id.to_owned(), keys };
        read(&*self.store.database, work).await
    }

    /// Which of these records the list of the target has shown.
    pub async fn are_listed(&self, id: &str, provider_ids: Vec<String>) -> Result<Vec<bool>, StoreError> {
        read(&*self.store.database, ReadListed { switch_id: id.to_owned(), provider_ids }).await
    }

    /// Binds a target to a customer. `false`: it is bound to another one.
    pub async fn link(&self, id: &str, provider_id: &str, public_id: &str) -> Result<bool, StoreError> {
        let [switch_id, provider_id, public_id] = [id, provider_id, public_id].map(str::to_owned);
        write(&*self.store.database, Link { switch_id, provider_id, public_id }).await
    }

    /// The keyed hash by which a customer is found among the targets.
    pub fn contact_hash(&self, merchant: &str, kind: ContactKind, value: &str) -> String {
        let kind = match kind {
            ContactKind::Email => "email",
            ContactKind::Phone => "phone",
        };
        HEXLOWER.encode(beginning(&self.store.hashes.contact(merchant, "", kind, value)))
    }

    /// The same for the value under the metadata key that `switch.reference` names.
    pub fn reference_hash(&self, merchant: &str, value: &str) -> String {
        HEXLOWER.encode(beginning(&self.store.hashes.contact(merchant, "", "reference", value)))
    }

    /// How many customers of a switch have each outcome.
    pub async fn counts(&self, id: &str) -> Result<Vec<RecordCount>, StoreError> {
        read(&*self.store.database, Count { switch_id: id.to_owned() }).await
    }

    /// The record of a customer.
    pub async fn record(&self, id: &str, public_id: &str) -> Result<Option<RecordRow>, StoreError> {
        let work = ReadRecord { switch_id: id.to_owned(), public_id: public_id.to_owned() };
        read(&*self.store.database, work).await
    }

    /// The records of a switch with an outcome (`None`: all), in the order of their public ids.
    pub async fn records(
        &self,
        id: &str,
        outcome: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, StoreError> {
        self.shown_records(id, false, outcome, after, limit).await
    }

    /// The same, where `of_plan` selects by what the plan foresees.
    pub async fn shown_records(
        &self,
        id: &str,
        of_plan: bool,
        outcome: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, StoreError> {
        let (outcome, after) = (outcome.map(str::to_owned), after.unwrap_or_default().to_owned());
        read(&*self.store.database, ReadRecords { switch_id: id.to_owned(), of_plan, outcome, after, limit }).await
    }

    /// The records of customers that no list has shown in a pass, in the order of their public ids. Those who wait for their
    /// copy, and those who are known to be deleted, left or gone, are not among them.
    pub async fn unseen(
        &self,
        id: &str,
        pass: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, StoreError> {
        let (switch_id, after) = (id.to_owned(), after.unwrap_or_default().to_owned());
        read(&*self.store.database, ReadUnseen { switch_id, pass, after, limit }).await
    }

    /// Removes the details of a switch that has ended: differences, what the planner compared, and customers that only an
    /// imported file names.
    pub async fn forget_details(&self, id: &str) -> Result<(), StoreError> {
        write(&*self.store.database, ForgetDetails { switch_id: id.to_owned() }).await
    }

    /// Stores the decisions of the operator, and returns the public ids that the switch does not know.
    pub async fn decide(&self, id: &str, decisions: Vec<(String, String)>) -> Result<Vec<String>, StoreError> {
        write(&*self.store.database, Decide { switch_id: id.to_owned(), decisions }).await
    }
}
