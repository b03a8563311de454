//! The documents of switches: what the operator's API answers, and what the commands read from it. Both sides use these
//! types, so that they cannot differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::words::{
    BlockedCode, CommandName, DecisionKind, Level, ListObject, Outcome, StepsObject, SwitchObject, SwitchRecordObject,
    SwitchState,
};

/// A switch of one merchant from one connection to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Switch)]
pub struct SwitchView {
    /// Always `switch`.
    pub object: SwitchObject,
    /// The id.
    #[schema(example = "sw_01jd")]
    pub id: String,
    /// The merchant.
    pub merchant: String,
    /// The connection that was active when the switch was planned.
    pub from: String,
    /// The connection that becomes active.
    pub to: String,
    /// How far the switch is.
    pub state: SwitchState,
    /// How often the active connection of the merchant has changed.
    pub epoch: u64,
    /// What the plan says first: what both providers' lists and limits mean for the whole switch.
    pub notices: Vec<Reason>,
    /// What the switch waits for; `null` while it makes progress.
    #[schema(required)]
    pub blocked_by: Option<BlockedBy>,
    /// The next command to type; `null` if there is nothing to do.
    #[schema(required)]
    pub next: Option<String>,
    /// When the switch last made progress.
    #[schema(required, format = DateTime)]
    pub progress_at: Option<String>,
    /// How long the copying probably still takes; `null` while it is not known.
    #[schema(required)]
    pub eta_seconds: Option<u64>,
    /// The records by what became of them.
    pub records: RecordCounts,
    /// How many customers are pinned to each connection.
    pub pinned: BTreeMap<String, u64>,
    /// How many of those who are pinned to the connection that is not active do not move by themselves: they are refused,
    /// undecided, in doubt, left or gone.
    #[serde(default)]
    pub staying: u64,
    /// The customers whose other side is older than their home.
    pub marks: Marks,
    /// How fast the switch sends.
    pub rate: Rate,
    /// What becomes of each field at the target.
    pub forecast: Vec<ForecastEntry>,
    /// The last verification.
    #[schema(required)]
    pub verified: Option<Verified>,
    /// The way back to the source.
    pub way_back: WayBack,
}

/// What a switch waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockedBy {
    /// The reason.
    pub code: BlockedCode,
    /// What happened, and what to do.
    pub detail: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
}

/// The records by what became of them. All but `total` sum to `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordCounts {
    /// All records.
    pub total: u64,
    /// Not copied yet.
    pub pending: u64,
    /// Created at the other side by this switch.
    pub created: u64,
    /// Matched with a record that was at the other side before.
    pub linked: u64,
    /// Linked before this switch.
    pub already_linked: u64,
    /// The other side cannot hold them.
    pub refused: u64,
    /// A person must decide.
    pub needs_decision: u64,
    /// It is not known yet whether the last write was executed.
    pub in_doubt: u64,
    /// Left where they are, as the operator decided.
    pub left: u64,
    /// Deleted.
    pub deleted: u64,
    /// Not shown by the provider any more.
    pub gone: u64,
}

impl RecordCounts {
    /// The number of records with an outcome.
    pub const fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Pending => self.pending,
            Outcome::Created => self.created,
            Outcome::Linked => self.linked,
            Outcome::AlreadyLinked => self.already_linked,
            Outcome::Refused => self.refused,
            Outcome::NeedsDecision => self.needs_decision,
            Outcome::InDoubt => self.in_doubt,
            Outcome::Left => self.left,
            Outcome::Deleted => self.deleted,
            Outcome::Gone => self.gone,
        }
    }

    /// The records that wait for a person, or whose last write is in doubt.
    pub const fn open(&self) -> u64 {
        self.refused + self.needs_decision + self.in_doubt
    }
}

/// The customers whose other side is older than their home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Marks {
    /// How many.
    pub pending: u64,
    /// Since when the oldest one waits.
    #[schema(required, format = DateTime)]
    pub oldest_at: Option<String>,
}

/// How fast a switch sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// The limit that the operator set, such as `60/min`.
    #[schema(required)]
    pub limit: Option<String>,
    /// The requests a second that were sent lately.
    pub per_second: f64,
}

