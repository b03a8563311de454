//! The **record** of a write: what another process needs to go on with it. The store keeps it sealed until the outcome is
//! known. It has a version: a process that reads a record of a newer version does not execute the write, but holds it for
//! an operator.
//!
//! A record contains the **request**: the completed command with its surface. Earlier versions compared requests by it, so
//! its form does not change as long as `earlier` is needed.

use std::sync::Arc;

use bytes::Bytes;
use passerelle_providers::{
    api::input,
    model::{Command, CreateCustomer, LossPolicy, Operation, UpdateCustomer},
    text::{Source, Text},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    copies::CopySurface,
    surface::{FindSurface, StoredSurface, Surface},
};
use crate::{
    merchant::{Connection, Merchant},
    metrics::request::context,
    traces::SpanContext,
};

/// The version of the records that this version of the gateway writes.
const VERSION: u32 = 2;
/// The version of a record whose write may carry fields. Earlier versions of the gateway do not execute it: they would lose
/// the fields.
const CARRYING: u32 = 3;

/// The members before `command` in a request.
#[derive(Serialize)]
struct RequestHead<'d> {
    operation: &'d str,
    surface: &'d str,
    drops_losses: bool,
}

#[derive(Deserialize)]
struct RequestDocument<'d> {
    operation: &'d str,
    surface: String,
    drops_losses: bool,
    #[serde(borrow)]
    command: &'d RawValue,
}

/// The members before `request` in a record.
#[derive(Serialize)]
struct RecordHead<'d> {
    version: u32,
    on_loss: LossPolicy,
    lost: Vec<String>,
    /// The fields that the gateway rewrote when it read the request, with the rules, for the report of the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rewritten: Vec<(&'static str, &'static str)>,
    /// The customer's id at the provider, where the merchant knows the customer by another id.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<&'d str>,
    /// The span of the request as `traceparent`, if it is sampled. Earlier versions ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

#[derive(Deserialize)]
struct TraceOfRecord<'d> {
    trace: Option<&'d str>,
}

/// A record of version 2 or newer. A record of version 1 is the request alone.
#[derive(Deserialize)]
struct RecordDocument<'d> {
    version: u32,
    on_loss: LossPolicy,
    lost: Vec<String>,
    #[serde(default)]
    rewritten: Vec<(String, String)>,
    provider_id: Option<String>,
    #[serde(borrow)]
    request: &'d RawValue,
}

/// The request of a record.
pub(super) fn request(command: &Command, surface: &str, on_loss: LossPolicy) -> Vec<u8> {
    let head =
        RequestHead { operation: command.operation().name(), surface, drops_losses: on_loss == LossPolicy::Drop };
    with_member(&head, br#","command":"#, &command.to_canonical_json())
}

/// Encodes an object with one more member at its end. `value` is JSON already.
pub(super) fn with_member(head: &impl Serialize, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut document = serde_json::to_vec(head).unwrap_or_default();
    // `head` is an object, so the last byte is its closing brace.
    document.pop();
    document.reserve(name.len() + value.len() + 1);
    document.extend_from_slice(name);
    document.extend_from_slice(value);
    document.push(b'}');
    document
}

/// A write as read back from its record: another process, or a later attempt, can go on with it.
pub(super) struct StoredWrite {
    pub(super) command: Command,
    pub(super) surface: Arc<dyn Surface>,
}

impl StoredWrite {
    /// Encodes the record.
    pub(super) fn write(command: &Command, surface: &dyn Surface, on_loss: LossPolicy, lost: Vec<String>) -> Bytes {
        let provider_id = command.customer().filter(|id| id.at_provider() != id.public());
        let provider_id = provider_id.map(|id| &**id.at_provider());
        let fields = match command {
            Command::Create(create) => Some(&create.fields),
            Command::Update(update) => Some(&update.fields),
            _ => None,
        };
        let rewritten = fields.into_iter().flat_map(|fields| fields.rewritten.entries());
        let rewritten = rewritten.map(|(field, rule)| (field.name(), rule)).collect();
        let version = if on_loss == LossPolicy::Carry { CARRYING } else { VERSION };
        let trace = context().map(|context| context.to_string());
        let head = RecordHead { version, on_loss, lost, rewritten, provider_id, trace };
        with_member(&head, br#","request":"#, &request(command, &surface.name(), on_loss)).into()
    }

    /// The span of the request that began the write, if it was sampled.
    pub(super) fn trace(record: &[u8]) -> Option<SpanContext> {
        SpanContext::parse(serde_json::from_slice::<TraceOfRecord<'_>>(record).ok()?.trace?.as_bytes())
    }

    /// Decodes a record. `None` if a newer version wrote it, or if this version does not know its operation or its
    /// surface.
    pub(super) fn read(
        record: &Bytes,
        merchant: &Merchant,
        connection: &Connection,
        find_surface: FindSurface,
    ) -> Option<Self> {
        let (request, mut kept_surface, rewritten, provider_id) =
            match serde_json::from_slice::<RecordDocument<'_>>(record) {
                Ok(document) if document.version > CARRYING => return None,
                Ok(RecordDocument { on_loss, lost, rewritten, provider_id, request, .. }) => {
                    let surface = StoredSurface { name: String::new(), on_loss, lost };
                    (request.get().as_bytes(), surface, rewritten, provider_id)
                }
                Err(_) => (&record[..], StoredSurface::default(), Vec::new(), None),
            };
        let is_version_1 = request.len() == record.len();
        let RequestDocument { operation, surface, drops_losses, command } = serde_json::from_slice(request).ok()?;
        if is_version_1 && drops_losses {
            kept_surface.on_loss = LossPolicy::Drop;
        }
        kept_surface.name = surface;
        let operation = Operation::parse(operation)?;
        let source = Source::new(&Bytes::copy_from_slice(command.get().as_bytes()))?;
        let provider_id = provider_id.map(Text::from);
        let mut command = input::stored(operation, &source, provider_id, connection.manifest).ok()?;
        if let Command::Create(CreateCustomer { fields, .. }) | Command::Update(UpdateCustomer { fields, .. }) =
            &mut command
        {
            for (field, rule) in &rewritten {
                fields.rewritten.add_stored(field, rule);
            }
        }
        let surface = match CopySurface::named(&kept_surface.name) {
            Some(copy) => Arc::new(copy) as Arc<dyn Surface>,
            None => find_surface(&kept_surface, merchant)?,
        };
        Some(Self { command, surface })
    }
}
