//! What the copiers do, and the flip.

use crate::{
    rules::Rule,
    state::{By, Case, Copier, Deletion, Kind, Operation, Progress, Side, State},
};

/// A copier may read any customer at any time, also one that is copied: a pass has found a difference, which a client of the provider
/// than the gateway's may have made.
pub(crate) fn read_row(state: &mut State, copier: u8, customer: u8) -> Option<()> {
    let (home, epoch) = (state.home(customer), state.epoch);
    let row = state.row(customer)?;
    if row.deletion != Deletion::No {
        return None;
    }
    let version = row.version;
    state.copiers[usize::from(copier)] = Copier::Began { customer, version, epoch, home };
    Some(())
}

pub(crate) fn read_home(state: &mut State, copier: usize) -> Option<()> {
    let Copier::Began { customer, version, epoch, home } = state.copiers[copier] else { return None };
    let known = &state.customers[usize::from(customer)];
    let content = known.known_at(home).and_then(|record| known.content(home, record));
    state.copiers[copier] = match content {
        Some(content) => Copier::Holds { customer, version, epoch, home, content },
        None => Copier::Idle,
    };
    Some(())
}

impl Case {
    /// Reads the record at the other side. If it has the same content, nothing is sent.
    pub(crate) fn compare(&self, state: &mut State, copier: usize) -> Option<()> {
        let Copier::Holds { customer, version, epoch, home, content } = state.copiers[copier] else { return None };
        let other = home.other();
        let known = &state.customers[usize::from(customer)];
        let record = known.known_at(other);
        let found = record.map(|record| (record, known.content(other, record)));
        state.copiers[copier] = match found {
            _ if self.has(Rule::OpenCopyStops) && is_copied_to(state, customer, other) => Copier::Idle,
            // The record is gone: a person has to decide.
            Some((_, None)) => Copier::Idle,
            Some((record, Some(same))) if same == content => Copier::Done { customer, version, at: other, record },
            _ => Copier::Plans { customer, version, epoch, home, content, record },
        };
        Some(())
    }

    /// Claims and sends a copy.
    pub(crate) fn copy(&self, state: &mut State, copier: u8) -> Option<()> {
        let place = usize::from(copier);
        let Copier::Plans { customer, version, epoch, home, content, record } = state.copiers[place] else {
            return None;
        };
        state.copiers[place] = Copier::Idle;
        let is_known = record == state.customers[usize::from(customer)].known_at(home.other());
        if !is_known || !self.may_copy(state, (customer, version, epoch, home)) {
            return Some(());
        }
        if self.has(Rule::CopyPins)
            && let Some(row) = state.row(customer)
        {
            row.pinned.get_or_insert(home);
        }
        state.copiers[place] = Copier::Waits { customer, version };
        state.operations.push(Operation {
            customer,
            at: home.other(),
            kind: if record.is_some() { Kind::Update } else { Kind::Create },
            record,
            content,
            by: By::Copier(Some(copier)),
            progress: Progress::Sent,
            was_repeated: false,
            is_claimed: self.has(Rule::CopyIsClaimed),
        });
        Some(())
    }

    /// What the claim of a copy asks.
    fn may_copy(&self, state: &State, (customer, version, epoch, home): (u8, u8, u8, Side)) -> bool {
        let Some(row) = &state.customers[usize::from(customer)].row else { return false };
        let is_as_planned = epoch == state.epoch && home == state.home(customer);
        let is_newest = version == row.version;
        let is_stopped = match row.deletion {
            Deletion::No => false,
            Deletion::Claimed => self.has(Rule::DeletionStopsCopies),
            Deletion::Confirmed => true,
        };
        !(is_stopped
            || is_copied_to(state, customer, home.other())
            || self.has(Rule::ClaimAsks) && !is_as_planned
            || self.has(Rule::CopyNamesVersion) && !is_newest)
    }

    pub(crate) fn end_copy(&self, state: &mut State, number: usize) -> Option<()> {
        let Operation { customer, at, kind, record, by, is_claimed, .. } = state.operations.remove(number);
        let known = &mut state.customers[usize::from(customer)];
        if kind == Kind::Create && is_claimed {
            known.made[at as usize] = record;
            if self.has(Rule::CopyEndsWithRow)
                && let Some(row) = &mut known.row
            {
                row.at[at as usize] = row.at[at as usize].or(record);
            }
        }
        if let (By::Copier(Some(copier)), Some(record)) = (by, record) {
            let place = &mut state.copiers[usize::from(copier)];
            if let Copier::Waits { customer, version } = *place {
                *place = Copier::Done { customer, version, at, record };
            }
        }
        Some(())
    }

    pub(crate) fn note_copied(&self, state: &mut State, copier: usize) -> Option<()> {
        let Copier::Done { customer, version, at, record } = state.copiers[copier] else { return None };
        state.copiers[copier] = Copier::Idle;
        let Some(row) = state.row(customer) else { return Some(()) };
        row.at[at as usize].get_or_insert(record);
        if !self.has(Rule::OlderIsNotBelieved) {
            row.copied = row.version;
        } else if row.copied <= version && row.version >= version && row.deletion == Deletion::No {
            row.copied = version;
        }
        Some(())
    }

    pub(crate) fn unpin(&self, state: &mut State, customer: u8) -> Option<()> {
        let is_open = state.open(customer).next().is_some();
        let asks = self.has(Rule::UnpinAsks);
        let row = state.row(customer)?;
        let is_ready = row.version == row.copied && row.deletion == Deletion::No && !is_open;
        if row.at.contains(&None) || asks && !is_ready {
            return None;
        }
        row.pinned = None;
        Some(())
    }
}

/// The gate of a cutover is not in the model: it may be made at any time.
pub(crate) fn flip(state: &mut State) -> Option<()> {
    state.epoch += 1;
    state.active = state.active.other();
    Some(())
}

/// Deletes what a copy made of a customer who was deleted.
pub(crate) fn clean_up(state: &mut State, customer: u8, at: Side) -> Option<()> {
    let known = &state.customers[usize::from(customer)];
    let record = known.made[at as usize]?;
    known.content(at, record)?;
    if is_copied_to(state, customer, at) || known.row.as_ref()?.deletion != Deletion::Confirmed {
        return None;
    }
    state.operations.push(Operation {
        customer,
        at,
        kind: Kind::Delete,
        record: Some(record),
        content: 0,
        by: By::Copier(None),
        progress: Progress::Sent,
        was_repeated: false,
        is_claimed: true,
    });
    Some(())
}

pub(crate) fn give_up_copy(state: &mut State, operation: &Operation) -> Option<()> {
    if let By::Copier(Some(copier)) = operation.by {
        state.copiers[usize::from(copier)] = Copier::Idle;
    }
    Some(())
}

/// Whether a copy of the customer at a connection is open or unknown.
fn is_copied_to(state: &State, customer: u8, at: Side) -> bool {
    state.open(customer).any(|operation| operation.is_copy() && operation.at == at)
}
