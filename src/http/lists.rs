//! The handlers for lists: customers, and a customer's payment methods, payments and overdue invoices. Pages, offsets and
//! tokens of the providers all become cursors.

use axum::response::Response;
use http::{HeaderValue, header};
use passerelle_providers::{
    api::{
        input,
        view::{CustomersView, EachView, ListView, Origin, Shown},
    },
    engine::lists::FilteredBy,
    model::{
        Command, Customer, CustomerFilter, CustomerId, Fidelity, ListCustomers, ListOfCustomer, Operation, Page,
        Position,
    },
    text::{JsonText, Text, email, phone},
};

use super::{
    answer::written,
    request::{Call, Caller, CustomerPath},
    schema,
};
use crate::{
    execution::{Place, Walk},
    merchant::{Connection, Cursor, NotThisList},
    problem::{Code, Problem},
};

/// The page size if the client gives none.
const DEFAULT_LIMIT: u16 = 20;

/// About how many bytes a customer of a page has beyond the provider's answer, and another entry. A page is written into a
/// buffer of the right size, because it may stay in memory until a slow client has read it.
const CUSTOMER_MORE: usize = 600;
const ENTRY_MORE: usize = 512;

/// `GET /v1/customers`
#[utoipa::path(
    get, path = "/v1/customers", operation_id = "list_customers", tag = "customers", summary = "List customers",
    description = "A page of the provider's customers, in its order. With filters, `filtered_by` says who applied them. A page that the gateway filtered can be short or empty although `has_more` is true.",
    params(schema::PageParameters, schema::FilterParameters, schema::CommonParameters),
    responses((status = 200, description = "A page. The `Link` header has the URL of the next one.", body = schema::CustomerList), schema::Problems),
)]
pub async fn customers(caller: Caller) -> Result<Response, Problem> {
    of_customers(caller.call(Operation::List, &["limit", "cursor", "email", "phone", "did", "blocked", "search"])?)
        .await
}

/// The page of customers that the parameters of a call ask for.
pub(super) async fn of_customers(call: Call) -> Result<Response, Problem> {
    let list = ListRequest::of_customers(&call)?;
    let Cursor { position, limit, .. } = list.cursor.clone();
    let command = ListCustomers { limit, position, filter: list.filter.clone() };
    call.read_list(Command::List(command), Some(list)).await
}

/// `GET /v1/customers/{id}/payment_methods`
#[utoipa::path(
    get, path = "/v1/customers/{id}/payment_methods", operation_id = "list_payment_methods", tag = "of a customer", summary = "List a customer's payment methods",
    description = "The payment methods that the provider has for a customer.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::PageParameters, schema::CommonParameters),
    responses((status = 200, description = "A page.", body = schema::PaymentMethodList), schema::Problems),
)]
pub async fn payment_methods(caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::PaymentMethods, &["limit", "cursor"])?;
    let id = call.id(id)?;
    of_payment_methods(call, id).await
}

/// The page of a customer's payment methods that the parameters of a call ask for.
pub(super) async fn of_payment_methods(call: Call, id: CustomerId) -> Result<Response, Problem> {
    let list = ListRequest::of_customer(&call, &id)?;
    let command = list.command(id, None);
    call.read_list(Command::PaymentMethods(command), Some(list)).await
}

/// `GET /v1/customers/{id}/payments`
#[utoipa::path(
    get, path = "/v1/customers/{id}/payments", operation_id = "list_payments", tag = "of a customer", summary = "List a customer's payments",
    description = "The payments that the provider has for a customer.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), ("status" = Option<String>, Query, min_length = 1, pattern = r"^[^\x00]+$", description = "Only payments with this status. The values are the provider's own."), schema::PageParameters, schema::CommonParameters),
    responses((status = 200, description = "A page.", body = schema::PaymentList), schema::Problems),
)]
pub async fn payments(caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::Payments, &["limit", "cursor", "status"])?;
    let id = call.id(id)?;
    let list = ListRequest::of_customer(&call, &id)?;
    let status = call.query.text("status")?.map(Text::from);
    let command = list.command(id, status);
    call.read_list(Command::Payments(command), Some(list)).await
}

