//! What a translation did to each field. Only what is not plainly kept is listed: an empty report
//! means that every field stands as the provider holds it.

use smallvec::SmallVec;

use crate::{
    model::{Field, FieldError},
    text::Text,
};

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Same meaning, other spelling.
    Transformed,
    /// Computed by the gateway.
    Derived,
    /// Held by the gateway because the provider cannot.
    Carried,
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
            Self::Lost => "lost",
        }
    }
}

/// What became of one field, and by which rule.
#[derive(Clone, Eq)]
pub struct Entry<T = Text> {
    /// The field.
    pub field: Field,
    /// What became of it.
    pub outcome: Outcome,
    /// The rule, or the reason of a loss.
    pub rule: &'static str,
    /// What the provider wrote, where the gateway spells it otherwise.
    pub from: Option<T>,
}

impl<T: PartialEq> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        // A rule is nearly always the very same text.
        let same_rule = || std::ptr::eq(self.rule, other.rule) || self.rule == other.rule;
        self.field == other.field && self.outcome == other.outcome && same_rule() && self.from == other.from
    }
}

impl<T> std::fmt::Debug for Entry<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}: {}", self.field.name(), self.outcome.as_str(), self.rule)
    }
}

/// How many entries a usual report has: both parts of a name, and the country.
const USUAL: usize = 3;

/// A fidelity report. Usual reports need no memory of their own.
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

    /// The same report with its texts held otherwise.
    pub fn map<'a, U>(&'a self, convert: impl Fn(&'a T) -> U) -> Fidelity<U> {
        let held = |entry: &'a Entry<T>| {
            let Entry { field, outcome, rule, ref from } = *entry;
            Entry { field, outcome, rule, from: from.as_ref().map(&convert) }
        };
        Fidelity(self.0.iter().map(held).collect())
    }

    /// Whether every field was plainly kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Clone + PartialEq> Fidelity<T> {
    /// Reports a value that the gateway spells otherwise.
    #[inline]
    pub fn transformed(&mut self, field: Field, rule: &'static str, from: &T) {
        self.push(Entry { field, outcome: Outcome::Transformed, rule, from: Some(from.clone()) });
    }

    /// Reports a value that the gateway sends in another spelling.
    pub fn rewritten(&mut self, field: Field, rule: &'static str) {
        self.push(Entry { field, outcome: Outcome::Transformed, rule, from: None });
    }

    /// Reports a value that the gateway computed.
    #[inline]
    pub fn derived(&mut self, field: Field, rule: &'static str) {
        self.push(Entry { field, outcome: Outcome::Derived, rule, from: None });
    }

    /// Reports a computed value, with what it was computed from.
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

    /// Adds an entry, unless the same one is there.
    #[inline]
    pub fn push(&mut self, entry: Entry<T>) {
        if !self.0.contains(&entry) {
            self.0.push(entry);
        }
    }

    /// Adds every entry of another report.
    pub fn extend(&mut self, other: &Self) {
        for entry in &other.0 {
            self.push(entry.clone());
        }
    }

    /// The fields that are stored nowhere.
    pub fn losses(&self) -> impl Iterator<Item = &Entry<T>> {
        self.0.iter().filter(|entry| entry.outcome == Outcome::Lost)
    }

    /// The fields that are stored nowhere, as what is wrong with a request that must not lose any.
    pub fn loss_errors(&self) -> Vec<FieldError> {
        self.losses().map(|entry| FieldError::new(entry.field.pointer(), entry.rule)).collect()
    }

    /// Takes out of the reports of a page what stands in every one of them, for the page's own report.
    pub fn hoist<'r>(reports: impl Iterator<Item = &'r mut Self>) -> Self
    where
        T: 'r,
    {
        let mut reports: Vec<&mut Self> = reports.collect();
        let Some((first, rest)) = reports.split_first_mut() else { return Self::default() };
        if rest.iter().all(|report| report.0 == first.0) {
            // Nearly every page: its customers were told alike.
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
