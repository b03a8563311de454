//! What a field of the API passes through, one named test each, so that a field that was added and left out somewhere
//! is named by what fails.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use libtest_mimic::{Failed, Trial};
use passerelle::{capabilities::ProviderView, http::openapi};
use passerelle_providers::{
    VENDORS,
    api::input,
    engine::{self, Conditions},
    kit::Transport,
    model::{
        Command, Customer, CustomerFields, Error, Field, IdPattern, Kind, LossPolicy, Operation, Patch, Reply, Request,
        Response, UpdateCustomer, manifest::Manifest,
    },
    text::{Source, Text},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::{Value, json};

use crate::{
    case::block_on,
    compare,
    dedupe::Bench,
    laws::{Subject, subjects},
    sample, show,
};

type Check = fn(Field) -> Result<(), Failed>;

const WRITTEN: &[(&str, Check)] = &[
    ("is_read_from_a_body", is_read_from_a_body),
    ("changes_a_customer", changes_a_customer),
    ("is_remembered", is_remembered),
    ("is_shown_in_commands", is_shown_in_commands),
    ("is_documented_in_bodies", is_documented_in_bodies),
    ("is_generated_for_the_laws", is_generated_for_the_laws),
];

const EVERY: &[(&str, Check)] =
    &[("is_shown", is_shown), ("is_documented", is_documented), ("is_a_capability", is_a_capability)];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (fields, checks) in [(&Field::WRITABLE[..], WRITTEN), (&Field::ALL, EVERY)] {
        for field in fields.iter().copied() {
            for (name, check) in checks {
                trials.push(Trial::test(format!("field::{}::{name}", field.name()), move || check(field)));
            }
        }
    }
    for subject in subjects() {
        for field in Field::READ_ONLY {
            let name = format!("{}::field::{}_is_held_by_the_twin", subject.name(), field.name());
            trials.push(Trial::test(name, move || is_held_by_the_twin(subject, field)));
        }
        for field in Field::WRITABLE.into_iter().filter(|field| is_sent_again(subject.manifest, *field)) {
            let name = format!("{}::field::{}_is_sent_again_where_it_is_left_alone", subject.name(), field.name());
            trials.push(Trial::test(name, move || is_sent_again_where_it_is_left_alone(subject, field)));
        }
    }
    trials
}

fn read(body: &Value) -> Result<CustomerFields, Failed> {
    let source = Source::new(&Bytes::from(body.to_string())).ok_or("text")?;
    Ok(input::fields(&source, None)?)
}

/// A body with only this field, set.
fn set(field: Field) -> Result<CustomerFields, Failed> {
    read(&Value::Object(sample::body(&[(field, sample::canary(field))])))
}

/// A body with only this field, cleared.
fn cleared(field: Field) -> Result<CustomerFields, Failed> {
    let mut body = Value::Object(sample::body(&[(field, sample::canary(field))]));
    *body.pointer_mut(field.pointer()).ok_or("the body has another field")? = Value::Null;
    read(&body)
}

/// The value of the field in what was set.
fn value(field: Field) -> Value {
    match field {
        Field::Metadata => json!({ "canary": sample::canary(field) }),
        _ => json!(sample::canary(field)),
    }
}

fn same(what: &str, seen: &Value, expected: &Value) -> Result<(), Failed> {
    if seen == expected { Ok(()) } else { Err(format!("{what}: {seen} instead of {expected}").into()) }
}

/// A patch of the field alone says something, of this field and of no other.
fn is_read_from_a_body(field: Field) -> Result<(), Failed> {
    let nothing = compare::asked(&CustomerFields::default());
    let mut fields = set(field)?;
    for other in Field::WRITABLE {
        let expected = if other == field { value(field) } else { nothing[&other].clone() };
        same(other.name(), &compare::asked(&fields)[&other], &expected)?;
        let state = if other == field { Patch::Set(()) } else { Patch::Absent };
        if fields.state(other) != state {
            return Err(format!("{} is said to be {:?}", other.name(), fields.state(other)).into());
        }
    }
    if cleared(field)?.state(field) != Patch::Clear {
        return Err("`null` does not clear it".into());
    }
    if fields.is_empty() || cleared(field)?.is_empty() {
        return Err("a patch of it alone is taken for an empty one".into());
    }
    fields.forget(field);
    if fields != CustomerFields::default() || !cleared(field)?.without_clears().is_empty() {
        return Err("it is not forgotten".into());
    }
    Ok(())
}

