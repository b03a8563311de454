//! What a client of a provider sends to a twin or to drop-in: it becomes a command or a refusal in the provider's form.
//!
//! An input is a request in HTTP text: the method and the target, headers, an empty line, and the body.

use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use passerelle_providers::{
    api::{JsonLimits, input},
    engine::{self, Conditions, Language, drop_in, records::Records},
    kit::server::base_path,
    model::{Command, CustomerFields, CustomerId, Error, Kind, LossPolicy, Patch, Request, Response},
    text::{Source, Text},
};

use crate::{
    CANARY,
    bound::{assert_in_proportion, bounded},
    contains_canary, first_line,
    played::{Played, now, ready},
    subject::{self, Subject, check_error, check_refusal, region},
};

/// The providers that execute what the clients of another one ask for.
static EXECUTING: LazyLock<Vec<Subject>> = LazyLock::new(subject::all);

/// Runs one input.
pub(crate) fn run(subject: &Subject, input: &[u8]) {
    let Some(request) = request(subject, input) else { return };
    let refuse = |error: &Error| {
        check_in_refusal(error, input);
        check_answer(&subject.server.refuse(&request, error, now()), input);
    };
    let command = match bounded(input.len(), || subject.server.accept(&request)) {
        Ok(command) => command,
        Err(error) => return refuse(&error),
    };
    if let Some(id) = command.customer() {
        assert!(subject.manifest.id.matches(id.at_provider()), "{id:?} is not an id of the provider");
    }
    if let Err(error) = checked(&command, request.body()) {
        return refuse(&error);
    }
    if command.is_write() {
        check_stored(subject, &command);
    }
    let command = drop_in::canonical(command, region());
    if command.is_write() {
        check_stored(subject, &command);
    }
    if let Err(error) = executed(subject, &command, input) {
        refuse(&error);
    }
    // Drop-in: another provider executes it.
    if let Some(other) = EXECUTING.get(input.len() % EXECUTING.len())
        && command.customer().is_none()
    {
        check_elsewhere(other, &command, input);
    }
}

/// The request, with a path below the provider's base, and with credentials that must not come back.
fn request(subject: &Subject, input: &[u8]) -> Option<Request> {
    let (first, mut rest) = first_line(input);
    let mut words = first.split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = std::str::from_utf8(words.next()?).ok()?;
    let base = match subject.manifest.base_url {
        Some(_) => base_path(subject.manifest),
        None => "/payment",
    };
    let below = target.strip_prefix(base).filter(|below| below.starts_with('/')).unwrap_or(target);
    let mut request = Request::default();
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(below).ok()?;
    loop {
        let (line, after) = first_line(rest);
        rest = after;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(CANARY));
    *request.body_mut() = Bytes::copy_from_slice(rest);
    Some(request)
}

/// What drop-in checks before it executes a command.
fn checked(command: &Command, body: &Bytes) -> Result<(), Error> {
    drop_in::check_phones(command)?;
    if !body.is_empty() {
        let source = Source::new(body).ok_or_else(|| Error::new(Kind::Malformed, "the body is not UTF-8 text"))?;
        input::check(&source, JsonLimits::DEFAULT)?;
        drop_in::check_metadata(command)?;
    }
    Ok(())
}

/// A write is read from the store as it was written to it.
fn check_stored(subject: &Subject, command: &Command) {
    let json = Bytes::from(command.to_canonical_json());
    let written = Source::new(&json).expect("a command is written as text");
    match input::stored(command.operation(), &written, None, subject.manifest) {
        Ok(read) => {
            assert_eq!(without_rewritten(read), without_rewritten(command.clone()), "{}", written.as_str());
        }
        Err(error) => panic!("a stored command cannot be read: {error}: {}", written.as_str()),
    }
}

/// The command as it is compared: what the client wrote before it was converted is stored apart, and the canonical form
/// of metadata is another spelling.
fn without_rewritten(mut command: Command) -> (Command, Option<String>) {
    let fields = match &mut command {
        Command::Create(create) => &mut create.fields,
        Command::Update(update) => &mut update.fields,
        _ => return (command, None),
    };
    fields.rewritten = Default::default();
    let metadata = match std::mem::take(&mut fields.metadata) {
        Patch::Set(metadata) => Some(passerelle_providers::json::canonical::canonical_document(metadata.as_str())),
        Patch::Clear => Some("clear".to_owned()),
        Patch::Absent => None,
    };
    (command, metadata)
}

/// Records with one customer, who has every field.
fn records(subject: &Subject) -> (Records, Text) {
    static FIELDS: LazyLock<CustomerFields> = LazyLock::new(|| {
        let json =
            br#"{"name":"Amadou Ba","email":"amadou.ba@example.com","phone":"+221771234567","metadata":{"a":"b"},
                        "address":{"line1":"1 Rue","city":"Dakar","country":"SN"},"did":"z1did","type":"business"}"#;
        let source = Source::new(&Bytes::from_static(json)).expect("text");
        input::fields(&source, JsonLimits::DEFAULT, region()).expect("fields")
    });
    let mut records = Records::default();
    let id = records.add(&*subject.server, &FIELDS, now(), [1; 16]);
    (records, id)
}

/// Executes a command as a twin does, for a customer who exists.
fn executed(subject: &Subject, command: &Command, input: &[u8]) -> Result<(), Error> {
    let (mut records, existing) = records(subject);
    let mut command = command.clone();
    if let (Some(id), Ok(known)) = (command.customer_mut(), CustomerId::parse(existing, &subject.manifest.id)) {
        *id = known;
    }
    let reply = records.execute(&*subject.server, &command, now(), [2; 16])?;
    check_answer(&subject.server.answer(&command, &reply)?, input);
    Ok(())
}

/// Another provider executes the command. Both of its sides are ours, so its answers can always be read.
fn check_elsewhere(other: &Subject, command: &Command, input: &[u8]) {
    let (records, _) = records(other);
    let transport = Played { server: &*other.server, records: Mutex::new(records) };
    let conditions = Conditions { on_loss: LossPolicy::Drop, language: Language::Imitated };
    match ready(engine::execute(&other.provider, &transport, command, conditions)) {
        Ok(_) => {}
        Err(error) => {
            check_in_refusal(&error, input);
            assert_ne!(error.kind, Kind::BadResponse, "{}: {error}", other.name);
        }
    }
}

fn check_in_refusal(error: &Error, input: &[u8]) {
    match contains_canary(input) {
        true => check_refusal(error, input.len()),
        false => check_error(error, input.len()),
    }
}

/// What holds for every answer to a client: it is not much larger than the request, it is JSON if it says so, and it does
/// not repeat the client's credentials.
fn check_answer(answer: &Response, input: &[u8]) {
    let is_in_input = contains_canary(input);
    let input = input.len();
    let body = answer.body();
    assert_in_proportion("an answer", body.len(), input);
    let text = String::from_utf8_lossy(body);
    // The path and the values of a request may come back, and libFuzzer can find this text.
    assert!(is_in_input || !text.contains(CANARY), "the credentials in an answer: {text}");
    let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|value| value.contains("json")) && !body.is_empty() {
        let read = serde_json::from_slice::<serde_json::Value>(body);
        assert!(read.is_ok(), "not JSON: {text}");
    }
}
