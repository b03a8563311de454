//! What can be done to a switch. The operator's API calls [`SwitchService`] and nothing else, so that its tests need no
//! provider and no store.

use std::{fmt, pin::Pin};

use async_trait::async_trait;
use futures_util::Stream;
use passerelle_providers::switch::Previewed;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Number;
use utoipa::ToSchema;

use super::view::{CommandName, DecisionKind, MapEntry, Outcome, Reason, Steps, SwitchRecord, SwitchState, SwitchView};

/// What a command was decided on. If the switch is in another state or epoch by then, the command is refused with
/// `switch_changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The state that the operator saw.
    pub state: SwitchState,
    /// The epoch that the operator saw.
    #[serde(deserialize_with = "epoch")]
    pub epoch: u64,
}

/// No epoch is larger than what a database keeps in a number.
fn epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let epoch = Number::deserialize(deserializer)?;
    let epoch = whole_number(&epoch).ok_or_else(|| D::Error::custom("an epoch is a whole number"))?;
    i64::try_from(epoch).map(|_| epoch).map_err(|_| D::Error::custom(format!("an epoch is at most {}", i64::MAX)))
}

/// The value of a whole number, also if it is written with a fraction of zero: JSON does not tell `20` from `20.0`, and some
/// programs write the second.
pub fn whole_number(number: &Number) -> Option<u64> {
    // Beyond this, a number with a fraction does not represent every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |value: f64| (value.fract() == 0.0 && (0.0..=EXACT).contains(&value)).then(|| format!("{value:.0}"));
    number.as_u64().or_else(|| whole(number.as_f64()?)?.parse().ok())
}

/// How a switch is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// The connection that becomes active.
    pub to: String,
    /// How many customers the report shows as they are at the source, and as they will be at the target.
    pub sample: u32,
    /// The client's key. The same key with the same options gives the switch that the first request has made.
    pub idempotency_key: Option<String>,
}

/// The customers of a file, in its order. The service reads it once, in chunks; it is never in memory as a whole.
pub type Listed = Pin<Box<dyn Stream<Item = Result<ListedCustomer, Refused>> + Send>>;

/// A customer of a file. The file says who there is, and nothing more: each provider can be read by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCustomer {
    /// The id at the source, or the id that the merchant knows.
    pub id: String,
}

/// Which customers a run copies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// Only this many.
    #[schema(minimum = 1)]
    pub first: Option<u64>,
    /// Only these, by any id that the merchant knows.
    pub only: Option<Vec<String>>,
    /// All but these.
    pub except: Option<Vec<String>>,
}

/// What a verification reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyOptions {
    /// Only this many records, chosen at random.
    #[schema(minimum = 1)]
    pub sample: Option<u64>,
    /// Only whether each record exists.
    pub ids_only: bool,
    /// Whether differences of records that this switch created are copied again.
    pub repair: bool,
}

/// The conditions that the operator accepts, by their codes.
pub type Accepted = Vec<String>;

/// What the operator decided about one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The id that the merchant knows.
    #[schema(pattern = r"^[^\x00]*$")]
    pub public_id: String,
    /// What to do.
    pub decision: DecisionKind,
    /// With `link`: the id at the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = r"^[^\x00]*$")]
    pub link_id: Option<String>,
}

/// Why a command was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The kind of refusal.
    pub kind: RefusedKind,
    /// What is wrong, and what to do. It has no value of a customer.
    pub detail: String,
    /// Each reason, where there are several.
    pub reasons: Vec<Reason>,
}

/// The kind of a refusal. The API makes a status of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// There is no such switch, merchant or connection.
    NotFound,
    /// The switch is in another state or epoch than the command was decided on.
    Changed,
    /// The state or the gate does not allow the command. `reasons` says why.
    NotAllowed,
    /// An option is wrong.
    Invalid,
    /// The idempotency key belongs to another request.
    KeyReused,
    /// The store cannot be used now.
    StoreUnavailable,
}

impl RefusedKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Changed => "switch_changed",
            Self::NotAllowed => "not_allowed",
            Self::Invalid => "invalid",
            Self::KeyReused => "idempotency_key_reused",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}

impl Refused {
    /// A refusal without single reasons.
    pub fn new(kind: RefusedKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), reasons: Vec::new() }
    }

    /// Adds the reasons.
    #[must_use]
    pub fn because(mut self, reasons: Vec<Reason>) -> Self {
        self.reasons = reasons;
        self
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)?;
        self.reasons.iter().try_for_each(|Reason { code, detail }| write!(formatter, "; {code}: {detail}"))
    }
}

impl std::error::Error for Refused {}

