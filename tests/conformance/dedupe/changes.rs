//! Updates, deletes, blocks and unblocks: sent twice to a customer of the twin.

use libtest_mimic::Failed;
use passerelle_providers::model::{Command, Field, Operation, Patch, UpdateCustomer, manifest::Clears};

use super::{Harness, Observed, creates::every_field, with_canaries};
use crate::{laws::Subject, sample};

/// Updates of every field together, of a part of the name, of each field alone, and of a field that is cleared.
pub(super) async fn observe_updates(subject: Subject) -> Result<Vec<(&'static str, Observed)>, Failed> {
    let manifest = subject.manifest;
    let mut cases =
        vec![("an update of every field", every_field()), ("an update of a first name", vec![Field::FirstName])];
    // Each field alone, so that a failure names the field that is not compared.
    let is_updated_and_shown = |field: &Field| {
        let support = manifest.field(*field);
        support.update.is_supported() && support.read.is_supported()
    };
    cases.extend(Field::WRITABLE.into_iter().filter(is_updated_and_shown).map(|field| (field.name(), vec![field])));
    if manifest.update.clears == Clears::Sent {
        cases.push(("an update that clears", Vec::new()));
    }
    let mut observed = Vec::new();
    for (what, fields) in cases {
        let harness = Harness::of(subject)?;
        let id = harness.existing_customer().await?;
        let is_empty = fields.is_empty();
        let Command::Update(mut update) = sample::command(Operation::Update, manifest, &with_canaries(fields)) else {
            return Err("the sample is not an update".into());
        };
        if is_empty {
            update.fields.phone = Patch::Clear;
        }
        let command = Command::Update(UpdateCustomer { id: id.clone(), fields: update.fields });
        observed.push((what, harness.observe_change(&command, &id).await?));
    }
    Ok(observed)
}

/// A delete, a block or an unblock.
pub(super) async fn observe(subject: Subject, operation: Operation) -> Result<Observed, Failed> {
    let harness = Harness::of(subject)?;
    let id = harness.existing_customer().await?;
    let command = match operation {
        Operation::Delete => Command::Delete(id.clone()),
        Operation::Block => Command::Block(id.clone()),
        Operation::Unblock => {
            harness.write(&Command::Block(id.clone())).await?;
            Command::Unblock(id.clone())
        }
        _ => return Err(format!("{} does not change a customer", operation.name()).into()),
    };
    harness.observe_change(&command, &id).await
}
