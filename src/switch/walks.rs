//! The walks of a pass (R22). It walks the list of the active connection and writes the rows of the customers that it shows,
//! then the list of the other side. Customers that neither shows are read by id, because a list may lack a customer.
//!
//! A record with another value than both sides last had in common was changed outside the gateway: its customer is copied again.
//! A copy overwrites nothing that was written at the other side outside the gateway, so a change there becomes a decision.

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use futures_util::{StreamExt, stream};
use passerelle_providers::{
    model::Customer,
    switch::{Finding, FindingCode, Seen},
};
use tokio::time::Instant;

use super::{
    context::Stalled,
    driver::Done,
    matching::index,
    passes::{CHUNK, PINNED, Work, changed, is_copied_again},
    planner::with_finding,
    progress::{Phase, Place, Progress, encoded},
    provider::{Contacts, configured, page},
    side::{Read, Reader, side},
    view::{BlockedBy, BlockedCode, Outcome},
};
use crate::{
    merchant::Connection,
    store::{KnownCustomer, RecordChange, RecordRow, Resolved, SwitchChange, SwitchState},
};

/// How long other processes may take until they know that the merchant has a routing row.
const LEARNING: Duration = Duration::from_secs(3);
/// The customers of a pass that may be gone: this many, or one in a hundred.
const GONE: usize = 10;

/// What a customer is that no list has shown.
enum Absent {
    /// It is as it was, or changed while it was read.
    Fine,
    /// Other hands have changed it.
    Changed(String),
    /// Its home does not find it.
    Missing(String),
}

