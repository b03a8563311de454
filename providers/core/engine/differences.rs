//! The differences between the fields that a write asked for and a customer. Equal values cost no allocation.

use smallvec::SmallVec;

use crate::{
    json::{self, JsonObject, canonical::canonicalized},
    kit::marker::MARKER,
    model::{
        Customer, CustomerFields, Entry, Fidelity, Field, FieldValue, Outcome, Patch,
        manifest::{Manifest, NameStyle},
    },
    text::{Str, Text, country, decimal, email, name, phone},
};

use super::prepare::Completed;

/// Some fields of a write. Few writes have more than four of them in such a list.
pub(super) type FieldList = SmallVec<[Field; 4]>;

const NAMES: [Field; 3] = [Field::Name, Field::FirstName, Field::LastName];

const NOT_STORED: &str = "the provider did not store it";
const NOT_EVERY_KEY: &str = "the provider did not store every key";
const NOT_CLEARED: &str = "the provider did not clear it";
pub(super) const OTHER_VALUE: &str = "the provider keeps another value";
const RESPELLED: &str = "the provider keeps it in another spelling";
const SPLIT_CHANGED: &str = "the provider keeps one name, which splits at another space";
const NOT_KEPT: &str = "not asked for: the provider does not show it after the update";
pub(super) const CHANGED_TOO: &str = "not asked for: the provider changed it with the update";
pub(super) const READ_FAILED: &str = "the answer does not show it, and the read that compares it failed";

/// The fields that were asked for and that the customer does not show. A field that was cleared is one of them if the customer
/// has no value: the answer may only leave it out.
pub(super) fn not_shown(fields: &CustomerFields, customer: &Customer, manifest: &Manifest) -> FieldList {
    let has_name = customer.name.is_some() || customer.first_name.is_some() || customer.last_name.is_some();
    let has_both_parts = || {
        let (first, last) = fields.split_name();
        (first.set().is_none() || customer.first_name.is_some())
            && (last.set().is_none() || customer.last_name.is_some())
    };
    let is_shown = |field: Field| match field {
        Field::Name => has_name && (manifest.update.names == NameStyle::Full || has_both_parts()),
        Field::FirstName | Field::LastName if manifest.update.names == NameStyle::Full => has_name,
        Field::Metadata if customer.metadata.is_empty() => {
            // An answer that shows the marker shows the metadata.
            let is_empty = |patch: &JsonObject| asked_keys(patch).next().is_none();
            let is_whole = |patch: &JsonObject| patch.is_empty() || customer.marker.is_some();
            fields.metadata.set().is_some_and(|patch| is_empty(patch) && is_whole(patch))
        }
        Field::Metadata => fields.metadata.set().is_none_or(|patch| {
            has_same_text(patch, &customer.metadata)
                || asked_keys(patch).all(|(key, wanted)| {
                    compare_json(wanted, customer.metadata.get(&key).map(json::Raw::get)) != Comparison::Missing
                })
        }),
        field => customer.held(field).has_value(),
    };
    let is_asked = |field: &Field| fields.state(*field) != Patch::Absent;
    Field::WRITABLE.into_iter().filter(is_asked).filter(|field| !is_shown(*field)).collect()
}

/// The fields that an update did not send, that the record had, and that the customer does not show.
pub(super) fn unsent_not_shown(completed: &Completed<'_>, customer: &Customer) -> FieldList {
    let is_gone = |field: &Field| completed.before.held(*field).has_value() && !customer.held(*field).has_value();
    Field::WRITABLE.into_iter().filter(|field| is_unsent(&completed.whole, *field)).filter(is_gone).collect()
}

/// Whether an update leaves a field alone. The fields of a name are one, and a balance changes by itself.
fn is_unsent(whole: &CustomerFields, field: Field) -> bool {
    let is_absent = |field: &Field| whole.state(*field).is_absent();
    if is_name(field) { NAMES.iter().all(is_absent) } else { field != Field::Balance && is_absent(&field) }
}