/// `GET /v1/customers/{id}/overdue_invoices`
#[utoipa::path(
    get, path = "/v1/customers/{id}/overdue_invoices", operation_id = "list_overdue_invoices", tag = "of a customer", summary = "List a customer's overdue invoices",
    description = "The invoices of a customer that are due and not paid.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::CommonParameters),
    responses((status = 200, description = "All overdue invoices, with their customer and their sums.", body = schema::InvoiceList), schema::Problems),
)]
pub async fn overdue_invoices(caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::OverdueInvoices, &[])?;
    let id = call.id(id)?;
    call.read(Command::OverdueInvoices(id)).await
}

/// One list: its path and filters, and the position of the requested page.
#[derive(Debug)]
pub struct ListRequest {
    path: String,
    parameters: Vec<(&'static str, String)>,
    filter: CustomerFilter,
    cursor: Cursor,
    /// Where the list began, and whose list is read, by the cursor that the client sent.
    place: Option<Place>,
}

impl ListRequest {
    fn of_customers(call: &Call) -> Result<Self, Problem> {
        let query = &call.query;
        let text = |name: &'static str| Ok::<_, Problem>(query.text(name)?.map(Text::from));
        let filter = CustomerFilter {
            email: text("email")?,
            phone: text("phone")?.map(|number| input::phone_query(&number, call.merchant.region)),
            did: text("did")?,
            blocked: query.flag("blocked")?,
            search: text("search")?,
        };
        if filter.email.as_ref().is_some_and(|address| !email::is_address(address)) {
            return Err(Problem::invalid_one("email", "is not an e-mail address; `search` finds parts of one"));
        }
        if filter.phone.as_ref().is_some_and(|number| !phone::looks_like_phone(number)) {
            return Err(Problem::invalid_one("phone", "is not a phone number; `search` finds parts of one"));
        }
        let names = ["email", "phone", "did", "blocked", "search"];
        let parameters = parameters(call, &names);
        Self::open(call, "/v1/customers".to_owned(), parameters, filter)
    }

    fn of_customer(call: &Call, id: &CustomerId) -> Result<Self, Problem> {
        let path = format!("/v1/customers/{}/{}", id.public(), call.operation.name());
        Self::open(call, path, parameters(call, &["status"]), CustomerFilter::default())
    }

