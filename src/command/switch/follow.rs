//! Follows a job of a gateway until it has ended, or until it waits for a person. The gateway does the work; this only
//! looks.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use indicatif::ProgressBar;

use super::{
    client::{CallError, Client},
    show,
};
use crate::{
    command::{CommandError, terminal},
    switch::view::{BlockedCode, SwitchState, SwitchView},
};

/// How often the switch is read.
const INTERVAL: Duration = Duration::from_millis(500);
/// The gateway counts the customers for each read, and they can be a million. After a read that took long, the next one waits
/// so many times as long, and at most this long.
const PAUSE_AFTER_READ: u32 = 9;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a gateway may be gone. Another replica goes on with the job meanwhile.
const LONGEST_ABSENCE: Duration = Duration::from_mins(2);

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// The plan is complete.
    Planned,
    /// Every customer was copied, or this many of those that were pending. After a cutover: the tail is empty.
    Copied {
        /// How many may still be pending.
        pending: u64,
    },
    /// No customer is pinned to the connection that is not active.
    Moved,
    /// The verification has ended.
    Verified,
    /// What the switch has created is deleted, and it is abandoned.
    Undone,
    /// The switch has ended. With `shown`, it is printed whenever it changes.
    Ended {
        /// Whether it is printed.
        shown: bool,
    },
}

impl Goal {
    pub(super) fn is_reached(self, switch: &SwitchView) -> bool {
        match self {
            _ if !switch.state.is_open() => true,
            Self::Planned => switch.state != SwitchState::Planning,
            Self::Copied { pending } => match switch.state {
                SwitchState::Copying => pending > 0 && switch.records.pending <= pending,
                _ => switch.records.pending <= pending && moving(switch) == 0,
            },
            Self::Moved => moving(switch) == 0,
            Self::Verified => switch.verified.as_ref().is_some_and(|verified| verified.complete),
            Self::Undone | Self::Ended { .. } => false,
        }
    }

    /// Whether the command ends although the goal is not reached, because only a person can go on.
    fn waits_for_a_person(self, switch: &SwitchView) -> bool {
        let is_blocked = switch.blocked_by.as_ref().is_some_and(|blocked| match blocked.code {
            BlockedCode::DecisionNeeded if matches!(self, Self::Undone) => true,
            // The others are copied and verified meanwhile.
            BlockedCode::DecisionNeeded => !matches!(self, Self::Verified) && switch.state != SwitchState::Copying,
            code => code.needs_a_person(),
        });
        is_blocked && !matches!(self, Self::Ended { .. })
    }

    /// How far it is: the done part and the whole, where both are known.
    fn progress(self, switch: &SwitchView) -> (&'static str, u64, u64) {
        let records = &switch.records;
        match (self, switch.state, &switch.verified) {
            (Self::Verified, _, Some(verified)) => {
                ("verifying", verified.checked - verified.extra.unwrap_or_default(), records.total)
            }
            (_, SwitchState::Planning, _) => ("planning", records.total, 0),
            (_, SwitchState::Copying, _) => ("copying", records.total.saturating_sub(records.pending), records.total),
            (Self::Moved | Self::Copied { .. }, ..) => {
                ("moving", records.total.saturating_sub(tail(switch)), records.total)
            }
            _ => ("waiting", 0, 0),
        }
    }
}

/// How many customers are pinned to the connection that is not active. Before the first cutover, pins change nothing.
pub(super) fn tail(switch: &SwitchView) -> u64 {
    let elsewhere = match switch.state {
        SwitchState::Switched => &switch.from,
        _ if switch.epoch == 0 => return 0,
        _ => &switch.to,
    };
    switch.pinned.get(elsewhere).copied().unwrap_or(0)
}

/// How many customers of the tail move by themselves. A doubt may never end: at a provider whose lists do not show who is new,
/// only a person can find the record.
pub(super) fn moving(switch: &SwitchView) -> u64 {
    tail(switch).saturating_sub(switch.staying)
}

