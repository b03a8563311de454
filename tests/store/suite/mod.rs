//! What holds on every database.

mod claims;
mod ends;
mod kept;
mod takeovers;

use std::time::Duration;

use libtest_mimic::Trial;
use passerelle::store::Store;

use crate::{bed::Bed, cluster, server, trial::trial};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

macro_rules! suite {
    ($($file:ident::$test:ident),+ $(,)?) => {
        /// The whole suite on one kind of database.
        fn on(name: &str, bed: fn() -> Bed) -> Vec<Trial> {
            vec![$(trial(format!("{name}::{}", stringify!($test)), move || async move {
                let bed = bed();
                $file::$test(&bed).await;
            })),+]
        }
    };
}

suite![
    claims::a_key_is_claimed_once_and_answered_again_byte_for_byte,
    claims::a_key_with_another_request_is_refused,
    claims::keys_do_not_cross_merchants,
    claims::what_was_surely_not_sent_frees_its_key,
    claims::writes_without_a_key_join_only_unfinished_twins,
    claims::what_nobody_heard_is_told_to_whoever_asks_again,
    claims::a_write_that_joins_nobody_is_its_own,
    claims::a_thousand_duplicates_of_twenty_keys_leave_one_each,
    claims::ids_are_not_given_twice,
    ends::an_unknown_outcome_is_told_as_that,
    ends::an_end_may_be_told_twice,
    ends::commands_are_kept_while_the_outcome_is_open,
    ends::answers_go_with_their_customer,
    ends::answers_that_come_after_the_deletion_are_not_kept,
    ends::a_deletion_is_answered_again_whoever_deletes_after_it,
    takeovers::a_newer_attempt_fences_the_older_off,
    takeovers::a_lease_that_is_renewed_is_not_taken,
    takeovers::what_is_unknown_is_taken_over_when_it_is_due,
    takeovers::what_is_sent_again_is_noted_before,
    takeovers::a_newer_write_to_the_customer_is_not_undone,
    takeovers::a_customer_comes_of_one_create,
    kept::lifetimes_end_in_their_order,
    kept::lifetimes_hold_without_the_reaper,
    kept::writes_are_listed_newest_first,
    kept::the_audit_tells_every_intent_and_outcome,
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on("file", Bed::file);
    trials.extend(on("memory", Bed::memory));
    trials.extend(on("postgres", server::bed).into_iter().map(cluster::or_ignored));
    trials
}

async fn check_audit(store: &Store, length: u64) {
    let head = store.audit().verify().await.expect("read").expect("an unbroken chain");
    assert_eq!(head.sequence, length);
}
