//! The laws: what ties a client side, a server side and a manifest together, for every vendor alike.

use std::{collections::BTreeMap, fs, sync::Arc};

use bytes::Bytes;
use libtest_mimic::{Failed, Trial};
use passerelle_providers::{
    CustomerProvider, Settings, VENDORS, Vendor, VendorServer,
    engine::{self, Conditions, lists},
    json::{Extra, JsonObject},
    kit::{Endpoint, Plan, Step, render},
    model::{
        Command, Created, Customer, CustomerFields, CustomerFilter, CustomerId, Error, Field, Invoice, Kind,
        ListCustomers, Lookup, LossPolicy, Operation, OverdueInvoices, Page, Payment, PaymentMethod, Position, Reply,
        Request, Response, UpdateCustomer, Written,
        auth::{Credentials, Stamp},
        manifest::{FilterSupport, Manifest, PagingStyle, Support},
    },
    text::Text,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    case::{fixtures, folders, name_of, snapshot},
    compare, sample, show,
};

/// One vendor in one generation.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) vendor: &'static Vendor,
    pub(crate) manifest: &'static Manifest,
}

type Law = fn(Subject) -> Result<(), Failed>;

const LAWS: &[(&str, Law)] = &[
    ("what_is_declared_is_planned", what_is_declared_is_planned),
    ("planning_twice_gives_the_same_bytes", planning_twice_gives_the_same_bytes),
    ("every_field_is_sent_or_declared_lost", every_field_is_sent_or_declared_lost),
    ("a_create_is_accepted_as_it_was_meant", a_create_is_accepted_as_it_was_meant),
    ("an_update_is_accepted_as_it_was_meant", an_update_is_accepted_as_it_was_meant),
    ("every_command_is_accepted_as_it_was_meant", every_command_is_accepted_as_it_was_meant),
    ("filters_are_accepted_as_they_were_meant", filters_are_accepted_as_they_were_meant),
    ("look_ups_are_planned_as_declared", look_ups_are_planned_as_declared),
    ("a_customer_reads_back_as_it_was_told", a_customer_reads_back_as_it_was_told),
    ("a_page_reads_back_as_it_was_told", a_page_reads_back_as_it_was_told),
    ("what_belongs_to_a_customer_reads_back", what_belongs_to_a_customer_reads_back),
    ("overdue_invoices_read_back_as_they_were_told", overdue_invoices_read_back_as_they_were_told),
    ("refusals_read_back_as_they_were_meant", refusals_read_back_as_they_were_meant),
    ("error_answers_are_mapped", error_answers_are_mapped),
    ("arbitrary_answers_never_panic", arbitrary_answers_never_panic),
    ("damaged_answers_are_bad_responses", damaged_answers_are_bad_responses),
    ("unknown_members_are_kept", unknown_members_are_kept),
    ("hostile_ids_never_reach_a_url", hostile_ids_never_reach_a_url),
    ("secrets_are_never_shown", secrets_are_never_shown),
    ("every_operation_has_fixtures", every_operation_has_fixtures),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for subject in subjects() {
        let name = subject.name();
        for (law, check) in LAWS {
            trials.push(Trial::test(format!("{name}::law::{law}"), move || check(subject)));
        }
        for operation in Operation::ALL {
            if let Support::No(why) = subject.manifest.operation(operation) {
                let told = format!("{name}::{}: not supported, {why}", operation.name());
                trials.push(Trial::test(told, || Ok(())).with_ignored_flag(true));
            }
        }
    }
    trials
}

/// Every vendor in every generation.
pub(crate) fn subjects() -> impl Iterator<Item = Subject> {
    VENDORS.iter().flat_map(|vendor| vendor.manifests.iter().map(|manifest| Subject { vendor, manifest }))
}

impl Subject {
    /// The name in trials.
    pub(crate) fn name(self) -> String {
        match self.vendor.manifests.len() {
            1 => self.vendor.name().to_owned(),
            _ => format!("{}_{}", self.vendor.name(), self.manifest.generation),
        }
    }

