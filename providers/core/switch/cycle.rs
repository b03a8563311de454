//! Unique values that go round in a circle (R18).

use super::{Finding, FindingCode};
use crate::model::Field;

/// Whether customers exchange a value that the other side keeps unique, so that none of them can be copied first.
///
/// `first` is the customer whose copy needs a value that another customer's record has. `holder` answers, for a customer, the
/// customer whose record at the other side has the value that it needs; `None` if the value is free or its own. The finding
/// is `unique_cycle` where the way leads back to a customer that was visited, and `unique_value_taken` where it ends: then
/// the copy of the last customer frees the values one after the other. `at` is the connection of the other side.
pub fn unique_conflict<'c>(
    field: Field,
    first: &'c str,
    at: &str,
    holder: impl Fn(&'c str) -> Option<&'c str>,
) -> Finding {
    let mut visited = vec![first];
    let mut current = first;
    while let Some(next) = holder(current) {
        if visited.contains(&next) {
            let detail = format!("{} customers exchange their values, and `{at}` keeps them unique", visited.len());
            return Finding::new(FindingCode::UniqueCycle, Some(field), detail);
        }
        visited.push(next);
        current = next;
    }
    let detail = format!("at `{at}`, the record of another customer has this value until its own copy");
    Finding::new(FindingCode::UniqueValueTaken, Some(field), detail)
}
