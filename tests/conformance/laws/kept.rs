//! The laws of updates at a provider that keeps what it receives, and at one that also changes fields that the update
//! did not name. A provider is played by its server side over records in memory.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
};

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
        Command, Created, Customer, CustomerFields, CustomerId, Error, Field, LossPolicy, Operation, Outcome, Patch,
        Reply, Request, Response, UpdateCustomer, Written,
        manifest::{Clears, NameStyle},
    },
    text::{Source, Text, name},
};
use serde_json::{Value, json};

use super::Subject;
use crate::{case::block_on, sample};

const NAMES: [Field; 3] = [Field::Name, Field::FirstName, Field::LastName];

/// The names that customers have, and the patches that change them.
const BEFORE: [Option<&str>; 5] = [None, Some("Awa"), Some("Awa Diop"), Some("Awa Ndiaye Fall"), Some("Sow Sow")];
const PATCHES: [&str; 14] = [
    r#"{"last_name":null}"#,
    r#"{"first_name":null}"#,
    r#"{"first_name":null,"last_name":null}"#,
    r#"{"last_name":"Sow"}"#,
    r#"{"last_name":"Ndiaye Fall"}"#,
    r#"{"first_name":"Awa"}"#,
    r#"{"first_name":"El Hadji"}"#,
    r#"{"first_name":"Awa","last_name":"Ndiaye Fall"}"#,
    r#"{"first_name":"El Hadji","last_name":null}"#,
    r#"{"first_name":null,"last_name":"Sow"}"#,
    r#"{"name":"Awa"}"#,
    r#"{"name":"Awa Ndiaye Fall"}"#,
    r#"{"name":"  Awa   Diop "}"#,
    r#"{"name":null}"#,
];

