//! The one entry point for commands. [`plan`] prepares a command for a provider and sends nothing. [`execute`] prepares
//! it and sends it.
//!
//! The API, drop-in, `explain`, the command line, and the conformance suite all call these functions, so that every
//! command passes the same checks against the provider's manifest.

use std::sync::Arc;

use super::{
    carry,
    identity::{self, Asked},
    lists::{self, PlannedList, PlannedLookup},
    loss::{Conditions, Language},
    offset_pages,
    write_work::{Executed, WriteWork, executed},
};
use crate::{
    kit::{CustomerProvider, Plan, Step, Transport, run, run_to_end},
    model::{
        BorrowedCustomer, Command, Customer, CustomerId, Error, Fidelity, Kind, ListCustomers, ListOfCustomer, Lookup,
        OverdueInvoices, Page, Payment, PaymentMethod, Reply, Request, Written,
        manifest::{FilterSupport, Manifest},
    },
};

/// Prepares a command for a provider: checks it against the manifest, applies the loss policy, and plans the requests.
/// It sends nothing and does not wait.
pub fn plan(provider: &Arc<dyn CustomerProvider>, command: &Command, conditions: Conditions) -> Result<Planned, Error> {
    let is_canonical = conditions.language == Language::Canonical;
    let manifest = provider.manifest();
    if !matches!(command, Command::RetrieveOrCreate(_)) {
        carry::require(manifest, command.operation(), conditions.on_loss)?;
    }
    Ok(Planned(match command {
        Command::Create(create) => Work::Write(WriteWork::create(provider, create, conditions)?),
        Command::Update(update) => Work::Write(WriteWork::update(provider, update, conditions)?),
        Command::Delete(id) => Work::Write(WriteWork::delete(provider, id)?),
        Command::Block(id) => Work::Write(WriteWork::block(provider, id, true, conditions)?),
        Command::Unblock(id) => Work::Write(WriteWork::block(provider, id, false, conditions)?),
        Command::Retrieve(id) => Work::Retrieve(provider.plan_retrieve(id)?, Asked::new(id, manifest)),
        Command::RetrieveOrCreate(id) => {
            Work::Retrieve(provider.plan_retrieve_or_create(id)?, Asked::new(id, manifest))
        }
        Command::Find(lookup) => find_work(provider, lookup, conditions)?,
        Command::List(list) if is_canonical => Work::List(Box::new(PlannedList::new(provider, list)?)),
        Command::PaymentMethods(list) if is_canonical => {
            Work::PaymentMethods(plan_entries(manifest, list, |list| provider.plan_payment_methods(list))?)
        }
        Command::Payments(list) if is_canonical => {
            Work::Payments(plan_entries(manifest, list, |list| provider.plan_payments(list))?)
        }
        Command::List(list) => Work::ListFromOffset(Arc::clone(provider), list.clone()),
        Command::PaymentMethods(list) => Work::PaymentMethodsFromOffset(Arc::clone(provider), list.clone()),
        Command::Payments(list) => Work::PaymentsFromOffset(Arc::clone(provider), list.clone()),
        Command::OverdueInvoices(id) => overdue_work(provider, id)?,
    }))
}

/// The plan of a page of entries that belong to a customer. A provider may answer more of them than it was asked for: the
/// next pages for the client are then read from the same page of the provider.
fn plan_entries<T: identity::Entry>(
    manifest: &'static Manifest,
    list: &ListOfCustomer,
    plan: impl FnOnce(&ListOfCustomer) -> Result<Plan<Page<T>>, Error>,
) -> Result<Plan<Page<T>>, Error> {
    let (limit, style) = (list.limit, manifest.paging.style);
    let (begin, skip) = list.position.in_page();
    let begin = begin.clone();
    let plan = plan(&ListOfCustomer { position: begin.clone(), ..list.clone() })?;
    let plan = identity::checked_entries(plan, &list.id, manifest);
    Ok(plan.map(move |page| page.that_continues(limit, style)?.part(begin, skip, limit)))
}

/// Executes a command.
pub async fn execute(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    command: &Command,
    conditions: Conditions,
) -> Result<Reply, Error> {
    plan(provider, command, conditions)?.execute(transport).await
}

/// Retrieves a customer.
pub async fn retrieve(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    id: &CustomerId,
) -> Result<Box<Customer>, Error> {
    let asked = Asked::new(id, provider.manifest());
    asked.checked(run(transport, provider.plan_retrieve(id)?).await?)
}

/// A command that is ready to be sent.
pub struct Planned(Work);

enum Work {
    Write(WriteWork),
    Retrieve(Plan<Box<Customer>>, Asked),
    Find(PlannedLookup),
    /// A look-up by a value that no customer of this provider can have. A client of an imitated provider expects the
    /// answer "no such customer", not an error.
    FindsNothing,
    List(Box<PlannedList>),
    ListFromOffset(Arc<dyn CustomerProvider>, ListCustomers),
    PaymentMethods(Plan<Page<PaymentMethod>>),
    PaymentMethodsFromOffset(Arc<dyn CustomerProvider>, ListOfCustomer),
    Payments(Plan<Page<Payment>>),
    PaymentsFromOffset(Arc<dyn CustomerProvider>, ListOfCustomer),
    OverdueInvoices(Plan<OverdueInvoices>),
}

impl std::fmt::Debug for Planned {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Planned").finish_non_exhaustive()
    }
}

