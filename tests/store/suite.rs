//! What holds on every database.

use std::{collections::HashMap, time::Duration};

use libtest_mimic::Trial;
use passerelle::store::{
    Adopted, Claim, End, Event, NewOperation, OperationId, Resend, State, Store, StoreError, audit,
};

use crate::{
    bed::{Bed, answer, claim, done, keyed, keyless, take_over_one},
    cluster, server,
    trial::trial,
};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

macro_rules! suite {
    ($($test:ident),+ $(,)?) => {
        /// The whole suite on one kind of database.
        pub(crate) fn on(name: &str, bed: fn() -> Bed) -> Vec<Trial> {
            vec![$(trial(format!("{name}::{}", stringify!($test)), move || async move {
                let bed = bed();
                $test(&bed).await;
            })),+]
        }
    };
}

suite![
    a_key_is_claimed_once_and_answered_again_byte_for_byte,
    a_key_with_another_request_is_refused,
    keys_do_not_cross_merchants,
    an_unknown_outcome_is_told_as_that,
    what_was_surely_not_sent_frees_its_key,
    writes_without_a_key_join_only_unfinished_twins,
    a_thousand_duplicates_of_twenty_keys_leave_one_each,
    a_newer_attempt_fences_the_older_off,
    an_end_may_be_told_twice,
    what_nobody_heard_is_told_to_whoever_asks_again,
    what_is_sent_again_is_noted_before,
    a_write_that_joins_nobody_is_its_own,
    a_newer_write_to_the_customer_is_not_undone,
    a_customer_comes_of_one_create,
    a_lease_that_is_renewed_is_not_taken,
    what_is_unknown_is_taken_over_when_it_is_due,
    answers_go_with_their_customer,
    answers_that_come_after_the_deletion_are_not_kept,
    a_deletion_is_answered_again_whoever_deletes_after_it,
    lifetimes_end_in_their_order,
    lifetimes_hold_without_the_reaper,
    writes_are_listed_newest_first,
    the_audit_tells_every_intent_and_outcome,
    commands_are_kept_while_the_outcome_is_open,
    ids_are_not_given_twice,
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on("file", Bed::file);
    trials.extend(on("memory", Bed::memory));
    trials.extend(on("postgres", server::bed).into_iter().map(cluster::or_ignored));
    trials
}

async fn a_key_is_claimed_once_and_answered_again_byte_for_byte(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    match store.claim(keyed("acme", "k", "r")).await {
        Ok(Claim::InFlight(record)) => assert_eq!((record.id, record.state), (id, State::Sending)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.finish(id, 1, done()).await, Ok(true));
    for _ in 0..3 {
        match store.claim(keyed("acme", "k", "r")).await {
            Ok(Claim::Finished(record)) => {
                assert_eq!((record.id, record.customer.as_deref()), (id, Some("c1")));
                assert_eq!((record.answer, record.status), (Some(answer(201)), Some(201)));
            }
            other => panic!("{other:?}"),
        }
    }
    let id = claim(&store, keyed("acme", "k2", "r2")).await;
    assert_eq!(store.finish(id, 1, End::Failed { answer: answer(422) }).await, Ok(true));
    let again = store.claim(keyed("acme", "k2", "r2")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.state == State::Failed));
}

async fn a_key_with_another_request_is_refused(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.claim(keyed("acme", "k", "other")).await, Ok(Claim::Reused));
    store.finish(id, 1, done()).await.expect("finished");
    assert_eq!(store.claim(keyed("acme", "k", "other")).await, Ok(Claim::Reused));
}

async fn keys_do_not_cross_merchants(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    claim(&store, keyed("other", "k", "r")).await;
    claim(&store, keyless("third", "r")).await;
    assert_eq!(store.operation("other", id).await, Ok(None));
    assert!(matches!(store.operation("acme", id).await, Ok(Some(record)) if record.id == id && record.keyed));
}

