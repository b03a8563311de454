#![doc = include_str!("README.md")]

mod server;
mod sign;
#[cfg(test)]
mod tests;
mod translate;
mod wire;

use std::sync::Arc;

use crate::{
    kit::{CustomerPage, CustomerProvider, Draft, Plan, Vendor, decode, document::parse},
    model::{
        Customer, CustomerId, Error, Field, FieldError, IdPattern, ListCustomers, Lookup, Operation, OverdueInvoices,
        Page, Patch, UpdateCustomer,
        auth::AuthScheme,
        manifest::{
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, ListCoverage, Lookups, Manifest, NameStyle,
            Paging, PagingStyle, Support, UpdateStyle,
        },
    },
    text::{country::Region, name},
};

/// PaymentKit in the registry.
pub static VENDOR: Vendor = Vendor {
    manifests: &[&MANIFEST],
    connect: |settings| Arc::new(PaymentKit { region: settings.region, livemode: settings.livemode }),
    server: |settings| Arc::new(PaymentKit { region: settings.region, livemode: settings.livemode }),
};

static MANIFEST: Manifest = Manifest {
    name: "paymentkit",
    title: "ArcBlock PaymentKit",
    generation: "v1",
    documentation: "https://www.arcblock.io/content/docs/payment-kit-sdk/api-reference-customers-381920",
    base_url: None,
    auth: &[AuthScheme::Header { credential: "access_key", name: "authorization", prefix: "Bearer " }, sign::SIGNATURE],
    operations: &[
        (Operation::Create, Support::No("the ArcBlock app creates the customer when a user with a DID signs in")),
        (
            Operation::Find,
            Support::Emulated("PaymentKit finds by DID; for an e-mail or a phone the gateway searches its customers"),
        ),
        (Operation::Delete, Support::No("PaymentKit's API cannot delete a customer")),
        (Operation::Block, Support::No("PaymentKit cannot block a customer")),
        (Operation::Unblock, Support::No("PaymentKit cannot block a customer")),
        (Operation::PaymentMethods, Support::No("PaymentKit's customers API does not list payment methods")),
        (Operation::Payments, Support::No("PaymentKit's customers API does not list payments")),
    ],
    fields: &[
        FieldSupport::native(Field::Name, "name"),
        FieldSupport::emulated(Field::FirstName, name::JOINED, "name"),
        FieldSupport::emulated(Field::LastName, name::JOINED, "name"),
        FieldSupport::native(Field::Email, "email"),
        FieldSupport::native(Field::Phone, "phone"),
        FieldSupport::native(Field::Line1, "address.line1"),
        FieldSupport::native(Field::Line2, "address.line2"),
        FieldSupport::native(Field::City, "address.city"),
        FieldSupport::native(Field::State, "address.state"),
        FieldSupport::native(Field::PostalCode, "address.postal_code"),
        FieldSupport::native(Field::Country, "address.country"),
        FieldSupport::native(Field::Metadata, "metadata"),
        FieldSupport::read_only(Field::Did, "did"),
        FieldSupport::read_only(Field::Balance, "balance, in PaymentKit's own unit"),
        FieldSupport::read_only(Field::Delinquent, "delinquent"),
        FieldSupport::read_only(Field::Livemode, "livemode"),
        FieldSupport::read_only(Field::CreatedAt, "created_at"),
        FieldSupport::read_only(Field::UpdatedAt, "updated_at"),
    ],
    echoes: &[],
    requires: &[],
    lists: ListCoverage::All,
    filters: Filters {
        email: FilterSupport::Loose(SEARCH),
        phone: FilterSupport::Scan,
        did: FilterSupport::Alone,
        blocked: FilterSupport::No("PaymentKit cannot block a customer"),
        search: FilterSupport::Exact,
    },
    lookups: Lookups {
        email: FilterSupport::Loose(SEARCH),
        phone: FilterSupport::Scan,
        did: FilterSupport::Exact,
        reference: FilterSupport::No("PaymentKit does not store references"),
    },
    paging: Paging { style: PagingStyle::Pages, parameters: "page, pageSize", max_limit: 100, tells_total: true },
    id: IdPattern {
        described: "^[A-Za-z0-9_-]{1,255}$, and not one of PaymentKit's own routes such as `search`",
        allows: |id| (IdPattern::TOKEN.allows)(id) && !ROUTES.contains(&id),
    },
    // The API cannot create, so the class of creates has no effect.
    dedupe: Dedupes::of_creates(Dedupe::Nothing),
    deletes_unknown: false,
    distinct: Support::No("PaymentKit's API cannot create a customer"),
    update: UpdateStyle { names: NameStyle::Full, replaces_record: false, whole_address: true, clears: Clears::Sent },
};

