//! Lists: of customers, and of what belongs to one. Whatever a provider counts in becomes a cursor.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use passerelle_providers::{
    api::{
        input,
        view::{CustomersView, EachView, ListView, Shown, summary},
    },
    engine::lists::{self, ListQuery, Listing, Mark},
    kit::{Plan, run},
    model::{CustomerFilter, Error, Fidelity, ListOfCustomer, Operation, Page},
    text::{Str, Text, email, phone},
};

use super::{
    answer::written,
    cursor::Cursor,
    problem::{Code, Failure},
    request::{Call, Caller, CustomerPath},
    schema,
};

const USUAL_LIMIT: u16 = 20;

/// `GET /v1/customers`
#[utoipa::path(
    get, path = "/v1/customers", operation_id = "list_customers", tag = "customers", summary = "List customers",
    params(schema::Walk, schema::Filters, schema::Everywhere),
    responses((status = 200, description = "A page; `Link` names the next one.", body = schema::CustomerList), schema::Problems),
)]
pub async fn customers(caller: Caller) -> Result<Response, Failure> {
    let call = caller.call(Operation::List, &["limit", "cursor", "email", "phone", "did", "blocked", "search"])?;
    let list = OneList::of_customers(&call)?;
    let query = ListQuery { limit: list.cursor.limit, mark: list.cursor.mark.clone(), filter: list.filter.clone() };
    if call.explain {
        let plan = lists::first_plan(call.provider(), &query).map_err(|error| call.failure(&error))?;
        return call.explanation(&[plan.request], &plan.fidelity);
    }
    let line = call.line();
    let write = |Listing { items, next, total, filtered_by, fidelity }: Listing<Str<'_>>| {
        let view = ListView {
            data: CustomersView { customers: &items, origin: call.origin() },
            next_cursor: list.sealed(&call, next),
            total_count: total,
            filtered_by: filtered_by.as_str(),
            fidelity: &fidelity,
            summary: None,
        };
        let document = written(&view, None, 512 + items.len() * 1100);
        (document, view.next_cursor)
    };
    let performed = call.perform(&line, lists::show(call.provider(), &line, &query, write)).await?;
    let (document, next_cursor) = performed.value;
    let response = call.answer_written(StatusCode::OK, document, performed.raw.as_deref());
    Ok(list.linked(response, next_cursor.as_deref()))
}

/// `GET /v1/customers/{id}/payment_methods`
#[utoipa::path(
    get, path = "/v1/customers/{id}/payment_methods", operation_id = "list_payment_methods", tag = "of a customer", summary = "List a customer's payment methods",
    params(("id" = String, Path, description = "The customer's id."), schema::Walk, schema::Everywhere),
    responses((status = 200, description = "A page.", body = schema::PaymentMethodList), schema::Problems),
)]
pub async fn payment_methods(caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::PaymentMethods, &["limit", "cursor"])?;
    let list = OneList::of_customer(&call, id)?;
    let plan = call.provider().plan_payment_methods(&list.command(None)?);
    list.page(&call, plan).await
}

/// `GET /v1/customers/{id}/payments`
#[utoipa::path(
    get, path = "/v1/customers/{id}/payments", operation_id = "list_payments", tag = "of a customer", summary = "List a customer's payments",
    params(("id" = String, Path, description = "The customer's id."), ("status" = Option<String>, Query, description = "Only payments of this status, in the provider's words."), schema::Walk, schema::Everywhere),
    responses((status = 200, description = "A page.", body = schema::PaymentList), schema::Problems),
)]
pub async fn payments(caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::Payments, &["limit", "cursor", "status"])?;
    let list = OneList::of_customer(&call, id)?;
    let status = call.query.text("status")?.map(Text::from);
    let plan = call.provider().plan_payments(&list.command(status)?);
    list.page(&call, plan).await
}

/// `GET /v1/customers/{id}/overdue_invoices`
#[utoipa::path(
    get, path = "/v1/customers/{id}/overdue_invoices", operation_id = "list_overdue_invoices", tag = "of a customer", summary = "List a customer's overdue invoices",
    params(("id" = String, Path, description = "The customer's id."), schema::Everywhere),
    responses((status = 200, description = "All of them, with the sums.", body = schema::InvoiceList), schema::Problems),
)]
pub async fn overdue_invoices(caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::OverdueInvoices, &[])?;
    let id = call.id(id)?;
    let plan = call.provider().plan_overdue_invoices(&id).map_err(|error| call.failure(&error))?;
    if call.explain {
        return call.explanation(&[plan.request], &plan.fidelity);
    }
    let line = call.line();
    let performed = call.perform(&line, run(&line, plan)).await?;
    let overdue = &performed.value;
    let fidelity: Fidelity = Fidelity::default();
    let view = ListView {
        data: EachView(&overdue.invoices),
        next_cursor: None,
        total_count: Some(overdue.invoices.len() as u64),
        filtered_by: None,
        fidelity: &fidelity,
        summary: Some(summary(overdue)),
    };
    Ok(call.answer(StatusCode::OK, &view, performed.raw.as_deref(), 2048))
}

