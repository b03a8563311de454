//! Writes what brings a record at the other side to the state of the home, and notes which version that is.

use std::sync::{Arc, atomic::Ordering};

use passerelle_providers::{
    model::{Command, Customer, CustomerId, Error, Kind, Operation, Written},
    switch::{Base, Finding, FindingCode, Seen, block_command, update_command},
    text::Text,
};

use super::{
    context::{Copied, Stalled},
    copy::{Linked, One, Stop},
    side::Read,
    view::Outcome,
};
use crate::{
    store::{CopyOf, IdOrigin},
    writes::{CopyEnd, NewCopy},
};

/// A copy that happened.
pub(super) struct Sent {
    pub(super) provider_id: Option<String>,
    pub(super) existing: bool,
    /// The record after it, where the provider answered it.
    pub(super) record: Option<Customer>,
}

impl One<'_> {
    /// Brings a record to the state of the home: the update, then the block.
    pub(super) async fn converge(&self, source: &Customer, target: Customer, linked: Linked) -> Result<Copied, Stop> {
        let command = self.planned(&linked, |base| {
            update_command(source, &target, base, &self.sides(), self.order.decision.as_ref())
        })?;
        let Some((command, _)) = command else { return self.converge_block(source, target, linked).await };
        let linked = self.with_row(linked).await?;
        let Some(target) = self.send(command, source).await?.record else { return Err(Stop::Moved) };
        self.converge_block(source, target, linked).await
    }

    pub(super) async fn converge_block(
        &self,
        source: &Customer,
        target: Customer,
        linked: Linked,
    ) -> Result<Copied, Stop> {
        let command = self.planned(&linked, |base| {
            block_command(source, &target, base, &self.sides(), self.order.decision.as_ref())
        })?;
        let (target, linked) = match command {
            None => (target, linked),
            Some(command) => {
                let linked = self.with_row(linked).await?;
                match self.send(command, source).await?.record {
                    Some(record) => (record, linked),
                    None => return Err(Stop::Moved),
                }
            }
        };
        self.conclude(source, &target, &linked).await
    }

    /// Plans with what both sides last had in common. If that is a conflict, the values may be those of a copy whose
    /// process died before it noted them.
    fn planned<T>(&self, linked: &Linked, plan: impl Fn(Base<'_>) -> Result<T, Finding>) -> Result<T, Stop> {
        let hash = |bytes: &[u8]| self.hash(bytes);
        let nothing = [Seen::default()];
        let seen = if linked.seen.is_empty() { &nothing[..] } else { &linked.seen };
        let mut planned = None;
        for seen in seen {
            let result = plan(Base { seen, hash: &hash });
            let is_conflict = matches!(&result, Err(finding) if finding.code == FindingCode::FieldConflict);
            planned = Some(result);
            if !is_conflict {
                break;
            }
        }
        match planned {
            Some(result) => result.map_err(|finding| {
                let mut stopped = self.found(finding);
                stopped.set_other_id(self, &linked.id);
                Stop::End(Box::new(stopped))
            }),
            None => Err(Stop::Moved),
        }
    }

    /// Writes the row of the record, because the claim of an update needs it. It says nothing about the version yet.
    async fn with_row(&self, linked: Linked) -> Result<Linked, Stop> {
        if linked.has_row {
            return Ok(linked);
        }
        let seen = linked.seen.first().map(Seen::to_bytes).unwrap_or_default();
        self.keep(&linked, self.customer.copied_version, &seen).await?;
        Ok(Linked { has_row: true, ..linked })
    }

    async fn conclude(&self, source: &Customer, target: &Customer, linked: &Linked) -> Result<Copied, Stop> {
        let sides = self.sides();
        let hash = |bytes: &[u8]| self.hash(bytes);
        let seen = Seen::common((source, &sides.from), (target, &sides.to), &hash).to_bytes();
        self.keep(linked, self.customer.version, &seen).await?;
        let mut ended = self.ended(match linked.origin {
            IdOrigin::Created => Outcome::Created,
            IdOrigin::Linked => Outcome::Linked,
            IdOrigin::First => Outcome::AlreadyLinked,
        });
        ended.set_other_id(self, &linked.id);
        ended.is_current = true;
        // The claim of a copy pins the customer.
        if self.customer.pinned.is_some() || self.has_sent.load(Ordering::Relaxed) {
            let lag = self.home.visibility_lag.max(self.other.visibility_lag);
            let (ids, public_id) = (self.context.store.ids(), &self.customer.public_id);
            let is_unpinned = ids.unpin(&self.pair.merchant, public_id, lag, self.customer.version).await?;
            ended.has_moved = is_unpinned && self.routing.connection == self.other.name;
        }
        Ok(ended)
    }

    /// Notes that the record is the customer's, in the state of a version.
    async fn keep(&self, linked: &Linked, version: u64, seen: &[u8]) -> Result<(), Stop> {
        let (ids, public_id) = (self.context.store.ids(), &self.customer.public_id);
        let (merchant, connection) = (&*self.pair.merchant, &*self.other.name);
        if ids.copied(merchant, public_id, version, connection, &linked.id, linked.origin, seen).await? {
            return Ok(());
        }
        let owner = ids.public_ids(merchant, &[(connection.to_owned(), linked.id.clone())]).await?.pop().flatten();
        match owner {
            Some(owner) if owner != *public_id => {
                let detail = format!("the record of `{connection}` is linked with another customer");
                Err(self.stop_with(Finding::new(FindingCode::RecordAlreadyLinked, None, detail)))
            }
            _ => Err(Stop::Moved),
        }
    }

    /// Makes a write at the other side.
    pub(super) async fn send(&self, command: Command, source: &Customer) -> Result<Sent, Stop> {
        self.has_sent.store(true, Ordering::Relaxed);
        let copy = NewCopy {
            merchant: Arc::clone(self.merchant),
            connection: Arc::clone(self.other),
            of: CopyOf {
                public_id: self.customer.public_id.clone(),
                version: (!matches!(command, Command::Delete(_))).then_some(self.customer.version),
            },
            epoch: self.routing.epoch,
            command,
            seen: self.everything(source).to_bytes(),
        };
        match self.context.writes.copy(copy).await? {
            CopyEnd::Done { provider_id, existing, written, .. } => {
                let record = written.and_then(|written| match *written {
                    Written::Created(created) => Some(created.customer),
                    Written::Changed(customer) => Some(customer),
                    Written::Deleted => None,
                });
                Ok(Sent { provider_id, existing, record })
            }
            CopyEnd::Refused(error) => Err(self.refused(&error)),
            CopyEnd::InDoubt => Err(self.stop(Outcome::InDoubt)),
            CopyEnd::Moved => Err(Stop::Moved),
        }
    }

    fn refused(&self, error: &Error) -> Stop {
        match (Stalled::of(error, self.other), error.kind) {
            (Some(stalled), _) => Stop::Stalled(stalled),
            (None, Kind::SharedRecord) => {
                let detail = "the provider answered a record with other values, which may be another business's";
                self.stop_with(Finding::new(FindingCode::VendorRecordShared, None, detail))
            }
            (None, _) => self.stop_with(Finding::refused_by_provider(error)),
        }
    }

    /// Deletes what a copy made of a customer who was deleted (R23). A record that was there before stays.
    pub(super) async fn delete(&self) -> Result<Copied, Stop> {
        let Some(linked) = self.linked().await? else { return Ok(self.ended(Outcome::Deleted)) };
        let mut ended = self.ended(Outcome::Deleted);
        ended.set_other_id(self, &linked.id);
        let why = match linked.origin {
            IdOrigin::Created => self.other.manifest.require(Operation::Delete).err().map(|error| error.to_string()),
            IdOrigin::First | IdOrigin::Linked => Some("the record was there before the switch".to_owned()),
        };
        // It was deleted before, or a provider shows it late: then a later call deletes it.
        let is_there = !matches!(self.reader(self.other).record(&linked.id).await?, Read::Missing);
        match why {
            _ if !is_there => {}
            Some(why) => ended.finding = Some(Finding::new(FindingCode::RecordStays, None, why)),
            None => {
                let id = CustomerId::parse(Text::from(&*linked.id), &self.other.manifest.id);
                let id = id.map_err(|error| self.refused(&error))?;
                self.send(Command::Delete(id), &Customer::default()).await?;
            }
        }
        ended.is_current = true;
        Ok(ended)
    }
}
