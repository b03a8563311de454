//! Signatures of drop-in clients: each is accepted once, by whichever process it reaches first. Two processes are two
//! memories on one database; a restart is a memory that is empty.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use passerelle::{
    state::{Admitted, NotAdmitted, Once, Replays, Seen},
    store::Store,
};

use super::SECOND;
use crate::bed::Bed;

/// How long a repeated write waits for the answer of another process.
const WAIT: Duration = Duration::from_secs(20);

fn once(number: u8) -> Once {
    Once { signer: [7; 32], digest: [number; 32], has_nonce: false, is_read: false }
}

fn nonce(number: u8) -> Once {
    Once { has_nonce: true, ..once(number) }
}

fn read(number: u8) -> Once {
    Once { is_read: true, ..once(number) }
}

/// A second process on the same database, with a memory of its own. Only one process can have an SQLite file open, so there
/// it shares the open store.
async fn processes(bed: &Bed) -> [(Store, Replays); 2] {
    let store = bed.open().await;
    let other = if bed.shared { bed.open().await } else { store.clone() };
    [store, other].map(|store| {
        let replays = Replays::new(store.signatures().clone());
        (store, replays)
    })
}

/// Admits a signature now.
async fn admit(bed: &Bed, replays: &Replays, once: Once) -> Result<Admitted, NotAdmitted> {
    replays.admit(once, bed.clock.now().as_second(), WAIT).await
}

/// Admits a signature that must be new.
async fn first(bed: &Bed, replays: &Replays, once: Once) -> Option<Seen> {
    match admit(bed, replays, once).await {
        Ok(Admitted::First(seen)) => seen,
        other => panic!("it is not new: {other:?}"),
    }
}

fn assert_refused(admitted: Result<Admitted, NotAdmitted>) {
    match admitted {
        Err(NotAdmitted::Refused(error)) => assert_eq!(error.detail, "the signature was used before"),
        other => panic!("a replay was not refused: {other:?}"),
    }
}

/// The answer that a repetition gets.
async fn repeated(admitted: Result<Admitted, NotAdmitted>) -> Response<Bytes> {
    match admitted {
        Ok(Admitted::Again(repeated)) => repeated.answer().await.expect("an answer"),
        other => panic!("it is not answered as a repetition: {other:?}"),
    }
}

fn answer(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let answer = Response::builder().status(status).header("passerelle-loss", "type");
    answer.body(Bytes::from_static(body.as_bytes())).expect("an answer")
}

pub(crate) async fn a_nonce_is_accepted_by_one_process_only(bed: &Bed) {
    let [(store, one), (_other_store, other)] = processes(bed).await;
    assert!(first(bed, &one, nonce(1)).await.is_none(), "its request may not be repeated");
    assert_refused(admit(bed, &other, nonce(1)).await);
    first(bed, &other, nonce(2)).await;
    assert_refused(admit(bed, &one, nonce(2)).await);
    assert_refused(admit(bed, &one, Once { is_read: true, ..nonce(1) }).await);
    first(bed, &one, Once { signer: [8; 32], ..nonce(1) }).await;
    bed.clock.move_by(600 * SECOND);
    let restarted = Replays::new(store.signatures().clone());
    assert_refused(admit(bed, &restarted, nonce(1)).await);
}

pub(crate) async fn a_signature_is_refused_although_the_clock_jumped_back(bed: &Bed) {
    let [(store, one), (_other_store, other)] = processes(bed).await;
    first(bed, &one, nonce(1)).await;
    bed.clock.move_back(300 * SECOND);
    let restarted = Replays::new(store.signatures().clone());
    for process in [&one, &other, &restarted] {
        assert_refused(admit(bed, process, nonce(1)).await);
    }
}

pub(crate) async fn a_replay_to_the_same_process_costs_no_statement(bed: &Bed) {
    let [(store, one), _] = processes(bed).await;
    let before = store.statements();
    first(bed, &one, nonce(1)).await;
    assert_eq!(store.statements() - before, 1, "a new signature costs one statement");
    let seen = first(bed, &one, once(2)).await.expect("it has no nonce");
    one.settle(seen, &answer(StatusCode::OK, "done")).await;
    let before = store.statements();
    assert_refused(admit(bed, &one, nonce(1)).await);
    assert_eq!(repeated(admit(bed, &one, once(2)).await).await.body(), "done");
    assert_eq!(store.statements(), before);
}

