//! Switches: their states, their lease, and the customers of a switch.

use std::time::Duration;

use passerelle::store::{
    ContactKind, NewSwitch, RecordChange, RecordCount, ShownRecord, Store, Switch, SwitchChange, SwitchState, Target,
    TargetKeys,
};

use super::homes::begun;
use crate::bed::Bed;

fn new(merchant: &str) -> NewSwitch {
    let [merchant, from, to, text] = [merchant, "main", "new", "{}"].map(str::to_owned);
    NewSwitch { merchant, from, to, epoch: 0, settings: text.clone(), progress: text, is_stopped: false }
}

pub(crate) async fn open(store: &Store) -> Switch {
    store.switches().open(new("acme")).await.expect("stored").expect("none is open")
}

async fn to_state(store: &Store, id: &str, state: SwitchState) -> Switch {
    let seen = store.switches().get(id).await.expect("read").expect("a switch");
    let change = SwitchChange { state: Some(state), ..SwitchChange::default() };
    assert_eq!(store.switches().change(&seen, false, change).await, Ok(true));
    store.switches().get(id).await.expect("read").expect("a switch")
}

pub(crate) fn seen(public_id: &str, pass: u64) -> RecordChange {
    let public_id = public_id.to_owned();
    RecordChange {
        source_id: Some(format!("at-{public_id}")),
        public_id,
        seen_in: Some(pass),
        ..RecordChange::default()
    }
}

pub(crate) async fn a_merchant_has_one_open_switch_and_a_plan_that_was_not_run_gives_way(bed: &Bed) {
    let store = bed.open().await;
    let first = open(&store).await;
    assert_eq!((first.state, first.from.as_str(), first.other_side("new")), (SwitchState::Planning, "main", "main"));
    let refused = store.switches().open(new("acme")).await.expect("read").expect_err("one is open");
    assert_eq!(refused.id, first.id);
    assert!(store.switches().open(new("other")).await.expect("stored").is_ok(), "another merchant's");
    to_state(&store, &first.id, SwitchState::Planned).await;
    bed.clock.move_by(Duration::from_secs(1));
    let second = open(&store).await;
    assert_eq!(store.switches().get(&first.id).await.expect("read").expect("a switch").state, SwitchState::Abandoned);
    assert_eq!(store.switches().of_merchant("acme").await, Ok(Some(second.clone())));
    to_state(&store, &second.id, SwitchState::Failed).await;
    assert_ne!(open(&store).await.id, second.id);
    assert_eq!(store.switches().list(None, None, 10).await.expect("read").len(), 4);
}

pub(crate) async fn a_switch_changes_only_for_the_state_and_epoch_that_were_decided_on(bed: &Bed) {
    let store = bed.open().await;
    let seen = open(&store).await;
    let planned = to_state(&store, &seen.id, SwitchState::Planned).await;
    let change = || SwitchChange { state: Some(SwitchState::Copying), ..SwitchChange::default() };
    assert_eq!(store.switches().change(&seen, false, change()).await, Ok(false), "another state");
    let other_epoch = Switch { epoch: 1, ..planned.clone() };
    assert_eq!(store.switches().change(&other_epoch, false, change()).await, Ok(false), "another epoch");
    assert_eq!(store.switches().change(&planned, true, change()).await, Ok(false), "not this worker's");
    let blocked_by = |text: Option<&str>| SwitchChange { blocked_by: Some(text.map(str::to_owned)), ..change() };
    assert_eq!(store.switches().change(&planned, false, blocked_by(Some("{}"))).await, Ok(true));
    let copying = store.switches().get(&seen.id).await.expect("read").expect("a switch");
    assert_eq!((copying.state, copying.blocked_by.as_deref()), (SwitchState::Copying, Some("{}")));
    assert_eq!(store.switches().change(&copying, false, blocked_by(None)).await, Ok(true));
    assert_eq!(store.switches().get(&seen.id).await.expect("read").expect("a switch").blocked_by, None);
}

