//! Copies in doubt that only the operator can end: the lists of lomi show a part of the customers, so that they prove no absence.

use passerelle::switch::{
    service::{Decision, SwitchService},
    view::{BlockedCode, DecisionKind, Outcome, SwitchState, SwitchView},
};
use passerelle_providers::model::Operation;

use super::{
    bed::{Bed, person},
    merchant::decided,
};

fn decision(public_id: &str, decision: DecisionKind) -> Decision {
    Decision { public_id: public_id.to_owned(), decision, link_id: None }
}

#[tokio::test]
async fn a_decision_ends_a_doubt_and_an_undo_says_that_it_waits_for_one() {
    let bed = Bed::start("modempay", "lomi", "error_before = 1.0\nonly = [\"create\"]\n").await;
    for number in 0..2 {
        bed.create(&person(number)).await;
    }
    let planned = bed.planned().await;
    bed.run(&planned).await;
    let is_doubtful = |view: &SwitchView| {
        view.state == SwitchState::Copied && view.records.in_doubt >= 2 && view.records.pending == 0
    };
    let view = bed.wait(&planned.id, "the doubts", is_doubtful).await;
    let (switches, id, sent) = (bed.gateway.switches(), bed.public_id(0).await, bed.new.requests(Operation::Create));

    // It was not made: it is sent again, once. This is in doubt as well, and the old decision does not end the new doubt.
    let create = vec![decision(&id, DecisionKind::Create)];
    switches.decide(&view.id, create, decided(&view)).await.expect("decided");
    let view = bed.wait(&view.id, "the doubts", is_doubtful).await;
    assert_eq!(bed.new.requests(Operation::Create), sent + 1);

    let view = switches.abandon(&view.id, Vec::new(), true, decided(&view)).await.expect("it begins");
    let view = bed.wait(&view.id, "why it waits", |view| view.blocked_by.is_some()).await;
    assert_eq!(view.blocked_by.as_ref().map(|blocked| blocked.code), Some(BlockedCode::DecisionNeeded), "{view:#?}");
    assert_eq!(view.next.as_deref(), Some("passerelle switch errors acme --out errors.csv"));
    let doubtful = switches.records(&view.id, Some(Outcome::InDoubt), None, 500).await.expect("records").entries;
    let ids = doubtful.into_iter().filter_map(|record| record.public_id);
    let left = ids.map(|id| decision(&id, DecisionKind::Leave)).collect();
    switches.decide(&view.id, left, decided(&view)).await.expect("decided");
    bed.wait(&view.id, "the end", |view| view.state == SwitchState::Abandoned).await;
    assert_eq!(bed.new.requests(Operation::Create), sent + 1);
}
