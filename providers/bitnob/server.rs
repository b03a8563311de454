//! Bitnob's own side, in both generations: their routes, envelopes and error shapes.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{json, value::to_raw_value};

use super::{Bitnob, Generation, translate, wire};
use crate::{
    error::{Error, FieldError, Kind},
    imitate::{
        Asked, ImitatesVendor, base_path, json_response, mismatched, no_route, read_document, total, usual_status, uuid,
    },
    manifest::Manifest,
    model::{
        Command, CreateCustomer, Customer, CustomerFields, CustomerFilter, CustomerId, CustomerType, ListCustomers,
        Lookup, Page, Patch, Position, Reply, UpdateCustomer,
    },
    plan::{Request, Response},
    text::{Text, email, phone},
};

/// Speaks as Bitnob.
#[derive(Debug)]
pub(super) struct Server(pub(super) Bitnob);

impl ImitatesVendor for Server {
    fn manifest(&self) -> &'static Manifest {
        self.0.manifest()
    }

    fn accept(&self, request: &Request) -> Result<Command, Error> {
        let asked = Asked::of(request);
        let generation = self.0.generation;
        let id = |id: &str| CustomerId::parse(Text::from(id), &self.manifest().id);
        let (method, path) = asked.route();
        let ((Generation::V1, ["customers", path @ ..]) | (Generation::V2, ["api", "customers", path @ ..])) =
            (generation, &path[..])
        else {
            return Err(no_route());
        };
        match (method, path) {
            ("POST", []) => {
                let fields = read_fields(&asked, true)?.without_clears();
                Ok(Command::Create(CreateCustomer { fields, distinct: false }))
            }
            ("GET", []) => self.list(&asked),
            // The older look-up by e-mail [py].
            ("POST", ["fetch_customer"]) if generation == Generation::V1 => match read_fields(&asked, true)?.email {
                Patch::Set(email) => Ok(Command::Find(Lookup::Email(email))),
                Patch::Absent | Patch::Clear => Err(no_route()),
            },
            ("GET", [found]) if found.contains('@') => Ok(Command::Find(Lookup::Email(Text::from(*found)))),
            ("GET", [found]) => {
                let by_reference = |_| Command::Find(Lookup::Reference(Text::from(*found)));
                Ok(id(found).map_or_else(by_reference, Command::Retrieve))
            }
            ("PUT", [found]) => {
                let fields = read_fields(&asked, false)?;
                Ok(Command::Update(UpdateCustomer { id: id(found)?, fields }))
            }
            ("POST", ["blacklist", found]) => {
                let source = asked.source()?;
                match read_document::<wire::BlacklistInput>(&source)?.blacklist {
                    Patch::Set(true) => id(found).map(Command::Block),
                    Patch::Set(false) => id(found).map(Command::Unblock),
                    _ => Err(Error::invalid(vec![FieldError::new("/blacklist", "must be a boolean value")])),
                }
            }
            ("DELETE", [found]) if generation == Generation::V2 => id(found).map(Command::Delete),
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        Ok(match (command, reply) {
            (_, Reply::Created(created)) => self.one(command, &created.customer),
            (_, Reply::Customer(customer)) => self.one(command, customer),
            (Command::Delete(_), Reply::Deleted) => self.enveloped(command, None::<()>),
            (Command::List(asked), Reply::Customers(page)) => self.page(command, asked, page),
            _ => return Err(mismatched()),
        })
    }

    fn refuse(&self, request: &Request, error: &Error, _: Timestamp) -> Response {
        let status = match error.kind {
            Kind::InvalidId => 404,
            // The official v1 client crashes on any other [py].
            kind if self.0.generation == Generation::V1 => usual_status(kind).min(500),
            kind => usual_status(kind),
        };
        let message = match error.kind {
            Kind::NotFound | Kind::InvalidId => "customer not found".to_owned(),
            Kind::NoRoute => {
                format!("Cannot {} {}{}", request.method(), base_path(self.manifest()), request.uri().path())
            }
            Kind::Unauthorized => "Authentication failed".to_owned(),
            _ if status >= 500 => "an unexpected error occurred".to_owned(),
            _ => error.detail.to_string(),
        };
        let (code, title) = match status {
            401 => ("UNAUTHORIZED", "Unauthorized"),
            404 => ("NOT_FOUND", "Not Found"),
            429 => ("RATE_LIMIT_EXCEEDED", "Too Many Requests"),
            500.. => ("INTERNAL_ERROR", "Internal Server Error"),
            _ if self.0.generation == Generation::V1 => ("BAD_REQUEST", "Bad Request"),
            _ => ("VALIDATION_ERROR", "Validation Error"),
        };
        let line = |wrong: &FieldError| {
            let word = match self.0.generation {
                Generation::V1 => translate::WORDS.word(&wrong.pointer),
                Generation::V2 => wrong.pointer.trim_start_matches('/'),
            };
            format!("{word} {}", wrong.detail)
        };
        let lines: Vec<String> = error.fields.iter().map(line).collect();
        let told = match self.0.generation {
            Generation::V1 if lines.is_empty() => json!({ "statusCode": status, "message": message, "error": title }),
            Generation::V1 => json!({ "statusCode": status, "message": lines, "error": title }),
            Generation::V2 => {
                let detail = if lines.is_empty() { message } else { lines.join("; ") };
                let kind = format!("https://api.bitnob.com/errors/{code}");
                // The official client shows `message`, which the vendor leaves out [cli].
                json!({ "type": kind, "title": title, "status": status, "detail": detail, "message": detail })
            }
        };
        json_response(status, &told)
    }

    fn furnish(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = uuid(random);
        customer.blocked = Some(false);
    }
}

