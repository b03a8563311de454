//! One state of the modelled system: what the store and the two providers hold, which requests are on their way, and what
//! the processes have in their memory.

use crate::rules::Rule;

/// One of the two connections between which a merchant switches. `A` is active at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The number of a record of a customer at a connection. More than two are never needed: two are one too many already.
pub(crate) type RecordId = u8;

/// The number of a state of a customer: how many writes of clients a provider had executed when it was written.
pub(crate) type Content = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Deletion {
    No,
    Claimed,
    Confirmed,
}

/// The row of a customer in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) pinned: Option<Side>,
    pub(crate) at: [Option<RecordId>; 2],
    pub(crate) version: u8,
    pub(crate) copied: u8,
    pub(crate) deletion: Deletion,
}

/// How far a customer has come, as its client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    NotCreated,
    Alive,
    /// A deletion was executed by a provider, but its client has no answer yet.
    Leaving,
    Deleted,
}

/// A customer: what the store keeps of it, what the providers hold, and what its clients know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Customer {
    pub(crate) row: Option<Row>,
    /// The records at each connection.
    pub(crate) records: [[Option<Content>; 2]; 2],
    /// The records that ended copies have made. The store keeps them with the operations.
    pub(crate) made: [Option<RecordId>; 2],
    pub(crate) life: Life,
    /// The newest content that a provider has executed, and the newest one that a client has an answer for.
    pub(crate) newest: Content,
    pub(crate) acknowledged: Content,
}

impl Customer {
    pub(crate) fn home(&self, active: Side) -> Side {
        self.row.as_ref().and_then(|row| row.pinned).unwrap_or(active)
    }

    /// The record that the gateway takes for the customer at a connection.
    pub(crate) fn known_at(&self, side: Side) -> Option<RecordId> {
        self.row.as_ref().and_then(|row| row.at[side as usize]).or(self.made[side as usize])
    }

    pub(crate) fn content(&self, side: Side, record: RecordId) -> Option<Content> {
        self.records[side as usize][usize::from(record)]
    }

    /// What a client finds at the home.
    pub(crate) fn at_home(&self, active: Side) -> Option<Content> {
        let home = self.home(active);
        let record = self.row.as_ref().and_then(|row| row.at[home as usize])?;
        self.content(home, record)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Create,
    Update,
    Delete,
}

/// How far the request of an operation has come. Whether it is executed or lost, its sender may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Progress {
    /// It may be executed at any time.
    Sent,
    /// The provider has executed it. For a create, the record that it made is in `record` of the operation.
    Executed,
    /// The provider has not executed it, and never will.
    Lost,
}

/// Who makes a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum By {
    Client(u8),
    /// The copier of a replica. `None`: that process has died, or does not wait any more.
    Copier(Option<u8>),
}

/// A write that was claimed and has not ended. It is in the store, so it outlives every process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub(crate) customer: u8,
    pub(crate) at: Side,
    pub(crate) kind: Kind,
    pub(crate) record: Option<RecordId>,
    /// What it writes. A client's write gets its number when it is executed.
    pub(crate) content: Content,
    pub(crate) by: By,
    pub(crate) progress: Progress,
    pub(crate) was_repeated: bool,
    /// `false`: the store does not know it. Only where a rule is taken out.
    pub(crate) is_claimed: bool,
}

impl Operation {
    pub(crate) const fn is_copy(&self) -> bool {
        matches!(self.by, By::Copier(_))
    }
}

/// What a client is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// A replica has read the routing and the row, and made a plan by them.
    Planned {
        epoch: u8,
        home: Side,
        record: Option<RecordId>,
        acknowledged: Content,
    },
    /// The write is claimed.
    Waiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// The step of its program.
    pub(crate) step: u8,
    pub(crate) phase: Phase,
    pub(crate) has_tried: bool,
}

/// What the copier of a replica has in its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Copier {
    Idle,
    /// It has read the row.
    Began {
        customer: u8,
        version: u8,
        epoch: u8,
        home: Side,
    },
    /// It has read the customer at its home.
    Holds {
        customer: u8,
        version: u8,
        epoch: u8,
        home: Side,
        content: Content,
    },
    /// It has found that the record at the other side differs, or that there is none.
    Plans {
        customer: u8,
        version: u8,
        epoch: u8,
        home: Side,
        content: Content,
        record: Option<RecordId>,
    },
    /// It waits for its copy at the other side.
    Waits {
        customer: u8,
        version: u8,
    },
    /// The other side has the state that was read.
    Done {
        customer: u8,
        version: u8,
        at: Side,
        record: RecordId,
    },
}

/// A state of the whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) active: Side,
    pub(crate) epoch: u8,
    pub(crate) customers: Vec<Customer>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) clients: Vec<Client>,
    pub(crate) copiers: Vec<Copier>,
    /// How many requests were lost, and how many changes were made by hand.
    pub(crate) losses: u8,
    pub(crate) changes: u8,
    /// A client read less than it had an answer for.
    pub(crate) was_stale: bool,
    /// A write of a client was sent to another connection than its customer's home.
    pub(crate) went_astray: bool,
}

impl State {
    pub(crate) fn home(&self, customer: u8) -> Side {
        self.customers[usize::from(customer)].home(self.active)
    }

    /// The open and unknown operations about a customer, as the store knows them.
    pub(crate) fn open(&self, customer: u8) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(move |operation| operation.customer == customer && operation.is_claimed)
    }

    pub(crate) fn row(&mut self, customer: u8) -> Option<&mut Row> {
        self.customers[usize::from(customer)].row.as_mut()
    }
}

/// What a client does in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Write(Kind),
    Read,
}

/// A case to check: which customers there are, what the clients do, and which rule is taken out.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Customer 0 is at `A` from the beginning. Customer 1, if there is one, has to be created.
    pub(crate) customers: u8,
    /// The steps of each client, each with its customer.
    pub(crate) clients: &'static [&'static [(u8, Step)]],
    pub(crate) copiers: u8,
    /// How often the active connection changes.
    pub(crate) flips: u8,
    /// How many requests are lost at most.
    pub(crate) losses: u8,
    /// How often a client of the provider changes the old customer at its home.
    pub(crate) changes: u8,
    pub(crate) without: Option<Rule>,
}

impl Case {
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