/// What becomes of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForecastEntry {
    /// The field.
    #[schema(example = "address.city")]
    pub field: String,
    /// How many customers have the field.
    pub held: u64,
    /// How many of them keep it as it is.
    pub kept: u64,
    /// How many get another spelling of the same value.
    pub transformed: u64,
    /// How many get a value that the gateway computes.
    pub derived: u64,
    /// How many values the gateway keeps itself.
    pub carried: u64,
    /// How many values are lost.
    pub lost: u64,
    /// The rule by which the values change.
    #[schema(required)]
    pub rule: Option<String>,
}

/// A verification. All but `checked` sum to `checked`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// When it last made progress.
    #[schema(required, format = DateTime)]
    pub at: Option<String>,
    /// Whether it has ended.
    pub complete: bool,
    /// How many records were compared.
    pub checked: u64,
    /// Equal at both sides.
    pub equal: u64,
    /// Equal after the rules of the forecast.
    pub equal_after_rule: u64,
    /// Different.
    pub differs: u64,
    /// Missing at the other side.
    pub missing: u64,
    /// Only at the other side; `null` where it lists only some of its customers.
    #[schema(required)]
    pub extra: Option<u64>,
    /// Changed while they were compared.
    pub busy: u64,
    /// Could not be read.
    pub unreadable: u64,
}

impl Verified {
    /// The differences.
    pub const fn differences(&self) -> u64 {
        self.differs + self.missing + self.unreadable
    }
}

/// The way back to the source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WayBack {
    /// Whether the source has accepted a write lately.
    pub open: bool,
    /// Why not.
    #[schema(required)]
    pub reason: Option<String>,
    /// What becomes of each field at the source.
    pub forecast: Vec<ForecastEntry>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwitchRecord {
    /// Always `switch_record`.
    pub object: SwitchRecordObject,
    /// The id that the merchant knows; `null` for a record that only the target has.
    #[schema(required)]
    pub public_id: Option<String>,
    /// The id at `from`.
    #[schema(required)]
    pub source_id: Option<String>,
    /// The id at `to`.
    #[schema(required)]
    pub target_id: Option<String>,
    /// The connection that answers for the customer.
    #[schema(required)]
    pub home: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// The reason.
    #[schema(required)]
    pub code: Option<String>,
    /// How serious the reason is.
    #[schema(required)]
    pub level: Option<Level>,
    /// The field that the reason is about.
    #[schema(required)]
    pub field: Option<String>,
    /// The reason in words. It has no value of the customer.
    #[schema(required)]
    pub detail: Option<String>,
    /// The fields that differ.
    pub differences: Vec<Difference>,
    /// How often the gateway tried to copy it.
    pub attempts: u32,
    /// When this last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A field that differs. The values are keyed hashes: equal values have equal hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// The field.
    pub field: String,
    /// The rule that was applied before the values were compared.
    #[schema(required)]
    pub rule: Option<String>,
    /// The hash of the value at the source.
    #[schema(required)]
    pub source_hash: Option<String>,
    /// The hash of the value at the target.
    #[schema(required)]
    pub target_hash: Option<String>,
}

/// The ids of one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapEntry {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The id at `from`.
    pub source_id: Option<String>,
    /// The id at `to`.
    pub target_id: Option<String>,
    /// The connection that answers for the customer.
    pub home: String,
}

/// A page of switches, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SwitchList {
    /// Always `list`.
    pub object: ListObject,
    /// The switches.
    pub data: Vec<SwitchView>,
    /// Whether there are more.
    pub has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwitchRecordList {
    /// Always `list`.
    pub object: ListObject,
    /// The records.
    pub data: Vec<SwitchRecord>,
    /// Whether there are more.
    pub has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// What a command would do. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SwitchSteps)]
pub struct Steps {
    /// Always `switch_steps`.
    pub object: StepsObject,
    /// The command.
    pub command: CommandName,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// Why the command would be refused now. Empty if it would be executed.
    pub refused: Vec<Reason>,
}

/// One step of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SwitchStep)]
pub struct Step {
    /// What happens. The audit has the same word.
    #[schema(example = "flip")]
    pub code: String,
    /// What happens, in words.
    pub detail: String,
    /// Whether a later command can undo it.
    pub reversible: bool,
}

/// A reason of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The reason. A code that can be accepted is sent again in `accept`.
    pub code: String,
    /// What is wrong, and what to do.
    pub detail: String,
}