impl Server {
    fn list(&self, asked: &Asked<'_>) -> Result<Command, Error> {
        let (size, usual) = match self.0.generation {
            Generation::V1 => ("take", 10),
            Generation::V2 => ("limit", 20),
        };
        let limit = asked.limit(size, usual, self.manifest().paging.max_limit)?;
        let position = Position::of_page(asked.number("page")?.unwrap_or(1), limit);
        let filter = match self.0.generation {
            Generation::V1 => CustomerFilter::default(),
            Generation::V2 => CustomerFilter {
                phone: asked.query_text("phone_number").map(|text| phone::canonical(&text, self.0.region).text),
                blocked: match asked.query("blacklist") {
                    None => None,
                    Some("true") => Some(true),
                    Some("false") => Some(false),
                    Some(_) => return Err(Error::invalid(vec![FieldError::new("blacklist", "must be true or false")])),
                },
                ..CustomerFilter::default()
            },
        };
        Ok(Command::List(ListCustomers { limit, position, filter }))
    }

    fn one(&self, command: &Command, customer: &Customer) -> Response {
        let parts = translate::Parts::held(customer);
        // A create of generation v2 tells the metadata as text [cli].
        let told = matches!(command, Command::Create(_)) || !customer.metadata.is_empty();
        let metadata = told.then(|| to_raw_value(customer.metadata.as_str()).ok()).flatten();
        let told = translate::told(customer, &parts, metadata.as_deref(), self.0.generation);
        match self.0.generation {
            Generation::V1 => self.enveloped(command, Some(wire::CamelCustomer::from(told))),
            Generation::V2 => self.enveloped(command, Some(told)),
        }
    }

    fn page(&self, command: &Command, asked: &ListCustomers, page: &Page<Customer>) -> Response {
        let parts: Vec<_> = page.items.iter().map(translate::Parts::held).collect();
        let told = page.items.iter().zip(&parts);
        let told = told.map(|(customer, parts)| translate::told(customer, parts, None, self.0.generation));
        let number = asked.position.page(asked.limit);
        let total = total(page, &asked.position);
        let pages = total.div_ceil(asked.limit.max(1).into());
        let [count, count_of_pages, has_previous, has_next] = match self.0.generation {
            Generation::V1 => ["itemCount", "pageCount", "hasPreviousPage", "hasNextPage"],
            Generation::V2 => ["item_count", "page_count", "has_previous_page", "has_next_page"],
        };
        let meta = json!({
            "page": number, "take": asked.limit, count: total, count_of_pages: pages,
            has_previous: number > 1, has_next: page.next.is_some(),
        });
        match self.0.generation {
            Generation::V1 => {
                let customers: Vec<_> = told.map(wire::CamelCustomer::from).collect();
                self.enveloped(command, Some(wire::PageBody { customers, meta }))
            }
            Generation::V2 => {
                let customers: Vec<_> = told.collect();
                self.enveloped(command, Some(wire::PageBody { customers, meta }))
            }
        }
    }

    fn enveloped(&self, command: &Command, data: Option<impl Serialize>) -> Response {
        let v2 = self.0.generation == Generation::V2;
        let message = match command {
            Command::Create(_) if v2 => "Customer created successfully",
            Command::Create(_) => "Customer successfully added",
            Command::Update(_) => "Customer updated successfully",
            Command::Block(_) => "Customer blacklisted successfully",
            Command::Unblock(_) => "Customer removed from blacklist successfully",
            Command::Delete(_) => "Customer deleted successfully",
            Command::List(_) => "successfully fetched all customers",
            _ => "successfully fetched customer",
        };
        // Of all answers, only that of a create in generation v2 says `success` [cli].
        let success = v2 && matches!(command, Command::Create(_));
        let (success, status) = (success.then_some(true), (!success).then_some(true));
        json_response(200, &wire::Envelope { success, status, message, data })
    }
}

fn read_fields(asked: &Asked<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = asked.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let mut wrong = Vec::new();
    let address = input.email.set().filter(|address| !address.is_empty());
    if create && address.is_none() {
        wrong.push(FieldError::new("/email", "should not be empty"));
    }
    if address.is_some_and(|address| !email::is_address(address)) {
        wrong.push(FieldError::new("/email", "must be an email"));
    }
    if input.customer_type.set().is_some_and(|word| CustomerType::parse(word).is_none()) {
        wrong.push(FieldError::new("/customer_type", "must be individual or business"));
    }
    if !create && input.phone.is_absent() && input.country_code.set().is_some_and(|code| !code.is_empty()) {
        wrong.push(FieldError::new("/phone", "should be sent with its country code"));
    }
    if wrong.is_empty() { Ok(translate::fields(&input, &source)) } else { Err(Error::invalid(wrong)) }
}
