//! Drop-in, between the two halves: a command that one provider's client sent is carried out at another, and
//! what comes of it is made ready to be told in the first one's words.

use crate::{
    engine::{
        lists::{self, Division},
        offset_pages::Sliced,
        prepare,
    },
    json::{Extra, JsonObject},
    kit::{CustomerPage, CustomerProvider, Plan, Transport, run, server::not_found},
    model::{
        Command, CreateCustomer, Customer, CustomerFields, CustomerType, Error, Field, Kind, ListCustomers,
        ListOfCustomer, Lookup, Operation, OverdueInvoices, Page, Patch, Position, Reply, UpdateCustomer,
        manifest::{FieldSupport, FilterSupport, Manifest, Support},
    },
    text::{Text, country::Region, phone},
};

/// Spells what a client wrote as the other providers expect it: phone numbers in international form, where the
/// merchant's region explains them. Countries stay as they were written.
#[must_use]
pub fn canonical(mut command: Command, region: Option<Region>) -> Command {
    let number = |text: &Text| phone::canonical_text(text, region);
    let spelled = |fields: &mut CustomerFields| {
        for field in [&mut fields.phone, &mut fields.whatsapp] {
            *field = field.map(number);
        }
    };
    match &mut command {
        Command::Create(create) => spelled(&mut create.fields),
        Command::Update(update) => spelled(&mut update.fields),
        Command::List(list) => list.filter.phone = list.filter.phone.as_ref().map(number),
        Command::Find(Lookup::Phone(sought)) => *sought = number(sought),
        _ => {}
    }
    command
}

/// Carries out a command. Where losses are not tolerated, one that would lose fields is refused, and nothing
/// is sent.
pub async fn carry_out(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    command: &Command,
    tolerates_losses: bool,
) -> Result<Reply, Error> {
    let manifest = provider.manifest();
    if !matches!(command, Command::RetrieveOrCreate(_)) {
        prepare::supports(manifest, command.operation())?;
    }
    let judge = Judge { manifest, tolerates_losses };
    Ok(match command {
        Command::Create(create) => {
            let create = CreateCustomer { fields: judge.of_weight(&create.fields), ..create.clone() };
            let plan = judge.judged(prepare::create(provider, &create)?, &create.fields)?;
            match lists::existing(provider, transport, &create).await? {
                Some(existing) => Reply::Created(existing),
                None => Reply::Created(run(transport, plan).await?),
            }
        }
        Command::Retrieve(id) => Reply::Customer(provider.retrieve(transport, id).await?),
        Command::RetrieveOrCreate(id) => Reply::Customer(run(transport, provider.plan_retrieve_or_create(id)?).await?),
        Command::Find(lookup) => {
            let is_held = !matches!(lists::lookup_support(manifest, lookup), FilterSupport::No(_));
            // A reference is one more spelling of an id: where there are none, nobody has it.
            let found = match (is_held, lookup) {
                (false, Lookup::Reference(_)) => None,
                _ => provider.find(transport, lookup).await?,
            };
            Reply::Customer(found.ok_or_else(not_found)?)
        }
        Command::Update(update) => {
            let update = UpdateCustomer { id: update.id.clone(), fields: judge.of_weight(&update.fields) };
            let plan = judge.judged(prepare::update(provider, &update)?, &update.fields)?;
            Reply::Customer(run(transport, plan).await?)
        }
        Command::Delete(id) => {
            provider.delete(transport, id).await?;
            Reply::Deleted
        }
        Command::List(asked) => Reply::Customers(customers(provider, transport, asked).await?),
        Command::Block(id) => Reply::Customer(provider.block(transport, id).await?),
        Command::Unblock(id) => Reply::Customer(provider.unblock(transport, id).await?),
        Command::PaymentMethods(asked) => {
            let plan = |limit, position| provider.plan_payment_methods(&at(asked, limit, position));
            Reply::PaymentMethods(of_customer(manifest, transport, asked, &plan).await?)
        }
        Command::Payments(asked) => {
            let plan = |limit, position| provider.plan_payments(&at(asked, limit, position));
            Reply::Payments(of_customer(manifest, transport, asked, &plan).await?)
        }
        Command::OverdueInvoices(id) => {
            let customer = provider.retrieve(transport, id).await?;
            Reply::OverdueInvoices(customer, provider.overdue_invoices(transport, id).await?)
        }
    })
}

struct Judge {
    manifest: &'static Manifest,
    tolerates_losses: bool,
}

