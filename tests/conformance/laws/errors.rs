//! Laws about answers that are no plain success: every refusal has a kind, damage is reported and never panics, and
//! unknown members are preserved.

use std::collections::BTreeMap;

use bytes::Bytes;
use libtest_mimic::Failed;
use passerelle_providers::{
    kit::{Plan, Step},
    model::{Command, Customer, CustomerId, Error, Kind, Operation, Reply, Response},
    text::Text,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Subject, plan, planning::lookups, run_cases, usual};
use crate::{
    case::{fixtures, snapshot},
    sample,
};

const STATUSES: [u16; 14] = [301, 400, 401, 403, 404, 405, 408, 409, 422, 427, 429, 500, 502, 503];
const BODIES: [(&str, &str); 6] = [
    ("{}", "{}"),
    ("null", "null"),
    ("empty", ""),
    ("html", "<!DOCTYPE html><html><body>Bad</body></html>"),
    ("string", "\"no\""),
    ("list", "[]"),
];

fn answer_of(status: u16, body: impl Into<Bytes>) -> Response {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    answer
}

/// One snapshot for each vendor: the kind of every status with every body, for a read and for a write. The write is a
/// create, or an update where the vendor cannot create.
pub(super) fn every_error_status_maps_to_the_kind_in_the_snapshot(subject: Subject) -> Result<(), Failed> {
    let provider = subject.provider();
    let mut table = String::new();
    let mut row = |request: String, kinds: BTreeMap<&str, String>| {
        let by_body: Vec<String> = kinds.iter().map(|(body, kind)| format!("{body} {kind}")).collect();
        let mut distinct: Vec<_> = kinds.values().collect();
        distinct.dedup();
        let kinds = if distinct.len() == 1 { distinct[0].clone() } else { by_body.join(", ") };
        table.push_str(&format!("{request}: {kinds}\n"));
    };
    let write = [Operation::Create, Operation::Update].into_iter().find(|write| subject.supports(*write));
    for status in STATUSES {
        let mut reads = BTreeMap::new();
        let mut writes = BTreeMap::new();
        for (name, body) in BODIES {
            let kind_of = |decoded: Result<(), Error>, is_write: bool| match decoded {
                Ok(()) => "success".to_owned(),
                Err(error) => {
                    let error = error.after(is_write, false);
                    format!("{:?}/{}", error.kind, error.effect.as_str())
                }
            };
            let decoded = provider.plan_retrieve(&subject.id())?.read(answer_of(status, body)).map(drop);
            reads.insert(name, kind_of(decoded, false));
            let answer = answer_of(status, body);
            match write.map(|write| usual(subject, write)) {
                Some(Command::Create(create)) => {
                    writes.insert(name, kind_of(provider.plan_create(&create)?.read(answer).map(drop), true))
                }
                Some(Command::Update(update)) => {
                    writes.insert(name, kind_of(provider.plan_update(&update)?.read(answer).map(drop), true))
                }
                _ => None,
            };
        }
        row(format!("retrieve {status}"), reads);
        if let Some(write) = write {
            row(format!("{} {status}", write.name()), writes);
        }
    }
    let name = match subject.vendor.manifests.len() {
        1 => "errors".to_owned(),
        _ => format!("errors_{}", subject.manifest.generation),
    };
    snapshot(&fixtures().join(subject.vendor.name()), &[(&name, &table)]);
    Ok(())
}

/// In the forms of common frameworks. No vendor's customer is meant, so it is not "no such customer" at any vendor.
pub(super) fn a_missing_route_is_not_an_unknown_customer(subject: Subject) -> Result<(), Failed> {
    let provider = subject.provider();
    for body in [
        r#"{"statusCode":404,"message":"Cannot GET /customers/x","error":"Not Found"}"#,
        r#"{"error":{"message":"Cannot GET /customers/x"}}"#,
        r#"{"error":"Cannot GET /customers/x"}"#,
        "Cannot GET /customers/x\n",
    ] {
        match provider.plan_retrieve(&subject.id())?.read(answer_of(404, body)) {
            Err(error) if error.kind == Kind::NotSupported => {}
            other => return Err(format!("{body}: {other:?}").into()),
        }
    }
    Ok(())
}

pub(super) fn arbitrary_bytes_never_panic(subject: Subject) -> Result<(), Failed> {
    let provider = subject.provider();
    let server = subject.server();
    let json = prop_oneof![
        Just(String::new()),
        "\\PC{0,40}",
        "[\\[\\]{}\":,0-9a-z]{0,60}",
        "\\{\"(data|customer|customers|items|list|meta|error|id)\":(\\{\\}|\\[\\]|null|1|\"x\"|\\[\\{\\}\\])\\}",
    ];
    let bodies =
        prop_oneof![json.prop_map(Bytes::from), prop::collection::vec(any::<u8>(), 0..60).prop_map(Bytes::from)];
    run_cases(&(prop::sample::select(vec![200_u16, 201, 202, 204, 400, 404, 422, 500]), bodies), |(status, body)| {
        for operation in Operation::ALL.into_iter().filter(|operation| subject.supports(*operation)) {
            macro_rules! read {
                ($plan:expr) => {
                    if let Ok(plan) = $plan {
                        let _ = plan.read(answer_of(status, body.clone())).is_ok();
                    }
                };
            }
            match &usual(subject, operation) {
                Command::Create(command) => read!(provider.plan_create(command)),
                Command::Retrieve(id) => read!(provider.plan_retrieve(id)),
                Command::RetrieveOrCreate(id) => read!(provider.plan_retrieve_or_create(id)),
                Command::Find(_) => {
                    for lookup in lookups() {
                        read!(provider.plan_find(&lookup));
                    }
                }
                Command::Update(command) => read!(provider.plan_update(command)),
                Command::Delete(id) => read!(provider.plan_delete(id)),
                Command::List(command) => read!(provider.plan_list(command).map(Plan::into_owned)),
                Command::Block(id) => read!(provider.plan_block(id)),
                Command::Unblock(id) => read!(provider.plan_unblock(id)),
                Command::PaymentMethods(command) => read!(provider.plan_payment_methods(command)),
                Command::Payments(command) => read!(provider.plan_payments(command)),
                Command::OverdueInvoices(id) => read!(provider.plan_overdue_invoices(id)),
            }
            let command = usual(subject, operation);
            if let Ok(requests) = plan(&provider, &command) {
                for mut request in requests.0 {
                    *request.body_mut() = body.clone();
                    let _ = server.accept(&request).is_ok();
                }
            }
        }
        Ok(())
    })
}