    pub(crate) fn settings(self) -> Settings {
        Settings { generation: self.manifest.generation, region: sample::region(), livemode: true }
    }

    pub(crate) fn provider(self) -> Arc<dyn CustomerProvider> {
        (self.vendor.connect)(self.settings())
    }

    fn server(self) -> Arc<dyn VendorServer> {
        (self.vendor.server)(self.settings())
    }

    fn endpoint(self) -> Endpoint {
        Endpoint::new(self.manifest.base_url.unwrap_or("https://app.example.com/payment"))
    }

    fn supports(self, operation: Operation) -> bool {
        self.manifest.operation(operation).is_supported()
    }

    fn id(self) -> CustomerId {
        sample::id(&self.manifest.id)
    }

    /// The fields that a create can set and an answer tells.
    fn held(self) -> Vec<Field> {
        let both = |field: &Field| {
            let support = self.manifest.field(*field);
            support.read.is_supported() && (support.create.is_supported() || support.update.is_supported())
        };
        Field::WRITABLE.into_iter().filter(both).collect()
    }

    /// The fields that an answer tells.
    fn told(self) -> Vec<Field> {
        let told = |field: &Field| self.manifest.field(*field).read.is_supported();
        Field::ALL.into_iter().filter(told).collect()
    }
}

fn run_cases<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) -> Result<(), Failed> {
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner.run(strategy, check).map_err(|failure| Failed::from(failure.to_string()))
}

fn fail(message: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(message.into())
}

/// The requests of a planned command.
struct Requests(Vec<Request>);

impl Requests {
    /// Of a write that reads first, or checks afterwards, the write.
    fn write(self) -> Option<Request> {
        self.0.into_iter().find(|request| request.method() != http::Method::GET)
    }
}

fn plan(provider: &Arc<dyn CustomerProvider>, command: &Command) -> Result<Requests, Error> {
    let planned = engine::plan(provider, command, Conditions::canonical(LossPolicy::Drop))?;
    Ok(Requests(planned.requests().into_iter().cloned().collect()))
}

fn usual(subject: Subject, operation: Operation) -> Command {
    let members: &[(Field, &str)] = match operation {
        Operation::Create => sample::USUAL,
        Operation::Update => &[(Field::Email, "new@example.com")],
        _ => &[],
    };
    sample::command(operation, subject.manifest, members)
}

