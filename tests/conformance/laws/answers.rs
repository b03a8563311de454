//! Laws about answers: the client side decodes what the server side encoded.

use libtest_mimic::Failed;
use passerelle_providers::{
    json::{Extra, JsonObject},
    kit::Step,
    model::{
        Command, Created, Customer, Error, Invoice, Kind, ListCustomers, Operation, OverdueInvoices, Page, Payment,
        PaymentMethod, Position, Reply, Written,
    },
    text::Text,
};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{Subject, compare_customers, fail, requests::page_of_a_client, run_cases, usual};
use crate::{fields::full, sample, show};

/// The result of a plan that must need no other request.
fn done<T>(step: Result<Step<T>, Error>) -> Result<T, TestCaseError> {
    match step {
        Ok(Step::Done(value)) => Ok(value),
        Ok(Step::Then(_)) => Err(fail("the plan wants another request after this answer")),
        Err(error) => Err(fail(error.to_string())),
    }
}

pub(super) fn the_client_side_decodes_a_customer_as_encoded(subject: Subject) -> Result<(), Failed> {
    let (provider, server, id) = (subject.provider(), subject.server(), subject.id());
    run_cases(&sample::customer(subject.shown(), id.public().clone()), |customer| {
        let fails = |error: Error| fail(error.to_string());
        let compare = |decoded: &Customer| {
            prop_assert_eq!(&decoded.id, &customer.id);
            prop_assert_eq!(&decoded.created_at, &customer.created_at);
            compare_customers(subject, &subject.shown(), &customer, decoded)
        };
        let retrieve = Command::Retrieve(id.clone());
        let answer = server.answer(&retrieve, &Reply::Customer(customer.clone().into())).map_err(fails)?;
        let retrieved = done(provider.plan_retrieve(&id).map_err(fails)?.read(answer))?;
        compare(&retrieved)?;
        if subject.supports(Operation::Create) {
            let mut create = sample::usual_create(subject.manifest);
            create.fields.name = customer.full_name().map(|name| Text::from(&*name)).into();
            create.fields.email = customer.email.clone().into();
            let created = Created::new(customer.clone());
            let answer = server
                .answer(&Command::Create(create.clone()), &Reply::Written(Written::Created(created)))
                .map_err(fails)?;
            compare(&done(provider.plan_create(&create).map_err(fails)?.read(answer))?.customer)?;
        }
        if let Command::Update(update) = usual(subject, Operation::Update)
            && subject.supports(Operation::Update)
        {
            let reply = Reply::changed(customer.clone());
            let answer = server.answer(&Command::Update(update.clone()), &reply).map_err(fails)?;
            // After an answer without the customer the plan retrieves it. The law has checked a retrieve above.
            match provider.plan_update(&update).map_err(fails)?.read(answer).map_err(fails)? {
                Step::Done(decoded) => compare(&decoded)?,
                Step::Then(_) => {}
            }
        }
        Ok(())
    })
}

pub(super) fn the_client_side_decodes_a_page_as_encoded(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let fields = subject.written_and_shown();
    let customers = prop::collection::vec(sample::customer(fields.clone(), subject.id().public().clone()), 0..5);
    run_cases(&(customers, 5_u16..8, 0_u64..3), |(items, limit, page)| {
        let fails = |error: Error| fail(error.to_string());
        let position = Position::of_page(page + 1, limit);
        let list = ListCustomers { limit, position: position.clone(), filter: Default::default() };
        let total = position.offset() + items.len() as u64;
        let reply = Reply::Customers(Page::of_total(items.clone(), &position, total));
        let answer = server.answer(&Command::List(list.clone()), &reply).map_err(fails)?;
        let asked = page_of_a_client(subject, &list).map_err(|failed| fail(format!("{failed:?}")))?;
        let sent = ListCustomers { position: asked.sent, ..list };
        let decoded = done(provider.plan_list(&sent).map_err(fails)?.into_owned().read(answer))?;
        prop_assert_eq!(decoded.items.len(), items.len());
        prop_assert_eq!(&decoded.next, &None);
        if subject.manifest.paging.tells_total {
            prop_assert_eq!(decoded.total, Some(total));
        }
        for (encoded, decoded) in items.iter().zip(&decoded.items) {
            compare_customers(subject, &fields, encoded, decoded)?;
        }
        Ok(())
    })
}

