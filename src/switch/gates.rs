//! What must hold before a command changes a switch. Each function returns the reasons why not; a reason whose code the
//! operator accepts does not count, except where nothing can make it safe.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use passerelle_providers::model::Operation;

use super::{
    context::Context,
    progress::Loaded,
    view::{Outcome, Reason},
};
use crate::store::{IdCounts, RecordCount, State, StoreError, SwitchState};

/// The marks that a cutover allows: this many, or one in a hundred customers.
const MARKS: u64 = 100;
/// How recent a write that the source has accepted must be.
const PROOF: Duration = Duration::from_hours(1);
/// The writes of a merchant among which the proof is searched.
const WRITES: usize = 200;

/// The code of a way back that no write has shown to be open.
pub(super) const UNPROVEN: &str = "way_back_unproven";

/// What the gates look at.
pub(super) struct Evidence {
    pub(super) counts: Vec<RecordCount>,
    pub(super) ids: IdCounts,
    /// The connection that the file names; `None`: the merchant is not in the file.
    pub(super) in_file: Option<String>,
    pub(super) way_back: Result<(), Reason>,
}

impl Evidence {
    pub(super) async fn of(context: &Context, loaded: &Loaded) -> Result<Self, StoreError> {
        let (switch, store) = (&loaded.switch, &context.store);
        let gateway = context.gateway.load_full();
        let configured = gateway.connection(&switch.merchant, &switch.from);
        Ok(Self {
            counts: store.switches().counts(&switch.id).await?,
            ids: store.ids().counts_in(&switch.merchant, &switch.id).await?,
            in_file: configured.map(|(merchant, _)| merchant.active.name.clone()),
            way_back: way_back(context, loaded).await?,
        })
    }

    /// How many customers have an outcome.
    pub(super) fn count(&self, outcome: Outcome) -> u64 {
        self.counts.iter().filter(|count| count.outcome == outcome.as_str()).map(|count| count.count).sum()
    }

    fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.count).sum()
    }

    fn pinned(&self, connection: &str) -> u64 {
        self.ids.pinned.get(connection).copied().unwrap_or_default()
    }

    /// The customers that wait for a person, by the code of the reason.
    fn open(&self) -> Vec<Reason> {
        let mut by_code: BTreeMap<(String, &str), u64> = BTreeMap::new();
        for count in &self.counts {
            let words = match Outcome::parse(&count.outcome) {
                Some(Outcome::Refused) => "refused",
                Some(Outcome::NeedsDecision) => "undecided",
                Some(Outcome::InDoubt) => "in doubt",
                _ => continue,
            };
            let code = count.code.clone().unwrap_or_else(|| count.outcome.clone());
            *by_code.entry((code, words)).or_default() += count.count;
        }
        let reason = |((code, words), count)| {
            let first =
                if words == "in doubt" { "wait until it is known, or decide about them" } else { "decide about them" };
            let detail = format!("{count} customers are {words}: {first}, or add `--accept {code}`");
            Reason { code, detail }
        };
        by_code.into_iter().map(reason).collect()
    }
}

/// Whether the way back is proven: the source has accepted a write lately.
async fn way_back(context: &Context, loaded: &Loaded) -> Result<Result<(), Reason>, StoreError> {
    let switch = &loaded.switch;
    let gateway = context.gateway.load_full();
    let Some((_, source)) = gateway.connection(&switch.merchant, &switch.from) else {
        return Ok(Err(reason("way_back_closed", format!("the connection `{}` is not configured", switch.from))));
    };
    if !source.manifest.operation(Operation::Create).is_supported() {
        let detail = format!(
            "{} cannot create customers, so new customers stay at `{}` after a rollback: add `--accept way_back_partial`",
            source.manifest.name, switch.to
        );
        return Ok(Err(reason("way_back_partial", detail)));
    }
    let since = crate::clock::now() - PROOF;
    let writes = context.store.operations().list(Some(&switch.merchant), Some(State::Done), None, WRITES).await?;
    let is_proof = |finished: Option<Timestamp>, connection: &str| {
        connection == switch.from && finished.is_some_and(|at| at >= since)
    };
    if writes.iter().any(|write| is_proof(write.finished_at, &write.connection)) {
        return Ok(Ok(()));
    }
    let detail = format!(
        "`{}` has accepted no write within the last hour; `cutover` writes one record's own values back there. If that is \
         refused, update any customer there through the gateway, or add `--accept {UNPROVEN}`",
        switch.from
    );
    Ok(Err(reason(UNPROVEN, detail)))
}

