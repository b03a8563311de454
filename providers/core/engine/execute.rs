//! The one entry point for commands. [`plan`] prepares a command for a provider and sends nothing. [`execute`] prepares
//! it and sends it.
//!
//! The API, drop-in, `explain`, the command line, and the conformance suite all call these functions, so that every
//! command passes the same checks against the provider's manifest.

use std::{borrow::Cow, pin::Pin, sync::Arc};

use http::Method;

use super::{
    compare::AskedFields,
    distinct::Match,
    identity::{self, Asked},
    lists::{self, PlannedList, PlannedLookup},
    loss::{self, Language},
    offset_pages, prepare,
};
use crate::{
    kit::{CustomerProvider, Plan, Ran, Step, Transport, run, run_to_end},
    model::{
        BorrowedCustomer, Command, CreateCustomer, Created, Customer, CustomerId, Error, Fidelity, Kind, ListCustomers,
        ListOfCustomer, Lookup, LossPolicy, OverdueInvoices, Page, Payment, PaymentMethod, Reply, Request,
        UpdateCustomer, Written, manifest::FilterSupport,
    },
};

/// The conditions under which a command is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// What happens to fields that the provider cannot store.
    pub on_loss: LossPolicy,
    /// Whether the command came from the merchants' API or from a client of an imitated provider.
    pub language: Language,
}

impl Conditions {
    /// The conditions for a command of the merchants' API.
    pub const fn canonical(on_loss: LossPolicy) -> Self {
        Self { on_loss, language: Language::Canonical }
    }
}

/// Prepares a command for a provider: checks it against the manifest, applies the loss policy, and plans the requests.
/// It sends nothing and does not wait.
pub fn plan(provider: &Arc<dyn CustomerProvider>, command: &Command, conditions: Conditions) -> Result<Planned, Error> {
    let is_canonical = conditions.language == Language::Canonical;
    let manifest = provider.manifest();
    if !matches!(command, Command::RetrieveOrCreate(_)) {
        manifest.require(command.operation())?;
    }
    Ok(Planned(match command {
        Command::Create(create) => Work::Write(create_work(provider, create, conditions)?),
        Command::Update(update) => Work::Write(update_work(provider, update, conditions)?),
        Command::Delete(id) => Work::Write(WriteWork::Delete {
            read: match manifest.deletes_unknown {
                true => Some(Box::new((provider.plan_retrieve(id)?, Asked::new(id, manifest)))),
                false => None,
            },
            delete: provider.plan_delete(id)?,
        }),
        Command::Block(id) => Work::Write(WriteWork::change(provider.plan_block(id)?, Asked::new(id, manifest), None)),
        Command::Unblock(id) => {
            Work::Write(WriteWork::change(provider.plan_unblock(id)?, Asked::new(id, manifest), None))
        }
        Command::Retrieve(id) => Work::Retrieve(provider.plan_retrieve(id)?, Asked::new(id, manifest)),
        Command::RetrieveOrCreate(id) => {
            Work::Retrieve(provider.plan_retrieve_or_create(id)?, Asked::new(id, manifest))
        }
        Command::Find(lookup) => find_work(provider, lookup, conditions)?,
        Command::List(list) if is_canonical => Work::List(Box::new(PlannedList::new(provider, list)?)),
        Command::PaymentMethods(list) if is_canonical => {
            Work::PaymentMethods(at_most(provider.plan_payment_methods(list)?, list))
        }
        Command::Payments(list) if is_canonical => Work::Payments(at_most(provider.plan_payments(list)?, list)),
        Command::List(list) => Work::ListFromOffset(Arc::clone(provider), list.clone()),
        Command::PaymentMethods(list) => Work::PaymentMethodsFromOffset(Arc::clone(provider), list.clone()),
        Command::Payments(list) => Work::PaymentsFromOffset(Arc::clone(provider), list.clone()),
        Command::OverdueInvoices(id) => overdue_work(provider, id, conditions)?,
    }))
}

/// The same plan, with an error instead of a page with more entries than were asked for.
fn at_most<T: 'static>(plan: Plan<Page<T>>, list: &ListOfCustomer) -> Plan<Page<T>> {
    let limit = list.limit;
    plan.map(move |page| page.of_at_most(limit))
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
) -> Result<Customer, Error> {
    let asked = Asked::new(id, provider.manifest());
    asked.checked(run(transport, provider.plan_retrieve(id)?).await?)
}

