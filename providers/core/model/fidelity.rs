//! The fidelity report: how a translation changed the fields of a customer. It lists only changed fields, so an empty
//! report means that every value equals the provider's.

use smallvec::SmallVec;

use crate::{
    model::{Field, FieldError},
    text::Text,
};

/// What happened to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The meaning is the same, the form is different.
    Transformed,
    /// Computed by the gateway.
    Derived,
    /// Stored by the gateway, because the provider cannot store it.
    Carried,
    /// The provider keeps another value than the one that was asked for.
    Altered,
    /// Sent, but neither the answer nor a read shows what the provider keeps.
    Unverified,
    /// Not stored anywhere.
    Lost,
}

impl Outcome {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transformed => "transformed",
            Self::Derived => "derived",
            Self::Carried => "carried",
            Self::Altered => "altered",
            Self::Unverified => "unverified",
            Self::Lost => "lost",
        }
    }
}

/// What happened to one field, and by which rule.
#[derive(Clone, Eq)]
pub struct Entry<T = Text> {
    /// The field.
    pub field: Field,
    /// What happened to it.
    pub outcome: Outcome,
    /// The rule of the change, or the reason of a loss.
    pub rule: &'static str,
    /// The provider's text, if the gateway changed its form or the provider keeps another value.
    pub from: Option<T>,
}

impl<T: PartialEq> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        // Equal rules are nearly always the same static text, so comparing pointers first is faster.
        let same_rule = || std::ptr::eq(self.rule, other.rule) || self.rule == other.rule;
        self.field == other.field && self.outcome == other.outcome && same_rule() && self.from == other.from
    }
}

impl<T> std::fmt::Debug for Entry<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}: {}", self.field.name(), self.outcome.as_str(), self.rule)
    }
}

/// The number of entries of a usual report: both parts of a name, and the country.
const USUAL: usize = 3;

/// A fidelity report. A usual report needs no heap allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fidelity<T = Text>(SmallVec<[Entry<T>; USUAL]>);

impl<T> Default for Fidelity<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T> Fidelity<T> {
    /// The entries, in the order in which the rules were applied.
    pub fn entries(&self) -> &[Entry<T>] {
        &self.0
    }

    /// The same report with its texts converted to another text type.
    pub fn map<'a, U>(&'a self, convert: impl Fn(&'a T) -> U) -> Fidelity<U> {
        let converted = |entry: &'a Entry<T>| {
            let Entry { field, outcome, rule, ref from } = *entry;
            Entry { field, outcome, rule, from: from.as_ref().map(&convert) }
        };
        Fidelity(self.0.iter().map(converted).collect())
    }

    /// Whether no field changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Clone + PartialEq> Fidelity<T> {
    /// Reports a value that the gateway converted from the provider's text.
    #[inline]
    pub fn transformed(&mut self, field: Field, rule: &'static str, from: &T) {
        self.push(Entry { field, outcome: Outcome::Transformed, rule, from: Some(from.clone()) });
    }

    /// Reports a value that the gateway sends in another form.
    pub fn rewritten(&mut self, field: Field, rule: &'static str) {
        self.push(Entry { field, outcome: Outcome::Transformed, rule, from: None });
    }

    /// Reports a value that the gateway computed.
    #[inline]
    pub fn derived(&mut self, field: Field, rule: &'static str) {
        self.push(Entry { field, outcome: Outcome::Derived, rule, from: None });
    }

    /// Reports a value that the gateway computed from the provider's text `from`.
    pub fn derived_from(&mut self, field: Field, rule: &'static str, from: &T) {
        self.push(Entry { field, outcome: Outcome::Derived, rule, from: Some(from.clone()) });
    }

    /// Reports a value that is stored nowhere.
    pub fn lost(&mut self, field: Field, reason: &'static str) {
        self.push(Entry { field, outcome: Outcome::Lost, rule: reason, from: None });
    }

    /// Reports every field of a list as stored nowhere.
    pub fn lose(&mut self, losses: impl IntoIterator<Item = (Field, &'static str)>) {
        for (field, reason) in losses {
            self.lost(field, reason);
        }
    }

    /// Adds an entry, unless the report already has an equal one.
    #[inline]
    pub fn push(&mut self, entry: Entry<T>) {
        if !self.0.contains(&entry) {
            self.0.push(entry);
        }
    }

    /// Adds the entries of another report.
    pub fn append(&mut self, other: Self) {
        match self.is_empty() {
            true => *self = other,
            false => other.0.into_iter().for_each(|entry| self.push(entry)),
        }
    }

    /// Keeps the entries for which `is_kept` returns true.
    pub fn retain(&mut self, is_kept: impl Fn(&Entry<T>) -> bool) {
        self.0.retain(|entry| is_kept(entry));
    }

    /// Adds every entry of another report.
    pub fn extend(&mut self, other: &Self) {
        for entry in &other.0 {
            self.push(entry.clone());
        }
    }

    /// The fields that are not stored as they were asked for: lost or altered.
    pub fn changed(&self) -> impl Iterator<Item = &Entry<T>> {
        self.0.iter().filter(|entry| matches!(entry.outcome, Outcome::Lost | Outcome::Altered))
    }

    /// The fields that are stored nowhere.
    pub fn losses(&self) -> impl Iterator<Item = &Entry<T>> {
        self.0.iter().filter(|entry| entry.outcome == Outcome::Lost)
    }

    /// The fields that the provider did not get: lost, or carried by the gateway. A part of a name was sent in any case.
    pub fn unsent(&self) -> impl Iterator<Item = &Entry<T>> {
        let is_part = |entry: &Entry<T>| matches!(entry.field, Field::FirstName | Field::LastName);
        self.0.iter().filter(move |entry| match entry.outcome {
            Outcome::Carried => !is_part(entry),
            outcome => outcome == Outcome::Lost,
        })
    }

    /// The losses as field errors, for a request that must not lose a field.
    pub fn loss_errors(&self) -> Vec<FieldError> {
        self.losses().map(|entry| FieldError::new(entry.field.pointer(), entry.rule)).collect()
    }

    /// Moves the entries that all reports of a page share into one report for the page.
    pub fn hoist<'r>(reports: impl Iterator<Item = &'r mut Self>) -> Self
    where
        T: 'r,
    {
        let mut reports: Vec<&mut Self> = reports.collect();
        let Some((first, rest)) = reports.split_first_mut() else { return Self::default() };
        if rest.iter().all(|report| report.0 == first.0) {
            // On nearly every page, the reports of all customers are equal.
            for report in rest {
                report.0.clear();
            }
            return std::mem::take(*first);
        }
        let is_shared = |entry: &&Entry<T>| rest.iter().all(|report| report.0.contains(entry));
        let shared: SmallVec<[Entry<T>; USUAL]> = first.0.iter().filter(is_shared).cloned().collect();
        for report in reports {
            report.0.retain(|entry| !shared.contains(entry));
        }
        Self(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_equal_if_their_rules_have_the_same_text() {
        let entry = |rule| Entry::<Text> { field: Field::Email, outcome: Outcome::Lost, rule, from: None };
        let elsewhere: &'static str = Box::leak("not stored".to_owned().into_boxed_str());
        assert_eq!(entry("not stored"), entry(elsewhere));
        assert_ne!(entry("not stored"), entry("not shown"));
    }
}
