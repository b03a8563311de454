//! Bitnob's server side, in both generations: their routes, envelopes and error shapes. The twin and drop-in use it to
//! answer as Bitnob does.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{json, value::to_raw_value};

use super::{Bitnob, translate, wire};
use crate::{
    json::{self, Raw},
    kit::{
        VendorRequest, VendorServer,
        document::Spelled,
        members::{patch_text, str_of},
        server::{
            broken, cannot, in_one_text, is_malformed_email, json_response, mismatched_reply, no_route, reason, total,
            usual_status, uuid,
        },
        vendor_request::{given_members, read_document},
    },
    model::{
        Command, Created, Customer, CustomerFields, CustomerFilter, CustomerId, CustomerType, Error, Field, FieldError,
        IdPattern, Kind, ListCustomers, Lookup, Page, Patch, Reply, Request, Response, Written, manifest::Manifest,
    },
    text::{Source, Str, Text, phone},
};

impl VendorServer for Bitnob {
    fn manifest(&self) -> &'static Manifest {
        crate::CustomerProvider::manifest(self)
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let request = VendorRequest::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), ids);
        let (method, path) = request.route_below(self.collection())?;
        match (method, &path[..]) {
            ("POST", []) => read_fields(&request, true).map(Command::create),
            ("GET", []) => self.list(&request),
            // The older look-up by e-mail (py).
            ("POST", ["fetch_customer"]) if !self.is_v2 => match read_fields(&request, true)?.email {
                Patch::Set(email) => Ok(Command::Find(Lookup::Email(email))),
                Patch::Absent | Patch::Clear => Err(no_route()),
            },
            ("GET", [email]) if email.contains('@') => Ok(Command::Find(Lookup::Email(Text::from(*email)))),
            ("GET", [key]) => {
                let by_reference = |_| Command::Find(Lookup::Reference(Text::from(*key)));
                Ok(id(key).map_or_else(by_reference, Command::Retrieve))
            }
            ("PUT", [customer]) => Ok(Command::update(read_fields(&request, false)?, id(customer)?)),
            ("POST", ["blacklist", customer]) => {
                match read_document::<wire::BlacklistInput>(&request.source()?)?.blacklist {
                    Patch::Set(true) => id(customer).map(Command::Block),
                    Patch::Set(false) => id(customer).map(Command::Unblock),
                    _ => Err(Error::invalid(vec![FieldError::new("/blacklist", "must be a boolean value")])),
                }
            }
            ("DELETE", [customer]) if self.is_v2 => id(customer).map(Command::Delete),
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
            (Command::List(list), Reply::Customers(page)) => self.page(command, list, page),
            _ => return Err(mismatched_reply()),
        })
    }

    fn refuse(&self, request: &Request, error: &Error, _: Timestamp) -> Response {
        let default_status = usual_status(error.kind);
        // The official v1 client crashes on the other statuses (py).
        let status = match default_status {
            status if self.is_v2 => status,
            400 | 401 | 404 | 429 => default_status,
            500.. => 500,
            _ => 400,
        };
        let (code, title, message) = match status {
            401 => ("UNAUTHORIZED", "Unauthorized", "Authentication failed".to_owned()),
            404 if error.kind == Kind::NoRoute => ("NOT_FOUND", "Not Found", cannot(self.manifest(), request, error)),
            404 => ("NOT_FOUND", "Not Found", "customer not found".to_owned()),
            429 => ("RATE_LIMIT_EXCEEDED", "Too Many Requests", error.detail.to_string()),
            500.. => ("INTERNAL_ERROR", "Internal Server Error", "an unexpected error occurred".to_owned()),
            _ if self.is_v2 && !matches!(error.kind, Kind::Refused(_)) => {
                ("VALIDATION_ERROR", "Validation Error", in_one_text(error, &translate::V2_WORDS, " "))
            }
            _ => ("BAD_REQUEST", reason(status), error.detail.to_string()),
        };
        if self.is_v2 {
            let url = format!("https://api.bitnob.com/errors/{code}");
            // Bitnob does not send `message`, but the official client shows nothing else (cli).
            let body = json!({ "type": url, "title": title, "status": status, "detail": message, "message": message });
            return json_response(status, &body);
        }
        let line = |error: &FieldError| format!("{} {}", translate::WORDS.word(&error.pointer), error.detail);
        let lines: Vec<_> = error.fields.iter().map(line).collect();
        let message = if lines.is_empty() { json!(message) } else { json!(lines) };
        json_response(status, &json!({ "statusCode": status, "message": message, "error": title }))
    }

    fn members_without_field(&self) -> &'static [&'static str] {
        // The members that the newest API takes (nb) (gp).
        const NEWEST: &[&str] =
            &["date_of_birth", "id_type", "id_number", "country", "line1", "city", "state", "postal_code", "reference"];
        if self.is_v2 { NEWEST } else { &[] }
    }

    fn members_without_place(&self, body: &Source) -> Vec<&'static str> {
        let mut members = given_members(body, self.members_without_field());
        // A dial code has no place without a number.
        if read_document(body).is_ok_and(|input| fields(&input, body).phone.set().is_none()) {
            members.extend(given_members(body, &translate::DIAL_CODES));
        }
        members
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
    fn list(&self, request: &VendorRequest<'_>) -> Result<Command, Error> {
        let (size, default_limit) = if self.is_v2 { ("limit", 20) } else { ("take", 10) };
        request.require_supported("order", &["DESC"])?;
        let (limit, position) = request.page(size, default_limit, self.manifest().paging.max_limit)?;
        let mut filter = CustomerFilter::default();
        if self.is_v2 {
            filter.blocked = request.flag("blacklist")?;
            filter.phone = request.query_text("phone_number").map(|text| phone::canonical_text(&text, self.region));
        }
        Ok(Command::List(ListCustomers { limit, position, filter }))
    }

    fn page(&self, command: &Command, list: &ListCustomers, page: &Page<Customer>) -> Response {
        let customers = page.items.iter().map(|customer| self.spelled(self.encode(customer))).collect();
        let (number, total) = (list.position.page(list.limit), total(page, &list.position));
        let meta = wire::Meta {
            page: Some(number),
            take: Some(list.limit),
            item_count: Some(total),
            page_count: Some(total.div_ceil(list.limit.max(1).into())),
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

    /// Writes a customer as Bitnob does: the inverse of `translate::customer`. Generation v2 writes empty text for
    /// absent.
    fn encode<'c>(&self, customer: &'c Customer) -> wire::Customer<'c> {
        let text = |value: Option<&'c str>| value.or(self.is_v2.then_some("")).map(Str::new);
        let (first_name, last_name) = customer.split_name();
        let (code, national) = customer.split_phone();
        // A dial code that is no part of the number. It is written where the number has none.
        let (other_code, extra) = customer.extra.split_off(&translate::DIAL_CODES);
        let other_code = other_code.and_then(|code| json::from_str::<Str<'_>>(code.get()).ok());
        wire::Customer {
            id: str_of(Some(&customer.id)),
            metadata: None,
            email: text(customer.email.as_deref()),
            customer_type: customer.kind.filter(|_| self.is_v2).map(|kind| Str::new(kind.as_str())),
            first_name: text(first_name),
            last_name: text(last_name),
            phone: text(national),
            country_code: code.map(Str::new).or(other_code).or_else(|| text(None)),
            blacklist: customer.blocked,
            created_at: str_of(customer.created_at.as_ref()),
            updated_at: str_of(customer.updated_at.as_ref()),
            extra,
        }
    }
}