/// One list: what it shows, and where the walk through it stands.
struct OneList {
    path: String,
    parameters: Vec<(&'static str, String)>,
    filter: CustomerFilter,
    id: Option<passerelle_providers::model::CustomerId>,
    cursor: Cursor,
}

impl OneList {
    fn of_customers(call: &Call) -> Result<Self, Failure> {
        let query = &call.query;
        let text = |name: &'static str| Ok::<_, Failure>(query.text(name)?.map(Text::from));
        let filter = CustomerFilter {
            email: text("email")?,
            phone: text("phone")?.map(|number| input::phone_query(&number, call.merchant.region)),
            did: text("did")?,
            blocked: query.flag("blocked")?,
            search: text("search")?,
        };
        if filter.email.as_ref().is_some_and(|address| !email::is_address(address)) {
            return Err(Failure::invalid_one("email", "is not an e-mail address; `search` finds parts of one"));
        }
        if filter.phone.as_ref().is_some_and(|number| !phone::looks_like_phone(number)) {
            return Err(Failure::invalid_one("phone", "is not a phone number; `search` finds parts of one"));
        }
        let names = ["email", "phone", "did", "blocked", "search"];
        let parameters = parameters(call, &names);
        Self::open(call, "/v1/customers".to_owned(), parameters, filter, None)
    }

    fn of_customer(call: &Call, id: CustomerPath) -> Result<Self, Failure> {
        let id = call.id(id)?;
        let path = format!("/v1/customers/{}/{}", id.text(), call.operation.name());
        Self::open(call, path, parameters(call, &["status"]), CustomerFilter::default(), Some(id))
    }

    fn open(
        call: &Call,
        path: String,
        parameters: Vec<(&'static str, String)>,
        filter: CustomerFilter,
        id: Option<passerelle_providers::model::CustomerId>,
    ) -> Result<Self, Failure> {
        let limit = call.query.limit()?;
        let beginning = Cursor { mark: Mark::START, limit: limit.unwrap_or(USUAL_LIMIT) };
        let mut list = Self { path, parameters, filter, id, cursor: beginning };
        if let Some(sealed) = call.query.get("cursor") {
            list.cursor = call.connection().cursor_key.open(sealed, &list.identity())?;
            if limit.is_some_and(|limit| limit != list.cursor.limit) {
                let told = format!("the walk began with limit={}; keep it, or begin again", list.cursor.limit);
                return Err(Failure::new(Code::InvalidCursor, told));
            }
        }
        Ok(list)
    }

    /// What a cursor is sealed for: the path and the filter.
    fn identity(&self) -> String {
        let mut identity = self.path.clone();
        for (name, value) in &self.parameters {
            identity.push_str(&format!("\n{name}={value}"));
        }
        identity
    }

    fn command(&self, status: Option<Text>) -> Result<ListOfCustomer, Failure> {
        let id = self.id.clone();
        let id = id.ok_or_else(|| Failure::new(Code::Internal, "a list of a customer without the customer"))?;
        Ok(ListOfCustomer { id, limit: self.cursor.limit, position: self.cursor.mark.position.clone(), status })
    }

    /// Explains or runs a plan of one page, and answers it.
    async fn page<T: Shown + 'static>(
        self,
        call: &Call,
        plan: Result<Plan<Page<T>>, Error>,
    ) -> Result<Response, Failure> {
        let plan = plan.map_err(|error| call.failure(&error))?;
        if call.explain {
            return call.explanation(&[plan.request], &plan.fidelity);
        }
        let line = call.line();
        let performed = call.perform(&line, run(&line, plan)).await?;
        let Page { items, next, total } = performed.value;
        let fidelity: Fidelity = Fidelity::default();
        let next = next.map(|position| Mark { position, skip: 0 });
        let view = ListView {
            data: EachView(&items),
            next_cursor: self.sealed(call, next),
            total_count: total,
            filtered_by: (!self.parameters.is_empty()).then_some("provider"),
            fidelity: &fidelity,
            summary: None,
        };
        let response = call.answer(StatusCode::OK, &view, performed.raw.as_deref(), 512 + items.len() * 512);
        Ok(self.linked(response, view.next_cursor.as_deref()))
    }

    /// The cursor of the page that begins at a mark.
    fn sealed(&self, call: &Call, next: Option<Mark>) -> Option<String> {
        let cursor = Cursor { mark: next?, limit: self.cursor.limit };
        call.connection().cursor_key.seal(&cursor, &self.identity())
    }

    /// A page with the link to the next one.
    fn linked(&self, mut response: Response, next_cursor: Option<&str>) -> Response {
        if let Some(Ok(link)) = next_cursor.map(|cursor| HeaderValue::try_from(self.link(cursor))) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    fn link(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.cursor.limit.to_string());
        query.extend_pairs(&self.parameters);
        // A cursor stands in a URL as it is.
        format!("<{}?{}&cursor={cursor}>; rel=\"next\"", self.path, query.finish())
    }
}

/// The parameters that make a list another one, as they were given.
fn parameters(call: &Call, names: &[&'static str]) -> Vec<(&'static str, String)> {
    names.iter().filter_map(|name| Some((*name, call.query.get(name)?.to_owned()))).collect()
}