/// The answer to a change of a name shows the names that a later read shows. It does not report as lost or as altered
/// what the provider did as it was asked.
pub(super) fn a_changed_name_is_answered_as_later_reads_show_it(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    for before in BEFORE {
        for patch in PATCHES {
            check_name(subject, before, patch)
                .map_err(|failed| format!("{patch} after {before:?}: {}", failed.message().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn check_name(subject: Subject, before: Option<&'static str>, patch: &str) -> Result<(), Failed> {
    let fields = fields(patch)?;
    let is_clear = |field: &Field| fields.state(*field) == Patch::Clear;
    if matches!(subject.manifest.update.clears, Clears::No(_)) && NAMES.iter().any(is_clear) {
        return Ok(());
    }
    let name = before.map(|name| (Field::Name, name));
    let contact = (Field::Email, "awa@example.com");
    let vendor = Played::new(subject, name.into_iter().chain([contact]), |_| {})?;
    let old = customer(vendor.execute(&Command::Retrieve(vendor.id.clone()))?)?;
    let update = UpdateCustomer { id: vendor.id.clone(), fields: fields.clone() };
    let answer = match vendor.execute(&Command::Update(update)) {
        // The provider requires a name.
        Err(error) if !error.fields.is_empty() => return Ok(()),
        result => customer(result?)?,
    };
    let read = customer(vendor.execute(&Command::Retrieve(vendor.id.clone()))?)?;
    for field in NAMES {
        if answer.held(field) != read.held(field) {
            let (answered, shown) = (answer.text(field), read.text(field));
            return Err(format!("{}: answered {answered:?}, later {shown:?}", field.name()).into());
        }
    }
    let differs = |outcome| matches!(outcome, Outcome::Lost | Outcome::Altered | Outcome::Unverified);
    if let Some(entry) = answer.fidelity.entries().iter().find(|entry| differs(entry.outcome)) {
        return Err(format!("reported as {}: {:?}", entry.outcome.as_str(), entry.rule).into());
    }
    // The split of a name can change at a provider with one name. Its words are those that were asked for.
    let (first, last) = old.split_name();
    let asked = match fields.split_name() {
        _ if !fields.name.is_absent() => fields.full_name().set().map(|name| (**name).to_owned()),
        (first_name, last_name) => {
            let (first, last) = (first.map(str::to_owned), last.map(str::to_owned));
            let (first, last) = (applied(&first_name, first), applied(&last_name, last));
            name::join(first.as_deref(), last.as_deref()).map(Cow::into_owned)
        }
    };
    // The provider may already end with all words of the new last name.
    let is_repeated = fields.last_name.set().is_some_and(|last| before.is_some_and(|before| before.ends_with(&**last)));
    let shown = read.full_name().map(|name| (*name).to_owned());
    let words = |name: &Option<String>| {
        let name = name.as_deref().unwrap_or_default();
        name.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    if !is_repeated && words(&shown) != words(&asked) {
        return Err(format!("{shown:?} instead of {asked:?}").into());
    }
    let is_named = |field: Field| answer.fidelity.entries().iter().any(|entry| entry.field == field);
    for (field, asked, shown) in [
        (Field::FirstName, fields.first_name.set(), read.first_name.as_ref()),
        (Field::LastName, fields.last_name.set(), read.last_name.as_ref()),
    ] {
        let is_other = asked.is_some_and(|asked| !asked.is_empty() && Some(asked) != shown);
        if is_other && subject.manifest.update.names == NameStyle::Full && !is_named(field) {
            return Err(format!("{} is not reported: {shown:?}", field.name()).into());
        }
    }
    Ok(())
}

fn applied(patch: &Patch<passerelle_providers::text::Str<'_>>, current: Option<String>) -> Option<String> {
    match patch {
        Patch::Absent => current,
        Patch::Clear => None,
        Patch::Set(text) => Some((**text).to_owned()),
    }
}

/// Where an update reads the record first, and the provider keeps another value in a field that the update did not ask
/// for, the result says so.
pub(super) fn what_an_update_changes_unasked_is_reported(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    let is_updatable = |field: &Field| subject.manifest.field(*field).update.is_supported();
    for asked in subject.written_and_shown().into_iter().filter(is_updatable) {
        for tampered in subject.written_and_shown() {
            let are_names = NAMES.contains(&asked) && NAMES.contains(&tampered);
            if asked != Field::Name && tampered != Field::Name && (asked != tampered || asked == Field::Metadata) {
                // A provider with one name cannot lose one part of it: the other part is then the whole name.
                let may_lose = !are_names || subject.manifest.update.names == NameStyle::Split;
                for value in [None, Some("elsewhere")].into_iter().filter(|value| may_lose || value.is_some()) {
                    check_unasked(subject, asked, tampered, value, are_names).map_err(|failed| {
                        let message = failed.message().unwrap_or_default();
                        format!("update of {}, {} becomes {value:?}: {message}", asked.name(), tampered.name())
                    })?;
                }
            }
        }
    }
    Ok(())
}

fn check_unasked(
    subject: Subject,
    asked: Field,
    tampered: Field,
    value: Option<&'static str>,
    are_names: bool,
) -> Result<(), Failed> {
    let shown = subject.written_and_shown();
    let before = shown.into_iter().filter_map(|field| match field {
        Field::FirstName | Field::LastName => None,
        Field::Name => Some((field, "Awa Diop")),
        Field::Email => Some((field, "awa@example.com")),
        Field::Phone | Field::Whatsapp => Some((field, "+221771234567")),
        Field::Country => Some((field, "SN")),
        Field::Type => Some((field, "individual")),
        Field::Metadata => Some((field, "kept")),
        other => Some((other, sample::canary(other))),
    });
    let vendor = Played::new(subject, before, move |customer| set(customer, tampered, value))?;
    let text = match asked {
        Field::Metadata => json!({ "metadata": { "asked": "1" } }).to_string(),
        Field::FirstName => json!({ "first_name": "Fatou" }).to_string(),
        Field::LastName => json!({ "last_name": "Sow" }).to_string(),
        field => Value::Object(sample::body(&[(field, sample::canary(field))])).to_string(),
    };
    let update = UpdateCustomer { id: vendor.id.clone(), fields: fields(&text)? };
    let answer = customer(vendor.execute(&Command::Update(update))?)?;
    let sent = vendor.sent().ok_or("nothing was sent")?;
    let is_known = match (subject.manifest.update.names, tampered) {
        (NameStyle::Full, Field::FirstName | Field::LastName) => are_names,
        // A balance changes by itself.
        (_, Field::Balance) => !sent.state(tampered).is_absent(),
        _ => vendor.was_read_first(),
    };
    let outcome = if value.is_some() { Outcome::Altered } else { Outcome::Lost };
    let entries = || answer.fidelity.entries().iter();
    let is_reported = entries().any(|entry| entry.field == tampered && entry.outcome == outcome);
    match is_reported == is_known {
        true => Ok(()),
        false => Err(format!("known before: {is_known}; the report: {:?}", answer.fidelity.entries()).into()),
    }
}

/// Gives a field another value than the record had, or none.
fn set(customer: &mut Customer, field: Field, value: Option<&'static str>) {
    let (first, last) = customer.split_name();
    let (first, last) = (first.map(Text::from), last.map(Text::from));
    let mut other = Customer::default();
    let text = value.map(Text::from_static);
    match field {
        Field::FirstName | Field::LastName => {
            let is_first = field == Field::FirstName;
            customer.name = None;
            (customer.first_name, customer.last_name) = if is_first { (text, last) } else { (first, text) };
            return;
        }
        Field::Metadata => {
            let mut kept = value.map_or_else(|| json!({}), |value| json!({ "canary": value }));
            if customer.metadata.get("asked").is_some() {
                kept["asked"] = json!("1");
            }
            customer.metadata = JsonObject::in_string(&kept.to_string()).unwrap_or_default();
            return;
        }
        Field::Type => return customer.kind = value.map(|_| passerelle_providers::model::CustomerType::Business),
        Field::Email => other.email = value.map(|_| Text::from_static("else@example.net")),
        Field::Phone => other.phone = value.map(|_| Text::from_static("+2347011111111")),
        Field::Whatsapp => other.whatsapp = value.map(|_| Text::from_static("+2347011111111")),
        Field::Balance => other.balance = value.map(|_| Text::from_static("1")),
        Field::Country => other.address.country = value.map(|_| Text::from_static("GH")),
        Field::Line1 => other.address.line1 = text,
        Field::Line2 => other.address.line2 = text,
        Field::City => other.address.city = text,
        Field::State => other.address.state = text,
        Field::PostalCode => other.address.postal_code = text,
        Field::Did => other.did = text,
        _ => return,
    }
    customer.take_value(&mut other, field);
}

pub(super) fn fields(json: &str) -> Result<CustomerFields, Failed> {
    let source = Source::new(&json.to_owned().into()).ok_or("not a text")?;
    Ok(input::fields(&source, JsonLimits::DEFAULT, sample::region())?)
}

pub(super) fn customer(reply: Reply) -> Result<Customer, Failed> {
    match reply {
        Reply::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer))
        | Reply::Customer(customer) => Ok(*customer),
        _ => Err("the reply has no customer".into()),
    }
}

/// A provider that is played by its server side over one record. After each update it changes the record once more.
pub(super) struct Played {
    subject: Subject,
    server: Arc<dyn VendorServer>,
    pub(super) id: CustomerId,
    tamper: Box<dyn Fn(&mut Customer) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: Records,
    /// The fields of the last update, as the provider received them.
    sent: Option<CustomerFields>,
    /// Whether the customer was read before the update.
    was_read_first: bool,
}

impl Played {
    pub(super) fn new(
        subject: Subject,
        members: impl IntoIterator<Item = (Field, &'static str)>,
        tamper: impl Fn(&mut Customer) + Send + Sync + 'static,
    ) -> Result<Self, Failed> {
        let server = subject.server();
        let mut records = Records::default();
        let body = Value::Object(sample::body(&members.into_iter().collect::<Vec<_>>()));
        let id = records.add(&*server, &fields(&body.to_string())?, Timestamp::UNIX_EPOCH, [7; 16]);
        let id = CustomerId::parse(id, &subject.manifest.id)?;
        let state = Mutex::new(State { records, ..State::default() });
        Ok(Self { subject, server, id, tamper: Box::new(tamper), state })
    }

    pub(super) fn execute(&self, command: &Command) -> Result<Reply, Error> {
        let conditions = Conditions::canonical(LossPolicy::Drop);
        block_on(engine::execute(&self.subject.provider(), self, command, conditions))
    }

    /// Executes a command that may lose nothing: the gateway keeps what the provider cannot hold.
    pub(super) fn execute_carrying(&self, command: &Command) -> Result<Reply, Error> {
        block_on(engine::execute(&self.subject.provider(), self, command, Conditions::canonical(LossPolicy::Carry)))
    }

    pub(super) fn sent(&self) -> Option<CustomerFields> {
        self.state.lock().expect("no panic while the lock was held").sent.clone()
    }

    fn was_read_first(&self) -> bool {
        self.state.lock().expect("no panic while the lock was held").was_read_first
    }
}

#[async_trait]
impl Transport for Played {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let command = match self.server.accept(&request) {
            Ok(command) => command,
            Err(error) => return Ok(self.server.refuse(&request, &error, Timestamp::UNIX_EPOCH)),
        };
        let mut state = self.state.lock().expect("no panic while the lock was held");
        let mut reply = state.records.execute(&*self.server, &command, Timestamp::UNIX_EPOCH, [8; 16])?;
        state.was_read_first |= state.sent.is_none() && matches!(command, Command::Retrieve(_));
        if let Command::Update(update) = &command {
            state.sent = Some(update.fields.clone());
        }
        if state.sent.is_some()
            && let Reply::Written(Written::Changed(customer)) | Reply::Customer(customer) = &mut reply
        {
            (self.tamper)(customer);
        }
        self.server.answer(&command, &reply)
    }
}
