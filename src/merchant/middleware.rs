//! The interface of a middleware, which translates between a merchant and its connections: which connection has a
//! customer, and which id the customer has there. `execution` calls it. A merchant that has not begun to switch providers
//! has none: its commands go to the active connection unchanged. `homes` is the one of the product.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle_providers::model::{Command, Customer, Error, Reply};

use super::{Connection, Homes, Merchant};
use crate::store::{HomeOfWrite, KnownCustomer, Routing};

/// Where a command is executed.
#[derive(Debug, Clone)]
pub struct Home {
    /// The connection that executes it.
    pub connection: Arc<Connection>,
    /// The merchant's routing on which this was decided. `None` for a merchant without a routing row.
    pub routing: Option<Routing>,
    /// The customer that the command names, if the store knows it.
    pub customer: Option<KnownCustomer>,
}

impl Home {
    /// A connection, for a merchant without a routing row.
    pub const fn at(connection: Arc<Connection>) -> Self {
        Self { connection, routing: None, customer: None }
    }

    /// What a write is claimed against.
    pub fn of_write(&self) -> Option<HomeOfWrite> {
        let public_id = self.customer.as_ref().map(|customer| customer.public_id.clone());
        self.routing.as_ref().map(|routing| HomeOfWrite { epoch: routing.epoch, public_id, is_copy: false })
    }
}

/// Translates between a merchant and its connections.
#[async_trait]
pub trait Middleware: Debug + Send + Sync + 'static {
    /// Decides which connection executes a command, and replaces the customer's id in it by the id at that connection.
    async fn resolve(&self, merchant: &Merchant, command: &mut Command) -> Result<Home, Error>;

    /// Replaces the id of every customer in a connection's reply by the id that the merchant knows.
    async fn present(&self, merchant: &Merchant, connection: &Connection, reply: &mut Reply) -> Result<(), Error>;

    /// Replaces the id of the customer that a create was answered with. `sent_at` is when the create that made it was first
    /// sent, and `None` for a customer that existed.
    async fn present_created(
        &self,
        merchant: &Merchant,
        connection: &Connection,
        customer: &mut Customer,
        sent_at: Option<Timestamp>,
    ) -> Result<(), Error>;

    /// The ids that the merchant knows for customers at connections, in the same order. Each customer is given as the
    /// name of the connection and the id there.
    async fn public_ids(&self, merchant: &Merchant, ids: Vec<(String, String)>) -> Result<Vec<String>, Error>;

    /// The rows of customers, if this middleware has any. Without them, every customer lives at the connection of
    /// [`Self::resolve`].
    fn homes(&self) -> Option<&Homes> {
        None
    }
}
