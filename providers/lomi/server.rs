//! lomi's server side: its routes, its envelopes, its three error shapes and its HTML 404. The twin and drop-in use it
//! to answer as lomi does.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Lomi, MANIFEST, translate, wire};
use crate::{
    json::Extra,
    kit::{
        VendorRequest, VendorServer,
        server::{
            broken, cannot, is_malformed_email, json_response, mismatched_reply, no_route, response, usual_status, uuid,
        },
        vendor_request::read_document,
    },
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, CustomerType, Error, FieldError, IdPattern,
        Kind, ListCustomers, Patch, Position, Reply, Request, Response, Written, manifest::Manifest,
    },
    text::{Text, packed, time},
};

/// The largest page: the default row limit of lomi's database, as far as its answers show.
const MAX_LIMIT: u16 = 1000;

impl VendorServer for Lomi {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let request = VendorRequest::of(request);
        // Clients that accept only UUIDs got one that contains the packed id: see `spelled_id`.
        let id = |id: &str| CustomerId::parse(packed::from_uuid(id).unwrap_or_else(|| Text::from(id)), ids);
        let (method, path) = request.route_below("/customers")?;
        match (method, &path[..]) {
            ("POST", []) => read_fields(&request, true).map(Command::create),
            ("GET", []) => list(&request),
            ("GET", [customer]) => id(customer).map(Command::Retrieve),
            ("DELETE", [customer]) => id(customer).map(Command::Delete),
            ("PATCH", [customer]) => Ok(Command::update(read_fields(&request, false)?, id(customer)?)),
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        let one =
            |status, customer| json_response(status, &wire::Envelope { data: translate::encode(customer), meta: None });
        Ok(match (command, reply) {
            (_, Reply::Written(Written::Created(created))) => one(201, &created.customer),
            (
                _,
                Reply::Customer(customer) | Reply::Found(Some(customer)) | Reply::Written(Written::Changed(customer)),
            ) => one(200, customer),
            (Command::Delete(id), Reply::Written(Written::Deleted)) => {
                let id = translate::spelled_id(id.public());
                let data = wire::Deleted { customer_id: &id, deleted: true };
                json_response(200, &wire::Envelope { data, meta: None })
            }
            (Command::List(list), Reply::Customers(page)) => {
                // Lists do not show the environment (run).
                let listed = |customer| wire::Customer { environment: None, ..translate::encode(customer) };
                let data: Vec<_> = page.items.iter().map(listed).collect();
                let meta = wire::Meta { current_page: list.position.page(list.limit), per_page: list.limit };
                json_response(200, &wire::Envelope { data, meta: Some(meta) })
            }
            _ => return Err(mismatched_reply()),
        })
    }

    fn refuse(&self, request: &Request, error: &Error, now: Timestamp) -> Response {
        if error.kind == Kind::NoRoute {
            let page = format!("<!DOCTYPE html>\n<pre>{}</pre>\n", cannot(&MANIFEST, request, error));
            return response(404, "text/html; charset=utf-8", page);
        }
        let short = |status, message: &str| json_response(status, &json!({ "error": { "message": message } }));
        let (code, message, details) = match error.kind {
            Kind::Unauthorized if error.detail.contains("no key") => return short(401, "API key missing"),
            Kind::Unauthorized => return short(401, "Invalid API key"),
            Kind::RateLimited => return short(429, "Rate limit exceeded"),
            Kind::Invalid if error.fields.is_empty() => return short(400, &error.detail),
            Kind::NotFound => ("NOT_FOUND", "Customer not found".to_owned(), None),
            Kind::InvalidId => {
                let details = json!("invalid input syntax for type uuid");
                return failed("DATABASE_ERROR", "Failed to retrieve customer", Some(details), 500, now);
            }
            Kind::ProviderFailed if error.vendor.is_none() && !error.fields.is_empty() => {
                return failed("DATABASE_ERROR", "Failed to retrieve customer", None, 500, now);
            }
            Kind::Rejected if error.fields.is_empty() => ("INVALID_REQUEST", error.detail.to_string(), None),
            Kind::Invalid | Kind::Rejected | Kind::CardData => {
                ("INVALID_REQUEST", "Invalid request body".to_owned(), Some(by_field(&error.fields)))
            }
            Kind::NotSupported | Kind::SharedRecord | Kind::Ambiguous | Kind::Refused(_) | Kind::Malformed => {
                ("INVALID_REQUEST", error.detail.to_string(), None)
            }
            _ => ("INTERNAL_ERROR", "Internal server error".to_owned(), None),
        };
        failed(code, &message, details, usual_status(error.kind), now)
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = uuid(random);
        customer.livemode = Some(false);
        customer.kind = Some(CustomerType::Individual);
        let mut extra = Extra::default();
        extra.add_text("merchant_id", "904d003c-3736-41d4-90a5-9de74d404fd7");
        extra.add_text("organization_id", "0979ec77-9fb1-4c9a-8c55-d7fb6c182c9c");
        customer.extra = extra;
    }
}