fn reason(code: &str, detail: impl Into<String>) -> Reason {
    Reason { code: code.to_owned(), detail: detail.into() }
}

/// Without the reasons that the operator accepts.
fn unless_accepted(reasons: Vec<Reason>, accepted: &[String]) -> impl Iterator<Item = Reason> {
    reasons.into_iter().filter(|reason| !accepted.contains(&reason.code))
}

/// R14: why the target cannot become active now.
pub(super) fn cutover(loaded: &Loaded, evidence: &Evidence, accepted: &[String]) -> Vec<Reason> {
    let mut closed = Vec::new();
    let merchant = &loaded.switch.merchant;
    if loaded.settings.undo {
        closed.push(reason("abandoning", "the switch is being abandoned: what it created is deleted"));
    }
    let marks = evidence.ids.marked.saturating_add(evidence.count(Outcome::Pending));
    if marks > MARKS.max(evidence.total() / 100) {
        let detail = format!("{marks} customers are not copied in their last state: wait until `run` has copied them");
        closed.push(reason("marks_pending", detail));
    }
    match &loaded.verification {
        Some(verification) if !verification.shown.complete => {
            closed.push(reason("verify_running", "a verification goes on: wait until it has ended"));
        }
        Some(verification) if verification.shown.differences() > 0 => {
            let detail = format!(
                "the last verification found {} differences: `passerelle switch verify {merchant}` again when they are \
                 copied; `passerelle switch results {merchant} --out results.csv` names them",
                verification.shown.differences()
            );
            closed.push(reason("verify_differs", detail));
        }
        Some(verification) if verification.is_whole() => {}
        _ => {
            let detail = format!(
                "not every customer was compared since the plan and the last decisions: `passerelle switch verify {merchant}`"
            );
            closed.push(reason("not_verified", detail));
        }
    }
    let mut open = evidence.open();
    open.extend(evidence.way_back.clone().err());
    closed.extend(unless_accepted(open, accepted));
    closed
}

/// Why the switch cannot be completed now.
pub(super) fn complete(loaded: &Loaded, evidence: &Evidence, accepted: &[String]) -> Vec<Reason> {
    let switch = &loaded.switch;
    let mut closed = Vec::new();
    if evidence.in_file.as_deref() != Some(switch.to.as_str()) {
        let detail = format!(
            "the configuration file still names another connection: set `active = \"{}\"`, and reload",
            switch.to
        );
        closed.push(reason("file_differs", detail));
    }
    if loaded.verification.as_ref().is_some_and(|verification| !verification.shown.complete) {
        closed.push(reason("verify_running", "a verification goes on: wait until it has ended"));
    }
    let pending = evidence.ids.marked.saturating_add(evidence.count(Outcome::Pending));
    if pending > 0 {
        closed.push(reason(
            "marks_pending",
            format!("{pending} customers are not copied back in their last state: wait"),
        ));
    }
    let pinned = evidence.pinned(&switch.from);
    if pinned > 0 {
        let detail =
            format!("{pinned} customers still live at `{}`, and stay there: add `--accept pinned`", switch.from);
        closed.push(reason("pinned", detail));
    }
    closed.extend(evidence.open());
    unless_accepted(closed, accepted).collect()
}