pub(crate) async fn one_worker_has_the_lease_and_a_page_is_stored_only_under_it(bed: &Bed) {
    let store = bed.open().await;
    let log = store.switches();
    assert!(log.lease_free().await.expect("read").is_empty());
    let switch = open(&store).await;
    assert_eq!(log.store_page(&switch.id, Some("p1".to_owned()), vec![seen("c1", 1)]).await, Ok(false), "no lease");
    assert_eq!(log.counts(&switch.id).await, Ok(Vec::new()));
    let leased = log.lease_free().await.expect("leased");
    assert_eq!(leased.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [switch.id.as_str()]);
    assert!(log.lease_free().await.expect("read").is_empty(), "it is held");
    assert_eq!(log.store_page(&switch.id, Some("p1".to_owned()), vec![seen("c1", 1)]).await, Ok(true));
    assert_eq!(log.get(&switch.id).await.expect("read").expect("a switch").progress, "p1");
    if bed.shared {
        let other = bed.open().await;
        assert!(other.switches().lease_free().await.expect("read").is_empty(), "held by the first");
        assert_eq!(other.switches().renew(&switch.id).await, Ok(None));
        bed.clock.move_by(log.lease() + Duration::from_secs(1));
        assert_eq!(other.switches().lease_free().await.expect("leased").len(), 1, "the first has gone");
        assert_eq!(log.renew(&switch.id).await, Ok(None));
        assert_eq!(log.store_page(&switch.id, Some("p2".to_owned()), Vec::new()).await, Ok(false));
        other.switches().release(&switch.id).await.expect("released");
        assert_eq!(log.lease_free().await.expect("leased").len(), 1);
    }
    let held = log.renew(&switch.id).await.expect("renewed").expect("held");
    assert_eq!((held.state, held.is_stopped), (SwitchState::Planning, false));
    let now = log.get(&switch.id).await.expect("read").expect("a switch");
    let stop = SwitchChange { is_stopped: Some(true), ..SwitchChange::default() };
    assert_eq!(log.change(&now, false, stop).await, Ok(true));
    assert!(log.renew(&switch.id).await.expect("renewed").expect("held").is_stopped);
    log.release(&switch.id).await.expect("released");
    assert!(log.lease_free().await.expect("read").is_empty(), "a stopped switch has no work");
}

pub(crate) async fn records_are_counted_and_keep_what_a_change_does_not_name(bed: &Bed) {
    let store = bed.open().await;
    let log = store.switches();
    let id = open(&store).await.id;
    log.lease_free().await.expect("leased");
    let planned = |public_id: &str, planned: &str, code: Option<&str>| RecordChange {
        planned: Some(planned.to_owned()),
        code: code.map(str::to_owned),
        ..seen(public_id, 1)
    };
    let page = vec![planned("c1", "created", None), planned("c2", "needs_decision", Some("ambiguous")), seen("c3", 1)];
    assert_eq!(log.store_page(&id, None, page).await, Ok(true));
    let created = RecordChange {
        public_id: "c1".to_owned(),
        target_id: Some("t1".to_owned()),
        outcome: Some("created".to_owned()),
        ..RecordChange::default()
    };
    assert_eq!(log.store_page(&id, None, vec![created, seen("c1", 2), seen("c2", 2)]).await, Ok(true));
    let c1 = log.record(&id, "c1").await.expect("read").expect("a record");
    assert_eq!((c1.source_id.as_deref(), c1.target_id.as_deref(), c1.attempts), (Some("at-c1"), Some("t1"), 1));
    assert_eq!((c1.outcome.as_str(), c1.planned.as_deref()), ("created", Some("created")), "a pass changes neither");
    let c2 = log.record(&id, "c2").await.expect("read").expect("a record");
    assert_eq!((c2.outcome.as_str(), c2.code.as_deref()), ("pending", Some("ambiguous")));
    let mut counts = log.counts(&id).await.expect("read");
    counts.sort_by(|one, other| one.planned.cmp(&other.planned));
    let count = |outcome: &str, planned: Option<&str>, code: Option<&str>| RecordCount {
        outcome: outcome.to_owned(),
        planned: planned.map(str::to_owned),
        code: code.map(str::to_owned),
        count: 1,
    };
    let expected = [
        count("pending", None, None),
        count("created", Some("created"), None),
        count("pending", Some("needs_decision"), Some("ambiguous")),
    ];
    assert_eq!(counts, expected);
    let pending = log.records(&id, Some("pending"), None, 10).await.expect("read");
    assert_eq!(pending.iter().map(|one| one.public_id.as_str()).collect::<Vec<_>>(), ["c2", "c3"]);
    assert_eq!(log.records(&id, None, Some("c2"), 10).await.expect("read").len(), 1);
    let decisions = [("c2", "create"), ("c3", "leave"), ("c9", "leave")].map(|(id, to)| (id.to_owned(), to.to_owned()));
    assert_eq!(log.decide(&id, decisions.into()).await, Ok(vec!["c9".to_owned()]));
    assert_eq!(log.record(&id, "c2").await.expect("read").expect("a record").decision.as_deref(), Some("create"));
    assert_eq!(log.record(&id, "c3").await.expect("read").expect("a record").outcome, "left");
}

