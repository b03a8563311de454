//! In whose words a write is answered: the API's own, or those of an imitated provider. An answer may have to be
//! written long after its request, by another process, so a surface can be named and found again.

use std::{fmt::Debug, sync::Arc};

use passerelle_providers::model::{Command, Error, Reply};

use crate::{
    http::problem::Failure,
    line::Exchange,
    merchant::{Connection, Merchant},
    store::{Answer, OperationId},
};

/// A way to answer writes.
pub trait Surface: Debug + Send + Sync {
    /// A text from which the same surface can be made again. Two requests at different surfaces are different.
    fn name(&self) -> String;

    /// Whether the provider's own answers are to be shown.
    fn shows_exchanges(&self) -> bool {
        false
    }

    /// Whether a client is told of somebody who is to be deleted and is not there, though the connection's provider
    /// says that they were deleted.
    fn misses_who_is_not_there(&self, _connection: &Connection) -> bool {
        false
    }

    /// Writes the answer, and where it is a failure, the same for the log.
    fn tell(&self, ended: &Ended<'_>) -> (Answer, Option<Failure>);
}

/// How a write ended.
#[derive(Debug)]
pub struct Ended<'e> {
    /// The write.
    pub id: OperationId,
    /// Whose it is.
    pub merchant: &'e Merchant,
    /// Through which connection.
    pub connection: &'e Connection,
    /// What was asked.
    pub command: &'e Command,
    /// What came of it.
    pub result: Result<&'e Reply, &'e Error>,
    /// What was said on the wire, where that is shown.
    pub exchanges: Option<&'e [Exchange]>,
}

/// Makes a surface again from its name.
pub type FindSurface = fn(name: &str, merchant: &Merchant) -> Option<Arc<dyn Surface>>;
