//! The verification of a switch, page by page. Its counts are stored with the page, so a process that dies verifies the page
//! again and counts each customer once.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    context::{Context, Stalled},
    control::Control,
    driver::Done,
    passes,
    progress::{Loaded, Verification, encoded},
    provider::configured,
    verify::{PageOptions, Verification as Verdict, verify_page},
    view::Verified,
};
use crate::store::{RecordChange, SwitchChange};

/// The customers of a page.
const PAGE: usize = 64;

/// Verifies the next page.
pub(super) async fn step(context: &Context, control: &Control, loaded: &Loaded) -> Result<Done, Stalled> {
    let (switch, log) = (&loaded.switch, context.store.switches());
    let Some(verification) = &loaded.verification else { return Ok(Done::More) };
    let room = verification.sample.map(|sample| sample.saturating_sub(verification.shown.checked));
    let limit = room.and_then(|room| usize::try_from(room).ok()).map_or(PAGE, |room| room.min(PAGE));
    let mut next = verification.clone();
    let mut records = Vec::new();
    if limit > 0 {
        let options = PageOptions { ids_only: verification.ids_only };
        let pair = passes::pair(context, loaded);
        control.expects(lag(context, loaded)?);
        let after = verification.after.as_deref();
        let mut page = verify_page(context, &pair, after, limit, options).await?;
        control.progressed();
        let differing = page.checked.iter().filter(|one| one.result.is_difference());
        let differing: Vec<String> = differing.map(|one| one.public_id.clone()).collect();
        // What counts is the state after the repair.
        if verification.repair && !differing.is_empty() && passes::repair(context, control, loaded, &differing).await? {
            page = verify_page(context, &pair, after, limit, options).await?;
            control.progressed();
        }
        for one in &page.checked {
            count(&mut next.shown, one.result);
            records.push(RecordChange {
                public_id: one.public_id.clone(),
                source_id: Some(one.source_id.clone()),
                target_id: Some(one.target_id.clone()),
                differences: Some(match one.differences.is_empty() {
                    true => String::new(),
                    false => encoded(&one.differences)?,
                }),
                ..RecordChange::default()
            });
        }
        next.after = page.next;
        next.shown.complete = next.after.is_none();
        return Ok(if keep(context, loaded, &next, records).await? { Done::More } else { Done::LeaseLost });
    }
    next.shown.complete = true;
    let change = SwitchChange { verified: Some(encoded(&next)?), ..SwitchChange::default() };
    log.change(switch, true, change).await?;
    Ok(Done::More)
}

/// How long a difference waits before it is read again.
fn lag(context: &Context, loaded: &Loaded) -> Result<Duration, Stalled> {
    let switch = &loaded.switch;
    let (_, from) = configured(context, &switch.merchant, &switch.from)?;
    let (_, to) = configured(context, &switch.merchant, &switch.to)?;
    Ok(from.visibility_lag.max(to.visibility_lag))
}

async fn keep(
    context: &Context,
    loaded: &Loaded,
    next: &Verification,
    records: Vec<RecordChange>,
) -> Result<bool, Stalled> {
    let (switch, log) = (&loaded.switch, context.store.switches());
    if !log.store_page(&switch.id, None, records).await? {
        return Ok(false);
    }
    let shown = Verified { at: Some(Timestamp::now().to_string()), ..next.shown.clone() };
    let next = Verification { shown, ..next.clone() };
    let change = SwitchChange { verified: Some(encoded(&next)?), ..SwitchChange::default() };
    Ok(log.change(switch, true, change).await?)
}

fn count(shown: &mut Verified, result: Verdict) {
    shown.checked += 1;
    let place = match result {
        Verdict::Equal => &mut shown.equal,
        Verdict::EqualAfterRule => &mut shown.equal_after_rule,
        Verdict::Differs => &mut shown.differs,
        Verdict::Missing => &mut shown.missing,
        Verdict::Busy => &mut shown.busy,
        Verdict::Unreadable => &mut shown.unreadable,
    };
    *place += 1;
}
