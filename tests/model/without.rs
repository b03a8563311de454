//! Without one of the rules, a property breaks. The name of each test says what goes wrong, and its comment the rule and the
//! shortest way there.

use crate::{
    cases::{CHANGED_BY_HAND, CREATE_NEW, DELETE_OLD, TWO_COPIERS, TWO_WRITERS, UPDATE_OLD, way_to_break},
    properties::{ASTRAY, DIFFERENT, DOUBLED, MISSING, RESURRECTED, SHOWN_TWICE},
    rules::Rule,
    state::Case,
};

#[track_caller]
fn breaks(property: &'static str, case: &Case, rule: Rule) {
    let way = way_to_break(property, case, rule);
    assert!(way.is_some(), "without {rule:?} it is still true that {property}");
}

/// R2: the customer is copied and unpinned. A client's update is claimed at `A` and acknowledged. With the flip, the home is
/// `B`, which has not got the update.
#[test]
fn without_pins_by_claims_a_flip_leaves_an_acknowledged_write_behind() {
    breaks(MISSING, &UPDATE_OLD, Rule::ClaimPins);
}

/// R2: the customer is copied and unpinned. A person changes it at `A`, so that a pass finds a difference, and its copy is
/// sent to `B`. With the flip, the home is `B`, where a client's update is executed and acknowledged. Then `B` executes the
/// copy, whose content is older.
#[test]
fn without_pins_by_copies_a_late_copy_overwrites_an_acknowledged_write_after_a_flip() {
    breaks(MISSING, &CHANGED_BY_HAND, Rule::CopyPins);
}

/// R2: the customer is copied, and then updated at `A`. It is unpinned all the same, and with the flip the home is `B`.
#[test]
fn without_conditions_for_unpinning_a_customer_moves_without_its_last_write() {
    breaks(MISSING, &UPDATE_OLD, Rule::UnpinAsks);
}

/// R11: an update is planned for `A`. The customer is copied and unpinned, and the operator flips. The update is sent to `A`.
#[test]
fn without_the_home_in_claims_a_write_goes_to_the_former_home() {
    breaks(ASTRAY, &UPDATE_OLD, Rule::ClaimAsks);
}

/// R11: the same, with a second client whose update was claimed at `B` before and pins the customer there. The first update is
/// executed at `A` and acknowledged, and is missing at `B`.
#[test]
fn without_the_home_in_claims_an_acknowledged_write_is_missing() {
    breaks(MISSING, &TWO_WRITERS, Rule::ClaimAsks);
}

/// R12: `A` executes a create whose answer is lost. After the flip, a worker looks at `B` instead of `A`, does not find the
/// customer there, and creates it. The record at `A` is one more customer.
#[test]
fn without_a_look_at_the_former_connection_an_unknown_create_makes_two_customers() {
    breaks(SHOWN_TWICE, &CREATE_NEW, Rule::CreateStays);
}

/// R12: a create is lost on its way to `A`. After the flip, a worker sends it to `A` again, where new customers are not created
/// any more.
#[test]
fn without_rest_for_unknown_creates_one_is_sent_to_the_former_connection() {
    breaks(ASTRAY, &CREATE_NEW, Rule::CreateIsNotRepeated);
}

/// R19: a copier sends a create to `B` and dies. The next one finds nothing at `B` yet, and sends a second create. `B` executes
/// both.
#[test]
fn without_claims_of_copies_a_crash_makes_two_records() {
    breaks(DOUBLED, &UPDATE_OLD, Rule::CopyIsClaimed);
}

/// R19: while an update is executed at `A`, one copier reads the content before it, the other one the content after it. The
/// second one copies to `B`, then the first one sends its copy. The update ends. A third look finds `B` equal to `A` and notes
/// the newest version, and then `B` executes the older copy.
#[test]
fn without_a_look_at_open_copies_a_late_copy_leaves_an_older_state_without_a_mark() {
    breaks(DIFFERENT, &TWO_COPIERS, Rule::OpenCopyStops);
}

/// R19, R22: `B` executes the create of a copy, and the copy ends. Until the copier has written the row (or for ever, if it dies),
/// a list of `B` shows a record that belongs to no customer.
#[test]
fn without_the_row_in_the_end_of_a_copy_a_list_shows_a_customer_twice() {
    breaks(SHOWN_TWICE, &UPDATE_OLD, Rule::CopyEndsWithRow);
}

/// R21: an update is claimed. A copier reads the version, then the content before the update. The update ends, the copier
/// copies, and its version still counts as the newest.
#[test]
fn without_a_version_raised_by_ends_a_copy_of_the_state_before_counts_as_the_newest() {
    breaks(DIFFERENT, &UPDATE_OLD, Rule::EndRaises);
}

/// R21: one copier reads the content before an update and waits. The update ends, the other copier copies and notes the newest
/// version. Then the first one sends its copy.
#[test]
fn without_the_version_in_claims_of_copies_an_older_state_follows_a_newer_one() {
    breaks(DIFFERENT, &TWO_COPIERS, Rule::CopyNamesVersion);
}

/// R21: an update ends while a copy of the content before it is sent, and the copier notes the version of the update.
#[test]
fn without_a_comparison_of_versions_an_older_state_is_believed() {
    breaks(DIFFERENT, &UPDATE_OLD, Rule::OlderIsNotBelieved);
}

/// R23: the customer is deleted at `A` while its copy is on the way to `B`. Nothing says any more that the record at `B` is that
/// of a deleted customer.
#[test]
fn without_tombstones_a_deleted_customer_comes_back_with_its_copy() {
    breaks(RESURRECTED, &DELETE_OLD, Rule::TombstoneStays);
}

/// R21, R23: what the other rules hold already. If the model learns something that needs these two, this test says so.
#[test]
fn a_version_raised_by_claims_and_copies_stopped_by_deletions_only_save_copies() {
    for property in [DIFFERENT, MISSING] {
        assert_eq!(way_to_break(property, &TWO_COPIERS, Rule::ClaimRaises), None);
    }
    for property in [RESURRECTED, DOUBLED, SHOWN_TWICE] {
        assert_eq!(way_to_break(property, &DELETE_OLD, Rule::DeletionStopsCopies), None);
    }
}
