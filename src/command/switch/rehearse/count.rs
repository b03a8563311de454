//! Counts the records of both twins at the end of a rehearsal, through merchants who see one twin each and know nothing of
//! the switch.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use serde::Serialize;
use serde_json::Value;

use super::client::{Caller, Known};

/// What both twins have.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Counted {
    pub(super) source: u64,
    pub(super) target: u64,
    /// Customers that neither twin has.
    pub(super) lost: u64,
    /// Customers with two records at one twin.
    pub(super) doubled: u64,
    /// Customers who are missing at the target, without those who were left at the source.
    pub(super) not_copied: u64,
}

impl Counted {
    pub(super) const fn is_whole(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.not_copied == 0
    }
}

fn by_email(customers: &[Value]) -> HashMap<&str, u64> {
    let mut counts = HashMap::new();
    for email in customers.iter().filter_map(|customer| customer["email"].as_str()) {
        *counts.entry(email).or_default() += 1;
    }
    counts
}

/// Compares what both twins have with what the client knows. `left` customers stay at the source.
pub(super) async fn count(
    address: SocketAddr,
    [main, new]: [&'static str; 2],
    known: &BTreeMap<String, Known>,
    left: u64,
) -> Result<Counted, String> {
    let (source, target) = (Caller::new(address, main)?.list().await?, Caller::new(address, new)?.list().await?);
    let (at_source, at_target) = (by_email(&source), by_email(&target));
    let mut counted = Counted { source: source.len() as u64, target: target.len() as u64, ..Counted::default() };
    let mut only_at_source = 0;
    for email in known.values().filter_map(|known| known.email.as_deref()) {
        match (at_source.contains_key(email), at_target.contains_key(email)) {
            (false, false) => counted.lost += 1,
            (true, false) => only_at_source += 1,
            _ => {}
        }
    }
    counted.not_copied = u64::saturating_sub(only_at_source, left);
    let doubled = |counts: &HashMap<&str, u64>| counts.values().filter(|count| **count > 1).count() as u64;
    counted.doubled = doubled(&at_source) + doubled(&at_target);
    Ok(counted)
}
