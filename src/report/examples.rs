//! The records that need a person, counted by their reasons.

use std::collections::BTreeMap;

use crate::switch::view::{Outcome, SwitchRecord};

/// How many ids of each reason are shown.
const SHOWN: usize = 5;

/// The records that need a person, by outcome and code.
#[derive(Debug, Default)]
pub struct Examples {
    reasons: BTreeMap<(Outcome, String), Examined>,
    counted: usize,
    /// Whether there are more records than were counted.
    pub has_more: bool,
}

/// The records of one reason.
#[derive(Debug, Default)]
pub(super) struct Examined {
    pub(super) count: u64,
    pub(super) detail: String,
    pub(super) ids: Vec<String>,
}

impl Examples {
    /// Counts a record.
    pub fn add(&mut self, record: &SwitchRecord) {
        self.counted += 1;
        let code = record.code.clone().unwrap_or_else(|| "unknown".to_owned());
        let reason = self.reasons.entry((record.outcome, code)).or_default();
        reason.count += 1;
        if reason.detail.is_empty() {
            reason.detail = record.detail.clone().unwrap_or_default();
        }
        let id = record.public_id.as_ref().or(record.target_id.as_ref());
        if let Some(id) = id.filter(|_| reason.ids.len() < SHOWN) {
            reason.ids.push(id.clone());
        }
    }

    /// How many records were counted.
    pub const fn counted(&self) -> usize {
        self.counted
    }

    /// The reasons, the most frequent first.
    pub(super) fn reasons(&self) -> Vec<(&(Outcome, String), &Examined)> {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, examined)| std::cmp::Reverse(examined.count));
        reasons
    }
}
