//! One record before and after (R17): as it is at the source, and as it will be at the target. It asks the rules that a copy
//! asks.

use std::fmt;

use super::{
    Base, Hash, Seen, Sides,
    command::update_command,
    forecast::{arrived, fates},
    value::copied_fields,
};
use crate::model::{Command, Customer, Field, FieldValue, LossPolicy};

/// A field of a record before and after. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Previewed {
    /// The field.
    pub field: Field,
    /// The value at the source.
    pub source: Option<String>,
    /// The value at the target, or with the gateway where it carries the field.
    pub target: Option<String>,
    /// What becomes of the value: the word of the forecast. `None`: the source has no value, or the record at the target keeps
    /// its own.
    pub outcome: Option<&'static str>,
    /// By which rule.
    pub rule: Option<&'static str>,
}

impl fmt::Debug for Previewed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Previewed({}, {:?})", self.field.name(), self.outcome)
    }
}

/// The fields of a record before and after, in the order of the API. `target` is the record that it is linked with; without
/// one, it is created.
pub fn preview(source: &Customer, target: Option<&Customer>, sides: &Sides<'_>, policy: LossPolicy) -> Vec<Previewed> {
    let fates = fates(source, sides, policy);
    let arrived = arrived(source, &fates, sides);
    let after = target.map(|target| {
        let mut after = target.clone();
        let (nothing, hash): (_, Hash<'_>) = (Seen::default(), &|_| [0; 8]);
        let base = Base { seen: &nothing, hash };
        if let Ok(Some((Command::Update(update), _))) = update_command(source, target, base, sides, None) {
            update.fields.apply_to(&mut after);
        }
        after
    });
    let fields = copied_fields().filter_map(|field| {
        let fate = fates.iter().find(|(known, _)| *known == field).map(|(_, fate)| fate.words());
        let (before, copied) = (shown(source, field), shown(&arrived, field));
        let (then, fate) = match &after {
            // A record that is linked keeps the values that it has.
            Some(after) => match shown(after, field) {
                then if then == copied => (then, fate),
                Some(then) => (Some(then), None),
                None => (None, fate),
            },
            None => (copied, fate),
        };
        let (outcome, rule) = fate.map_or((None, None), |(outcome, rule)| (Some(outcome), rule));
        let has_value = before.is_some() || then.is_some();
        has_value.then_some(Previewed { field, source: before, target: then, outcome, rule })
    });
    fields.collect()
}

/// A value as people read it.
fn shown(customer: &Customer, field: Field) -> Option<String> {
    let text = match customer.held(field) {
        FieldValue::Flag(flag) => flag.filter(|flag| *flag)?.to_string(),
        FieldValue::Type(kind) => kind?.as_str().to_owned(),
        FieldValue::Object(object) => object.as_str().to_owned(),
        FieldValue::Text(text) => text?.to_string(),
    };
    Some(text).filter(|text| !text.is_empty() && text != "{}")
}
