//! The whole story: plan, run, verify, cutover, rollback, cutover, complete.

use passerelle::switch::{
    service::{RefusedKind, SwitchService},
    view::{Outcome, SwitchState, SwitchView},
};
use reqwest::Method;
use serde_json::json;

use super::merchant::{Bed, codes_of, decided, is_copied, text};

fn total(view: &SwitchView) -> u64 {
    Outcome::ALL.iter().map(|outcome| view.records.of(*outcome)).sum()
}

/// R1, R2, R14, R16: ids survive, everybody moves, and the way back is the same.
#[tokio::test]
async fn a_merchant_switches_there_and_back_and_there_and_every_id_goes_on_to_work() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let ids = bed.create(0..30).await;
    let planned = bed.plan().await;
    assert_eq!(total(&planned), planned.records.total, "the outcomes sum to the customers");
    assert!(planned.records.total >= 30 && planned.records.pending == 0, "{planned:#?}");
    assert_eq!(planned.next.as_deref(), Some("passerelle switch run acme"));
    assert!(planned.forecast.iter().any(|entry| entry.field == "email" && entry.held >= 30), "{planned:#?}");

    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    assert_eq!(total(&copied), copied.records.total);
    assert!(copied.records.created >= 30, "{copied:#?}");
    for id in &ids {
        assert_eq!(bed.home(id).await, "old", "before the cutover no customer moves");
    }

    let verified = bed.verified(&copied).await;
    let result = verified.verified.clone().expect("a verification");
    assert!(result.checked >= 30 && result.differences() == 0, "{result:?}");

    // A write at the source proves the way back, and is copied.
    let changed = bed.gateway.patch(&format!("/v1/customers/{}", ids[3]), json!({ "name": "Fatou Diop" })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let copied = bed.wait(&copied.id, "the mark", is_copied).await;

    let accepted = codes_of(&bed.records(&copied.id, None).await);
    let switched = bed.switches().cutover(&copied.id, accepted, decided(&copied)).await.expect("the gate is open");
    assert_eq!((switched.state, switched.epoch), (SwitchState::Switched, copied.epoch + 1));
    let moved = |view: &SwitchView| view.pinned["old"] <= view.records.refused + view.records.needs_decision;
    bed.wait(&switched.id, "the move", moved).await;
    for id in &ids {
        assert_eq!(bed.home(id).await, "new");
    }
    assert_eq!(text(&bed.retrieve(&ids[3]).await.body, "name"), "Fatou Diop", "the last state has moved");

    // New customers live at the target, and are copied back.
    let fresh = bed.create_one("Amadou Ba", "amadou@example.com").await;
    assert_eq!(bed.home(&fresh).await, "new");
    let changed = bed.gateway.patch(&format!("/v1/customers/{}", ids[4]), json!({ "name": "Amadou Ba" })).await;
    assert_eq!((changed.status.as_u16(), text(&changed.body["provider"], "connection")), (200, "new"));
    let is_back = |view: &SwitchView| view.marks.pending == 0 && view.records.pending == 0 && view.pinned["new"] == 0;
    let switched = bed.wait(&switched.id, "copying back", is_back).await;

    let back = bed.switches().rollback(&switched.id, Vec::new(), decided(&switched)).await.expect("it asks nothing");
    assert_eq!((back.state, back.epoch), (SwitchState::Copied, switched.epoch + 1));
    for id in ids.iter().chain([&fresh]) {
        assert_eq!(bed.home(id).await, "old");
    }
    assert_eq!(text(&bed.retrieve(&ids[4]).await.body, "name"), "Amadou Ba");

    let ready = bed.verified(&back).await;
    let accepted = codes_of(&bed.records(&ready.id, None).await);
    let again = bed.switches().cutover(&ready.id, accepted, decided(&ready)).await.expect("the gate is open");
    let again = bed.wait(&again.id, "the move", moved).await;
    let refused = bed.switches().complete(&again.id, Vec::new(), decided(&again)).await.expect_err("the file differs");
    assert!(refused.reasons.iter().any(|reason| reason.code == "file_differs"), "{refused:?}");
    bed.gateway.try_reload(&bed.configuration("new")).await.expect("the file follows the row");
    let mut accepted = codes_of(&bed.records(&again.id, None).await);
    accepted.push("pinned".to_owned());
    let done = bed.switches().complete(&again.id, accepted, decided(&again)).await.expect("completed");
    assert_eq!((done.state, done.next), (SwitchState::Completed, None));
    for id in ids.iter().chain([&fresh]) {
        assert_eq!(bed.home(id).await, "new");
    }
    let deleted = bed.gateway.send(bed.gateway.request(Method::DELETE, &format!("/v1/customers/{}", ids[0]))).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    assert_eq!(bed.retrieve(&ids[0]).await.status, 404);
}

