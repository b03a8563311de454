//! Notch Pay's server side: every method of its documents, its envelope with `code`, `status` and `message`. The twin
//! and drop-in use it to answer as Notch Pay does.

use std::collections::BTreeMap;

use http::{HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{MANIFEST, NotchPay, translate, wire};
use crate::{
    json::ObjectOrOther,
    kit::{
        NestsAddress, VendorRequest, VendorServer,
        server::{
            broken, is_malformed_email, json_response, mismatched_reply, no_route, reason, token, total, usual_status,
        },
        vendor_request::read_document,
    },
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, Error, FieldError, IdPattern, Kind,
        ListCustomers, ListOfCustomer, Page, Position, Reply, Request, Response, Written, manifest::Manifest,
    },
    text::Text,
};

impl VendorServer for NotchPay {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let request = VendorRequest::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), ids);
        let (method, path) = request.route_below("/customers")?;
        // The documents and the clients disagree on the methods of updates and blocks. Each of them is accepted.
        match (method, &path[..]) {
            ("POST", []) => read_fields(&request, true).map(Command::create),
            ("GET", []) => {
                // Only one client has these filters (py), and no provider filters by time.
                request
                    .require_supported("date_start", &[])
                    .and_then(|()| request.require_supported("date_end", &[]))?;
                let (limit, position) = request.page("limit", 30, 100)?;
                let filter = CustomerFilter { search: request.query_text("search"), ..CustomerFilter::default() };
                Ok(Command::List(ListCustomers { limit, position, filter }))
            }
            ("GET", [customer]) => id(customer).map(Command::Retrieve),
            ("PUT" | "POST", [customer]) => Ok(Command::update(read_fields(&request, false)?, id(customer)?)),
            ("DELETE", [customer]) => id(customer).map(Command::Delete),
            ("POST" | "PUT" | "PATCH", [customer, "block"]) => id(customer).map(Command::Block),
            ("POST" | "PUT" | "PATCH", [customer, "unblock"]) => id(customer).map(Command::Unblock),
            ("GET", [customer, "payment_methods"]) => {
                let all = ListOfCustomer { id: id(customer)?, limit: 100, position: Position::START, status: None };
                Ok(Command::PaymentMethods(all))
            }
            ("GET", [customer, "payments"]) => {
                let (limit, position) = request.page("limit", 30, 100)?;
                let status = request.query_text("status");
                Ok(Command::Payments(ListOfCustomer { id: id(customer)?, limit, position, status }))
            }
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        let one = |code, message, customer| {
            let customer = Some(ObjectOrOther::Object(translate::encode(customer)));
            enveloped(code, message, wire::One { customer, ..Default::default() })
        };
        Ok(match (command, reply) {
            (_, Reply::Written(Written::Created(created))) => one(201, "Customer created", &created.customer),
            (Command::Update(_), Reply::Written(Written::Changed(customer))) => one(200, "Customer updated", customer),
            (Command::Block(_), Reply::Written(Written::Changed(customer))) => {
                one(202, "Customer blocked successfully", customer)
            }
            (Command::Unblock(_), Reply::Written(Written::Changed(customer))) => {
                one(202, "Customer unblocked successfully", customer)
            }
            (_, Reply::Customer(customer) | Reply::Found(Some(customer))) => one(200, "Customer retrieved", customer),
            (_, Reply::Written(Written::Deleted)) => enveloped(200, "Customer deleted", ()),
            (Command::List(list), Reply::Customers(page)) => {
                let items = Some(page.items.iter().map(translate::encode).collect());
                enveloped(
                    200,
                    "Customers retrieved",
                    wire::Page { items, ..page_counts(page, &list.position, list.limit) },
                )
            }
            (Command::Payments(list), Reply::Payments(page)) => {
                let encoded: Vec<_> = page.items.iter().map(translate::encode_payment).collect();
                let (items, payments) = (Some(encoded.iter().collect()), Some(encoded.iter().collect()));
                let counts = page_counts(page, &list.position, list.limit);
                enveloped(200, "Payments retrieved", wire::Page { items, payments, ..counts })
            }
            (_, Reply::PaymentMethods(page)) => {
                let items = Some(page.items.iter().map(translate::encode_payment_method).collect());
                enveloped(200, "Payment methods retrieved", wire::Page { items, ..Default::default() })
            }
            _ => return Err(mismatched_reply()),
        })
    }

    fn refuse(&self, _: &Request, error: &Error, _: Timestamp) -> Response {
        let seconds = error.retry_after.unwrap_or(30);
        let (code, message) = match error.kind {
            Kind::Invalid | Kind::Rejected | Kind::CardData if !error.fields.is_empty() => {
                (422, "Validation failed".to_owned())
            }
            Kind::Rejected | Kind::CardData => (422, error.detail.to_string()),
            Kind::Invalid | Kind::Malformed => (400, "Invalid JSON payload".to_owned()),
            Kind::Unauthorized if error.detail.contains("no key") => (401, "API key is missing".to_owned()),
            Kind::Unauthorized => (401, "Invalid API key".to_owned()),
            Kind::NotFound | Kind::InvalidId => (404, "Customer not found".to_owned()),
            Kind::NoRoute => (404, "Route not found".to_owned()),
            Kind::SharedRecord | Kind::Ambiguous => (409, error.detail.to_string()),
            Kind::Refused(status) => (status, error.detail.to_string()),
            Kind::NotSupported => (400, error.detail.to_string()),
            Kind::RateLimited => (429, format!("Rate limit exceeded. Try again in {seconds} seconds")),
            _ => (usual_status(error.kind), "An unexpected error occurred".to_owned()),
        };
        let mut body = json!({ "code": code, "status": reason(code), "message": message });
        if code == 422 && !error.fields.is_empty() {
            body["errors"] = by_field(&error.fields);
        }
        let mut response = json_response(code, &body);
        if code == 429 {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn members_without_field(&self) -> &'static [&'static str] {
        // The members of all generations of the documents.
        &["company_name", "tax_number", "description", "billing", "shipping", "meta"]
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = token("cus.", random);
        customer.livemode = Some(false);
        customer.blocked = Some(false);
    }
}

