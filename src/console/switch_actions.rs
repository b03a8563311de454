//! The commands of a switch as forms. Each has a page that shows its steps first, so that a confirmation needs no script. A
//! form has the state and the epoch that the operator saw: if the switch has changed since, the command is refused.

use askama::Template;
use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use serde::Serialize;

use super::{
    Console,
    layout::Section,
    login::{read_form, redirect},
    refusal::Refusal,
    switches::path,
    viewer::{Page, Viewer},
};
use crate::{
    http::query::Query,
    operator::answer,
    problem::{Code, Problem},
    switch::{
        service::{Accepted, Decided, Decision, PlanOptions, RunOptions, Tried, VerifyOptions},
        view::{DecisionKind, Reason, Step, SwitchState, SwitchView},
    },
};

/// How many customers the report of a plan shows before and after.
const SAMPLE: u32 = 20;

/// What an operator can do with a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Copies, or goes on after `stop`.
    Run,
    /// Ends sending.
    Stop,
    /// Compares both sides.
    Verify,
    /// Makes the target active.
    Cutover,
    /// Makes the source active again.
    Rollback,
    /// Ends the switch for ever.
    Complete,
    /// Ends the switch before the cutover.
    Abandon,
}

impl Action {
    pub(super) const ALL: &[Self] =
        &[Self::Run, Self::Stop, Self::Verify, Self::Cutover, Self::Rollback, Self::Complete, Self::Abandon];

    /// The word in paths.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Stop => "stop",
            Self::Verify => "verify",
            Self::Cutover => "cutover",
            Self::Rollback => "rollback",
            Self::Complete => "complete",
            Self::Abandon => "abandon",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Run => "Copy customers",
            Self::Stop => "Stop sending",
            Self::Verify => "Verify",
            Self::Cutover => "Cut over",
            Self::Rollback => "Roll back",
            Self::Complete => "Complete",
            Self::Abandon => "Abandon",
        }
    }

    /// What it does.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Run => "Copies customers to the target, or goes on after a stop. Changes then reach both sides.",
            Self::Stop => "Ends sending within a second of what is in flight. Nothing is lost, and it can go on.",
            Self::Verify => "Reads every copied customer at both sides, and compares the fields.",
            Self::Cutover => "Makes the target active. Changes are copied back, so the way back stays open.",
            Self::Rollback => "Makes the source active again.",
            Self::Complete => "Ends copying back. This cannot be undone. The ids that the merchant knows stay valid.",
            Self::Abandon => "Ends the switch before its cutover. What it created at the target stays there.",
        }
    }

    /// Whether it cannot be undone.
    const fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Abandon)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.word() == word)
    }

    /// The command that can be tried without changing anything. `None` if it needs no trial.
    pub(super) fn tried(self, accepted: Accepted) -> Option<Tried> {
        match self {
            Self::Run => Some(Tried::Run(RunOptions::default())),
            Self::Stop | Self::Verify => None,
            Self::Cutover => Some(Tried::Cutover(accepted)),
            Self::Rollback => Some(Tried::Rollback(accepted)),
            Self::Complete => Some(Tried::Complete(accepted)),
            Self::Abandon => Some(Tried::Abandon { accepted, undo: false }),
        }
    }

    /// Why a command that cannot be tried is not offered in this state.
    pub(super) fn refused(self, switch: &SwitchView) -> Vec<Reason> {
        let (is_offered, detail) = match self {
            Self::Verify => (
                matches!(switch.state, SwitchState::Copied | SwitchState::Switched),
                "customers are compared once all of them were copied, until the switch ends",
            ),
            _ => (switch.state.is_open(), "the switch has ended"),
        };
        let reason = || Reason { code: "wrong_state".to_owned(), detail: detail.to_owned() };
        if is_offered { Vec::new() } else { vec![reason()] }
    }
}

/// The page that asks for a confirmation.
#[derive(Debug, Template, Serialize)]
#[template(path = "confirm.html")]
struct Confirm {
    switch: SwitchView,
    action: Action,
    steps: Vec<Step>,
    /// Why it would be refused. Some reasons can be accepted.
    refused: Vec<Reason>,
    /// Why it was refused.
    problem: Option<Refusal>,
}

impl Page for Confirm {
    const SECTION: Option<Section> = Some(Section::Switches);

    fn title(&self) -> String {
        format!("{}: {}", self.action.title(), self.switch.merchant)
    }
}

impl Confirm {
    fn path(&self) -> String {
        format!("{}/{}", path(&self.switch.id), self.action.word())
    }

    /// The codes of all reasons, as the form sends them.
    fn codes(&self) -> String {
        self.refused.iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>().join(",")
    }
}

