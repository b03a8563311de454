//! A write before it is claimed. `http` and `drop_in` make a [`NewWrite`] from a client's request;
//! [`Writes::execute`](super::Writes::execute) plans it. A command that the provider cannot execute,
//! or that would lose fields against the loss policy, is refused here, before anything is claimed or sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use passerelle_providers::{
    engine::{Conditions, Planned},
    kit::marker,
    model::{Command, Error},
};

use super::{
    Surface, contacts,
    content::{SentRequest, content},
    earlier,
    in_flight::Content,
    stored_write::StoredWrite,
};
use crate::{
    execution,
    merchant::{Connection, Merchant},
    store::{CopyOf, HomeOfWrite, NewOperation, OperationId},
};

/// A write that a client requested.
#[derive(Debug)]
pub struct NewWrite {
    /// The merchant whose client requested it.
    pub merchant: Arc<Merchant>,
    /// The name of the client's key, for the audit. `None`: it has no name, or no client requested the write.
    pub key_name: Option<Arc<str>>,
    /// The connection that executes it.
    pub connection: Arc<Connection>,
    /// What the claim is made against. `None`: the merchant has no routing row.
    pub home: Option<HomeOfWrite>,
    /// The command, with completed values.
    pub command: Command,
    /// What the client sent. It decides whether another request is the same write.
    pub sent: SentRequest,
    /// Whether the client gave an idempotency key.
    pub is_keyed: bool,
    /// How the client is answered.
    pub surface: Arc<dyn Surface>,
    /// How long the whole request may take.
    pub deadline: Duration,
    /// Why the connection cannot execute the command, if that is known before it is planned.
    pub refusal: Option<Error>,
    /// The customer of whom this is a copy. `None`: a client requested the write.
    pub copy: Option<CopyOf>,
}

/// A write that is planned and keeps the loss policy. It can be executed.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) new: NewWrite,
    pub(super) id: OperationId,
    pub(super) conditions: Conditions,
    pub(super) planned: Planned,
}

impl NewWrite {
    /// Plans the write, and gives it its id. Nothing is claimed or sent.
    pub(super) fn plan(mut self) -> Result<Write, Box<Unplanned>> {
        let id = OperationId::now();
        let conditions = self.surface.conditions(&self.connection);
        let planned = match self.refusal.take() {
            None => {
                let marker = marker_of(&self.connection, &self.command, self.is_keyed, id, &*self.surface);
                plan(&self.connection, &self.command, marker.as_deref(), conditions)
            }
            Some(error) => Err(error),
        };
        match planned {
            Ok(planned) => Ok(Write { new: self, id, conditions, planned }),
            Err(error) => Err(Box::new(Unplanned { new: self, error })),
        }
    }

    /// The bytes by which the store compares requests.
    pub(super) fn content(&self) -> Bytes {
        content(&self.command, &self.sent, &*self.surface)
    }
}

/// A write that cannot be planned for its connection.
pub(super) struct Unplanned {
    pub(super) new: NewWrite,
    pub(super) error: Error,
}

/// Plans a command. A create with an idempotency key gets the id of the write as an idempotency marker, where the
/// provider has a place for it, so that the gateway can recognize the customer that the create made. A create without a
/// key gets none: its client asked for a plain create, and the gateway writes nothing that the client did not send. A copy
/// gets the marker of its customer.
pub(super) fn plan(
    connection: &Connection,
    command: &Command,
    marker: Option<&str>,
    conditions: Conditions,
) -> Result<Planned, Error> {
    match (command, marker) {
        (Command::Create(create), Some(marker)) => {
            let with_marker = Command::Create(marker::with_marker(create.clone(), marker));
            execution::plan(connection, &with_marker, conditions)
        }
        _ => execution::plan(connection, command, conditions),
    }
}

/// The idempotency marker of a write, if it has one. It depends only on what the store keeps, so that a later attempt
/// gets the same marker.
pub(super) fn marker_of(
    connection: &Connection,
    command: &Command,
    is_keyed: bool,
    id: OperationId,
    surface: &dyn Surface,
) -> Option<String> {
    let has_marker = is_keyed && matches!(command, Command::Create(_)) && marker::is_supported_by(connection.manifest);
    has_marker.then(|| surface.copy_marker().map_or_else(|| id.to_string(), str::to_owned))
}

/// What a client says about repetitions of its request.
#[derive(Debug, Clone, Default)]
pub struct Idempotency {
    /// The idempotency key: requests with the same key are the same write.
    pub key: Option<String>,
    /// Whether, without a key, the request may join an earlier write with the same content.
    pub joins: bool,
}

/// A planned write with what the claim needs: the content by which duplicates are recognized, and the document that
/// the store keeps.
pub(super) struct PreparedWrite {
    pub(super) write: Write,
    pub(super) idempotency: Idempotency,
    /// What another process needs to continue the write. See [`StoredWrite`].
    pub(super) document: Bytes,
    pub(super) content: Content,
}

impl PreparedWrite {
    pub(super) fn new(write: Write, idempotency: Idempotency) -> Self {
        let content = Content { merchant: write.new.merchant.name.clone(), request: write.new.content() };
        let Write { new: NewWrite { command, surface, .. }, conditions, planned, .. } = &write;
        let lost = planned.fidelity().losses().map(|entry| entry.field.name().to_owned()).collect::<Vec<_>>();
        let lost = [lost, surface.lost().to_vec()].concat();
        let document = StoredWrite::write(command, &**surface, conditions.on_loss, lost);
        Self { write, idempotency, document, content }
    }

    /// Whether the request may join another write that has the same content. With a key, the key alone decides.
    pub(super) const fn may_join(&self) -> bool {
        let Idempotency { key, joins } = &self.idempotency;
        key.is_none() && *joins
    }
}

/// A write as the store claims it.
pub(super) fn new_operation(
    write: &NewWrite,
    id: OperationId,
    Idempotency { key, joins }: Idempotency,
    content: Bytes,
    document: Bytes,
) -> NewOperation {
    NewOperation {
        id,
        merchant: write.merchant.name.clone(),
        connection: write.connection.name.clone(),
        operation: write.command.operation().name().to_owned(),
        customer: named_customer(&write.command),
        key,
        key_name: write.key_name.clone(),
        joins,
        request: content,
        earlier: earlier::contents(write),
        command: document,
        copy: write.copy.clone(),
        home: write.home.clone(),
        // A record with the contacts of an open create gets no row, also where the create is a copy.
        contacts: contacts::of_create(write),
    }
}

/// The provider's id of the customer that a command names. A create names no customer.
fn named_customer(command: &Command) -> Option<String> {
    command.customer().map(|id| id.at_provider().to_string())
}
