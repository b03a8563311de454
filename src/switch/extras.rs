//! Counts the records at the other side that belong to no customer of the source (R29). It walks the other side's list, so
//! there is no count where that list shows only a part.
//!
//! A record without a row may be one that a copy has just made: it is looked up again after the visibility lag. One that a
//! write in doubt may have made counts as `busy`.

use passerelle_providers::model::{Customer, Operation};

use super::{
    context::{Context, Stalled},
    control::Control,
    driver::Done,
    progress::{Extras, Loaded, Place, Verification},
    provider::{configured, page},
    verifying::keep,
};
use crate::store::{KnownCustomer, State, SwitchState};

/// How many records are named in the log.
const NAMED: u64 = 100;
/// The open writes that are looked at.
const WRITES: usize = 200;

/// The connection that is not active.
fn other(loaded: &Loaded) -> &str {
    let switch = &loaded.switch;
    if switch.state == SwitchState::Switched { &switch.from } else { &switch.to }
}

/// Whether the other side lists every record.
pub(super) fn are_counted(context: &Context, loaded: &Loaded) -> Result<bool, Stalled> {
    let (_, connection) = configured(context, &loaded.switch.merchant, other(loaded))?;
    Ok(connection.manifest.lists.is_complete())
}

/// Counts those of the next page.
pub(super) async fn step(
    context: &Context,
    control: &Control,
    loaded: &Loaded,
    verification: &Verification,
) -> Result<Done, Stalled> {
    let (switch, name) = (&loaded.switch, other(loaded));
    let (_, connection) = configured(context, &switch.merchant, name)?;
    if !control.turn(loaded.settings.interval()).await {
        return Ok(Done::Ended);
    }
    let mut next = verification.clone();
    if next.extras.walked.as_deref() != Some(name) {
        // A rollback in the middle begins the other list.
        next.shown.checked -= next.shown.extra.take().unwrap_or_default();
        next.extras = Extras { walked: Some(name.to_owned()), ..Extras::default() };
    }
    let read = page(context, &connection, next.extras.place.as_ref()).await?;
    control.progressed();
    let shown: Vec<&str> = read.items.iter().map(Customer::id_at_provider).map(|id| &**id).collect();
    let mut found = without_customer(context, loaded, name, &shown).await?;
    found.retain(|id| !next.extras.last.iter().any(|counted| counted == id));
    if !found.is_empty() {
        control.expects(connection.visibility_lag);
        tokio::time::sleep(connection.visibility_lag).await;
        if control.must_end() {
            return Ok(Done::Ended);
        }
        found = without_customer(context, loaded, name, &found).await?;
    }
    let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let busy = if count > 0 { open_creates(context, loaded, name).await?.min(count) } else { 0 };
    let before = next.shown.extra.unwrap_or_default();
    next.shown.busy += busy;
    next.shown.extra = Some(before + count - busy);
    next.shown.checked += count;
    if before < NAMED {
        for id in &found {
            tracing::info!(switch = switch.id, connection = name, "the record {id} belongs to no customer");
        }
    }
    next.extras.last = found.into_iter().map(str::to_owned).collect();
    next.extras.place = read.next.as_ref().map(Place::of);
    next.shown.complete = next.extras.place.is_none();
    keep(context, loaded, &next, Vec::new()).await
}

/// The records that belong to no customer of the source. A customer that only the other side ever had is none of the source.
async fn without_customer<'s>(
    context: &Context,
    loaded: &Loaded,
    name: &str,
    ids: &[&'s str],
) -> Result<Vec<&'s str>, Stalled> {
    let known = context.store.ids().known(&loaded.switch.merchant, name, ids).await?;
    let is_extra = |customer: &Option<KnownCustomer>| match customer {
        None => true,
        Some(customer) => !customer.is_tombstoned() && customer.id_at(&loaded.switch.from).is_none(),
    };
    Ok(ids.iter().zip(&known).filter(|(_, customer)| is_extra(customer)).map(|(id, _)| *id).collect())
}

/// How many creates at a connection may have made a record that has no row yet.
async fn open_creates(context: &Context, loaded: &Loaded, name: &str) -> Result<u64, Stalled> {
    let (log, merchant) = (context.store.operations(), &loaded.switch.merchant);
    let mut open = 0;
    for state in [State::Sending, State::Unknown] {
        let writes = log.list(Some(merchant), Some(state), None, WRITES).await?;
        open += writes
            .iter()
            .filter(|write| write.connection == name && write.operation == Operation::Create.name())
            .count();
    }
    Ok(u64::try_from(open).unwrap_or(u64::MAX))
}
