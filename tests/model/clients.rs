//! What the replicas do for clients, and the workers for their writes: plan, claim, read, end, send again.

use crate::{
    copiers::give_up_copy,
    rules::Rule,
    state::{By, Case, Client, Deletion, Kind, Life, Operation, Phase, Progress, RecordId, Row, Side, State, Step},
};

impl Case {
    pub(crate) fn step(&self, state: &State, client: u8) -> (u8, Step) {
        self.clients[usize::from(client)][usize::from(state.clients[usize::from(client)].step)]
    }

    /// Resolves the customer (`src/merchant/homes.rs`).
    pub(crate) fn plan(&self, state: &mut State, number: u8) -> Option<()> {
        let (customer, step) = self.step(state, number);
        let home = state.home(customer);
        let known = &state.customers[usize::from(customer)];
        let record = match (step, &known.row) {
            (Step::Write(Kind::Create), _) => None,
            // The id is known only to the client that gets the answer to the create; another one has to wait for that.
            (_, None) if known.life == Life::NotCreated => return None,
            (_, Some(row)) if row.deletion != Deletion::Confirmed => row.at[home as usize],
            // Not found.
            (_, None | Some(_)) => {
                state.was_stale |= matches!(known.life, Life::Alive);
                next_step(&mut state.clients[usize::from(number)]);
                return Some(());
            }
        };
        let acknowledged = known.acknowledged;
        state.clients[usize::from(number)].phase = Phase::Planned { epoch: state.epoch, home, record, acknowledged };
        Some(())
    }

    /// Claims a write and sends it (`src/store/operations/claims.rs`, `src/store/ids/homes.rs`). A process that dies between
    /// the two leaves what a lost request leaves.
    pub(crate) fn claim(&self, state: &mut State, number: u8) -> Option<()> {
        let (customer, Step::Write(kind)) = self.step(state, number) else { return None };
        let Phase::Planned { epoch, home, record, .. } = state.clients[usize::from(number)].phase else { return None };
        let is_as_planned = epoch == state.epoch && home == state.home(customer);
        let is_deleted = state.row(customer).is_some_and(|row| row.deletion == Deletion::Confirmed);
        if is_deleted || self.has(Rule::ClaimAsks) && !is_as_planned {
            state.clients[usize::from(number)].phase = Phase::Idle;
            return Some(());
        }
        state.went_astray |= home != state.home(customer);
        if kind != Kind::Create {
            // It went where no record is known: the provider answers that it is not found.
            record?;
            self.raise_with_claim(state, customer, home, kind);
        }
        state.clients[usize::from(number)].phase = Phase::Waiting;
        state.operations.push(Operation {
            customer,
            at: home,
            kind,
            record,
            content: 0,
            by: By::Client(number),
            progress: Progress::Sent,
            was_repeated: false,
            is_claimed: true,
        });
        Some(())
    }

    fn raise_with_claim(&self, state: &mut State, customer: u8, at: Side, kind: Kind) {
        let (raises, pins) = (self.has(Rule::ClaimRaises), self.has(Rule::ClaimPins));
        let Some(row) = state.row(customer) else { return };
        row.version += u8::from(raises);
        if pins {
            row.pinned.get_or_insert(at);
        }
        if kind == Kind::Delete && row.deletion == Deletion::No {
            row.deletion = Deletion::Claimed;
        }
    }

    pub(crate) fn read(&self, state: &mut State, number: u8) -> Option<()> {
        let (customer, Step::Read) = self.step(state, number) else { return None };
        let Phase::Planned { home, record, acknowledged, .. } = state.clients[usize::from(number)].phase else {
            return None;
        };
        let known = &state.customers[usize::from(customer)];
        let found = record.and_then(|record| known.content(home, record));
        state.was_stale |= match found {
            Some(content) => content < acknowledged,
            None => known.life == Life::Alive,
        };
        next_step(&mut state.clients[usize::from(number)]);
        Some(())
    }

