//! Reads of a merchant who switches providers: more than one connection can answer.

use std::sync::Arc;

use axum::response::Response;
use passerelle_providers::{
    engine::Conditions,
    model::{Command, Error, Kind},
};
use tokio::time::Instant;

use super::{lists::ListRequest, request::Call};
use crate::{
    execution::{self, Answered, Reader},
    problem::{Code, Problem},
};

impl Call {
    /// Executes a command that only reads, at the homes of the customers that it shows.
    pub(super) async fn execute_at_homes(
        mut self,
        mut command: Command,
        list: Option<ListRequest>,
    ) -> Result<Response, Problem> {
        let (merchant, contacts) = (Arc::clone(&self.merchant), self.contacts.clone());
        let ends = Instant::now() + self.gateway.deadline;
        let reader = Reader::new(&merchant, &contacts, Conditions::canonical(self.on_loss), ends)
            .showing_exchanges(self.include_raw);
        let asking = (!self.explain).then_some(&reader);
        let home = match execution::resolve(&merchant, &mut command, asking).await {
            Ok(home) => home,
            Err(error) => return Err(self.failure_of(&reader, &error)),
        };
        let place = list.as_ref().and_then(ListRequest::place);
        let start = execution::at_start(&reader, &home, &mut command, place).map_err(|error| self.failure(&error))?;
        let start = start.map_err(|reason| Problem::new(Code::InvalidCursor, reason))?;
        self.connection = Arc::clone(&start.connection);
        if self.explain {
            return self.explanation(&self.plan(&command)?);
        }
        let Some(homes) = merchant.homes() else {
            return Err(self.failure(&Error::new(Kind::StoreUnavailable, "the ids of the merchant are not known")));
        };
        let answered = execution::read_at_homes(&reader, homes, &home, start, &command).await;
        let raw = reader.exchanges();
        let written = match answered {
            Ok(Answered { reply, connection, walk }) => {
                self.connection = connection;
                self.write_reply(&command, list.as_ref(), (reply, walk.as_ref()), raw.as_deref(), reader.received())
            }
            Err(error) => Err(self.failure_of(&reader, &error)),
        };
        self.sent(written, list.as_ref()).map_err(|failure| failure.with_raw(raw))
    }

    /// A failure as a problem that names the connection at which it happened.
    fn failure_of(&mut self, reader: &Reader<'_>, error: &Error) -> Problem {
        if let Some(failed_at) = reader.failed_at() {
            self.connection = failed_at;
        }
        self.failure(error)
    }
}
