//! PaymentKit's own side: its routes, its bare answers, its errors in a string and its 404 of `null`.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use jiff::Timestamp;
use serde_json::{json, value::to_raw_value};

use super::{MANIFEST, translate, wire};
use crate::{
    error::{Error, FieldError, Kind},
    imitate::{
        Asked, ImitatesVendor, in_one_text, json_response, mismatched, no_route, read_document, token, total,
        usual_status,
    },
    manifest::Manifest,
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, ListCustomers, Patch, Position, Reply,
        UpdateCustomer,
    },
    plan::{Request, Response},
    text::{Text, email},
    wire::{Extra, JsonObject},
};

/// Speaks as PaymentKit, for the records of one mode.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) livemode: bool,
}

impl ImitatesVendor for Server {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept(&self, request: &Request) -> Result<Command, Error> {
        let asked = Asked::of(request);
        let id = |id: &str| CustomerId::parse(Text::from(id), &MANIFEST.id);
        match asked.route() {
            ("GET", path) if path == ["api", "customers"] => {
                let filter = CustomerFilter { did: asked.query_text("did"), ..CustomerFilter::default() };
                list(&asked, filter)
            }
            ("GET", path) if path == ["api", "customers", "search"] => {
                let filter = CustomerFilter { search: asked.query_text("query"), ..CustomerFilter::default() };
                list(&asked, filter)
            }
            // A body of `{"create":true}` asks for a customer to be made of the app's user [sdk].
            ("GET", path) if let ["api", "customers", found] = path[..] => id(found).map(Command::Retrieve),
            ("GET", path) if let ["api", "customers", found, "overdue", "invoices"] = path[..] => {
                id(found).map(Command::OverdueInvoices)
            }
            ("PUT", path) if let ["api", "customers", found] = path[..] => {
                Ok(Command::Update(UpdateCustomer { id: id(found)?, fields: read_fields(&asked)? }))
            }
            _ => Err(no_route()),
        }
    }

    fn answer(&self, command: &Command, reply: &Reply) -> Result<Response, Error> {
        Ok(match (command, reply) {
            (_, Reply::Customer(customer)) => json_response(200, &self.told(customer, customer.full_name().as_ref())),
            (Command::List(asked), Reply::Customers(page)) => {
                let names: Vec<_> = page.items.iter().map(Customer::full_name).collect();
                let list = page.items.iter().zip(&names).map(|(customer, name)| self.told(customer, name.as_ref()));
                let paging = json!({ "page": asked.position.page(asked.limit), "pageSize": asked.limit });
                json_response(
                    200,
                    &wire::Page {
                        count: Some(total(page, &asked.position)),
                        list: Some(list.collect()),
                        paging: to_raw_value(&paging).ok(),
                        ..wire::Page::default()
                    },
                )
            }
            (Command::OverdueInvoices(_), Reply::OverdueInvoices(customer, overdue)) => {
                let name = customer.full_name();
                let of = |extra: &Extra| {
                    let found = extra.members().into_iter().find(|(key, _)| key == "subscription_id");
                    found.map(|(_, id)| id.get().to_owned())
                };
                let subscriptions: BTreeSet<_> =
                    overdue.invoices.iter().filter_map(|invoice| of(&invoice.extra)).collect();
                let mut extra = Extra::default();
                if let Ok(count) = to_raw_value(&subscriptions.len()) {
                    extra.keep("subscriptionCount", &count);
                }
                json_response(
                    200,
                    &wire::Overdue {
                        customer: to_raw_value(&self.told(customer, name.as_ref())).ok(),
                        invoices: Some(overdue.invoices.iter().map(translate::told_invoice).collect()),
                        summary: overdue.summary.as_ref().map(JsonObject::raw),
                        extra,
                    },
                )
            }
            _ => return Err(mismatched()),
        })
    }

    fn refuse(&self, request: &Request, error: &Error, _: Timestamp) -> Response {
        let failed = |status, code: Option<&str>, error: String| {
            json_response(status, &wire::Failure { code: code.map(str::to_owned), error })
        };
        match error.kind {
            Kind::NotFound | Kind::InvalidId => match Asked::of(request).route() {
                ("GET", path) if let ["api", "customers", _] = path[..] => json_response(404, &()),
                _ => failed(404, None, "Customer not found".to_owned()),
            },
            Kind::NoRoute => failed(404, None, "Not Found".to_owned()),
            Kind::Unauthorized if request.headers().contains_key("x-component-sig") => {
                failed(401, None, "verify sig failed".to_owned())
            }
            Kind::Unauthorized => failed(401, Some("forbidden"), "not authorized".to_owned()),
            kind => failed(usual_status(kind), None, in_one_text(error, " invalid: ")),
        }
    }

    fn furnish(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = token("cus_", random);
        if customer.did.is_none() {
            customer.did = Some(did(random));
        }
        customer.balance.get_or_insert(Text::from_static("0"));
        customer.delinquent = Some(false);
        customer.livemode = Some(self.livemode);
        customer.extra = Extra::default();
    }
}

impl Server {
    /// A customer as this app tells it: every record has a mode.
    fn told<'c>(&self, customer: &'c Customer, name: Option<&'c Text>) -> wire::Customer<'c> {
        let livemode = Some(customer.livemode.unwrap_or(self.livemode));
        wire::Customer { livemode, ..translate::told(customer, name) }
    }
}

fn list(asked: &Asked<'_>, filter: CustomerFilter) -> Result<Command, Error> {
    let limit = asked.limit("pageSize", 20, 100)?;
    let page = asked.number("page")?.unwrap_or(1);
    Ok(Command::List(ListCustomers { limit, position: Position::of_page(page, limit), filter }))
}

fn read_fields(asked: &Asked<'_>) -> Result<CustomerFields, Error> {
    let source = asked.source()?;
    let input: wire::CustomerInput<'_> = read_document(&source)?;
    let mut wrong = Vec::new();
    if let Patch::Set(address) = &input.email
        && !address.is_empty()
        && !email::is_address(address)
    {
        wrong.push(FieldError::new("/email", "must be a valid email"));
    }
    if let Patch::Set(metadata) = &input.metadata
        && !metadata.get().starts_with('{')
    {
        wrong.push(FieldError::new("/metadata", "must be of type object"));
    }
    if wrong.is_empty() { Ok(translate::fields(&input, &source)) } else { Err(Error::invalid(wrong)) }
}

/// A DID of a user who signed in, in base 58.
fn did(random: [u8; 16]) -> Text {
    const LETTERS: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let bytes = digest::digest(&digest::SHA3_256, &random);
    let letters = bytes.as_ref().iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    Text::from("z1".chars().chain(letters).collect::<String>())
}
