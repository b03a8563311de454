//! Clocks that jump, for example because an administrator corrects them: a lease may end too early or too late, and no promise is
//! broken.

use passerelle::store::{Claim, State, Store};

use super::{HOUR, check_audit};
use crate::bed::{Bed, claim, done, keyed, take_over_one};

/// The answer to a key is still the one that was stored.
async fn is_answered_again(store: &Store, key: &str, attempt: u32) {
    let again = store.operations().claim(keyed("acme", key, "r")).await;
    let is_same =
        matches!(&again, Ok(Claim::Finished(record)) if record.state == State::Done && record.attempt == attempt);
    assert!(is_same, "{again:?}");
}

pub(crate) async fn a_clock_that_jumps_back_gives_no_write_to_another_process(bed: &Bed) {
    let store = bed.open().await;
    let other = if bed.shared { bed.open().await } else { store.clone() };
    let [open, ended] =
        [claim(&store, keyed("acme", "open", "r")).await, claim(&store, keyed("acme", "ended", "r")).await];
    assert_eq!(store.operations().finish(ended, 1, done()).await, Ok(true));
    bed.clock.move_back(HOUR);
    assert_eq!(other.operations().take_over(10).await, Ok(Vec::new()));
    store.operations().renew().await.expect("renewed");
    is_answered_again(&other, "ended", 1).await;
    let begun_after = claim(&other, keyed("acme", "after", "r")).await;
    assert_eq!(store.operations().finish(open, 1, done()).await, Ok(true));
    assert_eq!(other.operations().finish(begun_after, 1, done()).await, Ok(true));
    check_audit(&store, 6).await;
}

pub(crate) async fn a_clock_that_jumps_ahead_and_back_lets_one_attempt_end_a_write(bed: &Bed) {
    let store = bed.open().await;
    let other = if bed.shared { bed.open().await } else { store.clone() };
    let id = claim(&store, keyed("acme", "k", "r")).await;
    bed.clock.move_by(HOUR);
    assert_eq!(take_over_one(&other).await.attempt, 2, "its lease has ended by this clock");
    bed.clock.move_back(HOUR);
    assert_eq!(store.operations().take_over(10).await, Ok(Vec::new()));
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(false), "the older attempt");
    assert_eq!(other.operations().finish(id, 2, done()).await, Ok(true));
    is_answered_again(&store, "k", 2).await;
    check_audit(&store, 3).await;
}
