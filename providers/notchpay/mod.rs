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
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, Lookups, Manifest, NameStyle, Paging,
            PagingStyle, Requirement, Support, UpdateStyle,
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

const SEARCHED: FilterSupport = FilterSupport::Loose("it goes through the search over name, e-mail and phone");

static MANIFEST: Manifest = Manifest {
    name: "notchpay",
    title: "Notch Pay",
    generation: "v1",
    documentation: "https://developer.notchpay.co/api-reference/customers",
    base_url: Some("https://api.notchpay.co"),
    auth: &[AuthScheme::Header { credential: "public_key", name: "authorization", prefix: "" }],
    operations: &[
        (Operation::Find, Support::Emulated("the list is searched, and compared exactly")),
        (Operation::OverdueInvoices, Support::No("Notch Pay has no invoices of a customer")),
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
    requires: &[Requirement { any_of: &[Field::Email, Field::Phone], told: "Notch Pay requires an email or a phone" }],
    filters: Filters {
        email: SEARCHED,
        phone: SEARCHED,
        did: FilterSupport::No("Notch Pay holds no did"),
        blocked: FilterSupport::Scan,
        search: FilterSupport::Exact,
    },
    lookups: Lookups {
        email: SEARCHED,
        phone: SEARCHED,
        did: FilterSupport::No("Notch Pay holds no did"),
        reference: FilterSupport::No("Notch Pay holds no reference"),
    },
    paging: Paging { style: PagingStyle::Pages, parameters: "page, limit", max_limit: 100, tells_total: true },
    id: IdPattern::DOTTED,
    dedupe: Dedupes::of_creates(Dedupe::Search),
    distinct: Support::Emulated("the list is searched by e-mail or phone, and compared exactly"),
    update: UpdateStyle { names: NameStyle::Full, replaces_record: false, whole_address: true, clears: Clears::Sent },
};

/// Notch Pay as a connection sets it up. Its own side is in `server.rs`.
#[derive(Debug, Clone)]
struct NotchPay {
    region: Option<Region>,
}

impl CustomerProvider for NotchPay {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let draft = Draft::post("/customers").json(&translate::input(&command.fields))?;
        let read = self.one();
        draft.plan(translate::refusal, move |answer| read(answer).map(Created::new))
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Customer>, Error> {
        Draft::get("/customers").segment(id.at_provider())?.plan(translate::refusal, self.one())
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Customer>, Error> {
        let draft = Draft::put("/customers").segment(command.id.at_provider())?;
        self.change(&command.id, draft.json(&translate::input(&command.fields))?)
    }

    fn plan_delete(&self, id: &CustomerId) -> Result<Plan<()>, Error> {
        Draft::delete("/customers").segment(id.at_provider())?.plan(translate::refusal, |_| Ok(()))
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let ListCustomers { limit, position, filter } = command.clone();
        // There is one search. What does not go into it is compared again; a phone's plus may not be held.
        let digits = filter.phone.as_deref().map(|phone| phone.trim_start_matches('+'));
        let search = filter.search.as_deref().or(filter.email.as_deref()).or(digits);
        let draft = Draft::get("/customers")
            .number("limit", limit.into())
            .number("page", position.page(limit))
            .maybe("search", search);
        let region = self.region;
        draft.plan_page(translate::refusal, move |answer| {
            translate::page(parse(answer.text()?)?, &position, limit, |told| translate::customer(told, region))
        })
    }

    fn plan_block(&self, id: &CustomerId) -> Result<Plan<Customer>, Error> {
        self.change(id, Draft::post("/customers").segment(id.at_provider())?.then("/block"))
    }

    fn plan_unblock(&self, id: &CustomerId) -> Result<Plan<Customer>, Error> {
        self.change(id, Draft::post("/customers").segment(id.at_provider())?.then("/unblock"))
    }

    fn plan_payment_methods(&self, command: &ListOfCustomer) -> Result<Plan<Page<PaymentMethod>>, Error> {
        let ListOfCustomer { id, limit, position, .. } = command.clone();
        // They are told all at once.
        Draft::get("/customers").segment(id.at_provider())?.then("/payment_methods").plan(
            translate::refusal,
            move |answer| {
                let source = answer.source()?;
                let told: wire::Page<'_, wire::PaymentMethod<'_>> = parse(source.as_str())?;
                let items = decode::each(told.items, "items", |method| translate::payment_method(method, &source))?;
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
        draft.plan(translate::refusal, move |answer| {
            let source = answer.source()?;
            translate::page(parse(source.as_str())?, &position, limit, |told| translate::payment(told, &source))
        })
    }
}

impl NotchPay {
    /// How the customer in an answer is read.
    fn one(&self) -> impl FnOnce(&Answer) -> Result<Customer, Error> + Send + 'static {
        let region = self.region;
        move |answer| decode::required(translate::one(answer, region)?, "customer.id")
    }

    /// A change whose answer may lack the customer (clients); then the record is read again.
    fn change(&self, id: &CustomerId, draft: Draft) -> Result<Plan<Customer>, Error> {
        let region = self.region;
        let plan = draft.plan(translate::refusal, move |answer| translate::one(answer, region))?;
        Ok(plan.or_read(self.plan_retrieve(id)?))
    }
}