pub(crate) async fn a_repeated_write_gets_the_answer_of_the_other_process(bed: &Bed) {
    let [(store, one), (_other_store, other)] = processes(bed).await;
    let seen = first(bed, &one, once(1)).await.expect("it has no nonce");
    let (early, ()) = tokio::join!(admit(bed, &other, once(1)), async {
        tokio::time::sleep(SECOND / 4).await;
        one.settle(seen, &answer(StatusCode::CREATED, "made")).await;
    });
    bed.clock.move_by(5 * SECOND);
    let restarted = Replays::new(store.signatures().clone());
    let late = admit(bed, &restarted, once(1)).await;
    for admitted in [early, late] {
        let answer = repeated(admitted).await;
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::CREATED, &b"made"[..]));
        assert_eq!(answer.headers()["passerelle-loss"], "type");
    }
    bed.clock.move_by(SECOND);
    assert_refused(admit(bed, &other, once(1)).await);
    assert_refused(admit(bed, &Replays::new(store.signatures().clone()), once(1)).await);
}

pub(crate) async fn a_repeated_write_without_a_kept_answer_is_refused_everywhere(bed: &Bed) {
    let [(_store, one), (_other_store, other)] = processes(bed).await;
    let seen = first(bed, &one, once(1)).await.expect("it has no nonce");
    let mut large = answer(StatusCode::OK, "");
    *large.body_mut() = Bytes::from(vec![b'1'; (1 << 14) + 1]);
    one.settle(seen, &large).await;
    assert_refused(admit(bed, &other, once(1)).await);
    // The process ends before the request does.
    first(bed, &one, once(2)).await.expect("it has no nonce");
    let now = bed.clock.now().as_second();
    assert_refused(other.admit(once(2), now, Duration::ZERO).await);
}

pub(crate) async fn a_read_without_a_nonce_is_repeated_for_a_moment_everywhere(bed: &Bed) {
    let [(_store, one), (_other_store, other)] = processes(bed).await;
    first(bed, &one, read(1)).await;
    bed.clock.move_by(5 * SECOND);
    first(bed, &other, read(1)).await;
    bed.clock.move_by(SECOND);
    for replays in [&one, &other] {
        assert_refused(admit(bed, replays, read(1)).await);
    }
}

pub(crate) async fn a_server_error_frees_the_signature_everywhere(bed: &Bed) {
    let [(_store, one), (_other_store, other)] = processes(bed).await;
    let seen = first(bed, &one, once(1)).await.expect("it has no nonce");
    let (waiting, ()) = tokio::join!(admit(bed, &other, once(1)), async {
        tokio::time::sleep(SECOND / 4).await;
        one.settle(seen, &answer(StatusCode::BAD_GATEWAY, "failed")).await;
    });
    let Ok(Admitted::First(Some(seen))) = waiting else { panic!("it may be executed: {waiting:?}") };
    other.settle(seen, &answer(StatusCode::OK, "done")).await;
    assert_eq!(repeated(admit(bed, &one, once(1)).await).await.body(), "done");
}

pub(crate) async fn old_signatures_and_answers_are_deleted(bed: &Bed) {
    let [(store, one), _] = processes(bed).await;
    let count = async |replays: &Replays| replays.reap().await.expect("reaped");
    for number in 0..20 {
        let seen = first(bed, &one, once(number)).await.expect("it has no nonce");
        one.settle(seen, &answer(StatusCode::OK, "done")).await;
    }
    let id = store.signatures().id(&[7; 32], &[1; 32]);
    let found = async || store.signatures().find(&id).await.expect("read");
    assert_eq!(count(&one).await, 0);
    assert!(found().await.is_some_and(|earlier| earlier.answer.is_some()));
    bed.clock.move_by(7 * SECOND);
    assert_eq!(count(&one).await, 0, "the signatures are still valid");
    assert!(found().await.is_some_and(|earlier| earlier.is_ended && earlier.answer.is_none()));
    bed.clock.move_by(653 * SECOND);
    assert_eq!(count(&one).await, 0, "a replica whose clock is late may accept them");
    bed.clock.move_by(2 * SECOND);
    assert_eq!(count(&one).await, 20);
    assert_eq!(found().await, None);
}