/// The server side's answer to a retrieve, undamaged.
fn answer_to_a_retrieve(subject: Subject) -> Result<(CustomerId, Response), Failed> {
    let id = subject.id();
    let mut customer = Customer { id: id.public().clone(), ..Customer::default() };
    sample::usual_create(subject.manifest).fields.apply_to(&mut customer);
    customer.created_at = Some(Text::from_static("2025-04-04T14:21:49.955Z"));
    customer.updated_at = customer.created_at.clone();
    let answer = subject.server().answer(&Command::Retrieve(id.clone()), &Reply::Customer(customer.into()))?;
    Ok((id, answer))
}

pub(super) fn damaged_answers_are_bad_responses(subject: Subject) -> Result<(), Failed> {
    let (id, whole) = answer_to_a_retrieve(subject)?;
    let provider = subject.provider();
    let kind_of = |body: Bytes| -> Result<Option<Kind>, Error> {
        Ok(provider.plan_retrieve(&id)?.read(answer_of(200, body)).err().map(|error| error.kind))
    };
    for (name, body) in BODIES {
        if kind_of(Bytes::from_static(body.as_bytes()))? != Some(Kind::BadResponse) {
            return Err(format!("{name} with status 200 is not a bad response").into());
        }
    }
    for length in 0..whole.body().len() {
        if kind_of(whole.body().slice(..length))? != Some(Kind::BadResponse) {
            return Err(format!("an answer cut after {length} bytes is not a bad response").into());
        }
    }
    let document: Value = serde_json::from_slice(whole.body())?;
    let record = record_in(&document, id.public()).ok_or("the answer holds no record")?;
    for member in record.keys() {
        let mut document = document.clone();
        let record = record_mut(&mut document, id.public()).ok_or("the answer holds no record")?;
        record[member] = json!([{ "wrong": true }]);
        match provider.plan_retrieve(&id)?.read(answer_of(200, document.to_string())) {
            Ok(_) => {}
            Err(error) if error.kind == Kind::BadResponse => {
                if error.detail.contains("wrong\":") || error.detail.contains("Amadou") {
                    return Err(format!("the error repeats the value: {error}").into());
                }
            }
            Err(error) => return Err(format!("an invalid {member} is decoded as {:?}", error.kind).into()),
        }
    }
    Ok(())
}

/// The object in the document that holds the id.
fn record_in<'d>(document: &'d Value, id: &str) -> Option<&'d serde_json::Map<String, Value>> {
    match document {
        Value::Object(members) if members.values().any(|value| value == id) => Some(members),
        Value::Object(members) => members.values().find_map(|value| record_in(value, id)),
        Value::Array(entries) => entries.iter().find_map(|value| record_in(value, id)),
        _ => None,
    }
}

/// The same, to change it.
fn record_mut<'d>(document: &'d mut Value, id: &str) -> Option<&'d mut serde_json::Map<String, Value>> {
    let is_record = matches!(document, Value::Object(members) if members.values().any(|value| value == id));
    if is_record {
        return document.as_object_mut();
    }
    match document {
        Value::Object(members) => members.values_mut().find_map(|value| record_mut(value, id)),
        Value::Array(entries) => entries.iter_mut().find_map(|value| record_mut(value, id)),
        _ => None,
    }
}

pub(super) fn unknown_members_are_preserved(subject: Subject) -> Result<(), Failed> {
    let (id, whole) = answer_to_a_retrieve(subject)?;
    let mut document: Value = serde_json::from_slice(whole.body())?;
    let record = record_mut(&mut document, id.public()).ok_or("the answer holds no record")?;
    record.insert("zz_new_field".to_owned(), json!({ "since": [2027, "a \"quoted\" word"] }));
    let Ok(Step::Done(customer)) = subject.provider().plan_retrieve(&id)?.read(answer_of(200, document.to_string()))
    else {
        return Err("an answer with an unknown member was not decoded".into());
    };
    let preserved = customer.extra.members().into_iter().find(|(key, _)| key == "zz_new_field");
    match preserved.map(|(_, value)| value.get()) {
        Some(r#"{"since":[2027,"a \"quoted\" word"]}"#) => Ok(()),
        other => Err(format!("the unknown member became {other:?}").into()),
    }
}
