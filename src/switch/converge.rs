//! Writes what brings a record at the other side to the state of the home, and notes which version that is.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use passerelle_providers::{
    engine::carry,
    model::{Command, Customer, CustomerId, Error, Kind, LossPolicy, Operation, Written},
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
    store::{CarriedChanges, CopyComplete, CopyOf, CopyState, IdOrigin},
    writes::{CopyEnd, NewCopy},
};

/// A copy that happened.
pub(super) struct Sent {
    pub(super) provider_id: Option<String>,
    pub(super) existing: bool,
    /// The record after it, where the provider answered it.
    pub(super) record: Option<Box<Customer>>,
}

impl One<'_> {
    /// Brings a record to the state of the home: the update, then the block.
    pub(super) async fn converge(&self, source: &Customer, target: Customer, linked: Linked) -> Result<Copied, Stop> {
        let linked = self.repairing(linked, &target);
        let command = self.planned(&linked, |base| {
            update_command(source, &target, base, &self.sides(), self.order.decision.as_ref())
        })?;
        let Some((command, _)) = command else { return self.converge_block(source, target, linked).await };
        let linked = self.with_row(linked).await?;
        if let Some(taken) = self.taken(&command, source, &linked).await? {
            return Ok(taken);
        }
        let Some(target) = self.send(command, source).await?.record else { return Err(Stop::Moved) };
        self.converge_block(source, *target, linked).await
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
                    Some(record) => (*record, linked),
                    None => return Err(Stop::Moved),
                }
            }
        };
        self.conclude(source, &target, &linked).await
    }

    /// Plans with what both sides last had in common. That can be what a copy wrote whose process died before it noted it.
    fn planned<T>(&self, linked: &Linked, plan: impl Fn(Base<'_>) -> Result<T, Finding>) -> Result<T, Stop> {
        let (seen, hash) = (Seen::merged(&linked.seen), |bytes: &[u8]| self.hash(bytes));
        plan(Base { seen: &seen, hash: &hash }).map_err(|finding| {
            let mut stopped = self.found(finding);
            stopped.set_other_id(self, &linked.id);
            Stop::End(Box::new(stopped))
        })
    }

    /// Writes the row of the record, because the claim of an update needs it. It says nothing about the version yet.
    ///
    /// The claim of the next copy removes the memory of the last one. So what only that memory had is noted before: if the
    /// next copy does not happen, its values would be taken for a change outside the gateway.
    async fn with_row(&self, linked: Linked) -> Result<Linked, Stop> {
        if linked.has_row && !linked.has_memory {
            return Ok(linked);
        }
        let seen = Seen::merged(&linked.seen).to_bytes();
        self.keep(&linked, self.customer.copied_version, seen, None).await?;
        Ok(Linked { has_row: true, has_memory: false, ..linked })
    }

    async fn conclude(&self, source: &Customer, target: &Customer, linked: &Linked) -> Result<Copied, Stop> {
        let sides = self.sides();
        let hash = |bytes: &[u8]| self.hash(bytes);
        let with_carried = self.carried(source, target).await?;
        let common = Seen::common((source, &sides.from), (&with_carried, &sides.to), &hash);
        let ids = self.context.store.ids();
        let kept = ids.seen(&self.pair.merchant, &self.customer.public_id, &self.home.name).await?;
        let at_home = common.over(&Seen::from_bytes(&kept.unwrap_or_default())).to_bytes();
        // A state that may be older than the version is copied, and not believed (R21): the customer stays marked.
        let is_believed = self.is_believed.load(Ordering::Relaxed);
        let version = if is_believed { self.customer.version } else { self.customer.copied_version };
        self.keep(linked, version, common.to_bytes(), Some(at_home)).await?;
        let mut ended = self.ended(match linked.origin {
            IdOrigin::Created => Outcome::Created,
            IdOrigin::Linked => Outcome::Linked,
            IdOrigin::First => Outcome::AlreadyLinked,
        });
        ended.set_other_id(self, &linked.id);
        ended.is_current = is_believed;
        // The claim of a copy pins the customer.
        if is_believed && (self.customer.pinned.is_some() || self.has_sent.load(Ordering::Relaxed)) {
            let lag =
                if self.shows_copy(target, &linked.id).await { Duration::ZERO } else { self.other.visibility_lag };
            let (ids, public_id) = (self.context.store.ids(), &self.customer.public_id);
            let is_unpinned =
                ids.unpin(&self.pair.merchant, public_id, lag, self.customer.version, CopyComplete::ByCaller).await?;
            ended.has_moved = is_unpinned && self.routing.connection == self.other.name;
        }
        Ok(ended)
    }

    /// What the gateway keeps of the customer.
    pub(super) async fn parts(&self) -> Result<Vec<carry::Part>, Stop> {
        let Some(carried) = &self.merchant.carried else { return Ok(Vec::new()) };
        Ok(carried.parts(&self.pair.merchant, &[&*self.customer.public_id]).await?.pop().unwrap_or_default())
    }

    /// Keeps what the other side cannot hold, where the merchant carries fields (R28), before the customer may move there.
    /// Returns the record as a client would read it there.
    async fn carried(&self, source: &Customer, target: &Customer) -> Result<Customer, Stop> {
        let (mut target, merchant) = (target.clone(), &self.pair.merchant);
        let carried = self.merchant.carried.as_ref().filter(|_| self.merchant.on_loss == LossPolicy::Carry);
        let Some(carried) = carried else { return Ok(target) };
        let (public_id, parts) = (&*self.customer.public_id, self.parts().await?);
        let hash = |field, value: &str| carried.hash(merchant, field, value);
        let at = carry::At { connection: &self.other.name, manifest: self.other.manifest, hash: &hash };
        let changes = carry::complete_copy(source, self.home.manifest, &mut target, parts, &at);
        if changes.is_empty() {
            return Ok(target);
        }
        let (public_id, connection) = (public_id.to_owned(), self.other.name.clone());
        let changes = CarriedChanges { public_id, connection, changes, forgets: false };
        match carried.apply_copy(merchant, self.customer.version, changes).await? {
            true => Ok(target),
            false => Err(Stop::Moved),
        }
    }

    /// Notes that the record is the customer's, in the state of a version, and what both sides have in common. `at_home` is
    /// what the row of the home keeps from now on.
    async fn keep(&self, linked: &Linked, version: u64, seen: Vec<u8>, at_home: Option<Vec<u8>>) -> Result<(), Stop> {
        let (ids, public_id) = (self.context.store.ids(), &self.customer.public_id);
        let (merchant, connection) = (&*self.pair.merchant, &*self.other.name);
        let copy = CopyState {
            public_id,
            version,
            connection,
            provider_id: &linked.id,
            origin: linked.origin,
            seen,
            home: at_home.map(|seen| (&*self.home.name, seen)),
        };
        if ids.keep_copy(merchant, copy).await? {
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

    /// Deletes the record of a customer who was deleted (R23, R31).
    pub(super) async fn delete(&self) -> Result<Copied, Stop> {
        let Some(linked) = self.linked().await? else { return Ok(self.ended(Outcome::Deleted)) };
        let mut ended = self.ended(Outcome::Deleted);
        ended.set_other_id(self, &linked.id);
        if !linked.has_row {
            // The copy happened, but its outcome became known after the deletion. Without a row, a list that shows the
            // record would make a new customer of it. A deleted customer has no copied version, so the answer is `false`.
            let copy = CopyState {
                public_id: &self.customer.public_id,
                version: self.customer.copied_version,
                connection: &self.other.name,
                provider_id: &linked.id,
                origin: linked.origin,
                seen: Vec::new(),
                home: None,
            };
            self.context.store.ids().keep_copy(&self.pair.merchant, copy).await?;
        }
        let why = self.other.manifest.require(Operation::Delete).err().map(|error| error.to_string());
        // It was deleted before, or a provider shows it late: then a later call deletes it.
        let read = self.reader(self.other).record(&linked.id).await?;
        match why {
            _ if matches!(read, Read::Missing) => {}
            _ if matches!(read, Read::Merged) => ended.finding = Some(read.finding(self.other)),
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
