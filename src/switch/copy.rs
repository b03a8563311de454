//! Copies one customer from its home to the other side of a switch (R17 to R25).
//!
//! A copy converges: it reads the version, then the customer at its home, then the record at the other side, and sends what
//! brings the second to the state of the first. Only then it notes that the other side reflects the version that it read
//! before (R21). A write of a client in between raises the version, so the customer is copied again. The claim of every
//! copy names the version, so no copy of an older state can follow one of a newer state.
//!
//! All memory is in the store: the row of a customer at a connection, and the operation of the last copy. A process that
//! dies at any step leaves a state from which the next call goes on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use passerelle_providers::{
    engine::carry,
    model::{Customer, Operation},
    switch::{Candidate, Decision, Finding, FindingCode, Level, Seen, Sides, Source, Verdict, create_command, judge},
};

use super::{
    context::{Context, Copied, Order, Pair, Stalled, Task},
    rowless,
    side::{Read, Reader, side},
    view::Outcome,
};
use crate::{
    merchant::{Connection, Merchant},
    store::{Deletion, IdOrigin, KnownCustomer, Routing, StoreError},
    writes::CopyEnd,
};

/// How often a customer is planned anew because it changed in between. After that it is left to the next call.
const MOST_ATTEMPTS: usize = 3;

/// Copies a customer to the side of the switch that is not its home, or finds that nothing is to be done.
///
/// It may be called for any customer at any time, and again after any end. Where the result is not
/// [`is_current`](Copied::is_current), the customer has to be copied again. If this future is dropped, a copy that was sent
/// is finished by the task of the write.
pub async fn copy_one(context: &Context, pair: &Pair, public_id: &str, order: &Order) -> Result<Copied, Stalled> {
    let mut copied = Copied::of(Outcome::Pending);
    for _ in 0..MOST_ATTEMPTS {
        let resolved = context.store.ids().resolve(&pair.merchant, Some(public_id)).await?;
        let Some(resolved) = resolved else { return Ok(copied) };
        let is_named = |customer: &KnownCustomer| customer.public_id == public_id;
        let gateway = context.gateway.load_full();
        let Some(customer) = resolved.customers.into_iter().find(is_named) else {
            // The next attempt finds the row.
            match rowless::adopt(context, pair, &resolved.routing.connection, public_id).await? {
                None => continue,
                Some(ended) => return Ok(ended),
            }
        };
        let home = customer.home(&resolved.routing);
        // The customer of another switch stays where it is.
        let Some(other) = pair.other(home) else { return Ok(Copied::of(Outcome::Left)) };
        let connection = |name| gateway.connection(&pair.merchant, name).ok_or_else(|| Stalled::not_configured(name));
        let ((merchant, home), (_, other)) = (connection(home)?, connection(other)?);
        let (customer, routing) = (&customer, &resolved.routing);
        let (has_sent, is_believed) = (AtomicBool::new(false), AtomicBool::new(false));
        let one = One { context, pair, order, merchant, home, other, customer, routing, has_sent, is_believed };
        match one.copy().await {
            Ok(end) => return Ok(end),
            Err(Stop::End(end)) => return Ok(*end),
            Err(Stop::Stalled(stalled)) => return Err(stalled),
            Err(Stop::Moved) => copied = one.ended(Outcome::Pending),
        }
    }
    Ok(copied)
}

impl Copied {
    /// An outcome of which nothing more is known.
    pub(super) const fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            finding: None,
            source_id: None,
            target_id: None,
            is_current: false,
            is_of_tail: false,
            has_moved: false,
        }
    }
}

/// Why an attempt ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The copy has ended so.
    End(Box<Copied>),
    /// The customer was written, moved or deleted in between: it is planned anew.
    Moved,
    /// Nothing can be copied now.
    Stalled(Stalled),
}

impl From<Stalled> for Stop {
    fn from(stalled: Stalled) -> Self {
        Self::Stalled(stalled)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Stalled(error.into())
    }
}