/// Completes the customer's fidelity report, which has what happened on the way back: adds what happened on the way out
/// (`sent`) and every difference between the fields and the customer. Of an update that was completed from the
/// customer's record, this also reports what the provider changed in the other values of the record. The fields in
/// `unverified` could not be compared.
pub(super) fn report(
    fields: &CustomerFields,
    completed: Option<&Completed<'_>>,
    customer: &mut Customer,
    sent: Fidelity,
    manifest: &Manifest,
    unverified: &[Field],
) {
    let decoded = std::mem::take(&mut customer.fidelity);
    let mut report = sent;
    report.extend(&decoded);
    let mut differences = Differences { customer, unverified, decoded, report };
    differences.names(fields, completed, manifest);
    let is_text = |field: &Field| !is_name(*field) && *field != Field::Metadata;
    for field in Field::WRITABLE.into_iter().filter(is_text) {
        let is_kept = |whole| CustomerFields::state(whole, field) == Patch::Set(()) || is_unsent(whole, field);
        if !fields.state(field).is_absent() {
            let current = text_of(differences.customer, field);
            differences.value(field, &asked_text(fields, field), current.as_ref());
        } else if let Some(completed) = completed.filter(|completed| is_kept(&completed.whole)) {
            differences.kept(field, text_of(completed.before, field).as_ref());
        }
    }
    differences.metadata(&fields.metadata);
    if let Some(Completed { whole, before, .. }) = completed {
        match (&fields.metadata, &whole.metadata) {
            (Patch::Set(patch), Patch::Set(merged)) => differences.kept_metadata(patch, merged),
            (Patch::Absent, _) => differences.kept_metadata(&JsonObject::default(), &before.metadata),
            _ => {}
        }
    }
    customer.fidelity = differences.report;
}

pub(super) const fn is_name(field: Field) -> bool {
    matches!(field, Field::Name | Field::FirstName | Field::LastName)
}

/// The patch of a field that is one text. The type of a customer is a word.
pub(super) fn asked_text(fields: &CustomerFields, field: Field) -> Patch<Text> {
    let address = || fields.address.parts().into_iter().find(|(part, _)| *part == field).map(|(_, text)| text.clone());
    match field {
        Field::Email => fields.email.clone(),
        Field::Phone => fields.phone.clone(),
        Field::Whatsapp => fields.whatsapp.clone(),
        Field::Did => fields.did.clone(),
        Field::Balance => fields.balance.clone(),
        Field::Type => fields.kind.map(|kind| Text::from_static(kind.as_str())),
        _ => address().unwrap_or_default(),
    }
}

/// The value of a field that is one text.
fn text_of(customer: &Customer, field: Field) -> Option<Text> {
    match customer.held(field) {
        FieldValue::Text(text) => text.cloned(),
        FieldValue::Type(kind) => kind.map(|kind| Text::from_static(kind.as_str())),
        FieldValue::Flag(_) | FieldValue::Object(_) => None,
    }
}

/// Whether two texts of a field have the same meaning.
pub(crate) fn is_same(field: Field, one: &str, other: &str) -> bool {
    match field {
        _ if one == other => true,
        Field::Email => email::same(one, other),
        Field::Phone | Field::Whatsapp => phone::same_digits(one, other),
        Field::Country => country::same(one, other),
        Field::Balance => decimal::same(one, other),
        Field::Type | Field::Did => false,
        _ => name::same_words(one, other),
    }
}

/// A customer that is compared, and its report.
struct Differences<'c> {
    customer: &'c Customer,
    unverified: &'c [Field],
    /// What happened on the way back.
    decoded: Fidelity,
    report: Fidelity,
}

