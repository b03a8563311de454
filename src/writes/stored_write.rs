//! What the store keeps of a write until its outcome is known, so that another process can go on with it.
//!
//! Two documents are made of a write. The **fingerprint** says the same in the same bytes for the same request; two
//! requests are compared by it, so its form never changes. The **record** holds the fingerprint and what else another
//! process needs. It has a version: a process that reads a newer one leaves the write alone.

use std::sync::Arc;

use bytes::Bytes;
use passerelle_providers::{
    api::input,
    model::{Command, LossPolicy, Operation},
    text::{Source, Text},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::surface::{FindSurface, KeptSurface, Surface};
use crate::merchant::{Connection, Merchant};

/// The version of the records that this process writes.
const VERSION: u32 = 2;

/// What stands before the command in a fingerprint.
#[derive(Serialize)]
struct FingerprintHead<'d> {
    operation: &'d str,
    surface: &'d str,
    drops_losses: bool,
}

#[derive(Deserialize)]
struct Fingerprint<'d> {
    operation: &'d str,
    surface: String,
    drops_losses: bool,
    #[serde(borrow)]
    command: &'d RawValue,
}

/// What stands before the fingerprint in a record.
#[derive(Serialize)]
struct RecordHead<'d> {
    version: u32,
    on_loss: LossPolicy,
    lost: Vec<String>,
    /// The customer's id at the provider, where the merchant knows it by another.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<&'d str>,
}

/// The record of a write since version 2. Version 1 was the fingerprint alone.
#[derive(Deserialize)]
struct RecordDocument<'d> {
    version: u32,
    on_loss: LossPolicy,
    lost: Vec<String>,
    provider_id: Option<String>,
    #[serde(borrow)]
    request: &'d RawValue,
}

/// The fingerprint of a request.
pub(super) fn fingerprint(command: &Command, surface: &str, on_loss: LossPolicy) -> Vec<u8> {
    let head =
        FingerprintHead { operation: command.operation().name(), surface, drops_losses: on_loss == LossPolicy::Drop };
    with_member(&head, br#","command":"#, &command.to_canonical_json())
}

/// The JSON of an object with one more member, whose value is JSON already.
fn with_member(head: &impl Serialize, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut document = serde_json::to_vec(head).unwrap_or_default();
    // An object, so that its last byte closes it.
    document.pop();
    document.reserve(name.len() + value.len() + 1);
    document.extend_from_slice(name);
    document.extend_from_slice(value);
    document.push(b'}');
    document
}

/// A write that another process, or a later attempt, can go on with.
pub(super) struct StoredWrite {
    pub(super) command: Command,
    pub(super) surface: Arc<dyn Surface>,
}

impl StoredWrite {
    /// The record that the store keeps, around the fingerprint of the request.
    pub(super) fn write(fingerprint: &[u8], command: &Command, on_loss: LossPolicy, lost: Vec<String>) -> Bytes {
        let provider_id = command.customer().filter(|id| id.at_provider() != id.public());
        let provider_id = provider_id.map(|id| &**id.at_provider());
        let head = RecordHead { version: VERSION, on_loss, lost, provider_id };
        with_member(&head, br#","request":"#, fingerprint).into()
    }

    /// Reads a record back. `None` where a newer version wrote it, or what it names is not there any more.
    pub(super) fn read(
        record: &Bytes,
        merchant: &Merchant,
        connection: &Connection,
        surfaces: FindSurface,
    ) -> Option<Self> {
        let (request, mut kept, provider_id) = match serde_json::from_slice::<RecordDocument<'_>>(record) {
            Ok(document) if document.version > VERSION => return None,
            Ok(RecordDocument { on_loss, lost, provider_id, request, .. }) => {
                (request.get().as_bytes(), KeptSurface { name: String::new(), on_loss, lost }, provider_id)
            }
            Err(_) => (&record[..], KeptSurface::default(), None),
        };
        let is_version_1 = request.len() == record.len();
        let Fingerprint { operation, surface, drops_losses, command } = serde_json::from_slice(request).ok()?;
        if is_version_1 && drops_losses {
            kept.on_loss = LossPolicy::Drop;
        }
        kept.name = surface;
        let operation = Operation::parse(operation)?;
        let source = Source::new(&Bytes::copy_from_slice(command.get().as_bytes()))?;
        let provider_id = provider_id.map(Text::from);
        Some(Self {
            command: input::stored(operation, &source, provider_id, connection.manifest).ok()?,
            surface: surfaces(&kept, merchant)?,
        })
    }
}
