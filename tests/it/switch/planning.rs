//! What a plan says, and when it is not run.

use passerelle::switch::{
    service::{Decided, ListedCustomer, PlanOptions, RefusedKind, RunOptions, SwitchService},
    view::{BlockedCode, DecisionKind, Outcome, SwitchState, SwitchView},
};

use super::merchant::{Bed, codes_of, decided, is_copied, to_new};

/// R17: a plan writes to no provider, and the run makes of each customer what the plan said.
#[tokio::test]
async fn a_plan_says_what_the_run_makes_of_each_customer() {
    let bed = Bed::start(["lomi", "modempay"]).await;
    bed.create(0..5).await;
    let writes = bed.gateway.audited().await;
    let planned = bed.plan().await;
    assert_eq!(bed.gateway.audited().await, writes, "nothing was written");
    let before = bed.records(&planned.id, None).await;
    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    let after = bed.records(&copied.id, None).await;
    assert_eq!(before.len(), after.len());
    for (planned, copied) in before.iter().zip(&after) {
        assert_eq!(
            (&planned.public_id, planned.outcome),
            (&copied.public_id, copied.outcome),
            "{planned:?} {copied:?}"
        );
    }
    assert_eq!(planned.records, copied.records);
}

/// R17, R25: the target cannot block, so a blocked customer needs a decision, also if an earlier switch has copied it. What
/// that switch created is not undone by the later one.
#[tokio::test]
async fn a_plan_and_its_run_both_ask_about_a_blocked_customer_who_is_linked_already() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let id = bed.create_one("Awa Ndiaye", "awa@example.com").await;
    let blocked = bed.gateway.post(&format!("/v1/customers/{id}/block"), serde_json::json!({})).await;
    assert_eq!(blocked.status, 200, "{}", blocked.text);
    let become_of = async |view: &SwitchView| {
        let records = bed.records(&view.id, None).await;
        let record = records.into_iter().find(|record| record.public_id.as_deref() == Some(&id)).expect("a record");
        (record.outcome, record.code.unwrap_or_default(), record.target_id)
    };
    let create = || {
        let (public_id, decision) = (id.clone(), DecisionKind::Create);
        vec![passerelle::switch::service::Decision { public_id, decision, link_id: None }]
    };
    let copied = bed.copied().await;
    assert_eq!(become_of(&copied).await, (Outcome::NeedsDecision, "blocked_lost".to_owned(), None));
    bed.switches().decide(&copied.id, create(), decided(&copied)).await.expect("decided");
    let copied = bed.wait(&copied.id, "the decided copy", |view| is_copied(view) && view.marks.pending == 0).await;
    let (outcome, _, target_id) = become_of(&copied).await;
    assert_eq!((outcome, target_id.is_some()), (Outcome::Created, true));
    bed.switches().abandon(&copied.id, Vec::new(), false, decided(&copied)).await.expect("abandoned");

    let asked = (Outcome::NeedsDecision, "blocked_lost".to_owned(), target_id.clone());
    let planned = bed.plan().await;
    assert_eq!(become_of(&planned).await, asked);
    let waiting = bed.records(&planned.id, Some(Outcome::NeedsDecision)).await;
    assert!(waiting.iter().any(|record| record.public_id.as_deref() == Some(&id)), "{waiting:#?}");
    assert_eq!(u64::try_from(waiting.len()).ok(), Some(planned.records.needs_decision));
    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    assert_eq!(become_of(&copied).await, asked);
    bed.switches().decide(&copied.id, create(), decided(&copied)).await.expect("decided");
    let copied = bed.wait(&copied.id, "the decided copy", |view| view.records.pending == 0).await;
    assert_eq!(become_of(&copied).await, (Outcome::AlreadyLinked, String::new(), target_id.clone()));
    bed.switches().abandon(&copied.id, Vec::new(), true, decided(&copied)).await.expect("it begins");
    bed.wait(&copied.id, "the end", |view| view.state == SwitchState::Abandoned).await;
    let rows = bed.gateway.ids().all("acme", None, 100).await.expect("rows");
    let row = rows.iter().find(|row| row.public_id == id).expect("a row");
    assert_eq!(row.id_at("new"), target_id.as_deref(), "the record of the earlier switch stands");
}

