#![doc = include_str!("README.md")]

mod server;
mod translate;
mod wire;

use std::sync::Arc;

use crate::{
    kit::{Answer, CustomerPage, CustomerProvider, Draft, Plan, Vendor, decode, document::parse},
    model::{
        CreateCustomer, Created, Customer, CustomerId, Error, Field, IdPattern, ListCustomers, ListOfCustomer,
        Operation, Page, Payment, PaymentMethod, UpdateCustomer,
        auth::AuthScheme,
        manifest::{
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, ListCoverage, Lookups, Manifest, NameStyle,
            Paging, PagingStyle, Requirement, Support, UpdateStyle,
        },
    },
    text::{country::Region, name},
};

/// Notch Pay in the registry.
pub static VENDOR: Vendor = Vendor {
    manifests: &[&MANIFEST],
    connect: |settings| Arc::new(NotchPay { region: settings.region }),
    server: |settings| Arc::new(NotchPay { region: settings.region }),
};

const SEARCHED: FilterSupport = FilterSupport::Loose("Notch Pay searches name, e-mail and phone together");

static MANIFEST: Manifest = Manifest {
    name: "notchpay",
    title: "Notch Pay",
    generation: "v1",
    documentation: "https://developer.notchpay.co/api-reference/customers",
    base_url: Some("https://api.notchpay.co"),
    auth: &[AuthScheme::Header { credential: "public_key", name: "authorization", prefix: "" }],
    operations: &[
        (Operation::Find, Support::Emulated("the gateway searches the list and compares exactly")),
        (Operation::OverdueInvoices, Support::No("Notch Pay does not have invoices of a customer")),
    ],
    fields: &[
        FieldSupport::native(Field::Name, "name"),
        FieldSupport::emulated(Field::FirstName, name::JOINED, "name"),
        FieldSupport::emulated(Field::LastName, name::JOINED, "name"),
        FieldSupport::native(Field::Email, "email"),
        FieldSupport::native(Field::Phone, "phone"),
        FieldSupport::native(Field::Line1, "address.address_line1"),
        FieldSupport::native(Field::Line2, "address.address_line2"),
        FieldSupport::native(Field::City, "address.city"),
        FieldSupport::native(Field::State, "address.state"),
        FieldSupport::native(Field::PostalCode, "address.postal_code"),
        FieldSupport::native(Field::Country, "address.country"),
        FieldSupport::read_only(Field::Blocked, "blocked"),
        FieldSupport::read_only(Field::Livemode, "sandbox, inverted"),
        FieldSupport::native(Field::Metadata, "metadata"),
        FieldSupport::read_only(Field::CreatedAt, "created_at"),
        FieldSupport::read_only(Field::UpdatedAt, "updated_at"),
    ],
    echoes: &[],
    requires: &[Requirement {
        any_of: &[Field::Email, Field::Phone],
        message: "Notch Pay requires an e-mail address or a phone number",
    }],
    lists: ListCoverage::All,
    filters: Filters {
        email: SEARCHED,
        phone: SEARCHED,
        did: FilterSupport::No("Notch Pay does not store DIDs"),
        blocked: FilterSupport::Scan,
        search: FilterSupport::Exact,
    },
    lookups: Lookups {
        email: SEARCHED,
        phone: SEARCHED,
        did: FilterSupport::No("Notch Pay does not store DIDs"),
        reference: FilterSupport::No("Notch Pay does not store references"),
    },
    paging: Paging { style: PagingStyle::Pages, parameters: "page, limit", max_limit: 100, tells_total: true },
    id: IdPattern::DOTTED,
    dedupe: Dedupes::of_creates(Dedupe::Search),
    deletes_unknown: false,
    distinct: Support::Emulated("the gateway searches the list by e-mail or phone and compares exactly"),
    update: UpdateStyle { names: NameStyle::Full, replaces_record: false, whole_address: true, clears: Clears::Sent },
};

/// Notch Pay with the settings of one connection. This file has its client side, `server.rs` its server side.
#[derive(Debug, Clone)]
struct NotchPay {
    region: Option<Region>,
}