/// A command that can be tried without changing anything, with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// `run`.
    Run(RunOptions),
    /// `cutover`.
    Cutover(Accepted),
    /// `rollback`.
    Rollback(Accepted),
    /// `complete`.
    Complete(Accepted),
    /// `abandon`.
    Abandon {
        /// The accepted conditions.
        accepted: Accepted,
        /// Whether what the switch created is deleted.
        undo: bool,
    },
}

impl Tried {
    /// The name of the command.
    pub const fn name(&self) -> CommandName {
        match self {
            Self::Run(_) => CommandName::Run,
            Self::Cutover(_) => CommandName::Cutover,
            Self::Rollback(_) => CommandName::Rollback,
            Self::Complete(_) => CommandName::Complete,
            Self::Abandon { .. } => CommandName::Abandon,
        }
    }
}

/// The switches of a gateway. Every method that changes a switch answers it as it is afterwards; jobs go on in the
/// background.
#[async_trait]
pub trait SwitchService: fmt::Debug + Send + Sync {
    /// Makes a plan. It reads both sides in the background.
    async fn plan(&self, merchant: &str, options: PlanOptions, listed: Option<Listed>) -> Result<SwitchView, Refused>;

    /// Copies, or goes on after `stop`.
    async fn run(&self, id: &str, options: RunOptions, decided: Decided) -> Result<SwitchView, Refused>;

    /// Ends sending. It needs no decided state, because it is always safe.
    async fn stop(&self, id: &str) -> Result<SwitchView, Refused>;

    /// Sets the limit of requests, such as `60/min`; `None` leaves that of the connection.
    async fn set_rate(&self, id: &str, limit: Option<String>) -> Result<SwitchView, Refused>;

    /// Writes a higher epoch with this active connection, after a restored backup. Answers the new epoch.
    async fn set_active(&self, merchant: &str, connection: &str) -> Result<u64, Refused>;

    /// Takes decisions about records. All are taken, or none.
    async fn decide(&self, id: &str, decisions: Vec<Decision>, decided: Decided) -> Result<SwitchView, Refused>;

    /// Begins a verification, or goes on with one.
    async fn verify(&self, id: &str, options: VerifyOptions, decided: Decided) -> Result<SwitchView, Refused>;

    /// Makes the target active.
    async fn cutover(&self, id: &str, accepted: Accepted, decided: Decided) -> Result<SwitchView, Refused>;

    /// Makes the source active again.
    async fn rollback(&self, id: &str, accepted: Accepted, decided: Decided) -> Result<SwitchView, Refused>;

    /// Ends the switch for ever.
    async fn complete(&self, id: &str, accepted: Accepted, decided: Decided) -> Result<SwitchView, Refused>;

    /// Ends the switch before the cutover. With `undo`, deletes what it created.
    async fn abandon(&self, id: &str, accepted: Accepted, undo: bool, decided: Decided) -> Result<SwitchView, Refused>;

    /// What a command would do. Changes nothing.
    async fn steps(&self, id: &str, command: Tried, decided: Decided) -> Result<Steps, Refused>;

    /// A switch.
    async fn get(&self, id: &str) -> Result<SwitchView, Refused>;

    /// The switches, of one merchant if it is named, the newest first, after an id.
    async fn list(&self, merchant: Option<&str>, after: Option<&str>, limit: usize)
    -> Result<Vec<SwitchView>, Refused>;

    /// Records in the order of their position, with this outcome if one is named, after a position.
    async fn records(
        &self,
        id: &str,
        outcome: Option<Outcome>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<SwitchRecord>, Refused>;

    /// The ids of customers, after a position.
    async fn map(&self, id: &str, after: Option<&str>, limit: usize) -> Result<Page<MapEntry>, Refused>;

    /// The samples of a plan. They are read from the providers. After the first `run` there are none.
    async fn samples(&self, id: &str) -> Result<Vec<Sample>, Refused>;
}

/// A customer of a plan before and after. It has values of the customer, and `Debug` shows none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The record that it will be linked with.
    pub target_id: Option<String>,
    /// What will become of it.
    pub outcome: Outcome,
    /// Its fields.
    pub fields: Vec<Previewed>,
}

/// A page, and the position after it if there is more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// The position after the page. `None` at the end.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_zero() {
        for (text, expected) in
            [("20", Some(20)), ("20.0", Some(20)), ("2e1", Some(20)), ("20.5", None), ("-1", None), ("1e30", None)]
        {
            let number: Number = serde_json::from_str(text).expect("a number");
            assert_eq!(whole_number(&number), expected, "{text}");
        }
    }
}
