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

/// Some fields of a write. Few writes have more than four of them in such a list.
pub(super) type FieldList = SmallVec<[Field; 4]>;

const NOT_STORED: &str = "the provider did not store it";
const NOT_EVERY_KEY: &str = "the provider did not store every key";
const NOT_CLEARED: &str = "the provider did not clear it";
const OTHER_VALUE: &str = "the provider keeps another value";
const RESPELLED: &str = "the provider keeps it in another spelling";
const SPLIT_CHANGED: &str = "the provider keeps one name, which splits at another space";
const READ_FAILED: &str = "the answer does not show it, and the read that compares it failed";

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
            fields.metadata.set().is_some_and(|patch| asked_keys(patch).next().is_none())
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

/// Adds every difference between the fields and the customer to the customer's fidelity report. The fields in
/// `unverified` could not be compared.
pub(super) fn report(fields: &CustomerFields, customer: &mut Customer, manifest: &Manifest, unverified: &[Field]) {
    let report = std::mem::take(&mut customer.fidelity);
    let mut differences = Differences { customer, unverified, report };
    differences.names(fields, manifest.update.names);
    let CustomerFields {
        name: _,
        first_name: _,
        last_name: _,
        email,
        phone,
        whatsapp,
        address,
        kind,
        did,
        balance,
        metadata,
        rewritten: _,
    } = fields;
    differences.text(Field::Email, email, email::same);
    differences.text(Field::Phone, phone, phone::same_digits);
    differences.text(Field::Whatsapp, whatsapp, phone::same_digits);
    for (field, part) in address.parts() {
        let is_same = if field == Field::Country { country::same } else { name::same_words };
        differences.text(field, part, is_same);
    }
    let kind = kind.map(|kind| Text::from_static(kind.as_str()));
    let current = differences.customer.kind.map(|kind| Text::from_static(kind.as_str()));
    differences.value(Field::Type, &kind, current.as_ref(), |_, _| false);
    differences.text(Field::Did, did, |_, _| false);
    differences.text(Field::Balance, balance, decimal::same);
    differences.metadata(metadata);
    customer.fidelity = differences.report;
}

/// A customer that is compared, and its report.
struct Differences<'c> {
    customer: &'c Customer,
    unverified: &'c [Field],
    report: Fidelity,
}

impl Differences<'_> {
    fn add(&mut self, field: Field, outcome: Outcome, rule: &'static str, from: Option<Text>) {
        self.report.push(Entry { field, outcome, rule, from });
    }

    /// Reports a field that the customer does not show.
    fn missing(&mut self, field: Field, rule: &'static str) {
        match self.unverified.contains(&field) {
            true => self.add(field, Outcome::Unverified, READ_FAILED, None),
            false => self.add(field, Outcome::Lost, rule, None),
        }
    }

    /// The provider's text of a field, if the decoder has converted it.
    fn converted_from(&self, field: Field) -> Option<&Text> {
        self.report.entries().iter().filter(|entry| entry.field == field).find_map(|entry| entry.from.as_ref())
    }

    fn text(&mut self, field: Field, asked: &Patch<Text>, is_same: fn(&str, &str) -> bool) {
        let current = match self.customer.held(field) {
            FieldValue::Text(text) => text,
            FieldValue::Type(_) | FieldValue::Flag(_) | FieldValue::Object(_) => None,
        };
        self.value(field, asked, current, is_same);
    }

    /// Compares one text. `is_same` decides whether two different texts have the same meaning.
    fn value(&mut self, field: Field, asked: &Patch<Text>, current: Option<&Text>, is_same: fn(&str, &str) -> bool) {
        match (asked, current) {
            (Patch::Clear, None) if self.unverified.contains(&field) => self.missing(field, NOT_CLEARED),
            (Patch::Absent, _) | (Patch::Clear, None) => {}
            (Patch::Clear, Some(current)) => self.altered(field, NOT_CLEARED, current),
            (Patch::Set(asked), None) if asked.trim().is_empty() => {}
            (Patch::Set(_), None) => self.missing(field, NOT_STORED),
            (Patch::Set(asked), Some(current)) if asked == current => {}
            (Patch::Set(asked), Some(current)) if is_same(asked, current) => {
                // The decoder may have reported the provider's spelling.
                if self.converted_from(field).is_none() {
                    self.add(field, Outcome::Transformed, RESPELLED, Some(current.clone()));
                }
            }
            (Patch::Set(_), Some(current)) => self.altered(field, OTHER_VALUE, current),
        }
    }

    fn altered(&mut self, field: Field, rule: &'static str, current: &Text) {
        let from = self.converted_from(field).unwrap_or(current).clone();
        self.add(field, Outcome::Altered, rule, Some(from));
    }

    fn names(&mut self, fields: &CustomerFields, style: NameStyle) {
        let CustomerFields { name, first_name, last_name, .. } = fields;
        if name.is_absent() && first_name.is_absent() && last_name.is_absent() {
            return;
        }
        let full = self.customer.name.clone().or_else(|| Some(Text::from(&*self.customer.full_name()?)));
        self.value(Field::Name, name, full.as_ref(), name::same_words);
        let (first, last) = self.customer.split_name();
        let is_whole = !first_name.is_absent() && !last_name.is_absent();
        let joined = || name::join(first_name.set().map(|part| &**part), last_name.set().map(|part| &**part));
        for (field, asked, current) in [(Field::FirstName, first_name, first), (Field::LastName, last_name, last)] {
            if matches!((asked, current), (Patch::Set(asked), Some(current)) if **asked == *current) {
                continue;
            }
            // A provider with one name splits it nowhere. The parts of the same name then differ only in the split.
            let is_other_split = style == NameStyle::Full
                && match (asked, full.as_deref()) {
                    (Patch::Absent, _) | (_, None) => false,
                    (_, Some(full)) if is_whole => joined().is_some_and(|joined| *joined == *full),
                    (Patch::Set(part), Some(full)) if field == Field::FirstName => {
                        full.strip_prefix(&**part).is_some_and(|rest| rest.starts_with(char::is_whitespace))
                    }
                    (Patch::Set(part), Some(full)) => {
                        full.strip_suffix(&**part).is_some_and(|rest| rest.ends_with(char::is_whitespace))
                    }
                    (Patch::Clear, Some(_)) => false,
                };
            match (is_other_split, current.is_some() || asked.set().is_some()) {
                (true, true) => self.add(field, Outcome::Transformed, SPLIT_CHANGED, full.clone()),
                (true, false) => {}
                (false, _) => self.value(field, asked, current.map(Text::from).as_ref(), name::same_words),
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
            Patch::Set(patch) if has_same_text(patch, current) => return,
            Patch::Set(patch) => patch,
        };
        let (mut other, mut kept, mut respelled) = (String::new(), String::new(), String::new());
        let mut is_missing = false;
        for (key, wanted) in asked_keys(patch) {
            let value = current.get(&key).map_or("null", json::Raw::get);
            let differing = match compare_json(wanted, current.get(&key).map(json::Raw::get)) {
                Comparison::Same => continue,
                Comparison::Missing => {
                    is_missing = true;
                    continue;
                }
                Comparison::Respelled => &mut respelled,
                Comparison::Other if wanted == "null" => &mut kept,
                Comparison::Other => &mut other,
            };
            differing.push(if differing.is_empty() { '{' } else { ',' });
            differing.push_str(&serde_json::Value::from(&*key).to_string());
            differing.push(':');
            differing.push_str(value);
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
