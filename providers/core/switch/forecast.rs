//! What a switch does to the fields of real records (R27): for each field, how many records hold it, and what becomes of it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{
    Sides, command,
    compare::NO_TYPE,
    value::{comparable, copied_fields, has_one_name, holds, is_known, is_name, knows_name_parts, why_not_held},
};
use crate::{
    model::{Customer, Entry, Fidelity, Field, LossPolicy, Outcome},
    text::{Text, name},
};

const ANOTHER_SPLIT: &str = "the provider keeps one name, which splits at another space";

/// What becomes of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Transformed(&'static str),
    Derived(&'static str),
    Carried(&'static str),
    Lost(&'static str),
}

impl Fate {
    /// The word of the forecast, and the rule.
    pub(super) const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Kept => ("kept", None),
            Self::Transformed(rule) => ("transformed", Some(rule)),
            Self::Derived(rule) => ("derived", Some(rule)),
            Self::Carried(rule) => ("carried", Some(rule)),
            Self::Lost(rule) => ("lost", Some(rule)),
        }
    }
}

/// The counts of one field. `kept`, `transformed`, `derived`, `carried` and `lost` sum to `held`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldForecast {
    /// The records that have a value in the field.
    pub held: u64,
    /// The other side keeps it as it is.
    pub kept: u64,
    /// The other side keeps it in another form.
    pub transformed: u64,
    /// The gateway computes it from what the other side keeps.
    pub derived: u64,
    /// The gateway keeps it, because the other side cannot.
    pub carried: u64,
    /// It is not at the other side.
    pub lost: u64,
    /// How often each rule applied.
    pub rules: BTreeMap<&'static str, u64>,
}

impl FieldForecast {
    fn count(&mut self, fate: Fate) {
        self.held += 1;
        let (count, rule) = match fate {
            Fate::Kept => return self.kept += 1,
            Fate::Transformed(rule) => (&mut self.transformed, rule),
            Fate::Derived(rule) => (&mut self.derived, rule),
            Fate::Carried(rule) => (&mut self.carried, rule),
            Fate::Lost(rule) => (&mut self.lost, rule),
        };
        *count += 1;
        *self.rules.entry(rule).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        self.held += other.held;
        self.kept += other.kept;
        self.transformed += other.transformed;
        self.derived += other.derived;
        self.carried += other.carried;
        self.lost += other.lost;
        for (rule, count) in &other.rules {
            *self.rules.entry(rule).or_default() += count;
        }
    }

    /// The rules as one text. Where there are several, each has its count.
    fn rule(&self) -> Option<String> {
        match self.rules.len() {
            0 => None,
            1 => self.rules.keys().next().map(|rule| (*rule).to_owned()),
            _ => {
                let counted: Vec<String> = self.rules.iter().map(|(rule, count)| format!("{rule} ({count})")).collect();
                Some(counted.join("; "))
            }
        }
    }
}

/// The counts of every field that a record holds, in the order of the API. It serializes as the `forecast` of a switch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast(BTreeMap<Field, FieldForecast>);

impl Forecast {
    /// Adds the counts of other records.
    pub fn add(&mut self, other: &Self) {
        for (field, counts) in &other.0 {
            self.0.entry(*field).or_default().add(counts);
        }
    }

    /// The counts of a field.
    pub fn field(&self, field: Field) -> FieldForecast {
        self.0.get(&field).cloned().unwrap_or_default()
    }

    /// Every field with its counts.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &FieldForecast)> {
        self.0.iter().map(|(field, counts)| (*field, counts))
    }
}

impl Serialize for Forecast {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'r> {
            field: &'static str,
            held: u64,
            kept: u64,
            transformed: u64,
            derived: u64,
            carried: u64,
            lost: u64,
            rule: &'r Option<String>,
        }
        let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
        for (field, counts) in &self.0 {
            let FieldForecast { held, kept, transformed, derived, carried, lost, .. } = *counts;
            let rule = &counts.rule();
            rows.serialize_element(&Row {
                field: field.name(),
                held,
                kept,
                transformed,
                derived,
                carried,
                lost,
                rule,
            })?;
        }
        rows.end()
    }
}

/// The forecast of one record, for the way to the other side and for the way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordForecast {
    /// From the home to the other side.
    pub there: Forecast,
    /// What arrived there, back again.
    pub back: Forecast,
}

impl RecordForecast {
    /// Adds the counts of another record.
    pub fn add(&mut self, other: &Self) {
        self.there.add(&other.there);
        self.back.add(&other.back);
    }
}

