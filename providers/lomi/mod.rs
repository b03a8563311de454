#![doc = include_str!("README.md")]

mod server;
mod translate;
mod wire;

use std::sync::Arc;

use crate::{
    kit::{CustomerPage, CustomerProvider, Draft, Plan, Vendor, decode, document::parse},
    model::{
        CreateCustomer, Created, Customer, CustomerId, Error, Field, IdPattern, ListCustomers, Operation, Page,
        UpdateCustomer,
        auth::AuthScheme,
        manifest::{
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, ListCoverage, Lookups, Manifest, NameStyle,
            Paging, PagingStyle, Requirement, Support, UpdateStyle,
        },
    },
    text::{country::Region, name},
};

/// lomi in the registry.
pub static VENDOR: Vendor = Vendor {
    manifests: &[&MANIFEST],
    connect: |settings| Arc::new(Lomi { region: settings.region }),
    server: |settings| Arc::new(Lomi { region: settings.region }),
};

static MANIFEST: Manifest = Manifest {
    name: "lomi",
    title: "lomi.",
    generation: "v1",
    documentation: "https://developers.lomi.africa/reference/platform/customers",
    base_url: Some("https://api.lomi.africa/v1"),
    auth: &[AuthScheme::Header { credential: "api_key", name: "x-api-key", prefix: "" }],
    operations: &[
        (Operation::Find, Support::Emulated("the gateway searches the list and compares exactly")),
        (Operation::Block, Support::No("generation v1 cannot block a customer")),
        (Operation::Unblock, Support::No("generation v1 cannot block a customer")),
        (Operation::PaymentMethods, Support::No("lomi does not store payment methods of a customer")),
        (Operation::Payments, Support::No("generation v1 does not list transactions by customer")),
        (Operation::OverdueInvoices, Support::No("lomi does not have invoices of a customer")),
    ],
    fields: &[
        FieldSupport::native(Field::Name, "name"),
        FieldSupport::emulated(Field::FirstName, name::JOINED, "name"),
        FieldSupport::emulated(Field::LastName, name::JOINED, "name"),
        FieldSupport::native(Field::Email, "email"),
        FieldSupport::native(Field::Phone, "phone_number"),
        FieldSupport::native(Field::Whatsapp, "whatsapp_number"),
        FieldSupport::native(Field::Line1, "address"),
        FieldSupport::native(Field::City, "city"),
        FieldSupport::native(Field::PostalCode, "postal_code"),
        FieldSupport::native(Field::Country, "country, as free text"),
        FieldSupport::native(Field::Type, "is_business"),
        FieldSupport::native(Field::Metadata, "metadata"),
        FieldSupport::read_only(Field::Livemode, "environment, on single customers only"),
        FieldSupport::read_only(Field::CreatedAt, "created_at"),
        FieldSupport::read_only(Field::UpdatedAt, "updated_at"),
    ],
    echoes: &[Field::Metadata],
    requires: &[Requirement { any_of: &[Field::Name], message: "lomi requires a name" }],
    lists: ListCoverage::Only("customers with completed or refunded transactions"),
    filters: Filters {
        email: FilterSupport::Loose("lomi also matches parts of the name and of the e-mail"),
        blocked: FilterSupport::No("generation v1 cannot block a customer"),
        ..Filters::scanned("lomi does not store DIDs")
    },
    lookups: Lookups {
        email: FilterSupport::Loose("lomi also matches parts of the name and of the e-mail"),
        phone: FilterSupport::Scan,
        did: FilterSupport::No("lomi does not store DIDs"),
        reference: FilterSupport::No("lomi does not store references"),
    },
    paging: Paging { style: PagingStyle::Pages, parameters: "page, limit", max_limit: 100, tells_total: false },
    id: IdPattern::UUID,
    dedupe: Dedupes::of_creates(Dedupe::Search),
    deletes_unknown: true,
    distinct: Support::Emulated("the gateway searches the list by e-mail and compares exactly"),
    update: UpdateStyle {
        names: NameStyle::Full,
        replaces_record: false,
        whole_address: false,
        clears: Clears::No("lomi v1 cannot clear a field: it refuses null and ignores empty values"),
    },
};

/// lomi with the settings of one connection. This file has its client side, `server.rs` its server side.
#[derive(Debug, Clone)]
struct Lomi {
    region: Option<Region>,
}

impl CustomerProvider for Lomi {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn region(&self) -> Option<Region> {
        self.region
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let region = self.region;
        Draft::post("/customers").json(&translate::input(&command.fields))?.plan(translate::refusal, move |answer| {
            let customer = decode::required(translate::one(&answer.source()?, region)?, "data.customer_id")?;
            Ok(Created::new(customer))
        })
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        let region = self.region;
        Draft::get("/customers").segment(id.at_provider())?.plan(translate::refusal, move |answer| {
            decode::required(translate::one(&answer.source()?, region)?, "data.customer_id")
        })
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Box<Customer>>, Error> {
        let region = self.region;
        // The answer may lack the customer, and does not show whether the id is known (run). Then the plan retrieves
        // it.
        let draft = Draft::patch("/customers").segment(command.id.at_provider())?;
        draft.json(&translate::input(&command.fields))?.plan_or_read(
            translate::refusal,
            move |answer| translate::one(&answer.source()?, region),
            self.plan_retrieve(&command.id)?,
        )
    }

    fn plan_delete(&self, id: &CustomerId) -> Result<Plan<()>, Error> {
        let customer = id.clone();
        let draft = Draft::delete("/customers").segment(id.at_provider())?;
        draft.plan(translate::refusal, move |answer| decode::deletion(answer, &customer, "customer_id"))
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let ListCustomers { limit, position, filter } = command.clone();
        let region = self.region;
        let draft = Draft::get("/customers")
            .number("limit", limit.into())
            .number("page", position.page(limit))
            .maybe("email", filter.email.as_deref());
        draft.plan_page(translate::refusal, move |answer| {
            let page: wire::Page<'_> = parse(answer.text()?)?;
            let customers = decode::each(page.data, "data", |received| translate::customer(received, region))?;
            Ok(Page::of_unknown_length(customers, &position, limit))
        })
    }
}
