//! PaymentKit's server side: its routes, answers without an envelope, errors in one string, and the 404 with the body
//! `null`. The twin and drop-in use it to answer as PaymentKit does.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{json, value::to_raw_value};

use super::{CUSTOMERS, MANIFEST, PaymentKit, wire};
use crate::{
    json::{Extra, JsonObject, Loose, ObjectOrOther, Raw},
    kit::{
        NestsAddress, VendorRequest, VendorServer,
        members::{loose_of, patch_address, patch_object, patch_text, str_of},
        server::{
            broken, in_one_text, is_malformed_email, json_response, mismatched_reply, no_route, token, total,
            usual_status,
        },
        vendor_request::read_document,
    },
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, Error, Field, IdPattern, Invoice, Kind,
        ListCustomers, Patch, Position, Reply, Request, Response, Written, manifest::Manifest,
    },
    text::{Source, Str, Text},
};

impl VendorServer for PaymentKit {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let request = VendorRequest::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), ids);
        let (method, path) = request.route_below(CUSTOMERS)?;
        match (method, &path[..]) {
            ("GET", []) => {
                list(&request, CustomerFilter { did: request.query_text("did"), ..CustomerFilter::default() })
            }
            ("GET", ["search"]) => {
                list(&request, CustomerFilter { search: request.query_text("query"), ..CustomerFilter::default() })
            }
            // With the body `{"create":true}` the client asks PaymentKit to create a customer for the app's user (sdk).
            ("GET", [customer]) if !customer.starts_with("cus_") && asks_to_create(&request) => {
                // The path holds a DID. The provider that answers need not accept it as an id, so `ids` does not apply.
                CustomerId::parse(Text::from(*customer), &MANIFEST.id).map(Command::RetrieveOrCreate)
            }
            ("GET", [customer]) => id(customer).map(Command::Retrieve),
            ("GET", [customer, "overdue", "invoices"]) => id(customer).map(Command::OverdueInvoices),
            ("PUT", [customer]) => id(customer).and_then(|id| Ok(Command::update(read_fields(&request)?, id))),
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        Ok(match (command, reply) {
            (
                _,
                Reply::Customer(customer) | Reply::Found(Some(customer)) | Reply::Written(Written::Changed(customer)),
            ) => json_response(200, &self.encode(customer)),
            (Command::List(request), Reply::Customers(page)) => {
                let list = page.items.iter().map(|customer| self.encode(customer)).collect();
                let (list, count) = (Some(list), Some(total(page, &request.position)));
                let paging = json!({ "page": request.position.page(request.limit), "pageSize": request.limit });
                let paging = to_raw_value(&paging).ok();
                let paging = paging.as_ref().map(Raw::from);
                json_response(200, &wire::Page { count, list, paging, ..Default::default() })
            }
            (Command::OverdueInvoices(_), Reply::OverdueInvoices(overdue)) => {
                let customer = overdue.customer.as_ref().map(|customer| ObjectOrOther::Object(self.encode(customer)));
                let invoices = Some(overdue.invoices.iter().map(encode_invoice).collect());
                let summary = overdue.summary.as_ref().map(JsonObject::raw);
                let members = overdue.invoices.iter().flat_map(|invoice| invoice.extra.members());
                let subscriptions = members.filter(|(key, _)| key == "subscription_id").map(|(_, id)| id.get());
                let mut extra = Extra::default();
                if let Ok(count) = to_raw_value(&subscriptions.collect::<BTreeSet<_>>().len()) {
                    extra.add("subscriptionCount", &count);
                }
                json_response(200, &wire::Overdue { customer, invoices, summary, extra })
            }
            _ => return Err(mismatched_reply()),
        })
    }

    fn refuse(&self, request: &Request, error: &Error, _: Timestamp) -> Response {
        let (status, message) = match error.kind {
            Kind::NotFound | Kind::InvalidId => match VendorRequest::of(request).route_below(CUSTOMERS) {
                Ok(("GET", path)) if path.len() == 1 => return json_response(404, &()),
                _ => (404, "Customer not found".to_owned()),
            },
            Kind::NoRoute => (404, "Not Found".to_owned()),
            Kind::Unauthorized if request.headers().contains_key("x-component-sig") => {
                (401, "verify sig failed".to_owned())
            }
            Kind::Unauthorized => {
                return json_response(401, &json!({ "code": "forbidden", "error": "not authorized" }));
            }
            kind => (usual_status(kind), in_one_text(error, &Self::WORDS, " invalid: ")),
        };
        json_response(status, &json!({ "error": message }))
    }

    fn searched_fields(&self) -> &'static [Field] {
        // "Fields like name, email, and DID" (docs). The phone is a guess: clients of other vendors search for it.
        &[Field::Name, Field::Email, Field::Phone, Field::Did]
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = token("cus_", random);
        // A DID as a user who signed in has it.
        customer.did.get_or_insert_with(|| token("z1", random));
        customer.balance.get_or_insert(Text::from_static("0"));
        customer.delinquent = Some(false);
        customer.livemode = Some(self.livemode);
        customer.extra = Extra::default();
    }
}

