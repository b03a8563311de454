//! The interface of a middleware, which translates between a merchant and its connections: which connection has a
//! customer, and which id the customer has there. `execution` calls it. A merchant that has not begun to switch providers
//! has none: its commands go to the active connection unchanged. `homes` is the one of the product.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use passerelle_providers::model::{Command, Error, Reply};

use super::{Connection, Merchant};

/// Translates between a merchant and its connections.
#[async_trait]
pub trait Middleware: Debug + Send + Sync + 'static {
    /// Decides which connection executes a command, and replaces the customer's id in it by the id at that connection.
    async fn resolve(&self, merchant: &Merchant, command: &mut Command) -> Result<Arc<Connection>, Error>;

    /// Replaces the id of every customer in a connection's reply by the id that the merchant knows.
    async fn present(&self, merchant: &Merchant, connection: &Connection, reply: &mut Reply) -> Result<(), Error>;

    /// The ids that the merchant knows for customers at connections, in the same order. Each customer is given as the
    /// name of the connection and the id there.
    async fn public_ids(&self, merchant: &Merchant, ids: Vec<(String, String)>) -> Result<Vec<String>, Error>;
}