async fn an_unknown_outcome_is_told_as_that(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let end = End::Unknown { reconcile_after: Some(bed.hand.now() + HOUR), answer: answer(504) };
    assert_eq!(store.finish(id, 1, end).await, Ok(true));
    match store.claim(keyed("acme", "k", "r")).await {
        Ok(Claim::Unknown(record)) => {
            assert_eq!(record.reconcile_after, Some(bed.hand.now() + HOUR));
            assert_eq!((record.state, record.answer, record.finished_at), (State::Unknown, Some(answer(504)), None));
        }
        other => panic!("{other:?}"),
    }
    // A late answer to the same attempt is better knowledge.
    assert_eq!(store.finish(id, 1, done()).await, Ok(true));
    assert!(matches!(store.claim(keyed("acme", "k", "r")).await, Ok(Claim::Finished(_))));
}

async fn what_was_surely_not_sent_frees_its_key(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.finish(id, 1, End::NotSent).await, Ok(true));
    assert_eq!(store.operation("acme", id).await, Ok(None));
    let second = claim(&store, keyed("acme", "k", "another request")).await;
    assert_ne!(second, id);
    let events: Vec<Event> = store.audit(0, 10).await.expect("audit").iter().map(|record| record.event).collect();
    assert_eq!(events, [Event::Intent, Event::NotSent, Event::Intent]);
}

async fn writes_without_a_key_join_only_unfinished_twins(bed: &Bed) {
    let store = bed.open().await;
    let first = claim(&store, keyless("acme", "r")).await;
    assert!(matches!(store.claim(keyless("acme", "r")).await, Ok(Claim::InFlight(record)) if record.id == first));
    claim(&store, keyless("acme", "another")).await;
    claim(&store, keyless("other", "r")).await;
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.finish(first, 1, end).await.expect("finished");
    assert!(matches!(store.claim(keyless("acme", "r")).await, Ok(Claim::Unknown(record)) if record.id == first));
    bed.hand.move_by(119 * SECOND);
    assert!(matches!(store.claim(keyless("acme", "r")).await, Ok(Claim::Unknown(_))));
    bed.hand.move_by(SECOND);
    let second = claim(&store, keyless("acme", "r")).await;
    // What is done is a genuine twin's business no more.
    store.finish(second, 1, done()).await.expect("finished");
    claim(&store, keyless("acme", "r")).await;
}

async fn a_thousand_duplicates_of_twenty_keys_leave_one_each(bed: &Bed) {
    let first = bed.open().await;
    let mut stores = vec![first.clone()];
    if bed.shared {
        stores.push(bed.open().await);
        stores.push(bed.open().await);
    }
    for wave in 0..10 {
        let mut running = Vec::new();
        for number in 0..2000 {
            let (store, name) = (stores[number % stores.len()].clone(), format!("k{wave}-{}", number % 2));
            running.push(tokio::spawn(async move {
                let outcome = store.claim(keyed("acme", &name, "r")).await.expect("a claim");
                (name, outcome)
            }));
        }
        let mut new: HashMap<String, usize> = HashMap::new();
        for task in running {
            let (name, outcome) = task.await.expect("a task");
            match outcome {
                Claim::New { attempt: 1 } => *new.entry(name).or_default() += 1,
                Claim::InFlight(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(new.len(), 2);
        assert!(new.values().all(|count| *count == 1), "{new:?}");
    }
    check_audit(&first, 20).await;
}

async fn check_audit(store: &Store, length: u64) {
    let head = store.verify_audit().await.expect("read").expect("an unbroken chain");
    assert_eq!(head.sequence, length);
}

async fn a_newer_attempt_fences_the_older_off(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.take_over(10).await, Ok(Vec::new()));
    bed.hand.move_by(31 * SECOND);
    let other = if bed.shared { bed.open().await } else { store.clone() };
    let taken = take_over_one(&other).await;
    assert_eq!((taken.id, taken.attempt, taken.state), (id, 2, State::Sending));
    assert!(taken.command.is_some());
    assert_eq!(other.take_over(10).await, Ok(Vec::new()), "it has a new lease");
    assert_eq!(store.finish(id, 1, End::Failed { answer: answer(400) }).await, Ok(false));
    assert_eq!(store.finish(id, 1, End::NotSent).await, Ok(false));
    assert_eq!(other.finish(id, 2, done()).await, Ok(true));
    assert_eq!(store.finish(id, 1, done()).await, Ok(false));
    let again = store.claim(keyed("acme", "k", "r")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.state == State::Done && record.attempt == 2));
    check_audit(&store, 3).await;
}

async fn an_end_may_be_told_twice(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.finish(id, 1, done()).await, Ok(true));
    assert_eq!(store.finish(id, 1, done()).await, Ok(true));
    assert_eq!(store.finish(id, 1, End::Failed { answer: answer(400) }).await, Ok(false));
    let id = claim(&store, keyed("acme", "k2", "r")).await;
    assert_eq!(store.finish(id, 1, End::NotSent).await, Ok(true));
    assert_eq!(store.finish(id, 1, End::NotSent).await, Ok(true));
    assert_eq!(store.finish(OperationId::now(), 1, done()).await, Ok(false));
    check_audit(&store, 4).await;
}

