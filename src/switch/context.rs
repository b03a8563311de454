//! What copies and verifications work with, and what they return.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use passerelle_providers::{
    model::{Error, Field, Kind},
    switch::{Decision, Finding},
};

use super::view::{BlockedCode, Outcome};
use crate::{
    merchant::{Connection, Gateway},
    store::{Store, StoreError, Switch},
    writes::Writes,
};

/// What the work of a switch uses of the process.
#[derive(Debug, Clone)]
pub struct Context {
    /// The store.
    pub store: Store,
    /// The configuration.
    pub gateway: Arc<ArcSwap<Gateway>>,
    /// Makes the copies.
    pub writes: Arc<Writes>,
}

impl Context {
    /// How many customers are copied or read at once. On PostgreSQL, one replica writes at a time, and each statement is a
    /// journey to the server: a client's write waits for the copies that stand before it.
    pub(super) fn at_once(&self, switch: &Switch) -> usize {
        let most = if self.store.switches().is_exclusive() { 16 } else { 4 };
        self.limited(most, &switch.merchant, [&switch.from, &switch.to])
    }

    /// At most as many as a limited connection may send requests in a second. More would wait for one another until their
    /// deadlines.
    pub(super) fn limited(&self, most: usize, merchant: &str, sides: [&str; 2]) -> usize {
        let limits = self.sides(merchant, sides).into_iter().filter_map(|side| side.upstream.most_per_minute());
        limits.map(|limit| usize::try_from(limit / 60).unwrap_or(most)).fold(most, usize::min).max(1)
    }

    /// The connections of a switch that are configured.
    pub(super) fn sides(&self, merchant: &str, sides: [&str; 2]) -> Vec<Arc<Connection>> {
        let gateway = self.gateway.load();
        let sides = sides.map(|side| gateway.connection(merchant, side));
        sides.into_iter().flatten().map(|(_, connection)| Arc::clone(connection)).collect()
    }
}

/// The switch whose customers are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The id of the switch.
    pub switch_id: String,
    /// The merchant.
    pub merchant: String,
    /// The connection that was active when the switch was planned.
    pub from: String,
    /// The connection to which the merchant switches.
    pub to: String,
    /// The metadata key that `switch.reference` names.
    pub reference: Option<String>,
}

impl Pair {
    /// The connection of the switch that is not this one. `None`: this one is not of the switch.
    pub fn other(&self, connection: &str) -> Option<&str> {
        match connection {
            _ if connection == self.from => Some(&self.to),
            _ if connection == self.to => Some(&self.from),
            _ => None,
        }
    }
}

/// What the plan and the operator know about a customer before it is copied.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// What the operator decided.
    pub decision: Option<Decision>,
    /// The ids of the records at the other side that may be the same customer, where the plan has read the whole list of
    /// that side. `None`: they are looked up.
    pub candidates: Option<Vec<String>>,
    /// The fields in which another customer of the home, who is not linked yet, has the same value.
    pub rivals: Vec<Field>,
    /// What is done beyond copying.
    pub task: Task,
}

/// What is done with a customer's record at the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// It is brought to the state of the home, unless it was changed outside the gateway.
    #[default]
    Copy,
    /// The same; what was changed outside the gateway in a record that a copy made is overwritten.
    Repair,
    /// A record that a copy made is deleted, if it still is as a copy left it.
    Undo,
}

/// What became of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The word for it.
    pub outcome: Outcome,
    /// Why, where there is a reason.
    pub finding: Option<Finding>,
    /// The id at the connection that the switch leads away from, where it is known.
    pub source_id: Option<String>,
    /// The id at the connection that the switch leads to, where it is known.
    pub target_id: Option<String>,
    /// Whether the other side now has the state of the version that was read, and the store has noted that. Otherwise the
    /// customer has to be copied again.
    pub is_current: bool,
    /// Whether the customer lives at the side that is not active, and moves when it is copied.
    pub is_of_tail: bool,
    /// Whether this removed the customer's pin, so that it follows the active connection.
    pub has_moved: bool,
}

/// Why nothing can be copied now. What was sent is claimed, so the same customer can be copied again at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// The code of the stall.
    pub code: BlockedCode,
    /// What happened.
    pub detail: String,
    /// When a provider allows the next request, if it said so.
    pub retry_after: Option<Duration>,
}

impl From<StoreError> for Stalled {
    fn from(error: StoreError) -> Self {
        Self { code: BlockedCode::StoreUnavailable, detail: error.to_string(), retry_after: None }
    }
}

impl Stalled {
    /// The stall that a failure at a connection means. `None`: the failure is about this customer alone.
    pub(super) fn of(error: &Error, connection: &Connection) -> Option<Self> {
        let code = match error.kind {
            Kind::RateLimited => BlockedCode::ProviderRateLimited,
            Kind::Throttled | Kind::Overloaded => BlockedCode::TargetRate,
            Kind::Unauthorized => BlockedCode::CredentialsRefused,
            Kind::ProviderFailed | Kind::Unreachable | Kind::Interrupted | Kind::TimedOut => {
                BlockedCode::ProviderUnavailable
            }
            Kind::StoreUnavailable => BlockedCode::StoreUnavailable,
            _ => return None,
        };
        let detail = format!("connection `{}`: {error}", connection.name);
        Some(Self { code, detail, retry_after: error.retry_after.map(Duration::from_secs) })
    }

    /// The configuration lacks a connection of the switch.
    pub(super) fn not_configured(connection: &str) -> Self {
        let detail = format!("the connection `{connection}` is not in the configuration any more; add it again");
        Self { code: BlockedCode::ProviderUnavailable, detail, retry_after: None }
    }
}
