//! What a switch keeps for itself: what the operator chose, where its walks are, and what was verified. The store keeps
//! these as JSON. A process that is killed goes on where the last page was stored.

use std::{collections::BTreeSet, time::Duration};

use passerelle_providers::{model::Position, text::Text};
use serde::{Deserialize, Serialize};
use url::Url;

use super::view::{BlockedBy, ForecastEntry, Reason, Verified};
use crate::{
    config::Rate,
    merchant::Connection,
    store::{StoreError, Switch},
    upstream::is_loopback,
};

/// What the operator chose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    /// How many customers may be walked or copied in a period.
    pub(super) rate: Option<String>,
    /// The client's key of the plan.
    pub(super) key: Option<String>,
    /// Whether a file says who there is at the source.
    pub(super) has_file: bool,
    /// How often the operator has run it. The worker writes the progress, and no setting, so no command gets lost between them.
    pub(super) runs: u64,
    /// Copy this many, then stop.
    pub(super) first: Option<u64>,
    /// Copy only these.
    pub(super) only: Option<Vec<String>>,
    /// Copy all but these.
    pub(super) except: Option<Vec<String>>,
    /// What both connections were when the switch was planned.
    pub(super) sides: Vec<Facts>,
    /// How many customers the report shows before and after.
    pub(super) sample: u32,
    /// What the plan says first.
    pub(super) notices: Vec<Reason>,
    /// Whether the switch is abandoned as soon as what it created at the target is deleted.
    pub(super) undo: bool,
    /// Whether customers who are not copied back follow the rollback all the same.
    pub(super) stale: bool,
}

/// What a connection is: with another one of these, the ids in the store name other records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The name of the connection.
    pub(super) connection: String,
    /// The provider.
    pub(super) provider: String,
    /// The generation of its API.
    pub(super) generation: String,
    /// The base URL; none on this machine, where a twin has another port with each start.
    pub(super) address: Option<String>,
    /// Whether its records are live.
    pub(super) livemode: bool,
}

impl Facts {
    pub(super) fn of(connection: &Connection) -> Self {
        let base_url = connection.upstream.endpoint().base_url();
        let is_here = Url::parse(base_url).is_ok_and(|url| is_loopback(url.host()));
        let address = (!is_here).then(|| base_url.to_owned());
        Self {
            connection: connection.name.clone(),
            provider: connection.manifest.name.to_owned(),
            generation: connection.manifest.generation.to_owned(),
            address,
            livemode: connection.livemode,
        }
    }

    /// The first fact that is another one now.
    pub(super) fn changed(&self, now: &Self) -> Option<&'static str> {
        let pairs = [
            (self.provider == now.provider, "provider"),
            (self.generation == now.generation, "generation"),
            (self.livemode == now.livemode, "livemode"),
            (self.address == now.address, "base_url"),
        ];
        pairs.into_iter().find(|(is_same, _)| !is_same).map(|(_, key)| key)
    }
}

impl Settings {
    /// The time between two customers.
    pub(super) fn interval(&self) -> Option<Duration> {
        let Rate { requests, per } = self.rate.as_deref().and_then(parse_rate)?;
        Some(per / requests.get())
    }

    /// Whether a run copies a customer, who is named by any of these ids.
    pub(super) fn selects(&self, ids: &[Option<&str>]) -> bool {
        let names = |list: &Vec<String>| list.iter().any(|id| ids.contains(&Some(id.as_str())));
        self.only.as_ref().is_none_or(names) && !self.except.as_ref().is_some_and(names)
    }
}

/// Reads a rate such as `60/min`.
pub(super) fn parse_rate(text: &str) -> Option<Rate> {
    Rate::parse(text)
}

/// What the worker does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// The planner reads the target.
    #[default]
    Targets,
    /// The planner reads the source, or the customers of the file.
    Sources,
    /// A pass walks the list of the active connection, and writes rows.
    Rows,
    /// A pass walks the list of the other side.
    Others,
    /// A pass reads the customers by id that no list has shown.
    Absent,
    /// Customers are copied who were not copied yet.
    Copies,
    /// Marks are copied, until the next pass is due.
    Marks,
}

/// Where a walk stands in a provider's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// After this many entries.
    Offset(u64),
    /// At the provider's token.
    Token(String),
}

impl Place {
    pub(super) fn of(position: &Position) -> Self {
        match position.in_page().0 {
            Position::Token(token) => Self::Token(token.to_string()),
            other => Self::Offset(other.offset()),
        }
    }

    pub(super) fn position(&self) -> Position {
        match self {
            Self::Offset(offset) => Position::Offset(*offset),
            Self::Token(token) => Position::Token(Text::from(token.as_str())),
        }
    }
}