async fn a_lease_that_is_renewed_is_not_taken(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    for _ in 0..10 {
        bed.hand.move_by(29 * SECOND);
        store.renew().await.expect("renewed");
        assert_eq!(store.take_over(10).await, Ok(Vec::new()));
    }
    // A task that is at work for longer than any attempt lasts is dead.
    bed.hand.move_by(29 * SECOND);
    store.renew().await.expect("renewed");
    bed.hand.move_by(2 * SECOND);
    assert_eq!(take_over_one(&store).await.id, id);
    if bed.shared {
        // The sign of life of one is none of another's.
        let other = bed.open().await;
        bed.hand.move_by(29 * SECOND);
        other.renew().await.expect("renewed");
        bed.hand.move_by(2 * SECOND);
        assert_eq!(take_over_one(&other).await.attempt, 3);
    }
}

async fn what_is_unknown_is_taken_over_when_it_is_due(bed: &Bed) {
    let store = bed.open().await;
    let due = claim(&store, keyed("acme", "due", "r")).await;
    let held = claim(&store, keyed("acme", "held", "r")).await;
    let soon = bed.hand.now() + 10 * SECOND;
    let unknown = |reconcile_after| End::Unknown { reconcile_after, answer: answer(504) };
    store.finish(due, 1, unknown(Some(soon))).await.expect("finished");
    store.finish(held, 1, unknown(None)).await.expect("finished");
    assert_eq!(store.take_over(10).await, Ok(Vec::new()));
    bed.hand.move_by(10 * SECOND);
    let taken = take_over_one(&store).await;
    assert_eq!((taken.id, taken.attempt, taken.state), (due, 2, State::Unknown));
    assert_eq!(taken.command.as_deref(), Some(&b"{\"command\":\"r\"}"[..]));
    assert_eq!(store.take_over(10).await, Ok(Vec::new()), "it is leased");
    // Whoever looks it up may die, too.
    bed.hand.move_by(31 * SECOND);
    assert_eq!(take_over_one(&store).await.attempt, 3);
    assert_eq!(store.finish(due, 3, done()).await, Ok(true));
    bed.hand.move_by(1000 * HOUR);
    assert_eq!(store.take_over(10).await, Ok(Vec::new()), "what is held is a person's");
    // A person's finding ends it.
    assert_eq!(store.finish(held, 1, done()).await, Ok(true));
}

