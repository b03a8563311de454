//! The commands that decide: cutover, rollback, complete and abandon. They show what they would do and ask, before they do
//! it.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use serde::Serialize;

use super::{
    client::Client,
    follow::{Goal, follow, moving},
    show,
};
use crate::{
    command::{CommandError, terminal},
    operator::requests::{AbandonBody, ConditionsBody},
    switch::{
        service::Decided,
        view::{Steps, SwitchState, SwitchView},
    },
};

#[derive(Debug, Args)]
pub(super) struct Conditions {
    /// The merchant.
    merchant: String,
    /// Accept a condition that is not met, by its code. It can be given several times.
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<String>,
    /// Answer the question with yes. Needed where there is no terminal.
    #[arg(long)]
    yes: bool,
    /// Show every step, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until the customers have moved.
    #[arg(long)]
    detach: bool,
}

/// What a command was decided on.
pub(super) const fn decided(switch: &SwitchView) -> Decided {
    Decided { state: switch.state, epoch: switch.epoch }
}

/// Whether and how a command asks first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    /// It always asks, so without a terminal it needs `--yes`.
    Always,
    /// It asks only where there is a terminal.
    OnTerminal,
    Never,
}

pub(super) async fn cutover(client: &Client, json: bool, conditions: Conditions) -> Result<(), CommandError> {
    let switch = client.of_merchant(&conditions.merchant).await?;
    let body = body(&switch, &conditions);
    if let Some(switch) = decide(client, json, &switch, "cutover", &conditions, Question::Always, body).await? {
        moved(client, json, switch, conditions.detach).await?;
    }
    Ok(())
}

pub(super) async fn rollback(client: &Client, json: bool, conditions: Conditions) -> Result<(), CommandError> {
    let switch = client.of_merchant(&conditions.merchant).await?;
    let body = body(&switch, &conditions);
    if let Some(switch) = decide(client, json, &switch, "rollback", &conditions, Question::Always, body).await? {
        moved(client, json, switch, conditions.detach).await?;
    }
    Ok(())
}

pub(super) async fn complete(client: &Client, json: bool, conditions: Conditions) -> Result<(), CommandError> {
    let switch = client.of_merchant(&conditions.merchant).await?;
    let body = body(&switch, &conditions);
    match decide(client, json, &switch, "complete", &conditions, Question::Always, body).await? {
        Some(switch) => show::print(&switch, json),
        None => Ok(()),
    }
}

pub(super) async fn abandon(
    client: &Client,
    json: bool,
    conditions: Conditions,
    undo: bool,
) -> Result<(), CommandError> {
    let switch = client.of_merchant(&conditions.merchant).await?;
    let ConditionsBody { decided, accept, .. } = body(&switch, &conditions);
    let body = AbandonBody { decided, accept, undo, dry_run: false };
    let question = if undo { Question::OnTerminal } else { Question::Never };
    let Some(switch) = decide(client, json, &switch, "abandon", &conditions, question, body).await? else {
        return Ok(());
    };
    let switch = match conditions.detach {
        true => switch,
        // What the switch created is deleted in the background.
        false => follow(client, switch, Goal::Undone).await?,
    };
    show::print(&switch, json)?;
    match &switch.blocked_by {
        Some(blocked) if undo && !conditions.detach => {
            Err(CommandError::Open(format!("it waits for a person: {}", blocked.detail)))
        }
        _ => Ok(()),
    }
}

fn body(switch: &SwitchView, conditions: &Conditions) -> ConditionsBody {
    ConditionsBody { decided: decided(switch), accept: conditions.accept.clone(), dry_run: false }
}

/// A body that can ask for the steps instead.
trait Tried: Clone + Serialize {
    fn dry(&self) -> Self;
}

impl Tried for ConditionsBody {
    fn dry(&self) -> Self {
        Self { dry_run: true, ..self.clone() }
    }
}

impl Tried for AbandonBody {
    fn dry(&self) -> Self {
        Self { dry_run: true, ..self.clone() }
    }
}

/// Shows the steps with `--dry-run`; otherwise asks where that is needed, and executes the command. The question and the
/// command carry the same state and epoch, so a switch that changes while a person thinks is not changed.
async fn decide(
    client: &Client,
    json: bool,
    switch: &SwitchView,
    command: &str,
    conditions: &Conditions,
    question: Question,
    body: impl Tried,
) -> Result<Option<SwitchView>, CommandError> {
    let path = format!("/v1/switches/{}/{command}", switch.id);
    if conditions.dry_run {
        let steps: Steps = client.post(&path, &body.dry()).await?;
        if json {
            terminal::print_json(&steps)?;
        } else {
            terminal::print(&show::steps(&steps))?;
        }
        return match steps.refused.is_empty() {
            true => Ok(None),
            false => Err(CommandError::Open(String::new())),
        };
    }
    let is_terminal = std::io::stdin().is_terminal();
    if !conditions.yes && question == Question::Always && !is_terminal {
        let merchant = &conditions.merchant;
        return Err(CommandError::Usage(format!(
            "there is no terminal to ask on: add --yes, or see the steps first with `passerelle switch {command} {merchant} --dry-run`"
        )));
    }
    if !conditions.yes && question != Question::Never && is_terminal {
        let steps: Steps = client.post(&path, &body.dry()).await?;
        terminal::print_notice(&show::steps(&steps));
        if steps.refused.is_empty() && !is_confirmed(command)? {
            return Err(CommandError::Open("nothing was changed".to_owned()));
        }
    }
    Ok(Some(client.post(&path, &body).await?))
}

fn is_confirmed(command: &str) -> Result<bool, CommandError> {
    terminal::print_notice(&format!("\n{command} now? Type yes:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(line.trim().eq_ignore_ascii_case("yes"))
}

/// Follows the customers who move one by one after the active connection has changed.
async fn moved(client: &Client, json: bool, switch: SwitchView, detach: bool) -> Result<(), CommandError> {
    let active = if switch.state == SwitchState::Switched { &switch.to } else { &switch.from };
    if !json {
        terminal::print_notice(&format!(
            "{active} is active now: new customers are created there, and the others move one by one, without an interruption."
        ));
    }
    let switch = if detach { switch } else { follow(client, switch, Goal::Moved).await? };
    show::print(&switch, json)?;
    // Those that the other side cannot hold, and those who were left by a decision, stay, as the operator has accepted.
    match moving(&switch) {
        count if count > 0 && !detach => {
            let merchant = &switch.merchant;
            Err(CommandError::Open(format!(
                "{count} customers have not moved; see why: passerelle switch errors {merchant} --out errors.csv"
            )))
        }
        _ => Ok(()),
    }
}
