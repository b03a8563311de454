//! What can stand between a merchant and its connections: where a customer lives, and under which id. A merchant that
//! has not switched providers has none, and its commands go to the active connection as they are.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use passerelle_providers::model::{Command, Error, Reply};

use super::{Connection, Merchant};

/// Stands between a merchant and its connections.
#[async_trait]
pub trait Middleware: Debug + Send + Sync + 'static {
    /// Decides which connection executes a command, and gives the customer that the command names its id there.
    async fn resolve(&self, merchant: &Merchant, command: Command) -> Result<(Arc<Connection>, Command), Error>;

    /// Makes a connection's reply the merchant's own: every customer gets the id that the merchant knows.
    async fn present(&self, merchant: &Merchant, connection: &Connection, reply: &mut Reply) -> Result<(), Error>;

    /// The ids that the merchant knows of customers at a connection, in the same order.
    async fn public_ids(&self, merchant: &Merchant, ids: Vec<(String, String)>) -> Result<Vec<String>, Error>;
}