/// R18: two customers of the source never share a target.
pub(crate) async fn a_target_is_found_by_its_contacts_and_belongs_to_one_customer(bed: &Bed) {
    let store = bed.open().await;
    let log = store.switches();
    let id = open(&store).await.id;
    log.lease_free().await.expect("leased");
    let email = log.contact_hash("acme", ContactKind::Email, "awa@example.com");
    let phone = log.contact_hash("acme", ContactKind::Phone, "+221771234567");
    assert_ne!(email, log.contact_hash("other", ContactKind::Email, "awa@example.com"));
    let target = |provider_id: &str, email_hash: Option<&String>, phone_hash: Option<&String>| Target {
        provider_id: provider_id.to_owned(),
        keys: TargetKeys { email_hash: email_hash.cloned(), phone_hash: phone_hash.cloned(), ..TargetKeys::default() },
        linked: None,
    };
    let reference = log.reference_hash("acme", "4711");
    let page =
        vec![target("t1", Some(&email), Some(&phone)), target("t2", None, Some(&phone)), target("t3", None, None)];
    assert_eq!(log.store_targets(&id, "p".to_owned(), page.clone()).await, Ok(true));
    let found = async |email: Option<&String>, phone: Option<&String>| {
        let (email_hash, phone_hash) = (email.cloned(), phone.cloned());
        let keys = TargetKeys { email_hash, phone_hash, reference_hash: None, marker: Some("copy_1".to_owned()) };
        let found = log.candidates(&id, "c1", keys).await.expect("read");
        found.into_iter().map(|target| target.provider_id).collect::<Vec<_>>()
    };
    assert_eq!(found(Some(&email), Some(&phone)).await, ["t1", "t2"]);
    assert_eq!(found(Some(&email), None).await, ["t1"]);
    assert!(found(None, None).await.is_empty());
    let mut others = [target("t4", None, None), target("t5", None, None)];
    others[0].keys.marker = Some("copy_1".to_owned());
    others[1].keys.reference_hash = Some(reference.clone());
    assert_eq!(log.store_targets(&id, "p".to_owned(), others.into()).await, Ok(true));
    assert_eq!(found(None, None).await, ["t4"]);
    let keys = TargetKeys { reference_hash: Some(reference), ..TargetKeys::default() };
    let referred = log.candidates(&id, "c9", keys).await.expect("read");
    assert_eq!(referred.iter().map(|target| target.provider_id.as_str()).collect::<Vec<_>>(), ["t5"]);
    let ids = ["t1", "t9", "t5"].map(str::to_owned);
    assert_eq!(log.are_listed(&id, ids.into()).await, Ok(vec![true, false, true]));
    assert_eq!(log.link(&id, "t3", "c1").await, Ok(true));
    assert_eq!(log.link(&id, "t3", "c2").await, Ok(false), "it is another customer's");
    assert_eq!(log.link(&id, "t3", "c1").await, Ok(true), "again");
    assert_eq!(found(None, None).await, ["t3", "t4"]);
    assert_eq!(log.store_targets(&id, "p".to_owned(), page).await, Ok(true), "a page is read again");
    assert_eq!(found(None, None).await, ["t3", "t4"], "and stays linked");
}