impl Work<'_> {
    /// Walks a page of the active connection's list.
    pub(super) async fn rows(&self) -> Result<Done, Stalled> {
        let (switch, progress, store) = (&self.loaded.switch, self.progress(), &self.context.store);
        if progress.pass == 1 && progress.place.is_none() {
            self.wait_for_earlier_writes().await?;
            let mut after = None;
            loop {
                after = store.ids().pin(&switch.merchant, after.as_deref(), PINNED).await?;
                self.control.progressed();
                if after.is_none() {
                    break;
                }
            }
        }
        self.walk(self.active(), true, Phase::Rows, Phase::Others).await
    }

    /// Waits before the first walk. Claims of a process that does not know the routing row yet pin no customer. A create that
    /// ended before the routing row was written has left no row of its customer, and the list may not show that customer
    /// before the visibility lag is over.
    async fn wait_for_earlier_writes(&self) -> Result<(), Stalled> {
        let (_, connection) = configured(self.context, &self.loaded.switch.merchant, self.active())?;
        let learning = if self.context.store.switches().is_exclusive() { Duration::ZERO } else { LEARNING };
        let ends_at = Instant::now() + learning.max(connection.visibility_lag);
        // Each change of the switch ends a pause.
        while Instant::now() < ends_at && !self.control.must_end() {
            self.control.pause(ends_at - Instant::now()).await;
        }
        Ok(())
    }

    /// Walks a page of the other side's list. Before the cutover, a record that only the target knows gets its row when an
    /// answer shows it (R5). After it, a customer who is created at the source outside the gateway follows the others.
    pub(super) async fn others(&self) -> Result<Done, Stalled> {
        let switch = &self.loaded.switch;
        let other = if self.active() == switch.from { &switch.to } else { &switch.from };
        let writes_rows = switch.state == SwitchState::Switched;
        // Customers were read once by their copies when the first pass ends.
        let then = if self.progress().pass > 1 { Phase::Absent } else { Phase::Copies };
        self.walk(other, writes_rows, Phase::Others, then).await
    }

    async fn walk(&self, name: &str, writes_rows: bool, phase: Phase, then: Phase) -> Result<Done, Stalled> {
        let (switch, progress, ids) = (&self.loaded.switch, self.progress(), self.context.store.ids());
        if self.control.must_end() {
            return Ok(Done::Ended);
        }
        let (merchant, connection) = configured(self.context, &switch.merchant, name)?;
        // A flip in the middle of a walk begins the other list.
        let place = progress.place.as_ref().filter(|_| progress.walked.as_deref() == Some(name));
        let lag = i64::try_from(connection.visibility_lag.as_millis()).unwrap_or(i64::MAX);
        let shows_all_since = crate::clock::now().as_millisecond().saturating_sub(lag);
        let read = page(self.context, &connection, place).await?;
        self.control.progressed();
        if writes_rows {
            let contacts: Vec<Contacts> = read.items.iter().map(Contacts::of).collect();
            let shown: Vec<_> = read.items.iter().zip(&contacts).map(|(one, contacts)| contacts.record(one)).collect();
            ids.adopt(&switch.merchant, name, &shown).await?;
        }
        if name == switch.to && !index(self.context, &merchant, switch, progress, &read.items).await? {
            return Ok(Done::LeaseLost);
        }
        let at: Vec<&str> = read.items.iter().map(|customer| &**customer.id_at_provider()).collect();
        let known = ids.known(&switch.merchant, name, &at).await?;
        let seen = ids.seen_of(&switch.merchant, name, &at).await?;
        let Some(Resolved { routing, .. }) = ids.resolve(&switch.merchant, None).await? else { return Ok(Done::Ended) };
        let (mut records, mut again) = (Vec::new(), Vec::new());
        for (shown, customer) in read.items.iter().zip(known) {
            // A record without a row may be that of a create whose outcome is unknown, or only the target knows it.
            let Some(customer) = customer.filter(|customer| !customer.is_tombstoned()) else { continue };
            let is_home = customer.home(&routing) == name;
            let kept = seen.get(&customer.public_id).map_or(&[][..], Vec::as_slice);
            let is_back = is_home && customer.gone_at.is_some();
            if is_home && customer.merged_at.is_some_and(|merged_at| merged_at < shows_all_since) {
                // The list shows the customer's own record again. Within the lag it could be the state before the merger.
                ids.note_merged(&switch.merchant, &customer.public_id, false).await?;
            }
            // The first pass only reads: the customers are copied after it, those that the operator has chosen.
            let is_read = progress.pass == 1;
            if is_back || !is_read && self.is_changed(&customer, shown, &connection, kept) {
                again.push(customer.public_id.clone());
            }
            let [source_id, target_id] = [&switch.from, &switch.to].map(|side| customer.id_at(side).map(str::to_owned));
            let seen_in = is_home.then_some(progress.pass);
            let public_id = customer.public_id;
            records.push(RecordChange { public_id, source_id, target_id, seen_in, ..RecordChange::default() });
        }
        self.copy_named(&again, is_copied_or_back).await?;
        let place = read.next.as_ref().map(Place::of);
        let phase = if place.is_some() { phase } else { then };
        let next = Progress { phase, place, walked: Some(name.to_owned()), after: None, ..progress.clone() };
        self.control.turn(self.loaded.settings.interval()).await;
        self.store(Some(next), records).await
    }

    /// Whether a customer who is copied in its last state was changed outside the gateway.
    fn is_changed(&self, customer: &KnownCustomer, shown: &Customer, at: &Connection, kept: &[Vec<u8>]) -> bool {
        let merchant = &self.loaded.switch.merchant;
        let hash = |bytes: &[u8]| self.context.store.operations().copied_value_hash(merchant, bytes);
        let mut kept = kept.iter().filter(|kept| !kept.is_empty()).map(|kept| Seen::from_bytes(kept)).peekable();
        // Either row may have the newer state.
        !customer.is_marked() && kept.peek().is_some() && kept.all(|seen| seen.differs(shown, &side(at), &hash))
    }

    /// Reads customers by id that no list of this pass has shown.
    pub(super) async fn absent(&self) -> Result<Done, Stalled> {
        let (switch, progress) = (&self.loaded.switch, self.progress());
        let log = self.context.store.switches();
        let unseen = log.unseen(&switch.id, progress.pass, progress.after.as_deref(), CHUNK).await?;
        let after = unseen.last().map(|last| last.public_id.clone());
        let missing = self.missing();
        let reading: Vec<_> = unseen
            .into_iter()
            .filter(|record| !missing.contains(&record.public_id))
            .map(|record| self.look_at(record.public_id))
            .collect();
        let mut looked_at = stream::iter(reading).buffered(self.context.at_once(switch));
        let mut again = Vec::new();
        while let Some(absent) = looked_at.next().await {
            match absent? {
                Absent::Fine => {}
                Absent::Changed(public_id) => again.push(public_id),
                Absent::Missing(public_id) => self.misses(&public_id),
            }
        }
        drop(looked_at);
        self.copy_named(&again, is_copied_again).await?;
        let phase = if after.is_some() { Phase::Absent } else { Phase::Copies };
        self.store(Some(Progress { phase, after, ..progress.clone() }), Vec::new()).await
    }

    async fn look_at(&self, public_id: String) -> Result<Absent, Stalled> {
        if !self.control.turn(self.loaded.settings.interval()).await {
            return Ok(Absent::Fine);
        }
        let (switch, ids) = (&self.loaded.switch, self.context.store.ids());
        let Some((customer, home)) = self.at_home(&public_id).await? else { return Ok(Absent::Fine) };
        let Some(provider_id) = customer.id_at(&home) else { return Ok(Absent::Fine) };
        let (merchant, connection) = configured(self.context, &switch.merchant, &home)?;
        let reader = Reader { context: self.context, merchant: &merchant, connection: &connection };
        let read = reader.record(provider_id).await?;
        self.control.progressed();
        match read {
            Read::Found(shown) => {
                let seen = ids.seen_of(&switch.merchant, &home, &[provider_id]).await?;
                let kept = seen.get(&public_id).map_or(&[][..], Vec::as_slice);
                Ok(match self.is_changed(&customer, &shown, &connection, kept) {
                    true => Absent::Changed(public_id),
                    false => Absent::Fine,
                })
            }
            Read::Missing => {
                // It may have been deleted or moved since.
                let is_same = self.at_home(&public_id).await? == Some((customer, home));
                Ok(if is_same { Absent::Missing(public_id) } else { Absent::Fine })
            }
            // A copy says what these mean.
            Read::Merged | Read::Unreadable(_) => Ok(Absent::Changed(public_id)),
        }
    }

    async fn at_home(&self, public_id: &str) -> Result<Option<(KnownCustomer, String)>, Stalled> {
        let merchant = &self.loaded.switch.merchant;
        let Some(resolved) = self.context.store.ids().resolve(merchant, Some(public_id)).await? else {
            return Ok(None);
        };
        let Resolved { routing, customers } = resolved;
        let is_named = |customer: &KnownCustomer| customer.public_id == public_id && customer.deletion.is_none();
        let customer = customers.into_iter().find(is_named);
        Ok(customer.map(|customer| {
            let home = customer.home(&routing).to_owned();
            (customer, home)
        }))
    }

    /// Whether the customer was deleted between the plan and the first run: then nothing is known of it but its record.
    async fn has_no_row(&self, public_id: &str) -> Result<bool, Stalled> {
        let resolved = self.context.store.ids().resolve(&self.loaded.switch.merchant, Some(public_id)).await?;
        Ok(resolved.is_some_and(|resolved| resolved.customers.iter().all(|customer| customer.public_id != public_id)))
    }

    /// The customers that their home does not find.
    pub(super) fn missing(&self) -> BTreeSet<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the home of a customer does not find it.
    pub(super) fn misses(&self, public_id: &str) {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(public_id.to_owned());
    }

    /// Whether every customer who waits for its copy is missing at its home.
    pub(super) async fn has_only_missing(&self) -> Result<bool, Stalled> {
        let (missing, pending) = (self.missing(), Outcome::Pending.as_str());
        let log = self.context.store.switches();
        let records = log.records(&self.loaded.switch.id, Some(pending), None, missing.len() + 1).await?;
        Ok(records.iter().all(|record| missing.contains(&record.public_id)))
    }

    /// Stores who is missing, if that is new.
    pub(super) async fn keep_missing(&self) -> Result<Done, Stalled> {
        match self.missing() == self.progress().missing {
            true => Ok(Done::More),
            false => self.store(Some(self.progress().clone()), Vec::new()).await,
        }
    }

    /// Whether so many are missing that the account may be another one.
    pub(super) async fn has_vanished(&self) -> Result<bool, Stalled> {
        let missing = self.missing().len();
        if missing <= GONE {
            return Ok(false);
        }
        let counts = self.context.store.switches().counts(&self.loaded.switch.id).await?;
        let total: u64 = counts.iter().map(|count| count.count).sum();
        Ok(u64::try_from(missing).unwrap_or(u64::MAX).saturating_mul(100) > total)
    }

    /// Stops the switch. No customer is marked gone; the pass begins anew when the operator runs it again.
    pub(super) async fn stop_vanished(&self) -> Result<Done, Stalled> {
        let (switch, count) = (&self.loaded.switch, self.missing().len());
        let detail = format!(
            "{count} customers are not found at their home in one pass: the key may be another account's. Nothing was \
             deleted. Look at the credentials, then `passerelle switch run {}`",
            switch.merchant
        );
        tracing::error!(switch = switch.id, merchant = switch.merchant, "the switch stops: {detail}");
        let blocked_by =
            BlockedBy { code: BlockedCode::SourceVanished, detail, since: crate::clock::now().to_string() };
        let next = Progress {
            missing: BTreeSet::new(),
            ..self.progress().of_pass(self.progress().pass, self.loaded.settings.runs)
        };
        let change = SwitchChange {
            is_stopped: Some(true),
            progress: Some(encoded(&next)?),
            blocked_by: Some(Some(encoded(&blocked_by)?)),
            ..SwitchChange::default()
        };
        let is_held = self.context.store.switches().change(switch, true, change).await?;
        Ok(if is_held { Done::Ended } else { Done::LeaseLost })
    }

    /// Ends a pass: who is missing is gone, pinned there, and waits for a decision.
    pub(super) async fn settle_missing(&self, next: Progress) -> Result<Done, Stalled> {
        if self.has_vanished().await? {
            return self.stop_vanished().await;
        }
        let mut records = Vec::new();
        for public_id in self.missing() {
            let home = match self.at_home(&public_id).await? {
                Some((_, home)) => home,
                None if self.has_no_row(&public_id).await? => self.loaded.switch.from.clone(),
                None => continue,
            };
            self.context.store.ids().note_gone(&self.loaded.switch.merchant, &public_id, true).await?;
            let detail = format!("`{home}` does not find the customer any more");
            let finding = Finding::new(FindingCode::CustomerGone, None, detail);
            records.push(with_finding(changed(&public_id, Outcome::Gone), Some(&finding)));
        }
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.store(Some(next), records).await
    }
}

/// A customer who was gone may be back.
fn is_copied_or_back(record: &RecordRow) -> bool {
    is_copied_again(record) || record.outcome == Outcome::Gone.as_str()
}
