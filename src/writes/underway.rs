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

use super::Told;
use crate::store::OperationId;

/// The writes that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Underway(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    writes: HashMap<OperationId, Entry>,
    /// The first of those that have the same content.
    twins: HashMap<Content, OperationId>,
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
        self.joined.iter().any(|asker| asker.strong_count() > 0)
    }

    fn join(&mut self, asker: &Weak<()>) -> Awaited {
        self.joined.push(Weak::clone(asker));
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
pub(super) struct Awaited(watch::Receiver<Option<Told>>);

/// A write under way. It is not any more when this is dropped.
pub(super) struct Begun {
    underway: Underway,
    id: OperationId,
    content: Option<Content>,
    sender: watch::Sender<Option<Told>>,
    is_kept_unheard: AtomicBool,
}

impl Underway {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.entries().writes.is_empty()
    }

    /// Begins a write. Who has its id can wait for it, and who sends its content, where that is told.
    pub(super) fn begin(&self, id: OperationId, content: Option<Content>) -> Begun {
        let (sender, receiver) = watch::channel(None);
        let entry = Entry { answer: Awaited(receiver), joined: Vec::new() };
        let mut entries = self.entries();
        entries.writes.insert(id, entry);
        if let Some(content) = &content {
            entries.twins.entry(content.clone()).or_insert(id);
        }
        drop(entries);
        Begun { underway: self.clone(), id, content, sender, is_kept_unheard: AtomicBool::new(false) }
    }

    /// Joins whoever waits for a write of this process, if it is one.
    pub(super) fn join(&self, id: OperationId, asker: &Weak<()>) -> Option<Awaited> {
        Some(self.entries().writes.get_mut(&id)?.join(asker))
    }

    /// Joins whoever waits for the write that has the same content.
    pub(super) fn join_twin(&self, content: &Content, asker: &Weak<()>) -> Option<Awaited> {
        let mut entries = self.entries();
        let id = *entries.twins.get(content)?;
        Some(entries.writes.get_mut(&id)?.join(asker))
    }
}

impl Awaited {
    /// What it is answered with; `None` where it is not answered at all, or takes too long.
    pub(super) async fn told(mut self, ends: Instant) -> Option<Told> {
        let told = tokio::time::timeout_at(ends, self.0.wait_for(Option::is_some)).await.ok()?;
        told.ok()?.clone()
    }
}

impl Begun {
    /// Whether others wait for it.
    pub(super) fn is_joined(&self) -> bool {
        self.underway.entries().writes.get(&self.id).is_some_and(Entry::is_joined)
    }

    /// Its end was kept as one that nobody waited for.
    pub(super) fn kept_unheard(&self) {
        self.is_kept_unheard.store(true, Ordering::Relaxed);
    }

    /// Lets nobody join any more. Answers which write is heard by somebody who came after that was kept.
    pub(super) fn close(&mut self) -> Option<OperationId> {
        let mut entries = self.underway.entries();
        let is_joined = entries.writes.remove(&self.id).is_some_and(|entry| entry.is_joined());
        if let Some(content) = self.content.take()
            && let hash_map::Entry::Occupied(first) = entries.twins.entry(content)
            && *first.get() == self.id
        {
            first.remove();
        }
        (is_joined && self.is_kept_unheard.load(Ordering::Relaxed)).then_some(self.id)
    }

    /// Tells those who wait.
    pub(super) fn tell(self, told: &Told) {
        let _ = self.sender.send(Some(told.clone()));
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.close();
    }
}
