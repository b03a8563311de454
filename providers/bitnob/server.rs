//! Bitnob's own side, in both generations: their routes, envelopes and error shapes.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{json, value::to_raw_value};

use super::{Bitnob, translate, wire};
use crate::{
    json::Raw,
    kit::{
        VendorRequest, VendorServer,
        document::Spelled,
        members::{patch_text, str_of},
        server::{
            broken, cannot, in_one_text, is_no_address, json_response, mismatched, no_route, total, usual_status, uuid,
        },
        vendor_request::read_document,
    },
    model::{
        Command, Created, Customer, CustomerFields, CustomerFilter, CustomerId, CustomerType, Error, FieldError,
        IdPattern, Kind, ListCustomers, Lookup, Page, Patch, Reply, Request, Response, Written, manifest::Manifest,
    },
    text::{Source, Str, Text, phone},
};

impl VendorServer for Bitnob {
    fn manifest(&self) -> &'static Manifest {
        crate::CustomerProvider::manifest(self)
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let asked = VendorRequest::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), ids);
        let (method, path) = asked.route_below(self.customers())?;
        match (method, &path[..]) {
            ("POST", []) => read_fields(&asked, true).map(Command::create),
            ("GET", []) => self.list(&asked),
            // The older look-up by e-mail [py].
            ("POST", ["fetch_customer"]) if !self.is_v2 => match read_fields(&asked, true)?.email {
                Patch::Set(email) => Ok(Command::Find(Lookup::Email(email))),
                Patch::Absent | Patch::Clear => Err(no_route()),
            },
            ("GET", [found]) if found.contains('@') => Ok(Command::Find(Lookup::Email(Text::from(*found)))),
            ("GET", [found]) => {
                let by_reference = |_| Command::Find(Lookup::Reference(Text::from(*found)));
                Ok(id(found).map_or_else(by_reference, Command::Retrieve))
            }
            ("PUT", [found]) => Ok(Command::update(read_fields(&asked, false)?, id(found)?)),
            ("POST", ["blacklist", found]) => {
                match read_document::<wire::BlacklistInput>(&asked.source()?)?.blacklist {
                    Patch::Set(true) => id(found).map(Command::Block),
                    Patch::Set(false) => id(found).map(Command::Unblock),
                    _ => Err(Error::invalid(vec![FieldError::new("/blacklist", "must be a boolean value")])),
                }
            }
            ("DELETE", [found]) if self.is_v2 => id(found).map(Command::Delete),
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        Ok(match (command, reply) {
            (
                _,
                Reply::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer))
                | Reply::Customer(customer)
                | Reply::Found(Some(customer)),
            ) => {
                let metadata = to_raw_value(customer.metadata.as_str()).ok();
                let metadata = metadata.as_ref().filter(|_| self.is_v2 && !customer.metadata.is_empty()).map(Raw::from);
                self.enveloped(command, self.spelled(wire::Customer { metadata, ..self.encode(customer) }))
            }
            (Command::Delete(_), Reply::Written(Written::Deleted)) => self.enveloped(command, ()),
            (Command::List(asked), Reply::Customers(page)) => self.page(command, asked, page),
            _ => return Err(mismatched()),
        })
    }

    fn refuse(&self, request: &Request, error: &Error, _: Timestamp) -> Response {
        let usual = usual_status(error.kind);
        // The official v1 client crashes on any other failure of the server than 500 [py].
        let status = if self.is_v2 { usual } else { usual.min(500) };
        let (code, title, message) = match status {
            401 => ("UNAUTHORIZED", "Unauthorized", "Authentication failed".to_owned()),
            404 if error.kind == Kind::NoRoute => ("NOT_FOUND", "Not Found", cannot(self.manifest(), request, error)),
            404 => ("NOT_FOUND", "Not Found", "customer not found".to_owned()),
            429 => ("RATE_LIMIT_EXCEEDED", "Too Many Requests", error.detail.to_string()),
            500.. => ("INTERNAL_ERROR", "Internal Server Error", "an unexpected error occurred".to_owned()),
            _ if self.is_v2 => ("VALIDATION_ERROR", "Validation Error", in_one_text(error, &translate::V2_WORDS, " ")),
            _ => ("BAD_REQUEST", "Bad Request", error.detail.to_string()),
        };
        if self.is_v2 {
            let kind = format!("https://api.bitnob.com/errors/{code}");
            // The official client shows `message`, which the vendor leaves out [cli].
            let told = json!({ "type": kind, "title": title, "status": status, "detail": message, "message": message });
            return json_response(status, &told);
        }
        let line = |wrong: &FieldError| format!("{} {}", translate::WORDS.word(&wrong.pointer), wrong.detail);
        let lines: Vec<_> = error.fields.iter().map(line).collect();
        let message = if lines.is_empty() { json!(message) } else { json!(lines) };
        json_response(status, &json!({ "statusCode": status, "message": message, "error": title }))
    }

    fn members_without_place(&self) -> &'static [&'static str] {
        // The newest form [nb] [gp].
        const NEWEST: &[&str] =
            &["date_of_birth", "id_type", "id_number", "country", "line1", "city", "state", "postal_code", "reference"];
        if self.is_v2 { NEWEST } else { &[] }
    }

    fn is_email_unique(&self) -> bool {
        true
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = uuid(random);
        customer.blocked = Some(false);
    }
}