/// Forecasts what becomes of the fields of one record under a loss policy.
pub fn forecast(source: &Customer, sides: &Sides<'_>, policy: LossPolicy) -> RecordForecast {
    let there = fates(source, sides, policy);
    let arrived = arrived(source, &there, sides);
    let back = fates(&arrived, &sides.reversed(), policy);
    RecordForecast { there: counted(&there), back: counted(&back) }
}

fn counted(fates: &[(Field, Fate)]) -> Forecast {
    let mut forecast = Forecast::default();
    for (field, fate) in fates {
        forecast.0.entry(*field).or_default().count(*fate);
    }
    forecast
}

/// What becomes of every field that the record holds.
pub(super) fn fates(source: &Customer, sides: &Sides<'_>, policy: LossPolicy) -> Vec<(Field, Fate)> {
    let sent = command::report(source, sides);
    let has_value = |field: &Field| match field {
        Field::Type => source.kind.is_some(),
        field => comparable(source, *field, &sides.from).is_some(),
    };
    let held = copied_fields().filter(|field| has_value(field) && is_known(source, *field, &sides.from));
    held.map(|field| (field, fate(source, field, sides, policy, &sent))).collect()
}

fn fate(source: &Customer, field: Field, sides: &Sides<'_>, policy: LossPolicy, sent: &Fidelity) -> Fate {
    let lost = |rule| if policy == LossPolicy::Carry { Fate::Carried(rule) } else { Fate::Lost(rule) };
    let entry = |outcome: Outcome| sent.entries().iter().find(|entry| entry.field == field && entry.outcome == outcome);
    if !holds(field, &sides.to) {
        if field == Field::Type && comparable(source, field, &sides.from).is_none() {
            return Fate::Derived(NO_TYPE);
        }
        return lost(why_not_held(field, &sides.to));
    }
    if let Some(Entry { rule, .. }) = entry(Outcome::Lost) {
        return lost(rule);
    }
    if let Some(fate) = is_name(field).then(|| name_fate(source, field, sides)).flatten() {
        return if let Fate::Lost(rule) = fate { lost(rule) } else { fate };
    }
    // A text that stays as it is written is reported with its rule, and is kept.
    let is_kept = |entry: &&Entry| entry.from.is_some() && entry.from.as_ref() == source.text(field);
    entry(Outcome::Transformed)
        .filter(|entry| !is_kept(entry))
        .map_or(Fate::Kept, |entry| Fate::Transformed(entry.rule))
}

/// What becomes of a part of a name, or of a whole one, at a side that stores names otherwise. `None`: it stores them alike.
fn name_fate(source: &Customer, field: Field, sides: &Sides<'_>) -> Option<Fate> {
    match (field, has_one_name(&sides.to)) {
        (Field::Name, true) | (Field::FirstName | Field::LastName, false) => None,
        (Field::Name, _) => Some(Fate::Transformed(name::SPLIT)),
        _ => {
            let full = source.full_name()?;
            let (first, last) = name::split(&full);
            let part = if field == Field::FirstName { first } else { last };
            let is_same = part == source.text(field).map(|text| &**text);
            Some(if is_same { Fate::Derived(name::SPLIT) } else { Fate::Lost(ANOTHER_SPLIT) })
        }
    }
}

/// The customer as the other side will show it, with what the gateway carries.
pub(super) fn arrived(source: &Customer, fates: &[(Field, Fate)], sides: &Sides<'_>) -> Customer {
    let mut arrived = Customer::default();
    let mut values = source.clone();
    for (field, fate) in fates.iter().filter(|(_, fate)| !matches!(fate, Fate::Lost(_))) {
        arrived.take_value(&mut values, *field);
        if *field == Field::Blocked {
            arrived.blocked = source.blocked;
        }
        if let Fate::Carried(rule) = fate {
            arrived.fidelity.push(Entry { field: *field, outcome: Outcome::Carried, rule, from: None });
        }
    }
    complete_names(&mut arrived, source, sides);
    arrived
}

/// Adds the names that the other side shows: one whole name, or its parts.
fn complete_names(arrived: &mut Customer, source: &Customer, sides: &Sides<'_>) {
    let full = source.full_name().map(|name| Text::from(&*name));
    if has_one_name(&sides.to) {
        arrived.name = full;
    } else if !knows_name_parts(source, &sides.from) {
        let (first, last) = source.split_name();
        (arrived.first_name, arrived.last_name) = (first.map(Text::from), last.map(Text::from));
    }
}
