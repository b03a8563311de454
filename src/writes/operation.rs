//! One attempt at a write, with everything that it needs.

use std::sync::Weak;

use jiff::Timestamp;
use passerelle_providers::{
    engine::{Conditions, Planned},
    model::{Command, Error, Kind, Written},
};
use tokio::time::Instant;

use super::{
    EndedWrite, NewWrite, Surface, WriteAnswer,
    in_flight::InFlightWrite,
    new_write::{marker_of, plan},
};
use crate::{
    execution::{Exchange, ProviderTransport},
    merchant::{Connection, Merchant},
    store::{Lease, OperationId},
};

/// The time that an attempt has: for all of it, and for sending, while nobody else can have taken its write over.
#[derive(Clone)]
pub(super) struct AttemptTime {
    pub(super) ends: Instant,
    pub(super) lease: Lease,
}

impl AttemptTime {
    pub(super) fn transport<'o>(&self, operation: &Operation<'o>) -> ProviderTransport<'o> {
        ProviderTransport::new(operation.connection, operation.command.operation(), self.ends)
            .showing_exchanges(operation.surface.shows_exchanges())
            .under(self.lease.clone())
    }
}

/// A write with everything that it needs.
pub(super) struct Operation<'o> {
    pub(super) id: OperationId,
    pub(super) attempt: u32,
    pub(super) merchant: &'o Merchant,
    pub(super) connection: &'o Connection,
    pub(super) command: &'o Command,
    pub(super) conditions: Conditions,
    pub(super) surface: &'o dyn Surface,
    pub(super) is_keyed: bool,
    /// When to look for what came of it; once the provider must show it, unless this is a look itself.
    pub(super) due: Option<Timestamp>,
    pub(super) waiters: Waiters<'o>,
}

/// Who waits for the end of a write.
#[derive(Clone, Copy)]
pub(super) struct Waiters<'o> {
    pub(super) client: &'o Weak<()>,
    pub(super) in_flight_write: &'o InFlightWrite,
}

impl Waiters<'_> {
    pub(super) fn are_waiting(&self) -> bool {
        self.client.strong_count() > 0 || self.in_flight_write.is_joined()
    }
}

impl<'o> Operation<'o> {
    pub(super) fn of(
        write: &'o NewWrite,
        id: OperationId,
        attempt: u32,
        conditions: Conditions,
        waiters: Waiters<'o>,
    ) -> Self {
        Self {
            id,
            attempt,
            merchant: &write.merchant,
            connection: &write.connection,
            command: &write.command,
            conditions,
            surface: &*write.surface,
            is_keyed: write.is_keyed,
            due: None,
            waiters,
        }
    }

    /// What a create is known by again.
    pub(super) fn marker(&self) -> Option<String> {
        marker_of(self.connection, self.command, self.is_keyed, self.id)
    }

    /// The plan of another attempt.
    pub(super) fn plan(&self) -> Result<Planned, Error> {
        plan(self.connection, self.command, self.is_keyed, self.id, self.conditions)
    }

    pub(super) fn is_deleted_again(&self) -> bool {
        self.attempt > 1 && matches!(self.command, Command::Delete(_))
    }

    pub(super) fn write_answer(&self, result: &Result<Written, Error>, exchanges: Option<&[Exchange]>) -> WriteAnswer {
        let Self { id, merchant, connection, command, .. } = *self;
        let (answer, failure) = self.surface.write_answer(&EndedWrite {
            id,
            merchant,
            connection,
            command,
            result: result.as_ref(),
            exchanges,
        });
        WriteAnswer { id, answer, failure, is_replay: false }
    }

    /// What is told of a write of which something may have happened that nobody has recorded.
    pub(super) fn unrecorded(&self, told: &'static str) -> WriteAnswer {
        self.write_answer(&Err(Error::new(Kind::Interrupted, told).after(true, false)), None)
    }

    /// When to look for what came of it.
    pub(super) fn look_again(&self) -> Option<Timestamp> {
        self.due.or_else(|| Timestamp::now().checked_add(self.connection.visibility_lag).ok())
    }
}
