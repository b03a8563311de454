//! The verification of a switch, page by page: first every customer is compared, then the records at the other side are
//! counted that belong to none (`extras`). Its counts are stored with the page, so a process that dies verifies the page
//! again and counts each record once.

use std::collections::BinaryHeap;

use super::{
    context::{Context, Stalled},
    control::Control,
    driver::Done,
    extras, passes,
    progress::{Chosen, Loaded, Verification, encoded},
    verify::{self, PageOptions, Verification as Verdict, Work},
    view::Verified,
};
use crate::store::{RecordChange, SwitchChange};

/// The customers of a page.
const PAGE: usize = 64;
/// The customers of a page of which only a few are compared.
const CHOOSING: usize = 512;

/// Verifies the next page.
pub(super) async fn step(context: &Context, control: &Control, loaded: &Loaded) -> Result<Done, Stalled> {
    let Some(verification) = &loaded.verification else { return Ok(Done::More) };
    if verification.customers_done {
        return extras::step(context, control, loaded, verification).await;
    }
    let mut next = verification.clone();
    if let (Some(sample), None) = (verification.sample, &verification.chosen) {
        next.chosen = Some(choose(context, control, loaded, sample).await?);
        return keep(context, loaded, &next, Vec::new()).await;
    }
    let options = PageOptions { ids_only: verification.ids_only };
    let limit = if next.chosen.is_some() { CHOOSING } else { PAGE };
    let (pair, after) = (passes::pair(context, loaded), verification.after.as_deref());
    let work = Work { control, interval: loaded.settings.interval(), chosen: verification.chosen.as_ref() };
    let mut page = verify::page(context, &pair, after, limit, options, work).await?;
    let differing = page.checked.iter().filter(|one| one.result.is_difference());
    let differing: Vec<String> = differing.map(|one| one.public_id.clone()).collect();
    // What counts is the state after the repair.
    if verification.repair && !differing.is_empty() && passes::repair(context, control, loaded, &differing).await? {
        page = verify::page(context, &pair, after, limit, options, work).await?;
    }
    if control.must_end() {
        // The page is not complete: it is verified again.
        return Ok(Done::Ended);
    }
    let mut records = Vec::new();
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
    if next.after.is_none() {
        next.customers_done = true;
        // A sample says nothing about records that belong to no customer.
        next.shown.complete = next.sample.is_some() || !extras::are_counted(context, loaded)?;
    }
    keep(context, loaded, &next, records).await
}

/// Chooses the customers of a sample at random. Only a seed and one number are kept of it, so a process that goes on compares
/// the same ones.
async fn choose(context: &Context, control: &Control, loaded: &Loaded, sample: u64) -> Result<Chosen, Stalled> {
    let (pair, seed) = (passes::pair(context, loaded), crate::chance::id().simple().to_string());
    let sample = usize::try_from(sample).unwrap_or(usize::MAX);
    let (mut smallest, mut after) = (BinaryHeap::new(), None);
    loop {
        let customers = context.store.ids().all(&pair.merchant, after.as_deref(), CHOOSING).await?;
        control.progressed();
        let is_at_both = |id: &str| id == pair.from || id == pair.to;
        for customer in customers.iter().filter(|customer| customer.deletion.is_none()) {
            if customer.at.keys().filter(|connection| is_at_both(connection)).count() == 2 {
                smallest.push(Chosen::rank(context, &pair, &seed, &customer.public_id));
            }
            if smallest.len() > sample {
                smallest.pop();
            }
        }
        after = customers.last().map(|last| last.public_id.clone());
        if customers.len() < CHOOSING {
            return Ok(Chosen { seed, most: smallest.peek().copied().unwrap_or_default() });
        }
    }
}

/// Stores what was verified. The switch stays as it is where the lease is another's.
pub(super) async fn keep(
    context: &Context,
    loaded: &Loaded,
    next: &Verification,
    records: Vec<RecordChange>,
) -> Result<Done, Stalled> {
    let (switch, log) = (&loaded.switch, context.store.switches());
    if !log.store_page(&switch.id, None, records).await? {
        return Ok(Done::LeaseLost);
    }
    let shown = Verified { at: Some(crate::clock::now().to_string()), ..next.shown.clone() };
    let next = Verification { shown, ..next.clone() };
    let change = SwitchChange { verified: Some(encoded(&next)?), ..SwitchChange::default() };
    // The operator may have begun another command meanwhile. Then the page is verified again.
    log.change(switch, true, change).await?;
    Ok(Done::More)
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
