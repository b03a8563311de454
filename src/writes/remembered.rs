//! What the store keeps of a write until its outcome is known, so that another process can go on with it.

use std::sync::Arc;

use bytes::Bytes;
use passerelle_providers::{
    api::input,
    model::{Command, Operation},
    text::Source,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::surface::{FindSurface, Surface};
use crate::{
    config::OnLoss,
    merchant::{Connection, Merchant},
};

/// What stands before the command.
#[derive(Serialize)]
struct Head<'d> {
    operation: &'d str,
    surface: String,
    drops_losses: bool,
}

#[derive(Deserialize)]
struct Document<'d> {
    operation: &'d str,
    surface: String,
    drops_losses: bool,
    #[serde(borrow)]
    command: &'d RawValue,
}

/// A write that can be carried out again, or looked for.
pub(super) struct Remembered {
    pub(super) command: Command,
    pub(super) surface: Arc<dyn Surface>,
    pub(super) on_loss: OnLoss,
}

impl Remembered {
    /// The document that the store keeps. It says the same in the same bytes, so it is also what two requests
    /// are compared by.
    pub(super) fn write(command: &Command, surface: &dyn Surface, on_loss: OnLoss) -> Bytes {
        let operation = command.operation().name();
        let head = Head { operation, surface: surface.name(), drops_losses: on_loss == OnLoss::Drop };
        let mut document = serde_json::to_vec(&head).unwrap_or_default();
        // An object, so that its last byte closes it.
        document.pop();
        document.extend_from_slice(br#","command":"#);
        document.extend_from_slice(&command.to_canonical_json());
        document.push(b'}');
        document.into()
    }

    /// Reads it back. `None` where a newer version wrote it, or what it names is not there any more.
    pub(super) fn read(
        document: &Bytes,
        merchant: &Merchant,
        connection: &Connection,
        surfaces: FindSurface,
    ) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(document).ok()?;
        let operation = Operation::parse(document.operation)?;
        let source = Source::new(&Bytes::copy_from_slice(document.command.get().as_bytes()))?;
        Some(Self {
            command: input::remembered(operation, &source, connection.manifest).ok()?,
            surface: surfaces(&document.surface, merchant)?,
            on_loss: if document.drops_losses { OnLoss::Drop } else { OnLoss::Reject },
        })
    }
}
