//! All rules hold: no interleaving breaks a property.

use std::num::NonZeroUsize;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::{
    rules::Rule,
    state::{Case, Kind, Step},
    system::Action,
};

pub(crate) const CREATE: Step = Step::Write(Kind::Create);
pub(crate) const UPDATE: Step = Step::Write(Kind::Update);
pub(crate) const DELETE: Step = Step::Write(Kind::Delete);
pub(crate) const READ: Step = Step::Read;

/// The customer who was at `A` before the switch, and the one who is created.
pub(crate) const OLD: u8 = 0;
pub(crate) const NEW: u8 = 1;

/// One client updates the old customer, one copier copies it, and the active connection changes twice.
pub(crate) const UPDATE_OLD: Case =
    Case { customers: 1, clients: &[&[(OLD, UPDATE)]], copiers: 1, flips: 2, losses: 1, changes: 0, without: None };

/// Two replicas copy at the same time: one of them may have been stopped beyond the end of its lease.
pub(crate) const TWO_COPIERS: Case = Case { copiers: 2, losses: 0, ..UPDATE_OLD };

/// Two clients update the customer.
pub(crate) const TWO_WRITERS: Case = Case { clients: &[&[(OLD, UPDATE)], &[(OLD, UPDATE)]], losses: 0, ..UPDATE_OLD };

/// A person changes the customer at its home, without the gateway.
pub(crate) const CHANGED_BY_HAND: Case = Case { changes: 1, ..UPDATE_OLD };

/// A client deletes the customer.
pub(crate) const DELETE_OLD: Case = Case { clients: &[&[(OLD, DELETE)]], ..UPDATE_OLD };

/// A client creates a new customer, while the old one is copied.
pub(crate) const CREATE_NEW: Case = Case { customers: 2, clients: &[&[(NEW, CREATE)]], flips: 1, ..UPDATE_OLD };

/// Checks every interleaving of a case. Its number of states is known, so that a change which makes the model smaller by
/// accident is seen.
#[track_caller]
fn check(case: Case, states: usize) {
    let checker = case.clone().checker().spawn_bfs().join();
    for (name, path) in checker.discoveries() {
        let is_broken = matches!(case.property(name).expectation, Expectation::Always);
        assert!(!is_broken, "it is not true that {name}: {:#?}", path.into_actions());
    }
    checker.assert_properties();
    assert_eq!(checker.unique_state_count(), states);
}

/// The shortest way to break a property without a rule. `None`: there is none.
pub(crate) fn way_to_break(property: &'static str, case: &Case, rule: Rule) -> Option<Vec<Action>> {
    let mut shortest: Option<Vec<Action>> = None;
    loop {
        // A checker that has found a way goes on for a while, and forgets it for a longer one.
        let model = Case { without: Some(rule), ..case.clone() };
        let mut checker = model.checker().finish_when(HasDiscoveries::AnyOf([property].into()));
        if let Some(limit) = shortest.as_ref().and_then(|way| NonZeroUsize::new(way.len() + 1)) {
            checker = checker.target_max_depth(limit.get());
        }
        match checker.spawn_bfs().join().discovery(property) {
            Some(path) => shortest = Some(path.into_actions()),
            None => return shortest,
        }
    }
}

#[test]
fn an_old_customer_is_updated_while_two_replicas_copy_it() {
    check(TWO_COPIERS, 64_961);
}

#[test]
fn an_old_customer_is_updated_by_two_clients_while_it_is_copied() {
    check(TWO_WRITERS, 37_082);
}

#[test]
fn an_update_is_lost_and_sent_again_while_the_customer_is_copied() {
    check(UPDATE_OLD, 6_973);
}

#[test]
fn an_old_customer_is_read_while_another_client_updates_it() {
    check(Case { clients: &[&[(OLD, UPDATE)], &[(OLD, READ)]], ..UPDATE_OLD }, 37_730);
}

#[test]
fn an_old_customer_is_changed_by_hand_while_it_is_copied() {
    check(CHANGED_BY_HAND, 37_513);
}

#[test]
fn an_old_customer_is_deleted_while_two_replicas_copy_it() {
    check(Case { copiers: 2, ..DELETE_OLD }, 25_065);
}

#[test]
fn an_old_customer_is_deleted_while_another_client_updates_it() {
    check(Case { clients: &[&[(OLD, DELETE)], &[(OLD, UPDATE)]], flips: 1, ..DELETE_OLD }, 34_363);
}

#[test]
fn a_new_customer_is_created_and_updated() {
    check(Case { clients: &[&[(NEW, CREATE), (NEW, UPDATE)]], ..CREATE_NEW }, 51_388);
}

#[test]
fn a_new_customer_is_created_and_deleted() {
    check(Case { clients: &[&[(NEW, CREATE), (NEW, DELETE)]], ..CREATE_NEW }, 25_673);
}

#[test]
fn a_new_customer_is_created_while_an_old_one_is_updated() {
    check(Case { clients: &[&[(OLD, UPDATE)], &[(NEW, CREATE)]], losses: 0, flips: 2, ..CREATE_NEW }, 66_267);
}
