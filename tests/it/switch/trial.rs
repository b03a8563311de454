//! What a trial from outside has found: decisions that closed the gate for ever, and findings that named no record.

use passerelle::switch::{
    service::{Decision, SwitchService},
    view::{BlockedCode, DecisionKind, Outcome, SwitchView},
};

use super::merchant::{Bed, decided, is_copied};

/// A plan about a customer whose e-mail address a record of the target has under another name.
async fn contradicted() -> (Bed, SwitchView, [String; 2]) {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let here = bed.create_one("Awa Ndiaye", "awa@example.com").await;
    bed.gateway.reload(&bed.configuration("new"));
    let there = bed.create_one("Fatou Diop", "awa@example.com").await;
    bed.gateway.reload(&bed.configuration("old"));
    let planned = bed.plan().await;
    (bed, planned, [here, there])
}

async fn decide(bed: &Bed, id: &str, public_id: &str, decision: DecisionKind, link_id: Option<&str>) {
    let view = bed.get(id).await;
    let (public_id, link_id) = (public_id.to_owned(), link_id.map(str::to_owned));
    let decisions = vec![Decision { public_id, decision, link_id }];
    bed.switches().decide(id, decisions, decided(&view)).await.expect("decided");
    let is_done = |view: &SwitchView| is_copied(view) && view.records.needs_decision == 0;
    bed.wait(id, "the decided copy", is_done).await;
}

/// R18: who has to decide `link ID` reads which record matches.
#[tokio::test]
async fn a_finding_about_a_match_names_the_record() {
    let (bed, planned, [here, there]) = contradicted().await;
    let records = bed.records(&planned.id, Some(Outcome::NeedsDecision)).await;
    let found = records.iter().find(|record| record.public_id.as_deref() == Some(&*here)).expect("a record");
    assert_eq!(found.code.as_deref(), Some("contradicting_match"));
    assert!(found.detail.as_deref().is_some_and(|detail| detail.contains(&there)), "{found:?}");
}

/// R14, R29: what a decision leaves as it stands is no difference. Otherwise no verification could open the gate again.
#[tokio::test]
async fn what_was_decided_does_not_close_the_gate() {
    let (bed, planned, [here, there]) = contradicted().await;
    bed.run(&planned).await;
    let is_waiting = |view: &SwitchView| {
        let code = view.blocked_by.as_ref().map(|blocked| blocked.code);
        is_copied(view) && code == Some(BlockedCode::DecisionNeeded)
    };
    let waiting = bed.wait(&planned.id, "the decision", is_waiting).await;
    assert_eq!(waiting.next.as_deref(), Some("passerelle switch errors acme --out errors.csv"));
    decide(&bed, &planned.id, &here, DecisionKind::Link, Some(&there)).await;
    let verified = bed.verified(&planned).await.verified.expect("verified");
    assert_eq!((verified.differences(), verified.checked > 0), (0, true), "{verified:?}");
    // A change of the client after the decision is still compared.
    let phone = serde_json::json!({ "phone": "+237699000001" });
    let changed = bed.gateway.patch(&format!("/v1/customers/{here}"), phone).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    bed.wait(&planned.id, "the copy of the change", is_copied).await;
    assert_eq!(bed.verified(&planned).await.verified.expect("verified").differences(), 0);
    decide(&bed, &planned.id, &here, DecisionKind::Leave, None).await;
    let left = bed.verified(&planned).await.verified.expect("verified");
    assert_eq!((left.differences(), left.checked), (0, verified.checked - 1), "a customer who is left is not compared");
}
