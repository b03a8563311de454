#![doc = include_str!("README.md")]

mod server;
mod sign;
#[cfg(test)]
mod tests;
mod translate;
mod wire;

use std::sync::Arc;

use http::Method;

use crate::{
    Settings, Vendor,
    error::Error,
    fidelity::Fidelity,
    manifest::{
        Clears, Dedupe, FieldSupport, FilterSupport, Filters, IdPattern, Lookups, Manifest, NameStyle, Paging,
        PagingStyle, Requirement, Support, UpdateStyle,
    },
    model::{
        CreateCustomer, Created, Customer, CustomerFilter, CustomerId, Field, ListCustomers, Lookup, Operation, Page,
        Patch, UpdateCustomer,
    },
    plan::{Draft, Plan, Request, Step, unsupported},
    provider::CustomerProvider,
    reading,
    sign::AuthScheme,
    text::{Text, country::Region, name},
};

/// Bitnob in the registry.
pub static VENDOR: Vendor = Vendor {
    manifests: &[&V1, &V2],
    connect: |settings| Arc::new(Bitnob::new(settings)),
    imitate: |settings| Arc::new(server::Server(Bitnob::new(settings))),
};

static V1: Manifest = Manifest {
    name: "bitnob",
    title: "Bitnob",
    generation: "v1",
    documentation: "https://www.bitnob.dev/api-reference/customers",
    base_url: Some("https://api.bitnob.co/api/v1"),
    auth: &[AuthScheme::Header { credential: "secret_key", name: "authorization", prefix: "Bearer " }, sign::HMAC],
    operations: &[
        (Operation::Delete, Support::No("generation v1 cannot delete a customer; v2 can")),
        (Operation::PaymentMethods, Support::No("Bitnob keeps no payment methods for a customer")),
        (Operation::Payments, Support::No("Bitnob does not list payments by customer")),
        (Operation::OverdueInvoices, Support::No("Bitnob has no invoices of a customer")),
    ],
    fields: &[
        FieldSupport::emulated(Field::Name, name::SPLIT, "firstName and lastName"),
        FieldSupport::native(Field::FirstName, "firstName"),
        FieldSupport::native(Field::LastName, "lastName"),
        FieldSupport::native(Field::Email, "email"),
        FieldSupport::native(Field::Phone, "countryCode, a dial code, and phone"),
        FieldSupport::read_only(Field::Blocked, "blacklist"),
        FieldSupport::read_only(Field::CreatedAt, "createdAt"),
        FieldSupport::read_only(Field::UpdatedAt, "updatedAt"),
    ],
    requires: &[Requirement { any_of: &[Field::Email], told: "Bitnob requires an e-mail address" }],
    filters: Filters {
        email: FilterSupport::Scan,
        phone: FilterSupport::Scan,
        did: FilterSupport::No("Bitnob holds no did"),
        blocked: FilterSupport::Scan,
        search: FilterSupport::Scan,
    },
    lookups: Lookups {
        email: FilterSupport::Exact,
        phone: FilterSupport::Scan,
        did: FilterSupport::No("Bitnob holds no did"),
        reference: FilterSupport::Exact,
    },
    paging: Paging { style: PagingStyle::Pages, parameters: "page, take", max_limit: 50, tells_total: true },
    id: IdPattern::TOKEN,
    dedupe: Dedupe::Unique,
    distinct: Support::Emulated("the e-mail is looked up first"),
    update: UpdateStyle { names: NameStyle::Split, replaces_record: false, whole_address: false, clears: Clears::Sent },
};

const STORED_TEXT: FilterSupport = FilterSupport::Loose("the stored text is compared; usual spellings are tried");

