//! The law of true answers: where a provider keeps something else than was asked for, the result of the write says so.
//!
//! A provider is played by its server side over one record. After each create and update the record, the answer or the
//! read is tampered with, in one field.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use libtest_mimic::Failed;
use passerelle_providers::{
    VendorServer,
    api::{JsonLimits, input},
    engine::{self, Conditions, records::Records},
    json::JsonObject,
    kit::Transport,
    model::{
        Command, Created, Customer, CustomerFields, CustomerId, CustomerType, Entry, Error, Field, Kind, LossPolicy,
        Operation, Outcome, Reply, Request, Response, UpdateCustomer, Written, manifest::Clears,
    },
    text::{Source, Text},
};

use super::Subject;
use crate::{case::block_on, sample};

/// What the provider does with one field of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tampering {
    /// It keeps and shows everything.
    Nothing,
    /// It does not keep the field.
    Drops,
    /// It keeps another value.
    Changes,
    /// It keeps the field, and its answer to the write does not show it.
    OnlyReadShows,
    /// The same, and the read after it fails.
    ReadFails,
    /// Its answer to the write repeats the field, and a read does not show it.
    OnlyAnswerShows,
}

/// The result of every tampering with every field is reported as it should be.
pub(super) fn whatever_a_provider_keeps_differently_is_reported(subject: Subject) -> Result<(), Failed> {
    use Tampering::{Changes, Drops, Nothing, OnlyAnswerShows, OnlyReadShows, ReadFails};
    for operation in [Operation::Create, Operation::Update] {
        if !subject.supports(operation) {
            continue;
        }
        for field in subject.written_and_shown() {
            let support = subject.manifest.field(field);
            let written = if operation == Operation::Create { support.create } else { support.update };
            if !written.is_supported() {
                continue;
            }
            // Other answers are believed.
            let echo = subject.manifest.echoes.contains(&field).then_some(OnlyAnswerShows);
            for tampering in [Nothing, Drops, Changes, OnlyReadShows, ReadFails].into_iter().chain(echo) {
                check(subject, operation, field, tampering).map_err(|error| {
                    format!(
                        "{} of {}, {tampering:?}: {}",
                        operation.name(),
                        field.name(),
                        error.message().unwrap_or_default()
                    )
                })?;
            }
        }
    }
    Ok(())
}

