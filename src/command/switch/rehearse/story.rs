//! The commands of a whole switch, one after another, with the time that each took.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::client::Client;
use crate::{
    command::{CommandError, terminal},
    switch::{
        service::{Decided, Decision, PlanOptions, Refused, RefusedKind, RunOptions, SwitchService, VerifyOptions},
        view::{DecisionKind, Outcome, Reason, SwitchState, SwitchView},
    },
};

/// How long a step may take without progress.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often the switch is read.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a gate is tried: it is closed while the last writes of the client are being copied.
const GATE: Duration = Duration::from_mins(1);
/// How long the last writes may take to be copied, before the rest counts as left.
const LAST_COPIES: Duration = Duration::from_secs(3);
/// The conditions that a rehearsal accepts. They say what a provider cannot do, not that something is wrong.
const ACCEPTED: [&str; 4] = ["way_back_unproven", "way_back_partial", "file_differs", "pinned"];

/// One step of the story.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    command: &'static str,
    seconds: f64,
    result: String,
}

pub(super) struct Story {
    switches: Arc<dyn SwitchService>,
    is_shown: bool,
    lines: Vec<Line>,
    left: u64,
}

fn decided(view: &SwitchView) -> Decided {
    Decided { state: view.state, epoch: view.epoch }
}

fn failed(refused: &Refused) -> CommandError {
    let mut message = refused.detail.clone();
    for reason in &refused.reasons {
        message.push_str(&format!("\n  {}: {}", reason.code, reason.detail));
    }
    CommandError::Failed(message)
}

impl Story {
    pub(super) const fn new(switches: Arc<dyn SwitchService>, is_shown: bool) -> Self {
        Self { switches, is_shown, lines: Vec::new(), left: 0 }
    }

    /// The lines, and how many customers were left at the source.
    pub(super) fn ended(self) -> (Vec<Line>, u64) {
        (self.lines, self.left)
    }

    /// Plan, run, verify, cutover, rollback, cutover, complete.
    pub(super) async fn play(&mut self, client: &Client) -> Result<(), CommandError> {
        let id = self.plan().await?;
        self.run(&id).await?;
        self.verify(&id, "verify").await?;
        self.cutover(&id).await?;
        self.rollback(&id).await?;
        self.verify(&id, "verify").await?;
        self.cutover(&id).await?;
        client.only_read();
        self.complete(&id).await
    }

    async fn plan(&mut self) -> Result<String, CommandError> {
        let begun = Instant::now();
        let options = PlanOptions { to: "new".to_owned(), sample: 0, idempotency_key: None };
        let planned = self.switches.plan("shop", options, None).await.map_err(|refused| failed(&refused))?;
        let planned = self.wait(&planned.id, "the plan", |view| view.state != SwitchState::Planning).await?;
        if planned.state == SwitchState::Failed {
            let why = planned.blocked_by.map(|blocked| blocked.detail).unwrap_or_default();
            return Err(CommandError::Failed(format!("the plan failed: {why}")));
        }
        let changed = planned.forecast.iter().filter(|entry| entry.kept < entry.held).count();
        let lost: u64 = planned.forecast.iter().map(|entry| entry.lost).sum();
        let result = format!("{}; {changed} fields change, {lost} values are lost", outcomes(&planned));
        self.line("plan", begun, result)?;
        Ok(planned.id)
    }

    async fn run(&mut self, id: &str) -> Result<(), CommandError> {
        let begun = Instant::now();
        let view = self.get(id).await?;
        self.switches.run(id, RunOptions::default(), decided(&view)).await.map_err(|refused| failed(&refused))?;
        let is_copied =
            |view: &SwitchView| view.state == SwitchState::Copied && view.records.pending + view.records.in_doubt == 0;
        self.wait(id, "the copies", is_copied).await?;
        self.leave_open(id).await?;
        // The client goes on to create customers.
        let copied = self.wait(id, "the copies", is_copied).await?;
        self.left = copied.records.left;
        let result = format!("{}{}", outcomes(&copied), self.reasons(id).await?);
        self.line("run", begun, result)
    }

    /// Leaves where they are those that the target cannot hold, or who need a decision.
    async fn leave_open(&self, id: &str) -> Result<(), CommandError> {
        for outcome in [Outcome::Refused, Outcome::NeedsDecision] {
            loop {
                let page = self.switches.records(id, Some(outcome), None, 500).await;
                let entries = page.map_err(|refused| failed(&refused))?.entries;
                let leave = |public_id| Decision { public_id, decision: DecisionKind::Leave, link_id: None };
                let decisions: Vec<_> = entries.into_iter().filter_map(|one| one.public_id).map(leave).collect();
                if decisions.is_empty() {
                    break;
                }
                let view = self.get(id).await?;
                self.switches.decide(id, decisions, decided(&view)).await.map_err(|refused| failed(&refused))?;
            }
        }
        Ok(())
    }

    async fn verify(&mut self, id: &str, name: &'static str) -> Result<(), CommandError> {
        let begun = Instant::now();
        let verified = self.verified(id).await?;
        let shown = verified.verified.unwrap_or_default();
        let result = format!(
            "{} compared: {} equal, {} equal after a rule, {} differ, {} missing, {} changing",
            shown.checked - shown.extra.unwrap_or_default(),
            shown.equal,
            shown.equal_after_rule,
            shown.differs,
            shown.missing,
            shown.busy
        );
        self.line(name, begun, result)
    }

