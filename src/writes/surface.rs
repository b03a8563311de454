//! In whose words a write is answered: the API's own, or those of an imitated provider. An answer may have to be
//! written long after its request, by another process, so a surface can be kept and made again.

use std::{fmt::Debug, sync::Arc};

use passerelle_providers::{
    engine::Conditions,
    model::{Command, Error, LossPolicy, Written},
};
use serde::{Deserialize, Serialize};

use crate::{
    execution::Exchange,
    merchant::{Connection, Merchant},
    problem::Problem,
    store::{KeptAnswer, OperationId},
};

/// A way to answer writes.
pub trait Surface: Debug + Send + Sync {
    /// A text from which the same surface can be made again. Two requests at different surfaces are different.
    fn name(&self) -> String;

    /// Under which conditions a write is executed at a connection.
    fn conditions(&self, connection: &Connection) -> Conditions;

    /// What the request said that no command can hold, and is therefore lost.
    fn lost(&self) -> &[String] {
        &[]
    }

    /// Whether the provider's own answers are to be shown.
    fn shows_exchanges(&self) -> bool {
        false
    }

    /// Writes the answer, and where it is a failure, the same for the log.
    fn write_answer(&self, ended: &EndedWrite<'_>) -> (KeptAnswer, Option<Problem>);
}

/// What is kept of a surface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSurface {
    /// Its name.
    pub name: String,
    /// The loss policy of the request.
    pub on_loss: LossPolicy,
    /// The fields that were lost when the write was sent: those that the provider cannot hold, and those that no command
    /// can hold.
    pub lost: Vec<String>,
}

/// How a write ended.
#[derive(Debug)]
pub struct EndedWrite<'e> {
    /// The write.
    pub id: OperationId,
    /// Whose it is.
    pub merchant: &'e Merchant,
    /// Through which connection.
    pub connection: &'e Connection,
    /// What was asked.
    pub command: &'e Command,
    /// What came of it.
    pub result: Result<&'e Written, &'e Error>,
    /// What was said on the wire, where that is shown.
    pub exchanges: Option<&'e [Exchange]>,
}

/// Makes a surface again from what was kept of it.
pub type FindSurface = fn(kept: &KeptSurface, merchant: &Merchant) -> Option<Arc<dyn Surface>>;