/// A customer with the field alone.
fn customer(field: Field) -> Result<Customer, Failed> {
    let mut customer = Customer::default();
    set(field)?.apply_to(&mut customer);
    Ok(customer)
}

fn changes_a_customer(field: Field) -> Result<(), Failed> {
    let mut customer = customer(field)?;
    let nothing = compare::held(&Customer::default());
    let expected = |other| if other == field { value(field) } else { nothing[&other].clone() };
    for other in Field::ALL {
        same(other.name(), &compare::held(&customer)[&other], &expected(other))?;
        if customer.held(other).is_there() != (other == field || other == Field::Id) {
            return Err(format!("{} is held, or not, and should not", other.name()).into());
        }
    }
    cleared(field)?.apply_to(&mut customer);
    same("once it is cleared", &json!(compare::held(&customer) == nothing), &json!(true))
}

/// What is kept of a write says it, and reads back as itself.
fn is_remembered(field: Field) -> Result<(), Failed> {
    let manifest = VENDORS[0].manifests[0];
    let id = sample::id(&IdPattern::TOKEN);
    for (fields, expected) in [(set(field)?, value(field)), (cleared(field)?, Value::Null)] {
        let update = Command::Update(UpdateCustomer { id: id.clone(), fields });
        let kept = update.to_canonical_json();
        let told: Value = serde_json::from_slice(&kept)?;
        same("what is kept", told.pointer(field.pointer()).ok_or("it is not kept")?, &expected)?;
        let source = Source::new(&Bytes::from(kept)).ok_or("text")?;
        if input::stored(Operation::Update, &source, None, manifest)? != update {
            return Err("it reads back as another command".into());
        }
    }
    Ok(())
}

fn is_shown_in_commands(field: Field) -> Result<(), Failed> {
    same("set", &show::fields(&set(field)?)[field.name()], &value(field))?;
    let shown = show::fields(&cleared(field)?);
    same("cleared", shown.get(field.name()).ok_or("it is not shown where it is cleared")?, &Value::Null)
}

fn is_documented_in_bodies(field: Field) -> Result<(), Failed> {
    documented("CustomerFields", field)
}

fn is_documented(field: Field) -> Result<(), Failed> {
    documented("Customer", field)
}

/// Whether the schema of a document has the field.
fn documented(schema: &str, field: Field) -> Result<(), Failed> {
    let contract: Value = serde_json::from_str(&openapi::json())?;
    let mut schema = &contract["components"]["schemas"][schema];
    for member in field.pointer().split('/').skip(1) {
        let property = schema["properties"].get(member).ok_or("the OpenAPI document does not have it")?;
        // An object, or an object or `null`.
        let reference = property["$ref"].as_str().or(property["oneOf"][0]["$ref"].as_str());
        schema = match reference.and_then(|reference| contract.pointer(reference.trim_start_matches('#'))) {
            Some(object) => object,
            None => property,
        };
    }
    Ok(())
}

/// What the laws say of all fields, they say of this one as well.
fn is_generated_for_the_laws(field: Field) -> Result<(), Failed> {
    // The laws give a name whole.
    if matches!(field, Field::FirstName | Field::LastName) {
        return Ok(());
    }
    let nothing = compare::asked(&CustomerFields::default());
    let (strategy, mut runner) = (sample::fields(Field::ALL.to_vec()), TestRunner::deterministic());
    for _ in 0..64 {
        let fields = strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?.current();
        if compare::asked(&fields)[&field] != nothing[&field] {
            return Ok(());
        }
    }
    Err("it is in none of the customers that the laws are tested with".into())
}

/// The field is a member of every answer, with what the customer holds.
fn is_shown(field: Field) -> Result<(), Failed> {
    let empty = Customer::default();
    let full = full();
    for customer in [&empty, &full] {
        let shown = show::customer(customer);
        let expected = &compare::held(customer)[&field];
        same("what is shown", shown.pointer(field.pointer()).ok_or("it is not shown")?, expected)?;
    }
    if compare::held(&full)[&field] == compare::held(&empty)[&field] {
        return Err("the whole customer lacks it".into());
    }
    Ok(())
}

