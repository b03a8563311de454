//! The verification of a switch, page by page. Its counts are stored with the page, so a process that dies verifies the page
//! again and counts each customer once.

use jiff::Timestamp;

use super::{
    context::{Context, Stalled},
    control::Control,
    driver::Done,
    passes,
    progress::{Loaded, Verification, encoded},
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
        let pair = passes::pair(loaded);
        let page = verify_page(context, &pair, verification.after.as_deref(), limit, options).await?;
        control.progressed();
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
        let differing = page.checked.iter().filter(|one| one.result.is_difference());
        let differing: Vec<String> = differing.map(|one| one.public_id.clone()).collect();
        next.after = page.next;
        next.shown.complete = next.after.is_none();
        // The store keeps the result before the copier looks at what differs.
        if !keep(context, loaded, &next, records).await? {
            return Ok(Done::LeaseLost);
        }
        passes::copy_again(context, control, loaded, &differing).await?;
        return Ok(Done::More);
    }
    next.shown.complete = true;
    let change = SwitchChange { verified: Some(encoded(&next)?), ..SwitchChange::default() };
    log.change(switch, true, change).await?;
    Ok(Done::More)
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
