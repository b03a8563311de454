//! What happens outside the gateway's control: providers execute or lose requests, and processes die.

use crate::state::{By, Case, Copier, Kind, Life, Phase, Progress, State};

pub(crate) fn execute(state: &mut State, number: usize) -> Option<()> {
    let operation = &mut state.operations[number];
    let known = &mut state.customers[usize::from(operation.customer)];
    let records = &mut known.records[operation.at as usize];
    let record = match operation.kind {
        // Where there are two already, the checker has found its counterexample.
        Kind::Create => records.iter().position(Option::is_none)?,
        Kind::Update | Kind::Delete => usize::from(operation.record?),
    };
    if operation.kind != Kind::Create && records[record].is_none() {
        // The provider answers that it does not find the record.
        operation.progress = Progress::Lost;
        return Some(());
    }
    if !operation.is_copy() && operation.kind != Kind::Delete {
        known.newest += u8::from(operation.kind == Kind::Update);
        operation.content = known.newest;
    }
    records[record] = (operation.kind != Kind::Delete).then_some(operation.content);
    if !operation.is_copy() && operation.kind == Kind::Delete && known.life == Life::Alive {
        known.life = Life::Leaving;
    }
    operation.record = u8::try_from(record).ok();
    operation.progress = Progress::Executed;
    Some(())
}

impl Case {
    /// A request that was lost has no effect any more. The model has no request that a provider executes after a worker
    /// has found that it was not executed: before a worker says so, it waits longer than a request can be on its way.
    pub(crate) fn lose(&self, state: &mut State, number: usize) -> Option<()> {
        if state.losses == self.losses {
            return None;
        }
        state.losses += 1;
        state.operations[number].progress = Progress::Lost;
        Some(())
    }
}

/// Such a change raises no version, and no client waits for it.
pub(crate) fn change_by_hand(state: &mut State) -> Option<()> {
    let home = state.home(0);
    let known = &mut state.customers[0];
    let record = known.row.as_ref()?.at[home as usize]?;
    known.content(home, record)?;
    state.changes += 1;
    known.newest += 1;
    known.records[home as usize][usize::from(record)] = Some(known.newest);
    Some(())
}

/// A client's plan and a copier's memory are lost. Everything else is in the store or on its way.
pub(crate) fn crash(state: &mut State, replica: u8) -> Option<()> {
    let place = usize::from(replica);
    if let Some(client) = state.clients.get_mut(place)
        && matches!(client.phase, Phase::Planned { .. })
    {
        client.phase = Phase::Idle;
    }
    if let Some(copier) = state.copiers.get_mut(place) {
        *copier = Copier::Idle;
    }
    for operation in &mut state.operations {
        if operation.by == By::Copier(Some(replica)) {
            operation.by = By::Copier(None);
        }
    }
    Some(())
}
