#![doc = include_str!("README.md")]

mod server;
mod translate;
mod wire;

use std::sync::Arc;

use http::StatusCode;

use crate::{
    kit::{Answer, CustomerPage, CustomerProvider, Draft, Plan, Vendor, decode, document::parse},
    model::{
        CreateCustomer, Created, Customer, CustomerFields, CustomerId, Error, Fidelity, Field, IdPattern,
        ListCustomers, ListOfCustomer, Operation, Page, Patch, PaymentMethod, UpdateCustomer,
        auth::AuthScheme,
        manifest::{
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, ListCoverage, Lookups, Manifest, NameStyle,
            Paging, PagingStyle, Requirement, Support, UpdateStyle,
        },
        str_patch,
    },
    text::{country::Region, name, phone},
};

/// Modem Pay in the registry.
pub static VENDOR: Vendor = Vendor {
    manifests: &[&MANIFEST],
    connect: |settings| Arc::new(ModemPay { region: settings.region }),
    server: |settings| Arc::new(ModemPay { region: settings.region }),
};

static MANIFEST: Manifest = Manifest {
    name: "modempay",
    title: "Modem Pay",
    generation: "v1",
    documentation: "https://docs.modempay.com/documentation/core/customers",
    base_url: Some("https://api.modempay.com"),
    auth: &[AuthScheme::Header { credential: "secret_key", name: "authorization", prefix: "Bearer " }],
    operations: &[
        (Operation::Find, Support::Emulated("the gateway searches the list and compares exactly")),
        (Operation::Block, Support::No("Modem Pay cannot block a customer")),
        (Operation::Unblock, Support::No("Modem Pay cannot block a customer")),
        (Operation::Payments, Support::No("Modem Pay does not list payments by customer")),
        (Operation::OverdueInvoices, Support::No("Modem Pay does not have invoices of a customer")),
    ],
    fields: &[
        FieldSupport::native(Field::Name, "name"),
        FieldSupport::emulated(Field::FirstName, name::JOINED, "name"),
        FieldSupport::emulated(Field::LastName, name::JOINED, "name"),
        FieldSupport::native(Field::Email, "email"),
        FieldSupport::native(Field::Phone, "phone, in national digits"),
        FieldSupport::native(Field::Balance, "balance, as a JSON number"),
        FieldSupport::read_only(Field::Livemode, "test_mode, inverted"),
        FieldSupport::read_only(Field::CreatedAt, "createdAt"),
        FieldSupport::read_only(Field::UpdatedAt, "updatedAt"),
    ],
    echoes: &[],
    requires: &[Requirement { any_of: &[Field::Name], message: "Modem Pay requires a name" }],
    lists: ListCoverage::All,
    filters: Filters {
        email: FilterSupport::Loose("the search also matches other fields"),
        blocked: FilterSupport::No("Modem Pay cannot block a customer"),
        search: FilterSupport::Exact,
        ..Filters::scanned("Modem Pay does not store DIDs")
    },
    lookups: Lookups {
        email: FilterSupport::Loose("the search also matches other fields"),
        phone: FilterSupport::Scan,
        did: FilterSupport::No("Modem Pay does not store DIDs"),
        reference: FilterSupport::No("Modem Pay does not store references"),
    },
    paging: Paging { style: PagingStyle::Offset, parameters: "offset, limit", max_limit: 100, tells_total: true },
    id: IdPattern::TOKEN,
    dedupe: Dedupes::of_creates(Dedupe::Search),
    deletes_unknown: false,
    distinct: Support::Native,
    update: UpdateStyle { names: NameStyle::Full, replaces_record: false, whole_address: false, clears: Clears::Sent },
};

/// Modem Pay with the settings of one connection. This file has its client side, `server.rs` its server side.
#[derive(Debug, Clone)]
struct ModemPay {
    region: Option<Region>,
}

impl ModemPay {
    /// Reads an answer that holds one customer.
    fn one(&self) -> impl FnOnce(&Answer) -> Result<Box<Customer>, Error> + Send + 'static {
        let region = self.region;
        move |answer| {
            let source = answer.source()?;
            Ok(translate::customer(parse(source.as_str())?, region)?.into_owned(&source).into())
        }
    }

    /// The request body of a create or an update, and a report on a phone number that is sent in another form.
    fn input<'f>(&self, fields: &'f CustomerFields) -> (wire::CustomerInput<'f>, Fidelity) {
        let (input, mut report) = (translate::input(fields, self.region), Fidelity::default());
        if input.phone != str_patch(&fields.phone) {
            report.rewritten(Field::Phone, phone::TO_NATIONAL);
        }
        (input, report)
    }
}

impl CustomerProvider for ModemPay {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn region(&self) -> Option<Region> {
        self.region
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let CreateCustomer { fields, distinct, .. } = command;
        let (mut input, report_of_input) = self.input(fields);
        input.config = Patch::Set(wire::Config { distinct: Patch::Set(*distinct) });
        let (read, distinct) = (self.one(), *distinct);
        let plan = Draft::post("/v1/customers").json(&input)?.plan(translate::refusal, move |answer| {
            let customer = read(answer)?;
            // Modem Pay answers a new customer with 201 (ref). How it answers a match is not documented: 200 is
            // assumed.
            let existing = distinct && answer.status() == StatusCode::OK;
            Ok(Created { customer, existing })
        })?;
        Ok(plan.reporting(|report| report.extend(&report_of_input)))
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        Draft::get("/v1/customers").segment(id.at_provider())?.plan(translate::refusal, self.one())
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Box<Customer>>, Error> {
        let UpdateCustomer { id, fields } = command;
        let (input, report_of_input) = self.input(fields);
        let update = wire::Update { data: Patch::Set(input) };
        let draft = Draft::put("/v1/customers").segment(id.at_provider())?.json(&update)?;
        Ok(draft.plan(translate::refusal, self.one())?.reporting(|report| report.extend(&report_of_input)))
    }

    fn plan_delete(&self, id: &CustomerId) -> Result<Plan<()>, Error> {
        let customer = id.clone();
        let draft = Draft::delete("/v1/customers").segment(id.at_provider())?;
        draft.plan(translate::refusal, move |answer| decode::deletion(answer, &customer, "id"))
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let ListCustomers { limit, position, filter } = command.clone();
        let region = self.region;
        // The gateway compares the e-mail again, but not a search. So `search` goes first where both are given.
        let term = filter.search.or(filter.email);
        let term = term.as_ref().map(|term| translate::national(term, region));
        let draft = Draft::get("/v1/customers")
            .query("term", term.unwrap_or_default())
            .number("offset", position.offset())
            .number("limit", limit.into())
            .maybe("search", term);
        draft.plan_page(translate::refusal, move |answer| {
            translate::page(parse(answer.text()?)?, &position, limit, |received| translate::customer(received, region))
        })
    }

    fn plan_payment_methods(&self, command: &ListOfCustomer) -> Result<Plan<Page<PaymentMethod>>, Error> {
        let ListOfCustomer { id, limit, position, .. } = command.clone();
        let region = self.region;
        let draft = Draft::get("/v1/customers")
            .segment(id.at_provider())?
            .then("/payment-methods")
            .number("offset", position.offset())
            .number("limit", limit.into());
        draft.for_many().plan(translate::refusal, move |answer| {
            let source = answer.source()?;
            translate::page(parse(source.as_str())?, &position, limit, |received| {
                translate::payment_method(received, &source, region)
            })
        })
    }
}