    async fn verified(&self, id: &str) -> Result<SwitchView, CommandError> {
        self.leave_open(id).await?;
        let view = self.get(id).await?;
        self.switches.verify(id, VerifyOptions::default(), decided(&view)).await.map_err(|refused| failed(&refused))?;
        let is_done = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
        self.wait(id, "the verification", is_done).await
    }

    async fn cutover(&mut self, id: &str) -> Result<(), CommandError> {
        let begun = Instant::now();
        let mut accepted: Vec<String> = Vec::new();
        loop {
            let view = self.get(id).await?;
            match self.switches.cutover(id, accepted.clone(), decided(&view)).await {
                Ok(_) => return self.moved(id, "cutover", "main", begun, &accepted).await,
                Err(refused) => {
                    let is_closed = |code: &str| refused.reasons.iter().any(|reason| reason.code == code);
                    if is_closed("not_verified") || is_closed("verify_differs") {
                        self.verified(id).await?;
                    }
                    self.again(id, begun, refused, &mut accepted).await?;
                }
            }
        }
    }

    async fn rollback(&mut self, id: &str) -> Result<(), CommandError> {
        let begun = Instant::now();
        let view = self.get(id).await?;
        let rolled = self.switches.rollback(id, Vec::new(), decided(&view)).await;
        rolled.map_err(|refused| failed(&refused))?;
        self.moved(id, "rollback", "new", begun, &[]).await
    }

    /// Waits until those have moved who can.
    async fn moved(
        &mut self,
        id: &str,
        name: &'static str,
        away: &str,
        begun: Instant,
        accepted: &[String],
    ) -> Result<(), CommandError> {
        let flipped = begun.elapsed().as_millis();
        let stays = |view: &SwitchView| view.records.left + view.records.refused + view.records.needs_decision;
        let view =
            self.wait(id, "the move", |view| view.pinned.get(away).copied().unwrap_or_default() <= stays(view)).await?;
        let stay = view.pinned.get(away).copied().unwrap_or_default();
        let mut result = format!("after {flipped} ms active; then all moved but {stay}");
        if !accepted.is_empty() {
            result.push_str(&format!(" (accepted: {})", accepted.join(", ")));
        }
        self.line(name, begun, result)
    }

    async fn complete(&mut self, id: &str) -> Result<(), CommandError> {
        let begun = Instant::now();
        let mut accepted: Vec<String> = Vec::new();
        loop {
            let view = self.get(id).await?;
            // Who is left at the source is not copied any more, also if the client has written since.
            let is_left = (1..=view.records.left).contains(&(view.marks.pending + view.records.pending));
            if is_left && begun.elapsed() > LAST_COPIES && !accepted.iter().any(|code| code == "marks_pending") {
                accepted.push("marks_pending".to_owned());
            }
            match self.switches.complete(id, accepted.clone(), decided(&view)).await {
                Ok(view) => {
                    self.left = view.records.left;
                    let result = format!("{}{}", outcomes(&view), self.reasons(id).await?);
                    return self.line("complete", begun, result);
                }
                Err(refused) => self.again(id, begun, refused, &mut accepted).await?,
            }
        }
    }

    /// Accepts what a rehearsal accepts, and waits a moment for the rest.
    async fn again(
        &self,
        id: &str,
        begun: Instant,
        refused: Refused,
        accepted: &mut Vec<String>,
    ) -> Result<(), CommandError> {
        let can_pass = matches!(refused.kind, RefusedKind::NotAllowed | RefusedKind::Changed);
        if !can_pass || begun.elapsed() > GATE {
            return Err(failed(&refused));
        }
        for Reason { code, .. } in refused.reasons {
            if !accepted.contains(&code) && ACCEPTED.contains(&code.as_str()) {
                accepted.push(code);
            }
        }
        self.leave_open(id).await?;
        tokio::time::sleep(INTERVAL).await;
        Ok(())
    }

    /// Those who stay at the source, by the code of the reason.
    async fn reasons(&self, id: &str) -> Result<String, CommandError> {
        let page =
            self.switches.records(id, Some(Outcome::Left), None, 500).await.map_err(|refused| failed(&refused))?;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for record in page.entries {
            *counts.entry(record.code.unwrap_or_else(|| "left".to_owned())).or_default() += 1;
        }
        let words: Vec<String> = counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
        Ok(if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) })
    }

    async fn get(&self, id: &str) -> Result<SwitchView, CommandError> {
        self.switches.get(id).await.map_err(|refused| failed(&refused))
    }

    async fn wait(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&SwitchView) -> bool,
    ) -> Result<SwitchView, CommandError> {
        let mut since = Instant::now();
        let mut progress = None;
        loop {
            let view = self.get(id).await?;
            if is_so(&view) {
                return Ok(view);
            }
            if view.progress_at != progress {
                (since, progress) = (Instant::now(), view.progress_at.clone());
            }
            if since.elapsed() > PATIENCE {
                let why = view.blocked_by.map(|blocked| format!("; it waits: {}", blocked.detail)).unwrap_or_default();
                return Err(CommandError::Failed(format!("{what} made no progress for {} s{why}", PATIENCE.as_secs())));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn line(&mut self, command: &'static str, begun: Instant, result: String) -> Result<(), CommandError> {
        let seconds = begun.elapsed().as_secs_f64();
        if self.is_shown {
            terminal::print(&format!("{command:<9}{seconds:>5.1} s  {result}"))?;
        }
        self.lines.push(Line { command, seconds, result });
        Ok(())
    }
}

fn outcomes(view: &SwitchView) -> String {
    crate::command::switch::show::counts(view)
}