/// A customer with something in every field. A new field has to be added here.
fn full() -> Customer {
    let text = |field| Some(Text::from_static(sample::canary(field)));
    let flag = Some(true);
    let mut customer = Customer {
        id: Text::from_static(sample::canary(Field::Id)),
        delinquent: flag,
        blocked: flag,
        livemode: flag,
        created_at: text(Field::CreatedAt),
        updated_at: text(Field::UpdatedAt),
        ..Customer::default()
    };
    // The name is that of its parts.
    let body: Vec<_> = Field::WRITABLE.into_iter().filter(|field| *field != Field::Name).collect();
    let body: Vec<_> = body.into_iter().map(|field| (field, sample::canary(field))).collect();
    read(&Value::Object(sample::body(&body))).expect("a body").apply_to(&mut customer);
    customer.name = customer.full_name().map(|name| Text::from(&*name));
    customer
}

fn is_a_capability(field: Field) -> Result<(), Failed> {
    let is_listed = |view: &ProviderView| view.fields.iter().any(|listed| listed.field == field.name());
    let views = VENDORS.iter().flat_map(|vendor| vendor.manifests).map(|manifest| ProviderView::from(*manifest));
    match views.into_iter().all(|view| is_listed(&view)) || field == Field::Id {
        true => Ok(()),
        false => Err("no capability says what becomes of it".into()),
    }
}

/// What only the provider decides on, and is said to tell, every customer of its twin has.
fn is_held_by_the_twin(subject: Subject, field: Field) -> Result<(), Failed> {
    let is_read = subject.manifest.field(field).read.is_supported() || field == Field::Id;
    for customer in block_on(Bench::of(subject)?.customers())? {
        if customer.held(field).is_there() != is_read {
            let (declared, seen) = (if is_read { "read" } else { "absent" }, if is_read { "missing" } else { "there" });
            return Err(format!("it is declared as {declared}, and is {seen}").into());
        }
    }
    Ok(())
}

/// Whether a field is sent again with an update of another: its provider replaces the record, takes it and tells it.
fn is_sent_again(manifest: &Manifest, field: Field) -> bool {
    let support = manifest.field(field);
    manifest.update.replaces_record && support.update.is_supported() && support.read.is_supported()
}

/// An update of another field would erase it.
fn is_sent_again_where_it_is_left_alone(subject: Subject, field: Field) -> Result<(), Failed> {
    let current = full();
    let id = sample::id(&subject.manifest.id);
    let other = if field == Field::Email { Field::Phone } else { Field::Email };
    let update = UpdateCustomer { id: id.clone(), fields: set(other)? };
    let (provider, server) = (subject.provider(), (subject.vendor.server)(subject.settings()));
    let answer = server.answer(&Command::Retrieve(id), &Reply::Customer(current.clone()))?;
    let vendor = OneRecord { answer, written: Mutex::default() };
    let conditions = Conditions::canonical(LossPolicy::Drop);
    // The write is not answered: what was sent is enough.
    let _ = block_on(engine::execute(&provider, &vendor, &Command::Update(update), conditions));
    let written = vendor.written.lock().expect("no panic while it was held").take();
    let written = written.ok_or("the update is not completed from the record")?;
    let Command::Update(sent) = server.accept(&written)? else { return Err("it is no update".into()) };
    compare::same(&[field], &compare::held(&current), &compare::asked(&sent.fields), sample::region())
        .map_err(|wrong| Failed::from(wrong.to_string()))
}

/// A vendor that answers one record to every read, and keeps what is written.
struct OneRecord {
    answer: Response,
    written: Mutex<Option<Request>>,
}

#[async_trait]
impl Transport for OneRecord {
    async fn send(&self, request: Request, writes: bool) -> Result<Response, Error> {
        if !writes {
            return Ok(self.answer.clone());
        }
        *self.written.lock().expect("no panic while it was held") = Some(request);
        Err(Error::new(Kind::Unreachable, "the write is only kept"))
    }
}
