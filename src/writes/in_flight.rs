//! The writes of this process that are under way, and who waits for them. Whoever sends the same content meanwhile
//! without a key waits with them, and the store is not asked.

use std::{
    collections::{HashMap, hash_map},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use super::WriteAnswer;
use crate::store::OperationId;

/// The writes that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    writes: HashMap<OperationId, Entry>,
    /// The first of those that have the same content.
    duplicates: HashMap<Content, OperationId>,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.writes.keys()).finish()
    }
}

struct Entry {
    answer: Awaited,
    /// Who waits for it, as long as they do.
    joined: Vec<Weak<()>>,
}

impl Entry {
    fn is_joined(&self) -> bool {
        self.joined.iter().any(|client| client.strong_count() > 0)
    }

    fn join(&mut self, client: &Weak<()>) -> Awaited {
        self.joined.push(Weak::clone(client));
        self.answer.clone()
    }
}

/// What a write asks for, as far as it is the same as another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Content {
    /// Whose it is.
    pub(super) merchant: String,
    /// The request in one canonical spelling.
    pub(super) request: Bytes,
}

/// A write that others may wait for.
#[derive(Debug, Clone)]
pub(super) struct Awaited(watch::Receiver<Option<WriteAnswer>>);

/// A write under way. It is not any more when this is dropped.
pub(super) struct InFlightWrite {
    in_flight: InFlight,
    id: OperationId,
    content: Option<Content>,
    sender: watch::Sender<Option<WriteAnswer>>,
    ended_undelivered: AtomicBool,
}

impl InFlight {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.entries().writes.is_empty()
    }

    /// Begins a write. Who has its id can wait for it, and who sends its content, where that is told.
    pub(super) fn begin(&self, id: OperationId, content: Option<Content>) -> InFlightWrite {
        let (sender, receiver) = watch::channel(None);
        let entry = Entry { answer: Awaited(receiver), joined: Vec::new() };
        let mut entries = self.entries();
        entries.writes.insert(id, entry);
        if let Some(content) = &content {
            entries.duplicates.entry(content.clone()).or_insert(id);
        }
        drop(entries);
        InFlightWrite { in_flight: self.clone(), id, content, sender, ended_undelivered: AtomicBool::new(false) }
    }

    /// Joins whoever waits for a write of this process, if it is one.
    pub(super) fn join(&self, id: OperationId, client: &Weak<()>) -> Option<Awaited> {
        Some(self.entries().writes.get_mut(&id)?.join(client))
    }

    /// Joins whoever waits for the write that has the same content.
    pub(super) fn join_duplicate(&self, content: &Content, client: &Weak<()>) -> Option<Awaited> {
        let mut entries = self.entries();
        let id = *entries.duplicates.get(content)?;
        Some(entries.writes.get_mut(&id)?.join(client))
    }
}

impl Awaited {
    /// What it is answered with; `None` where it is not answered at all, or takes too long.
    pub(super) async fn answer(mut self, ends: Instant) -> Option<WriteAnswer> {
        let told = tokio::time::timeout_at(ends, self.0.wait_for(Option::is_some)).await.ok()?;
        told.ok()?.clone()
    }
}

impl InFlightWrite {
    /// Whether others wait for it.
    pub(super) fn is_joined(&self) -> bool {
        self.in_flight.entries().writes.get(&self.id).is_some_and(Entry::is_joined)
    }

    /// Its end was kept as one that nobody waited for.
    pub(super) fn ended_undelivered(&self) {
        self.ended_undelivered.store(true, Ordering::Relaxed);
    }

    /// Lets nobody join any more. Answers which write is heard by somebody who came after that was kept.
    pub(super) fn close(&mut self) -> Option<OperationId> {
        let mut entries = self.in_flight.entries();
        let is_joined = entries.writes.remove(&self.id).is_some_and(|entry| entry.is_joined());
        if let Some(content) = self.content.take()
            && let hash_map::Entry::Occupied(first) = entries.duplicates.entry(content)
            && *first.get() == self.id
        {
            first.remove();
        }
        (is_joined && self.ended_undelivered.load(Ordering::Relaxed)).then_some(self.id)
    }

    /// Tells those who wait.
    pub(super) fn write_answer(self, told: &WriteAnswer) {
        let _ = self.sender.send(Some(told.clone()));
    }
}

impl Drop for InFlightWrite {
    fn drop(&mut self) {
        self.close();
    }
}
