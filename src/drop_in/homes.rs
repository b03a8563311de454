//! Reads of a drop-in client, of a merchant who switches providers.

use std::sync::Arc;

use passerelle_providers::{
    engine::drop_in,
    json::Extra,
    kit::server::not_found,
    model::{Command, Error, Kind, Reply},
};
use tokio::time::Instant;

use super::{DropInCall, conditions};
use crate::{
    execution::{self, Answered, Reader},
    merchant::{Connection, Homes, Merchant},
    state::App,
};

/// The most customers that are counted for a header.
const MOST_COUNTED: usize = 100_000;

impl DropInCall {
    /// Executes a command that only reads, at the homes of the customers that it shows.
    pub(super) async fn read_at_homes(
        &mut self,
        app: &App,
        merchant: &Merchant,
        homes: &Homes,
        mut command: Command,
    ) -> Result<(Reply, Arc<Connection>), Error> {
        let ends = Instant::now() + self.gateway.deadline;
        let reader = Reader::new(merchant, app.store.contacts(), conditions(merchant), ends);
        let home = execution::resolve(merchant, &mut command, Some(&reader)).await?;
        let start = execution::at_start(&reader, &home, &mut command, None)?;
        let start = start.map_err(|reason| Error::new(Kind::Malformed, reason))?;
        let Answered { mut reply, connection, walk } =
            execution::read_at_homes(&reader, homes, &home, start, &command).await?;
        if let (Some(open), Some(_)) = (home.routing.as_ref().and_then(|routing| routing.open.as_ref()), &walk) {
            self.elsewhere = Some(homes.pinned_to(merchant, &open.other, MOST_COUNTED).await?);
        }
        match (&reply, walk) {
            (Reply::Found(None), _) => return Err(not_found()),
            (_, None) if self.dialect.is_spoken_by(&connection) => {}
            (_, None) => reply = drop_in::without_extra(reply),
            (_, Some(walk)) => {
                for (customer, home) in reply.customers_mut().zip(&walk.homes) {
                    if !self.dialect.is_spoken_by(home) {
                        customer.extra = Extra::default();
                    }
                }
            }
        }
        Ok((reply, connection))
    }
}
