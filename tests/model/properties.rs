//! What must hold in every state, and what must be possible.

use stateright::Property;

use crate::state::{Case, Customer, Deletion, Kind, Life, Side, State};

pub(crate) const LOST: &str = "no customer is lost";
pub(crate) const DOUBLED: &str = "no connection has two records of a customer";
pub(crate) const SHOWN_TWICE: &str = "no record of a customer is shown as another customer";
pub(crate) const RESURRECTED: &str = "no deleted customer comes back";
pub(crate) const MISSING: &str = "no acknowledged write is missing at its home";
pub(crate) const STALE: &str = "no read is older than what its client has an answer for";
pub(crate) const ASTRAY: &str = "no write of a client is sent elsewhere than to the home";
pub(crate) const DIFFERENT: &str = "a customer without a mark is equal at both sides";
pub(crate) const MOVED: &str = "the customers can move";
pub(crate) const MOVED_BACK: &str = "the customers can move back";

pub(crate) fn of(case: &Case) -> Vec<Property<Case>> {
    let mut properties = vec![
        Property::always(LOST, |_, state| {
            each(state, |state, _, customer| customer.life != Life::Alive || customer.at_home(state.active).is_some())
        }),
        Property::always(DOUBLED, |_, state| {
            each(state, |_, _, customer| customer.records.iter().all(|records| records.iter().flatten().count() <= 1))
        }),
        Property::always(SHOWN_TWICE, |_, state| {
            each(state, |state, number, customer| {
                let is_shown = matches!(customer.life, Life::Alive | Life::Leaving);
                !is_shown || !has_stranger(state, number, customer)
            })
        }),
        Property::always(RESURRECTED, |_, state| {
            each(state, |state, number, customer| {
                let is_tombstoned = customer.row.as_ref().is_none_or(|row| row.deletion == Deletion::Confirmed);
                let is_shown = !is_tombstoned && customer.at_home(state.active).is_some();
                customer.life != Life::Deleted || !is_shown && !has_stranger(state, number, customer)
            })
        }),
        Property::always(MISSING, |_, state| {
            each(state, |state, _, customer| {
                let at_home = customer.at_home(state.active);
                customer.life != Life::Alive || at_home.is_none_or(|content| content >= customer.acknowledged)
            })
        }),
        Property::always(STALE, |_, state: &State| !state.was_stale),
        Property::always(ASTRAY, |_, state: &State| !state.went_astray),
        Property::always(DIFFERENT, |case: &Case, state: &State| {
            case.changes > 0
                || each(state, |state, number, customer| {
                    let Some(row) = &customer.row else { return true };
                    let is_settled = row.version == row.copied && row.deletion == Deletion::No;
                    if customer.life != Life::Alive || !is_settled || state.open(number).next().is_some() {
                        return true;
                    }
                    match row.at {
                        [Some(a), Some(b)] => customer.content(Side::A, a) == customer.content(Side::B, b),
                        _ => true,
                    }
                })
        }),
        Property::sometimes(MOVED, |_, state: &State| state.active == Side::B && each(state, has_moved)),
    ];
    if case.flips > 1 {
        let moved_back = |_: &Case, state: &State| state.epoch == 2 && each(state, has_moved);
        properties.push(Property::sometimes(MOVED_BACK, moved_back));
    }
    properties
}

fn each(state: &State, holds: impl Fn(&State, u8, &Customer) -> bool) -> bool {
    (0..).zip(&state.customers).all(|(number, customer)| holds(state, number, customer))
}

/// Whether a connection has a record that no row names, and that no open create can have made (R22). A list would show it as
/// another customer.
fn has_stranger(state: &State, number: u8, customer: &Customer) -> bool {
    Side::BOTH.into_iter().any(|side| {
        let named = customer.row.as_ref().and_then(|row| row.at[side as usize]);
        let records = (0..).zip(&customer.records[side as usize]);
        let may_be_new = state.open(number).any(|operation| operation.kind == Kind::Create && operation.at == side);
        records.into_iter().any(|(record, content)| content.is_some() && named != Some(record)) && !may_be_new
    })
}

/// Whether a customer lives at the active connection without being pinned to it, or was deleted everywhere.
fn has_moved(_: &State, _: u8, customer: &Customer) -> bool {
    let is_unpinned = customer.row.as_ref().is_some_and(|row| row.pinned.is_none());
    match customer.life {
        Life::Alive => is_unpinned,
        Life::Deleted => customer.records.iter().flatten().all(Option::is_none),
        Life::NotCreated | Life::Leaving => false,
    }
}
