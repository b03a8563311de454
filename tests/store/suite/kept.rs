//! How long records are stored, and how they are listed and audited.

use passerelle::store::{Claim, End, Event, OperationId, State, audit};

use super::{HOUR, SECOND};
use crate::bed::{Bed, answer, claim, done, keyed, take_over_one};

pub(crate) async fn answers_are_reaped_first_and_rows_later(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "done", "r")).await;
    store.operations().finish(id, 1, done()).await.expect("finished");
    let sending = claim(&store, keyed("acme", "sending", "r")).await;
    let unknown = claim(&store, keyed("acme", "unknown", "r")).await;
    let end = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.operations().finish(unknown, 1, end).await.expect("finished");
    bed.clock.move_by(71 * HOUR);
    assert_eq!(store.operations().reap().await.map(|reaped| (reaped.answers, reaped.tombstones)), Ok((0, 0)));
    assert!(matches!(store.operations().claim(keyed("acme", "done", "r")).await, Ok(Claim::Finished(_))));
    bed.clock.move_by(2 * HOUR);
    assert_eq!(store.operations().reap().await.map(|reaped| (reaped.answers, reaped.tombstones)), Ok((1, 0)));
    match store.operations().claim(keyed("acme", "done", "r")).await {
        Ok(Claim::Expired(record)) => {
            assert_eq!((record.id, record.customer.as_deref()), (id, Some("c1")));
            assert_eq!((record.status, record.answer, record.state), (Some(201), None, State::Done));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(store.operations().claim(keyed("acme", "done", "other")).await, Ok(Claim::Reused(_))));
    bed.clock.move_by(31 * 24 * HOUR);
    assert_eq!(store.operations().reap().await.map(|reaped| (reaped.answers, reaped.tombstones)), Ok((0, 1)));
    claim(&store, keyed("acme", "done", "other")).await;
    bed.clock.move_by(90 * 24 * HOUR);
    store.operations().reap().await.expect("reaped");
    let again = store.operations().claim(keyed("acme", "unknown", "r")).await;
    assert!(matches!(again, Ok(Claim::Unknown(record)) if record.answer == Some(answer(504))));
    let again = store.operations().claim(keyed("acme", "sending", "r")).await;
    assert!(matches!(again, Ok(Claim::InFlight(record)) if record.id == sending));
}

pub(crate) async fn a_row_beyond_its_lifetime_does_not_count_before_it_is_reaped(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    store.operations().finish(id, 1, done()).await.expect("finished");
    bed.clock.move_by(73 * HOUR);
    let again = store.operations().claim(keyed("acme", "k", "r")).await;
    assert!(matches!(again, Ok(Claim::Expired(record)) if record.answer.is_none()));
    bed.clock.move_by(31 * 24 * HOUR);
    claim(&store, keyed("acme", "k", "other")).await;
    assert_eq!(store.operations().get("acme", id).await, Ok(None));
}

pub(crate) async fn writes_are_listed_newest_first(bed: &Bed) {
    let store = bed.open().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(claim(&store, keyed("acme", &number.to_string(), "r")).await);
    }
    claim(&store, keyed("other", "k", "r")).await;
    store.operations().finish(ids[3], 1, done()).await.expect("finished");
    let list = async |merchant, state, after, limit| -> Vec<OperationId> {
        let records = store.operations().list(merchant, state, after, limit).await.expect("a list");
        records.iter().map(|record| record.id).collect()
    };
    assert_eq!(list(Some("acme"), None, None, 2).await, [ids[4], ids[3]]);
    assert_eq!(list(Some("acme"), None, Some(ids[3]), 9).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(Some("acme"), Some(State::Done), None, 9).await, [ids[3]]);
    assert_eq!(list(Some("acme"), Some(State::Sending), None, 2).await, [ids[4], ids[2]]);
    assert_eq!(list(None, None, None, 9).await.len(), 6);
    assert_eq!(list(None, Some(State::Unknown), None, 9).await, []);
}

pub(crate) async fn the_audit_has_every_intent_and_outcome(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    store.operations().claim(keyed("acme", "k", "r")).await.expect("a duplicate leaves no record");
    bed.clock.move_by(31 * SECOND);
    take_over_one(&store).await;
    store.operations().finish(id, 1, done()).await.expect("fenced off");
    let held = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.operations().finish(id, 2, held).await.expect("finished");
    let records = store.audit().records(0, 10).await.expect("audit");
    let events: Vec<(u64, Event, u32)> =
        records.iter().map(|record| (record.sequence, record.event, record.attempt)).collect();
    assert_eq!(events, [(1, Event::Intent, 1), (2, Event::TakenOver, 2), (3, Event::Held, 2)]);
    for record in &records {
        let subject = (record.merchant.as_str(), record.connection.as_str(), record.operation.as_str());
        assert_eq!((record.id, subject), (id, ("acme", "main", "create")));
        assert_eq!(record.request_hash, records[0].request_hash);
    }
    assert_eq!(records[2].at, bed.clock.now());
    let head = audit::verify(audit::Head::BEGINNING, &records).expect("an unbroken chain");
    assert_eq!(store.audit().verify().await, Ok(Ok(head)));
    assert_eq!(store.audit().records(2, 10).await.map(|records| records.len()), Ok(1));
}