/// A field that the provider does not clear is reported, also where it is one key of the metadata.
pub(super) fn what_a_provider_does_not_clear_is_reported(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) || subject.manifest.update.clears != Clears::Sent {
        return Ok(());
    }
    for field in subject.written_and_shown() {
        let is_part = matches!(field, Field::FirstName | Field::LastName);
        // The gateway refuses to clear a field that the provider requires.
        let is_required = subject.manifest.requires.iter().any(|requirement| requirement.any_of == [field]);
        if !subject.manifest.field(field).update.is_supported() || is_part || is_required {
            continue;
        }
        let vendor = Tampered::new(subject, field, Tampering::Changes);
        let Command::Update(mut update) = sample::command(Operation::Update, subject.manifest, &[]) else {
            return Err("the sample is not an update".into());
        };
        update.id = vendor.id.clone();
        let cleared = format!(r#"{{"{}":null}}"#, field.name());
        update.fields = match field.pointer().strip_prefix("/address/") {
            Some(part) => fields(&format!(r#"{{"address":{{"{part}":null}}}}"#))?,
            None => fields(&cleared)?,
        };
        let (result, _) = vendor.execute(&Command::Update(update));
        require(&customer(result?)?, field, Outcome::Altered)
            .map_err(|error| format!("{}: {}", field.name(), error.message().unwrap_or_default()))?;
    }
    Ok(())
}

pub(crate) fn fields(json: &str) -> Result<CustomerFields, Failed> {
    let source = Source::new(&json.to_owned().into()).ok_or("not a text")?;
    Ok(input::fields(&source, JsonLimits::DEFAULT, sample::region())?)
}

fn check(subject: Subject, operation: Operation, field: Field, tampering: Tampering) -> Result<(), Failed> {
    let vendor = Tampered::new(subject, field, tampering);
    let names = [Field::Name, Field::FirstName, Field::LastName];
    let is_base = |(usual, _): &(Field, &str)| {
        operation == Operation::Create && *usual != field && !(names.contains(usual) && names.contains(&field))
    };
    let mut members: Vec<_> = sample::USUAL.iter().copied().filter(is_base).collect();
    members.push((field, sample::canary(field)));
    if operation == Operation::Create && !subject.manifest.requires.is_empty() && field == Field::LastName {
        members.push((Field::FirstName, "Awa"));
    }
    let mut command = sample::command(operation, subject.manifest, &members);
    if let Command::Update(UpdateCustomer { id, .. }) = &mut command {
        *id = vendor.id.clone();
    }
    let (result, reads) = vendor.execute(&command);
    let customer = match result {
        // The provider answered with the record of another customer. The failure says so.
        Err(error) if error.kind == Kind::SharedRecord && tampering != Tampering::Nothing => return Ok(()),
        result => customer(result?)?,
    };
    // After a create it would cost a second request to find out.
    let is_echoed = operation == Operation::Create && subject.manifest.echoes.contains(&field);
    match tampering {
        Tampering::Nothing | Tampering::OnlyAnswerShows if is_echoed => {
            require(&customer, field, Outcome::Unverified)?;
            if reads > 0 { Err("a create was read again".into()) } else { Ok(()) }
        }
        Tampering::Drops | Tampering::OnlyAnswerShows => require(&customer, field, Outcome::Lost),
        Tampering::Changes => require(&customer, field, Outcome::Altered),
        Tampering::ReadFails => require(&customer, field, Outcome::Unverified),
        Tampering::Nothing | Tampering::OnlyReadShows => {
            let differs =
                |entry: &&Entry| matches!(entry.outcome, Outcome::Lost | Outcome::Altered | Outcome::Unverified);
            if let Some(entry) = customer.fidelity.entries().iter().find(differs) {
                return Err(format!("nothing differs, but the result reports {entry:?}").into());
            }
            if !customer.held(field).has_value() {
                return Err("the result does not show the value".into());
            }
            let is_echo = subject.manifest.echoes.contains(&field);
            let most = u32::from(is_echo || tampering == Tampering::OnlyReadShows);
            if reads > most {
                return Err(format!("{reads} reads after the write, of at most {most}").into());
            }
            Ok(())
        }
    }
}

/// Fails unless the customer's report has this outcome for the field, or for the name where the field is a part of it.
fn require(customer: &Customer, field: Field, outcome: Outcome) -> Result<(), Failed> {
    let is_it = |entry: &&Entry| entry.field == field && entry.outcome == outcome;
    let Some(entry) = customer.fidelity.entries().iter().find(is_it) else {
        return Err(format!("not reported as {}: {:?}", outcome.as_str(), customer.fidelity.entries()).into());
    };
    match (outcome, &entry.from) {
        (Outcome::Altered, None) => Err("the report does not show what the provider keeps".into()),
        _ => Ok(()),
    }
}

fn customer(reply: Reply) -> Result<Customer, Failed> {
    match reply {
        Reply::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer)) => Ok(*customer),
        _ => Err("the reply has no customer".into()),
    }
}

/// A provider that is played by its server side, and tampers with one field.
struct Tampered {
    subject: Subject,
    server: Arc<dyn VendorServer>,
    /// The customer for updates. It has a value in every field.
    id: CustomerId,
    field: Field,
    tampering: Tampering,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: Records,
    has_written: bool,
    reads_after: u32,
}

impl Tampered {
    fn new(subject: Subject, field: Field, tampering: Tampering) -> Self {
        let server = subject.server();
        let mut records = Records::default();
        let members: Vec<_> = subject.written_and_shown().into_iter().filter_map(earlier_value).collect();
        let text = serde_json::Value::Object(sample::body(&members)).to_string();
        let fields = fields(&text).expect("the gateway accepts the sample");
        let id = records.add(&*server, &fields, Timestamp::UNIX_EPOCH, [7; 16]);
        let id = CustomerId::parse(id, &subject.manifest.id).expect("an id");
        let state = Mutex::new(State { records, ..State::default() });
        Self { subject, server, id, field, tampering, state }
    }

