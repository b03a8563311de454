//! The driver: takes the switches that have work, one task for each, in any process that shares the store. A switch is worked
//! on while its lease is held; after the end of a process, another one goes on where the last page was stored.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    Switches,
    context::Stalled,
    control::{Control, Seen},
    passes, planner,
    progress::{Loaded, encoded},
    verifying,
    view::{BlockedBy, BlockedCode},
};
use crate::store::{StoreError, Switch, SwitchChange, SwitchState};

/// How often the store is asked for switches whose worker is gone.
const LOOK: Duration = Duration::from_secs(1);
/// How long a switch with nothing to do waits, and one that is stalled.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait after a stall. The provider may be back earlier than it said.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The next step can begin.
    More,
    /// There is nothing to do now.
    Idle,
    /// The switch has no more work in this state.
    Ended,
    /// Another process has the switch.
    LeaseLost,
}

impl Switches {
    /// Works on switches. It never ends.
    pub async fn work(&self) {
        let mut running = JoinSet::new();
        let mut has_failed = false;
        loop {
            // A command of this process need not wait for the next look.
            let _ = timeout(LOOK, self.has_work.notified()).await;
            while running.try_join_next().is_some() {}
            match self.context.store.switches().lease_free().await {
                Ok(leased) => {
                    has_failed = false;
                    for switch in leased {
                        let this = self.clone();
                        running.spawn(async move { this.work_on(switch).await });
                    }
                }
                Err(error) if !has_failed => {
                    tracing::warn!("the store does not say which switches have work: {error}");
                    has_failed = true;
                }
                Err(_) => {}
            }
        }
    }

    async fn work_on(&self, switch: Switch) {
        let (id, log) = (switch.id.clone(), self.context.store.switches());
        tracing::info!(switch = id, merchant = switch.merchant, "this process works on the switch");
        let mut state = switch.state;
        loop {
            let control = Control::new();
            let is_over = tokio::select! {
                // In this order, and not in one by chance: a simulation can then repeat a run.
                biased;
                is_over = self.steps(&id, state, &control) => is_over,
                // Nothing that has not been sent is sent any more. A write that was sent is ended by its own task.
                () = self.watch(&id, state, &control) => true,
            };
            if is_over {
                break;
            }
            match log.get(&id).await {
                Ok(Some(now)) if now.state.has_work() && !now.is_stopped => state = now.state,
                _ => break,
            }
        }
        if let Err(error) = log.release(&id).await {
            tracing::warn!(switch = id, "the lease of a switch cannot be released: {error}");
        }
        // Work that came in the meantime must not wait for the next look.
        self.has_work.notify_one();
    }

    /// Watches over the work on a switch until the lease may be another's, or until the work has not ended one look after the
    /// operator stopped it, because it waits for a provider or for its rate limit. Then the work is dropped.
    async fn watch(&self, id: &str, state: SwitchState, control: &Control) {
        let (mut ticks, mut renewed, mut is_reported) = (Control::ticks(), Instant::now(), false);
        loop {
            ticks.tick().await;
            match control.look(self.context.store.switches(), id, state, &mut renewed).await {
                Seen::Fine => is_reported = false,
                Seen::Stalled if is_reported => {}
                Seen::Stalled => {
                    self.report_silence(id).await;
                    is_reported = true;
                }
                Seen::Stopped if control.must_end() => return,
                Seen::Changed | Seen::Stopped => control.end(),
                Seen::LeaseLost => return control.end(),
            }
        }
    }

    /// Does one step after the other while the switch is in this state. Returns whether the work is over.
    async fn steps(&self, id: &str, state: SwitchState, control: &Control) -> bool {
        while !control.must_end() {
            match self.step(id, state, control).await {
                Ok(Done::More) => {}
                Ok(Done::Idle) => control.pause(PAUSE).await,
                Ok(Done::Ended) => return false,
                Ok(Done::LeaseLost) => return true,
                Err(stalled) => {
                    let pause = stalled.retry_after.unwrap_or(PAUSE).clamp(PAUSE, LONGEST_PAUSE);
                    self.report(id, &stalled).await;
                    control.pause(pause).await;
                }
            }
            control.progressed();
        }
        false
    }

    async fn step(&self, id: &str, state: SwitchState, control: &Control) -> Result<Done, Stalled> {
        let Some(loaded) = self.load(id).await? else { return Ok(Done::LeaseLost) };
        if loaded.switch.state != state || loaded.switch.is_stopped {
            return Ok(Done::Ended);
        }
        let verifies = loaded.verification.as_ref().is_some_and(|verification| !verification.shown.complete);
        let done = match state {
            SwitchState::Planning => planner::step(&self.context, control, &loaded).await?,
            _ if verifies && !loaded.settings.undo => verifying::step(&self.context, control, &loaded).await?,
            _ => passes::step(&self.context, control, &loaded).await?,
        };
        if loaded.blocked_by.is_some() && matches!(done, Done::More | Done::Idle) && !control.must_end() {
            // A step that had nothing to store has ended without a stall, too.
            let change = SwitchChange { blocked_by: Some(None), ..SwitchChange::default() };
            self.context.store.switches().change(&loaded.switch, true, change).await?;
        }
        Ok(done)
    }

    /// Keeps why the switch makes no progress. The next stored page removes it.
    async fn report(&self, id: &str, stalled: &Stalled) {
        let reported = self.try_report(id, stalled).await;
        if let Err(error) = reported {
            tracing::warn!(switch = id, "a stall of the switch cannot be stored: {error}");
        }
    }

    async fn try_report(&self, id: &str, stalled: &Stalled) -> Result<(), StoreError> {
        let Some(Loaded { switch, blocked_by, .. }) = self.load(id).await? else { return Ok(()) };
        let is_known = blocked_by.as_ref().is_some_and(|known| known.code == stalled.code);
        if is_known {
            return Ok(());
        }
        tracing::warn!(switch = id, code = stalled.code.as_str(), "the switch makes no progress: {}", stalled.detail);
        let since = crate::clock::now().to_string();
        let blocked_by = BlockedBy { code: stalled.code, detail: stalled.detail.clone(), since };
        let change = SwitchChange { blocked_by: Some(Some(encoded(&blocked_by)?)), ..SwitchChange::default() };
        self.context.store.switches().change(&switch, true, change).await.map(|_| ())
    }

    /// No provider has answered for a while, and no request has failed yet.
    async fn report_silence(&self, id: &str) {
        let switch = self.context.store.switches().get(id).await.ok().flatten();
        let sides = switch.map(|switch| self.context.sides(&switch.merchant, [&switch.from, &switch.to]));
        let (code, detail) = match sides.iter().flatten().find(|side| side.upstream.own_waits()) {
            Some(limited) => (
                BlockedCode::TargetRate,
                format!(
                    "the `rate_limit` of connection `{}` leaves nothing now, because clients go first",
                    limited.name
                ),
            ),
            None => (
                BlockedCode::ProviderUnavailable,
                "no answer has come for more than a second; the gateway still waits for it".to_owned(),
            ),
        };
        self.report(id, &Stalled { code, detail, retry_after: None }).await;
    }
}
