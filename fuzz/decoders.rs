//! What a provider answers: it becomes a reply or an error, and never a panic.
//!
//! An input is a command and the answers of the provider to its requests. The first line of the first part is the
//! operation, and the rest is the command in JSON. The first line of each other part has the status and, after a space, the
//! `Retry-After` header; the rest is the body.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::{
        input,
        view::{CustomerView, Origin},
    },
    engine::{self, Conditions},
    json::{Json, Raw},
    kit::Step,
    model::{Command, Customer, CustomerId, LossPolicy, Operation, Reply, Response},
    text::Source,
};

use crate::{
    bound::{assert_in_proportion, bounded},
    contains_canary, first_line, parts,
    played::{Scripted, ready},
    subject::{Subject, check_error, check_refusal, region},
};

/// Runs one input.
pub(crate) fn run(subject: &Subject, input: &[u8]) {
    let mut parts = parts(input);
    let asked = parts.next().unwrap_or_default();
    let Some(command) = command(subject, asked) else { return };
    if contains_canary(asked) {
        return;
    }
    let answers: Vec<Response> = parts.map(answer).collect();
    let is_read = !command.is_write();
    let result = bounded(input.len(), || {
        let transport = Scripted::new(answers.clone());
        ready(engine::execute(&subject.provider, &transport, &command, Conditions::canonical(LossPolicy::Drop)))
    });
    match result {
        Ok(reply) => {
            for customer in reply.customers() {
                check_customer(subject, customer, input.len());
            }
            if is_read {
                check_written_again(subject, &reply);
            }
        }
        Err(error) => check_error(&error, input.len()),
    }
}

fn command(subject: &Subject, part: &[u8]) -> Option<Command> {
    let (operation, json) = first_line(part);
    let operation = Operation::parse(std::str::from_utf8(operation).ok()?)?;
    let source = Source::new(&Bytes::copy_from_slice(json))?;
    match input::command(operation, &source, subject.manifest, region()) {
        Ok(command) => Some(command),
        Err(error) => {
            check_refusal(&error, part.len());
            None
        }
    }
}

fn answer(part: &[u8]) -> Response {
    let (head, body) = first_line(part);
    let (status, retry_after) = match head.iter().position(|byte| *byte == b' ') {
        Some(end) => (&head[..end], &head[end + 1..]),
        None => (head, &head[head.len()..]),
    };
    let mut response = Response::new(Bytes::copy_from_slice(body));
    *response.status_mut() = StatusCode::from_bytes(status).unwrap_or(StatusCode::OK);
    if let (false, Ok(value)) = (retry_after.is_empty(), HeaderValue::from_bytes(retry_after)) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// The customer as the API shows it.
fn shown(customer: &Customer) -> Vec<u8> {
    let mut shown = Vec::new();
    CustomerView { customer, origin: Origin { provider: "p", connection: "c" } }.write(&mut shown);
    shown
}

/// What holds for every customer that was decoded: its id is one of the provider's, and its answer is one JSON document
/// that is not much larger than what the provider sent.
fn check_customer(subject: &Subject, customer: &Customer, input: usize) {
    assert!(subject.manifest.id.matches(&customer.id), "the id {:?} is not one of the provider's", customer.id);
    let shown = shown(customer);
    assert_in_proportion("an answer", shown.len(), input);
    let text = std::str::from_utf8(&shown).expect("an answer is text");
    assert!(passerelle_providers::json::from_str::<Raw<'_>>(text).is_ok(), "an answer is not JSON: {text}");
}

/// A customer that the server side writes and the client side reads again stays the same.
fn check_written_again(subject: &Subject, reply: &Reply) {
    for customer in reply.customers() {
        let Ok(id) = CustomerId::parse(customer.id.clone(), &subject.manifest.id) else { continue };
        let Some(once) = written_and_read(subject, &id, customer.clone()) else { continue };
        let Some(twice) = written_and_read(subject, &id, once.clone()) else {
            panic!("a customer that was written and read cannot be read again: {}", show(&once));
        };
        assert_eq!(show(&once), show(&twice), "a customer that was written and read changes again");
    }
}

fn show(customer: &Customer) -> String {
    String::from_utf8_lossy(&shown(customer)).into_owned()
}

fn written_and_read(subject: &Subject, id: &CustomerId, customer: Customer) -> Option<Customer> {
    let answer = subject.server.answer(&Command::Retrieve(id.clone()), &Reply::Customer(customer.into())).ok()?;
    match subject.provider.plan_retrieve(id).ok()?.read(answer) {
        Ok(Step::Done(mut customer)) => {
            // The answer has the spelling of this provider, and the report says so.
            customer.fidelity = Default::default();
            Some(*customer)
        }
        Ok(Step::Then(_)) => None,
        Err(error) => panic!("the client side cannot read what the server side wrote: {error}"),
    }
}
