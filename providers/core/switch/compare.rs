//! Compares the record at a customer's home with the one at the other side (R29).

use std::fmt;

use super::{
    Sides, metadata,
    value::{comparable, copied_fields, full_name, holds, is_known, is_name, knows_name_parts, why_not_held},
};
use crate::{
    model::{Customer, Field},
    text::name,
};

const RESPELLED: &str = "the other side keeps it in another spelling";
pub(super) const NO_TYPE: &str = "a customer without a type is an individual";
const ONLY_CREATED: &str = "a balance changes at each side by itself, so a copy gives it to new records only";
const OTHER_VALUE: &str = "the other side has another value";
const MISSING: &str = "the other side has no value";
const SURPLUS: &str = "the other side has a value, and the home has none";

/// How two records compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Equality {
    /// Every field is the same text.
    Equal,
    /// Every difference follows from a rule.
    EqualAfterRule,
    /// A field differs.
    Differs,
}

impl Equality {
    /// The word of the results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::EqualAfterRule => "equal_after_rule",
            Self::Differs => "differs",
        }
    }
}

/// A field of two records, and a rule about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// Why it is the same all the same, or how it differs.
    pub rule: &'static str,
}

/// The result of a comparison. It contains no value of the customer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The fields that are equal after a rule.
    pub rules: Vec<Difference>,
    /// The fields that differ.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// How the records compare as a whole.
    pub const fn equality(&self) -> Equality {
        match (self.differences.is_empty(), self.rules.is_empty()) {
            (true, true) => Equality::Equal,
            (true, false) => Equality::EqualAfterRule,
            (false, _) => Equality::Differs,
        }
    }
}

impl fmt::Debug for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.equality().as_str())?;
        for Difference { field, rule } in self.differences.iter().chain(&self.rules) {
            write!(formatter, "; {}: {rule}", field.name())?;
        }
        Ok(())
    }
}

/// Compares the customer at its home with the record at the other side, field by field, with what a copy promises: what the
/// other side cannot hold is not expected there, and what the home cannot hold or only derives is not compared.
pub fn compare(source: &Customer, target: &Customer, sides: &Sides<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    compare_names(source, target, sides, &mut comparison);
    for field in copied_fields().filter(|field| !is_name(*field)) {
        match compare_field(field, source, target, sides) {
            Compared::Same => {}
            Compared::After(rule) => comparison.rules.push(Difference { field, rule }),
            Compared::Other(rule) => comparison.differences.push(Difference { field, rule }),
        }
    }
    comparison
}

/// How one field compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    After(&'static str),
    Other(&'static str),
}

/// Compares a field that is not a name.
pub(super) fn compare_field(field: Field, source: &Customer, target: &Customer, sides: &Sides<'_>) -> Compared {
    let Sides { from, to, .. } = sides;
    let is_same_text = source.held(field) == target.held(field);
    if !is_known(source, field, from) {
        return Compared::Same;
    }
    let (wanted, current) = (comparable(source, field, from), comparable(target, field, to));
    match (&wanted, &current) {
        _ if is_same_text => Compared::Same,
        _ if wanted == current => Compared::After(match field {
            Field::Type => NO_TYPE,
            Field::Metadata if metadata::is_same_text(&source.metadata, &target.metadata) => return Compared::Same,
            _ if wanted.is_none() => return Compared::Same,
            _ => RESPELLED,
        }),
        _ if !holds(field, to) => Compared::After(why_not_held(field, to)),
        _ if field == Field::Balance => Compared::After(ONLY_CREATED),
        (Some(_), None) => Compared::Other(MISSING),
        (None, _) => Compared::Other(SURPLUS),
        (Some(_), Some(_)) => Compared::Other(OTHER_VALUE),
    }
}

/// Whether both sides store the parts of a name. Otherwise names are compared whole.
pub(super) fn compares_parts(source: &Customer, target: &Customer, sides: &Sides<'_>) -> bool {
    knows_name_parts(source, &sides.from) && knows_name_parts(target, &sides.to)
}

fn compare_names(source: &Customer, target: &Customer, sides: &Sides<'_>, comparison: &mut Comparison) {
    if compares_parts(source, target, sides) {
        for field in [Field::FirstName, Field::LastName] {
            let (one, other) = (comparable(source, field, &sides.from), comparable(target, field, &sides.to));
            match (&one, &other) {
                _ if one == other && source.text(field) == target.text(field) => {}
                _ if one == other => comparison.rules.push(Difference { field, rule: RESPELLED }),
                (Some(_), None) => comparison.differences.push(Difference { field, rule: MISSING }),
                (None, _) => comparison.differences.push(Difference { field, rule: SURPLUS }),
                (Some(_), Some(_)) => comparison.differences.push(Difference { field, rule: OTHER_VALUE }),
            }
        }
        return;
    }
    let field = Field::Name;
    let (one, other) = (full_name(source), full_name(target));
    let rule = match (&one, &other) {
        _ if one == other => {
            let is_same_text = source.full_name().as_deref() == target.full_name().as_deref();
            let parts = (knows_name_parts(source, &sides.from), knows_name_parts(target, &sides.to));
            let rule = match parts {
                _ if one.is_none() => return,
                (true, false) => name::JOINED,
                (false, true) => name::SPLIT,
                _ if is_same_text => return,
                _ => RESPELLED,
            };
            return comparison.rules.push(Difference { field, rule });
        }
        (Some(_), None) => MISSING,
        (None, _) => SURPLUS,
        (Some(_), Some(_)) => OTHER_VALUE,
    };
    comparison.differences.push(Difference { field, rule });
}