async fn lifetimes_end_in_their_order(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "done", "r")).await;
    store.finish(id, 1, done()).await.expect("finished");
    let sending = claim(&store, keyed("acme", "sending", "r")).await;
    let unknown = claim(&store, keyed("acme", "unknown", "r")).await;
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.finish(unknown, 1, end).await.expect("finished");
    bed.hand.move_by(71 * HOUR);
    assert_eq!(store.reap().await.map(|reaped| (reaped.answers, reaped.tombstones)), Ok((0, 0)));
    assert!(matches!(store.claim(keyed("acme", "done", "r")).await, Ok(Claim::Finished(_))));
    bed.hand.move_by(2 * HOUR);
    assert_eq!(store.reap().await.map(|reaped| (reaped.answers, reaped.tombstones)), Ok((1, 0)));
    match store.claim(keyed("acme", "done", "r")).await {
        Ok(Claim::Expired(record)) => {
            assert_eq!((record.id, record.customer.as_deref()), (id, Some("c1")));
            assert_eq!((record.status, record.answer, record.state), (Some(201), None, State::Done));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.claim(keyed("acme", "done", "other")).await, Ok(Claim::Reused));
    bed.hand.move_by(31 * 24 * HOUR);
    assert_eq!(store.reap().await.map(|reaped| (reaped.answers, reaped.tombstones)), Ok((0, 1)));
    claim(&store, keyed("acme", "done", "other")).await;
    bed.hand.move_by(90 * 24 * HOUR);
    store.reap().await.expect("reaped");
    let again = store.claim(keyed("acme", "unknown", "r")).await;
    assert!(matches!(again, Ok(Claim::Unknown(record)) if record.answer == Some(answer(504))));
    let again = store.claim(keyed("acme", "sending", "r")).await;
    assert!(matches!(again, Ok(Claim::InFlight(record)) if record.id == sending));
}

async fn answers_go_with_their_customer(bed: &Bed) {
    let store = bed.open().await;
    let about = |key: &str, operation: &str, customer: &str| NewOperation {
        operation: operation.to_owned(),
        customer: Some(customer.to_owned()),
        ..keyed("acme", key, key)
    };
    let end = |customer: &str| End::Done { customer: Some(customer.to_owned()), answer: answer(200) };
    let created = claim(&store, keyed("acme", "created", "created")).await;
    store.finish(created, 1, end("c1")).await.expect("finished");
    let blocked = claim(&store, about("blocked", "block", "c1")).await;
    store.finish(blocked, 1, end("c1")).await.expect("finished");
    let other = claim(&store, about("other", "update", "c2")).await;
    store.finish(other, 1, end("c2")).await.expect("finished");
    let elsewhere =
        claim(&store, NewOperation { connection: "spare".to_owned(), ..about("spare", "update", "c1") }).await;
    store.finish(elsewhere, 1, end("c1")).await.expect("finished");
    let refused = claim(&store, about("refused", "delete", "c1")).await;
    store.finish(refused, 1, End::Failed { answer: answer(422) }).await.expect("finished");
    let again = store.claim(about("blocked", "block", "c1")).await;
    assert!(matches!(again, Ok(Claim::Finished(_))), "a deletion that was refused erases nothing");
    let deleted = claim(&store, about("deleted", "delete", "c1")).await;
    store.finish(deleted, 1, End::Done { customer: None, answer: answer(200) }).await.expect("finished");
    for new in [keyed("acme", "created", "created"), about("blocked", "block", "c1")] {
        match store.claim(new).await {
            Ok(Claim::Erased(record)) => {
                assert_eq!((record.customer.as_deref(), record.answer, record.state), (Some("c1"), None, State::Done));
            }
            other => panic!("{other:?}"),
        }
    }
    let again = store.claim(about("deleted", "delete", "c1")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.answer == Some(answer(200))));
    let again = store.claim(about("other", "update", "c2")).await;
    assert!(matches!(again, Ok(Claim::Finished(_))), "another customer");
    let spare = NewOperation { connection: "spare".to_owned(), ..about("spare", "update", "c1") };
    assert!(matches!(store.claim(spare).await, Ok(Claim::Finished(_))), "another provider's customer");
    // The use of the keys is remembered as long as any.
    assert_eq!(store.claim(keyed("acme", "created", "changed")).await, Ok(Claim::Reused));
    bed.hand.move_by(31 * 24 * HOUR);
    claim(&store, keyed("acme", "created", "changed")).await;
}

