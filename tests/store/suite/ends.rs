//! How writes end, and which answers the deletion of a customer erases.

use passerelle::store::{
    CarriedChanges, Claim, ContactChanges, ContactsOf, End, Finished, NewOperation, OperationId, State,
};

use super::{HOUR, check_audit};
use crate::bed::{Bed, answer, claim, done, keyed, keyless};

pub(crate) async fn an_unknown_outcome_is_found_as_unknown(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let end = End::Unknown { reconcile_after: Some(bed.clock.now() + HOUR), answer: answer(504) };
    assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
    match store.operations().claim(keyed("acme", "k", "r")).await {
        Ok(Claim::Unknown(record)) => {
            assert_eq!(record.reconcile_after, Some(bed.clock.now() + HOUR));
            assert_eq!((record.state, record.answer, record.finished_at), (State::Unknown, Some(answer(504)), None));
        }
        other => panic!("{other:?}"),
    }
    // A late answer to the same attempt replaces the unknown outcome.
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
    assert!(matches!(store.operations().claim(keyed("acme", "k", "r")).await, Ok(Claim::Finished(_))));
}

pub(crate) async fn finishing_twice_with_the_same_end_succeeds(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
    assert_eq!(store.operations().finish(id, 1, End::Failed { answer: answer(400) }).await, Ok(false));
    let id = claim(&store, keyed("acme", "k2", "r")).await;
    assert_eq!(store.operations().finish(id, 1, End::NotSent).await, Ok(true));
    assert_eq!(store.operations().finish(id, 1, End::NotSent).await, Ok(true));
    assert_eq!(store.operations().finish(OperationId::now(), 1, done()).await, Ok(false));
    let id = claim(&store, keyed("acme", "k3", "r")).await;
    let unknown = End::Unknown { reconcile_after: None, answer: answer(504) };
    assert_eq!(store.operations().finish(id, 1, unknown.clone()).await, Ok(true));
    assert_eq!(store.operations().finish(id, 1, unknown).await, Ok(true));
    check_audit(&store, 6).await;
}

pub(crate) async fn a_command_is_stored_until_the_outcome_is_known(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let command = async || store.operations().get("acme", id).await.expect("read").expect("a record").command;
    assert!(command().await.is_some());
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.operations().finish(id, 1, end).await.expect("finished");
    assert!(command().await.is_some());
    store.operations().finish(id, 1, done()).await.expect("finished");
    assert_eq!(command().await, None);
}

pub(crate) async fn a_deletion_erases_the_answers_about_its_customer(bed: &Bed) {
    let store = bed.open().await;
    let about = |key: &str, operation: &str, customer: &str| NewOperation {
        operation: operation.to_owned(),
        customer: Some(customer.to_owned()),
        ..keyed("acme", key, key)
    };
    let end = |customer: &str| End::Done {
        customer: Some(customer.to_owned()),
        contacts: ContactChanges::default(),
        carried: CarriedChanges::default(),
        answer: answer(200),
    };
    let created = claim(&store, keyed("acme", "created", "created")).await;
    store.operations().finish(created, 1, end("c1")).await.expect("finished");
    let blocked = claim(&store, about("blocked", "block", "c1")).await;
    store.operations().finish(blocked, 1, end("c1")).await.expect("finished");
    let other = claim(&store, about("other", "update", "c2")).await;
    store.operations().finish(other, 1, end("c2")).await.expect("finished");
    let elsewhere =
        claim(&store, NewOperation { connection: "spare".to_owned(), ..about("spare", "update", "c1") }).await;
    store.operations().finish(elsewhere, 1, end("c1")).await.expect("finished");
    let refused = claim(&store, about("refused", "delete", "c1")).await;
    store.operations().finish(refused, 1, End::Failed { answer: answer(422) }).await.expect("finished");
    let again = store.operations().claim(about("blocked", "block", "c1")).await;
    assert!(matches!(again, Ok(Claim::Finished(_))), "a deletion that was refused erases nothing");
    let deleted = claim(&store, about("deleted", "delete", "c1")).await;
    store
        .operations()
        .finish(
            deleted,
            1,
            End::Done {
                customer: None,
                contacts: ContactChanges::default(),
                carried: CarriedChanges::default(),
                answer: answer(200),
            },
        )
        .await
        .expect("finished");
    for new in [keyed("acme", "created", "created"), about("blocked", "block", "c1")] {
        match store.operations().claim(new).await {
            Ok(Claim::Erased(record)) => {
                assert_eq!((record.customer.as_deref(), record.answer, record.state), (Some("c1"), None, State::Done));
            }
            other => panic!("{other:?}"),
        }
    }
    let again = store.operations().claim(about("deleted", "delete", "c1")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.answer == Some(answer(200))));
    let again = store.operations().claim(about("other", "update", "c2")).await;
    assert!(matches!(again, Ok(Claim::Finished(_))), "another customer");
    let spare = NewOperation { connection: "spare".to_owned(), ..about("spare", "update", "c1") };
    assert!(matches!(store.operations().claim(spare).await, Ok(Claim::Finished(_))), "another provider's customer");
    // The keys are remembered for as long as those of other writes.
    assert!(matches!(store.operations().claim(keyed("acme", "created", "changed")).await, Ok(Claim::Reused(_))));
    bed.clock.move_by(31 * 24 * HOUR);
    claim(&store, keyed("acme", "created", "changed")).await;
}

