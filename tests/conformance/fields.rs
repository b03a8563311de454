//! Every place that a field of the API passes through, with one named test for each field and place. If a new field is
//! missing in a place, the failing test names both.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use libtest_mimic::{Failed, Trial};
use passerelle::{capabilities::ProviderView, http::openapi};
use passerelle_providers::{
    VENDORS,
    api::{JsonLimits, input},
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
    dedupe::Harness,
    laws::{Subject, subjects},
    sample, show,
};

type Check = fn(Field) -> Result<(), Failed>;

const CHECKS_OF_WRITABLE: &[(&str, Check)] = &[
    ("is_read_from_a_body", is_read_from_a_body),
    ("changes_a_customer", changes_a_customer),
    ("is_stored_with_the_write", is_stored_with_the_write),
    ("is_shown_in_commands", is_shown_in_commands),
    ("is_documented_in_bodies", is_documented_in_bodies),
    ("is_generated_for_the_laws", is_generated_for_the_laws),
];

const CHECKS_OF_ALL: &[(&str, Check)] =
    &[("is_shown", is_shown), ("is_documented", is_documented), ("is_a_capability", is_a_capability)];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (fields, checks) in [(&Field::WRITABLE[..], CHECKS_OF_WRITABLE), (&Field::ALL, CHECKS_OF_ALL)] {
        for field in fields.iter().copied() {
            for (name, check) in checks {
                trials.push(Trial::test(format!("field::{}::{name}", field.name()), move || check(field)));
            }
        }
    }
    for subject in subjects() {
        let name = format!("{}::field::no_field_is_listed_as_a_member_without_field", subject.name());
        trials.push(Trial::test(name, move || no_field_is_listed_as_a_member_without_field(subject)));
        for field in Field::READ_ONLY {
            let name = format!("{}::field::{}_is_set_by_the_twin_exactly_if_declared", subject.name(), field.name());
            trials.push(Trial::test(name, move || is_set_by_the_twin_exactly_if_declared(subject, field)));
        }
        for field in Field::WRITABLE.into_iter().filter(|field| is_sent_again(subject.manifest, *field)) {
            let name =
                format!("{}::field::{}_is_sent_again_in_an_update_of_another_field", subject.name(), field.name());
            trials.push(Trial::test(name, move || is_sent_again_in_an_update_of_another_field(subject, field)));
        }
    }
    trials
}

/// Drop-in refuses or drops the members that a server side lists as having no field, so none may be the name of a field.
fn no_field_is_listed_as_a_member_without_field(subject: Subject) -> Result<(), Failed> {
    let listed = subject.server().members_without_field();
    let fields = subject.manifest.fields.iter();
    let mut wrong = fields.filter(|support| listed.contains(&support.spelling)).map(|support| support.field.name());
    match wrong.next() {
        None => Ok(()),
        Some(field) => Err(format!("remove the member of {field} from members_without_field").into()),
    }
}

fn decoded(body: &Value) -> Result<CustomerFields, Failed> {
    let source = Source::new(&Bytes::from(body.to_string())).ok_or("the JSON is not text")?;
    Ok(input::fields(&source, JsonLimits::DEFAULT, None)?)
}

/// A body with only this field, set.
pub(crate) fn set(field: Field) -> Result<CustomerFields, Failed> {
    decoded(&Value::Object(sample::body(&[(field, sample::canary(field))])))
}

/// A body with only this field, cleared.
fn cleared(field: Field) -> Result<CustomerFields, Failed> {
    let mut body = Value::Object(sample::body(&[(field, sample::canary(field))]));
    *body.pointer_mut(field.pointer()).ok_or("the body has another field")? = Value::Null;
    decoded(&body)
}

/// The value that [`set`] gives the field.
fn value(field: Field) -> Value {
    match field {
        Field::Metadata => json!({ "canary": sample::canary(field) }),
        _ => json!(sample::canary(field)),
    }
}

fn same(what: &str, actual: &Value, expected: &Value) -> Result<(), Failed> {
    if actual == expected { Ok(()) } else { Err(format!("{what}: {actual} instead of {expected}").into()) }
}

