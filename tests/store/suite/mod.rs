//! The tests that run on every database.

mod carried;
mod claims;
mod clocks;
mod contacts;
mod copies;
mod ended_sessions;
mod ends;
mod erasures;
mod holds;
mod homes;
mod ids;
mod kept;
mod marks;
mod pages;
mod signatures;
pub(crate) mod switches;
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
    claims::a_write_is_the_same_through_another_connection,
    claims::writes_of_an_earlier_version_are_recognized,
    claims::a_duplicate_is_found_without_a_claim,
    claims::keys_do_not_cross_merchants,
    claims::a_write_that_was_not_sent_frees_its_key,
    claims::a_write_without_a_key_joins_only_an_open_duplicate,
    claims::an_undelivered_answer_is_given_to_the_next_duplicate,
    claims::a_write_that_may_not_join_is_always_new,
    claims::a_thousand_duplicates_of_twenty_keys_leave_one_each,
    claims::an_id_that_is_taken_is_refused,
    clocks::a_clock_that_jumps_back_gives_no_write_to_another_process,
    clocks::a_clock_that_jumps_ahead_and_back_lets_one_attempt_end_a_write,
    copies::no_key_of_a_client_names_a_copy_and_no_write_joins_one,
    copies::one_copy_of_a_customer_at_a_connection_is_open_whatever_it_does,
    copies::a_create_that_happened_is_found_by_the_next_create_and_gives_way_to_other_copies,
    copies::the_key_of_a_copy_that_failed_is_free,
    copies::a_copy_of_an_older_state_claims_nothing,
    copies::a_copy_pins_its_customer_until_it_has_ended,
    copies::the_record_of_a_copy_has_its_row_with_the_end_of_the_copy,
    copies::markers_differ_by_merchant_customer_and_store,
    ends::an_unknown_outcome_is_found_as_unknown,
    ends::finishing_twice_with_the_same_end_succeeds,
    ends::a_command_is_stored_until_the_outcome_is_known,
    ends::a_deletion_erases_the_answers_about_its_customer,
    ends::an_answer_after_the_deletion_of_its_customer_is_not_stored,
    ends::a_deletion_keeps_its_answer_after_another_deletion,
    ends::a_customer_is_the_outcome_of_one_create,
    ends::of_creates_that_end_at_once_one_made_the_customer,
    ends::the_other_create_of_a_customer_is_found_until_the_customer_is_updated,
    contacts::a_customer_is_found_by_its_contacts_once_its_create_is_stored,
    contacts::an_update_replaces_the_contacts_that_it_names,
    contacts::a_deletion_deletes_the_contacts_of_its_customer,
    contacts::contacts_outlive_the_row_of_their_write,
    contacts::contacts_outlive_a_row_whose_key_is_claimed_again,
    contacts::an_older_attempt_records_no_contacts,
    contacts::a_correction_changes_only_what_no_write_has_changed_since,
    ids::a_merchant_without_a_routing_row_has_no_ids,
    ids::an_id_is_resolved_by_public_id_first_and_then_by_any_connection,
    ids::an_id_of_two_customers_names_both,
    ids::ids_are_unique_both_ways_at_each_connection,
    ids::uuids_are_compared_in_lower_case,
    ids::a_page_of_any_length_is_mapped_in_its_order,
    ids::the_first_routing_row_stays,
    homes::a_claim_raises_the_version_and_pins_while_a_switch_is_open,
    homes::a_claim_for_another_epoch_or_home_claims_nothing,
    homes::no_write_is_claimed_for_a_customer_whose_record_was_merged,
    homes::a_replay_is_found_whatever_the_epoch,
    homes::a_claim_without_a_home_is_refused_once_there_is_a_routing_row,
    homes::an_end_raises_the_version_and_changes_the_contacts,
    homes::a_row_that_only_a_claim_made_goes_with_a_definite_failure,
    homes::a_deletion_is_claimed_lifted_and_confirmed,
    homes::a_write_is_not_sent_again_where_its_customer_does_not_live,
    homes::a_copy_goes_to_the_other_side_and_raises_no_version,
    homes::an_unfinished_create_is_found_by_its_contacts,
    marks::a_switch_is_begun_flipped_and_ended_under_its_epoch,
    marks::a_connection_is_activated_above_every_epoch_that_was_seen,
    marks::records_get_rows_before_they_are_shown,
    marks::an_id_that_is_taken_is_derived_and_stays_the_same,
    marks::an_id_that_another_customer_has_elsewhere_is_derived,
    marks::the_id_of_a_deleted_customer_is_a_new_customer_only_for_a_later_create,
    marks::a_row_has_the_contacts_of_its_home,
    marks::a_copy_is_believed_only_up_to_its_version,
    marks::a_customer_is_unpinned_only_when_its_copy_is_complete,
    marks::a_customer_does_not_follow_before_its_record_says_that_it_was_copied,
    marks::an_end_of_a_switch_keeps_ids_pins_and_tombstones,
    marks::customers_of_an_earlier_switch_are_pinned_in_chunks,
    pages::what_a_read_asks_is_one_statement,
    pages::what_a_page_writes_is_a_few_statements,
    pages::records_that_are_shown_twice_get_one_row,
    pages::rows_that_a_copy_made_later_lead_to_the_other_list,
    pages::a_page_is_mapped_with_every_id_of_its_customers,
    pages::a_record_that_an_unfinished_create_may_have_made_gets_no_row,
    pages::pinned_customers_are_counted_up_to_a_number,
    carried::carried_fields_are_written_with_the_end_of_their_write,
    carried::carried_fields_are_merged_replaced_and_removed,
    carried::an_older_write_does_not_change_what_a_newer_one_carries,
    carried::a_deletion_forgets_the_carried_fields_of_its_customer,
    carried::the_store_knows_which_merchants_have_carried_fields,
    carried::native_values_are_hashed_by_merchant_and_field,
    erasures::the_end_of_a_deletion_begins_the_erasures_elsewhere,
    erasures::an_erasure_is_tried_until_it_has_its_outcome,
    erasures::a_customer_is_erased_elsewhere_and_lives_on_at_its_home,
    erasures::what_a_copy_carries_gives_way_to_the_write_of_a_client,
    marks::customers_who_are_not_copied_do_not_count_as_marked,
    switches::customers_who_stay_are_those_of_the_other_connection,
    holds::the_state_after_the_last_write_is_known_unless_writes_overlapped,
    holds::a_hold_ends_with_its_time_or_with_the_move,
    holds::a_claim_of_any_process_waits_for_a_hold,
    switches::the_outcome_of_a_copy_counts_only_under_the_decision_that_it_was_made_under,
    switches::a_page_changes_each_customer_as_its_changes_say,
    switches::a_switch_that_has_ended_keeps_no_details,
    switches::a_merchant_has_one_open_switch_and_a_plan_that_was_not_run_gives_way,
    switches::a_switch_changes_only_for_the_state_and_epoch_that_were_decided_on,
    switches::one_worker_has_the_lease_and_a_page_is_stored_only_under_it,
    switches::records_are_counted_and_keep_what_a_change_does_not_name,
    switches::a_target_is_found_by_its_contacts_and_belongs_to_one_customer,
    signatures::a_nonce_is_accepted_by_one_process_only,
    signatures::a_signature_is_refused_although_the_clock_jumped_back,
    signatures::a_replay_to_the_same_process_costs_no_statement,
    signatures::a_repeated_write_gets_the_answer_of_the_other_process,
    signatures::a_repeated_write_without_a_kept_answer_is_refused_everywhere,
    signatures::a_read_without_a_nonce_is_repeated_for_a_moment_everywhere,
    signatures::a_server_error_frees_the_signature_everywhere,
    signatures::old_signatures_and_answers_are_deleted,
    ended_sessions::an_ended_session_is_known_to_every_process_until_its_time_is_over,
    takeovers::an_older_attempt_cannot_finish_after_a_takeover,
    takeovers::an_operation_with_a_renewed_lease_is_not_taken_over,
    takeovers::an_unknown_operation_is_taken_over_when_it_is_due,
    takeovers::a_takeover_whose_caller_is_gone_is_given_back,
    takeovers::the_time_to_show_a_write_counts_from_the_end_of_its_attempt,
    takeovers::a_repeated_write_is_recorded_before_it_is_sent,
    takeovers::an_older_write_is_not_sent_again_after_a_newer_one,
    takeovers::a_customer_is_adopted_by_one_create_only,
    kept::answers_are_reaped_first_and_rows_later,
    kept::a_row_beyond_its_lifetime_does_not_count_before_it_is_reaped,
    kept::writes_are_listed_newest_first,
    kept::the_audit_has_every_intent_and_outcome,
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