fn unknown_action() -> Problem {
    let words: Vec<_> = Action::ALL.iter().map(|action| action.word()).collect();
    Problem::new(Code::NotFound, format!("a switch has no such command; it has {}", words.join(", ")))
}

/// `GET /console/switches/{id}/{action}`
pub(super) async fn confirm(
    viewer: Viewer,
    State(console): State<Console>,
    Path((id, action)): Path<(String, String)>,
) -> Result<Response, Problem> {
    viewer.query(&[])?;
    let action = Action::parse(&action).ok_or_else(unknown_action)?;
    let page = confirmation(&console, &id, action, None).await?;
    viewer.show(&page)
}

async fn confirmation(
    console: &Console,
    id: &str,
    action: Action,
    problem: Option<Refusal>,
) -> Result<Confirm, Problem> {
    let switch = console.switches.get(id).await.map_err(answer::problem)?;
    let (mut steps, mut refused) = (Vec::new(), action.refused(&switch));
    if let Some(tried) = action.tried(Vec::new()) {
        let decided = Decided { state: switch.state, epoch: switch.epoch };
        let would = console.switches.steps(id, tried, decided).await.map_err(answer::problem)?;
        (steps, refused) = (would.steps, would.refused);
    }
    Ok(Confirm { switch, action, steps, refused, problem })
}

/// `POST /console/switches/{id}/{action}`: executes the command in the name of the operator.
pub(super) async fn act(
    viewer: Viewer,
    State(console): State<Console>,
    Path((id, action)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let action = Action::parse(&action).ok_or_else(unknown_action)?;
    let (parts, body) = request.into_parts();
    let form = read_form(&console, &parts.headers, body, &["state", "epoch", "accept"]).await?;
    let decided = decided(&form)?;
    let accepted = form.get("accept").unwrap_or_default().split(',').filter(|code| !code.is_empty());
    let accepted: Accepted = accepted.map(str::to_owned).collect();
    let switches = &console.switches;
    let executed = viewer.acting(async {
        match action {
            Action::Run => switches.run(&id, RunOptions::default(), decided).await,
            Action::Stop => switches.stop(&id).await,
            Action::Verify => switches.verify(&id, VerifyOptions::default(), decided).await,
            Action::Cutover => switches.cutover(&id, accepted, decided).await,
            Action::Rollback => switches.rollback(&id, accepted, decided).await,
            Action::Complete => switches.complete(&id, accepted, decided).await,
            Action::Abandon => switches.abandon(&id, accepted, false, decided).await,
        }
    });
    match executed.await {
        Ok(_) => Ok(redirect(&path(&id), None)),
        Err(refused) => {
            let refusal = Refusal::from(refused);
            let status = refusal.status;
            let page = confirmation(&console, &id, action, Some(refusal)).await?;
            viewer.show_with(status, &page)
        }
    }
}

/// What the form was decided on.
fn decided(form: &Query) -> Result<Decided, Problem> {
    let state = form.get("state").and_then(SwitchState::parse);
    let epoch = form.get("epoch").and_then(|epoch| epoch.parse().ok());
    match (state, epoch) {
        (Some(state), Some(epoch)) => Ok(Decided { state, epoch }),
        _ => Err(Problem::invalid_one("state", "send the state and the epoch that the page of the switch shows")),
    }
}

/// `POST /console/switches`: makes a plan. It changes nothing at a provider.
pub(super) async fn plan(
    viewer: Viewer,
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = read_form(&console, &parts.headers, body, &["merchant", "to"]).await?;
    let (Some(merchant), Some(to)) = (form.text("merchant")?, form.text("to")?) else {
        return Err(Problem::invalid_one("to", "send the merchant, and the connection that becomes active"));
    };
    let options = PlanOptions { to: to.to_owned(), sample: SAMPLE, idempotency_key: None };
    let planned = viewer.acting(console.switches.plan(merchant, options, None)).await.map_err(answer::problem)?;
    Ok(redirect(&path(&planned.id), None))
}

/// `POST /console/switches/{id}/decisions`: decides about one customer.
pub(super) async fn decide(
    viewer: Viewer,
    State(console): State<Console>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let known = ["state", "epoch", "customer", "decision", "link_id"];
    let form = read_form(&console, &parts.headers, body, &known).await?;
    let decided = decided(&form)?;
    let customer = form.text("customer")?.map(str::to_owned);
    let (Some(public_id), Some(decision)) = (customer, form.get("decision").and_then(DecisionKind::parse)) else {
        return Err(Problem::invalid_one("decision", "send the customer, and `create`, `link` or `leave`"));
    };
    let link_id = form.get("link_id").map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
    let decision = Decision { public_id, decision, link_id };
    let taken = viewer.acting(console.switches.decide(&id, vec![decision], decided)).await;
    taken.map_err(answer::problem)?;
    Ok(redirect(&path(&id), None))
}
