//! Modem Pay's server side: customers without an envelope, totals, and 427 for too many requests. The twin and drop-in
//! use it to answer as Modem Pay does.

use jiff::Timestamp;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use super::{MANIFEST, ModemPay, translate, wire};
use crate::{
    json::Extra,
    kit::{
        VendorRequest, VendorServer, Words,
        members::loose_of,
        server::{
            broken, in_one_text, is_malformed_email, json_response, mismatched_reply, no_route, total, usual_status,
            uuid,
        },
        vendor_request::read_document,
    },
    model::{
        Command, CreateCustomer, Customer, CustomerFields, CustomerFilter, CustomerId, Error, FieldError, IdPattern,
        Kind, ListCustomers, ListOfCustomer, Page, Patch, PaymentMethod, Position, Reply, Request, Response, Written,
        manifest::Manifest,
    },
    text::{Source, Str, Text, decimal},
};

impl VendorServer for ModemPay {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let request = VendorRequest::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), ids);
        let (method, path) = request.route_below("/v1/customers")?;
        match (method, &path[..]) {
            ("POST", []) => self.create(&request),
            ("GET", []) => list(&request),
            ("GET", [customer]) => id(customer).map(Command::Retrieve),
            ("DELETE", [customer]) => id(customer).map(Command::Delete),
            ("PUT", [customer]) => self.update(id(customer)?, &request),
            ("GET", [customer, "payment-methods"]) => {
                let (limit, position) = paging(&request)?;
                Ok(Command::PaymentMethods(ListOfCustomer { id: id(customer)?, limit, position, status: None }))
            }
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        let one = |status, customer| json_response(status, &translate::encode(customer, self.region));
        Ok(match (command, reply) {
            (_, Reply::Written(Written::Created(created))) => {
                one(if created.existing { 200 } else { 201 }, &created.customer)
            }
            (
                _,
                Reply::Customer(customer) | Reply::Found(Some(customer)) | Reply::Written(Written::Changed(customer)),
            ) => one(200, customer),
            // The body is not documented. The SDKs read any JSON and ignore it.
            (Command::Delete(_), Reply::Written(Written::Deleted)) => {
                json_response(200, &json!({ "message": "Customer deleted" }))
            }
            (Command::List(list), Reply::Customers(page)) => {
                let customers = page.items.iter().map(|customer| translate::encode(customer, self.region));
                let (data, meta) = (Some(customers.collect()), Some(meta(page, &list.position)));
                json_response(200, &wire::Page { data, meta, ..Default::default() })
            }
            (Command::PaymentMethods(list), Reply::PaymentMethods(page)) => {
                let methods = page.items.iter().map(translate::encode_method);
                let (data, meta) = (Some(methods.collect()), Some(meta(page, &list.position)));
                json_response(200, &wire::Page { data, meta, ..Default::default() })
            }
            _ => return Err(mismatched_reply()),
        })
    }

    fn refuse(&self, _: &Request, error: &Error, _: Timestamp) -> Response {
        let status = match error.kind {
            Kind::RateLimited => 427,
            Kind::Rejected | Kind::CardData | Kind::NotSupported | Kind::SharedRecord | Kind::Ambiguous => 422,
            kind => usual_status(kind),
        };
        let message = match status {
            401 => "Invalid API key".to_owned(),
            404 if error.kind == Kind::NoRoute => "Not found".to_owned(),
            404 => "Customer not found".to_owned(),
            427 => "Too many requests".to_owned(),
            500.. => "Internal server error".to_owned(),
            _ => in_one_text(error, &Words::OURS, " "),
        };
        json_response(status, &wire::Failure { message: Some(message.into()), status_code: Some(status.into()) })
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = uuid(random);
        customer.livemode = Some(false);
        customer.balance.get_or_insert_with(|| Text::from_static("0"));
        let mut extra = Extra::default();
        add_owner(&mut extra);
        customer.extra = extra;
    }

    /// The payment method of the documents: a wallet, without its phone number (docs).
    fn fill_new_payment_method(&self, method: &mut PaymentMethod, customer: &Text, random: [u8; 16]) {
        const KIND: &str = "mobilepay";
        let mut details: Extra = Extra::default();
        details.add_text("logo", "https://api.modempay.com/images/qcell.png");
        details.add_text("group", "wallet-gm");
        details.add_text("fingerprint", &format!("{:032x}", u128::from_be_bytes(random)));
        let detail = wire::Detail {
            kind: Some(Str::new(KIND)),
            last4: loose_of(method.last4.as_ref()),
            gateway: Some(Str::new("qmoney")),
            gateway_name: Some(Str::new("QMoney")),
            phone: None,
            extra: details.borrowed(),
        };
        let mut extra = Extra::default();
        if let Ok(detail) = to_raw_value(&detail) {
            extra.add(KIND, &detail);
        }
        extra.add_text("customer", customer);
        add_owner(&mut extra);
        extra.add("test_mode", RawValue::TRUE);
        extra.add("has_been_detached", RawValue::FALSE);
        if let Some(time) = &method.created_at {
            extra.add_text("updatedAt", time);
        }
        *method = PaymentMethod {
            id: uuid(random),
            kind: Some(Text::from_static(KIND)),
            channel: Some(Text::from_static("qmoney")),
            phone: None,
            extra,
            ..std::mem::take(method)
        };
    }
}