/// Decodes the body of a create or an update, and checks it as Bitnob does.
fn read_fields(request: &VendorRequest<'_>, create: bool) -> Result<CustomerFields, Error> {
    let source = request.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let mut fields = fields(&input, &source);
    let has_unknown_type = input.customer_type.set().is_some() && fields.kind.set().is_none();
    let code = input.country_code.set().filter(|code| !code.is_empty());
    let errors = broken([
        (create && fields.email.set().is_none(), "/email", "should not be empty"),
        (is_malformed_email(&fields.email), "/email", "must be an email"),
        (has_unknown_type, "/customer_type", "must be individual or business"),
        (!create && fields.phone.set().is_none() && code.is_some(), "/phone", "should be sent with its country code"),
        (loses_dial_code(&fields, code), "/phone", "should be a number of its country code"),
    ]);
    if !errors.is_empty() {
        return Err(Error::invalid(errors));
    }
    // An update may send the national digits alone. The record keeps its dial code then.
    let has_code = code.is_some() || input.country_code == Patch::Clear;
    if !create && !has_code && fields.phone.set().is_some_and(|phone| phone::is_national(phone)) {
        fields.rewritten.add(Field::Phone, phone::BESIDE_RECORD, None);
    }
    Ok(fields)
}

/// Whether the phone number of a command is not international, although the client sent a dial code with it.
fn loses_dial_code(fields: &CustomerFields, code: Option<&Str<'_>>) -> bool {
    code.is_some() && fields.phone.set().is_some_and(|phone| !phone.starts_with('+'))
}

/// The fields of a create or an update: the inverse of [`translate::input`]. Empty text changes nothing.
fn fields(input: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch| patch_text(source, patch, Patch::Absent);
    let phone = match (text(&input.phone), text(&input.country_code)) {
        (Patch::Set(national), Patch::Set(code)) => {
            Patch::Set(phone::join(&code, &national).map_or(national, |joined| Text::from(joined.number)))
        }
        (phone, _) => phone,
    };
    CustomerFields {
        first_name: text(&input.first_name),
        last_name: text(&input.last_name),
        email: text(&input.email),
        phone,
        kind: input.customer_type.set().and_then(|word| CustomerType::parse(word)).into(),
        ..CustomerFields::default()
    }
}