/// R20: why the switch cannot be abandoned now.
pub(super) fn abandon(loaded: &Loaded, evidence: &Evidence, accepted: &[String]) -> Vec<Reason> {
    let switch = &loaded.switch;
    let pinned = evidence.pinned(&switch.to);
    if matches!(switch.state, SwitchState::Planning | SwitchState::Planned) || pinned == 0 {
        return Vec::new();
    }
    let detail = format!("{pinned} customers live at `{}`, and stay there: add `--accept pinned`", switch.to);
    unless_accepted(vec![reason("pinned", detail)], accepted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::Switch,
        switch::{
            progress::{KeptForecast, Progress, Settings, Verification},
            view::Verified,
        },
    };

    fn loaded(verification: Option<Verification>) -> Loaded {
        let [id, merchant, from, to, text] = ["sw_1", "acme", "main", "new", "{}"].map(str::to_owned);
        let switch = Switch {
            id,
            merchant,
            from,
            to,
            state: SwitchState::Copied,
            epoch: 0,
            plan_hash: None,
            settings: text.clone(),
            progress: text,
            forecast: None,
            verified: None,
            blocked_by: None,
            is_stopped: false,
            created_at: 0,
            progress_at: 0,
        };
        let (settings, progress, forecast) = (Settings::default(), Progress::default(), KeptForecast::default());
        Loaded { switch, settings, progress, verification, blocked_by: None, forecast }
    }

    fn verified(differs: u64) -> Option<Verification> {
        let shown = Verified { complete: true, checked: 1000, differs, equal: 1000 - differs, ..Verified::default() };
        Some(Verification { shown, ..Verification::default() })
    }

    fn evidence(counts: &[(&str, Option<&str>, u64)], marked: u64) -> Evidence {
        let count = |(outcome, code, count): &(&str, Option<&str>, u64)| RecordCount {
            outcome: (*outcome).to_owned(),
            planned: None,
            code: code.map(str::to_owned),
            count: *count,
        };
        Evidence {
            counts: counts.iter().map(count).collect(),
            ids: IdCounts { marked, ..IdCounts::default() },
            in_file: Some("main".to_owned()),
            way_back: Ok(()),
        }
    }

    fn codes(reasons: Vec<Reason>) -> Vec<String> {
        reasons.into_iter().map(|reason| reason.code).collect()
    }

    /// R14: each condition of the gate closes it, and only what can be accepted is opened by its code.
    #[test]
    fn a_cutover_gate_names_what_closes_it() {
        let fine = evidence(&[("created", None, 1000)], 100);
        assert!(cutover(&loaded(verified(0)), &fine, &[]).is_empty());
        assert_eq!(codes(cutover(&loaded(None), &fine, &["not_verified".to_owned()])), ["not_verified"]);
        assert_eq!(codes(cutover(&loaded(verified(3)), &fine, &["verify_differs".to_owned()])), ["verify_differs"]);
        let sampled = verified(0).map(|whole| Verification { sample: Some(20), ..whole });
        assert_eq!(codes(cutover(&loaded(sampled), &fine, &[])), ["not_verified"]);
        let begun = Some(Verification::default());
        assert_eq!(codes(cutover(&loaded(begun), &fine, &[])), ["verify_running"]);
        let marked = evidence(&[("created", None, 1000)], 101);
        assert_eq!(codes(cutover(&loaded(verified(0)), &marked, &["marks_pending".to_owned()])), ["marks_pending"]);
        let many = evidence(&[("created", None, 100_000)], 1000);
        assert!(cutover(&loaded(verified(0)), &many, &[]).is_empty(), "one in a hundred");
        let open = [
            ("refused", Some("required_missing"), 2),
            ("needs_decision", Some("shared_match"), 1),
            ("in_doubt", None, 1),
        ];
        let open = evidence(&open, 0);
        assert_eq!(codes(cutover(&loaded(verified(0)), &open, &[])), ["in_doubt", "required_missing", "shared_match"]);
        let accepted = ["required_missing", "in_doubt"].map(str::to_owned);
        assert_eq!(codes(cutover(&loaded(verified(0)), &open, &accepted)), ["shared_match"]);
        let unproven = Evidence { way_back: Err(reason("way_back_unproven", "")), ..evidence(&[], 0) };
        assert_eq!(codes(cutover(&loaded(verified(0)), &unproven, &[])), ["way_back_unproven"]);
        assert!(cutover(&loaded(verified(0)), &unproven, &["way_back_unproven".to_owned()]).is_empty());
    }

    /// R32, R20: a switch ends only where nothing is left behind, or the operator accepts that.
    #[test]
    fn a_switch_ends_only_with_nothing_left_behind_unless_it_is_accepted() {
        let mut left = evidence(&[("created", None, 10), ("pending", None, 1)], 1);
        left.ids.pinned.insert("main".to_owned(), 2);
        left.ids.pinned.insert("new".to_owned(), 3);
        assert_eq!(codes(complete(&loaded(None), &left, &[])), ["file_differs", "marks_pending", "pinned"]);
        let accepted = ["file_differs", "marks_pending", "pinned"].map(str::to_owned);
        assert!(complete(&loaded(None), &left, &accepted).is_empty());
        assert_eq!(codes(abandon(&loaded(None), &left, &[])), ["pinned"]);
        assert!(abandon(&loaded(None), &left, &["pinned".to_owned()]).is_empty());
        assert!(abandon(&loaded(None), &evidence(&[], 0), &[]).is_empty());
    }
}