/// The members that name the merchant in every record.
fn add_owner(extra: &mut Extra) {
    extra.add_text("business_id", "a10a51ae-05c8-406e-968c-7b1d309a77e0");
    extra.add_text("account_id", "7788dd90-3801-47a6-8597-b46eaa0a7d7d");
}

impl ModemPay {
    fn create(&self, request: &VendorRequest<'_>) -> Result<Command, Error> {
        let source = request.source()?;
        let input: wire::CustomerInput<'_> = read_document(&source)?;
        let distinct = matches!(&input.config, Patch::Set(config) if config.distinct == Patch::Set(true));
        let fields = self.read_fields(&input, &source)?.without_clears();
        if fields.name.is_absent() {
            return Err(Error::invalid(vec![FieldError::new("/name", "is required")]));
        }
        Ok(Command::Create(CreateCustomer { fields, distinct, existing: None }))
    }

    fn update(&self, id: CustomerId, request: &VendorRequest<'_>) -> Result<Command, Error> {
        let source = request.source()?;
        let update: wire::Update<'_> = read_document(&source)?;
        // It is not documented whether Modem Pay also accepts the fields without their wrapper. Here it does.
        let input = match update.data {
            Patch::Set(input) => input,
            Patch::Clear | Patch::Absent => read_document(&source)?,
        };
        Ok(Command::update(self.read_fields(&input, &source)?, id))
    }

    /// The fields of a create or an update, checked as Modem Pay does.
    fn read_fields(&self, input: &wire::CustomerInput<'_>, source: &Source) -> Result<CustomerFields, Error> {
        let fields = translate::fields(input, source, self.region);
        let errors = broken([
            (is_malformed_email(&fields.email), "/email", "must be an email"),
            (fields.balance.set().is_some_and(|digits| !decimal::is_plain(digits)), "/balance", "must be a number"),
        ]);
        if errors.is_empty() {
            return Ok(fields);
        }
        Err(Error::new(Kind::Rejected, "some fields are not valid").with_fields(errors))
    }
}

fn list(request: &VendorRequest<'_>) -> Result<Command, Error> {
    let (limit, position) = paging(request)?;
    // The SDKs send the same text as `search` and as `term`, but do not escape `term` (sdk). So `search` goes first.
    let search = request.query_text("search").or_else(|| request.query_text("term"));
    let filter = CustomerFilter { search, ..CustomerFilter::default() };
    Ok(Command::List(ListCustomers { limit, position, filter }))
}

fn paging(request: &VendorRequest<'_>) -> Result<(u16, Position), Error> {
    let limit = request.limit("limit", 10, MANIFEST.paging.max_limit)?;
    Ok((limit, Position::Offset(request.number("offset")?.unwrap_or_default())))
}

fn meta<T>(page: &Page<T>, position: &Position) -> wire::Meta<'static> {
    wire::Meta { total: Some(total(page, position)), ..Default::default() }
}
