//! Laws about records: an answer has the record that was asked for, an unknown customer is refused, and so is an ambiguous
//! match.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use libtest_mimic::Failed;
use passerelle_providers::{
    VendorServer,
    engine::{self, Conditions, Language, existing::Person},
    kit::Transport,
    model::{
        Command, CreateCustomer, Created, Customer, CustomerFields, Effect, Error, Field, Kind, Lookup, LossPolicy,
        Operation, OverdueInvoices, Page, Patch, Reply, Request, Response, Written, manifest::FilterSupport,
    },
    text::Text,
};

use super::{Subject, usual};
use crate::{case::block_on, dedupe::Harness, sample};

/// Answers as the vendor's server side, but always with these customers.
struct Answering {
    server: Arc<dyn VendorServer>,
    /// The customers of a list. The first one is the answer to everything else.
    customers: Vec<Customer>,
    /// The answer to a retrieve, where it is another customer.
    retrieved: Option<Box<Customer>>,
}

#[async_trait]
impl Transport for Answering {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let command = self.server.accept(&request)?;
        let customer = Box::new(self.customers[0].clone());
        let reply = match &command {
            Command::Create(create) => {
                Reply::Written(Written::Created(Created { customer, existing: create.distinct }))
            }
            Command::Retrieve(_) => Reply::Customer(self.retrieved.clone().unwrap_or(customer)),
            Command::RetrieveOrCreate(_) => Reply::Customer(customer),
            Command::Find(_) => Reply::Found(Some(customer)),
            Command::Update(_) | Command::Block(_) | Command::Unblock(_) => Reply::changed(customer),
            Command::Delete(_) => Reply::DELETED,
            Command::List(list) => Reply::Customers(Page::of_all(self.customers.clone(), &list.position, list.limit)),
            Command::PaymentMethods(list) => Reply::PaymentMethods(Page::of_all(vec![], &list.position, list.limit)),
            Command::Payments(list) => Reply::Payments(Page::of_all(vec![], &list.position, list.limit)),
            Command::OverdueInvoices(_) => {
                Reply::OverdueInvoices(OverdueInvoices { customer: Some(customer), ..OverdueInvoices::default() })
            }
        };
        self.server.answer(&command, &reply)
    }
}

/// A customer with the usual fields and this id.
pub(super) fn customer(subject: Subject, id: &str) -> Customer {
    let mut customer = Customer { id: Text::from(id), ..Customer::default() };
    sample::usual_create(subject.manifest).fields.apply_to(&mut customer);
    customer
}

/// An id that the vendor could have, of another customer than the sample.
fn other_id(subject: Subject) -> &'static str {
    let ids = ["0c1f5e0a-2f4e-4d6a-9a55-3f0f6f0b2a11", "cus_Nyyyyyyyyyyyyyyy"];
    ids.into_iter().find(|id| subject.manifest.id.matches(id)).unwrap_or_default()
}

/// The conditions of the API, and those of a client of an imitated provider.
pub(super) fn all_conditions() -> [Conditions; 2] {
    let canonical = Conditions::canonical(LossPolicy::Drop);
    [canonical, Conditions { language: Language::Imitated, ..canonical }]
}

/// Fails unless the result is an error of this kind.
fn expect_kind<T>(what: &str, result: Result<T, Error>, kind: Kind) -> Result<(), Failed> {
    match result {
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => Err(format!("{what} is {:?} and not {kind:?}: {error}", error.kind).into()),
        Ok(_) => Err(format!("{what} is a success and not {kind:?}").into()),
    }
}

/// Also at a provider whose server side answers success to the deletion of any id.
pub(super) fn deleting_an_unknown_customer_is_not_found(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Delete) {
        return Ok(());
    }
    let twin = Harness::of(subject)?;
    for conditions in all_conditions() {
        let delete = Command::Delete(subject.id());
        let deleted = block_on(engine::execute(&subject.provider(), &twin, &delete, conditions));
        expect_kind("the deletion of an unknown customer", deleted, Kind::NotFound)?;
    }
    Ok(())
}

