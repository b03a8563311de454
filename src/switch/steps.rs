//! What a command would do, in order, without doing it.

use super::{
    progress::Loaded,
    service::{Decided, Tried},
    show::shown_state,
    view::{Reason, Step, Steps, StepsObject},
};
use crate::store::{self, SwitchState};

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
    if (state, switch.epoch) != (decided.state, decided.epoch) {
        let detail = format!("the switch is `{}` in epoch {} by now", state.as_str(), switch.epoch);
        refused.insert(0, Reason { code: "switch_changed".to_owned(), detail });
    } else if switch.state.after(step).is_none() {
        let detail = format!("this is not possible for a switch that is `{}`", state.as_str());
        refused.insert(0, Reason { code: "wrong_state".to_owned(), detail });
    }
    let (from, to) = (&switch.from, &switch.to);
    let steps: Vec<(&str, String, bool)> = match command {
        Tried::Run(_) if switch.state == SwitchState::Planned => vec![
            ("open", format!("writes the routing row: `{from}` is active, and the switch is open"), true),
            ("pin", format!("gives each customer of `{from}` a row, pinned to `{from}`"), true),
            ("copy", format!("creates or links each customer at `{to}`"), false),
        ],
        Tried::Run(_) => vec![("copy", "copies what is pending and what is marked".to_owned(), false)],
        Tried::Cutover(_) => vec![
            ("flip", format!("makes `{to}` active: new customers are created there"), true),
            ("follow", format!("lets the customers of `{from}` move to `{to}` as their copies are complete"), true),
        ],
        Tried::Rollback(_) => vec![
            ("flip", format!("makes `{from}` active"), true),
            ("follow", format!("lets the customers of `{to}` move to `{from}` as their copies are complete"), true),
        ],
        Tried::Complete(_) => vec![("end", "ends passes and copying back; ids and tombstones stay".to_owned(), false)],
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