impl Bitnob {
    fn list(&self, asked: &VendorRequest<'_>) -> Result<Command, Error> {
        let (size, usual) = if self.is_v2 { ("limit", 20) } else { ("take", 10) };
        asked.only("order", &["DESC"])?;
        let (limit, position) = asked.page(size, usual, self.manifest().paging.max_limit)?;
        let mut filter = CustomerFilter::default();
        if self.is_v2 {
            filter.blocked = asked.flag("blacklist")?;
            filter.phone = asked.query_text("phone_number").map(|text| phone::canonical_text(&text, self.region));
        }
        Ok(Command::List(ListCustomers { limit, position, filter }))
    }

    fn page(&self, command: &Command, asked: &ListCustomers, page: &Page<Customer>) -> Response {
        let customers = page.items.iter().map(|customer| self.spelled(self.encode(customer))).collect();
        let (number, total) = (asked.position.page(asked.limit), total(page, &asked.position));
        let meta = wire::Meta {
            page: Some(number),
            take: Some(asked.limit),
            item_count: Some(total),
            page_count: Some(total.div_ceil(asked.limit.max(1).into())),
            has_previous_page: Some(number > 1),
            has_next_page: Some(page.next.is_some()),
            ..wire::Meta::default()
        };
        let (customers, meta) = (Some(customers), Some(self.spelled(meta)));
        self.enveloped(command, wire::Listed { customers, meta, ..Default::default() })
    }

    fn enveloped(&self, command: &Command, data: impl Serialize) -> Response {
        let message = match command {
            Command::Create(_) if self.is_v2 => "Customer created successfully",
            Command::Create(_) => "Customer successfully added",
            Command::Update(_) => "Customer updated successfully",
            Command::Block(_) => "Customer blacklisted successfully",
            Command::Unblock(_) => "Customer removed from blacklist successfully",
            Command::Delete(_) => "Customer deleted successfully",
            Command::List(_) => "successfully fetched all customers",
            _ => "successfully fetched customer",
        };
        let message = to_raw_value(message).ok();
        let (status, message) = (Some(Raw::TRUE), message.as_ref().map(Raw::from));
        let document = wire::Envelope { status, message, data: Some(data), ..Default::default() };
        json_response(200, &Spelled { document, other: self.is_v2 && matches!(command, Command::Create(_)) })
    }

    /// A customer in Bitnob's words: the inverse of what the client reads.
    fn encode<'c>(&self, customer: &'c Customer) -> wire::Customer<'c> {
        let text = |held: Option<&'c str>| held.or(self.is_v2.then_some("")).map(Str::new);
        let (first_name, last_name) = customer.split_name();
        let (code, national) = customer.split_phone();
        wire::Customer {
            id: str_of(Some(&customer.id)),
            metadata: None,
            email: text(customer.email.as_deref()),
            customer_type: customer.kind.filter(|_| self.is_v2).map(|kind| Str::new(kind.as_str())),
            first_name: text(first_name),
            last_name: text(last_name),
            phone: text(national),
            country_code: text(code),
            blacklist: customer.blocked,
            created_at: str_of(customer.created_at.as_ref()),
            updated_at: str_of(customer.updated_at.as_ref()),
            extra: customer.extra.borrowed(),
        }
    }
}

fn read_fields(asked: &VendorRequest<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = asked.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let fields = fields(&input, &source);
    let unknown_type = input.customer_type.set().is_some() && fields.kind.set().is_none();
    let code = input.country_code.set().filter(|code| !code.is_empty());
    let wrong = broken([
        (create && fields.email.set().is_none(), "/email", "should not be empty"),
        (is_no_address(&fields.email), "/email", "must be an email"),
        (unknown_type, "/customer_type", "must be individual or business"),
        (!create && input.phone.is_absent() && code.is_some(), "/phone", "should be sent with its country code"),
    ]);
    if wrong.is_empty() { Ok(fields) } else { Err(Error::invalid(wrong)) }
}

/// What a client asks of a record: the inverse of [`translate::input`]. Empty text changes nothing.
fn fields(asked: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch| patch_text(source, patch, Patch::Absent);
    let phone = match (text(&asked.phone), text(&asked.country_code)) {
        (Patch::Set(national), Patch::Set(code)) => {
            Patch::Set(phone::join(&code, &national).map_or(national, |read| Text::from(read.number)))
        }
        (phone, _) => phone,
    };
    CustomerFields {
        first_name: text(&asked.first_name),
        last_name: text(&asked.last_name),
        email: text(&asked.email),
        phone,
        kind: asked.customer_type.set().and_then(|word| CustomerType::parse(word)).into(),
        ..CustomerFields::default()
    }
}