impl CustomerProvider for NotchPay {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn region(&self) -> Option<Region> {
        self.region
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let draft = Draft::post("/customers").json(&translate::input(&command.fields))?;
        let read = self.one();
        draft.plan(translate::refusal, move |answer| read(answer).map(Created::new))
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        Draft::get("/customers").segment(id.at_provider())?.plan(translate::refusal, self.one())
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Box<Customer>>, Error> {
        let draft = Draft::put("/customers").segment(command.id.at_provider())?;
        self.plan_change(&command.id, draft.json(&translate::input(&command.fields))?)
    }

    fn plan_delete(&self, id: &CustomerId) -> Result<Plan<()>, Error> {
        let customer = id.clone();
        let draft = Draft::delete("/customers").segment(id.at_provider())?;
        draft.plan(translate::refusal, move |answer| decode::deletion(answer, &customer, "id"))
    }

    /// The lists of the prose have only the id, the name, e-mail, phone and `created_at` of each customer.
    fn lists_in_full(&self, entry: &Customer) -> bool {
        entry.updated_at.is_some()
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let ListCustomers { limit, position, filter } = command.clone();
        // Notch Pay has one search, so only one of the three can be sent. The gateway compares the other filters
        // itself.
        let digits = filter.phone.as_deref().map(|phone| translate::searched_digits(phone, self.region));
        let search = filter.search.as_deref().or(filter.email.as_deref()).or(digits);
        let draft = Draft::get("/customers")
            .number("limit", limit.into())
            .number("page", position.page(limit))
            .maybe("search", search);
        let region = self.region;
        draft.plan_page(translate::refusal, move |answer| {
            translate::page(parse(answer.text()?)?, &position, limit, |received| translate::customer(received, region))
        })
    }

    fn plan_block(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_change(id, Draft::post("/customers").segment(id.at_provider())?.then("/block"))
    }

    fn plan_unblock(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_change(id, Draft::post("/customers").segment(id.at_provider())?.then("/unblock"))
    }

    fn plan_payment_methods(&self, command: &ListOfCustomer) -> Result<Plan<Page<PaymentMethod>>, Error> {
        let ListOfCustomer { id, limit, position, .. } = command.clone();
        // Notch Pay answers all of them at once.
        Draft::get("/customers").segment(id.at_provider())?.then("/payment_methods").for_many().plan(
            translate::refusal,
            move |answer| {
                let source = answer.source()?;
                let page: wire::Page<'_, wire::PaymentMethod<'_>> = parse(source.as_str())?;
                let items = decode::each(page.items, "items", |method| translate::payment_method(method, &source))?;
                Ok(Page::of_all(items, &position, limit))
            },
        )
    }

    fn plan_payments(&self, command: &ListOfCustomer) -> Result<Plan<Page<Payment>>, Error> {
        let ListOfCustomer { id, limit, position, status } = command.clone();
        let draft = Draft::get("/customers")
            .segment(id.at_provider())?
            .then("/payments")
            .number("limit", limit.into())
            .number("page", position.page(limit))
            .maybe("status", status.as_deref());
        draft.for_many().plan(translate::refusal, move |answer| {
            let source = answer.source()?;
            translate::page(parse(source.as_str())?, &position, limit, |received| translate::payment(received, &source))
        })
    }
}

impl NotchPay {
    /// Reads an answer that must hold one customer.
    fn one(&self) -> impl FnOnce(&Answer) -> Result<Box<Customer>, Error> + Send + 'static {
        let region = self.region;
        move |answer| decode::required(translate::one(answer, region)?, "customer.id")
    }

    /// A plan for a change of one customer. Its answer may lack the customer (py); then the plan retrieves it.
    fn plan_change(&self, id: &CustomerId, draft: Draft) -> Result<Plan<Box<Customer>>, Error> {
        let region = self.region;
        let retrieve = self.plan_retrieve(id)?;
        draft.plan_or_read(translate::refusal, move |answer| translate::one(answer, region), retrieve)
    }
}
