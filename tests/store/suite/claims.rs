//! What a claim returns: a new write, or the record of the same write.

use std::{collections::HashMap, sync::Arc};

use passerelle::store::{Claim, EarlierContents, End, Event, NewOperation, State, StoreError};

use super::{SECOND, check_audit};
use crate::bed::{Bed, answer, claim, done, keyed, keyless};

pub(crate) async fn a_key_is_claimed_once_and_answered_again_byte_for_byte(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    match store.operations().claim(keyed("acme", "k", "r")).await {
        Ok(Claim::InFlight(record)) => assert_eq!((record.id, record.state), (id, State::Sending)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
    for _ in 0..3 {
        match store.operations().claim(keyed("acme", "k", "r")).await {
            Ok(Claim::Finished(record)) => {
                assert_eq!((record.id, record.customer.as_deref()), (id, Some("c1")));
                assert_eq!((record.answer, record.status), (Some(answer(201)), Some(201)));
            }
            other => panic!("{other:?}"),
        }
    }
    let id = claim(&store, keyed("acme", "k2", "r2")).await;
    assert_eq!(store.operations().finish(id, 1, End::Failed { answer: answer(422) }).await, Ok(true));
    let again = store.operations().claim(keyed("acme", "k2", "r2")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.state == State::Failed));
}

pub(crate) async fn a_key_with_another_request_is_refused(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.operations().claim(keyed("acme", "k", "other")).await, Ok(Claim::Reused(id)));
    store.operations().finish(id, 1, done()).await.expect("finished");
    assert!(matches!(store.operations().claim(keyed("acme", "k", "other")).await, Ok(Claim::Reused(_))));
}

pub(crate) async fn a_write_is_the_same_through_another_connection(bed: &Bed) {
    let store = bed.open().await;
    let through = |connection: &str, new: NewOperation| NewOperation { connection: connection.to_owned(), ..new };
    let with_key = claim(&store, through("main", keyed("acme", "k", "r"))).await;
    let without = claim(&store, through("main", keyless("acme", "r2"))).await;
    for connection in ["main", "spare"] {
        let again = store.operations().claim(through(connection, keyed("acme", "k", "r"))).await;
        assert!(matches!(again, Ok(Claim::InFlight(record)) if (record.id, &*record.connection) == (with_key, "main")));
        let again = store.operations().claim(through(connection, keyless("acme", "r2"))).await;
        assert!(matches!(again, Ok(Claim::InFlight(record)) if (record.id, &*record.connection) == (without, "main")));
        let other = store.operations().claim(through(connection, keyed("acme", "k", "other"))).await;
        assert_eq!(other, Ok(Claim::Reused(with_key)));
    }
}

/// Earlier versions compared another content. The oldest ones put the name of the connection before it.
pub(crate) async fn writes_of_an_earlier_version_are_recognized(bed: &Bed) {
    let store = bed.open().await;
    let earlier = || EarlierContents(Arc::new(|| vec![b"x".to_vec(), b"r0".to_vec()]));
    let request = |key: &str| NewOperation { earlier: earlier(), ..keyed("acme", key, "r") };
    for (key, content) in [("k", "main\nr0"), ("k0", "r0")] {
        let with_key = claim(&store, keyed("acme", key, content)).await;
        let spare = NewOperation { connection: "spare".to_owned(), ..request(key) };
        for again in [request(key), spare] {
            let again = store.operations().claim(again).await;
            assert!(matches!(&again, Ok(Claim::InFlight(record)) if record.id == with_key), "{again:?}");
        }
        let other = NewOperation { earlier: EarlierContents::default(), ..request(key) };
        assert_eq!(store.operations().claim(other).await, Ok(Claim::Reused(with_key)));
    }
    assert!(matches!(store.operations().claim(keyed("acme", "k", "r2")).await, Ok(Claim::Reused(_))));
}

pub(crate) async fn a_duplicate_is_found_without_a_claim(bed: &Bed) {
    let store = bed.open().await;
    assert_eq!(store.operations().find_duplicate(&keyed("acme", "k", "r")).await, Ok(None));
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let found = store.operations().find_duplicate(&keyed("acme", "k", "r")).await;
    assert!(matches!(&found, Ok(Some(Claim::InFlight(record))) if record.id == id), "{found:?}");
    assert!(matches!(
        store.operations().find_duplicate(&keyed("acme", "k", "other")).await,
        Ok(Some(Claim::Reused(_)))
    ));
    assert_eq!(store.operations().find_duplicate(&keyless("acme", "r2")).await, Ok(None));
    let records = store.audit().records(0, 10).await.expect("the audit");
    assert_eq!(records.len(), 1, "only the claim is recorded");
}

