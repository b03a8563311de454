//! Cutover and rollback: the gate, the proof of the way back (R14), and the flip of the routing row.

use std::sync::Arc;

use passerelle_providers::model::{Command, Customer, CustomerFields, CustomerId, Patch, UpdateCustomer};
use passerelle_providers::text::Text;

use super::{
    Switches,
    commands::{changed, closed, refused},
    context::Stalled,
    ending::STALE,
    gates::{self, Evidence},
    progress::{Loaded, Settings, encoded},
    provider::configured,
    service::{Accepted, Decided, Refused, RefusedKind},
    side::{Read, Reader},
    view::{Reason, SwitchView},
};
use crate::{
    store::{HomeOfWrite, KnownCustomer, Step, SwitchChange},
    writes::CopyEnd,
};

/// The customers that are considered for the proof of the way back: one customer's own values are written to the source.
const CANDIDATES: usize = 100;
/// How many of them are tried.
const TRIED: usize = 3;

impl From<Stalled> for Refused {
    fn from(stalled: Stalled) -> Self {
        refused(RefusedKind::NotAllowed, stalled.detail)
    }
}

impl Switches {
    async fn gate(&self, loaded: &Loaded, accepted: &Accepted) -> Result<Vec<Reason>, Refused> {
        let evidence = Evidence::of(&self.context, loaded).await?;
        Ok(gates::cutover(loaded, &evidence, accepted))
    }

    /// Writes one record's own values back to the source, so that it is known that the source accepts writes. If it does not,
    /// the gate stays closed.
    async fn prove_way_back(&self, loaded: &Loaded) -> Result<(), Refused> {
        let (switch, ids) = (&loaded.switch, self.context.store.ids());
        let (merchant, source) = configured(&self.context, &switch.merchant, &switch.from)?;
        let Some(resolved) = ids.resolve(&switch.merchant, None).await? else { return Ok(()) };
        let fits = |customer: &KnownCustomer| {
            let is_well = customer.deletion.is_none() && customer.gone_at.is_none() && !customer.is_marked();
            is_well && customer.home(&resolved.routing) == switch.from
        };
        let customers = ids.all(&switch.merchant, None, CANDIDATES).await?;
        for customer in customers.iter().filter(|customer| fits(customer)).take(TRIED) {
            let Some(own) = customer.id_at(&switch.from) else { continue };
            let reader = Reader { context: &self.context, merchant: &merchant, connection: &source };
            let Read::Found(record) = reader.record(own).await? else { continue };
            let Ok(id) = CustomerId::parse(Text::from(own), &source.manifest.id) else { continue };
            for fields in own_values(&record) {
                let home = HomeOfWrite {
                    epoch: resolved.routing.epoch,
                    public_id: Some(customer.public_id.clone()),
                    is_copy: false,
                };
                let command = Command::Update(UpdateCustomer { id: id.clone(), fields });
                let (merchant, source) = (Arc::clone(&merchant), Arc::clone(&source));
                if let CopyEnd::Done { .. } = self.context.writes.write_back(merchant, source, home, command).await? {
                    tracing::info!(switch = switch.id, "the source has accepted a record's own values");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) async fn flip(
        &self,
        id: &str,
        step: Step,
        accepted: &Accepted,
        decided: Decided,
    ) -> Result<SwitchView, Refused> {
        let (loaded, after) = self.decided(id, decided, Some(step)).await?;
        let switch = &loaded.switch;
        let to = if step == Step::Cutover { &switch.to } else { &switch.from };
        if step == Step::Cutover {
            let mut reasons = self.gate(&loaded, accepted).await?;
            if reasons.iter().all(|reason| reason.code == gates::UNPROVEN) && !reasons.is_empty() {
                self.prove_way_back(&loaded).await?;
                reasons = self.gate(&loaded, accepted).await?;
            }
            closed("cutover", reasons)?;
        }
        // The worker lets them follow. It is stored before the flip, so that no end of a process loses it.
        let stale = step == Step::Rollback && accepted.iter().any(|code| code == STALE);
        if stale != loaded.settings.stale {
            let settings = Some(encoded(&Settings { stale, ..loaded.settings.clone() })?);
            self.change(&loaded, SwitchChange { settings, ..SwitchChange::default() }).await?;
        }
        let ids = self.context.store.ids();
        let routing = ids.resolve(&switch.merchant, None).await?.map(|resolved| resolved.routing);
        let Some(routing) = routing.filter(|routing| routing.epoch == switch.epoch) else {
            return Err(changed(switch));
        };
        if !ids.flip(&switch.merchant, &switch.id, &routing, to).await? {
            return Err(changed(switch));
        }
        tracing::warn!(
            merchant = switch.merchant,
            connection = to,
            epoch = switch.epoch + 1,
            state = after.as_str(),
            "the active connection has changed"
        );
        // The routing row is the truth: if this process ends here, the next look at the switch reads it.
        let settled = self.settled(id).await?;
        self.has_work.notify_one();
        self.view(&settled.switch.id).await
    }
}

/// The values of a record that can be written back, each alone: the first that the source can update is enough.
fn own_values(record: &Customer) -> impl Iterator<Item = CustomerFields> {
    let set = |value: &Option<Text>| value.clone().filter(|text| !text.is_empty()).map(Patch::Set);
    let fields = [
        set(&record.email).map(|email| CustomerFields { email, ..CustomerFields::default() }),
        set(&record.phone).map(|phone| CustomerFields { phone, ..CustomerFields::default() }),
        set(&record.name).map(|name| CustomerFields { name, ..CustomerFields::default() }),
    ];
    fields.into_iter().flatten()
}
