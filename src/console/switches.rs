//! The switches of all merchants, and one switch: how far it is, what it waits for, the records that need a person, and which
//! commands are possible now. `switch_actions.rs` has the forms that execute them.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use serde::Serialize;

use super::{
    Console, encoded,
    layout::Section,
    switch_actions::Action,
    viewer::{Page, Viewer},
};
use crate::{
    execution,
    operator::answer,
    problem::Problem,
    report::records_chart,
    switch::{
        service::Decided,
        view::{DecisionKind, ForecastEntry, Outcome, Reason, SwitchRecord, SwitchView},
    },
};

/// How many switches a page has.
const LIMIT: usize = 50;
/// How many records that need a person are shown of each outcome.
const MOST_OPEN: usize = 50;

/// The page of all switches.
#[derive(Debug, Template, Serialize)]
#[template(path = "switches.html")]
struct Switches {
    merchant: Option<String>,
    switches: Vec<SwitchView>,
    next_cursor: Option<String>,
    /// The merchants with the connections that they can switch to.
    merchants: Vec<Candidate>,
    #[serde(skip)]
    is_first: bool,
}

/// A merchant who can switch.
#[derive(Debug, Serialize)]
struct Candidate {
    name: String,
    active: String,
    others: Vec<String>,
}

impl Page for Switches {
    const SECTION: Option<Section> = Some(Section::Switches);

    fn title(&self) -> String {
        "Switches".to_owned()
    }
}

/// The page of one switch.
#[derive(Debug, Template, Serialize)]
#[template(path = "switch.html")]
struct Switch {
    switch: SwitchView,
    /// The records that need a person, or whose last write is in doubt.
    open: Vec<SwitchRecord>,
    /// Whether there are more of them than are shown.
    more_open: bool,
    commands: Vec<Command>,
    /// The page itself, while it changes.
    #[serde(skip)]
    refreshes: Option<String>,
}

/// A command, and whether it would be executed now.
#[derive(Debug, Serialize)]
pub(super) struct Command {
    pub(super) action: Action,
    pub(super) is_possible: bool,
    /// Why it would be refused.
    pub(super) refused: Vec<Reason>,
}

impl Page for Switch {
    const SECTION: Option<Section> = Some(Section::Switches);

    fn title(&self) -> String {
        format!("Switch of {} from {} to {}", self.switch.merchant, self.switch.from, self.switch.to)
    }
}

impl Switch {
    fn chart(&self) -> String {
        records_chart(&self.switch.records)
    }

    /// The fields whose values change or are lost.
    fn changing(&self) -> Vec<&ForecastEntry> {
        self.switch.forecast.iter().filter(|entry| entry.kept < entry.held).collect()
    }

    fn decisions() -> &'static [DecisionKind] {
        DecisionKind::ALL
    }
}

/// The path of a switch's page.
pub(super) fn path(id: &str) -> String {
    format!("/console/switches/{}", encoded(id))
}

/// The tone of a state.
pub(super) fn tone(switch: &SwitchView) -> &'static str {
    match &switch.blocked_by {
        Some(_) => "warn",
        None if switch.state.is_open() => "good",
        None => "",
    }
}

/// `GET /console/switches`
pub(super) async fn page(viewer: Viewer, State(console): State<Console>) -> Result<Response, Problem> {
    let query = viewer.query(&["merchant", "cursor"])?;
    let merchant = query.get("merchant").filter(|merchant| !merchant.is_empty()).map(str::to_owned);
    let cursor = query.text("cursor")?;
    let listed = console.switches.list(merchant.as_deref(), cursor, LIMIT + 1).await;
    let mut switches = listed.map_err(answer::problem)?;
    let has_more = switches.len() > LIMIT;
    switches.truncate(LIMIT);
    let mut merchants = Vec::new();
    for merchant in viewer.gateway.merchants().filter(|merchant| merchant.connections.len() > 1) {
        // If the store cannot be read, the active connection is not known, and no switch can be planned.
        let Ok(active) = execution::active(merchant).await else { continue };
        let others = merchant.connections.keys().filter(|name| **name != active.name).cloned().collect();
        merchants.push(Candidate { name: merchant.name.clone(), active: active.name.clone(), others });
    }
    viewer.show(&Switches {
        next_cursor: switches.last().filter(|_| has_more).map(|switch| switch.id.clone()),
        merchants,
        is_first: cursor.is_none(),
        merchant,
        switches,
    })
}

/// `GET /console/switches/{id}`
pub(super) async fn one(
    viewer: Viewer,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    viewer.query(&[])?;
    let switch = console.switches.get(&id).await.map_err(answer::problem)?;
    let (mut open, mut more_open) = (Vec::new(), false);
    for outcome in [Outcome::NeedsDecision, Outcome::InDoubt, Outcome::Refused] {
        if switch.records.of(outcome) > 0 {
            let page = console.switches.records(&id, Some(outcome), None, MOST_OPEN).await.map_err(answer::problem)?;
            more_open |= page.next.is_some();
            open.extend(page.entries);
        }
    }
    let mut commands = Vec::new();
    for action in Action::ALL {
        commands.push(command(&console, &switch, *action).await?);
    }
    let refreshes = switch.state.is_open().then(|| viewer.url().to_owned());
    viewer.show(&Switch { switch, open, more_open, commands, refreshes })
}

/// Whether a command would be executed now.
async fn command(console: &Console, switch: &SwitchView, action: Action) -> Result<Command, Problem> {
    let refused = match action.tried(Vec::new()) {
        None => action.refused(switch),
        Some(tried) => {
            let decided = Decided { state: switch.state, epoch: switch.epoch };
            console.switches.steps(&switch.id, tried, decided).await.map_err(answer::problem)?.refused
        }
    };
    Ok(Command { action, is_possible: refused.is_empty(), refused })
}