fn what_is_declared_is_planned(subject: Subject) -> Result<(), Failed> {
    for operation in Operation::ALL {
        let planned = plan(&subject.provider(), &usual(subject, operation));
        match (subject.supports(operation), planned) {
            (true, Err(error)) if operation == Operation::Find && error.kind == Kind::Invalid => {}
            (true, Err(error)) => return Err(format!("{} is declared, but: {error}", operation.name()).into()),
            (false, Ok(_)) if operation != Operation::Find => {
                return Err(format!("{} is planned, but not declared", operation.name()).into());
            }
            (false, Err(error)) if error.kind != Kind::NotSupported && operation != Operation::Find => {
                return Err(format!("{} is refused as {:?}", operation.name(), error.kind).into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn planning_twice_gives_the_same_bytes(subject: Subject) -> Result<(), Failed> {
    for operation in Operation::ALL.into_iter().filter(|operation| subject.supports(*operation)) {
        let command = usual(subject, operation);
        let bytes = |requests: Requests| -> Vec<_> {
            requests.0.into_iter().map(|request| (request.uri().to_string(), request.into_body())).collect()
        };
        let once = plan(&subject.provider(), &command).map(bytes);
        let again = plan(&subject.provider(), &command).map(bytes);
        if once != again {
            return Err(format!("{} is planned differently the second time", operation.name()).into());
        }
    }
    Ok(())
}

fn every_field_is_sent_or_declared_lost(subject: Subject) -> Result<(), Failed> {
    let text = |requests: Requests| -> String {
        let one = |request: &Request| format!("{} {}", request.uri(), String::from_utf8_lossy(request.body()));
        requests.0.iter().map(one).collect()
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
                let told = if sent { "is sent, but declared lost" } else { "is neither sent nor declared lost" };
                return Err(format!("{} {told} on {}", field.name(), operation.name()).into());
            }
        }
    }
    Ok(())
}

fn a_create_is_accepted_as_it_was_meant(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Create) {
        return Ok(());
    }
    let (provider, server) = (subject.provider(), subject.server());
    run_cases(&sample::fields(subject.held()), |fields| {
        let mut create = sample::usual_create(subject.manifest);
        create.fields = fields.clone();
        let requests = plan(&provider, &Command::Create(create)).map_err(|error| fail(error.to_string()))?;
        let accepted = server.accept(&requests.0[0]).map_err(|error| fail(format!("{error} {:?}", error.fields)))?;
        let Command::Create(accepted) = accepted else { return Err(fail("it was read as another command")) };
        compare_fields(subject, &fields, &accepted.fields)
    })
}

fn an_update_is_accepted_as_it_was_meant(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    let (provider, server, id) = (subject.provider(), subject.server(), subject.id());
    let written = |field: &Field| subject.manifest.field(*field).update.is_supported();
    let held: Vec<Field> = subject.held().into_iter().filter(written).collect();
    run_cases(&sample::fields(held), |fields| {
        let update = UpdateCustomer { id: id.clone(), fields: fields.clone() };
        let requests = plan(&provider, &Command::Update(update)).map_err(|error| fail(error.to_string()))?;
        let write = requests.write().ok_or_else(|| fail("nothing is written"))?;
        let accepted = server.accept(&write).map_err(|error| fail(format!("{error} {:?}", error.fields)))?;
        let Command::Update(accepted) = accepted else { return Err(fail("it was read as another command")) };
        prop_assert_eq!(&accepted.id, &id);
        compare_fields(subject, &fields, &accepted.fields)
    })
}

fn compare_fields(subject: Subject, meant: &CustomerFields, read: &CustomerFields) -> Result<(), TestCaseError> {
    compare::same(&subject.held(), &compare::asked(meant), &compare::asked(read), subject.settings().region)
}

fn compare_customers(
    subject: Subject,
    fields: &[Field],
    one: &Customer,
    other: &Customer,
) -> Result<(), TestCaseError> {
    compare::same(fields, &compare::held(one), &compare::held(other), subject.settings().region)
}

fn every_command_is_accepted_as_it_was_meant(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    for operation in Operation::ALL {
        if !subject.supports(operation) || matches!(operation, Operation::Create | Operation::Find) {
            continue;
        }
        let command = usual(subject, operation);
        let requests = plan(&provider, &command)?;
        let first = requests.0.first().cloned();
        let request = requests.write().or(first).ok_or("nothing is sent")?;
        let accepted = server.accept(&request).map_err(|error| format!("{}: {error}", operation.name()))?;
        if let (Command::Update(meant), Command::Update(read)) = (&command, &accepted) {
            if meant.id != read.id || meant.fields.email != read.fields.email {
                return Err("the update was read as another one".into());
            }
        } else if let (Command::PaymentMethods(meant), Command::PaymentMethods(read)) = (&command, &accepted)
            && request.uri().query().is_none()
        {
            // A provider that answers all of them at once is not told a page.
            if meant.id != read.id {
                return Err("the payment methods of somebody else were read".into());
            }
        } else if show::command(&command) != show::command(&accepted) {
            let told = format!("{} was read as {}", show::command(&command), show::command(&accepted));
            return Err(told.into());
        }
    }
    for (limit, page) in [(1, 1), (7, 3), (subject.manifest.paging.max_limit, 2)] {
        let list = |position| ListCustomers { limit, position, filter: Default::default() };
        let meant = list(Position::of_page(page, limit));
        let asked = list(as_told(subject, &meant)?);
        let accepted = server.accept(&plan(&provider, &Command::List(asked))?.0[0])?;
        if accepted != Command::List(meant) {
            return Err(format!("a page of {limit} was read as {}", show::command(&accepted)).into());
        }
    }
    Ok(())
}

/// A position as a client knows it: where the vendor counts in tokens, what the page before has told.
fn as_told(subject: Subject, meant: &ListCustomers) -> Result<Position, Failed> {
    if subject.manifest.paging.style != PagingStyle::Token || meant.position == Position::START {
        return Ok(meant.position.clone());
    }
    let first = ListCustomers { position: Position::START, ..meant.clone() };
    let page = Page { items: Vec::new(), next: Some(meant.position.clone()), total: None };
    let answer = subject.server().answer(&Command::List(first.clone()), &Reply::Customers(page))?;
    match subject.provider().plan_list(&first)?.into_owned().read(answer)? {
        Step::Done(Page { next: Some(told), .. }) => Ok(told),
        _ => Err("a page that goes on does not tell where".into()),
    }
}

/// A filter that the provider applies must reach it; one that it answers loosely may be sent as a search.
fn filters_are_accepted_as_they_were_meant(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let filters = &subject.manifest.filters;
    let text = |text| Some(Text::from_static(text));
    let only = CustomerFilter::default;
    for (support, filter) in [
        (filters.email, CustomerFilter { email: text("amadou.ba@example.com"), ..only() }),
        (filters.phone, CustomerFilter { phone: text("+221771234567"), ..only() }),
        (filters.did, CustomerFilter { did: text("z1CanaryDid"), ..only() }),
        (filters.blocked, CustomerFilter { blocked: Some(true), ..only() }),
        (filters.search, CustomerFilter { search: text("Amadou & Ba"), ..only() }),
    ] {
        let list = Command::List(ListCustomers { limit: 7, position: Position::START, filter: filter.clone() });
        let requests = match (support, plan(&provider, &list)) {
            (FilterSupport::No(_), Err(error)) if error.kind == Kind::Invalid => continue,
            (FilterSupport::No(_), _) => return Err(format!("{filter:?} is planned, but not declared").into()),
            (_, planned) => planned?,
        };
        let accepted = match server.accept(&requests.0[0])? {
            Command::List(accepted) => accepted.filter,
            other => return Err(format!("{filter:?} was read as {}", show::command(&other)).into()),
        };
        let is_right = match support {
            FilterSupport::Exact | FilterSupport::Alone => accepted == filter,
            FilterSupport::Loose(_) => !accepted.is_empty(),
            FilterSupport::Scan | FilterSupport::No(_) => accepted.is_empty(),
        };
        if !is_right {
            return Err(format!("{filter:?} was read as {accepted:?}").into());
        }
    }
    Ok(())
}

fn lookups() -> [Lookup; 4] {
    [
        Lookup::Email(Text::from_static("amadou.ba@example.com")),
        Lookup::Phone(Text::from_static("+221771234567")),
        Lookup::Did(Text::from_static("z1CanaryDid")),
        Lookup::Reference(Text::from_static("canary-1")),
    ]
}

fn look_ups_are_planned_as_declared(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    for lookup in lookups() {
        let declared = !matches!(lists::lookup_support(subject.manifest, &lookup), FilterSupport::No(_));
        match plan(&provider, &Command::Find(lookup.clone())) {
            Ok(requests) if declared => drop(server.accept(&requests.0[0])?),
            Ok(_) => return Err(format!("{lookup:?} is planned, but not declared").into()),
            Err(error) if declared => return Err(format!("{lookup:?} is declared, but: {error}").into()),
            Err(error) if error.kind != Kind::Invalid => {
                return Err(format!("{lookup:?} is refused as {:?}", error.kind).into());
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn done<T>(step: Result<Step<T>, Error>) -> Result<T, TestCaseError> {
    match step {
        Ok(Step::Done(value)) => Ok(value),
        Ok(Step::Then(_)) => Err(fail("the answer calls for another request")),
        Err(error) => Err(fail(error.to_string())),
    }
}

fn a_customer_reads_back_as_it_was_told(subject: Subject) -> Result<(), Failed> {
    let (provider, server, id) = (subject.provider(), subject.server(), subject.id());
    run_cases(&sample::customer(subject.told(), id.public().clone()), |customer| {
        let broken = |error: Error| fail(error.to_string());
        let compare = |read: &Customer| {
            prop_assert_eq!(&read.id, &customer.id);
            prop_assert_eq!(&read.created_at, &customer.created_at);
            compare_customers(subject, &subject.told(), &customer, read)
        };
        let retrieve = Command::Retrieve(id.clone());
        let answer = server.answer(&retrieve, &Reply::Customer(customer.clone())).map_err(broken)?;
        compare(&done(provider.plan_retrieve(&id).map_err(broken)?.read(answer))?)?;
        if subject.supports(Operation::Create) {
            let mut create = sample::usual_create(subject.manifest);
            create.fields.name = customer.full_name().map(|name| Text::from(&*name)).into();
            create.fields.email = customer.email.clone().into();
            let created = Created { customer: customer.clone(), existing: false };
            let answer = server
                .answer(&Command::Create(create.clone()), &Reply::Written(Written::Created(created)))
                .map_err(broken)?;
            compare(&done(provider.plan_create(&create).map_err(broken)?.read(answer))?.customer)?;
        }
        if let Command::Update(update) = usual(subject, Operation::Update)
            && subject.supports(Operation::Update)
        {
            let reply = Reply::changed(customer.clone());
            let answer = server.answer(&Command::Update(update.clone()), &reply).map_err(broken)?;
            // An answer without the record calls for another request, which the retrieve above has read.
            match provider.plan_update(&update).map_err(broken)?.read(answer).map_err(broken)? {
                Step::Done(read) => compare(&read)?,
                Step::Then(_) => {}
            }
        }
        Ok(())
    })
}

fn a_page_reads_back_as_it_was_told(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let held = subject.held();
    let customers = prop::collection::vec(sample::customer(held.clone(), subject.id().public().clone()), 0..5);
    run_cases(&(customers, 5_u16..8, 0_u64..3), |(items, limit, page)| {
        let broken = |error: Error| fail(error.to_string());
        let position = Position::of_page(page + 1, limit);
        let asked = ListCustomers { limit, position: position.clone(), filter: Default::default() };
        let total = position.offset() + items.len() as u64;
        let reply = Reply::Customers(Page::of_total(items.clone(), &position, total));
        let answer = server.answer(&Command::List(asked.clone()), &reply).map_err(broken)?;
        let read = done(provider.plan_list(&asked).map_err(broken)?.into_owned().read(answer))?;
        prop_assert_eq!(read.items.len(), items.len());
        prop_assert_eq!(&read.next, &None);
        if subject.manifest.paging.tells_total {
            prop_assert_eq!(read.total, Some(total));
        }
        for (one, other) in items.iter().zip(&read.items) {
            compare_customers(subject, &held, one, other)?;
        }
        Ok(())
    })
}

/// Payments and payment methods: who they are, and how much. Vendors differ in what else they tell.
fn what_belongs_to_a_customer_reads_back(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let ids = |ids: [&'static str; 2]| ids.into_iter().map(Text::from_static);
    if subject.supports(Operation::Payments)
        && let Command::Payments(asked) = usual(subject, Operation::Payments)
    {
        let payment = |(id, amount)| Payment { id, amount: Some(Text::from_static(amount)), ..Payment::default() };
        let told: Vec<_> = ids(["pay_1", "pay_2"]).zip(["5000", "123456789012345678.90"]).map(payment).collect();
        let reply = Reply::Payments(Page { items: told.clone(), next: None, total: Some(2) });
        let answer = server.answer(&Command::Payments(asked.clone()), &reply)?;
        let read = done(provider.plan_payments(&asked)?.read(answer))?;
        let key = |payments: &[Payment]| -> Vec<_> {
            payments.iter().map(|payment| (payment.id.clone(), payment.amount.clone())).collect()
        };
        if key(&read.items) != key(&told) || read.next.is_some() {
            return Err(format!("payments were read as {:?}", key(&read.items)).into());
        }
    }
    if subject.supports(Operation::PaymentMethods)
        && let Command::PaymentMethods(asked) = usual(subject, Operation::PaymentMethods)
    {
        let method = |id| PaymentMethod { id, ..PaymentMethod::default() };
        let told: Vec<_> = ids(["pm_1", "pm_2"]).map(method).collect();
        let reply = Reply::PaymentMethods(Page { items: told.clone(), next: None, total: Some(2) });
        let answer = server.answer(&Command::PaymentMethods(asked.clone()), &reply)?;
        let read = done(provider.plan_payment_methods(&asked)?.read(answer))?;
        let key = |methods: &[PaymentMethod]| -> Vec<_> { methods.iter().map(|method| method.id.clone()).collect() };
        if key(&read.items) != key(&told) || read.next.is_some() {
            return Err(format!("payment methods were read as {:?}", key(&read.items)).into());
        }
    }
    Ok(())
}

fn overdue_invoices_read_back_as_they_were_told(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::OverdueInvoices) {
        return Ok(());
    }
    let (provider, server, id) = (subject.provider(), subject.server(), subject.id());
    let text = |text| Some(Text::from_static(text));
    let mut extra = Extra::default();
    extra.keep_text("subscription_id", "sub_1");
    let whole = Invoice {
        id: Text::from_static("in_1"),
        number: text("A-0001"),
        status: text("uncollectible"),
        amount_due: text("123456789012345678901234567890"),
        amount_remaining: text("0"),
        currency: text("curr_1"),
        created_at: text("2025-04-04T14:21:49.955Z"),
        extra,
    };
    let bare = Invoice { id: Text::from_static("in_2"), ..Invoice::default() };
    let summary = JsonObject::in_string(r#"{"curr_1":{"amount":"1234567890123456789012"}}"#);
    for told in [
        OverdueInvoices::default(),
        OverdueInvoices { invoices: vec![whole.clone()], summary: None },
        OverdueInvoices { invoices: vec![whole, bare], summary },
    ] {
        let customer = Customer { id: id.public().clone(), ..Customer::default() };
        let reply = Reply::OverdueInvoices(Some(customer), told.clone());
        let answer = server.answer(&Command::OverdueInvoices(id.clone()), &reply)?;
        let Step::Done(read) = provider.plan_overdue_invoices(&id)?.read(answer)? else {
            return Err("the answer calls for another request".into());
        };
        if read != told {
            let (told, read) = (show::overdue_invoices(&told), show::overdue_invoices(&read));
            return Err(format!("{told} was read as {read}").into());
        }
    }
    Ok(())
}

fn refusals_read_back_as_they_were_meant(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let now = "2026-11-20T12:00:00Z".parse()?;
    let told = |what: &str, kind: Kind, read: Result<(), Error>| match read {
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => Err(format!("{kind:?} of a {what} was read as {:?}", error.kind)),
        Ok(()) => Err(format!("{kind:?} of a {what} was read as success")),
    };
    for kind in [Kind::NotFound, Kind::Unauthorized, Kind::RateLimited, Kind::ProviderFailed] {
        let error = Error::new(kind, "as meant");
        let plan = provider.plan_retrieve(&subject.id())?;
        let answer = server.refuse(&plan.request, &error, now);
        told("retrieve", kind, plan.read(answer).map(drop))?;
        if let Command::Update(update) = usual(subject, Operation::Update)
            && subject.supports(Operation::Update)
        {
            let plan = provider.plan_update(&update)?;
            let answer = server.refuse(&plan.request, &error, now);
            told("update", kind, plan.read(answer).map(drop))?;
        }
    }
    Ok(())
}

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

/// Every status in every shape, for a read and for a write, as one table a vendor. The write is a create, or
/// an update where nothing can be created.
fn error_answers_are_mapped(subject: Subject) -> Result<(), Failed> {
    let provider = subject.provider();
    let mut table = String::new();
    let mut row = |what: String, kinds: BTreeMap<&str, String>| {
        let told: Vec<String> = kinds.iter().map(|(body, kind)| format!("{body} {kind}")).collect();
        let mut distinct: Vec<_> = kinds.values().collect();
        distinct.dedup();
        let told = if distinct.len() == 1 { distinct[0].clone() } else { told.join(", ") };
        table.push_str(&format!("{what}: {told}\n"));
    };
    let write = [Operation::Create, Operation::Update].into_iter().find(|write| subject.supports(*write));
    for status in STATUSES {
        let mut reads = BTreeMap::new();
        let mut writes = BTreeMap::new();
        for (name, body) in BODIES {
            let told = |read: Result<(), Error>, write: bool| match read {
                Ok(()) => "success".to_owned(),
                Err(error) => {
                    let error = error.after(write, false);
                    format!("{:?}/{}", error.kind, error.effect.as_str())
                }
            };
            let read = provider.plan_retrieve(&subject.id())?.read(answer_of(status, body)).map(drop);
            reads.insert(name, told(read, false));
            let answer = answer_of(status, body);
            match write.map(|write| usual(subject, write)) {
                Some(Command::Create(create)) => {
                    writes.insert(name, told(provider.plan_create(&create)?.read(answer).map(drop), true))
                }
                Some(Command::Update(update)) => {
                    writes.insert(name, told(provider.plan_update(&update)?.read(answer).map(drop), true))
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

fn arbitrary_answers_never_panic(subject: Subject) -> Result<(), Failed> {
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

/// A whole answer of the server side to a retrieve.
fn retrieved(subject: Subject) -> Result<(CustomerId, Response), Failed> {
    let id = subject.id();
    let mut customer = Customer { id: id.public().clone(), ..Customer::default() };
    sample::usual_create(subject.manifest).fields.apply_to(&mut customer);
    customer.created_at = Some(Text::from_static("2025-04-04T14:21:49.955Z"));
    customer.updated_at = customer.created_at.clone();
    let answer = subject.server().answer(&Command::Retrieve(id.clone()), &Reply::Customer(customer))?;
    Ok((id, answer))
}

fn damaged_answers_are_bad_responses(subject: Subject) -> Result<(), Failed> {
    let (id, whole) = retrieved(subject)?;
    let provider = subject.provider();
    let kind_of = |body: Bytes| -> Result<Option<Kind>, Error> {
        Ok(provider.plan_retrieve(&id)?.read(answer_of(200, body)).err().map(|error| error.kind))
    };
    for (name, body) in BODIES {
        if kind_of(Bytes::from_static(body.as_bytes()))? != Some(Kind::BadResponse) {
            return Err(format!("{name} with status 200 is no bad response").into());
        }
    }
    for length in 0..whole.body().len() {
        if kind_of(whole.body().slice(..length))? != Some(Kind::BadResponse) {
            return Err(format!("an answer cut after {length} bytes is no bad response").into());
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
            Err(error) => return Err(format!("a wrong {member} is told as {:?}", error.kind).into()),
        }
    }
    Ok(())
}

fn record_in<'d>(document: &'d Value, id: &str) -> Option<&'d serde_json::Map<String, Value>> {
    match document {
        Value::Object(members) if members.values().any(|value| value == id) => Some(members),
        Value::Object(members) => members.values().find_map(|value| record_in(value, id)),
        Value::Array(entries) => entries.iter().find_map(|value| record_in(value, id)),
        _ => None,
    }
}

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

fn unknown_members_are_kept(subject: Subject) -> Result<(), Failed> {
    let (id, whole) = retrieved(subject)?;
    let mut document: Value = serde_json::from_slice(whole.body())?;
    let record = record_mut(&mut document, id.public()).ok_or("the answer holds no record")?;
    record.insert("zz_new_field".to_owned(), json!({ "since": [2027, "a \"quoted\" word"] }));
    let Ok(Step::Done(customer)) = subject.provider().plan_retrieve(&id)?.read(answer_of(200, document.to_string()))
    else {
        return Err("an answer with an unknown member was not read".into());
    };
    let kept = customer.extra.members().into_iter().find(|(key, _)| key == "zz_new_field");
    match kept.map(|(_, value)| value.get()) {
        Some(r#"{"since":[2027,"a \"quoted\" word"]}"#) => Ok(()),
        other => Err(format!("the unknown member became {other:?}").into()),
    }
}

fn hostile_ids_never_reach_a_url(subject: Subject) -> Result<(), Failed> {
    let long = "a".repeat(10_240);
    let hostile = [
        "",
        ".",
        "..",
        "...",
        "../x",
        "a/b",
        "a\\b",
        "%2e%2e",
        "a%2fb",
        "%252e",
        "a b",
        "a?b=c",
        "a#b",
        "a\0b",
        "a\r\nb",
        "..;",
        "é",
        "\u{202e}abc",
        long.as_str(),
    ];
    for id in hostile {
        if CustomerId::parse(Text::from(id), &subject.manifest.id).is_ok() {
            return Err(format!("{:?} is taken as an id", &id[..id.len().min(20)]).into());
        }
    }
    Ok(())
}

/// A secret that every scheme can use: hexadecimal, and long enough for a signing key.
pub(crate) const SECRET: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn secrets_are_never_shown(subject: Subject) -> Result<(), Failed> {
    let plan = subject.provider().plan_retrieve(&subject.id())?;
    for scheme in subject.manifest.auth {
        let named = scheme.credentials().iter().map(|name| ((*name).to_owned(), SECRET.to_owned()));
        let credentials = Credentials::new(named);
        if format!("{credentials:?}").contains(SECRET) {
            return Err("`Debug` of credentials shows a secret".into());
        }
        let mut request = subject.endpoint().finish(plan.request.clone())?;
        scheme.authorize(&mut request, &credentials, &Stamp { now: 1_700_000_000, nonce: [7; 16] })?;
        let added = scheme.masked();
        for (name, _) in &added {
            let value = request.headers().get(*name).ok_or_else(|| format!("{name} was not added"))?;
            if !value.is_sensitive() {
                return Err(format!("{name} is not marked as sensitive").into());
            }
        }
        if format!("{request:?}").contains(SECRET) {
            return Err("`Debug` of a request shows a secret".into());
        }
        let rendered = render::request(&plan.request, &subject.endpoint(), scheme)?.http_text();
        if rendered.contains(SECRET) || !added.iter().all(|(name, _)| rendered.contains(name)) {
            return Err("the rendered request shows a secret, or hides a header".into());
        }
    }
    Ok(())
}

/// Every operation has a fixture that succeeds and one that is refused.
fn every_operation_has_fixtures(subject: Subject) -> Result<(), Failed> {
    let vendor = fixtures().join(subject.vendor.name());
    for operation in Operation::ALL.into_iter().filter(|operation| subject.supports(*operation)) {
        let (mut happy, mut refused) = (false, false);
        for case in folders(&vendor.join(operation.name())) {
            let outcome = fs::read_to_string(case.join("outcome.snap")).unwrap_or_default();
            let is_refused = outcome.contains("\"error\":") || outcome.trim_end().ends_with("\nnull");
            happy |= !is_refused;
            refused |= is_refused;
            if outcome.is_empty() {
                return Err(format!("{} has no outcome", name_of(&case)).into());
            }
        }
        if !(happy && refused) {
            return Err(format!("{} has no happy or no refused fixture", operation.name()).into());
        }
    }
    Ok(())
}
