//! The law about the folders of recorded answers.

use std::fs;

use libtest_mimic::Failed;
use passerelle_providers::model::Operation;

use super::Subject;
use crate::case::{fixtures, folders, name_of};

pub(super) fn every_operation_has_a_successful_and_a_refused_fixture(subject: Subject) -> Result<(), Failed> {
    let vendor = fixtures().join(subject.vendor.name());
    for operation in Operation::ALL.into_iter().filter(|operation| subject.supports(*operation)) {
        let (mut has_success, mut has_refusal) = (false, false);
        for case in folders(&vendor.join(operation.name())) {
            let outcome = fs::read_to_string(case.join("outcome.snap")).unwrap_or_default();
            let is_refused = outcome.contains("\"error\":") || outcome.trim_end().ends_with("\nnull");
            has_success |= !is_refused;
            has_refusal |= is_refused;
            if outcome.is_empty() {
                return Err(format!("the fixture {} has no `outcome.snap`", name_of(&case)).into());
            }
        }
        if !(has_success && has_refusal) {
            return Err(format!("{} needs a fixture that succeeds and one that is refused", operation.name()).into());
        }
    }
    Ok(())
}
