//! Laws about changes that the provider refuses with a success status.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use libtest_mimic::Failed;
use passerelle_providers::{
    engine,
    kit::Transport,
    model::{Command, Effect, Error, Kind, Operation, Reply, Request, Response},
};

use super::{
    Subject,
    records::{all_conditions, customer},
    usual,
};
use crate::case::block_on;

/// Answers a change with a success status and this body. Reads after it fail with the kind, or show the customer.
struct Refusing {
    subject: Subject,
    body: &'static str,
    read: Option<Kind>,
    is_changed: AtomicBool,
}

#[async_trait]
impl Transport for Refusing {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let server = self.subject.server();
        let command = server.accept(&request)?;
        let is_changed = self.is_changed.load(Ordering::Relaxed);
        match (&command, self.read) {
            (Command::Update(_) | Command::Block(_) | Command::Unblock(_), _) => {
                self.is_changed.store(true, Ordering::Relaxed);
                Ok(Response::new(self.body.into()))
            }
            (_, Some(kind)) if is_changed => {
                Ok(server.refuse(&request, &Error::new(kind, "the read fails"), Timestamp::UNIX_EPOCH))
            }
            _ => server.answer(&command, &Reply::Customer(customer(self.subject, self.subject.id().public()).into())),
        }
    }
}

/// The errors of every change that is answered so, in the API and in drop-in.
fn errors(subject: Subject, body: &'static str, read: Option<Kind>) -> Result<Vec<(String, Error)>, Failed> {
    let changes = [Operation::Update, Operation::Block, Operation::Unblock];
    let mut errors = Vec::new();
    for operation in changes.into_iter().filter(|operation| subject.supports(*operation)) {
        for conditions in all_conditions() {
            let vendor = Refusing { subject, body, read, is_changed: AtomicBool::new(false) };
            let change = usual(subject, operation);
            let what = format!("{} answered {body}, then {read:?}", operation.name());
            match block_on(engine::execute(&subject.provider(), &vendor, &change, conditions)) {
                Err(error) => errors.push((what, error)),
                Ok(_) => return Err(format!("{what}: a success").into()),
            }
        }
    }
    Ok(errors)
}

/// A body without an error status leaves the outcome unknown, or is a refusal where the provider documents it as one.
pub(super) fn a_change_that_is_refused_with_a_success_status_is_not_done(subject: Subject) -> Result<(), Failed> {
    for body in [
        r#"{"success":false,"message":"no"}"#,
        r#"{"status":"error"}"#,
        r#"{"data":{"status":"failed"}}"#,
        r#"{"errors":["x"],"message":"m"}"#,
        r#"{"code":422,"status":"Unprocessable","errors":{"email":["taken"]}}"#,
        r#"{"error":{"message":"no"},"statusCode":400}"#,
    ] {
        for read in [None, Some(Kind::ProviderFailed), Some(Kind::NotFound)] {
            for (what, error) in errors(subject, body, read)? {
                match (error.kind, error.effect) {
                    (Kind::BadResponse, Effect::Unknown) | (Kind::Rejected, Effect::None) => {}
                    other => return Err(format!("{what}: {other:?}").into()),
                }
            }
        }
    }
    Ok(())
}

/// Some providers answer a change of an unknown id with success, and only the read after it shows that there is no such
/// customer.
pub(super) fn a_change_of_a_customer_that_the_read_after_it_does_not_find_has_no_effect(
    subject: Subject,
) -> Result<(), Failed> {
    for body in [r#"{"data":{"metadata":null}}"#, "{}"] {
        for (what, error) in errors(subject, body, Some(Kind::NotFound))? {
            match (error.kind, error.effect) {
                (Kind::BadResponse, Effect::Unknown) | (Kind::NotFound, Effect::None) => {}
                other => return Err(format!("{what}: {other:?}").into()),
            }
        }
    }
    Ok(())
}