pub(crate) async fn an_answer_after_the_deletion_of_its_customer_is_not_stored(bed: &Bed) {
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
    store.operations().finish(unknown, 1, end).await.expect("finished");
    let deleted = claim(&store, about("deleted", "delete")).await;
    store
        .operations()
        .finish(
            deleted,
            1,
            End::Done {
                customer: None,
                contacts: ContactChanges::default(),
                carried: CarriedChanges::default(),
                answer: answer(200),
            },
        )
        .await
        .expect("finished");
    for id in [created, sending, unknown] {
        assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
        let record = store.operations().get("acme", id).await.expect("read").expect("the write");
        assert_eq!((record.state, record.status, record.answer), (State::Done, Some(201), None));
    }
    for new in [keyed("acme", "created", "created"), about("sending", "update"), about("unknown", "block")] {
        assert!(matches!(store.operations().claim(new).await, Ok(Claim::Erased(_))));
    }
    // Writes that begin after the deletion keep their answers.
    for new in [keyed("acme", "anew", "anew"), about("after", "update")] {
        let id = claim(&store, new.clone()).await;
        store.operations().finish(id, 1, done()).await.expect("finished");
        assert!(matches!(store.operations().claim(new).await, Ok(Claim::Finished(_))));
    }
}

pub(crate) async fn a_deletion_keeps_its_answer_after_another_deletion(bed: &Bed) {
    let store = bed.open().await;
    let deletion = |key: &str| NewOperation {
        operation: "delete".to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", key, key)
    };
    for key in ["first", "second"] {
        let id = claim(&store, deletion(key)).await;
        store
            .operations()
            .finish(
                id,
                1,
                End::Done {
                    customer: None,
                    contacts: ContactChanges::default(),
                    carried: CarriedChanges::default(),
                    answer: answer(200),
                },
            )
            .await
            .expect("finished");
    }
    for key in ["first", "second"] {
        let again = store.operations().claim(deletion(key)).await;
        assert!(matches!(again, Ok(Claim::Finished(record)) if record.answer == Some(answer(200))), "{key}");
    }
}