/// Answers that do not acknowledge a deletion.
const NO_ACKNOWLEDGEMENTS: [&str; 22] = [
    "",
    "<!DOCTYPE html><html></html>",
    "ok",
    "[]",
    "null",
    "7",
    "true",
    r#""deleted""#,
    "{}",
    r#"{"data":[]}"#,
    r#"{"deleted":false}"#,
    r#"{"data":{"deleted":false}}"#,
    r#"{"error":{"message":"no"}}"#,
    r#"{"code":404,"message":"no such customer"}"#,
    r#"{"status":"error","message":"no"}"#,
    r#"{"success":"false","message":"no"}"#,
    r#"{"errors":["x"],"message":"m"}"#,
    r#"{"status":0,"message":"x"}"#,
    r#"{"data":{"deleted":"no"},"message":"x"}"#,
    r#"{"message":"Customer deleted"}"#,
    r#"{"message":"Customer could not be deleted"}"#,
    r#"{"success":true}"#,
];

pub(super) fn no_reply_that_is_not_a_deletion_is_answered_as_one(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Delete) {
        return Ok(());
    }
    let (provider, id) = (subject.provider(), subject.id());
    for acknowledgement in [r#"{"deleted":true}"#, r#"{"data":{"deleted":true},"message":"x"}"#] {
        provider.plan_delete(&id)?.read(Response::new(acknowledgement.into()))?;
    }
    let retrieved =
        |customer: Customer| subject.server().answer(&Command::Retrieve(id.clone()), &Reply::Customer(customer.into()));
    let records = [retrieved(customer(subject, id.public()))?, retrieved(customer(subject, other_id(subject)))?];
    let bodies = NO_ACKNOWLEDGEMENTS.map(|body| Response::new(body.into()));
    for answer in bodies.into_iter().chain(records) {
        let what = String::from_utf8_lossy(answer.body()).into_owned();
        expect_kind(&what, provider.plan_delete(&id)?.read(answer), Kind::BadResponse)?;
    }
    // To one vendor this is the form of a refusal.
    let refused = provider.plan_delete(&id)?.read(Response::new(r#"{"status":false,"message":"not deleted"}"#.into()));
    if refused.is_err() { Ok(()) } else { Err("`status` is false, and the customer counts as deleted".into()) }
}

/// Answers a deletion with a body that does not acknowledge it. The customer is read as this says: its retrieval fails with
/// the kind, or shows the customer.
struct Unacknowledging {
    subject: Subject,
    body: &'static str,
    read: Option<Kind>,
    is_deleted: AtomicBool,
}

#[async_trait]
impl Transport for Unacknowledging {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let server = self.subject.server();
        let command = server.accept(&request)?;
        match (&command, self.read) {
            (Command::Delete(_), _) => {
                self.is_deleted.store(true, Ordering::Relaxed);
                Ok(Response::new(self.body.into()))
            }
            (_, Some(Kind::NotFound)) if self.is_deleted.load(Ordering::Relaxed) => {
                Ok(server.refuse(&request, &Error::new(Kind::NotFound, "no such customer"), Timestamp::UNIX_EPOCH))
            }
            (_, Some(kind)) if self.is_deleted.load(Ordering::Relaxed) => Err(Error::new(kind, "the read fails")),
            _ => server.answer(&command, &Reply::Customer(customer(self.subject, self.subject.id().public()).into())),
        }
    }
}

pub(super) fn a_deletion_without_acknowledgement_is_read_back(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Delete) {
        return Ok(());
    }
    for body in NO_ACKNOWLEDGEMENTS {
        for read in [Some(Kind::NotFound), Some(Kind::Unreachable), Some(Kind::TimedOut), None] {
            let vendor = Unacknowledging { subject, body, read, is_deleted: AtomicBool::new(false) };
            let delete = Command::Delete(subject.id());
            let deleted = block_on(engine::execute(&subject.provider(), &vendor, &delete, all_conditions()[0]));
            match (read, deleted) {
                (Some(Kind::NotFound), Ok(Reply::Written(Written::Deleted))) => {}
                (Some(Kind::Unreachable | Kind::TimedOut) | None, Err(error))
                    if (error.kind, error.effect) == (Kind::BadResponse, Effect::Unknown) => {}
                (_, deleted) => return Err(format!("{body}, then {read:?}: {deleted:?}").into()),
            }
        }
    }
    Ok(())
}