impl Differences<'_> {
    fn add(&mut self, field: Field, outcome: Outcome, rule: &'static str, from: Option<Text>) {
        self.report.push(Entry { field, outcome, rule, from });
    }

    /// Whether a field could not be compared. The three fields of a name are read from the same members.
    fn is_unverified(&self, field: Field) -> bool {
        self.unverified.iter().any(|unverified| *unverified == field || (is_name(*unverified) && is_name(field)))
    }

    /// Reports a field that the customer does not show.
    fn missing(&mut self, field: Field, rule: &'static str) {
        match self.is_unverified(field) {
            true => self.add(field, Outcome::Unverified, READ_FAILED, None),
            false => self.add(field, Outcome::Lost, rule, None),
        }
    }

    /// The provider's text of a field, if the decoder has converted it.
    fn converted_from(&self, field: Field) -> Option<&Text> {
        self.decoded.entries().iter().filter(|entry| entry.field == field).find_map(|entry| entry.from.as_ref())
    }

    /// Compares the text that was asked for with the customer's.
    fn value(&mut self, field: Field, asked: &Patch<Text>, current: Option<&Text>) {
        match (asked, current) {
            (Patch::Clear, None) if self.is_unverified(field) => self.missing(field, NOT_CLEARED),
            (Patch::Absent, _) | (Patch::Clear, None) => {}
            (Patch::Clear, Some(current)) => self.altered(field, NOT_CLEARED, current),
            (Patch::Set(asked), None) if asked.trim().is_empty() => {}
            (Patch::Set(_), None) => self.missing(field, NOT_STORED),
            (Patch::Set(asked), Some(current)) if asked == current || self.converted_from(field) == Some(asked) => {}
            (Patch::Set(asked), Some(current)) if is_same(field, asked, current) => {
                // The decoder may have reported the provider's spelling.
                if self.converted_from(field).is_none() {
                    self.add(field, Outcome::Transformed, RESPELLED, Some(current.clone()));
                }
            }
            (Patch::Set(_), Some(current)) => self.altered(field, OTHER_VALUE, current),
        }
    }

    /// Compares a value of the record, which an update did not change, with the customer's. Another spelling is no
    /// difference: the update did not ask for any.
    fn kept(&mut self, field: Field, before: Option<&Text>) {
        let Some(before) = before else { return };
        match text_of(self.customer, field) {
            None => self.missing(field, NOT_KEPT),
            Some(current) if is_same(field, before, &current) => {}
            Some(current) => self.altered(field, CHANGED_TOO, &current),
        }
    }

    fn altered(&mut self, field: Field, rule: &'static str, current: &Text) {
        let from = self.converted_from(field).unwrap_or(current).clone();
        self.add(field, Outcome::Altered, rule, Some(from));
    }

    fn names(&mut self, fields: &CustomerFields, completed: Option<&Completed<'_>>, manifest: &Manifest) {
        let CustomerFields { name, first_name, last_name, .. } = fields;
        let whole = completed.map_or(fields, |completed| &completed.whole);
        if is_unsent(whole, Field::Name) {
            let names = if manifest.update.names == NameStyle::Full { &NAMES[..1] } else { &NAMES[1..] };
            if let Some(Completed { before, .. }) = completed {
                for name in names {
                    self.kept(*name, before.text(*name));
                }
            }
            return;
        }
        let full = self.customer.name.clone().or_else(|| Some(Text::from(&*self.customer.full_name()?)));
        self.value(Field::Name, name, full.as_ref());
        let sent = match manifest.update.names {
            NameStyle::Full => whole.full_name(),
            NameStyle::Split => Patch::Absent,
        };
        // Where a provider with one name keeps the name that was sent, the parts of it differ only in the split.
        let only_split = match (&sent, &full) {
            (Patch::Set(sent), Some(full)) if **sent == **full => Some(SPLIT_CHANGED),
            (Patch::Set(sent), Some(full)) if is_same(Field::Name, sent, full) => Some(RESPELLED),
            _ => None,
        };
        let before = completed.filter(|_| name.is_absent()).map(|completed| completed.before.split_name());
        let (first_before, last_before) = before.unwrap_or_default();
        let (first, last) = self.customer.split_name();
        let (first, last) = (first.map(Text::from), last.map(Text::from));
        for (field, asked, before, part) in
            [(Field::FirstName, first_name, first_before, first), (Field::LastName, last_name, last_before, last)]
        {
            let is_sent_again = whole.state(field) == Patch::Set(()) || !sent.is_absent();
            match (asked, &part, only_split) {
                (Patch::Set(asked), Some(part), _) if asked == part => {}
                (Patch::Clear, None, Some(_)) => {}
                (Patch::Absent, part, Some(rule)) => {
                    if rule == SPLIT_CHANGED && before.is_some() && before != part.as_deref() {
                        self.add(field, Outcome::Transformed, rule, full.clone());
                    }
                }
                (Patch::Absent, ..) if is_sent_again => self.kept(field, before.map(Text::from).as_ref()),
                (_, _, Some(rule)) => self.add(field, Outcome::Transformed, rule, full.clone()),
                (asked, part, None) => self.value(field, asked, part.as_ref()),
            }
        }
    }

    /// Compares metadata by the keys of the patch. The entries of a difference show the provider's values of the keys
    /// that differ.
    fn metadata(&mut self, asked: &Patch<JsonObject>) {
        const FIELD: Field = Field::Metadata;
        let current = &self.customer.metadata;
        let patch = match asked {
            Patch::Absent => return,
            Patch::Clear if current.is_empty() => return,
            Patch::Clear => {
                let from = Text::from(current.as_str());
                return self.add(FIELD, Outcome::Altered, NOT_CLEARED, Some(from));
            }
            // The usual answer. Nothing is parsed then: each look-up of a key reads the whole object.
            Patch::Set(patch) if has_same_text(patch, current) => return,
            Patch::Set(patch) => patch,
        };
        let (mut other, mut kept, mut respelled) = (String::new(), String::new(), String::new());
        let mut is_missing = false;
        for (key, wanted) in asked_keys(patch) {
            let value = current.get(&key).map(json::Raw::get);
            let differing = match compare_json(wanted, value) {
                Comparison::Same => continue,
                Comparison::Missing => {
                    is_missing = true;
                    continue;
                }
                Comparison::Respelled => &mut respelled,
                Comparison::Other if wanted == "null" => &mut kept,
                Comparison::Other => &mut other,
            };
            push_member(differing, &key, value);
        }
        for (mut from, outcome, rule) in [
            (respelled, Outcome::Transformed, RESPELLED),
            (other, Outcome::Altered, OTHER_VALUE),
            (kept, Outcome::Altered, NOT_CLEARED),
        ] {
            if !from.is_empty() {
                from.push('}');
                self.add(FIELD, outcome, rule, Some(from.into()));
            }
        }
        if is_missing {
            self.missing(FIELD, NOT_EVERY_KEY);
        }
    }

    /// Compares the keys of the record's metadata, which an update did not change, with the customer's.
    fn kept_metadata(&mut self, patch: &JsonObject, merged: &JsonObject) {
        let current = &self.customer.metadata;
        if has_same_text(merged, current) {
            return;
        }
        let (mut changed, mut is_missing) = (String::new(), false);
        for (key, wanted) in asked_keys(merged) {
            let value = current.get(&key).map(json::Raw::get);
            let of_patch = patch.get(&key).map_or(Comparison::Same, |asked| compare_json(asked.get(), value));
            match compare_json(wanted, value) {
                Comparison::Missing if of_patch < Comparison::Other => is_missing = true,
                Comparison::Other if of_patch < Comparison::Other => push_member(&mut changed, &key, value),
                _ => {}
            }
        }
        if !changed.is_empty() {
            changed.push('}');
            self.add(Field::Metadata, Outcome::Altered, CHANGED_TOO, Some(changed.into()));
        }
        if is_missing {
            self.missing(Field::Metadata, NOT_KEPT);
        }
    }
}