/// Decodes the body of a create or an update, and checks it as Notch Pay does.
fn read_fields(request: &VendorRequest<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = request.source()?;
    let input: wire::CustomerInput<'_> = match source.as_str().trim() {
        // PHP writes an empty array where it means an empty object (php).
        "[]" => wire::CustomerInput::default(),
        _ => read_document(&source)?,
    };
    let fields = translate::fields(&input, &source);
    let lacks_contact = create && fields.email.set().is_none() && fields.phone.set().is_none();
    let errors = broken([
        (lacks_contact, "/email", "The email field is required when phone is not present."),
        (lacks_contact, "/phone", "The phone field is required when email is not present."),
        (is_malformed_email(&fields.email), "/email", "Invalid email address"),
    ]);
    if errors.is_empty() { Ok(fields) } else { Err(Error::invalid(errors)) }
}

/// The counts that go with a page. A page that the gateway filtered may be short although another one follows: then
/// `last_page` is at least the number of that one.
fn page_counts<T, W>(page: &Page<T>, position: &Position, limit: u16) -> wire::Page<'static, W> {
    let number = position.page(limit);
    let totals = total(page, position);
    let least_last_page = if page.next.is_some() { number + 1 } else { 1 };
    wire::Page {
        totals: Some(totals),
        last_page: Some(totals.div_ceil(limit.max(1).into()).max(least_last_page)),
        current_page: Some(number),
        selected: Some(page.items.len() as u64),
        ..Default::default()
    }
}

/// The report of Notch Pay's validator: a list of messages for each field.
fn by_field(fields: &[FieldError]) -> Value {
    let mut errors: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for error in fields {
        let field = NotchPay::WORDS.word(&error.pointer).replace('/', ".");
        errors.entry(field).or_default().push(&error.detail);
    }
    json!(errors)
}

/// The envelope of every success: its members, then those of the content (prose).
#[derive(Serialize)]
struct Enveloped<T> {
    code: u16,
    status: &'static str,
    message: &'static str,
    #[serde(flatten)]
    content: T,
}

fn enveloped(code: u16, message: &'static str, content: impl Serialize) -> Response {
    json_response(code, &Enveloped { code, status: reason(code), message, content })
}
