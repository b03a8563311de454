//! What makes two requests the same write: what the client sent. Nothing that the operator can change is a part of it
//! (connection, region, `on_loss`), and nothing that a new version can change (how values are completed).

use bytes::Bytes;
use passerelle_providers::{
    json::canonical::canonical_document,
    model::{Command, LossPolicy},
    text::Source,
};
use serde::Serialize;

use super::{stored_write::with_member, surface::Surface};

/// What a client sent with a command that writes.
#[derive(Debug, Clone, Default)]
pub struct SentRequest {
    /// The body. `None`: it is empty.
    pub body: Option<Source>,
    /// Whether the client asked for a distinct create beside the body.
    pub distinct: bool,
    /// The loss policy that the client itself asked for. That of the merchant is not a part of the request.
    pub on_loss: Option<LossPolicy>,
}

/// The version of [`content`]. The store has only hashes of the content. So a change of its form needs a new version, and
/// the earlier form in `earlier`: otherwise the keys of the version before belong to other requests.
const VERSION: u32 = 3;

/// The members before `body`.
#[derive(Serialize)]
struct Head<'c> {
    version: u32,
    surface: &'c str,
    operation: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'c str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    distinct: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_loss: Option<LossPolicy>,
}

/// The content of a request: the same bytes for the same request, however its JSON is written.
pub(super) fn content(command: &Command, sent: &SentRequest, surface: &dyn Surface) -> Bytes {
    // The name of a copy's surface differs for each customer, but two copies with equal contents have the same content.
    let surface = if surface.copy_marker().is_some() { "copy".to_owned() } else { surface.name() };
    let head = Head {
        version: VERSION,
        surface: &surface,
        operation: command.operation().name(),
        id: command.customer().map(|id| &**id.public()),
        distinct: sent.distinct,
        on_loss: sent.on_loss,
    };
    let body = sent.body.as_ref().map_or_else(|| "null".to_owned(), |body| canonical_document(body.as_str()));
    with_member(&head, br#","body":"#, body.as_bytes()).into()
}