/// The result of a command that is being sent.
pub type Executed<'t, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 't>>;

/// A command that is ready to be sent.
pub struct Planned(Work);

enum Work {
    Write(WriteWork),
    Retrieve(Plan<Customer>, Asked),
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

enum WriteWork {
    Create {
        existing: Option<Box<Match>>,
        create: Plan<Created>,
        asked: Box<AskedFields>,
    },
    Change {
        plan: Plan<Customer>,
        asked: Asked,
        /// The fields of an update, to compare them with the result. A block and an unblock have none.
        fields: Option<Box<AskedFields>>,
        /// Whether the plan sends a write. An update without a field that the provider stores only reads.
        writes: bool,
    },
    Delete {
        read: Option<Box<(Plan<Customer>, Asked)>>,
        delete: Plan<()>,
    },
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
            Work::Write(WriteWork::Create { existing, create, .. }) => {
                let lookup = existing.iter().flat_map(|existing| existing.requests());
                match existing {
                    Some(existing) if existing.by_provider => create.requests().into_iter().chain(lookup).collect(),
                    _ => lookup.chain(create.requests()).collect(),
                }
            }
            Work::Write(WriteWork::Change { plan, .. }) | Work::Retrieve(plan, _) => plan.requests(),
            Work::Write(WriteWork::Delete { read, delete }) => {
                read.iter().flat_map(|read| read.0.requests()).chain(delete.requests()).collect()
            }
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
            Work::Write(WriteWork::Create { create, .. }) => create.fidelity.clone(),
            Work::Write(WriteWork::Change { plan, .. }) => plan.fidelity.clone(),
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
                let customer = run(transport, plan);
                executed(async move { asked.checked(customer.await?) }, Reply::Customer)
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
                offset_pages::payment_methods(&*provider, transport, &list).await.map(Reply::PaymentMethods)
            }),
            Work::Payments(plan) => executed(run(transport, plan), Reply::Payments),
            Work::PaymentsFromOffset(provider, list) => {
                Box::pin(async move { offset_pages::payments(&*provider, transport, &list).await.map(Reply::Payments) })
            }
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
        match (self.0, found) {
            (Work::Write(WriteWork::Create { create, asked, .. }), Written::Created(mut created)) => {
                asked.check_created(transport, &mut created, create.fidelity, false).await;
                Written::Created(created)
            }
            (Work::Write(WriteWork::Change { plan, fields: Some(fields), .. }), Written::Changed(mut customer)) => {
                fields.check(transport, &mut customer, plan.fidelity, true).await;
                Written::Changed(customer)
            }
            (_, found) => found,
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

impl WriteWork {
    fn change(plan: Plan<Customer>, asked: Asked, fields: Option<Box<AskedFields>>) -> Self {
        let writes = plan.requests().iter().any(|request| request.method() != Method::GET);
        Self::Change { plan, asked, fields, writes }
    }

    fn execute(self, transport: &dyn Transport) -> Executed<'_, Written> {
        match self {
            Self::Create { existing: None, create, asked } => {
                executed(created(create, asked, transport), Written::Created)
            }
            Self::Create { existing: Some(existing), create, asked } => Box::pin(async move {
                if existing.by_provider {
                    let created = created(create, asked, transport).await?;
                    return Ok(Written::Created(match created.existing {
                        true => existing.confirm(created, transport).await?,
                        false => created,
                    }));
                }
                match existing.find(transport).await? {
                    Some(mut created) => {
                        asked.check_created(transport, &mut created, create.fidelity, false).await;
                        Ok(Written::Created(created))
                    }
                    None => created(create, asked, transport).await.map(Written::Created),
                }
            }),
            Self::Change { mut plan, asked, fields, writes } => {
                let sent = std::mem::take(&mut plan.fidelity);
                let ran = run_to_end(transport, plan);
                Box::pin(async move {
                    let Ran { result, was_read } = ran.await?;
                    // The provider has changed a customer, but it is not known which one.
                    let mut customer = asked.checked(result).map_err(|error| error.after(writes, false))?;
                    if let Some(fields) = fields {
                        fields.check(transport, &mut customer, sent, was_read).await;
                    }
                    Ok(Written::Changed(customer))
                })
            }
            Self::Delete { read: None, delete } => executed(run(transport, delete), |()| Written::Deleted),
            Self::Delete { read: Some(read), delete } => Box::pin(async move {
                let (read, asked) = *read;
                asked.checked(run(transport, read).await?)?;
                run(transport, delete).await.map(|()| Written::Deleted)
            }),
        }
    }
}