impl PaymentKit {
    /// Writes a customer as PaymentKit does: the inverse of `translate::customer`. Its clients expect text, so absent
    /// fields are written as empty text.
    fn encode<'c>(&self, customer: &'c Customer) -> wire::Customer<'c> {
        let text = |value: Option<Str<'c>>| value.or(Some(Str::new("")));
        wire::Customer {
            id: str_of(Some(&customer.id)),
            did: str_of(customer.did.as_ref()),
            livemode: Some(customer.livemode.unwrap_or(self.livemode)),
            name: text(customer.full_name()),
            email: text(str_of(customer.email.as_ref())),
            phone: text(str_of(customer.phone.as_ref())),
            address: wire::Address::held(&customer.address),
            balance: Some(loose_of(customer.balance.as_ref()).unwrap_or(Loose("".into()))),
            delinquent: customer.delinquent,
            metadata: Some(customer.metadata.raw()),
            created_at: str_of(customer.created_at.as_ref()),
            updated_at: str_of(customer.updated_at.as_ref()),
            extra: customer.extra.borrowed(),
        }
    }
}

fn asks_to_create(request: &VendorRequest<'_>) -> bool {
    let source = request.source().ok();
    let input = source.and_then(|source| read_document::<wire::RetrieveInput>(&source).ok());
    input.is_some_and(|input| input.create == Patch::Set(true))
}

fn encode_invoice(invoice: &Invoice) -> wire::Invoice<'_> {
    wire::Invoice {
        id: str_of(Some(&invoice.id)),
        number: str_of(invoice.number.as_ref()),
        status: str_of(invoice.status.as_ref()),
        currency_id: str_of(invoice.currency.as_ref()),
        amount_due: loose_of(invoice.amount_due.as_ref()),
        amount_remaining: loose_of(invoice.amount_remaining.as_ref()),
        created_at: str_of(invoice.created_at.as_ref()),
        extra: invoice.extra.borrowed(),
    }
}

fn list(request: &VendorRequest<'_>, filter: CustomerFilter) -> Result<Command, Error> {
    // Other parameters that the SDK's types and a server of ArcBlock know (sdk) (hub). The gateway accepts their
    // defaults.
    for (key, accepted) in [
        ("order", &["created_at:DESC"][..]),
        ("order[0][0]", &["created_at"]),
        ("order[0][1]", &["DESC"]),
        ("o", &["desc"]),
        ("q", &[]),
        ("starting_after", &[]),
        ("ending_before", &[]),
    ] {
        request.require_supported(key, accepted)?;
    }
    // PaymentKit replaces a number out of bounds with the nearest one within (hub).
    let limit = u16::try_from(request.within("pageSize", 20, 100)?).unwrap_or(100);
    let position = Position::of_page(request.within("page", 1, u64::MAX)?, limit);
    Ok(Command::List(ListCustomers { limit, position, filter }))
}

/// Decodes the body of an update, and checks it as PaymentKit does.
fn read_fields(request: &VendorRequest<'_>) -> Result<CustomerFields, Error> {
    let source = request.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let fields = fields(&input, &source);
    let metadata = input.metadata.set();
    let errors = broken([
        (is_malformed_email(&fields.email), "/email", "must be a valid email"),
        (metadata.is_some_and(|metadata| !metadata.get().starts_with('{')), "/metadata", "must be of type object"),
    ]);
    if errors.is_empty() { Ok(fields) } else { Err(Error::invalid(errors)) }
}

/// The fields of an update: the inverse of `translate::input`. Empty text clears.
fn fields(input: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Clear);
    CustomerFields {
        name: text(&input.name),
        email: text(&input.email),
        phone: text(&input.phone),
        address: patch_address(source, &input.address),
        metadata: patch_object(source, &input.metadata),
        ..CustomerFields::default()
    }
}