    /// The result of a command, and the number of reads after the write.
    fn execute(&self, command: &Command) -> (Result<Reply, Error>, u32) {
        let provider = self.subject.provider();
        let conditions = Conditions::canonical(LossPolicy::Drop);
        let result = block_on(engine::execute(&provider, self, command, conditions));
        (result, self.state.lock().expect("no panic while the lock was held").reads_after)
    }

    /// The customer as this provider shows it, in the answer to the write or in a read after it.
    fn shown(&self, mut customer: Customer, in_answer: bool) -> Customer {
        match self.tampering {
            Tampering::Changes => set_value(&mut customer, self.field, true),
            Tampering::Drops => set_value(&mut customer, self.field, false),
            Tampering::OnlyReadShows | Tampering::ReadFails if in_answer => {
                set_value(&mut customer, self.field, false);
            }
            Tampering::OnlyAnswerShows if !in_answer => set_value(&mut customer, self.field, false),
            Tampering::Nothing | Tampering::OnlyReadShows | Tampering::ReadFails | Tampering::OnlyAnswerShows => {}
        }
        customer
    }
}

#[async_trait]
impl Transport for Tampered {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let command = self.server.accept(&request)?;
        let mut state = self.state.lock().expect("no panic while the lock was held");
        let state = &mut *state;
        if state.has_written {
            state.reads_after += 1;
            if self.tampering == Tampering::ReadFails {
                return Err(Error::new(Kind::Unreachable, "the read fails"));
            }
        }
        let reply = state.records.execute(&*self.server, &command, Timestamp::UNIX_EPOCH, [8; 16])?;
        let reply = match reply {
            Reply::Written(Written::Created(created)) => Reply::created(self.shown(*created.customer, true)),
            Reply::Written(Written::Changed(customer)) => Reply::changed(self.shown(*customer, true)),
            Reply::Customer(customer) if state.has_written => Reply::Customer(self.shown(*customer, false).into()),
            other => other,
        };
        state.has_written |= matches!(reply, Reply::Written(_));
        self.server.answer(&command, &reply)
    }
}

/// The value that the customer for updates has before.
fn earlier_value(field: Field) -> Option<(Field, &'static str)> {
    let value = match field {
        Field::FirstName | Field::LastName => return None,
        Field::Name => "Awa Diop",
        Field::Email => "awa@example.com",
        Field::Phone | Field::Whatsapp => "+221771234567",
        Field::Country => "SN",
        Field::Type => "individual",
        Field::Balance => "12.50",
        other => sample::canary(other),
    };
    Some((field, value))
}

/// Gives a field another value than the samples have, or none.
pub(crate) fn set_value(customer: &mut Customer, field: Field, has_value: bool) {
    let some = |text: &'static str| has_value.then(|| Text::from_static(text));
    let address = &mut customer.address;
    match field {
        Field::Name | Field::FirstName | Field::LastName => {
            (customer.first_name, customer.last_name) = (None, None);
            customer.name = some("Somebody Else");
        }
        Field::Email => customer.email = some("else@example.net"),
        Field::Phone => customer.phone = some("+2347011111111"),
        Field::Whatsapp => customer.whatsapp = some("+2347011111111"),
        Field::Line1 => address.line1 = some("elsewhere"),
        Field::Line2 => address.line2 = some("elsewhere"),
        Field::City => address.city = some("elsewhere"),
        Field::State => address.state = some("elsewhere"),
        Field::PostalCode => address.postal_code = some("elsewhere"),
        Field::Country => address.country = some("GH"),
        Field::Type => {
            // The canary is a business.
            customer.kind = has_value.then_some(CustomerType::Individual);
        }
        Field::Did => customer.did = some("z1Elsewhere"),
        Field::Balance => customer.balance = some("1"),
        Field::Metadata => {
            let text = if has_value { r#"{"canary":"elsewhere"}"# } else { "{}" };
            customer.metadata = JsonObject::in_string(text).unwrap_or_default();
        }
        Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {}
    }
}