impl Judge {
    /// Leaves out what a client clears, or merges nothing into, where the provider has nothing of the kind: it is
    /// as empty as the client wants it.
    fn of_weight(&self, fields: &CustomerFields) -> CustomerFields {
        let mut kept = fields.clone();
        for field in Field::WRITABLE {
            let FieldSupport { create, update, read, .. } = self.manifest.field(field);
            let is_unknown = [create, update, read].iter().all(|support| matches!(support, Support::No(_)));
            let is_empty = match fields.state(field) {
                Patch::Clear => true,
                _ => field == Field::Metadata && fields.metadata.set().is_some_and(JsonObject::is_empty),
            };
            if is_unknown && is_empty {
                kept.forget(field);
            }
        }
        kept
    }

    fn judged<T>(&self, plan: Plan<T>, fields: &CustomerFields) -> Result<Plan<T>, Error> {
        let mut lost = plan.fidelity.loss_errors();
        // Clients say of everybody that they are a person, which is what a customer is unless it is said otherwise.
        // It is told as lost, and no reason to refuse.
        if fields.kind == Patch::Set(CustomerType::Individual) {
            lost.retain(|wrong| wrong.pointer != Field::Type.pointer());
        }
        if self.tolerates_losses || lost.is_empty() {
            return Ok(plan);
        }
        let detail = format!("{} cannot hold every field", self.manifest.name);
        Err(Error::new(Kind::Rejected, detail).with_fields(lost))
    }
}

async fn customers(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    asked: &ListCustomers,
) -> Result<Page<Customer>, Error> {
    let manifest = provider.manifest();
    let Division { sent, again } = lists::divide(&asked.filter, manifest)?;
    let plan = |limit, position| {
        provider.plan_list(&ListCustomers { limit, position, filter: sent.clone() }).map(Plan::<CustomerPage>::kept)
    };
    let keep = |customer: &Customer| again.matches(customer);
    let keep = (!again.is_empty()).then_some(&keep as _);
    Sliced { paging: manifest.paging, plan: &plan, keep }.part(transport, asked.position.offset(), asked.limit).await
}

fn at(asked: &ListOfCustomer, limit: u16, position: Position) -> ListOfCustomer {
    ListOfCustomer { limit, position, ..asked.clone() }
}

async fn of_customer<T: 'static>(
    manifest: &Manifest,
    transport: &dyn Transport,
    asked: &ListOfCustomer,
    plan: &(dyn Fn(u16, Position) -> Result<Plan<Page<T>>, Error> + Sync),
) -> Result<Page<T>, Error> {
    Sliced { paging: manifest.paging, plan, keep: None }.part(transport, asked.position.offset(), asked.limit).await
}

/// Takes out of a reply what only its own provider's clients know: the members that have no canonical place.
#[must_use]
pub fn without_extra(mut reply: Reply) -> Reply {
    fn forget<T>(items: &mut [T], extra: impl Fn(&mut T) -> &mut Extra) {
        for item in items {
            *extra(item) = Extra::default();
        }
    }
    match &mut reply {
        Reply::Created(created) => created.customer.extra = Extra::default(),
        Reply::Customer(customer) => customer.extra = Extra::default(),
        Reply::Customers(page) => forget(&mut page.items, |customer| &mut customer.extra),
        Reply::PaymentMethods(page) => forget(&mut page.items, |method| &mut method.extra),
        Reply::Payments(page) => forget(&mut page.items, |payment| &mut payment.extra),
        Reply::OverdueInvoices(customer, OverdueInvoices { invoices, .. }) => {
            customer.extra = Extra::default();
            forget(invoices, |invoice| &mut invoice.extra);
        }
        Reply::Deleted => {}
    }
    reply
}

/// The names of the fields that a reply's customer lost, each once.
pub fn losses(reply: &Reply) -> Vec<&'static str> {
    let (Reply::Created(crate::model::Created { customer, .. }) | Reply::Customer(customer)) = reply else {
        return Vec::new();
    };
    let mut names: Vec<&'static str> = customer.fidelity.losses().map(|entry| entry.field.name()).collect();
    names.dedup();
    names
}

/// A failure as the client of another provider may be told it: its own id was wrong where ours was, and our
/// credentials are none of its business.
#[must_use]
pub fn for_client(error: Error, operation: Option<Operation>) -> Error {
    let is_collection = matches!(operation, Some(Operation::Create | Operation::List));
    let kind = match error.kind {
        Kind::InvalidId => Kind::NotFound,
        // A collection that is not there is a wrong address of ours, and so are credentials.
        Kind::NotFound if is_collection => Kind::BadResponse,
        Kind::Unauthorized => Kind::ProviderFailed,
        Kind::Throttled => Kind::RateLimited,
        kind => kind,
    };
    error.with_kind(kind)
}