/// A copy in flight ends after the operator has decided: its outcome is that of another decision, so it does not count.
pub(crate) async fn the_outcome_of_a_copy_counts_only_under_the_decision_that_it_was_made_under(bed: &Bed) {
    let store = bed.open().await;
    let log = store.switches();
    let id = open(&store).await.id;
    log.lease_free().await.expect("leased");
    assert_eq!(log.store_page(&id, None, vec![seen("c1", 1)]).await, Ok(true));
    let ended = |outcome: &str, decided: &str| RecordChange {
        public_id: "c1".to_owned(),
        target_id: Some("t1".to_owned()),
        outcome: Some(outcome.to_owned()),
        code: Some("found".to_owned()),
        decided: Some(decided.to_owned()),
        ..RecordChange::default()
    };
    let decide = async |decision: &str| {
        assert_eq!(log.decide(&id, vec![("c1".to_owned(), decision.to_owned())]).await, Ok(Vec::new()));
    };
    let now = async || {
        let record = log.record(&id, "c1").await.expect("read").expect("a record");
        (record.outcome, record.code)
    };
    let found = Some("found".to_owned());
    assert_eq!(log.store_page(&id, None, vec![ended("needs_decision", "")]).await, Ok(true));
    assert_eq!(now().await, ("needs_decision".to_owned(), found.clone()));
    decide("leave").await;
    assert_eq!(log.store_page(&id, None, vec![ended("created", "")]).await, Ok(true));
    assert_eq!(now().await.0, "left", "it was decided meanwhile");
    assert_eq!(log.record(&id, "c1").await.expect("read").expect("a record").target_id.as_deref(), Some("t1"));
    decide("create").await;
    for decided in ["", "leave"] {
        assert_eq!(log.store_page(&id, None, vec![ended("needs_decision", decided)]).await, Ok(true));
        assert_eq!(now().await.0, "pending", "after {decided:?}");
    }
    assert_eq!(log.store_page(&id, None, vec![ended("created", "create")]).await, Ok(true));
    assert_eq!(now().await, ("created".to_owned(), found));
}

/// R32: an ended switch keeps no difference, and nothing of what the planner compared.
pub(crate) async fn a_switch_that_has_ended_keeps_no_details(bed: &Bed) {
    let store = bed.open().await;
    let log = store.switches();
    let id = open(&store).await.id;
    log.lease_free().await.expect("leased");
    let email = log.contact_hash("acme", ContactKind::Email, "awa@example.com");
    let keys = TargetKeys { email_hash: Some(email), ..TargetKeys::default() };
    let target = Target { provider_id: "t1".to_owned(), keys: keys.clone(), linked: None };
    assert_eq!(log.store_targets(&id, "p".to_owned(), vec![target]).await, Ok(true));
    let differs =
        RecordChange { differences: Some("[]".to_owned()), candidates: Some("[\"t1\"]".to_owned()), ..seen("c1", 1) };
    assert_eq!(log.store_page(&id, None, vec![differs]).await, Ok(true));
    // A file has named two customers, of whom the plan has judged one.
    let [judged, named] = ["c2", "c3"].map(|id| RecordChange { public_id: id.to_owned(), ..RecordChange::default() });
    log.add_records(&id, vec![judged, named]).await.expect("written");
    let planned =
        RecordChange { planned: Some("create".to_owned()), public_id: "c2".to_owned(), ..RecordChange::default() };
    assert_eq!(log.store_page(&id, None, vec![planned]).await, Ok(true));
    log.forget_details(&id).await.expect("written");
    let left = log.records(&id, None, None, 10).await.expect("read");
    assert_eq!(left.iter().map(|record| &*record.public_id).collect::<Vec<_>>(), ["c1", "c2"]);
    let record = log.record(&id, "c1").await.expect("read").expect("a record");
    assert_eq!((record.differences, record.candidates), (None, None));
    let found = log.candidates(&id, "c1", keys).await.expect("read");
    assert!(found.is_empty(), "{found:?}");
}

