//! lomi's own side: its routes, its envelopes, its three error shapes and its HTML 404.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Lomi, MANIFEST, translate, wire};
use crate::{
    json::Extra,
    kit::{
        VendorRequest, VendorServer,
        server::{broken, cannot, is_no_address, json_response, mismatched, no_route, response, usual_status, uuid},
        vendor_request::read_document,
    },
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, CustomerType, Error, FieldError, IdPattern,
        Kind, ListCustomers, Patch, Position, Reply, Request, Response, Written, manifest::Manifest,
    },
    text::{Text, packed, time},
};

/// The largest page: what lomi's database tells at once unless it is configured otherwise, as far as its answers show.
const MOST: u16 = 1000;

impl VendorServer for Lomi {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let asked = VendorRequest::of(request);
        // A client that takes UUIDs only was given one in which the id is packed.
        let id = |id: &str| CustomerId::parse(packed::from_uuid(id).unwrap_or_else(|| Text::from(id)), ids);
        let (method, path) = asked.route_below("/customers")?;
        match (method, &path[..]) {
            ("POST", []) => read_fields(&asked, true).map(Command::create),
            ("GET", []) => list(&asked),
            ("GET", [found]) => id(found).map(Command::Retrieve),
            ("DELETE", [found]) => id(found).map(Command::Delete),
            ("PATCH", [found]) => Ok(Command::update(read_fields(&asked, false)?, id(found)?)),
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
            (Command::List(asked), Reply::Customers(page)) => {
                // Lists do not tell the environment [v1-run].
                let listed = |customer| wire::Customer { environment: None, ..translate::encode(customer) };
                let data: Vec<_> = page.items.iter().map(listed).collect();
                let meta = wire::Meta { current_page: asked.position.page(asked.limit), per_page: asked.limit };
                json_response(200, &wire::Envelope { data, meta: Some(meta) })
            }
            _ => return Err(mismatched()),
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
            Kind::Invalid | Kind::Rejected | Kind::CardData => {
                ("INVALID_REQUEST", "Invalid request body".to_owned(), Some(by_field(&error.fields)))
            }
            Kind::NotSupported | Kind::SharedRecord | Kind::Malformed => {
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
        extra.keep_text("merchant_id", "904d003c-3736-41d4-90a5-9de74d404fd7");
        extra.keep_text("organization_id", "0979ec77-9fb1-4c9a-8c55-d7fb6c182c9c");
        customer.extra = extra;
    }

    fn deletes_unknown(&self) -> bool {
        true
    }
}

fn list(asked: &VendorRequest<'_>) -> Result<Command, Error> {
    // Numbers that are none reach lomi's database, and fail there [v1-run].
    let database = |error: Error| error.with_kind(Kind::ProviderFailed);
    // The code knows no largest page, and a short one is the last: a page cut here would end a client's walk.
    let limit = asked.limit("limit", 20, MOST).map_err(database)?;
    let page = asked.number("page").map_err(database)?.unwrap_or(1);
    if page == 0 {
        return Err(database(Error::invalid(vec![FieldError::new("page", "must be positive")])));
    }
    // The newest are first [v1-repo history SQL]; another order can be asked for with PyPI lomi.
    asked.only("sort", &["created_at:desc"])?;
    // One of the clients counts in entries (PyPI lomi).
    let position = match asked.number("offset").map_err(database)? {
        Some(offset) => Position::Offset(offset),
        None => Position::of_page(page, limit),
    };
    // One search term is used; e-mail wins [v1-repo controller]. It is a part of the name or the e-mail.
    let search = asked.query_text("email");
    let filter = match search {
        Some(email) => CustomerFilter { email: Some(email), ..CustomerFilter::default() },
        None => CustomerFilter { phone: asked.query_text("phone_number"), ..CustomerFilter::default() },
    };
    Ok(Command::List(ListCustomers { limit, position, filter }))
}

fn read_fields(asked: &VendorRequest<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = asked.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let fields = translate::fields(&input, &source);
    let mut wrong = broken([
        (create && input.name.is_absent(), "/name", "Required"),
        (is_no_address(&fields.email), "/email", "Invalid email"),
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
    wrong.extend(nulls.map(|(_, pointer)| FieldError::new(pointer, "Expected string, received null")));
    if wrong.is_empty() { Ok(fields) } else { Err(Error::invalid(wrong)) }
}

/// The validator's report: one list of messages a field.
fn by_field(fields: &[FieldError]) -> Value {
    let mut details = Map::from_iter([("_errors".to_owned(), json!([]))]);
    for wrong in fields {
        let word = translate::WORDS.word(&wrong.pointer);
        details.insert(word.to_owned(), json!({ "_errors": [wrong.detail] }));
    }
    Value::Object(details)
}

/// Times in errors have three fraction digits [v1-run].
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