impl Planned {
    /// The requests that will be sent, in order, as far as they are known before the provider has answered.
    pub fn requests(&self) -> Vec<&Request> {
        match &self.0 {
            Work::Write(write) => write.requests(),
            Work::Retrieve(plan, _) => plan.requests(),
            Work::Find(lookup) => lookup.requests(),
            Work::List(list) => list.first().requests(),
            Work::PaymentMethods(plan) => plan.requests(),
            Work::Payments(plan) => plan.requests(),
            Work::OverdueInvoices(plan) => plan.requests(),
            // The first page decides which other pages are requested.
            Work::FindsNothing
            | Work::ListFromOffset(..)
            | Work::PaymentMethodsFromOffset(..)
            | Work::PaymentsFromOffset(..) => Vec::new(),
        }
    }

    /// The fidelity report of the command: how its fields change on the way to the provider.
    pub fn fidelity(&self) -> Fidelity {
        match &self.0 {
            Work::Write(write) => write.fidelity(),
            _ => Fidelity::default(),
        }
    }

    /// Sends the command and reads the reply. The future is boxed and holds no plan, so that a caller can move it
    /// cheaply.
    pub fn execute(self, transport: &dyn Transport) -> Executed<'_, Reply> {
        match self.0 {
            Work::Write(write) => {
                let written = write.execute(transport);
                Box::pin(async move { written.await.map(Reply::Written) })
            }
            Work::Retrieve(plan, asked) => {
                let ran = run_to_end(transport, plan);
                Box::pin(async move {
                    let customer = ran.await?.result;
                    asked.check(&customer)?;
                    Ok(Reply::Customer(customer))
                })
            }
            Work::Find(lookup) => executed(lookup.run(transport), Reply::Found),
            Work::FindsNothing => Box::pin(async { Ok(Reply::Found(None)) }),
            Work::List(list) => executed(list.read(transport), Reply::Customers),
            Work::ListFromOffset(provider, list) => {
                Box::pin(
                    async move { offset_pages::customers(&provider, transport, &list).await.map(Reply::Customers) },
                )
            }
            Work::PaymentMethods(plan) => executed(run(transport, plan), Reply::PaymentMethods),
            Work::PaymentMethodsFromOffset(provider, list) => Box::pin(async move {
                let plan = |list: &_| provider.plan_payment_methods(list);
                offset_pages::entries(provider.manifest(), transport, &list, plan).await.map(Reply::PaymentMethods)
            }),
            Work::Payments(plan) => executed(run(transport, plan), Reply::Payments),
            Work::PaymentsFromOffset(provider, list) => Box::pin(async move {
                let plan = |list: &_| provider.plan_payments(list);
                offset_pages::entries(provider.manifest(), transport, &list, plan).await.map(Reply::Payments)
            }),
            Work::OverdueInvoices(plan) => executed(run(transport, plan), Reply::OverdueInvoices),
        }
    }

    /// Sends a write and reads its result. Fails if the command only reads.
    pub fn write(self, transport: &dyn Transport) -> Executed<'_, Written> {
        match self.0 {
            Work::Write(write) => write.execute(transport),
            _ => Box::pin(async {
                Err(Error::new(Kind::Invalid, "the command only reads; only a write can be sent here"))
            }),
        }
    }

    /// Compares the result of a write, which reconciliation found, with what the write asked for. It may read the
    /// customer once, and writes nothing.
    pub async fn compare(self, transport: &dyn Transport, found: Written) -> Written {
        match self.0 {
            Work::Write(write) => write.compare(transport, found).await,
            _ => found,
        }
    }

    /// Sends a list command and passes the page to `show` while its text still borrows from the provider's answer. This
    /// avoids a copy, for callers that write the page at once.
    pub fn show_list<R>(
        self,
        transport: &dyn Transport,
        show: impl FnOnce(Page<BorrowedCustomer<'_>>) -> R + Send,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        let list = if let Work::List(list) = self.0 { Some(list) } else { None };
        async move {
            match list {
                Some(list) => list.show(transport, show).await,
                None => {
                    Err(Error::new(Kind::Invalid, "the command is not a list of customers, so it has no page to show"))
                }
            }
        }
    }
}

fn find_work(provider: &Arc<dyn CustomerProvider>, lookup: &Lookup, conditions: Conditions) -> Result<Work, Error> {
    let is_supported = !matches!(lists::lookup_support(provider.manifest(), lookup), FilterSupport::No(_));
    match (conditions.language, lookup) {
        // A client of an imitated provider uses a reference like an id. If the executing provider has no references, no
        // customer has this one.
        (Language::Imitated, Lookup::Reference(_)) if !is_supported => Ok(Work::FindsNothing),
        _ => PlannedLookup::new(provider, lookup).map(Work::Find),
    }
}

/// The overdue invoices with their customer, who is retrieved if the answer lacks it.
fn overdue_work(provider: &Arc<dyn CustomerProvider>, id: &CustomerId) -> Result<Work, Error> {
    let plan = provider.plan_overdue_invoices(id)?;
    let asked = Asked::new(id, provider.manifest());
    let retrieve = provider.plan_retrieve(id)?;
    Ok(Work::OverdueInvoices(plan.and_then(move |mut overdue| {
        if let Some(customer) = overdue.customer.take() {
            return Ok(Step::Done(with_customer(&asked, customer, overdue)?));
        }
        let with = move |customer| with_customer(&asked, customer, overdue);
        Ok(retrieve.map(with).into())
    })))
}

fn with_customer(asked: &Asked, customer: Box<Customer>, overdue: OverdueInvoices) -> Result<OverdueInvoices, Error> {
    asked.check(&customer)?;
    asked.check_entries(&overdue.invoices, Some(&customer))?;
    Ok(OverdueInvoices { customer: Some(customer), ..overdue })
}