/// One page can have changes of every kind, and more than one of a customer.
pub(crate) async fn a_page_changes_each_customer_as_its_changes_say(bed: &Bed) {
    let store = bed.open().await;
    let log = store.switches();
    let id = open(&store).await.id;
    log.lease_free().await.expect("leased");
    let named = |number: usize| RecordChange { public_id: format!("c{number}"), ..RecordChange::default() };
    let text = |text: &str| Some(text.to_owned());
    let planned = (0..100).map(|number| RecordChange { planned: text("created"), code: text("x"), ..named(number) });
    assert_eq!(log.store_page(&id, None, planned.collect()).await, Ok(true));
    let decisions = (0..100).filter(|number| number % 5 == 4).map(|number| (format!("c{number}"), "create".to_owned()));
    let unknown = [("other".to_owned(), "leave".to_owned())];
    assert_eq!(log.decide(&id, decisions.chain(unknown).collect()).await, Ok(vec!["other".to_owned()]));
    let change = |number: usize| match number % 5 {
        0 => RecordChange { outcome: text("created"), ..named(number) },
        1 => RecordChange { differences: text("[]"), seen_in: Some(2), ..named(number) },
        2 => RecordChange { outcome: text("created"), differences: text(""), target_id: text("t"), ..named(number) },
        // An outcome of a copy that began before the decision.
        4 => RecordChange { outcome: text("refused"), decided: text(""), code: text("y"), ..named(number) },
        _ => named(number),
    };
    let again = RecordChange { outcome: text("linked"), ..named(3) };
    assert_eq!(log.store_page(&id, None, (0..100).map(change).chain([again]).collect()).await, Ok(true));
    for (number, outcome, code, differences, attempts) in [
        (0, "created", None, None, 1),
        (1, "pending", Some("x"), Some("[]"), 0),
        (2, "created", None, None, 1),
        (3, "linked", None, None, 1),
        (4, "pending", Some("x"), None, 1),
        (95, "created", None, None, 1),
        (96, "pending", Some("x"), Some("[]"), 0),
        (98, "pending", Some("x"), None, 0),
        (99, "pending", Some("x"), None, 1),
    ] {
        let record = log.record(&id, &format!("c{number}")).await.expect("read").expect("a record");
        let shown = (record.outcome.as_str(), record.code.as_deref(), record.differences.as_deref(), record.attempts);
        assert_eq!(shown, (outcome, code, differences, attempts), "{number}");
        assert_eq!(record.planned.as_deref(), Some("created"), "{number}");
    }
}

/// Who stays at the connection that is not active is counted by where the customer lives, not by its outcome alone.
pub(crate) async fn customers_who_stay_are_those_of_the_other_connection(bed: &Bed) {
    let store = begun(bed).await;
    let shown = ["c1", "c2"].map(|provider_id| ShownRecord { provider_id, email: None, phone: None });
    store.ids().adopt("acme", "main", &shown).await.expect("adopted");
    let id = open(&store).await.id;
    let log = store.switches();
    log.lease_free().await.expect("leased");
    let ended = |id: &str, outcome: &str| RecordChange { outcome: Some(outcome.to_owned()), ..seen(id, 1) };
    assert_eq!(log.store_page(&id, None, vec![ended("c1", "refused"), ended("c2", "created")]).await, Ok(true));
    let staying = async || store.ids().counts_in("acme", &id).await.expect("read").staying;
    assert_eq!(staying().await, 0, "their connection is active");
    store.ids().activate("acme", "new", 0).await.expect("stored").expect("a routing");
    assert_eq!(staying().await, 1, "the other one is copied and moves");
}