pub(crate) async fn keys_do_not_cross_merchants(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    claim(&store, keyed("other", "k", "r")).await;
    claim(&store, keyless("third", "r")).await;
    assert_eq!(store.operations().get("other", id).await, Ok(None));
    assert!(matches!(store.operations().get("acme", id).await, Ok(Some(record)) if record.id == id && record.keyed));
}

pub(crate) async fn a_write_that_was_not_sent_frees_its_key(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.operations().finish(id, 1, End::NotSent).await, Ok(true));
    assert_eq!(store.operations().get("acme", id).await, Ok(None));
    let second = claim(&store, keyed("acme", "k", "another request")).await;
    assert_ne!(second, id);
    let events: Vec<Event> =
        store.audit().records(0, 10).await.expect("audit").iter().map(|record| record.event).collect();
    assert_eq!(events, [Event::Intent, Event::NotSent, Event::Intent]);
}

pub(crate) async fn a_write_without_a_key_joins_only_an_open_duplicate(bed: &Bed) {
    let store = bed.open().await;
    let first = claim(&store, keyless("acme", "r")).await;
    assert!(
        matches!(store.operations().claim(keyless("acme", "r")).await, Ok(Claim::InFlight(record)) if record.id == first)
    );
    claim(&store, keyless("acme", "another")).await;
    claim(&store, keyless("other", "r")).await;
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.operations().finish(first, 1, end).await.expect("finished");
    assert!(
        matches!(store.operations().claim(keyless("acme", "r")).await, Ok(Claim::Unknown(record)) if record.id == first)
    );
    bed.clock.move_by(119 * SECOND);
    assert!(matches!(store.operations().claim(keyless("acme", "r")).await, Ok(Claim::Unknown(_))));
    bed.clock.move_by(SECOND);
    let second = claim(&store, keyless("acme", "r")).await;
    // A finished write whose answer was delivered joins no later one.
    store.operations().finish(second, 1, done()).await.expect("finished");
    claim(&store, keyless("acme", "r")).await;
}

pub(crate) async fn an_undelivered_answer_is_given_to_the_next_duplicate(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.operations().finish_undelivered(id, 1, done()).await, Ok(true));
    claim(&store, keyless("acme", "another")).await;
    claim(&store, keyless("other", "r")).await;
    let again = store.operations().claim(keyless("acme", "r")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.id == id && record.answer == Some(answer(201))));
    assert_eq!(store.operations().mark_undelivered(id).await, Ok(()));
    let once_more = store.operations().claim(keyless("acme", "r")).await;
    assert!(matches!(once_more, Ok(Claim::Finished(record)) if record.id == id));
    let duplicate = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.operations().finish(duplicate, 1, done()).await, Ok(true));
    let delivered_late = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.operations().finish_undelivered(delivered_late, 1, done()).await, Ok(true));
    assert_eq!(store.operations().mark_delivered(delivered_late).await, Ok(()));
    let undelivered = claim(&store, keyless("acme", "r")).await;
    assert_eq!(store.operations().finish_undelivered(undelivered, 1, done()).await, Ok(true));
    bed.clock.move_by(121 * SECOND);
    claim(&store, keyless("acme", "r")).await;
}

pub(crate) async fn a_write_that_may_not_join_is_always_new(bed: &Bed) {
    let store = bed.open().await;
    let alone = || NewOperation { joins: false, ..keyless("acme", "r") };
    let first = claim(&store, keyless("acme", "r")).await;
    let second = claim(&store, alone()).await;
    assert_eq!(store.operations().finish_undelivered(first, 1, done()).await, Ok(true));
    bed.clock.move_by(SECOND);
    claim(&store, alone()).await;
    // A later write that may join joins one that could not.
    assert!(
        matches!(store.operations().claim(keyless("acme", "r")).await, Ok(Claim::InFlight(record)) if record.id == second)
    );
}

pub(crate) async fn a_thousand_duplicates_of_twenty_keys_leave_one_each(bed: &Bed) {
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
                let outcome = store.operations().claim(keyed("acme", &name, "r")).await.expect("a claim");
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

pub(crate) async fn an_id_that_is_taken_is_refused(bed: &Bed) {
    let store = bed.open().await;
    let first = keyed("acme", "k", "r");
    let mut second = keyed("acme", "k2", "r");
    second.id = first.id;
    claim(&store, first).await;
    // Other claims in the same group commit do not fail with it.
    let (wrong, right) =
        tokio::join!(store.operations().claim(second), store.operations().claim(keyed("acme", "k3", "r")));
    assert!(matches!(wrong, Err(StoreError::Unavailable(_))), "{wrong:?}");
    assert_eq!(right, Ok(Claim::New { attempt: 1 }));
    check_audit(&store, 2).await;
}