/// Creates a customer, and compares it with the fields that were asked for.
fn created(
    mut create: Plan<Created>,
    asked: Box<AskedFields>,
    transport: &dyn Transport,
) -> impl Future<Output = Result<Created, Error>> + Send + use<'_> {
    let sent = std::mem::take(&mut create.fidelity);
    let ran = run_to_end(transport, create);
    async move {
        let Ran { result: Created { customer, existing }, was_read } = ran.await?;
        // If its id cannot be used, the provider has made a customer all the same.
        let customer = identity::checked(customer, asked.manifest()).map_err(|error| error.after(true, false))?;
        let mut created = Created { customer, existing };
        asked.check_created(transport, &mut created, sent, was_read).await;
        Ok(created)
    }
}

/// Boxes the future of a result, and converts the result.
fn executed<'t, T: 'static, R: 'static>(
    result: impl Future<Output = Result<T, Error>> + Send + 't,
    convert: fn(T) -> R,
) -> Executed<'t, R> {
    Box::pin(async move { result.await.map(convert) })
}

fn create_work(
    provider: &Arc<dyn CustomerProvider>,
    create: &CreateCustomer,
    conditions: Conditions,
) -> Result<WriteWork, Error> {
    let manifest = provider.manifest();
    let create = match loss::intended_fields(&create.fields, conditions.language, manifest) {
        Cow::Borrowed(_) => Cow::Borrowed(create),
        Cow::Owned(fields) => Cow::Owned(CreateCustomer { fields, distinct: create.distinct }),
    };
    let existing = Match::of(provider, &create);
    let create = match &existing {
        // The provider gets a plain create, because the gateway has looked by then.
        Ok(Some(existing)) if !existing.by_provider => {
            Cow::Owned(CreateCustomer { distinct: false, ..create.into_owned() })
        }
        _ => create,
    };
    let mut plan = prepare::create(&**provider, &create)?;
    create.fields.rewritten.report(&mut plan.fidelity);
    loss::enforce_policy(&plan.fidelity, &create.fields, conditions, manifest)?;
    let asked = AskedFields::new(provider, None, &create.fields, &plan.fidelity);
    Ok(WriteWork::Create { existing: existing?.map(Box::new), create: plan, asked })
}

fn update_work(
    provider: &Arc<dyn CustomerProvider>,
    update: &UpdateCustomer,
    conditions: Conditions,
) -> Result<WriteWork, Error> {
    let manifest = provider.manifest();
    let update = match loss::intended_fields(&update.fields, conditions.language, manifest) {
        Cow::Borrowed(_) => Cow::Borrowed(update),
        Cow::Owned(fields) => Cow::Owned(UpdateCustomer { id: update.id.clone(), fields }),
    };
    let mut plan = prepare::update(provider, &update)?;
    update.fields.rewritten.report(&mut plan.fidelity);
    loss::enforce_policy(&plan.fidelity, &update.fields, conditions, manifest)?;
    let fields = AskedFields::new(provider, Some(&update.id), &update.fields, &plan.fidelity);
    Ok(WriteWork::change(plan, Asked::new(&update.id, manifest), Some(fields)))
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

/// The overdue invoices. A client of an imitated provider expects the customer with them, so the customer is retrieved
/// if the answer lacks it.
fn overdue_work(provider: &Arc<dyn CustomerProvider>, id: &CustomerId, conditions: Conditions) -> Result<Work, Error> {
    let plan = provider.plan_overdue_invoices(id)?;
    let asked = Asked::new(id, provider.manifest());
    let retrieve = match conditions.language {
        Language::Canonical => None,
        Language::Imitated => Some(provider.plan_retrieve(id)?),
    };
    Ok(Work::OverdueInvoices(plan.and_then(move |overdue| match (overdue.customer, retrieve) {
        (Some(customer), _) => Ok(Step::Done(OverdueInvoices { customer: Some(asked.checked(customer)?), ..overdue })),
        (None, None) => Ok(Step::Done(OverdueInvoices { customer: None, ..overdue })),
        (None, Some(retrieve)) => {
            let with = move |customer| Ok(OverdueInvoices { customer: Some(asked.checked(customer)?), ..overdue });
            Ok(retrieve.map(with).into())
        }
    })))
}
