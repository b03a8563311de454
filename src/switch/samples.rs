//! The samples of a plan: some customers as they are at the source, and as they will be at the target. They are read again for
//! each report, so no value of them is kept.

use futures_util::{StreamExt, TryStreamExt, stream};
use passerelle_providers::{
    model::Customer,
    switch::{Previewed, Sides, preview},
};

use super::{
    Switches,
    context::Stalled,
    planner::policy,
    progress::Loaded,
    provider::{configured, customer},
    service::{Refused, RefusedKind, Sample},
    side::side,
    view::Outcome,
};
use crate::store::{RecordRow, SwitchState};

/// How many customers are read at the same time.
const AT_ONCE: usize = 4;

impl Switches {
    pub(super) async fn read_samples(&self, id: &str) -> Result<Vec<Sample>, Refused> {
        let loaded = self.settled(id).await?;
        let wanted = usize::try_from(loaded.settings.sample).unwrap_or_default();
        if loaded.switch.state != SwitchState::Planned || wanted == 0 {
            return Ok(Vec::new());
        }
        let log = self.context.store.switches();
        let (mut records, mut after) = (Vec::new(), None);
        while records.len() < wanted {
            let page = log.shown_records(&loaded.switch.id, true, None, after.as_deref(), wanted).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.public_id.clone());
            records.extend(page.into_iter().filter(is_copied));
        }
        records.truncate(wanted);
        // Collected, because a stream of a closure's futures could not move between threads.
        let read: Vec<_> = records.iter().map(|record| self.sample(&loaded, record)).collect();
        let samples: Vec<Option<Sample>> =
            stream::iter(read).buffered(AT_ONCE).try_collect().await.map_err(|stalled: Stalled| {
                Refused::new(RefusedKind::NotAllowed, format!("the samples cannot be read now: {}", stalled.detail))
            })?;
        Ok(samples.into_iter().flatten().collect())
    }

    /// `None`: the source does not show the customer any more.
    async fn sample(&self, loaded: &Loaded, record: &RecordRow) -> Result<Option<Sample>, Stalled> {
        let switch = &loaded.switch;
        let (merchant, from) = configured(&self.context, &switch.merchant, &switch.from)?;
        let (_, to) = configured(&self.context, &switch.merchant, &switch.to)?;
        let source_id = record.source_id.as_deref().unwrap_or(&record.public_id);
        let Some(source) = customer(&self.context, &from, source_id).await? else { return Ok(None) };
        let target: Option<Customer> = match &record.target_id {
            Some(id) => customer(&self.context, &to, id).await?,
            None => None,
        };
        let sides = Sides::new(side(&from), side(&to));
        let fields: Vec<Previewed> = preview(&source, target.as_ref(), &sides, policy(&merchant));
        let outcome = record.planned.as_deref().and_then(Outcome::parse).unwrap_or(Outcome::Pending);
        Ok(Some(Sample { public_id: record.public_id.clone(), target_id: record.target_id.clone(), outcome, fields }))
    }
}

/// Whether the plan gives the customer a record at the target.
fn is_copied(record: &RecordRow) -> bool {
    let planned = record.planned.as_deref().and_then(Outcome::parse);
    let is_planned = matches!(planned, Some(Outcome::Created | Outcome::Linked | Outcome::AlreadyLinked));
    is_planned && record.outcome == Outcome::Pending.as_str()
}
