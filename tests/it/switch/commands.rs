//! Commands of several operators, and switches that follow each other.

use passerelle::switch::{
    service::{Decided, PlanOptions, RefusedKind, SwitchService, VerifyOptions},
    view::{SwitchState, SwitchView},
};
use serde_json::json;

use super::{
    bed::{Bed, Vendor, person},
    merchant::{codes_of, decided, is_copied, to_new},
};

/// One operator rolls back while another one looks at the status before the cutover. Its command comes in the same state again,
/// but in another epoch.
#[tokio::test]
async fn a_cutover_command_that_arrives_after_another_operators_rollback_is_refused() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    bed.create(&person(0)).await;
    let copied = bed.driven().await;
    let switched = bed.cut_over(&copied).await;
    let back = bed.gateway.switches().rollback(&switched.id, Vec::new(), decided(&switched)).await.expect("no gate");
    assert_eq!((back.state, back.epoch), (SwitchState::Copied, copied.epoch + 2));
    let accepted = codes_of(&bed.gateway.switches().records(&back.id, None, None, 500).await.expect("read").entries);
    let late = bed.gateway.switches().cutover(&copied.id, accepted, decided(&copied)).await.expect_err("too late");
    assert_eq!(late.kind, RefusedKind::Changed, "{late:?}");
    let now = bed.gateway.switches().get(&copied.id).await.expect("a switch");
    assert_eq!((now.state, now.epoch), (SwitchState::Copied, back.epoch), "nothing was changed");
}

/// From `old` to `new`, completed, and from there to a third connection.
#[tokio::test]
async fn a_completed_switch_is_followed_by_one_to_a_third_connection() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let third = Vendor::start("bitnob", "");
    let text = |active: &str| {
        super::bed::configuration(&bed.folder, &bed.old, &bed.new)
            .replace("active = \"old\"", &format!("active = \"{active}\""))
            + &format!("connections.third = {}\n", third.connection())
    };
    bed.gateway.try_reload(&text("old")).await.expect("reloaded");
    for number in 0..3 {
        bed.create(&person(number)).await;
    }
    let ids = [bed.public_id(0).await, bed.public_id(1).await, bed.public_id(2).await];
    let first = bed.driven().await;
    to_the_end(&bed, &first, &text("new")).await;
    let options = PlanOptions { to: "third".to_owned(), ..to_new() };
    let planned = bed.gateway.switches().plan("acme", options, None).await.expect("a second plan");
    let planned = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
    assert_eq!((&*planned.from, &*planned.to, planned.epoch), ("new", "third", 1));
    bed.run(&planned).await;
    let second = bed.wait(&planned.id, "the copies", is_copied).await;
    to_the_end(&bed, &second, &text("third")).await;
    for (number, id) in ids.iter().enumerate() {
        let shown = bed.gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!((shown.status.as_u16(), shown.body["id"].as_str()), (200, Some(&**id)), "{}", shown.text);
        assert_eq!(shown.body["provider"]["connection"], "third", "{}", shown.text);
        assert_eq!(third.with_email(&format!("awa{number}@example.com")).await.len(), 1);
    }
    bed.patch(&ids[0], json!({ "phone": "+221771112233" })).await;
    let records = bed.gateway.switches().records(&first.id, None, None, 500).await.expect("read").entries;
    assert!(records.iter().all(|record| record.differences.is_empty()), "an ended switch keeps no difference");
}

/// Cuts over, waits until the customers have moved, and completes.
async fn to_the_end(bed: &Bed, view: &SwitchView, text: &str) {
    let switches = bed.gateway.switches();
    let from = view.from.clone();
    switches.verify(&view.id, VerifyOptions::default(), decided(view)).await.expect("it begins");
    let is_verified = |view: &SwitchView| view.verified.as_ref().is_some_and(|verified| verified.complete);
    let ready = bed.wait(&view.id, "the verification", is_verified).await;
    let records = switches.records(&view.id, None, None, 500).await.expect("read").entries;
    let mut accepted = codes_of(&records);
    accepted.push("way_back_unproven".to_owned());
    let switched = switches.cutover(&view.id, accepted.clone(), decided(&ready)).await.expect("the gate is open");
    let has_moved = move |view: &SwitchView| {
        view.pinned.get(&from).copied().unwrap_or_default() <= view.records.refused + view.records.needs_decision
    };
    let switched = bed.wait(&switched.id, "the move", has_moved).await;
    bed.gateway.try_reload(text).await.expect("the file follows the row");
    accepted.push("pinned".to_owned());
    let decided = Decided { state: switched.state, epoch: switched.epoch };
    let done = switches.complete(&switched.id, accepted, decided).await.expect("completed");
    assert_eq!(done.state, SwitchState::Completed);
}
