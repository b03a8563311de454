//! Leases, takeovers, and what a new attempt may do.

use std::task::Poll;

use futures_util::poll;
use passerelle::store::{Adopted, Claim, End, Event, NewOperation, OperationId, Resend, State};

use super::{HOUR, SECOND, check_audit};
use crate::bed::{Bed, answer, claim, done, keyed, keyless, soon, take_over_one};

pub(crate) async fn an_older_attempt_cannot_finish_after_a_takeover(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()));
    bed.clock.move_by(31 * SECOND);
    let other = if bed.shared { bed.open().await } else { store.clone() };
    let taken = take_over_one(&other).await;
    assert_eq!((taken.id, taken.attempt, taken.state), (id, 2, State::Sending));
    assert!(taken.command.is_some());
    assert_eq!(other.operations().take_over(10).await, Ok(Vec::new()), "it has a new lease");
    assert_eq!(store.operations().finish(id, 1, End::Failed { answer: answer(400) }).await, Ok(false));
    assert_eq!(store.operations().finish(id, 1, End::NotSent).await, Ok(false));
    assert_eq!(other.operations().finish(id, 2, done()).await, Ok(true));
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(false));
    let again = store.operations().claim(keyed("acme", "k", "r")).await;
    assert!(matches!(again, Ok(Claim::Finished(record)) if record.state == State::Done && record.attempt == 2));
    check_audit(&store, 3).await;
}

pub(crate) async fn an_operation_with_a_renewed_lease_is_not_taken_over(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    for _ in 0..10 {
        bed.clock.move_by(29 * SECOND);
        store.operations().renew().await.expect("renewed");
        assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()));
    }
    // A task that runs for longer than any attempt may last counts as dead.
    bed.clock.move_by(29 * SECOND);
    store.operations().renew().await.expect("renewed");
    bed.clock.move_by(2 * SECOND);
    assert_eq!(take_over_one(&store).await.id, id);
    if bed.shared {
        // A renewal by one worker does not renew the leases of another.
        let other = bed.open().await;
        bed.clock.move_by(29 * SECOND);
        other.operations().renew().await.expect("renewed");
        bed.clock.move_by(2 * SECOND);
        assert_eq!(take_over_one(&other).await.attempt, 3);
    }
}

pub(crate) async fn an_unknown_operation_is_taken_over_when_it_is_due(bed: &Bed) {
    let store = bed.open().await;
    let due = claim(&store, keyed("acme", "due", "r")).await;
    let held = claim(&store, keyed("acme", "held", "r")).await;
    let soon = bed.clock.now() + 10 * SECOND;
    let unknown = |reconcile_after| End::Unknown { reconcile_after, answer: answer(504) };
    store.operations().finish(due, 1, unknown(Some(soon))).await.expect("finished");
    store.operations().finish(held, 1, unknown(None)).await.expect("finished");
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()));
    bed.clock.move_by(10 * SECOND);
    let taken = take_over_one(&store).await;
    assert_eq!((taken.id, taken.attempt, taken.state), (due, 2, State::Unknown));
    assert_eq!(taken.command.as_deref(), Some(&b"{\"command\":\"r\"}"[..]));
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()), "it is leased");
    // The worker that reconciles may die, too.
    bed.clock.move_by(31 * SECOND);
    assert_eq!(take_over_one(&store).await.attempt, 3);
    assert_eq!(store.operations().finish(due, 3, done()).await, Ok(true));
    bed.clock.move_by(1000 * HOUR);
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()), "a held operation waits for an operator");
    // An operator's decision ends it.
    assert_eq!(store.operations().finish(held, 1, done()).await, Ok(true));
}

/// The clock of this store stands still, so no lease runs out.
pub(crate) async fn a_takeover_whose_caller_is_gone_is_given_back(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let due = End::Unknown { reconcile_after: Some(bed.clock.now()), answer: answer(504) };
    assert_eq!(store.operations().finish(id, 1, due).await, Ok(true));
    let mut attempt = 2;
    let taking_over = loop {
        let mut taking_over = Box::pin(store.operations().take_over(10));
        match poll!(taking_over.as_mut()) {
            Poll::Pending => break taking_over,
            // The database was faster than this test, which tries once more.
            Poll::Ready(taken) => {
                let taken = taken.expect("taken over");
                store.operations().give_back(id, taken[0].attempt).await;
                attempt = taken[0].attempt + 1;
            }
        }
    };
    let present = async || store.operations().get("acme", id).await.expect("read").expect("the write").attempt;
    soon("it is taken over", async || present().await == attempt).await;
    drop(taking_over);
    soon("it is taken over again", async || {
        let taken = store.operations().take_over(10).await.expect("taken over");
        taken.iter().any(|record| record.id == id)
    })
    .await;
}