/// R18: two customers of the source who match one record of the target need a decision, both of them.
#[tokio::test]
async fn two_customers_who_match_one_record_both_need_a_decision() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let one = bed.create_one("Awa Ndiaye", "family@example.com").await;
    let two = bed.create_one("Awa Ndiaye", "family@example.com").await;
    bed.gateway.reload(&bed.configuration("new"));
    let there = bed.create_one("Awa Ndiaye", "family@example.com").await;
    bed.gateway.reload(&bed.configuration("old"));
    let planned = bed.plan().await;
    let undecided = |records: &[passerelle::switch::view::SwitchRecord]| {
        let mut ids: Vec<String> = records
            .iter()
            .filter(|record| record.code.as_deref() == Some("shared_match"))
            .filter_map(|record| record.public_id.clone())
            .collect();
        ids.sort();
        ids
    };
    let mut both = vec![one.clone(), two.clone()];
    both.sort();
    assert_eq!(undecided(&bed.records(&planned.id, Some(Outcome::NeedsDecision)).await), both);
    bed.run(&planned).await;
    let copied = bed.wait(&planned.id, "the copies", is_copied).await;
    assert_eq!(
        undecided(&bed.records(&copied.id, Some(Outcome::NeedsDecision)).await),
        both,
        "the run guesses nothing"
    );
    let decision = |public_id: &str, decision, link_id: Option<&str>| passerelle::switch::service::Decision {
        public_id: public_id.to_owned(),
        decision,
        link_id: link_id.map(str::to_owned),
    };
    let decisions = vec![decision(&one, DecisionKind::Link, Some(&there)), decision(&two, DecisionKind::Create, None)];
    bed.switches().decide(&copied.id, decisions, decided(&copied)).await.expect("decided");
    let is_done = |view: &SwitchView| is_copied(view) && view.records.needs_decision == 0;
    bed.wait(&copied.id, "the decided copies", is_done).await;
    let records = bed.records(&copied.id, None).await;
    let of = |id: &str| records.iter().find(|record| record.public_id.as_deref() == Some(id)).expect("a record");
    assert_eq!((of(&one).outcome, of(&one).target_id.as_deref()), (Outcome::Linked, Some(there.as_str())));
    assert_eq!(of(&two).outcome, Outcome::Created);
    assert_ne!(of(&two).target_id.as_deref(), Some(there.as_str()));
}

/// R18: a record that an earlier switch has linked stays with its customer, whoever else matches it.
#[tokio::test]
async fn a_record_that_is_linked_already_stays_linked_where_another_customer_matches_it() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let one = bed.create_one("Awa Ndiaye", "family@example.com").await;
    let copied = bed.copied().await;
    bed.switches().abandon(&copied.id, Vec::new(), false, decided(&copied)).await.expect("abandoned");
    let two = bed.create_one("Awa Ndiaye", "family@example.com").await;
    let planned = bed.plan().await;
    let records = bed.records(&planned.id, None).await;
    let of = |id: &str| records.iter().find(|record| record.public_id.as_deref() == Some(id)).expect("a record");
    assert_eq!((of(&one).outcome, of(&one).target_id.is_some()), (Outcome::AlreadyLinked, true), "{:?}", of(&one));
    assert_eq!((of(&two).outcome, of(&two).code.as_deref()), (Outcome::Created, None), "{:?}", of(&two));
}

/// R18: a plan names the record that a customer is linked with.
#[tokio::test]
async fn a_plan_names_the_record_that_stands_at_the_target() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let here = bed.create_one("Awa Ndiaye", "awa@example.com").await;
    bed.gateway.reload(&bed.configuration("new"));
    let there = bed.create_one("Awa Ndiaye", "awa@example.com").await;
    bed.gateway.reload(&bed.configuration("old"));
    let planned = bed.plan().await;
    let records = bed.records(&planned.id, None).await;
    let record = records.iter().find(|record| record.public_id.as_ref() == Some(&here)).expect("a record");
    assert_eq!((record.outcome, record.target_id.as_ref()), (Outcome::Linked, Some(&there)), "{record:?}");
    assert!(record.code.is_some() && record.level.is_some(), "{record:?}");
}

/// R24: a file says who there is, and the values are read from the source.
#[tokio::test]
async fn a_file_says_who_there_is() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let ids = bed.create(0..4).await;
    let listed: Vec<_> =
        [ids[1].as_str(), ids[3].as_str(), "cus_unknown"].map(|id| Ok(ListedCustomer { id: id.to_owned() })).into();
    let listed = Box::pin(futures_util::stream::iter(listed));
    let planned = bed.switches().plan("acme", to_new(), Some(listed)).await.expect("a plan begins");
    let planned = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
    assert_eq!((planned.records.total, planned.records.created, planned.records.gone), (3, 2, 1), "{planned:#?}");
}

/// R27: a plan is not run when what it depends on has changed.
#[tokio::test]
async fn a_plan_whose_inputs_changed_is_not_run() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let planned = bed.plan().await;
    let progress_at = planned.progress_at.as_deref().unwrap_or_default();
    assert!(progress_at.parse::<jiff::Timestamp>().is_ok(), "{planned:#?}");
    bed.gateway.reload(&bed.configuration("old").replace("region = \"CM\"", "region = \"SN\""));
    let refused = bed.switches().run(&planned.id, RunOptions::default(), decided(&planned)).await.expect_err("changed");
    assert_eq!(refused.reasons.first().map(|reason| reason.code.as_str()), Some("plan_changed"), "{refused:?}");
    bed.gateway.reload(&bed.configuration("old"));
    bed.run(&planned).await;
}