/// A body with this field alone sets or clears this field and no other.
fn is_read_from_a_body(field: Field) -> Result<(), Failed> {
    let nothing = compare::requested(&CustomerFields::default());
    let mut fields = set(field)?;
    for other in Field::WRITABLE {
        let expected = if other == field { value(field) } else { nothing[&other].clone() };
        same(other.name(), &compare::requested(&fields)[&other], &expected)?;
        let state = if other == field { Patch::Set(()) } else { Patch::Absent };
        if fields.state(other) != state {
            return Err(format!("the state of {} is {:?}", other.name(), fields.state(other)).into());
        }
    }
    if cleared(field)?.state(field) != Patch::Clear {
        return Err("`null` does not clear it".into());
    }
    if fields.is_empty() || cleared(field)?.is_empty() {
        return Err("a patch with this field alone counts as empty".into());
    }
    fields.forget(field);
    if fields != CustomerFields::default() || !cleared(field)?.without_clears().is_empty() {
        return Err("`forget` and `without_clears` leave the field in the patch".into());
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
    let nothing = compare::stored(&Customer::default());
    let expected = |other| if other == field { value(field) } else { nothing[&other].clone() };
    for other in Field::ALL {
        same(other.name(), &compare::stored(&customer)[&other], &expected(other))?;
        if customer.held(other).has_value() != (other == field || other == Field::Id) {
            return Err(format!("{} has a value and should not, or the reverse", other.name()).into());
        }
    }
    cleared(field)?.apply_to(&mut customer);
    same("once it is cleared", &json!(compare::stored(&customer) == nothing), &json!(true))
}

/// The stored form of a write has the field, and decodes as the same command.
fn is_stored_with_the_write(field: Field) -> Result<(), Failed> {
    let manifest = VENDORS[0].manifests[0];
    let id = sample::id(&IdPattern::TOKEN);
    for (fields, expected) in [(set(field)?, value(field)), (cleared(field)?, Value::Null)] {
        let update = Command::Update(UpdateCustomer { id: id.clone(), fields });
        let stored = update.to_canonical_json();
        let members: Value = serde_json::from_slice(&stored)?;
        same("stored", members.pointer(field.pointer()).ok_or("the stored write lacks it")?, &expected)?;
        let source = Source::new(&Bytes::from(stored)).ok_or("the JSON is not text")?;
        if input::stored(Operation::Update, &source, None, manifest)? != update {
            return Err("the stored write decodes as another command".into());
        }
    }
    Ok(())
}

fn is_shown_in_commands(field: Field) -> Result<(), Failed> {
    same("set", &show::fields(&set(field)?)[field.name()], &value(field))?;
    let shown = show::fields(&cleared(field)?);
    same("cleared", shown.get(field.name()).ok_or("a cleared field is not shown")?, &Value::Null)
}

fn is_documented_in_bodies(field: Field) -> Result<(), Failed> {
    documented("CustomerFields", field)
}

fn is_documented(field: Field) -> Result<(), Failed> {
    documented("Customer", field)
}

/// Fails if the OpenAPI schema of this name lacks the field.
fn documented(schema: &str, field: Field) -> Result<(), Failed> {
    let contract: Value = serde_json::from_str(&openapi::json())?;
    let mut schema = &contract["components"]["schemas"][schema];
    for member in field.pointer().split('/').skip(1) {
        let property = schema["properties"].get(member).ok_or("the OpenAPI document lacks it")?;
        // A schema of an object, or of an object or `null`.
        let reference = property["$ref"].as_str().or(property["oneOf"][0]["$ref"].as_str());
        schema = match reference.and_then(|reference| contract.pointer(reference.trim_start_matches('#'))) {
            Some(object) => object,
            None => property,
        };
    }
    Ok(())
}

/// The generated customers of the laws have the field.
fn is_generated_for_the_laws(field: Field) -> Result<(), Failed> {
    // The laws generate whole names.
    if matches!(field, Field::FirstName | Field::LastName) {
        return Ok(());
    }
    let nothing = compare::requested(&CustomerFields::default());
    let (strategy, mut runner) = (sample::fields(Field::ALL.to_vec()), TestRunner::deterministic());
    for _ in 0..64 {
        let fields = strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?.current();
        if compare::requested(&fields)[&field] != nothing[&field] {
            return Ok(());
        }
    }
    Err("no generated customer has it".into())
}

/// Every answer shows the field with the customer's value.
fn is_shown(field: Field) -> Result<(), Failed> {
    let empty = Customer::default();
    let full = full();
    for customer in [&empty, &full] {
        let shown = show::customer(customer);
        let expected = &compare::stored(customer)[&field];
        same("shown", shown.pointer(field.pointer()).ok_or("it is not shown")?, expected)?;
    }
    if compare::stored(&full)[&field] == compare::stored(&empty)[&field] {
        return Err("the sample with every field lacks it".into());
    }
    Ok(())
}

/// A customer with a value in every field. The writable fields are filled in below; add a new read-only field here.
pub(crate) fn full() -> Customer {
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
    // The name is derived from its parts below.
    let body: Vec<_> = Field::WRITABLE.into_iter().filter(|field| *field != Field::Name).collect();
    let body: Vec<_> = body.into_iter().map(|field| (field, sample::canary(field))).collect();
    decoded(&Value::Object(sample::body(&body))).expect("a body").apply_to(&mut customer);
    customer.name = customer.full_name().map(|name| Text::from(&*name));
    customer
}

fn is_a_capability(field: Field) -> Result<(), Failed> {
    let is_listed = |view: &ProviderView| view.fields.iter().any(|listed| listed.field == field.name());
    let views = VENDORS.iter().flat_map(|vendor| vendor.manifests).map(|manifest| ProviderView::from(*manifest));
    match views.into_iter().all(|view| is_listed(&view)) || field == Field::Id {
        true => Ok(()),
        false => Err("a provider's capabilities lack it".into()),
    }
}

/// The twin sets the fields that clients cannot write, exactly if the manifest declares them as read.
fn is_set_by_the_twin_exactly_if_declared(subject: Subject, field: Field) -> Result<(), Failed> {
    let is_read = subject.manifest.field(field).read.is_supported() || field == Field::Id;
    for customer in block_on(Harness::of(subject)?.customers())? {
        if customer.held(field).has_value() != is_read {
            let (declared, actual) = if is_read { ("read", "missing") } else { ("absent", "present") };
            return Err(format!("it is declared as {declared}, but it is {actual}").into());
        }
    }
    Ok(())
}

/// Whether an update of another field must repeat this one: the provider replaces the whole record, and both accepts
/// and shows this field.
fn is_sent_again(manifest: &Manifest, field: Field) -> bool {
    let support = manifest.field(field);
    manifest.update.replaces_record && support.update.is_supported() && support.read.is_supported()
}

/// Otherwise an update of another field would erase it.
fn is_sent_again_in_an_update_of_another_field(subject: Subject, field: Field) -> Result<(), Failed> {
    let id = sample::id(&subject.manifest.id);
    let current = Customer { id: id.public().clone(), ..full() };
    let other = if field == Field::Email { Field::Phone } else { Field::Email };
    let update = UpdateCustomer { id, fields: set(other)? };
    let written = sent_update(subject, &current, update)?;
    let Command::Update(sent) = subject.server().accept(&written)? else {
        return Err("the server side decoded another command".into());
    };
    compare::same(&[field], &compare::stored(&current), &compare::requested(&sent.fields), sample::region())
        .map_err(|difference| Failed::from(difference.to_string()))
}

/// The request that writes an update of a customer with this record.
pub(crate) fn sent_update(subject: Subject, current: &Customer, update: UpdateCustomer) -> Result<Request, Failed> {
    let retrieve = Command::Retrieve(update.id.clone());
    let answer = subject.server().answer(&retrieve, &Reply::Customer(current.clone().into()))?;
    let vendor = OneRecord { answer, written: Mutex::default() };
    let conditions = Conditions::canonical(LossPolicy::Drop);
    // The transport answers the write with an error: the request is enough.
    let failure = block_on(engine::execute(&subject.provider(), &vendor, &Command::Update(update), conditions));
    let written = vendor.written.lock().expect("no panic while the lock was held").take();
    Ok(written.ok_or_else(|| format!("the plan sends no request that writes: {failure:?}"))?)
}

/// A vendor that answers every read with one record, and keeps the write.
struct OneRecord {
    answer: Response,
    written: Mutex<Option<Request>>,
}

#[async_trait]
impl Transport for OneRecord {
    async fn send(&self, request: Arc<Request>, writes: bool) -> Result<Response, Error> {
        if !writes {
            return Ok(self.answer.clone());
        }
        *self.written.lock().expect("no panic while the lock was held") = Some(Arc::unwrap_or_clone(request));
        Err(Error::new(Kind::Unreachable, "this vendor does not answer writes"))
    }
}