static V2: Manifest = Manifest {
    generation: "v2",
    base_url: Some("https://api.bitnob.com"),
    auth: &[sign::HMAC],
    operations: &[
        (Operation::PaymentMethods, Support::No("the cards of a customer are issued to it; it does not pay with them")),
        (Operation::Payments, Support::No("Bitnob does not list payments by customer")),
        (Operation::OverdueInvoices, Support::No("Bitnob has no invoices of a customer")),
    ],
    fields: &[
        FieldSupport::emulated(Field::Name, name::SPLIT, "first_name and last_name"),
        FieldSupport::native(Field::FirstName, "first_name"),
        FieldSupport::native(Field::LastName, "last_name"),
        FieldSupport::native(Field::Email, "email"),
        FieldSupport::native(Field::Phone, "country_code, a dial code, and phone"),
        FieldSupport::native(Field::Type, "customer_type")
            .updated(Support::No("an update takes names, e-mail and phone only")),
        FieldSupport::read_only(Field::Blocked, "blacklist"),
        FieldSupport::read_only(Field::Metadata, "metadata, in the answer to a create"),
        FieldSupport::read_only(Field::CreatedAt, "created_at"),
        FieldSupport::read_only(Field::UpdatedAt, "updated_at"),
    ],
    filters: Filters { phone: STORED_TEXT, blocked: FilterSupport::Exact, ..V1.filters },
    lookups: Lookups { phone: STORED_TEXT, ..V1.lookups },
    paging: Paging { parameters: "page, limit", ..V1.paging },
    update: UpdateStyle { replaces_record: true, ..V1.update },
    ..V1
};

/// A generation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    V1,
    V2,
}

/// Bitnob as a connection sees it.
#[derive(Debug, Clone, Copy)]
struct Bitnob {
    generation: Generation,
    region: Option<Region>,
}

impl Bitnob {
    fn new(settings: Settings) -> Self {
        let generation = if settings.generation == V2.generation { Generation::V2 } else { Generation::V1 };
        Self { generation, region: settings.region }
    }

    const fn manifest(self) -> &'static Manifest {
        match self.generation {
            Generation::V1 => &V1,
            Generation::V2 => &V2,
        }
    }

    /// A request to the customers.
    const fn customers(self, method: Method) -> Draft {
        Draft::new(
            method,
            match self.generation {
                Generation::V1 => "/customers",
                Generation::V2 => "/api/customers",
            },
        )
    }

    /// A request that writes a customer.
    fn write(self, draft: Draft, input: wire::CustomerInput<'_>) -> Result<Request, Error> {
        match self.generation {
            Generation::V1 => draft.json(&wire::CamelCustomerInput::from(input))?.build(),
            Generation::V2 => draft.json(&input)?.build(),
        }
    }

    /// Sends a request that is answered with one customer.
    fn answered(self, request: Request) -> Plan<Customer> {
        Plan::new(request, translate::refusal, move |answer| reading::required(translate::one(answer, self)?, "data"))
    }

    /// Reads a customer by its id, e-mail or reference.
    fn one(self, by: &Text) -> Result<Plan<Customer>, Error> {
        Ok(self.answered(self.customers(Method::GET).segment(by)?.build()?))
    }

    /// A page of the list; an empty one is asked for again with the next spelling of the phone.
    fn page(self, command: &ListCustomers, phones: &[Text]) -> Result<Plan<Page<Customer>>, Error> {
        let asked = command.clone();
        let (limit, number) = (u64::from(asked.limit), asked.position.page(asked.limit));
        let draft = self.customers(Method::GET);
        let draft = match self.generation {
            Generation::V1 => draft.query("order", "DESC").number("page", number).number("take", limit),
            Generation::V2 => draft
                .maybe("blacklist", asked.filter.blocked.map(|blocked| if blocked { "true" } else { "false" }))
                .number("limit", limit)
                .number("page", number)
                .maybe("phone_number", phones.first().map(|phone| &**phone)),
        };
        let again = match phones.get(1..) {
            Some(rest) if !rest.is_empty() => Some(self.page(command, rest)?),
            _ => None,
        };
        let first = again.iter().map(|plan| &plan.request);
        let later: Vec<_> = first.chain(again.iter().flat_map(|plan| &plan.later)).cloned().collect();
        let plan = Plan::stepwise(draft.build()?, translate::refusal, move |answer| {
            let page = translate::page(answer, &asked, self)?;
            Ok(match again {
                Some(again) if page.items.is_empty() => again.into(),
                _ => Step::Done(page),
            })
        });
        Ok(plan.followed_by(later))
    }

    fn blacklist(self, id: &CustomerId, blacklist: bool) -> Result<Plan<Customer>, Error> {
        let request = self
            .customers(Method::POST)
            .then("/blacklist")
            .segment(id.text())?
            .json(&wire::BlacklistInput { blacklist: Patch::Set(blacklist) })?
            .build()?;
        // The envelope of this answer is not documented: where it lacks the customer, it is read.
        let plan = Plan::new(request, translate::refusal, move |answer| translate::one(answer, self));
        Ok(plan.or_read(self.one(id.text())?).map(move |customer| match customer.blocked {
            Some(blocked) if blocked != blacklist => {
                Err(Error::bad_response("a customer whose `blacklist` is not what was asked for"))
            }
            _ => Ok(customer),
        }))
    }
}

