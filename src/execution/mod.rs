//! The one entry point for the commands of a merchant. A command is resolved (which connection, which id there), planned
//! for that connection, executed over a transport, and its reply is made the merchant's own. Without a middleware,
//! resolving and presenting cost nothing.

mod transport;

use std::sync::Arc;

use passerelle_providers::{
    engine::{self, Conditions, Planned},
    model::{Command, Error, Reply, Written},
};

pub use transport::{Exchange, ProviderTransport};

use crate::merchant::{Connection, Merchant};

/// Decides which connection executes a command, and under which id the customer is known there.
pub async fn resolve(merchant: &Merchant, command: Command) -> Result<(Arc<Connection>, Command), Error> {
    match &merchant.middleware {
        None => Ok((Arc::clone(&merchant.active), command)),
        Some(middleware) => middleware.resolve(merchant, command).await,
    }
}

/// Makes a command ready for a connection's provider. Nothing is sent.
pub fn plan(connection: &Connection, command: &Command, conditions: Conditions) -> Result<Planned, Error> {
    engine::plan(&connection.provider, command, conditions)
}

/// Executes a planned command that only reads.
pub async fn read(merchant: &Merchant, transport: &ProviderTransport<'_>, planned: Planned) -> Result<Reply, Error> {
    let mut reply = planned.execute(transport).await?;
    if let Some(middleware) = &merchant.middleware {
        middleware.present(merchant, transport.connection(), &mut reply).await?;
    }
    Ok(reply)
}

/// Makes what came of a write the merchant's own. The write itself is done, whatever this answers.
pub async fn present_written(merchant: &Merchant, connection: &Connection, written: Written) -> Result<Written, Error> {
    let Some(middleware) = &merchant.middleware else { return Ok(written) };
    let mut reply = Reply::Written(written);
    let presented = middleware.present(merchant, connection, &mut reply).await.and_then(|()| reply.try_into());
    presented.map_err(|error: Error| error.after(false, true))
}