async fn answers_that_come_after_the_deletion_are_not_kept(bed: &Bed) {
    let store = bed.open().await;
    let about = |key: &str, operation: &str| NewOperation {
        operation: operation.to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", key, key)
    };
    let created = claim(&store, keyed("acme", "created", "created")).await;
    let sending = claim(&store, about("sending", "update")).await;
    let unknown = claim(&store, about("unknown", "block")).await;
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.finish(unknown, 1, end).await.expect("finished");
    let deleted = claim(&store, about("deleted", "delete")).await;
    store.finish(deleted, 1, End::Done { customer: None, answer: answer(200) }).await.expect("finished");
    for id in [created, sending, unknown] {
        assert_eq!(store.finish(id, 1, done()).await, Ok(true));
        let record = store.operation("acme", id).await.expect("read").expect("the write");
        assert_eq!((record.state, record.status, record.answer), (State::Done, Some(201), None));
    }
    for new in [keyed("acme", "created", "created"), about("sending", "update"), about("unknown", "block")] {
        assert!(matches!(store.claim(new).await, Ok(Claim::Erased(_))));
    }
    // Whoever is there again.
    for new in [keyed("acme", "anew", "anew"), about("after", "update")] {
        let id = claim(&store, new.clone()).await;
        store.finish(id, 1, done()).await.expect("finished");
        assert!(matches!(store.claim(new).await, Ok(Claim::Finished(_))));
    }
}

async fn a_deletion_is_answered_again_whoever_deletes_after_it(bed: &Bed) {
    let store = bed.open().await;
    let deletion = |key: &str| NewOperation {
        operation: "delete".to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", key, key)
    };
    for key in ["first", "second"] {
        let id = claim(&store, deletion(key)).await;
        store.finish(id, 1, End::Done { customer: None, answer: answer(200) }).await.expect("finished");
    }
    for key in ["first", "second"] {
        let again = store.claim(deletion(key)).await;
        assert!(matches!(again, Ok(Claim::Finished(record)) if record.answer == Some(answer(200))), "{key}");
    }
}

async fn lifetimes_hold_without_the_reaper(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    store.finish(id, 1, done()).await.expect("finished");
    bed.hand.move_by(73 * HOUR);
    let again = store.claim(keyed("acme", "k", "r")).await;
    assert!(matches!(again, Ok(Claim::Expired(record)) if record.answer.is_none()));
    bed.hand.move_by(31 * 24 * HOUR);
    claim(&store, keyed("acme", "k", "other")).await;
    assert_eq!(store.operation("acme", id).await, Ok(None));
}

async fn what_nobody_heard_is_told_to_whoever_asks_again(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.finish_unheard(id, 1, done()).await, Ok(true));
    claim(&store, keyless("acme", "another")).await;
    claim(&store, keyless("other", "r")).await;
    let again = store.claim(keyless("acme", "r")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.id == id && record.answer == Some(answer(201))));
    assert_eq!(store.unhear(id).await, Ok(()));
    let once_more = store.claim(keyless("acme", "r")).await;
    assert!(matches!(once_more, Ok(Claim::Finished(record)) if record.id == id));
    let twin = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.finish(twin, 1, done()).await, Ok(true));
    let heard_late = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.finish_unheard(heard_late, 1, done()).await, Ok(true));
    assert_eq!(store.hear(heard_late).await, Ok(()));
    let unheard = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.finish_unheard(unheard, 1, done()).await, Ok(true));
    bed.hand.move_by(121 * SECOND);
    claim(&store, keyless("acme", "r")).await;
}

