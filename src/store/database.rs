//! What a database has to offer: one writer that runs jobs in groups and commits each group at once, and
//! readers. What the jobs do is said once, over a [`Session`] (see [`super::ledger`]); texts are the same for
//! both databases, and contents are opaque bytes.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{StoreError, audit::Head};

/// The most jobs that are committed at once.
pub(super) const GROUP: usize = 64;
/// The most jobs that wait. More could not be answered in time.
pub(super) const QUEUE: usize = 32_768;

/// A database that is open.
pub(super) trait Database: fmt::Debug + Send + Sync {
    /// Runs a job among those that write, and settles it when it is durable.
    fn write(&self, job: Box<dyn Job>);

    /// Runs a job that only reads.
    fn read(&self, job: Box<dyn Job>);
}

/// A transaction under way. Parameters are written `?1`, `?2`, ….
#[async_trait]
pub(super) trait Session: Send {
    /// Runs a statement that answers rows.
    async fn rows(&mut self, statement: &str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError>;

    /// Runs a statement, and answers how many rows it changed.
    async fn execute(&mut self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError>;
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(super) fn bytes(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Null, Self::Bytes)
    }

    pub(super) fn integer(integer: Option<i64>) -> Self {
        integer.map_or(Self::Null, Self::Integer)
    }
}

/// One value of a row.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, read from its first column to its last.
#[derive(Debug)]
pub(super) struct Row(std::vec::IntoIter<Cell>);

impl Row {
    pub(super) fn new(cells: Vec<Cell>) -> Self {
        Self(cells.into_iter())
    }

    fn cell<T>(&mut self, read: impl FnOnce(Cell) -> Option<T>) -> Result<T, StoreError> {
        let damaged = || StoreError::Damaged("the database holds a row that this version cannot read".to_owned());
        self.0.next().and_then(read).ok_or_else(damaged)
    }

    pub(super) fn integer(&mut self) -> Result<i64, StoreError> {
        self.cell(|cell| if let Cell::Integer(integer) = cell { Some(integer) } else { None })
    }

    pub(super) fn maybe_integer(&mut self) -> Result<Option<i64>, StoreError> {
        self.cell(|cell| match cell {
            Cell::Null => Some(None),
            Cell::Integer(integer) => Some(Some(integer)),
            _ => None,
        })
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.cell(|cell| if let Cell::Text(text) = cell { Some(text) } else { None })
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, StoreError> {
        self.cell(|cell| match cell {
            Cell::Null => Some(None),
            Cell::Text(text) => Some(Some(text)),
            _ => None,
        })
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        self.cell(|cell| if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None })
    }

    pub(super) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.cell(|cell| match cell {
            Cell::Null => Some(None),
            Cell::Bytes(bytes) => Some(Some(bytes)),
            _ => None,
        })
    }

    /// What only a damaged database would hold otherwise.
    pub(super) fn parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        self.cell(|cell| if let Cell::Text(text) = cell { parse(&text) } else { None })
    }
}

/// What the jobs of one transaction share: the time, and the end of the audit chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// Now, in milliseconds since 1970.
    pub(super) now: i64,
    /// The last audit record so far.
    pub(super) head: Head,
}

/// Something to be done in one transaction.
#[async_trait]
pub(super) trait Work: Send + Sync + 'static {
    /// What it answers.
    type Done: Send + 'static;

    /// Whether it is better left undone when nobody waits for it any more.
    const ONLY_IF_AWAITED: bool = false;

    /// Does it. It may be done again from the beginning if its transaction fails.
    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Self::Done, StoreError>;
}

/// Some work and whoever waits for it, without its types.
#[async_trait]
pub(super) trait Job: Send {
    /// Does the work and keeps its result until the transaction has ended.
    async fn perform(&mut self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError>;

    /// Whether nobody waits any more, and so it is better left undone.
    fn abandoned(&self) -> bool;

    /// Tells how it ended.
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Pending<W: Work> {
    work: W,
    done: Option<W::Done>,
    reply: oneshot::Sender<Result<W::Done, StoreError>>,
}

/// What a job will answer.
pub(super) type Answered<T> = oneshot::Receiver<Result<T, StoreError>>;

/// A job of some work, and what it will answer.
pub(super) fn job<W: Work>(work: W) -> (Box<dyn Job>, Answered<W::Done>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { work, done: None, reply }), answer)
}

#[async_trait]
impl<W: Work> Job for Pending<W> {
    async fn perform(&mut self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        self.done = Some(self.work.perform(session, group).await?);
        Ok(())
    }

    fn abandoned(&self) -> bool {
        W::ONLY_IF_AWAITED && self.reply.is_closed()
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        // Nobody may be waiting any more.
        let _ = reply.send(committed.and_then(|()| done.ok_or_else(closed)));
    }
}

/// The store is being closed, or its writer is gone.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Somebody looks at a database that no gateway of this version has opened yet.
pub(super) fn no_form() -> StoreError {
    StoreError::Settings("the database does not have the form of this version: start the gateway on it once".to_owned())
}

/// More waits than can be answered in time.
pub(super) fn overloaded() -> StoreError {
    StoreError::Unavailable("more writes are waiting for the store than it can take".to_owned())
}