/// Where the walks are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    /// What is done now.
    pub(super) phase: Phase,
    /// Where the walk through a list goes on; `None`: at its beginning.
    pub(super) place: Option<Place>,
    /// The connection whose list `place` is of.
    pub(super) walked: Option<String>,
    /// The customers that their home did not find since the last pass has ended. Only the end of the pass decides about them.
    pub(super) missing: BTreeSet<String>,
    /// The public id after which the walk through the records goes on.
    pub(super) after: Option<String>,
    /// The public id after which the deletion of what the switch created goes on.
    pub(super) undone: Option<String>,
    /// The number of the pass.
    pub(super) pass: u64,
    /// How many customers this run has copied.
    pub(super) copied: u64,
    /// The number of the run with which the last pass began.
    pub(super) runs: u64,
    /// When the next pass is due, in milliseconds since 1970.
    pub(super) next_pass_at: i64,
    /// The customers a second of the last chunk.
    pub(super) per_second: f64,
    /// The forecast so far.
    pub(super) forecast: Vec<ForecastEntry>,
    /// The forecast of the way back so far.
    pub(super) back: Vec<ForecastEntry>,
}

impl Progress {
    /// A pass that begins.
    pub(super) fn of_pass(&self, pass: u64, runs: u64) -> Self {
        Self { phase: Phase::Rows, place: None, after: None, pass, runs, ..self.clone() }
    }
}

/// A forecast as the switch keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeptForecast {
    /// From the source to the target.
    pub(super) there: Vec<ForecastEntry>,
    /// And back.
    pub(super) back: Vec<ForecastEntry>,
}

/// A verification as the switch keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Verification {
    /// What is shown.
    pub(super) shown: Verified,
    /// The public id after which it goes on.
    pub(super) after: Option<String>,
    /// Only this many.
    pub(super) sample: Option<u64>,
    /// Which ones these are, once they are chosen.
    pub(super) chosen: Option<Chosen>,
    /// Whether only the existence is compared.
    pub(super) ids_only: bool,
    /// Whether differences are copied again.
    pub(super) repair: bool,
    /// The pass that had ended when it began.
    pub(super) pass: u64,
    /// Whether every customer is compared. Then the records are counted that belong to none.
    pub(super) customers_done: bool,
    /// Where the walk through the other side's list goes on.
    pub(super) extras: Extras,
    /// Whether the operator took decisions that the worker followed, or follows, after this verification began. It may not have
    /// compared those customers.
    pub(super) outdated: bool,
}

/// The customers of a sample: those whose hash with the seed is at most this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chosen {
    pub(super) seed: String,
    pub(super) most: u64,
}

/// A walk that counts the records which belong to no customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Extras {
    /// Where it goes on in the list; `None`: at its beginning.
    pub(super) place: Option<Place>,
    /// The connection whose list it is.
    pub(super) walked: Option<String>,
    /// The records of the last page that were counted. A list that grows shows them on the next page again.
    pub(super) last: Vec<String>,
}

impl Verification {
    /// Whether it covers every record and every field, after all decisions of the operator.
    pub(super) const fn is_whole(&self) -> bool {
        self.shown.complete && self.sample.is_none() && !self.ids_only && !self.outdated
    }
}

/// A switch with what it keeps for itself.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) switch: Switch,
    pub(super) settings: Settings,
    pub(super) progress: Progress,
    pub(super) verification: Option<Verification>,
    pub(super) blocked_by: Option<BlockedBy>,
    pub(super) forecast: KeptForecast,
}

impl TryFrom<Switch> for Loaded {
    type Error = StoreError;

    fn try_from(switch: Switch) -> Result<Self, StoreError> {
        Ok(Self {
            settings: decoded(&switch.settings)?,
            progress: decoded(&switch.progress)?,
            verification: switch.verified.as_deref().map(decoded).transpose()?,
            blocked_by: switch.blocked_by.as_deref().map(decoded).transpose()?,
            forecast: switch.forecast.as_deref().map(decoded).transpose()?.unwrap_or_default(),
            switch,
        })
    }
}

/// A value as the store keeps it.
pub(super) fn encoded<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Damaged("a switch cannot be written".to_owned()))
}

fn decoded<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, StoreError> {
    let damaged = |_| StoreError::Damaged("the store holds a switch that this version cannot read".to_owned());
    serde_json::from_str(text).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_on_where_it_was_stored() {
        for position in [Position::START, Position::Offset(120), Position::Token(Text::from("next"))] {
            let progress = Progress { place: Some(Place::of(&position)), pass: 3, ..Progress::default() };
            let text = encoded(&progress).expect("written");
            let read: Progress = decoded(&text).expect("read");
            assert_eq!(read, progress);
            assert_eq!(read.place.expect("a place").position(), position);
        }
        let inside = Position::Offset(40).within(7);
        assert_eq!(Place::of(&inside).position(), Position::Offset(40), "the page is read again");
    }

    #[test]
    fn a_rate_is_a_time_between_customers() {
        let rate = |text: &str| Settings { rate: Some(text.to_owned()), ..Settings::default() }.interval();
        assert_eq!(rate("60/min"), Some(Duration::from_secs(1)));
        assert_eq!(rate("often"), None);
        assert_eq!(Settings::default().interval(), None);
    }

    #[test]
    fn a_run_selects_customers_by_any_of_their_ids() {
        let list = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect());
        let both = Settings { only: list(&["c1", "s2"]), except: list(&["c1"]), ..Settings::default() };
        assert!(both.selects(&[Some("c2"), Some("s2")]));
        assert!(!both.selects(&[Some("c1"), None]) && !both.selects(&[Some("c3")]));
        assert!(Settings::default().selects(&[None]));
    }
}