fn list(request: &VendorRequest<'_>) -> Result<Command, Error> {
    // lomi passes text that is not a number to its database, which fails (run).
    let database_failure = |error: Error| error.with_kind(Kind::ProviderFailed);
    // lomi's code has no largest page. Clients stop at a short page, so a smaller limit here would end their lists
    // early.
    let limit = request.limit("limit", 20, MAX_LIMIT).map_err(database_failure)?;
    let page = request.number("page").map_err(database_failure)?.unwrap_or(1);
    if page == 0 {
        return Err(database_failure(Error::invalid(vec![FieldError::new("page", "must be positive")])));
    }
    // The newest customers come first (repo). Only PyPI `lomi` can request another order.
    request.require_supported("sort", &["created_at:desc"])?;
    // PyPI `lomi` counts entries instead of pages.
    let position = match request.number("offset").map_err(database_failure)? {
        Some(offset) => Position::Offset(offset),
        None => Position::of_page(page, limit),
    };
    // lomi uses one search term, and `email` goes first (repo). It matches parts of the name and of the e-mail.
    let filter = match request.query_text("email") {
        Some(email) => CustomerFilter { email: Some(email), ..CustomerFilter::default() },
        None => CustomerFilter { phone: request.query_text("phone_number"), ..CustomerFilter::default() },
    };
    Ok(Command::List(ListCustomers { limit, position, filter }))
}

/// Decodes the body of a create or an update, and checks it as lomi does.
fn read_fields(request: &VendorRequest<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = request.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let fields = translate::fields(&input, &source);
    let mut errors = broken([
        (create && input.name.is_absent(), "/name", "Required"),
        (is_malformed_email(&fields.email), "/email", "Invalid email"),
    ]);
    let cleared = [
        (&input.name, "/name"),
        (&input.email, "/email"),
        (&input.phone_number, "/phone"),
        (&input.whatsapp_number, "/whatsapp"),
        (&input.country, "/address/country"),
        (&input.city, "/address/city"),
        (&input.address, "/address/line1"),
        (&input.postal_code, "/address/postal_code"),
    ];
    let nulls = cleared.into_iter().filter(|(text, _)| **text == Patch::Clear);
    errors.extend(nulls.map(|(_, pointer)| FieldError::new(pointer, "Expected string, received null")));
    if errors.is_empty() { Ok(fields) } else { Err(Error::invalid(errors)) }
}

/// The report of lomi's validator: a list of messages for each field.
fn by_field(fields: &[FieldError]) -> Value {
    let mut details = Map::from_iter([("_errors".to_owned(), json!([]))]);
    for error in fields {
        let word = translate::WORDS.word(&error.pointer);
        details.insert(word.to_owned(), json!({ "_errors": [error.detail] }));
    }
    Value::Object(details)
}

/// An error with all its members. Its time has three fraction digits (run).
fn failed(code: &str, message: &str, details: Option<Value>, status: u16, now: Timestamp) -> Response {
    let error = wire::FailureBody {
        status: Some(status),
        code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        details,
        timestamp: Some(time::write(Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now))),
    };
    json_response(status, &wire::Failure { error })
}
