//! In which format a client is answered: that of the API, or that of an imitated provider. `http` and `drop_in`
//! implement [`Surface`]. The answer may have to be written long after the request, by another process; so the store
//! keeps a [`StoredSurface`], and [`FindSurface`] makes the surface from it again.

use std::{fmt::Debug, sync::Arc};

use passerelle_providers::{
    api::view::Receipt,
    engine::Conditions,
    model::{Command, Error, LossPolicy, Written},
};
use serde::{Deserialize, Serialize};

use crate::{
    execution::Exchange,
    merchant::{Connection, Merchant},
    problem::Problem,
    store::{OperationId, StoredAnswer},
};

/// A format in which writes are answered.
pub trait Surface: Debug + Send + Sync {
    /// A text from which [`FindSurface`] makes the same surface again. It is a part of the fingerprint: requests at
    /// different surfaces are different writes.
    fn name(&self) -> String;

    /// The conditions under which a write is executed at a connection.
    fn conditions(&self, connection: &Connection) -> Conditions;

    /// The members of the client's request that no command has a field for, so that they are lost.
    fn lost(&self) -> &[String] {
        &[]
    }

    /// The marker of the records that a copy of a customer makes. `None`: the write is no copy, but a client's.
    fn copy_marker(&self) -> Option<&str> {
        None
    }

    /// Whether the answer includes the provider's own answers.
    fn shows_exchanges(&self) -> bool {
        false
    }

    /// Encodes the answer to the client. If it is a failure, it also returns the problem, for the log.
    fn write_answer(&self, ended: &EndedWrite<'_>) -> (StoredAnswer, Option<Problem>);
}

/// The part of a surface that the store keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSurface {
    /// The surface's name.
    pub name: String,
    /// The loss policy of the request.
    pub on_loss: LossPolicy,
    /// The fields that were lost when the write was sent: those that the provider has no place for, and those that no
    /// command has a field for.
    pub lost: Vec<String>,
}

/// How an attempt at a write ended.
#[derive(Debug)]
pub struct EndedWrite<'e> {
    /// The id of the write.
    pub id: OperationId,
    /// The merchant whose client requested it.
    pub merchant: &'e Merchant,
    /// The connection that executed it.
    pub connection: &'e Connection,
    /// The command.
    pub command: &'e Command,
    /// Its result.
    pub result: Result<&'e Written, &'e Error>,
    /// For a deletion of a merchant who switches providers: what happens at each connection that holds the customer.
    pub receipts: &'e [Receipt],
    /// The provider's own answers, if the surface shows them.
    pub exchanges: Option<&'e [Exchange]>,
}

/// Makes a surface again from what the store kept of it. `None` if this version knows no such surface.
pub type FindSurface = fn(kept: &StoredSurface, merchant: &Merchant) -> Option<Arc<dyn Surface>>;