    /// Ends an executed operation (`src/store/operations/ends.rs`).
    pub(crate) fn end(&self, state: &mut State, number: usize) -> Option<()> {
        if state.operations[number].is_copy() {
            return self.end_copy(state, number);
        }
        let operation = &state.operations[number];
        let (customer, By::Client(client)) = (operation.customer, operation.by) else { return None };
        let (kind, content, is_claimed) = (operation.kind, operation.content, operation.is_claimed);
        let known = &mut state.customers[usize::from(customer)];
        // An operation that the store does not know ends for no one.
        if is_claimed {
            let row = known.row.as_mut();
            if kind == Kind::Create && row.as_ref().is_none_or(|row| row.at[operation.at as usize] != operation.record)
            {
                // The row comes first.
                return None;
            }
            if let Some(row) = row {
                row.version += u8::from(self.has(Rule::EndRaises));
                if kind == Kind::Delete {
                    row.deletion = Deletion::Confirmed;
                }
            }
            if kind == Kind::Delete && !self.has(Rule::TombstoneStays) {
                known.row = None;
            }
            known.acknowledged = known.acknowledged.max(content);
            known.life = match (kind, known.life) {
                (Kind::Delete, _) => Life::Deleted,
                (Kind::Create, Life::NotCreated) => Life::Alive,
                (_, life) => life,
            };
            next_step(&mut state.clients[usize::from(client)]);
        }
        state.operations.remove(number);
        Some(())
    }

    /// Ends an operation that surely was not executed.
    pub(crate) fn give_up(&self, state: &mut State, number: usize) -> Option<()> {
        let operation = state.operations.remove(number);
        let By::Client(client) = operation.by else { return give_up_copy(state, &operation) };
        if !operation.is_claimed {
            return Some(());
        }
        let others = state.open(operation.customer).any(|other| other.kind == Kind::Delete && !other.is_copy());
        if let Some(row) = state.row(operation.customer) {
            row.version += u8::from(self.has(Rule::EndRaises));
            if operation.kind == Kind::Delete && row.deletion == Deletion::Claimed && !others {
                row.deletion = Deletion::No;
            }
        }
        let client = &mut state.clients[usize::from(client)];
        match operation.kind {
            // The key of the create is free, and the client repeats its request.
            Kind::Create if !client.has_tried => *client = Client { phase: Phase::Idle, has_tried: true, ..*client },
            _ => next_step(client),
        }
        Some(())
    }

    /// Sends a client's write again (`SendAgain` in `src/store/operations/takeovers.rs`).
    pub(crate) fn send_again(&self, state: &mut State, number: usize) -> Option<()> {
        let operation = &state.operations[number];
        let (customer, at, kind) = (operation.customer, operation.at, operation.kind);
        if operation.is_copy() || operation.was_repeated {
            return None;
        }
        let may = match kind {
            Kind::Create => at == state.active || !self.has(Rule::CreateIsNotRepeated),
            Kind::Update | Kind::Delete => at == state.home(customer) || !self.has(Rule::ClaimAsks),
        };
        let is_deleted = state.row(customer).is_some_and(|row| row.deletion == Deletion::Confirmed);
        if !may || is_deleted {
            return None;
        }
        state.went_astray |= at != state.home(customer);
        if kind != Kind::Create {
            self.raise_with_claim(state, customer, at, kind);
        }
        let operation = &mut state.operations[number];
        (operation.progress, operation.was_repeated) = (Progress::Sent, true);
        Some(())
    }

    /// Sends an unknown create to the connection that is active now, without a look at the one where it was sent.
    pub(crate) fn send_elsewhere(&self, state: &mut State, number: usize) -> Option<()> {
        let active = state.active;
        let operation = &mut state.operations[number];
        let is_elsewhere = operation.kind == Kind::Create && !operation.is_copy() && operation.at != active;
        if self.has(Rule::CreateStays) || !is_elsewhere || !operation.is_claimed || operation.was_repeated {
            return None;
        }
        operation.is_claimed = false;
        let again = Operation {
            at: active,
            record: None,
            progress: Progress::Sent,
            was_repeated: true,
            is_claimed: true,
            ..operation.clone()
        };
        state.operations.push(again);
        Some(())
    }
}

/// Gives the record that a create made its row (`Ids::adopt_created` in `src/store/ids/adopting.rs`).
pub(crate) fn write_row(state: &mut State, number: usize) -> Option<()> {
    let operation = &state.operations[number];
    if operation.kind != Kind::Create || operation.is_copy() || !operation.is_claimed {
        return None;
    }
    let (customer, at, record) = (operation.customer, operation.at, operation.record);
    let known = &mut state.customers[usize::from(customer)];
    if known.row.is_some() {
        return None;
    }
    let mut ids: [Option<RecordId>; 2] = [None; 2];
    ids[at as usize] = record;
    known.row = Some(Row { pinned: Some(at), at: ids, version: 0, copied: 0, deletion: Deletion::No });
    Some(())
}

fn next_step(client: &mut Client) {
    *client = Client { step: client.step + 1, phase: Phase::Idle, has_tried: false };
}