#[tokio::test]
async fn a_plan_is_refused_where_there_is_no_other_side_or_another_switch_is_open() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let to = |to: &str| PlanOptions { to: to.to_owned(), ..to_new() };
    let kind = async |merchant: &str, options: PlanOptions| {
        bed.switches().plan(merchant, options, None).await.map(|view| view.id).map_err(|refused| refused.kind)
    };
    assert_eq!(kind("acme", to("old")).await, Err(RefusedKind::Invalid), "it is active already");
    assert_eq!(kind("acme", to("other")).await, Err(RefusedKind::NotFound));
    assert_eq!(kind("other", to("new")).await, Err(RefusedKind::NotFound));
    let keyed = || PlanOptions { idempotency_key: Some("k1".to_owned()), ..to_new() };
    let first = kind("acme", keyed()).await.expect("a plan");
    assert_eq!(kind("acme", keyed()).await, Ok(first.clone()), "the same key");
    let planned = bed.wait(&first, "the plan", |view| view.state == SwitchState::Planned).await;
    bed.run(&planned).await;
    assert_eq!(kind("acme", to_new()).await, Err(RefusedKind::NotAllowed), "it runs");
    let wrong = Decided { epoch: 9, ..decided(&planned) };
    assert_eq!(
        bed.switches().run(&first, RunOptions::default(), wrong).await.map_err(|one| one.kind),
        Err(RefusedKind::Changed)
    );
}

fn codes(view: &SwitchView) -> Vec<&str> {
    view.notices.iter().map(|notice| notice.code.as_str()).collect()
}

/// R24: what the provider's list or API lacks is said first.
#[tokio::test]
async fn a_plan_says_first_whom_it_cannot_know_and_what_the_target_cannot_do() {
    let bed = Bed::start(["lomi", "modempay"]).await;
    let planned = bed.plan().await;
    assert_eq!(codes(&planned), ["source_lists_partly"]);
    assert!(planned.notices[0].detail.contains("--from-file"), "{:?}", planned.notices);
    let bed = Bed::start(["modempay", "paymentkit"]).await;
    bed.create(0..2).await;
    let planned = bed.plan().await;
    assert_eq!(codes(&planned), ["target_cannot_create"]);
    let records = bed.records(&planned.id, Some(Outcome::Refused)).await;
    let refused = records.iter().filter(|record| record.code.as_deref() == Some("target_cannot_create")).count();
    assert!(refused >= 2, "{records:?}");
}

/// R26: the merchant's live rate is above the target's, so the plan says it; and while the limit is used up, the switch says
/// that it waits for it.
#[tokio::test]
async fn a_rate_that_the_target_does_not_allow_is_said_by_the_plan_and_while_it_is_used_up() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    bed.create(0..4).await;
    let limited =
        bed.configuration("old").replace("connections.new = { ", "connections.new = { rate_limit = \"1/h\", ");
    bed.gateway.reload(&limited);
    let planned = bed.switches().plan("acme", to_new(), None).await.expect("a plan begins");
    assert_eq!(codes(&planned), ["target_rate"]);
    let is_blocked =
        |view: &SwitchView| view.blocked_by.as_ref().is_some_and(|blocked| blocked.code == BlockedCode::TargetRate);
    bed.wait(&planned.id, "the limit", is_blocked).await;
    bed.gateway.reload(&bed.configuration("old"));
    let planned = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
    assert_eq!(planned.blocked_by, None);
}

/// R3, R24: the merchant knows its customers by the ids of the first provider, and its file has those.
#[tokio::test]
async fn a_file_may_have_the_ids_that_the_merchant_knows_from_an_earlier_switch() {
    let bed = Bed::start(["notchpay", "modempay"]).await;
    let ids = bed.create(0..3).await;
    let copied = bed.copied().await;
    let verified = bed.verified(&copied).await;
    let accepted = codes_of(&bed.records(&copied.id, None).await);
    let switched = bed.switches().cutover(&copied.id, accepted, decided(&verified)).await.expect("the gate is open");
    let moved = |view: &SwitchView| view.pinned["old"] <= view.records.refused + view.records.needs_decision;
    let switched = bed.wait(&switched.id, "the move", moved).await;
    let mut accepted = codes_of(&bed.records(&switched.id, None).await);
    accepted.extend(["pinned", "file_differs", "marks_pending"].map(str::to_owned));
    bed.switches().complete(&switched.id, accepted, decided(&switched)).await.expect("completed");
    let listed: Vec<_> = ids.iter().map(|id| Ok(ListedCustomer { id: id.clone() })).collect();
    let options = PlanOptions { to: "old".to_owned(), ..to_new() };
    let planned =
        bed.switches().plan("acme", options, Some(Box::pin(futures_util::stream::iter(listed)))).await.expect("a plan");
    let planned = bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
    assert_eq!((planned.records.total, planned.records.already_linked), (3, 3), "{planned:#?}");
    for record in bed.records(&planned.id, None).await {
        assert!(ids.contains(record.public_id.as_ref().expect("an id")), "{record:?}");
        assert_ne!(record.source_id, record.public_id, "the source knows it by another id");
    }
}
