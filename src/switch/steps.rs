//! What a command would do, in order, without doing it.

use super::{
    ending::STALE,
    gates,
    progress::Loaded,
    service::{Decided, Tried},
    show::shown_state,
    view::{Reason, Step, Steps, StepsObject},
};
use crate::store::{self, Switch, SwitchState};

/// Why a step is not possible in the state of a switch, and what to look at.
pub(super) fn wrong_state(switch: &Switch, step: store::Step) -> String {
    let state = shown_state(switch.state).as_str();
    let needed = match step {
        store::Step::Cutover => "a cutover needs a switch that is `copied`",
        store::Step::Rollback => "only a switch that is `switched` can be rolled back",
        store::Step::Complete => "only a switch that is `switched` can be completed",
        store::Step::Abandon => "only a switch before its cutover can be abandoned",
        _ => "`run` needs a complete plan, and a switch that has not ended",
    };
    let Switch { merchant, from, .. } = switch;
    let hint = match (switch.state, step) {
        (SwitchState::Completed, _) => format!("`passerelle switch plan {merchant} --to {from}` plans the way back"),
        (SwitchState::Switched, store::Step::Abandon) => format!("`passerelle switch rollback {merchant}` comes first"),
        _ => format!("`passerelle switch status {merchant}` says what comes next"),
    };
    format!("the switch is `{state}`, and {needed}; {hint}")
}

/// The steps of a command, and why it would be refused now.
pub(super) fn of(loaded: &Loaded, command: &Tried, decided: Decided, mut refused: Vec<Reason>) -> Steps {
    let switch = &loaded.switch;
    let step = match command {
        Tried::Run(_) => store::Step::Run,
        Tried::Cutover(_) => store::Step::Cutover,
        Tried::Rollback(_) => store::Step::Rollback,
        Tried::Complete(_) => store::Step::Complete,
        Tried::Abandon { .. } => store::Step::Abandon,
    };
    let state = shown_state(switch.state);
    // The command itself proves it, unless the operator accepts that it is not proven.
    let proves = refused.iter().any(|reason| reason.code == gates::UNPROVEN);
    refused.retain(|reason| reason.code != gates::UNPROVEN);
    if (state, switch.epoch) != (decided.state, decided.epoch) {
        let detail = format!("the switch is `{}` in epoch {} by now", state.as_str(), switch.epoch);
        refused.insert(0, Reason { code: "switch_changed".to_owned(), detail });
    } else if switch.state.after(step).is_none() {
        refused.insert(0, Reason { code: "wrong_state".to_owned(), detail: wrong_state(switch, step) });
    }
    let (from, to) = (&switch.from, &switch.to);
    let steps: Vec<(&str, String, bool)> = match command {
        Tried::Run(_) if switch.state == SwitchState::Planned => vec![
            ("open", format!("writes the routing row: `{from}` is active, and the switch is open"), true),
            ("pin", format!("gives each customer of `{from}` a row, pinned to `{from}`"), true),
            ("copy", format!("creates or links each customer at `{to}`"), false),
        ],
        Tried::Run(_) => vec![("copy", "copies what is pending and what is marked".to_owned(), false)],
        Tried::Cutover(_) => {
            let prove = format!("writes one record's own values back to `{from}`, which has accepted no write lately");
            let flip = format!("makes `{to}` active: new customers are created there");
            let follow = format!("lets the customers of `{from}` move to `{to}` as their copies are complete");
            let mut steps = vec![("prove", prove, true), ("flip", flip, true), ("follow", follow, true)];
            steps.retain(|(code, ..)| proves || *code != "prove");
            steps
        }
        Tried::Rollback(accepted) => {
            let flip = format!("makes `{from}` active");
            let follow = format!("lets the customers of `{to}` move to `{from}` as their copies are complete");
            let stale = format!("lets the others move to `{from}` as well, without their last writes at `{to}`");
            let mut steps = vec![("flip", flip, true), ("follow", follow, true), (STALE, stale, false)];
            steps.retain(|(code, ..)| *code != STALE || accepted.iter().any(|accepted| accepted == STALE));
            steps
        }
        Tried::Complete(_) => vec![("end", "ends passes and copying back; ids and tombstones stay".to_owned(), false)],
        Tried::Abandon { undo: true, .. } => vec![
            ("undo", format!("deletes at `{to}` what this switch created and what still stands as it was left"), false),
            ("end", "ends the switch; ids and tombstones stay".to_owned(), false),
        ],
        Tried::Abandon { .. } => vec![("end", "ends the switch; ids and tombstones stay".to_owned(), false)],
    };
    let step = |(code, detail, reversible): (&str, String, bool)| Step { code: code.to_owned(), detail, reversible };
    Steps {
        object: StepsObject::SwitchSteps,
        command: command.name(),
        steps: steps.into_iter().map(step).collect(),
        refused,
    }
}