/// Of two creates that are answered with one customer, one has made it. After a deletion, the provider may use the id
/// again.
pub(crate) async fn a_customer_is_the_outcome_of_one_create(bed: &Bed) {
    let store = bed.open().await;
    let finish = async |id| store.operations().finish_created(id, 1, done(), false).await;
    let first = claim(&store, keyed("acme", "first", "first")).await;
    let second = claim(&store, keyed("acme", "second", "second")).await;
    assert_eq!(finish(first).await, Ok(Finished::Stored));
    assert_eq!(finish(first).await, Ok(Finished::Stored), "the same end again");
    assert_eq!(finish(second).await, Ok(Finished::Shared));
    let stored = store.operations().get("acme", second).await.expect("a store").expect("an operation");
    assert_eq!((stored.state, stored.customer), (State::Sending, None), "nothing was stored");
    assert_eq!(store.operations().finish(second, 1, done()).await, Ok(true), "as a match");

    let elsewhere = NewOperation { connection: "spare".to_owned(), ..keyed("acme", "spare", "spare") };
    for new in [elsewhere, keyed("other", "first", "first")] {
        let id = claim(&store, new).await;
        assert_eq!(finish(id).await, Ok(Finished::Stored), "a customer of another connection or merchant");
    }
    let deletion = NewOperation {
        operation: "delete".to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", "deletion", "deletion")
    };
    let deleted = claim(&store, deletion).await;
    let end = End::Done {
        customer: None,
        contacts: ContactChanges::default(),
        carried: CarriedChanges::default(),
        answer: answer(200),
    };
    store.operations().finish(deleted, 1, end).await.expect("finished");
    let third = claim(&store, keyed("acme", "third", "third")).await;
    assert_eq!(finish(third).await, Ok(Finished::Stored));
}

/// Also at two replicas, where the database has several.
pub(crate) async fn of_creates_that_end_at_once_one_made_the_customer(bed: &Bed) {
    let mut stores = vec![bed.open().await];
    if bed.shared {
        stores.push(bed.open().await);
    }
    for round in 0..5 {
        let customer = format!("c{round}");
        let mut ending = Vec::new();
        for number in 0..4 {
            let store = &stores[number % stores.len()];
            let (name, operations) = (format!("{round}-{number}"), store.operations().clone());
            let new = if number < 2 { keyed("acme", &name, &name) } else { keyless("acme", &name) };
            let id = claim(store, new).await;
            let customer = Some(customer.clone());
            ending.push(tokio::spawn(async move {
                let end = End::Done {
                    customer,
                    contacts: ContactChanges::default(),
                    carried: CarriedChanges::default(),
                    answer: answer(201),
                };
                operations.finish_created(id, 1, end, false).await.expect("an end")
            }));
        }
        let mut stored = 0;
        for task in ending {
            match task.await.expect("a task") {
                Finished::Stored => stored += 1,
                other => assert_eq!(other, Finished::Shared),
            }
        }
        assert_eq!(stored, 1, "round {round}");
    }
}

pub(crate) async fn the_other_create_of_a_customer_is_found_until_the_customer_is_updated(bed: &Bed) {
    let store = bed.open().await;
    let first = claim(&store, keyed("acme", "first", "first")).await;
    let second = claim(&store, keyed("acme", "second", "second")).await;
    let find = async |connection: &str| {
        let of = ContactsOf { merchant: "acme", connection };
        store.operations().find_other_create(second, of, "c1").await.expect("a store").map(|record| record.id)
    };
    assert_eq!(find("main").await, None);
    assert_eq!(store.operations().finish_created(first, 1, done(), false).await, Ok(Finished::Stored));
    assert_eq!((find("main").await, find("spare").await), (Some(first), None));
    let update = NewOperation {
        operation: "update".to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", "update", "update")
    };
    let updated = claim(&store, update).await;
    store.operations().finish(updated, 1, End::Failed { answer: answer(422) }).await.expect("finished");
    assert_eq!(find("main").await, Some(first), "the update did not happen");
    let update = NewOperation {
        operation: "update".to_owned(),
        customer: Some("c1".to_owned()),
        ..keyed("acme", "again", "again")
    };
    let updated = claim(&store, update).await;
    store.operations().finish(updated, 1, done()).await.expect("finished");
    assert_eq!(find("main").await, None);
}