/// A command that was decided on another state or epoch is refused, also where the gate is open.
#[tokio::test]
async fn a_command_that_was_decided_on_another_state_is_refused() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    bed.create(0..2).await;
    let planned = bed.plan().await;
    let before = decided(&planned);
    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    let late = bed.switches().abandon(&planned.id, Vec::new(), false, before).await.expect_err("another state");
    assert_eq!(late.kind, RefusedKind::Changed, "{late:?}");
    let other_epoch = passerelle::switch::service::Decided { epoch: 7, ..decided(&copied) };
    let late = bed.switches().cutover(&copied.id, Vec::new(), other_epoch).await.expect_err("another epoch");
    assert_eq!(late.kind, RefusedKind::Changed, "{late:?}");
    let closed = bed.switches().cutover(&copied.id, Vec::new(), decided(&copied)).await.expect_err("not verified");
    assert!(closed.reasons.iter().any(|reason| reason.code == "not_verified"), "{closed:?}");
    let ended = bed.switches().abandon(&copied.id, Vec::new(), false, decided(&copied)).await.expect("abandoned");
    assert_eq!(ended.state, SwitchState::Abandoned);
}

/// 5.3: a reload in which the file names the other side goes through the same gate.
#[tokio::test]
async fn a_reload_that_names_the_other_side_is_a_cutover_through_the_same_gate() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let ids = bed.create(0..3).await;
    let copied = bed.copied().await;
    let refused = bed.gateway.try_reload(&bed.configuration("new")).await.expect_err("not verified");
    assert!(refused.reasons.iter().any(|reason| reason.code == "not_verified"), "{refused:?}");
    assert_eq!(bed.get(&copied.id).await.state, SwitchState::Copied);
    // R10: the store names both connections.
    let without: Vec<String> = bed
        .configuration("old")
        .lines()
        .filter(|line| !line.starts_with("connections.new"))
        .map(str::to_owned)
        .collect();
    let refused = bed.gateway.try_reload(&without.join("\n")).await.expect_err("a connection is missing");
    assert!(refused.reasons.iter().any(|reason| reason.code == "connection_needed"), "{refused:?}");
    // Those that the target cannot hold are left, so the gate needs no code.
    let open: Vec<_> = bed
        .records(&copied.id, None)
        .await
        .into_iter()
        .filter(|one| matches!(one.outcome, Outcome::Refused | Outcome::NeedsDecision))
        .collect();
    let leave =
        open.into_iter().filter_map(|one| one.public_id).map(|public_id| passerelle::switch::service::Decision {
            public_id,
            decision: passerelle::switch::view::DecisionKind::Leave,
            link_id: None,
        });
    bed.switches().decide(&copied.id, leave.collect(), decided(&copied)).await.expect("decided");
    let verified = bed.verified(&copied).await;
    let changed = bed.gateway.patch(&format!("/v1/customers/{}", ids[0]), json!({ "name": "Fatou Diop" })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    bed.gateway.try_reload(&bed.configuration("new")).await.expect("the gate is open");
    assert_eq!(bed.get(&verified.id).await.state, SwitchState::Switched);
    bed.gateway.try_reload(&bed.configuration("old")).await.expect("a rollback asks nothing");
    assert_eq!(bed.get(&verified.id).await.state, SwitchState::Copied);
}