async fn what_is_sent_again_is_noted_before(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let claimed = bed.hand.now();
    bed.hand.move_by(31 * SECOND);
    assert_eq!(store.send_again(id, 1).await, Ok(Resend::Lost), "the lease has run out");
    take_over_one(&store).await;
    assert_eq!(store.send_again(id, 1).await, Ok(Resend::Lost), "an older attempt");
    let unknown = End::Unknown { reconcile_after: Some(bed.hand.now()), answer: answer(504) };
    store.finish(id, 2, unknown).await.expect("finished");
    assert_eq!(store.send_again(id, 2).await, Ok(Resend::Lost), "it has ended");
    take_over_one(&store).await;
    assert_eq!(store.send_again(id, 3).await, Ok(Resend::Noted));
    let record = store.operation("acme", id).await.expect("read").expect("the write");
    assert_eq!((record.state, record.created_at, record.sent_at), (State::Unknown, claimed, bed.hand.now()));
    let events: Vec<_> =
        store.audit(0, 10).await.expect("audit").iter().map(|record| (record.event, record.attempt)).collect();
    assert_eq!(events[3..], [(Event::TakenOver, 3), (Event::Intent, 3)]);
    // Who dies meanwhile leaves it to be looked for.
    bed.hand.move_by(31 * SECOND);
    assert_eq!(take_over_one(&store).await.attempt, 4);
}

async fn a_write_that_joins_nobody_is_its_own(bed: &Bed) {
    let store = bed.open().await;
    let alone = || NewOperation { joins: false, ..keyless("acme", "r") };
    let first = claim(&store, keyless("acme", "r")).await;
    let second = claim(&store, alone()).await;
    assert_eq!(store.finish_unheard(first, 1, done()).await, Ok(true));
    bed.hand.move_by(SECOND);
    claim(&store, alone()).await;
    // Who says nothing may repeat what was claimed so.
    assert!(matches!(store.claim(keyless("acme", "r")).await, Ok(Claim::InFlight(record)) if record.id == second));
}

async fn a_newer_write_to_the_customer_is_not_undone(bed: &Bed) {
    let store = bed.open().await;
    let about = |operation: &str, customer: &str, request: &str| NewOperation {
        operation: operation.to_owned(),
        customer: Some(customer.to_owned()),
        ..keyless("acme", request)
    };
    let begun: Vec<OperationId> = [
        claim(&store, about("update", "c1", "a")).await,
        claim(&store, about("block", "c1", "b")).await,
        claim(&store, about("update", "c2", "c")).await,
        claim(&store, about("delete", "c1", "d")).await,
    ]
    .into();
    bed.hand.move_by(31 * SECOND);
    assert_eq!(store.take_over(10).await.expect("taken over").len(), 4);
    assert_eq!(store.send_again(begun[0], 2).await, Ok(Resend::Noted), "a block undoes no update");
    let newer = claim(&store, about("update", "c1", "e")).await;
    claim(&store, about("unblock", "c1", "f")).await;
    for (id, expected) in begun.iter().zip([Resend::Overtaken, Resend::Overtaken, Resend::Noted, Resend::Noted]) {
        assert_eq!(store.send_again(*id, 2).await, Ok(expected));
    }
    store.finish(newer, 1, End::Failed { answer: answer(422) }).await.expect("finished");
    assert_eq!(store.send_again(begun[0], 2).await, Ok(Resend::Noted), "what failed changed nothing");
}

async fn a_customer_comes_of_one_create(bed: &Bed) {
    let store = bed.open().await;
    let first = claim(&store, keyed("acme", "k1", "r")).await;
    let second = claim(&store, keyed("acme", "k2", "r")).await;
    let strange = claim(&store, keyed("other", "k1", "r")).await;
    let adopt = async |id, attempt, customer| store.adopt(id, attempt, customer, false).await;
    assert_eq!(adopt(second, 1, "c1").await, Ok(Adopted::Open), "it may be what comes of the first");
    store.finish(first, 1, done()).await.expect("finished");
    assert_eq!(adopt(second, 1, "c1").await, Ok(Adopted::Anothers), "it is what came of the first");
    assert_eq!(adopt(strange, 1, "c1").await, Ok(Adopted::Own), "another merchant's is another");
    assert_eq!(adopt(second, 1, "c2").await, Ok(Adopted::Own));
    assert_eq!(adopt(second, 1, "c2").await, Ok(Adopted::Own), "said twice");
    assert_eq!(adopt(second, 2, "c3").await, Ok(Adopted::Anothers), "another attempt");
    let third = claim(&store, keyed("acme", "k3", "r")).await;
    assert_eq!(store.adopt(third, 1, "c2", true).await, Ok(Adopted::Anothers));
    assert_eq!(store.adopt(third, 1, "c3", true).await, Ok(Adopted::Own), "by its mark, whoever is under way");
    let unknown = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.finish(second, 1, unknown).await.expect("finished");
    assert_eq!(adopt(third, 1, "c4").await, Ok(Adopted::Own), "nobody is under way");
}

