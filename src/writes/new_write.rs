//! A write that was asked for: planned, and judged under the loss policy, before anything is claimed or sent.

use std::{sync::Arc, time::Duration};

use passerelle_providers::{
    engine::{Conditions, Planned},
    kit::marker,
    model::{Command, Error},
};

use super::Surface;
use crate::{
    execution,
    merchant::{Connection, Merchant},
    store::OperationId,
};

/// A write that was asked for.
#[derive(Debug)]
pub struct NewWrite {
    /// Whose it is.
    pub merchant: Arc<Merchant>,
    /// The connection that executes it.
    pub connection: Arc<Connection>,
    /// What to do.
    pub command: Command,
    /// Whether it has an idempotency key.
    pub is_keyed: bool,
    /// How it is answered.
    pub surface: Arc<dyn Surface>,
    /// How long it may take.
    pub deadline: Duration,
}

/// A write that is planned, and judged under the loss policy.
#[derive(Debug)]
pub struct Write {
    pub(super) new: NewWrite,
    pub(super) id: OperationId,
    pub(super) conditions: Conditions,
    pub(super) planned: Planned,
}

impl NewWrite {
    /// Plans the write. What the provider cannot do, or may not lose, is refused here, before anything is claimed.
    pub fn plan(self) -> Result<Write, Error> {
        let id = OperationId::now();
        let conditions = self.surface.conditions(&self.connection);
        let planned = plan(&self.connection, &self.command, self.is_keyed, id, conditions)?;
        Ok(Write { new: self, id, conditions, planned })
    }
}

/// Plans a command. A create with an idempotency key carries the write's id as a marker, where the provider has a place
/// for it, so that what came of it is known again. Only a client that gave a key asked for more than a plain create, so
/// only then is something written that the client did not send.
pub(super) fn plan(
    connection: &Connection,
    command: &Command,
    is_keyed: bool,
    id: OperationId,
    conditions: Conditions,
) -> Result<Planned, Error> {
    match (command, marker_of(connection, command, is_keyed, id)) {
        (Command::Create(create), Some(marker)) => {
            let marked = Command::Create(marker::marked(create.clone(), &marker));
            execution::plan(connection, &marked, conditions)
        }
        _ => execution::plan(connection, command, conditions),
    }
}

/// The marker of a create, if it has one.
pub(super) fn marker_of(connection: &Connection, command: &Command, is_keyed: bool, id: OperationId) -> Option<String> {
    let is_marked = is_keyed && matches!(command, Command::Create(_)) && marker::is_held_by(connection.manifest);
    is_marked.then(|| id.to_string())
}

/// What a caller says of sending a write again.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The idempotency key: the same key is the same write.
    pub key: Option<String>,
    /// Whether without a key the same content is the same write, while its outcome is open.
    pub joins: bool,
}
