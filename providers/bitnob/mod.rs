#![doc = include_str!("README.md")]

mod server;
mod sign;
#[cfg(test)]
mod tests;
mod translate;
mod wire;

use std::sync::Arc;

use crate::{
    kit::{CustomerPage, CustomerProvider, Draft, Plan, Settings, Vendor, decode, document::Spelled},
    model::{
        CreateCustomer, Created, Customer, CustomerId, CustomerType, Error, Field, IdPattern, ListCustomers, Lookup,
        Operation, Patch, UpdateCustomer,
        auth::AuthScheme,
        manifest::{
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, ListCoverage, Lookups, Manifest, NameStyle,
            Paging, PagingStyle, Requirement, Support, UpdateStyle,
        },
        str_patch,
    },
    text::{Str, country::Region, name, phone},
};

/// Bitnob in the registry.
pub static VENDOR: Vendor = Vendor {
    manifests: &[&V1, &V2],
    connect: |settings| Arc::new(Bitnob::new(settings)),
    server: |settings| Arc::new(Bitnob::new(settings)),
};

/// The fields that Bitnob stores. Generation v1 lacks the last two.
const FIELDS: &[FieldSupport] = &[
    FieldSupport::emulated(Field::Name, name::SPLIT, "the first and the last name"),
    FieldSupport::native(Field::FirstName, "first_name, in v1 firstName"),
    FieldSupport::native(Field::LastName, "last_name, in v1 lastName"),
    FieldSupport::native(Field::Email, "email"),
    FieldSupport::native(Field::Phone, "phone and a dial code: country_code, in v1 countryCode"),
    FieldSupport::read_only(Field::Blocked, "blacklist"),
    FieldSupport::read_only(Field::CreatedAt, "created_at, in v1 createdAt"),
    FieldSupport::read_only(Field::UpdatedAt, "updated_at, in v1 updatedAt"),
    FieldSupport::native(Field::Type, "customer_type")
        .updated(Support::No("Bitnob changes only names, e-mail and phone in an update")),
    FieldSupport::read_only(Field::Metadata, "metadata, in the answer to a create"),
];

static V1: Manifest = Manifest {
    name: "bitnob",
    title: "Bitnob",
    generation: "v1",
    documentation: "https://www.bitnob.dev/api-reference/customers",
    base_url: Some("https://api.bitnob.co/api/v1"),
    auth: &[AuthScheme::Header { credential: "secret_key", name: "authorization", prefix: "Bearer " }],
    operations: &[
        (Operation::Delete, Support::No("generation v1 cannot delete a customer; v2 can")),
        (Operation::PaymentMethods, Support::No("Bitnob does not store payment methods of a customer")),
        (Operation::Payments, Support::No("Bitnob does not list payments by customer")),
        (Operation::OverdueInvoices, Support::No("Bitnob does not have invoices of a customer")),
    ],
    fields: FIELDS.split_at(FIELDS.len() - 2).0,
    echoes: &[],
    requires: &[Requirement { any_of: &[Field::Email], message: "Bitnob requires an e-mail address" }],
    lists: ListCoverage::All,
    filters: Filters::scanned("Bitnob does not store DIDs"),
    lookups: Lookups {
        email: FilterSupport::Exact,
        phone: FilterSupport::Scan,
        did: FilterSupport::No("Bitnob does not store DIDs"),
        reference: FilterSupport::Exact,
    },
    paging: Paging { style: PagingStyle::Pages, parameters: "page, take", max_limit: 50, tells_total: true },
    id: IdPattern::TOKEN,
    dedupe: Dedupes::of_creates(Dedupe::Unique),
    deletes_unknown: false,
    distinct: Support::Emulated("the gateway looks the e-mail up first"),
    update: UpdateStyle { names: NameStyle::Split, replaces_record: false, whole_address: false, clears: Clears::Sent },
};

static V2: Manifest = Manifest {
    generation: "v2",
    base_url: Some("https://api.bitnob.com"),
    auth: &[sign::HMAC],
    operations: V1.operations.split_at(1).1,
    fields: FIELDS,
    filters: Filters { blocked: FilterSupport::Exact, ..V1.filters },
    paging: Paging { parameters: "page, limit", ..V1.paging },
    update: UpdateStyle { replaces_record: true, ..V1.update },
    ..V1
};

/// Bitnob with the settings of one connection. This file has its client side, `server.rs` its server side.
#[derive(Debug, Clone, Copy)]
struct Bitnob {
    is_v2: bool,
    region: Option<Region>,
}

impl Bitnob {
    fn new(settings: Settings) -> Self {
        Self { is_v2: settings.generation == V2.generation, region: settings.region }
    }

