//! The writes that this process executes now. A client that sends the same request again can wait here for the answer,
//! and the gateway does not ask the store. `Writes` registers a write before it claims it, and removes the write when
//! the store has its end.
//!
//! The register is only a shortcut: it decides nothing about what is sent. The claim in the store alone decides that.
//! A client that joined a write here and gets no answer makes its own claim in the store.
//!
//! What must hold:
//!
//! - Every function takes one lock before it uses the entries, and no function holds the lock across an `await`.
//! - After [`InFlightWrite::close`] no client can join. So the task that calls `close` knows every waiter before it
//!   delivers the answer. It can first record in the store that the answer is delivered.
//! - If a task drops its [`InFlightWrite`] without an answer, the channel closes, and every waiter gets `None` at once.

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

/// Shows whether a client still waits for its answer. The strong reference is a local variable of the future that
/// serves the client's request; when the client disconnects, the server drops that future, and the count becomes zero.
pub(super) type ClientPresence = Weak<()>;

/// The writes in flight in this process. Clones share one register.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlightRegister(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    writes: HashMap<OperationId, Entry>,
    /// For each content, the write that this process registered first. Later duplicates wait for that write.
    first_by_content: HashMap<Content, OperationId>,
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.writes.keys()).finish()
    }
}

struct Entry {
    answer: AnswerReceiver,
    /// The clients that joined. Some may have disconnected since.
    joined: Vec<ClientPresence>,
}

impl Entry {
    fn has_waiter(&self) -> bool {
        self.joined.iter().any(|client| client.strong_count() > 0)
    }

    fn join(&mut self, client: &ClientPresence) -> AnswerReceiver {
        self.joined.push(ClientPresence::clone(client));
        self.answer.clone()
    }
}

/// The content of a request. Two requests without keys can be the same write only if their contents are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Content {
    /// The merchant's name.
    pub(super) merchant: String,
    /// The content of the request.
    pub(super) request: Bytes,
}

/// Receives the answer to a write in flight, for one waiting client.
#[derive(Debug, Clone)]
pub(super) struct AnswerReceiver(watch::Receiver<Option<WriteAnswer>>);

/// A registered write. The task that executes the write owns this. When the task drops it, the register removes the
/// write.
pub(super) struct InFlightWrite {
    register: InFlightRegister,
    id: OperationId,
    content: Option<Content>,
    sender: watch::Sender<Option<WriteAnswer>>,
    is_stored_undelivered: AtomicBool,
}

impl InFlightRegister {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no write is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.entries().writes.is_empty()
    }

    /// Registers a write. Clients can join it by its id, and by its content if that is given.
    pub(super) fn register(&self, id: OperationId, content: Option<Content>) -> InFlightWrite {
        let (sender, receiver) = watch::channel(None);
        let entry = Entry { answer: AnswerReceiver(receiver), joined: Vec::new() };
        let mut entries = self.entries();
        entries.writes.insert(id, entry);
        if let Some(content) = &content {
            entries.first_by_content.entry(content.clone()).or_insert(id);
        }
        drop(entries);
        InFlightWrite { register: self.clone(), id, content, sender, is_stored_undelivered: AtomicBool::new(false) }
    }

    /// Lets a client wait for a write that this process executes. `None` where it executes no such write.
    pub(super) fn join(&self, id: OperationId, client: &ClientPresence) -> Option<AnswerReceiver> {
        Some(self.entries().writes.get_mut(&id)?.join(client))
    }

    /// Lets a client wait for the first write in flight that has the same content.
    pub(super) fn join_duplicate(&self, content: &Content, client: &ClientPresence) -> Option<AnswerReceiver> {
        let mut entries = self.entries();
        let id = *entries.first_by_content.get(content)?;
        Some(entries.writes.get_mut(&id)?.join(client))
    }
}

impl AnswerReceiver {
    /// Waits for the answer. `None` if the write ends without one, or the deadline passes first.
    pub(super) async fn answer(mut self, deadline: Instant) -> Option<WriteAnswer> {
        let answer = tokio::time::timeout_at(deadline, self.0.wait_for(Option::is_some)).await.ok()?;
        answer.ok()?.clone()
    }
}

impl InFlightWrite {
    /// Whether another client has joined this write and still waits.
    pub(super) fn has_waiter(&self) -> bool {
        self.register.entries().writes.get(&self.id).is_some_and(Entry::has_waiter)
    }

    /// Notes that the store keeps the end of this write as undelivered.
    pub(super) fn set_stored_undelivered(&self) {
        self.is_stored_undelivered.store(true, Ordering::Relaxed);
    }

    /// Removes the write from the register. After that, no client can join.
    ///
    /// Returns the id of the write if the store keeps its end as undelivered, and yet a client waits: that client
    /// joined while this process stored the end. The caller must then mark the answer as delivered, and deliver it only
    /// after that.
    pub(super) fn close(&mut self) -> Option<OperationId> {
        let mut entries = self.register.entries();
        let has_waiter = entries.writes.remove(&self.id).is_some_and(|entry| entry.has_waiter());
        if let Some(content) = self.content.take()
            && let hash_map::Entry::Occupied(first) = entries.first_by_content.entry(content)
            && *first.get() == self.id
        {
            first.remove();
        }
        (has_waiter && self.is_stored_undelivered.load(Ordering::Relaxed)).then_some(self.id)
    }

    /// Gives the answer to every client that joined.
    pub(super) fn deliver(self, answer: &WriteAnswer) {
        let _ = self.sender.send(Some(answer.clone()));
    }
}

impl Drop for InFlightWrite {
    fn drop(&mut self) {
        self.close();
    }
}
