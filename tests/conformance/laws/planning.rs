//! Laws about plans: the client side plans exactly what its manifest declares.

use libtest_mimic::Failed;
use passerelle_providers::{
    engine::lists,
    model::{Command, Field, Kind, Lookup, Operation, Request, manifest::FilterSupport},
    text::Text,
};

use super::{Requests, Subject, plan, usual};
use crate::sample;

pub(super) fn exactly_the_declared_operations_are_planned(subject: Subject) -> Result<(), Failed> {
    for operation in Operation::ALL {
        let planned = plan(&subject.provider(), &usual(subject, operation));
        match (subject.supports(operation), planned) {
            (true, Err(error)) if operation == Operation::Find && error.kind == Kind::Invalid => {}
            (true, Err(error)) => {
                return Err(format!("{} is declared, but planning fails: {error}", operation.name()).into());
            }
            (false, Ok(_)) if operation != Operation::Find => {
                return Err(format!("{} is planned, but declared as not supported", operation.name()).into());
            }
            (false, Err(error)) if error.kind != Kind::NotSupported && operation != Operation::Find => {
                return Err(format!("{} is refused as {:?}", operation.name(), error.kind).into());
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn planning_twice_gives_the_same_bytes(subject: Subject) -> Result<(), Failed> {
    for operation in Operation::ALL.into_iter().filter(|operation| subject.supports(*operation)) {
        let command = usual(subject, operation);
        let bytes = |requests: Requests| -> Vec<_> {
            requests.0.into_iter().map(|request| (request.uri().to_string(), request.into_body())).collect()
        };
        let first = plan(&subject.provider(), &command).map(bytes);
        let second = plan(&subject.provider(), &command).map(bytes);
        if first != second {
            return Err(format!("{} is planned differently the second time", operation.name()).into());
        }
    }
    Ok(())
}

/// Plans a command twice, with and without a unique value in one field. The value must reach a request exactly if the
/// manifest declares the field as written.
pub(super) fn every_field_is_sent_or_declared_lost(subject: Subject) -> Result<(), Failed> {
    let text = |requests: Requests| -> String {
        let of_one = |request: &Request| format!("{} {}", request.uri(), String::from_utf8_lossy(request.body()));
        requests.0.iter().map(of_one).collect()
    };
    for operation in [Operation::Create, Operation::Update] {
        if !subject.supports(operation) {
            continue;
        }
        for field in Field::WRITABLE {
            let support = subject.manifest.field(field);
            let writing = if operation == Operation::Create { support.create } else { support.update };
            let names = [Field::Name, Field::FirstName, Field::LastName];
            let base: Vec<_> = sample::USUAL
                .iter()
                .copied()
                .filter(|(usual, _)| *usual != field && !(names.contains(usual) && names.contains(&field)))
                .collect();
            let mut with = base.clone();
            with.push((field, sample::canary(field)));
            let command = sample::command(operation, subject.manifest, &with);
            let planned = match plan(&subject.provider(), &command) {
                Ok(requests) => text(requests),
                Err(error) => return Err(format!("{} of {}: {error}", operation.name(), field.name()).into()),
            };
            let base = sample::command(operation, subject.manifest, &base);
            let without = plan(&subject.provider(), &base).map(text).unwrap_or_default();
            let sent = match sample::trace(field) {
                Some(trace) => {
                    let encoded: String = url::form_urlencoded::byte_serialize(trace.as_bytes()).collect();
                    planned.contains(trace) || planned.contains(&encoded)
                }
                None => planned != without,
            };
            if sent != writing.is_supported() {
                let finding = if sent { "is sent, but declared lost" } else { "is neither sent nor declared lost" };
                return Err(format!("{} {finding} on {}", field.name(), operation.name()).into());
            }
        }
    }
    Ok(())
}

pub(super) fn lookups() -> [Lookup; 4] {
    [
        Lookup::Email(Text::from_static("amadou.ba@example.com")),
        Lookup::Phone(Text::from_static("+221771234567")),
        Lookup::Did(Text::from_static("z1CanaryDid")),
        Lookup::Reference(Text::from_static("canary-1")),
    ]
}

pub(super) fn exactly_the_declared_lookups_are_planned(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    for lookup in lookups() {
        let declared = !matches!(lists::lookup_support(subject.manifest, &lookup), FilterSupport::No(_));
        match plan(&provider, &Command::Find(lookup.clone())) {
            Ok(requests) if declared => drop(server.accept(&requests.0[0])?),
            Ok(_) => return Err(format!("{lookup:?} is planned, but declared as not supported").into()),
            Err(error) if declared => return Err(format!("{lookup:?} is declared, but planning fails: {error}").into()),
            Err(error) if error.kind != Kind::Invalid => {
                return Err(format!("{lookup:?} is refused as {:?}", error.kind).into());
            }
            Err(_) => {}
        }
    }
    Ok(())
}
