//! Laws about whose record an answer is, and about customers who do not exist or of whom there are several.

use libtest_mimic::Failed;
use passerelle_providers::{
    engine::{self, Conditions, Language},
    model::{Command, Error, Kind, LossPolicy, Operation, Reply, Response},
};

use super::Subject;
use crate::{case::block_on, dedupe::Harness};

/// The conditions of the API, and those of a client of an imitated provider.
fn all_conditions() -> [Conditions; 2] {
    let canonical = Conditions::canonical(LossPolicy::Drop);
    [canonical, Conditions { language: Language::Imitated, ..canonical }]
}

/// Fails unless the result is an error of this kind.
fn expect_kind<T>(what: &str, result: Result<T, Error>, kind: Kind) -> Result<(), Failed> {
    match result {
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => Err(format!("{what} is {:?} and not {kind:?}: {error}", error.kind).into()),
        Ok(_) => Err(format!("{what} is a success and not {kind:?}").into()),
    }
}

/// Also at a provider whose server side answers success to the deletion of any id.
pub(super) fn deleting_an_unknown_customer_is_not_found(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Delete) {
        return Ok(());
    }
    let twin = Harness::of(subject)?;
    for conditions in all_conditions() {
        let delete = Command::Delete(subject.id());
        let deleted = block_on(engine::execute(&subject.provider(), &twin, &delete, conditions));
        expect_kind("the deletion of an unknown customer", deleted, Kind::NotFound)?;
    }
    Ok(())
}

pub(super) fn no_reply_that_is_not_a_deletion_is_answered_as_one(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Delete) {
        return Ok(());
    }
    let (provider, id) = (subject.provider(), subject.id());
    let whole = subject.server().answer(&Command::Delete(id.clone()), &Reply::DELETED)?;
    provider.plan_delete(&id)?.read(whole)?;
    for body in ["<!DOCTYPE html><html></html>", r#"{"deleted":false}"#, r#"{"data":{"deleted":false}}"#] {
        let deleted = provider.plan_delete(&id)?.read(Response::new(body.into()));
        expect_kind(body, deleted, Kind::BadResponse)?;
    }
    Ok(())
}