/// The attempt may have sent the write until then.
pub(crate) async fn the_time_to_show_a_write_counts_from_the_end_of_its_attempt(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    bed.clock.move_by(20 * SECOND);
    store.operations().give_back(id, 1).await;
    let taken = take_over_one(&store).await;
    assert_eq!((taken.id, taken.sent_at), (id, bed.clock.now()));
}

pub(crate) async fn a_repeated_write_is_recorded_before_it_is_sent(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let claimed = bed.clock.now();
    bed.clock.move_by(31 * SECOND);
    assert_eq!(store.operations().send_again(id, 1).await, Ok(Resend::Lost), "the lease has run out");
    take_over_one(&store).await;
    assert_eq!(store.operations().send_again(id, 1).await, Ok(Resend::Lost), "an older attempt");
    let unknown = End::Unknown { reconcile_after: Some(bed.clock.now()), answer: answer(504) };
    store.operations().finish(id, 2, unknown).await.expect("finished");
    assert_eq!(store.operations().send_again(id, 2).await, Ok(Resend::Lost), "it has ended");
    take_over_one(&store).await;
    assert_eq!(store.operations().send_again(id, 3).await, Ok(Resend::Noted));
    let record = store.operations().get("acme", id).await.expect("read").expect("the write");
    assert_eq!((record.state, record.created_at, record.sent_at), (State::Unknown, claimed, bed.clock.now()));
    let events: Vec<_> = store
        .audit()
        .records(0, 10)
        .await
        .expect("audit")
        .iter()
        .map(|record| (record.event, record.attempt))
        .collect();
    assert_eq!(events[3..], [(Event::TakenOver, 3), (Event::Intent, 3)]);
    // If this worker dies, another one takes the operation over.
    bed.clock.move_by(31 * SECOND);
    assert_eq!(take_over_one(&store).await.attempt, 4);
}

pub(crate) async fn an_older_write_is_not_sent_again_after_a_newer_one(bed: &Bed) {
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
    bed.clock.move_by(31 * SECOND);
    assert_eq!(store.operations().take_over(10).await.expect("taken over").len(), 4);
    assert_eq!(store.operations().send_again(begun[0], 2).await, Ok(Resend::Noted), "a block undoes no update");
    let newer = claim(&store, about("update", "c1", "e")).await;
    claim(&store, about("unblock", "c1", "f")).await;
    for (id, expected) in begun.iter().zip([Resend::Overtaken, Resend::Overtaken, Resend::Noted, Resend::Noted]) {
        assert_eq!(store.operations().send_again(*id, 2).await, Ok(expected));
    }
    store.operations().finish(newer, 1, End::Failed { answer: answer(422) }).await.expect("finished");
    assert_eq!(store.operations().send_again(begun[0], 2).await, Ok(Resend::Noted), "what failed changed nothing");
}

pub(crate) async fn a_customer_is_adopted_by_one_create_only(bed: &Bed) {
    let store = bed.open().await;
    let first = claim(&store, keyed("acme", "k1", "r")).await;
    let second = claim(&store, keyed("acme", "k2", "r")).await;
    let others = claim(&store, keyed("other", "k1", "r")).await;
    let adopt = async |id, attempt, customer| store.operations().adopt(id, attempt, customer, false).await;
    assert_eq!(adopt(second, 1, "c1").await, Ok(Adopted::Open), "the first create may turn out to have made it");
    store.operations().finish(first, 1, done()).await.expect("finished");
    assert_eq!(adopt(second, 1, "c1").await, Ok(Adopted::Refused), "the first create made it");
    assert_eq!(
        adopt(others, 1, "c1").await,
        Ok(Adopted::Own),
        "the customer with this id at another merchant is another customer"
    );
    assert_eq!(adopt(second, 1, "c2").await, Ok(Adopted::Own));
    assert_eq!(adopt(second, 1, "c2").await, Ok(Adopted::Own), "repeated");
    assert_eq!(adopt(second, 2, "c3").await, Ok(Adopted::Refused), "another attempt");
    let third = claim(&store, keyed("acme", "k3", "r")).await;
    assert_eq!(store.operations().adopt(third, 1, "c2", true).await, Ok(Adopted::Refused));
    assert_eq!(
        store.operations().adopt(third, 1, "c3", true).await,
        Ok(Adopted::Own),
        "by its marker, although another is in flight"
    );
    let unknown = End::Unknown { reconcile_after: None, answer: answer(504) };
    store.operations().finish(second, 1, unknown).await.expect("finished");
    assert_eq!(adopt(third, 1, "c4").await, Ok(Adopted::Own), "no other is in flight");
}
