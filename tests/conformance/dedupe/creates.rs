//! Creates: sent twice, without the gateway's marker, and with it where the vendor stores it.

use jiff::SignedDuration;
use libtest_mimic::Failed;
use passerelle_providers::{
    engine::reconcile::Found,
    kit::marker,
    model::{Command, CreateCustomer, Field, Operation, Patch},
    text::Text,
};

use super::{Harness, Observed, harness::is_reconciled_to, with_canaries};
use crate::{laws::Subject, sample};

pub(super) async fn observe(subject: Subject) -> Result<Vec<(&'static str, Observed)>, Failed> {
    let mut observed = vec![("a create", observe_create(subject, None).await?)];
    if marker::is_supported_by(subject.manifest) {
        observed.push(("a create with a marker", observe_create(subject, Some("op_1")).await?));
    }
    Ok(observed)
}

async fn observe_create(subject: Subject, marker: Option<&str>) -> Result<Observed, Failed> {
    let harness = Harness::of(subject)?;
    let plain = new_customer(subject)?;
    let command = Command::Create(with_marker(&plain, marker));
    let mut similar = plain.clone();
    similar.fields.email = similar.fields.email.map(|email| Text::from(format!("a.{email}")));
    // Another customer, whom a search that matches parts of an e-mail finds too.
    harness.write(&Command::Create(similar)).await?;
    let sent_at = harness.now();
    let is_unknown_before = matches!(harness.reconcile(&command, sent_at, marker).await?, Found::NotHappened);
    let first = harness.write(&command).await?;
    let record = first.record.clone().ok_or("the create has no effect at the twin")?;
    let is_reconciled_once = is_reconciled_to(&harness.reconcile(&command, sent_at, marker).await?, &record);
    let second = harness.write(&command).await?;
    let is_reconciled_twice = match (&second.record, harness.reconcile(&command, sent_at, marker).await?) {
        // Two records match. Reconciliation must not choose one of them.
        (Some(_), found) => matches!(found, Found::Several),
        (None, found) => is_reconciled_to(&found, &record),
    };
    let is_reconciled_by_marker = match marker {
        // A third create of the same customer with another marker: reconciliation must find that record alone.
        Some(_) => {
            let other = Command::Create(with_marker(&plain, Some("op_2")));
            let created = harness.write(&other).await?.record.unwrap_or_default();
            is_reconciled_to(&harness.reconcile(&other, sent_at, Some("op_2")).await?, &created)
        }
        None => true,
    };
    let is_never_mismatched = is_unknown_before && !matches_another_customer(subject, marker).await?;
    let is_paged = marker.is_some() || is_found_on_a_later_page(subject).await?;
    Ok(Observed {
        is_reconciled: is_never_mismatched
            && is_paged
            && is_reconciled_once
            && is_reconciled_twice
            && is_reconciled_by_marker,
        ..first.compared_with(&second, &record)
    })
}

/// Whether reconciliation matches a create to another customer: one with the same fields who was created an hour before
/// the create was sent, or a new one with the same e-mail but another phone.
async fn matches_another_customer(subject: Subject, marker: Option<&str>) -> Result<bool, Failed> {
    let command = new_customer(subject)?;
    let mut other_phone = command.clone();
    other_phone.fields.phone = Patch::Set(Text::from_static("+221770007419"));
    for (other, age) in [(&command, SignedDuration::from_hours(1)), (&other_phone, SignedDuration::ZERO)] {
        let harness = Harness::of(subject)?;
        let sent_at = harness.now() + age;
        harness.write(&Command::Create(other.clone())).await?;
        let found = harness.reconcile(&Command::Create(with_marker(&command, marker)), sent_at, marker).await?;
        if !matches!(found, Found::NotHappened) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether reconciliation finds a create whose customer is not on the first page of the vendor's list, in whichever order the
/// list is. Without an e-mail address, most lists cannot be narrowed.
async fn is_found_on_a_later_page(subject: Subject) -> Result<bool, Failed> {
    let harness = Harness::of(subject)?;
    let mut plain = new_customer(subject)?;
    let needs_email = subject.manifest.requires.iter().any(|requirement| requirement.any_of == [Field::Email]);
    if !needs_email {
        plain.fields.email = Patch::Absent;
    }
    let write_others = async |first: u16| {
        for number in first..first + subject.manifest.paging.max_limit.clamp(1, 100) {
            let mut other = plain.clone();
            other.fields.email = other.fields.email.map(|_| Text::from(format!("a.{number}@example.com")));
            other.fields.phone = Patch::Set(Text::from(format!("+22177100{number:04}")));
            harness.send_only(&Command::Create(other)).await?;
        }
        Ok::<_, Failed>(())
    };
    write_others(1000).await?;
    let (command, sent_at) = (Command::Create(plain.clone()), harness.now());
    let record = harness.write(&command).await?.record.ok_or("the create has no effect at the twin")?;
    write_others(2000).await?;
    Ok(is_reconciled_to(&harness.reconcile(&command, sent_at, None).await?, &record))
}

fn with_marker(create: &CreateCustomer, marker: Option<&str>) -> CreateCustomer {
    marker.map_or_else(|| create.clone(), |marker| marker::with_marker(create.clone(), marker))
}

/// A create with every field, also those that the vendor loses.
fn new_customer(subject: Subject) -> Result<CreateCustomer, Failed> {
    match sample::command(Operation::Create, subject.manifest, &with_canaries(every_field())) {
        Command::Create(create) => Ok(create),
        _ => Err("the sample is not a create".into()),
    }
}

/// Every field that a client can write, with the name whole.
pub(super) fn every_field() -> Vec<Field> {
    let is_whole = |field: &Field| !matches!(field, Field::FirstName | Field::LastName);
    Field::WRITABLE.into_iter().filter(is_whole).collect()
}