async fn writes_are_listed_newest_first(bed: &Bed) {
    let store = bed.open().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(claim(&store, keyed("acme", &number.to_string(), "r")).await);
    }
    claim(&store, keyed("other", "k", "r")).await;
    store.finish(ids[3], 1, done()).await.expect("finished");
    let list = async |merchant, state, after, limit| -> Vec<OperationId> {
        let records = store.operations(merchant, state, after, limit).await.expect("a list");
        records.iter().map(|record| record.id).collect()
    };
    assert_eq!(list(Some("acme"), None, None, 2).await, [ids[4], ids[3]]);
    assert_eq!(list(Some("acme"), None, Some(ids[3]), 9).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(Some("acme"), Some(State::Done), None, 9).await, [ids[3]]);
    assert_eq!(list(Some("acme"), Some(State::Sending), None, 2).await, [ids[4], ids[2]]);
    assert_eq!(list(None, None, None, 9).await.len(), 6);
    assert_eq!(list(None, Some(State::Unknown), None, 9).await, []);
}

async fn the_audit_tells_every_intent_and_outcome(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    store.claim(keyed("acme", "k", "r")).await.expect("a duplicate leaves no record");
    bed.hand.move_by(31 * SECOND);
    take_over_one(&store).await;
    store.finish(id, 1, done()).await.expect("fenced off");
    let held = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.finish(id, 2, held).await.expect("finished");
    let records = store.audit(0, 10).await.expect("audit");
    let told: Vec<(u64, Event, u32)> =
        records.iter().map(|record| (record.sequence, record.event, record.attempt)).collect();
    assert_eq!(told, [(1, Event::Intent, 1), (2, Event::TakenOver, 2), (3, Event::Held, 2)]);
    for record in &records {
        let words = (record.merchant.as_str(), record.connection.as_str(), record.operation.as_str());
        assert_eq!((record.id, words), (id, ("acme", "main", "create")));
        assert_eq!(record.request_hash, records[0].request_hash);
    }
    assert_eq!(records[2].at, bed.hand.now());
    let head = audit::verify(audit::Head::BEGINNING, &records).expect("an unbroken chain");
    assert_eq!(store.verify_audit().await, Ok(Ok(head)));
    assert_eq!(store.audit(2, 10).await.map(|records| records.len()), Ok(1));
}

async fn commands_are_kept_while_the_outcome_is_open(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let command = async || store.operation("acme", id).await.expect("read").expect("a record").command;
    assert!(command().await.is_some());
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.finish(id, 1, end).await.expect("finished");
    assert!(command().await.is_some());
    store.finish(id, 1, done()).await.expect("finished");
    assert_eq!(command().await, None);
}

async fn ids_are_not_given_twice(bed: &Bed) {
    let store = bed.open().await;
    let first = keyed("acme", "k", "r");
    let mut second = keyed("acme", "k2", "r");
    second.id = first.id;
    claim(&store, first).await;
    // Its neighbours in the group are not harmed.
    let (wrong, right) = tokio::join!(store.claim(second), store.claim(keyed("acme", "k3", "r")));
    assert!(matches!(wrong, Err(StoreError::Unavailable(_))), "{wrong:?}");
    assert_eq!(right, Ok(Claim::New { attempt: 1 }));
    check_audit(&store, 2).await;
}
