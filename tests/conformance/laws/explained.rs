//! The law of explanations: the report of a write is the one of its explanation, and what happened on the way back. And
//! no update takes away what a create requires.

use libtest_mimic::Failed;
use passerelle_providers::{
    engine::{self, Conditions},
    model::{Command, CreateCustomer, CustomerFields, Entry, Field, Kind, LossPolicy, Operation, UpdateCustomer},
};

use super::{
    Subject,
    kept::{Played, customer, fields},
};

/// A value of every writable field, and those that the gateway completes or rewrites. The merchant is at home in Senegal.
const VALUES: [&str; 29] = [
    r#""name":"Awa Ndiaye Fall""#,
    r#""name":"Awa""#,
    r#""first_name":"Awa","last_name":"Ndiaye Fall""#,
    r#""first_name":"Awa""#,
    r#""last_name":"Sow""#,
    r#""name":"""#,
    r#""last_name":"""#,
    r#""email":"Awa@Example.com""#,
    r#""email":"""#,
    r#""phone":"77 123 45 67""#,
    r#""phone":"+221 77 123 45 67""#,
    r#""phone":"+2348123456789""#,
    r#""phone":"0812 345 6789""#,
    r#""phone":"""#,
    r#""whatsapp":"77 123 45 67""#,
    r#""whatsapp":"0812 345 6789""#,
    r#""address":{"country":"UK"}"#,
    r#""address":{"country":"Senegal"}"#,
    r#""address":{"country":"Atlantis"}"#,
    r#""address":{"line1":"12 Rue Blanchot","line2":"B","city":"Dakar","state":"DK","postal_code":"10000"}"#,
    r#""address":{"city":""}"#,
    r#""type":"business""#,
    r#""type":"individual""#,
    r#""did":"z1canary""#,
    r#""balance":"12.50""#,
    r#""balance":"7""#,
    r#""metadata":{"crm":"1","shop":{"id":2}}"#,
    r#""metadata":{}"#,
    r#""phone":"77 123 45 67","address":{"country":"UK"},"metadata":{"crm":"1"}"#,
];

/// The rules of the comparison with what the provider keeps. Only an answer can have them.
const COMPARED: [&str; 3] = [
    "the provider keeps it in another spelling",
    "the provider keeps one name, which splits at another space",
    "the provider repeats it in its answer, also where it does not store it",
];

/// The report of a write has every entry of its explanation and of a later read, and otherwise only those of the
/// comparison.
pub(super) fn a_write_is_reported_as_its_explanation_says(subject: Subject) -> Result<(), Failed> {
    for operation in [Operation::Create, Operation::Update] {
        if !subject.supports(operation) {
            continue;
        }
        for value in VALUES {
            check(subject, operation, value).map_err(|failed| {
                format!("{} of {value}: {}", operation.name(), failed.message().unwrap_or_default())
            })?;
        }
    }
    Ok(())
}

fn check(subject: Subject, operation: Operation, value: &str) -> Result<(), Failed> {
    let members = [(Field::Name, "Fatou Diop"), (Field::Email, "fatou@example.com"), (Field::Phone, "+221770000000")];
    let vendor = Played::new(subject, members, |_| {})?;
    let is_create = operation == Operation::Create;
    let mut usual = vec![value.to_owned()];
    if is_create {
        let others = [("email", r#""email":"awa@example.com""#), ("name", r#""name":"Awa Sow""#)];
        usual.extend(others.into_iter().filter(|(name, _)| !value.contains(name)).map(|(_, member)| member.to_owned()));
    }
    // The API refuses an empty text, in an explanation as in the write.
    let Ok(fields) = fields(&format!("{{{}}}", usual.join(","))) else { return Ok(()) };
    let command = match operation {
        Operation::Create => Command::Create(CreateCustomer { fields, ..CreateCustomer::default() }),
        _ => Command::Update(UpdateCustomer { id: vendor.id.clone(), fields }),
    };
    let conditions = Conditions::canonical(LossPolicy::Drop);
    let explained = engine::plan(&subject.provider(), &command, conditions);
    let (explained, written) = match (explained, vendor.execute(&command)) {
        (Ok(planned), written) => (planned.fidelity(), customer(written?)?),
        (Err(explained), Err(written)) if explained.kind == written.kind => return Ok(()),
        (Err(explained), _) => return Err(format!("only the explanation is refused: {explained:?}").into()),
    };
    let id = passerelle_providers::model::CustomerId::parse(written.id.clone(), &subject.manifest.id)?;
    let read = customer(vendor.execute(&Command::Retrieve(id))?)?;
    let (report, read) = (written.fidelity.entries(), read.fidelity.entries());
    let missing = explained.entries().iter().chain(read).find(|entry| !report.contains(entry));
    if let Some(missing) = missing {
        return Err(format!("the report lacks {missing:?}: {report:?}").into());
    }
    let is_known =
        |entry: &&Entry| explained.entries().contains(entry) || read.contains(entry) || COMPARED.contains(&entry.rule);
    match report.iter().find(|entry| !is_known(entry)) {
        Some(entry) => Err(format!("only the answer has {entry:?} from {:?}", entry.from).into()),
        None => Ok(()),
    }
}

/// An update that would leave a customer without what the provider requires of a create is refused, and nothing is sent.
pub(super) fn no_update_removes_what_a_create_requires(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    for requirement in subject.manifest.requires {
        let value = |field: &Field| match field {
            Field::Name => (Field::Name, "Awa"),
            Field::Email => (Field::Email, "awa@example.com"),
            _ => (*field, "+221771234567"),
        };
        let cleared = |field: &Field| format!(r#""{}":null"#, field.name());
        let all: Vec<String> = requirement.any_of.iter().map(cleared).collect();
        let patches = vec![all.join(",")];
        // Each record has one of the fields. To clear it alone is enough.
        for field in requirement.any_of {
            let mut patches_of_one = patches.clone();
            patches_of_one.push(cleared(field));
            if *field == Field::Name {
                patches_of_one.push(r#""first_name":null"#.to_owned());
                patches_of_one.push(r#""first_name":null,"last_name":null"#.to_owned());
            }
            for patch in patches_of_one {
                let vendor = Played::new(subject, [value(field)], |_| {})?;
                let fields: CustomerFields = fields(&format!("{{{patch}}}"))?;
                let is_lost = subject.manifest.losses(&fields, Operation::Update).next().is_some();
                let update = Command::Update(UpdateCustomer { id: vendor.id.clone(), fields });
                match vendor.execute(&update) {
                    // The provider cannot clear it, so nothing is taken away.
                    Ok(_) if is_lost && vendor.sent().is_none() => {}
                    Err(error) if error.kind == Kind::Invalid && vendor.sent().is_none() => {}
                    result => return Err(format!("{patch} of {}: {result:?}", field.name()).into()),
                }
            }
        }
    }
    Ok(())
}