    /// The document, written with this generation's member names.
    const fn spelled<D>(self, document: D) -> Spelled<D> {
        Spelled { document, other: !self.is_v2 }
    }

    /// The path of the customers collection.
    const fn collection(self) -> &'static str {
        if self.is_v2 { "/api/customers" } else { "/customers" }
    }

    /// A plan for a request that Bitnob answers with one customer.
    fn plan_one(self, draft: Draft) -> Result<Plan<Box<Customer>>, Error> {
        draft.plan(translate::refusal, move |answer| translate::one(answer, self))
    }

    /// A plan for a create or an update. Its report says that the phone number was sent in two parts.
    fn plan_write(self, draft: Draft, input: &wire::CustomerInput<'_>) -> Result<Plan<Box<Customer>>, Error> {
        let plan = self.plan_one(draft.json(&self.spelled(input))?)?;
        Ok(match input.country_code {
            Patch::Set(_) => plan.reporting(|report| report.rewritten(Field::Phone, phone::TO_DIAL_CODE)),
            _ => plan,
        })
    }

    fn plan_blacklist(self, id: &CustomerId, blacklist: bool) -> Result<Plan<Box<Customer>>, Error> {
        let draft = Draft::post(self.collection()).then("/blacklist").segment(id.at_provider())?;
        self.plan_one(draft.json(&wire::BlacklistInput { blacklist: Patch::Set(blacklist) })?)
    }
}

impl CustomerProvider for Bitnob {
    fn manifest(&self) -> &'static Manifest {
        if self.is_v2 { &V2 } else { &V1 }
    }

    fn region(&self) -> Option<Region> {
        self.region
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let mut input = translate::input(&command.fields);
        (input.last_name, input.country_code) = (input.last_name.of_new(), input.country_code.of_new());
        let lacks_type = self.is_v2 && input.customer_type.is_absent();
        if lacks_type {
            input.customer_type = Patch::Set(Str::new(CustomerType::Individual.as_str()));
        }
        let mut plan = self.plan_write(Draft::post(self.collection()), &input)?;
        if lacks_type {
            plan.fidelity.derived(Field::Type, "Bitnob requires a type; sent as `individual`");
        }
        Ok(plan.map(|customer| Ok(Created::new(customer))))
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_one(Draft::get(self.collection()).segment(id.at_provider())?)
    }

    fn plan_find(&self, lookup: &Lookup) -> Result<Plan<Option<Box<Customer>>>, Error> {
        let by_key = self.plan_one(Draft::get(self.collection()).segment(lookup.value())?)?.matching(lookup);
        let Lookup::Email(email) = lookup else { return Ok(by_key) };
        if self.is_v2 {
            return Ok(by_key);
        }
        // The documents look a customer up by `GET`, the published client of this host by `POST` (py).
        let input = wire::FetchInput { email: Patch::Set(Str::new(email)) };
        let draft = Draft::post(self.collection()).then("/fetch_customer").json(&input)?;
        let mut by_client = self.plan_one(draft)?.matching(lookup);
        by_client.writes = false;
        Ok(by_key.or_find(by_client))
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Box<Customer>>, Error> {
        let draft = Draft::put(self.collection()).segment(command.id.at_provider())?;
        let mut input = translate::input(&command.fields);
        // The documents show no dial code in an update. A provider that ignored ours would put the digits of one country
        // behind the code of another, so an international number is sent whole.
        if matches!(input.country_code, Patch::Set(_)) {
            input.phone = str_patch(&command.fields.phone);
            input.country_code = Patch::Absent;
        }
        self.plan_write(draft, &input)
    }

    fn plan_delete(&self, id: &CustomerId) -> Result<Plan<()>, Error> {
        self.manifest().require(Operation::Delete)?;
        let customer = id.clone();
        let draft = Draft::delete(self.collection()).segment(id.at_provider())?;
        draft.plan(translate::refusal, move |answer| {
            translate::check_success(answer)?;
            decode::deletion(answer, &customer, "id")
        })
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let (list, bitnob) = (command.clone(), *self);
        let (limit, page) = (u64::from(list.limit), list.position.page(list.limit));
        let draft = Draft::get(self.collection());
        let draft = if self.is_v2 {
            draft.flag("blacklist", list.filter.blocked).number("limit", limit).number("page", page)
        } else {
            draft.query("order", "DESC").number("page", page).number("take", limit)
        };
        draft.plan_page(translate::refusal, move |answer| translate::page(answer, &list, bitnob))
    }

    fn plan_block(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_blacklist(id, true)
    }

    fn plan_unblock(&self, id: &CustomerId) -> Result<Plan<Box<Customer>>, Error> {
        self.plan_blacklist(id, false)
    }
}