const SEARCH: &str = "the search matches parts of names, e-mail addresses and DIDs";

/// Paths that stand in the place of an id but are routes of their own (sdk).
const ROUTES: [&str; 4] = ["search", "me", "payer-token", "sync-to-space"];

const CUSTOMERS: &str = "/api/customers";

/// PaymentKit with the settings of one connection. This file has its client side, `server.rs` its server side.
#[derive(Debug, Clone)]
struct PaymentKit {
    region: Option<Region>,
    livemode: bool,
}

impl PaymentKit {
    /// Adds the mode, which every request has at the end of its query (sdk).
    fn with_mode(&self, draft: Draft) -> Draft {
        draft.flag("livemode", Some(self.livemode))
    }

    /// A plan for a request that PaymentKit answers with one customer, without an envelope.
    fn plan_one(&self, draft: Draft) -> Result<Plan<Box<Customer>>, Error> {
        let region = self.region;
        self.with_mode(draft).plan(translate::refusal, move |answer| {
            let source = answer.source()?;
            Ok(translate::customer(parse(source.as_str())?, region)?.into_owned(&source).into())
        })
    }
}

impl CustomerProvider for PaymentKit {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn region(&self) -> Option<Region> {
        self.region
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_one(Draft::get(CUSTOMERS).segment(id.at_provider())?)
    }

    fn plan_retrieve_or_create(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        let input = wire::RetrieveInput { create: Patch::Set(true) };
        let mut plan = self.plan_one(Draft::get(CUSTOMERS).segment(id.at_provider())?.json(&input)?)?;
        plan.writes = true;
        Ok(plan)
    }

    fn plan_find(&self, lookup: &Lookup) -> Result<Plan<Option<Box<Customer>>>, Error> {
        let did = CustomerId::parse(lookup.value().clone(), &MANIFEST.id)
            .map_err(|_| Error::invalid(vec![FieldError::new("did", "is not a DID")]))?;
        // The same route also finds by id, so the answer's DID is compared again.
        Ok(self.plan_retrieve(&did)?.matching(lookup))
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_one(
            Draft::put(CUSTOMERS).segment(command.id.at_provider())?.json(&translate::input(&command.fields))?,
        )
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let ListCustomers { limit, position, filter } = command.clone();
        // PaymentKit searches for one text. The manifest says which filters the gateway compares again.
        let search = filter.search.as_deref().or(filter.email.as_deref());
        let path = if search.is_some() { "/api/customers/search" } else { CUSTOMERS };
        let draft = Draft::get(path)
            .number("page", position.page(limit))
            .number("pageSize", limit.into())
            .maybe("query", search)
            .maybe("did", filter.did.as_deref());
        let region = self.region;
        self.with_mode(draft).plan_page(translate::refusal, move |answer| {
            let wire::Page { list, count, .. } = parse(answer.text()?)?;
            let customers = decode::each(list, "list", |received| translate::customer(received, region))?;
            Ok(Page::of_numbered(customers, &position, limit, count))
        })
    }

    fn plan_overdue_invoices(&self, id: &CustomerId) -> Result<Plan<OverdueInvoices>, Error> {
        let draft = Draft::get(CUSTOMERS).segment(id.at_provider())?.then("/overdue/invoices");
        let region = self.region;
        self.with_mode(draft.for_many())
            .plan(translate::refusal, move |answer| translate::overdue(&answer.source()?, region))
    }
}