/// Compares ids and amounts only. Vendors differ in their other members.
pub(super) fn the_client_side_decodes_payments_and_payment_methods_as_encoded(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let ids = |ids: [&'static str; 2]| ids.into_iter().map(Text::from_static);
    if subject.supports(Operation::Payments)
        && let Command::Payments(list) = usual(subject, Operation::Payments)
    {
        let payment = |(id, amount)| Payment { id, amount: Some(Text::from_static(amount)), ..Payment::default() };
        let encoded: Vec<_> = ids(["pay_1", "pay_2"]).zip(["5000", "123456789012345678.90"]).map(payment).collect();
        let reply = Reply::Payments(Page { items: encoded.clone(), next: None, total: Some(2) });
        let answer = server.answer(&Command::Payments(list.clone()), &reply)?;
        let decoded = done(provider.plan_payments(&list)?.read(answer))?;
        let key = |payments: &[Payment]| -> Vec<_> {
            payments.iter().map(|payment| (payment.id.clone(), payment.amount.clone())).collect()
        };
        if key(&decoded.items) != key(&encoded) || decoded.next.is_some() {
            return Err(format!("payments were decoded as {:?}", key(&decoded.items)).into());
        }
    }
    if subject.supports(Operation::PaymentMethods)
        && let Command::PaymentMethods(list) = usual(subject, Operation::PaymentMethods)
    {
        let method = |id| PaymentMethod { id, ..PaymentMethod::default() };
        let encoded: Vec<_> = ids(["pm_1", "pm_2"]).map(method).collect();
        let reply = Reply::PaymentMethods(Page { items: encoded.clone(), next: None, total: Some(2) });
        let answer = server.answer(&Command::PaymentMethods(list.clone()), &reply)?;
        let decoded = done(provider.plan_payment_methods(&list)?.read(answer))?;
        let key = |methods: &[PaymentMethod]| -> Vec<_> { methods.iter().map(|method| method.id.clone()).collect() };
        if key(&decoded.items) != key(&encoded) || decoded.next.is_some() {
            return Err(format!("payment methods were decoded as {:?}", key(&decoded.items)).into());
        }
    }
    Ok(())
}

pub(super) fn the_client_side_decodes_overdue_invoices_as_encoded(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::OverdueInvoices) {
        return Ok(());
    }
    let (provider, server, id) = (subject.provider(), subject.server(), subject.id());
    let text = |text| Some(Text::from_static(text));
    let mut extra = Extra::default();
    extra.add_text("subscription_id", "sub_1");
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
    for encoded in [
        OverdueInvoices::default(),
        OverdueInvoices { invoices: vec![whole.clone()], ..OverdueInvoices::default() },
        OverdueInvoices { customer: None, invoices: vec![whole, bare], summary },
    ] {
        let reply = Reply::OverdueInvoices(encoded.clone());
        let answer = server.answer(&Command::OverdueInvoices(id.clone()), &reply)?;
        let Step::Done(decoded) = provider.plan_overdue_invoices(&id)?.read(answer)? else {
            return Err("the plan wants another request after this answer".into());
        };
        if decoded != encoded {
            let (encoded, decoded) = (show::overdue_invoices(&encoded), show::overdue_invoices(&decoded));
            return Err(format!("{encoded} was decoded as {decoded}").into());
        }
    }
    Ok(())
}

pub(super) fn overdue_invoices_show_the_customer_as_a_retrieve_does(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::OverdueInvoices) {
        return Ok(());
    }
    let (provider, server, id) = (subject.provider(), subject.server(), subject.id());
    let customer = full();
    let retrieved = server.answer(&Command::Retrieve(id.clone()), &Reply::Customer(customer.clone().into()))?;
    let overdue = OverdueInvoices { customer: Some(customer.into()), ..OverdueInvoices::default() };
    let answer = server.answer(&Command::OverdueInvoices(id.clone()), &Reply::OverdueInvoices(overdue))?;
    let Step::Done(retrieved) = provider.plan_retrieve(&id)?.read(retrieved)? else {
        return Err("the plan wants another request after this answer".into());
    };
    let Step::Done(overdue) = provider.plan_overdue_invoices(&id)?.read(answer)? else {
        return Err("the plan wants another request after this answer".into());
    };
    if overdue.customer.as_deref() == Some(&retrieved) { Ok(()) } else { Err("the customer differs".into()) }
}

pub(super) fn the_client_side_decodes_refusals_as_encoded(subject: Subject) -> Result<(), Failed> {
    let (provider, server) = (subject.provider(), subject.server());
    let now = "2026-11-20T12:00:00Z".parse()?;
    let check = |request: &str, kind: Kind, decoded: Result<(), Error>| match decoded {
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => Err(format!("{kind:?} of a {request} was decoded as {:?}", error.kind)),
        Ok(()) => Err(format!("{kind:?} of a {request} was decoded as success")),
    };
    for kind in [Kind::NotFound, Kind::Unauthorized, Kind::RateLimited, Kind::ProviderFailed] {
        let error = Error::new(kind, "a refusal");
        let plan = provider.plan_retrieve(&subject.id())?;
        let answer = server.refuse(&plan.request, &error, now);
        check("retrieve", kind, plan.read(answer).map(drop))?;
        if let Command::Update(update) = usual(subject, Operation::Update)
            && subject.supports(Operation::Update)
        {
            let plan = provider.plan_update(&update)?;
            let answer = server.refuse(&plan.request, &error, now);
            check("update", kind, plan.read(answer).map(drop))?;
        }
    }
    Ok(())
}
