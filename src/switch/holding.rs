//! Customers follow the active connection when their copies are complete. One who is written so often that no copy is complete
//! before the next write would never follow: the claims on it wait while it moves (R15).

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use passerelle_providers::switch::{Finding, FindingCode};
use tokio::time::{Instant, sleep};

use super::{
    context::Stalled,
    passes::{PINNED, Work, changed, is_copied_again},
    planner::with_finding,
    provider::configured,
    view::Outcome,
};
use crate::store::{CopyComplete, KnownCustomer, StoreError};

/// In how many looks a customer was just written before the claims on it are held.
const LOOKS: u32 = 3;
/// The looks after a hold that was not enough, until the next one.
const REST: u32 = 120;
/// The time between two attempts to move a customer whose claims wait.
const AGAIN: Duration = Duration::from_millis(20);
/// How many pins are removed at once. The store commits them in groups: one after the other, a million would take half an hour.
const UNPINNED_AT_ONCE: usize = 64;

impl Work<'_> {
    /// Removes the pins of customers who are copied. Before the cutover that changes nothing.
    pub(super) async fn follow(&self) -> Result<(), Stalled> {
        let (switch, ids) = (&self.loaded.switch, self.context.store.ids());
        let mut has_held = false;
        for (home, other) in [(&switch.from, &switch.to), (&switch.to, &switch.from)] {
            let (_, there) = configured(self.context, &switch.merchant, other)?;
            let is_tail = home != self.active();
            let mut after: Option<String> = None;
            loop {
                let pinned = ids.pinned_to(&switch.merchant, home, after.as_deref(), PINNED).await?;
                let lag = there.visibility_lag;
                let may_follow = |customer: &KnownCustomer| {
                    let is_at_both = [home, other].iter().all(|side| customer.id_at(side).is_some());
                    is_at_both && customer.deletion.is_none() && customer.gone_at.is_none()
                };
                let unpinning: Vec<_> = pinned
                    .iter()
                    .map(async |customer| {
                        let KnownCustomer { public_id, version, .. } = customer;
                        let is_ready = may_follow(customer) && !customer.is_marked();
                        let unpin = ids.unpin(&switch.merchant, public_id, lag, *version, CopyComplete::ByRecord);
                        Ok::<_, StoreError>(is_ready && unpin.await?)
                    })
                    .collect();
                let followed: Vec<bool> = stream::iter(unpinning).buffered(UNPINNED_AT_ONCE).try_collect().await?;
                for (customer, has_followed) in pinned.iter().zip(followed) {
                    match (is_tail && may_follow(customer), has_followed) {
                        (true, true) => self.is_not_busy(&customer.public_id).await?,
                        // One after the other, so that no look takes long.
                        (true, false) if !has_held => has_held = self.hold_if_busy(customer, lag).await?,
                        _ => {}
                    }
                    if self.control.must_end() {
                        return Ok(());
                    }
                }
                self.control.progressed();
                after = pinned.last().map(|last| last.public_id.clone());
                if pinned.len() < PINNED {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A customer who followed is not written too often any more.
    async fn is_not_busy(&self, public_id: &str) -> Result<(), Stalled> {
        self.control.busy().remove(public_id);
        let Some(record) = self.context.store.switches().record(&self.loaded.switch.id, public_id).await? else {
            return Ok(());
        };
        if record.code.as_deref() != Some(FindingCode::WrittenTooOften.as_str()) {
            return Ok(());
        }
        let outcome = Outcome::parse(&record.outcome).unwrap_or(Outcome::Created);
        self.store(None, vec![changed(public_id, outcome)]).await.map(|_| ())
    }

    /// Counts in how many looks a customer of the tail was just written. If these are enough, it is moved while the claims on
    /// it wait. Returns whether they did.
    async fn hold_if_busy(&self, customer: &KnownCustomer, lag: Duration) -> Result<bool, Stalled> {
        let public_id = &customer.public_id;
        if !customer.is_marked() && !was_just_written(customer, lag) {
            self.control.busy().remove(public_id);
            return Ok(false);
        }
        let looks = {
            let mut busy = self.control.busy();
            let looks = busy.entry(public_id.clone()).or_default();
            *looks = if *looks >= REST { 1 } else { *looks + 1 };
            *looks
        };
        if looks == LOOKS && self.move_held(customer).await? {
            self.is_not_busy(public_id).await?;
        }
        Ok(looks == LOOKS)
    }

    /// Moves a customer while the claims on it wait. Returns whether it has moved.
    async fn move_held(&self, customer: &KnownCustomer) -> Result<bool, Stalled> {
        let (switch, ids) = (&self.loaded.switch, self.context.store.ids());
        let (merchant, public_id) = (&switch.merchant, &customer.public_id);
        let record = self.context.store.switches().record(&switch.id, public_id).await?;
        // If it waits for a person, a hold does not move it.
        let Some(record) = record.filter(is_copied_again) else { return Ok(false) };
        let hold = self.context.gateway.load().hold;
        let until = Instant::now() + hold;
        ids.hold(merchant, public_id, Some(hold)).await?;
        let moved = self.try_move(customer, until).await;
        // Also after a failure: no client waits for nothing.
        ids.hold(merchant, public_id, None).await?;
        self.control.progressed();
        if moved? {
            return Ok(true);
        }
        let home = customer.pinned.as_deref().unwrap_or_default();
        let detail = format!("it was not moved while its writes waited for {hold:?}, and stays at `{home}`");
        tracing::warn!(switch = switch.id, merchant, "a customer is written too often: {detail}");
        let finding = Finding::new(FindingCode::WrittenTooOften, None, detail);
        // A copy has stored another outcome since, perhaps.
        let record = self.context.store.switches().record(&switch.id, public_id).await?.unwrap_or(record);
        let outcome = Outcome::parse(&record.outcome).unwrap_or(Outcome::Pending);
        self.store(None, vec![with_finding(changed(public_id, outcome), Some(&finding))]).await?;
        Ok(false)
    }

    async fn try_move(&self, customer: &KnownCustomer, until: Instant) -> Result<bool, Stalled> {
        let (switch, ids, public_id) = (&self.loaded.switch, self.context.store.ids(), customer.public_id.as_str());
        while Instant::now() < until && !self.control.must_end() {
            let resolved = ids.resolve(&switch.merchant, Some(public_id)).await?;
            let customers = resolved.into_iter().flat_map(|resolved| resolved.customers);
            let Some(now) = customers.into_iter().find(|known| known.public_id == public_id) else { return Ok(false) };
            // The next write has pinned it again, perhaps, at its new home.
            if now.pinned != customer.pinned {
                return Ok(true);
            }
            // The copy removes the pin where the other side shows what it wrote. It needs the state after the last write, which is
            // not known while a write is open, or where several overlapped. Then one of the waiting writes may pass.
            if now.shown.len() > 1 {
                self.copy_named(&[public_id.to_owned()], is_copied_again).await?;
            }
            sleep(AGAIN).await;
        }
        Ok(false)
    }
}

/// Whether the home may show an older state than that after the last write.
fn was_just_written(customer: &KnownCustomer, lag: Duration) -> bool {
    let lag = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
    crate::clock::now().as_millisecond().saturating_sub(customer.written_at) < lag
}