    fn open(
        call: &Call,
        path: String,
        parameters: Vec<(&'static str, String)>,
        filter: CustomerFilter,
    ) -> Result<Self, Problem> {
        let limit = call.query.limit()?;
        let limit_or_default = limit.unwrap_or(DEFAULT_LIMIT);
        let first_page = Cursor { position: Position::START, limit: limit_or_default, began_at: None, since: None };
        let mut list = Self { path, parameters, filter, cursor: first_page, place: None };
        if let Some(sealed) = call.query.get("cursor") {
            let (cursor, connection) = opened(call, sealed, &list.identity())?;
            list.cursor = cursor;
            let began_at = list.cursor.began_at.clone().unwrap_or_else(|| connection.clone());
            list.place = Some(Place { began_at, at: connection, since: list.cursor.since });
            if limit.is_some_and(|limit| limit != list.cursor.limit) {
                let message = format!(
                    "the cursor belongs to limit={0}; send limit={0}, or start without a cursor",
                    list.cursor.limit
                );
                return Err(Problem::new(Code::InvalidCursor, message));
            }
        }
        Ok(list)
    }

    /// Refuses a cursor of another connection than the one that serves the list now: a position in the list of one
    /// provider means nothing in the list of another.
    pub(super) fn check_connection(&self, connection: &Connection) -> Result<(), Problem> {
        match &self.place {
            Some(Place { began_at, .. }) if *began_at != connection.name => {
                let message = format!(
                    "the list began at the connection `{began_at}`, and is read from `{}` now; request the first page \
                     again, without a cursor",
                    connection.name
                );
                Err(Problem::new(Code::InvalidCursor, message))
            }
            _ => Ok(()),
        }
    }

    /// The list that a cursor is sealed for: its path and its filters.
    fn identity(&self) -> String {
        let mut identity = self.path.clone();
        for (name, value) in &self.parameters {
            identity.push_str(&format!("\n{name}={value}"));
        }
        identity
    }

    fn command(&self, id: CustomerId, status: Option<Text>) -> ListOfCustomer {
        let Cursor { position, limit, .. } = self.cursor.clone();
        ListOfCustomer { id, limit, position, status }
    }

    /// Writes a page of customers, and returns the cursor of the next page. `received` is the size of the provider's answer if it
    /// is large: the page is about as large, and its buffer does not have to grow.
    pub(super) fn customers<T: JsonText + Clone + PartialEq>(
        &self,
        call: &Call,
        page: Page<Customer<T>>,
        walk: Option<&Walk>,
        received: usize,
    ) -> (Vec<u8>, Option<String>) {
        let Page { mut items, next, total } = page;
        let fidelity = Fidelity::hoist(items.iter_mut().map(|customer| &mut customer.fidelity));
        let homes = walk.map_or(&[][..], |walk| &walk.homes);
        let origins: Vec<Origin<'_>> = homes.iter().map(|home| home.origin()).collect();
        let view = ListView {
            data: CustomersView { customers: &items, origin: call.origin(), origins: &origins },
            next_cursor: match walk {
                None => self.sealed(call, next),
                Some(walk) => self.sealed_at(&walk.next_at, &walk.began_at, walk.since, next),
            },
            total_count: total,
            filtered_by: FilteredBy::of(&self.filter, call.manifest()).as_str(),
            fidelity: &fidelity,
            overdue: None,
        };
        let document = written(&view, None, 512 + items.len() * CUSTOMER_MORE + received);
        (document, view.next_cursor)
    }

    /// Writes a page of entries that belong to a customer, and returns the cursor of the next page.
    pub(super) fn entries<T: Shown>(&self, call: &Call, page: &Page<T>, received: usize) -> (Vec<u8>, Option<String>) {
        let fidelity: Fidelity = Fidelity::default();
        let view = ListView {
            data: EachView(&page.items),
            next_cursor: self.sealed(call, page.next.clone()),
            total_count: page.total,
            filtered_by: (!self.parameters.is_empty()).then_some("provider"),
            fidelity: &fidelity,
            overdue: None,
        };
        let document = written(&view, None, 512 + page.items.len() * ENTRY_MORE + received);
        (document, view.next_cursor)
    }

    /// Seals the cursor of the page that begins at a position.
    fn sealed(&self, call: &Call, next: Option<Position>) -> Option<String> {
        self.sealed_at(&call.connection, &call.connection, None, next)
    }

    /// Seals the cursor of a page in the list of a connection, of a walk that began at another one.
    fn sealed_at(
        &self,
        at: &Connection,
        began_at: &Connection,
        since: Option<i64>,
        next: Option<Position>,
    ) -> Option<String> {
        let began_at = (began_at.name != at.name).then(|| began_at.name.clone());
        let cursor = Cursor { position: next?, limit: self.cursor.limit, began_at, since };
        at.cursor_key.seal(&cursor, &self.identity())
    }

    /// Where the list began, if the client sent a cursor.
    pub(super) const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Adds the `Link` header with the URL of the next page.
    pub(super) fn linked(&self, mut response: Response, next_cursor: Option<String>) -> Response {
        if let Some(Ok(link)) = next_cursor.map(|cursor| HeaderValue::try_from(self.link(&cursor))) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    fn link(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.cursor.limit.to_string());
        query.extend_pairs(&self.parameters);
        // A cursor needs no escaping in a URL.
        format!("<{}?{}&cursor={cursor}>; rel=\"next\"", self.path, query.finish())
    }
}

/// Opens a cursor, and names the connection that sealed it. Which connection serves the list is not known yet where the
/// merchant has a middleware.
fn opened(call: &Call, sealed: &str, identity: &str) -> Result<(Cursor, String), Problem> {
    let open = |connection: &Connection| {
        let cursor = connection.cursor_key.open(sealed, identity)?;
        Ok::<_, NotThisList>((cursor, connection.name.clone()))
    };
    let others = call.merchant.middleware.iter().flat_map(|_| call.merchant.connections.values());
    let opened = others.fold(open(&call.connection), |opened, other| opened.or_else(|_| open(other)));
    opened.map_err(|error| Problem::new(Code::InvalidCursor, error.to_string()))
}

/// The parameters that filter the list, as the client sent them.
fn parameters(call: &Call, names: &[&'static str]) -> Vec<(&'static str, String)> {
    names.iter().filter_map(|name| Some((*name, call.query.get(name)?.to_owned()))).collect()
}