/// For the clients of every vendor, the answer to a create shows whose record it is.
pub(super) fn an_answer_to_a_create_shows_the_person(subject: Subject) -> Result<(), Failed> {
    let customer = Customer {
        email: Some(Text::from_static("awa@example.com")),
        name: Some(Text::from_static("Awa Diop")),
        ..customer(subject, subject.id().public())
    };
    let create = Command::create(CustomerFields::default());
    let Ok(answer) = subject.server().answer(&create, &Reply::created(customer)) else { return Ok(()) };
    let expected = Person::in_answer(br#"{"email":"awa@example.com","name":"Awa Diop"}"#);
    match Person::in_answer(answer.body()) {
        person if person == expected && person.is_some() => Ok(()),
        person => Err(format!("{person:?} in {}", String::from_utf8_lossy(answer.body())).into()),
    }
}

/// A write with such an answer is unknown: the provider has changed a customer, but it is not known which one.
pub(super) fn an_answer_about_another_customer_is_refused(subject: Subject) -> Result<(), Failed> {
    let asked = customer(subject, subject.id().public());
    let other = customer(subject, other_id(subject));
    let operations = [Operation::Retrieve, Operation::Update, Operation::Delete, Operation::Block, Operation::Unblock];
    for operation in operations.into_iter().filter(|operation| subject.supports(*operation)) {
        for retrieved in [None, Some(&asked)] {
            let vendor = Answering {
                server: subject.server(),
                customers: vec![other.clone()],
                retrieved: retrieved.cloned().map(Box::new),
            };
            if retrieved.is_some() && matches!(operation, Operation::Retrieve | Operation::Delete) {
                continue;
            }
            for conditions in all_conditions() {
                let command = usual(subject, operation);
                let answer = block_on(engine::execute(&subject.provider(), &vendor, &command, conditions));
                let effect = answer.as_ref().err().map(|error| error.effect);
                let what = format!("a {} that another customer answers", operation.name());
                expect_kind(&what, answer, Kind::BadResponse)?;
                if retrieved.is_some() && effect != Some(Effect::Unknown) {
                    return Err(format!("{what} has the effect {effect:?}").into());
                }
            }
        }
    }
    if subject.supports(Operation::OverdueInvoices) {
        let vendor = Answering { server: subject.server(), customers: vec![other], retrieved: None };
        let command = usual(subject, Operation::OverdueInvoices);
        let answer = block_on(engine::execute(&subject.provider(), &vendor, &command, all_conditions()[1]));
        expect_kind("invoices of another customer", answer, Kind::BadResponse)?;
    }
    Ok(())
}

/// A page with one such id is refused as a whole: no customer is left out without a word.
pub(super) fn an_answered_id_outside_the_pattern_is_refused(subject: Subject) -> Result<(), Failed> {
    let whole = customer(subject, subject.id().public());
    for id in ["../x", "a\r\nX: y", "a b", "?"] {
        let wrong = customer(subject, id);
        for operation in [Operation::Create, Operation::Retrieve, Operation::Find, Operation::List] {
            if !subject.supports(operation) {
                continue;
            }
            let customers = match operation {
                Operation::List => vec![whole.clone(), wrong.clone()],
                _ => vec![wrong.clone()],
            };
            let vendor = Answering { server: subject.server(), customers, retrieved: None };
            let what = format!("a {} that is answered with {id:?}", operation.name());
            for conditions in all_conditions() {
                let command = usual(subject, operation);
                let answer = block_on(engine::execute(&subject.provider(), &vendor, &command, conditions));
                let effect = answer.as_ref().err().map(|error| error.effect);
                expect_kind(&what, answer, Kind::BadResponse)?;
                if operation == Operation::Create && effect != Some(Effect::Unknown) {
                    return Err(format!("{what} has the effect {effect:?}").into());
                }
            }
            if operation == Operation::List {
                let planned = engine::plan(&subject.provider(), &usual(subject, operation), all_conditions()[0])?;
                let shown = block_on(planned.show_list(&vendor, |_| ()));
                expect_kind(&what, shown, Kind::BadResponse)?;
            }
        }
    }
    Ok(())
}

/// The look-ups of the usual customer that the provider's lists answer. Where the provider itself finds the customer, at
/// most one can match.
fn scanned_lookups(subject: Subject) -> Vec<Lookup> {
    let lookups = subject.manifest.lookups;
    let usual = sample::usual_create(subject.manifest).fields;
    [
        (lookups.email, usual.email.set().cloned().map(Lookup::Email)),
        (lookups.phone, usual.phone.set().cloned().map(Lookup::Phone)),
    ]
    .into_iter()
    .filter(|(support, _)| matches!(support, FilterSupport::Loose(_) | FilterSupport::Scan))
    .filter_map(|(_, lookup)| lookup)
    .collect()
}

/// A vendor with two customers who have the usual fields.
fn two_alike(subject: Subject) -> Answering {
    let customers = vec![customer(subject, subject.id().public()), customer(subject, other_id(subject))];
    Answering { server: subject.server(), customers, retrieved: None }
}

/// The error must name both customers.
fn expect_both<T>(subject: Subject, what: &str, result: Result<T, Error>) -> Result<(), Failed> {
    let ids = result.as_ref().err().map(|error| error.matching.clone()).unwrap_or_default();
    expect_kind(what, result, Kind::Ambiguous)?;
    match ids == [&**subject.id().public(), other_id(subject)] {
        true => Ok(()),
        false => Err(format!("{what} names {ids:?}").into()),
    }
}

pub(super) fn a_look_up_that_several_customers_match_is_ambiguous(subject: Subject) -> Result<(), Failed> {
    for lookup in scanned_lookups(subject) {
        for conditions in all_conditions() {
            let what = format!("a look-up by {}", lookup.key());
            let command = Command::Find(lookup.clone());
            let found = block_on(engine::execute(&subject.provider(), &two_alike(subject), &command, conditions));
            expect_both(subject, &what, found)?;
        }
    }
    Ok(())
}

/// By the e-mail address, else by the phone number, also where the provider decides itself. With neither, the create is
/// refused.
pub(super) fn a_distinct_create_that_several_customers_match_is_ambiguous(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Create) {
        return Ok(());
    }
    let distinct = |fields| Command::Create(CreateCustomer { fields, distinct: true, existing: None });
    let execute = |vendor: &Answering, fields, conditions| {
        block_on(engine::execute(&subject.provider(), vendor, &distinct(fields), conditions))
    };
    let usual = sample::usual_create(subject.manifest).fields;
    for lookup in scanned_lookups(subject) {
        let mut fields = usual.clone();
        if matches!(lookup, Lookup::Phone(_)) {
            fields.forget(Field::Email);
        }
        let is_required = |field| subject.manifest.requires.iter().any(|required| required.any_of == [field]);
        if fields.email.is_absent() && is_required(Field::Email) {
            continue;
        }
        for conditions in all_conditions() {
            let what = format!("a distinct create that is matched by {}", lookup.key());
            expect_both(subject, &what, execute(&two_alike(subject), fields.clone(), conditions))?;
        }
    }
    let named = CustomerFields { name: Patch::Set(Text::from_static("Amadou Ba")), ..CustomerFields::default() };
    let refused = execute(&two_alike(subject), named, all_conditions()[0]);
    expect_kind("a distinct create with neither e-mail nor phone", refused, Kind::Invalid)
}
