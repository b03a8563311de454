//! The law about the preview of an update that is completed from the customer's record: it shows what is sent, and where
//! the record's values go.

use libtest_mimic::Failed;
use passerelle_providers::{
    kit::render::{FROM_RECORD, FromRecord},
    model::{Command, Customer, CustomerFields, Field, Operation, Patch, UpdateCustomer},
    text::Text,
};
use serde_json::Value;

use super::{Subject, plan};
use crate::fields::{full, sent_update, set};

pub(super) fn an_explained_update_is_the_sent_one_but_for_what_it_takes_from_the_record(
    subject: Subject,
) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    let is_updated = |field: &Field| subject.manifest.field(*field).update.is_supported();
    for field in Field::WRITABLE.into_iter().filter(is_updated) {
        check(subject, set(field)?).map_err(|failed| format!("{}: {failed:?}", field.name()))?;
    }
    let last_name = Patch::Set(Text::from_static("Sow"));
    check(subject, CustomerFields { last_name, ..CustomerFields::default() })
}

fn check(subject: Subject, fields: CustomerFields) -> Result<(), Failed> {
    let current = Customer { id: subject.id().public().clone(), ..full() };
    let update = UpdateCustomer { id: subject.id(), fields };
    let explained = plan(&subject.provider(), &Command::Update(update.clone()))?;
    let explained = explained.write().ok_or("the plan has no request that writes")?;
    let sent = sent_update(subject, &current, update)?;
    let [mut shown, mut body]: [Value; 2] =
        [serde_json::from_slice(explained.body())?, serde_json::from_slice(sent.body())?];

    let from_record = explained.extensions().get().map(|FromRecord(pointers)| pointers.clone()).unwrap_or_default();
    for pointer in &from_record {
        let (parent, key) = pointer.rsplit_once('/').ok_or("a pointer to the whole body")?;
        let placeholder = shown.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if !placeholder.contains(FROM_RECORD) {
            return Err(format!("{pointer} has no placeholder").into());
        }
        let [shown, body] = [&mut shown, &mut body].map(|json| json.pointer_mut(parent).and_then(Value::as_object_mut));
        let (shown, body) = (shown.ok_or("no such object")?, body.ok_or("no such object")?);
        shown.remove(key);
        if key == FROM_RECORD {
            body.retain(|key, _| shown.contains_key(key));
        } else if body.remove(key).is_none() {
            return Err(format!("{pointer} is not sent").into());
        }
    }
    if shown.to_string().contains(FROM_RECORD) {
        return Err(format!("{shown} has a placeholder without a pointer").into());
    }
    if shown == body { Ok(()) } else { Err(format!("{shown} is explained, {body} is sent").into()) }
}