/// Adds a member to an object that is not closed yet.
fn push_member(object: &mut String, key: &str, value: Option<&str>) {
    object.push(if object.is_empty() { '{' } else { ',' });
    object.push_str(&serde_json::Value::from(key).to_string());
    object.push(':');
    object.push_str(value.unwrap_or("null"));
}

fn has_same_text(patch: &JsonObject, current: &JsonObject) -> bool {
    patch.as_str() == current.as_str()
}

/// The keys of a metadata patch with their values, without the gateway's own marker: a decoded customer has it apart.
fn asked_keys(patch: &JsonObject) -> impl Iterator<Item = (Str<'_>, &str)> {
    patch.members().into_iter().filter(|(key, _)| *key != *MARKER).map(|(key, value)| (key, value.get()))
}

/// How a value compares with the one that was asked for, from the smallest difference to the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Comparison {
    Same,
    /// The same value, with another JSON type.
    Respelled,
    Other,
    Missing,
}

/// Compares a value with the one that a merge patch asked for. Of an object only the members of the patch are compared.
fn compare_json(wanted: &str, current: Option<&str>) -> Comparison {
    let (wanted, current) = match (wanted, current.unwrap_or("null")) {
        ("null", "null") => return Comparison::Same,
        ("null", _) => return Comparison::Other,
        (_, "null") => return Comparison::Missing,
        (wanted, current) if wanted == current => return Comparison::Same,
        other => other,
    };
    if wanted.starts_with('{') && current.starts_with('{') {
        let object = |text: &str| JsonObject::<Text>::in_string(text).unwrap_or_default();
        let (wanted, current) = (object(wanted), object(current));
        let members = wanted.members();
        let compared =
            members.iter().map(|(key, value)| compare_json(value.get(), current.get(key).map(json::Raw::get)));
        return compared.max().unwrap_or(Comparison::Same);
    }
    let (wanted, current) = (canonicalized(wanted), canonicalized(current));
    let scalar = |json: &str| json.trim_matches('"').to_owned();
    let is_scalar = |json: &str| !json.starts_with(['{', '[']);
    match wanted == current {
        true => Comparison::Same,
        false if is_scalar(&wanted) && is_scalar(&current) && scalar(&wanted) == scalar(&current) => {
            Comparison::Respelled
        }
        false => Comparison::Other,
    }
}
