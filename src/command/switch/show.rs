//! Switches in words.

use std::fmt::Write;

use super::follow::{moving, tail};
use crate::{
    command::{
        CommandError,
        table::{shown, table},
        terminal,
    },
    switch::view::{Outcome, Steps, SwitchState, SwitchView},
};

/// Prints a switch.
pub(super) fn print(switch: &SwitchView, json: bool) -> Result<(), CommandError> {
    if json { terminal::print_json(switch) } else { terminal::print(&text(switch)) }
}

/// How many entries of a forecast are shown. The report has all.
const SHOWN: usize = 12;

/// A switch as `status` shows it: what happened, what it waits for, and the next command.
pub(super) fn text(switch: &SwitchView) -> String {
    let SwitchView { merchant, from, to, id, .. } = switch;
    let mut text = String::new();
    if matches!(switch.state, SwitchState::Planning | SwitchState::Planned) {
        for notice in &switch.notices {
            let _ = writeln!(text, "{}: {}", notice.code, notice.detail);
        }
    }
    let _ = write!(text, "{merchant}: {from} -> {to}, {} ({id})\n\n", switch.state.as_str());
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("customers", &counts(switch));
    if let Some(blocked) = &switch.blocked_by {
        line("waits", &format!("{} since {}: {}", blocked.code.as_str(), blocked.since, blocked.detail));
    }
    if switch.marks.pending > 0 {
        let since = switch.marks.oldest_at.as_deref().unwrap_or("a moment ago");
        line("changes", &format!("{} to copy, the oldest since {since}", switch.marks.pending));
    }
    if tail(switch) > 0 {
        let elsewhere = if switch.state == SwitchState::Switched { from } else { to };
        let how = match moving(switch) {
            0 => "who is refused, undecided, in doubt, left or gone stays there",
            _ => "they move one by one, without an interruption",
        };
        line("tail", &format!("{} still at {elsewhere}; {how}", tail(switch)));
    }
    if switch.state == SwitchState::Copying || switch.rate.limit.is_some() {
        let limit = switch.rate.limit.as_ref().map(|limit| format!(", at most {limit}")).unwrap_or_default();
        let eta = switch.eta_seconds.map(|seconds| format!("; {} left", duration(seconds))).unwrap_or_default();
        line("rate", &format!("{:.2} a second{limit}{eta}", switch.rate.per_second));
    }
    if let Some(verified) = &switch.verified {
        let state = if verified.complete { "" } else { ", not ended" };
        let extra = verified.extra.map(|extra| format!(", {extra} only at the other side")).unwrap_or_default();
        line(
            "verified",
            &format!(
                "{} compared{state}: {} equal, {} equal after a rule, {} differ, {} missing, {} changing, {} not readable{extra}",
                verified.checked,
                verified.equal,
                verified.equal_after_rule,
                verified.differs,
                verified.missing,
                verified.busy,
                verified.unreadable
            ),
        );
    }
    if switch.state.is_open() {
        match (switch.way_back.open, &switch.way_back.reason) {
            (true, _) => line("way back", "open"),
            (false, Some(reason)) => line("way back", &format!("closed: {reason}")),
            (false, None) => line("way back", "not proven yet"),
        }
    }
    if let Some(at) = &switch.progress_at {
        line("progress", at);
    }
    if switch.state == SwitchState::Planned {
        text.push_str(&forecast(switch));
    }
    if let Some(next) = &switch.next {
        let _ = write!(text, "\nnext: {next}");
    }
    text.trim_end().to_owned()
}

pub(super) fn counts(switch: &SwitchView) -> String {
    let mut parts = Vec::new();
    for outcome in Outcome::ALL {
        let words = match (outcome, switch.state) {
            (Outcome::Pending, SwitchState::Planning | SwitchState::Planned) => "to copy",
            (Outcome::Pending, _) => "not copied yet",
            (Outcome::Created, SwitchState::Planning | SwitchState::Planned) => "to create",
            (Outcome::Linked, SwitchState::Planning | SwitchState::Planned) => "to link",
            (Outcome::Created, _) => "created",
            (Outcome::Linked, _) => "linked",
            (Outcome::AlreadyLinked, _) => "linked before",
            (Outcome::Refused, _) => "refused",
            (Outcome::NeedsDecision, _) => "need a decision",
            (Outcome::InDoubt, _) => "in doubt",
            (Outcome::Left, _) => "left where they are",
            (Outcome::Deleted, _) => "deleted",
            (Outcome::Gone, _) => "gone",
        };
        let count = switch.records.of(*outcome);
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("{}{parts}", switch.records.total)
}

fn forecast(switch: &SwitchView) -> String {
    let changed: Vec<_> = switch.forecast.iter().filter(|entry| entry.kept < entry.held).collect();
    if changed.is_empty() {
        return String::new();
    }
    let mut table = table();
    table.set_header(["field", "held", "kept", "transformed", "derived", "carried", "lost", "rule"]);
    for entry in changed.iter().take(SHOWN) {
        let numbers = [entry.held, entry.kept, entry.transformed, entry.derived, entry.carried, entry.lost];
        let mut row = vec![entry.field.clone()];
        row.extend(numbers.map(|number| number.to_string()));
        row.push(entry.rule.clone().unwrap_or_default());
        table.add_row(row);
    }
    let more = match changed.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => {
            format!("\n{more} more fields change; `passerelle switch report {} --out FILE` has all", switch.merchant)
        }
    };
    format!("\n{}{more}\n", shown(&table))
}

/// A time in words.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Switches as a table.
pub(super) fn list(switches: &[SwitchView]) -> String {
    if switches.is_empty() {
        return "no switches; begin one with `passerelle switch plan MERCHANT --to CONNECTION`".to_owned();
    }
    let mut table = table();
    table.set_header(["merchant", "from", "to", "state", "customers", "waits for", "id"]);
    for switch in switches {
        table.add_row([
            switch.merchant.clone(),
            switch.from.clone(),
            switch.to.clone(),
            switch.state.as_str().to_owned(),
            switch.records.total.to_string(),
            switch.blocked_by.as_ref().map(|blocked| blocked.code.as_str().to_owned()).unwrap_or_default(),
            switch.id.clone(),
        ]);
    }
    shown(&table)
}

/// The steps of a command.
pub(super) fn steps(steps: &Steps) -> String {
    let mut text = format!("{} would do this; nothing was changed:\n", steps.command.as_str());
    for (place, step) in steps.steps.iter().enumerate() {
        let mark = if step.reversible { "reversible" } else { "NOT REVERSIBLE" };
        let _ = writeln!(text, "  {}. {}: {} ({mark})", place + 1, step.code, step.detail);
    }
    if !steps.refused.is_empty() {
        text.push_str("it would be refused now:\n");
        for reason in &steps.refused {
            let _ = writeln!(text, "  {}: {}", reason.code, reason.detail);
        }
    }
    text.trim_end().to_owned()
}
