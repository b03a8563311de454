//! Notch Pay's own side: every verb of its documents, its envelope with `code`, `status` and `message`.

use std::collections::BTreeMap;

use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{MANIFEST, NotchPay, translate, wire};
use crate::{
    json::Perhaps,
    kit::{
        NestsAddress, VendorRequest, VendorServer,
        server::{broken, is_no_address, json_response, mismatched, no_route, token, total, usual_status},
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
        let asked = VendorRequest::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), ids);
        let (method, path) = asked.route_below("/customers")?;
        // The documents and the clients do not agree on the verbs: all of them are taken.
        match (method, &path[..]) {
            ("POST", []) => read_fields(&asked, true).map(Command::create),
            ("GET", []) => {
                // Of one client only [py], and nobody else filters by time.
                asked.only("date_start", &[]).and_then(|()| asked.only("date_end", &[]))?;
                let (limit, position) = asked.page("limit", 30, 100)?;
                let filter = CustomerFilter { search: asked.query_text("search"), ..CustomerFilter::default() };
                Ok(Command::List(ListCustomers { limit, position, filter }))
            }
            ("GET", [found]) => id(found).map(Command::Retrieve),
            ("PUT" | "POST", [found]) => Ok(Command::update(read_fields(&asked, false)?, id(found)?)),
            ("DELETE", [found]) => id(found).map(Command::Delete),
            ("POST" | "PUT" | "PATCH", [found, "block"]) => id(found).map(Command::Block),
            ("POST" | "PUT" | "PATCH", [found, "unblock"]) => id(found).map(Command::Unblock),
            ("GET", [found, "payment_methods"]) => {
                let all = ListOfCustomer { id: id(found)?, limit: 100, position: Position::START, status: None };
                Ok(Command::PaymentMethods(all))
            }
            ("GET", [found, "payments"]) => {
                let (limit, position) = asked.page("limit", 30, 100)?;
                let status = asked.query_text("status");
                Ok(Command::Payments(ListOfCustomer { id: id(found)?, limit, position, status }))
            }
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        let one = |code, message, customer| {
            let told = Some(Perhaps::Object(translate::encode(customer)));
            said(code, message, wire::One { customer: told, ..Default::default() })
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
            (_, Reply::Written(Written::Deleted)) => said(200, "Customer deleted", ()),
            (Command::List(asked), Reply::Customers(page)) => {
                let items = Some(page.items.iter().map(translate::encode).collect());
                said(200, "Customers retrieved", wire::Page { items, ..counted(page, &asked.position, asked.limit) })
            }
            (Command::Payments(asked), Reply::Payments(page)) => {
                let told: Vec<_> = page.items.iter().map(translate::encode_payment).collect();
                let (items, payments) = (Some(told.iter().collect()), Some(told.iter().collect()));
                let counted = counted(page, &asked.position, asked.limit);
                said(200, "Payments retrieved", wire::Page { items, payments, ..counted })
            }
            (_, Reply::PaymentMethods(page)) => {
                let items = Some(page.items.iter().map(translate::encode_payment_method).collect());
                said(200, "Payment methods retrieved", wire::Page { items, ..Default::default() })
            }
            _ => return Err(mismatched()),
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
            Kind::SharedRecord => (409, error.detail.to_string()),
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

    fn members_without_place(&self) -> &'static [&'static str] {
        // All generations of the documents.
        &["company_name", "tax_number", "description", "billing", "shipping", "meta"]
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = token("cus.", random);
        customer.livemode = Some(false);
        customer.blocked = Some(false);
    }
}

fn read_fields(asked: &VendorRequest<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = asked.source()?;
    let input: wire::CustomerInput<'_> = match source.as_str().trim() {
        // PHP's empty array [php].
        "[]" => wire::CustomerInput::default(),
        _ => read_document(&source)?,
    };
    let fields = translate::fields(&input, &source);
    let nobody = create && fields.email.set().is_none() && fields.phone.set().is_none();
    let wrong = broken([
        (nobody, "/email", "The email field is required when phone is not present."),
        (nobody, "/phone", "The phone field is required when email is not present."),
        (is_no_address(&fields.email), "/email", "Invalid email address"),
    ]);
    if wrong.is_empty() { Ok(fields) } else { Err(Error::invalid(wrong)) }
}

/// What a page tells of the list. One that was filtered may be short, and still be followed by another.
fn counted<T, W>(page: &Page<T>, position: &Position, limit: u16) -> wire::Page<'static, W> {
    let number = position.page(limit);
    let totals = total(page, position);
    let least = if page.next.is_some() { number + 1 } else { 1 };
    wire::Page {
        totals: Some(totals),
        last_page: Some(totals.div_ceil(limit.max(1).into()).max(least)),
        current_page: Some(number),
        selected: Some(page.items.len() as u64),
        ..Default::default()
    }
}

/// The validator's report: a list of messages a field.
fn by_field(fields: &[FieldError]) -> Value {
    let mut errors: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for wrong in fields {
        let field = NotchPay::WORDS.word(&wrong.pointer).replace('/', ".");
        errors.entry(field).or_default().push(&wrong.detail);
    }
    json!(errors)
}

/// What every answer says, with its own part behind it (prose).
#[derive(Serialize)]
struct Said<T> {
    code: u16,
    status: &'static str,
    message: &'static str,
    #[serde(flatten)]
    about: T,
}

fn said(code: u16, message: &'static str, about: impl Serialize) -> Response {
    json_response(code, &Said { code, status: reason(code), message, about })
}

fn reason(code: u16) -> &'static str {
    StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}