impl CustomerProvider for Bitnob {
    fn manifest(&self) -> &'static Manifest {
        (*self).manifest()
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let sent = command.fields.clone();
        let parts = translate::Parts::created(&sent);
        let mut input = translate::input(&sent, &parts);
        let mut report = Fidelity::default();
        parts.report(&mut report);
        if self.generation == Generation::V2 {
            input.customer_type = translate::customer_type(&sent, &mut report);
        }
        let plan = self.answered(self.write(self.customers(Method::POST), input)?);
        let plan = plan.reporting(|fidelity| fidelity.extend(&report));
        Ok(plan.map(move |customer| Ok(Created { customer: translate::own(customer, &sent)?, existing: false })))
    }

    fn plan_retrieve(&self, id: &CustomerId) -> Result<Plan<Customer>, Error> {
        self.one(id.text())
    }

    fn plan_find(&self, lookup: &Lookup) -> Result<Plan<Option<Customer>>, Error> {
        let email = match lookup {
            Lookup::Email(email) => Some(email.clone()),
            Lookup::Reference(_) => None,
            Lookup::Phone(_) | Lookup::Did(_) => return unsupported((*self).manifest(), Operation::Find),
        };
        let by_email = CustomerFilter { email, ..CustomerFilter::default() };
        let found = self.one(lookup.value())?.optional();
        Ok(found.map(move |found| Ok(found.filter(|customer| by_email.matches(customer)))))
    }

    fn plan_update(&self, command: &UpdateCustomer) -> Result<Plan<Customer>, Error> {
        let parts = translate::Parts::updated(&command.fields);
        let draft = self.customers(Method::PUT).segment(command.id.text())?;
        let request = self.write(draft, translate::input(&command.fields, &parts))?;
        Ok(self.answered(request).reporting(|report| parts.report(report)))
    }

    fn plan_delete(&self, id: &CustomerId) -> Result<Plan<()>, Error> {
        if self.generation == Generation::V1 {
            return unsupported(&V1, Operation::Delete);
        }
        let request = self.customers(Method::DELETE).segment(id.text())?.build()?;
        Ok(Plan::new(request, translate::refusal, translate::carried_out))
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<Page<Customer>>, Error> {
        let phones = command.filter.phone.as_ref().map(translate::stored_spellings);
        self.page(command, phones.as_deref().unwrap_or_default())
    }

    fn plan_block(&self, id: &CustomerId) -> Result<Plan<Customer>, Error> {
        self.blacklist(id, true)
    }

    fn plan_unblock(&self, id: &CustomerId) -> Result<Plan<Customer>, Error> {
        self.blacklist(id, false)
    }
}