/// One attempt to copy a customer.
pub(super) struct One<'o> {
    pub(super) context: &'o Context,
    pub(super) pair: &'o Pair,
    pub(super) order: &'o Order,
    pub(super) merchant: &'o Arc<Merchant>,
    pub(super) home: &'o Arc<Connection>,
    pub(super) other: &'o Arc<Connection>,
    /// The customer, with the version that was read before the customer itself.
    pub(super) customer: &'o KnownCustomer,
    pub(super) routing: &'o Routing,
    /// Whether a copy was claimed.
    pub(super) has_sent: AtomicBool,
    /// Whether the state that was read at the home is certainly the one of the version.
    pub(super) is_believed: AtomicBool,
}

/// The record of a customer at the other side.
pub(super) struct Linked {
    pub(super) id: String,
    pub(super) origin: IdOrigin,
    /// What both sides had in common, from every place that knows it.
    pub(super) seen: Vec<Seen>,
    pub(super) has_row: bool,
    /// Whether a part of it is kept only with the last copy, and not in a row.
    pub(super) has_memory: bool,
}

impl One<'_> {
    async fn copy(&self) -> Result<Copied, Stop> {
        match self.customer.deletion {
            Some(Deletion::Confirmed) => return self.delete().await,
            // Nothing is copied until it is known whether the deletion happens.
            Some(Deletion::Claimed) => return Ok(self.ended(Outcome::Pending)),
            None => {}
        }
        if self.order.task == Task::Undo {
            return self.undo().await;
        }
        if self.order.decision == Some(Decision::Leave) {
            return Ok(self.ended(Outcome::Left));
        }
        let Some(own) = self.customer.id_at(&self.home.name) else {
            let detail = format!("the gateway does not know the customer's id at its home `{}`", self.home.name);
            return Ok(self.found(Finding::new(FindingCode::RecordUnknown, None, detail)));
        };
        let source = match self.reader(self.home).as_client(&self.customer.public_id, own).await? {
            Read::Found(mut source) => {
                carry::report_removed(&mut source, &self.parts().await?);
                source
            }
            read => return self.unread_at_home(&read).await,
        };
        // Copied all the same: the customer must not wait for its first copy until it is written less often.
        self.is_believed.store(self.shows_last_write(&source), Ordering::Relaxed);
        if self.customer.merged_at.is_some() {
            self.context.store.ids().note_merged(&self.pair.merchant, &self.customer.public_id, false).await?;
        }
        if self.customer.gone_at.is_some() {
            self.context.store.ids().note_gone(&self.pair.merchant, &self.customer.public_id, false).await?;
        }
        match self.linked().await? {
            Some(linked) => self.bring_up(&source, linked).await,
            None => self.find_or_create(&source).await,
        }
    }

    /// The customer cannot be read at its home. Only what is certain is noted: it may have been deleted or moved since.
    async fn unread_at_home(&self, read: &Read) -> Result<Copied, Stop> {
        self.check_unchanged().await?;
        let finding = read.finding(self.home);
        let mut ended = self.found(finding);
        if matches!(read, Read::Merged) {
            // From now on no write of a client reaches the other customer.
            self.context.store.ids().note_merged(&self.pair.merchant, &self.customer.public_id, true).await?;
        }
        if matches!(read, Read::Missing) {
            // Whether this is believed depends on how many there are (R22): the caller notes it.
            ended.outcome = Outcome::Gone;
        }
        Ok(ended)
    }

    async fn check_unchanged(&self) -> Result<(), Stop> {
        let public_id = Some(&*self.customer.public_id);
        let resolved = self.context.store.ids().resolve(&self.pair.merchant, public_id).await?;
        let is_same = resolved.is_some_and(|resolved| {
            resolved.routing.epoch == self.routing.epoch
                && resolved.customers.iter().any(|customer| {
                    let (known, now) = (self.customer, customer);
                    known.public_id == now.public_id
                        && (known.version, &known.pinned, known.deletion) == (now.version, &now.pinned, now.deletion)
                })
        });
        if is_same { Ok(()) } else { Err(Stop::Moved) }
    }

    /// The record at the other side that the gateway knows: from its row, or from a copy whose process died before it
    /// wrote the row.
    pub(super) async fn linked(&self) -> Result<Option<Linked>, Stop> {
        let ids = self.context.store.ids();
        let earlier = self.context.writes.earlier_copy(self.merchant, self.other, &self.customer.public_id).await?;
        let (id, existing, last) = match earlier {
            Some(CopyEnd::Done { provider_id, existing, seen, .. }) => (provider_id, existing, Some(seen)),
            Some(_) => return Err(self.stop(Outcome::InDoubt)),
            None => (None, true, None),
        };
        let last = last.and_then(memory);
        if let Some(at) = self.customer.at.get(&self.other.name) {
            // What both sides had in common is kept with the side that was written. After a flip that is the home. If the
            // other side was the home in an earlier switch, it is the side to which that switch led.
            let own = [&self.other.name, &self.home.name];
            let earlier = self.customer.at.keys().filter(|connection| !own.contains(connection));
            let (mut seen, has_memory) = (Vec::new(), last.is_some());
            for connection in own.into_iter().chain(earlier) {
                let kept = ids.seen(&self.pair.merchant, &self.customer.public_id, connection).await?;
                seen.extend(kept.and_then(memory));
            }
            seen.extend(last);
            if seen.is_empty() {
                // The process that copied the customer to what is now its home died before it noted what it had written.
                let home = self.context.writes.earlier_copy(self.merchant, self.home, &self.customer.public_id).await?;
                if let Some(CopyEnd::Done { seen: written, .. }) = home {
                    seen.extend(memory(written));
                }
            }
            let (id, origin) = (at.provider_id.clone(), at.origin);
            return Ok(Some(Linked { id, origin, seen, has_row: true, has_memory }));
        }
        if let Some(id) = &id
            && existing
            && !self.is_own(id).await?
        {
            return Err(self.shared(id).await);
        }
        let origin = if existing { IdOrigin::Linked } else { IdOrigin::Created };
        Ok(id.map(|id| Linked { id, origin, seen: last.into_iter().collect(), has_row: false, has_memory: false }))
    }

    /// Brings a record that stands at the other side to the state of the home.
    async fn bring_up(&self, source: &Customer, linked: Linked) -> Result<Copied, Stop> {
        match self.reader(self.other).record(&linked.id).await? {
            Read::Found(target) => self.converge(source, *target, linked).await,
            Read::Missing | Read::Merged if self.replaces(&linked).await? => self.replace(source, &linked).await,
            Read::Missing
                if self.repairs(&linked) && self.other.manifest.operation(Operation::Delete).is_supported() =>
            {
                self.make_again(&linked).await
            }
            Read::Missing => {
                let detail = format!("`{}` does not find the record of the customer any more", self.other.name);
                Ok(self.found(Finding::new(FindingCode::CopyMissing, None, detail)))
            }
            read => Ok(self.found(read.finding(self.other))),
        }
    }

    pub(super) async fn find_or_create(&self, source: &Customer) -> Result<Copied, Stop> {
        let (found, marker) = (self.candidates(source).await?, self.marker());
        let candidates: Vec<Candidate<'_>> = found.iter().map(|found| found.candidate(&marker)).collect();
        let decision = self.order.decision.as_ref();
        let person = Source { public_id: &self.customer.public_id, customer: source, rivals: &self.order.rivals };
        match judge(&person, &candidates, &self.sides(), decision) {
            Verdict::Create => self.create(source).await,
            Verdict::Link { id, finding } => {
                let found = candidates.iter().find(|candidate| *candidate.customer.id_at_provider() == id);
                let Some(found) = found else { return Err(Stop::Moved) };
                // The gateway made a record that has its marker.
                let origin = if found.has_marker { IdOrigin::Created } else { IdOrigin::Linked };
                let linked = Linked { id: id.to_string(), origin, seen: Vec::new(), has_row: false, has_memory: false };
                let mut linked = self.converge(source, found.customer.clone(), linked).await?;
                linked.finding.get_or_insert(finding);
                Ok(linked)
            }
            Verdict::AlreadyLinked { .. } => Err(Stop::Moved),
            Verdict::Refused(finding) | Verdict::NeedsDecision(finding) => Ok(self.found(finding)),
            Verdict::Left => Ok(self.ended(Outcome::Left)),
        }
    }

    async fn create(&self, source: &Customer) -> Result<Copied, Stop> {
        let (command, _) = create_command(source, &self.sides(), self.order.decision.as_ref())
            .map_err(|finding| self.stop_with(finding))?;
        let sent = self.send(command, source).await?;
        let Some(id) = sent.provider_id else { return Err(self.stop(Outcome::InDoubt)) };
        let origin = if sent.existing { IdOrigin::Linked } else { IdOrigin::Created };
        // A copy that happened in an earlier call may be of an older state, so its record is compared.
        let seen = if sent.record.is_some() { vec![self.everything(source)] } else { Vec::new() };
        let linked = Linked { id, origin, seen, has_row: false, has_memory: false };
        match sent.record {
            Some(record) if !sent.existing => self.converge_block(source, *record, linked).await,
            _ => Err(Stop::Moved),
        }
    }

    pub(super) fn reader<'r>(&'r self, connection: &'r Arc<Connection>) -> Reader<'r> {
        Reader { context: self.context, merchant: self.merchant, connection }
    }

    pub(super) fn sides(&self) -> Sides<'_> {
        Sides { reference: self.pair.reference.as_deref(), ..Sides::new(side(self.home), side(self.other)) }
    }

    pub(super) fn marker(&self) -> String {
        self.context.store.operations().copy_marker(&self.pair.merchant, &self.customer.public_id)
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> [u8; 8] {
        self.context.store.operations().copied_value_hash(&self.pair.merchant, bytes)
    }

    /// What the other side has if it takes every value of the home.
    pub(super) fn everything(&self, source: &Customer) -> Seen {
        let from = self.sides().from;
        Seen::common((source, &from), (source, &from), &|bytes| self.hash(bytes))
    }

    pub(super) fn ended(&self, outcome: Outcome) -> Copied {
        let id = |connection: &str| self.customer.id_at(connection).map(str::to_owned);
        let (source_id, target_id) = (id(&self.pair.from), id(&self.pair.to));
        let is_of_tail = self.routing.connection == self.other.name;
        Copied { source_id, target_id, is_of_tail, ..Copied::of(outcome) }
    }

    /// The end that a finding means.
    pub(super) fn found(&self, finding: Finding) -> Copied {
        let outcome = match finding.level() {
            Level::Blocker => Outcome::Refused,
            Level::Action | Level::Info => Outcome::NeedsDecision,
        };
        Copied { finding: Some(finding), ..self.ended(outcome) }
    }

    pub(super) fn stop(&self, outcome: Outcome) -> Stop {
        Stop::End(Box::new(self.ended(outcome)))
    }

    pub(super) fn stop_with(&self, finding: Finding) -> Stop {
        Stop::End(Box::new(self.found(finding)))
    }
}

/// What a row or an operation keeps of what both sides have in common, if it keeps anything.
fn memory(bytes: Vec<u8>) -> Option<Seen> {
    (!bytes.is_empty()).then(|| Seen::from_bytes(&bytes))
}

impl Copied {
    pub(super) fn set_other_id(&mut self, one: &One<'_>, id: &str) {
        let place = if one.other.name == one.pair.to { &mut self.target_id } else { &mut self.source_id };
        *place = Some(id.to_owned());
    }
}