/// Reads the switch until the goal is reached or a person is needed, and shows its progress on stderr.
pub(super) async fn follow(client: &Client, mut switch: SwitchView, goal: Goal) -> Result<SwitchView, CommandError> {
    let mut progress = Progress::new();
    let path = format!("/v1/switches/{}", switch.id);
    let mut interrupted = Box::pin(tokio::signal::ctrl_c());
    // The first poll registers the signal, so that it never ends the command without a word.
    if (&mut interrupted).now_or_never().is_some() {
        return Ok(switch);
    }
    let mut absent_since: Option<Instant> = None;
    let mut pause = INTERVAL;
    loop {
        progress.show(goal, &switch);
        if goal.is_reached(&switch) || goal.waits_for_a_person(&switch) {
            progress.end();
            return Ok(switch);
        }
        tokio::select! {
            _ = &mut interrupted => {
                progress.end();
                let merchant = &switch.merchant;
                return Err(CommandError::Open(format!(
                    "interrupted. The gateway goes on.\n  to follow it again:  passerelle switch status {merchant} --watch\n  \
                     to stop it:          passerelle switch stop {merchant}"
                )));
            }
            () = tokio::time::sleep(pause) => {}
        }
        let asked = Instant::now();
        let answer = client.get(&path).await;
        pause = (asked.elapsed() * PAUSE_AFTER_READ).clamp(INTERVAL, LONGEST_PAUSE);
        match answer {
            Ok(now) => {
                switch = now;
                absent_since = None;
            }
            Err(CallError::Unreachable(_))
                if absent_since.get_or_insert_with(Instant::now).elapsed() < LONGEST_ABSENCE => {}
            Err(error) => {
                progress.end();
                let hint = format!(
                    "the job goes on in the other replicas, or when the gateway is back; see `passerelle switch status {}`",
                    switch.merchant
                );
                return Err(match error {
                    CallError::Unreachable(message) => CommandError::Failed(format!("{message}\n{hint}")),
                    CallError::Failed(message) => CommandError::Failed(message),
                });
            }
        }
    }
}

/// A bar on a terminal; elsewhere a line every ten seconds.
struct Progress {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    last_shown: String,
}

impl Progress {
    fn new() -> Self {
        Self { bar: terminal::bar(COUNTING), last_line: None, last_shown: String::new() }
    }

    fn show(&mut self, goal: Goal, switch: &SwitchView) {
        if let Goal::Ended { shown } = goal {
            let text = show::text(switch);
            if shown && text != self.last_shown {
                let _ = terminal::print(&format!("{text}\n"));
                self.last_shown = text;
            }
            return;
        }
        if matches!(goal, Goal::Undone) {
            return;
        }
        let (verb, done, total) = goal.progress(switch);
        let mut message = String::new();
        if let Some(blocked) = &switch.blocked_by {
            message = format!("it waits ({}): {}", blocked.code.as_str(), blocked.detail);
        } else if let Some(seconds) = switch.eta_seconds {
            message = format!("{} left", show::duration(seconds));
        }
        if let Some(bar) = &self.bar {
            if total > 0 && bar.length() != Some(total) {
                bar.set_length(total);
                bar.set_style(terminal::bar_style(WITH_LENGTH));
            }
            bar.set_prefix(verb);
            bar.set_position(done);
            bar.set_message(message);
            bar.tick();
            return;
        }
        if self.last_line.is_some_and(|last| last.elapsed() < terminal::LINE_INTERVAL) {
            return;
        }
        self.last_line = Some(Instant::now());
        let of = if total > 0 { format!(" of {total}") } else { String::new() };
        let separator = if message.is_empty() { "" } else { "; " };
        terminal::print_notice(&format!("{verb}: {done}{of} customers{separator}{message}"));
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The form of the bar with a length, and of one that only counts.
const WITH_LENGTH: &str = "{prefix} [{bar:30}] {pos}/{len} {msg}";
const COUNTING: &str = "{prefix} {spinner} {pos} {msg}";
