//! What can happen next in a state, and which state follows.

use stateright::{Model, Property};

use crate::{
    clients::write_row,
    copiers::{clean_up, flip, read_home, read_row},
    outside::{change_by_hand, crash, execute},
    properties,
    rules::Rule,
    state::{Case, Client, Copier, Customer, Deletion, Life, Phase, Progress, Row, Side, State, Step},
};

/// One step of one process, of a provider or of the operator. The number is that of the client, of the operation in the
/// list, of the replica or of the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A replica reads the routing and the row for a client's request.
    Plan(u8),
    /// The replica claims the planned write in the store, and sends it.
    Claim(u8),
    /// The replica executes the planned read at the provider.
    Read(u8),
    /// The provider executes a request.
    Execute(u8),
    /// A request is lost before the provider executes it.
    Lose(u8),
    /// A create that was executed gets the row of its customer.
    WriteRow(u8),
    /// An executed operation ends: the process that sent it got the answer, or a worker has found the effect.
    End(u8),
    /// A worker has found that an operation was not executed, and ends it.
    GiveUp(u8),
    /// A worker has found that an operation was not executed, and sends it again.
    SendAgain(u8),
    /// A worker sends an unknown create to the connection that is active now. Only without the rule against it.
    SendElsewhere(u8),
    /// A copier reads the row of a customer.
    ReadRow(u8, u8),
    /// A copier reads the customer at its home.
    ReadHome(u8),
    /// A copier reads the record at the other side.
    Compare(u8),
    /// A copier claims a copy, and sends it.
    Copy(u8),
    /// A copier notes which version the other side reflects.
    NoteCopied(u8),
    /// A copier deletes the copy of a customer that was deleted.
    CleanUp(u8, Side),
    /// A copier unpins a customer.
    Unpin(u8),
    /// The operator makes the other side active.
    Flip,
    /// A client of the provider changes the old customer at its home.
    ChangeByHand,
    /// A replica dies, and starts again with an empty memory.
    Crash(u8),
}

impl Model for Case {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let old = Customer {
            row: Some(Row {
                pinned: Some(Side::A),
                at: [Some(0), None],
                version: 0,
                copied: 0,
                deletion: Deletion::No,
            }),
            records: [[Some(0), None], [None, None]],
            made: [None; 2],
            life: Life::Alive,
            newest: 0,
            acknowledged: 0,
        };
        let new = Customer { row: None, records: [[None; 2]; 2], life: Life::NotCreated, ..old.clone() };
        let client = Client { step: 0, phase: Phase::Idle, has_tried: false };
        vec![State {
            active: Side::A,
            epoch: 0,
            customers: [old, new].into_iter().take(self.customers.into()).collect(),
            operations: Vec::new(),
            clients: vec![client; self.clients.len()],
            copiers: vec![Copier::Idle; self.copiers.into()],
            losses: 0,
            changes: 0,
            was_stale: false,
            went_astray: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, client) in (0..).zip(&state.clients) {
            match (client.phase, self.clients[usize::from(number)].get(usize::from(client.step))) {
                (Phase::Idle, Some(_)) => actions.push(Action::Plan(number)),
                (Phase::Planned { .. }, Some((_, Step::Read))) => actions.push(Action::Read(number)),
                (Phase::Planned { .. }, Some(_)) => actions.push(Action::Claim(number)),
                _ => {}
            }
        }
        for (number, operation) in (0..).zip(&state.operations) {
            match operation.progress {
                Progress::Sent => actions.extend([Action::Execute(number), Action::Lose(number)]),
                Progress::Executed => actions.extend([Action::WriteRow(number), Action::End(number)]),
                Progress::Lost => actions.extend([Action::GiveUp(number), Action::SendAgain(number)]),
            }
            if !self.has(Rule::CreateStays) {
                actions.push(Action::SendElsewhere(number));
            }
        }
        let customers = 0..self.customers;
        for (number, copier) in (0..).zip(&state.copiers) {
            match copier {
                Copier::Idle => actions.extend(customers.clone().map(|customer| Action::ReadRow(number, customer))),
                Copier::Began { .. } => actions.push(Action::ReadHome(number)),
                Copier::Holds { .. } => actions.push(Action::Compare(number)),
                Copier::Plans { .. } => actions.push(Action::Copy(number)),
                Copier::Waits { .. } => {}
                Copier::Done { .. } => actions.push(Action::NoteCopied(number)),
            }
        }
        for (number, customer) in (0..).zip(&state.customers) {
            let Some(row) = &customer.row else { continue };
            if row.pinned.is_some() {
                actions.push(Action::Unpin(number));
            }
            if row.deletion == Deletion::Confirmed {
                actions.extend(Side::BOTH.map(|side| Action::CleanUp(number, side)));
            }
        }
        if state.epoch < self.flips {
            actions.push(Action::Flip);
        }
        if state.changes < self.changes {
            actions.push(Action::ChangeByHand);
        }
        let replicas = state.clients.len().max(state.copiers.len());
        actions.extend((0..).take(replicas).map(Action::Crash));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happens = match action {
            Action::Plan(client) => self.plan(&mut state, client),
            Action::Claim(client) => self.claim(&mut state, client),
            Action::Read(client) => self.read(&mut state, client),
            Action::Execute(number) => execute(&mut state, number.into()),
            Action::Lose(number) => self.lose(&mut state, number.into()),
            Action::WriteRow(number) => write_row(&mut state, number.into()),
            Action::End(number) => self.end(&mut state, number.into()),
            Action::GiveUp(number) => self.give_up(&mut state, number.into()),
            Action::SendAgain(number) => self.send_again(&mut state, number.into()),
            Action::SendElsewhere(number) => self.send_elsewhere(&mut state, number.into()),
            Action::ReadRow(copier, customer) => read_row(&mut state, copier, customer),
            Action::ReadHome(copier) => read_home(&mut state, copier.into()),
            Action::Compare(copier) => self.compare(&mut state, copier.into()),
            Action::Copy(copier) => self.copy(&mut state, copier),
            Action::NoteCopied(copier) => self.note_copied(&mut state, copier.into()),
            Action::CleanUp(customer, side) => clean_up(&mut state, customer, side),
            Action::Unpin(customer) => self.unpin(&mut state, customer),
            Action::Flip => flip(&mut state),
            Action::ChangeByHand => change_by_hand(&mut state),
            Action::Crash(replica) => crash(&mut state, replica),
        };
        state.operations.sort_unstable();
        (happens.is_some() && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}
