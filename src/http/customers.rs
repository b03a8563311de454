//! One customer: create, retrieve, look up, update, delete, block, unblock.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use passerelle_providers::{
    api::{input, view::CustomerView},
    engine::{lists, prepare},
    kit::{Plan, run},
    model::{Command, CreateCustomer, Customer, Error, FieldError, Kind, Lookup, Operation, Request, UpdateCustomer},
    text::{Text, email, phone},
};

use super::{
    answer::Performed,
    problem::Failure,
    request::{Call, Caller, CustomerPath, JsonBody},
    schema,
};
use crate::app::App;

/// The size of a usual customer in an answer.
const USUAL_SIZE: usize = 1536;

/// `POST /v1/customers`
#[utoipa::path(
    post, path = "/v1/customers", operation_id = "create_customer", tag = "customers", summary = "Create a customer",
    params(("distinct" = Option<bool>, Query, description = "`true`: answer the existing customer on a match instead of creating a second one."), schema::Everywhere, ("Prefer" = Option<String>, Header, description = "`loss=reject` or `loss=drop`: what becomes of fields that the provider cannot hold."), schema::Repeated),
    request_body(content = schema::CustomerFields, content_type = "application/json"),
    responses((status = 201, description = "Created.", body = schema::Customer), (status = 200, description = "With `distinct=true`, the customer that matched; with `explain=true`, an explanation.", body = schema::Customer), schema::Problems),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response, Failure> {
    let call = caller.call(Operation::Create, &["distinct"])?;
    let fields = input::fields(&body, call.merchant.region).map_err(|error| call.failure(&error))?;
    let distinct = call.query.flag("distinct")?.unwrap_or_default();
    let command = CreateCustomer { fields: fields.without_clears(), distinct };
    let plan = call.judge(prepare::create(call.provider(), &command).map_err(|error| call.failure(&error))?)?;
    let lookup = lists::distinct_lookup(call.manifest(), &command).map_err(|error| call.failure(&error))?;
    if call.explain {
        let mut requests: Vec<Request> = Vec::new();
        if let Some(lookup) = &lookup {
            let first = lists::first_lookup(call.provider(), lookup).map_err(|error| call.failure(&error))?;
            requests.push(first.request);
        }
        requests.push(plan.request);
        requests.extend(plan.later);
        return call.explanation(&requests, &plan.fidelity);
    }
    call.write(&app, Command::Create(command)).await
}

/// `GET /v1/customers/{id}`
#[utoipa::path(
    get, path = "/v1/customers/{id}", operation_id = "retrieve_customer", tag = "customers", summary = "Retrieve a customer",
    params(("id" = String, Path, description = "The customer's id."), schema::Everywhere),
    responses((status = 200, description = "The customer.", body = schema::Customer), schema::Problems),
)]
pub async fn retrieve(caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::Retrieve, &[])?;
    let id = call.id(id)?;
    let plan = call.provider().plan_retrieve(&id).map_err(|error| call.failure(&error))?;
    if call.explain {
        return explained(&call, plan);
    }
    let line = call.line();
    let performed = call.perform(&line, run(&line, plan)).await?;
    Ok(customer_answer(&call, &performed))
}

/// `GET /v1/customers/lookup?email=`, `phone=`, `did=` or `reference=`
#[utoipa::path(
    get, path = "/v1/customers/lookup", operation_id = "lookup_customer", tag = "customers", summary = "Find one customer",
    params(schema::By, schema::Everywhere),
    responses((status = 200, description = "The customer.", body = schema::Customer), schema::Problems),
)]
pub async fn lookup(caller: Caller) -> Result<Response, Failure> {
    let call = caller.call(Operation::Find, &["email", "phone", "did", "reference"])?;
    let lookup = read_lookup(&call)?;
    if call.explain {
        let plan = lists::first_lookup(call.provider(), &lookup).map_err(|error| call.failure(&error))?;
        return call.explanation(&[plan.request], &plan.fidelity);
    }
    let line = call.line();
    let Performed { value, raw } = call.perform(&line, lists::find(call.provider(), &line, &lookup)).await?;
    let Some(customer) = value else {
        let nobody = Error::new(Kind::NotFound, format!("the provider has no customer with this {}", lookup.key()));
        return Err(call.failure(&nobody).with_raw(raw));
    };
    Ok(customer_answer(&call, &Performed { value: customer, raw }))
}

fn read_lookup(call: &Call) -> Result<Lookup, Failure> {
    let text = |name: &'static str| Ok::<_, Failure>(call.query.text(name)?.map(Text::from));
    let given = [
        text("email")?.map(Lookup::Email),
        text("phone")?.map(|phone| Lookup::Phone(input::phone_query(&phone, call.merchant.region))),
        text("did")?.map(Lookup::Did),
        text("reference")?.map(Lookup::Reference),
    ];
    let mut given = given.into_iter().flatten();
    let (Some(lookup), None) = (given.next(), given.next()) else {
        let told = "exactly one of `email`, `phone`, `did` and `reference` is needed";
        return Err(Failure::invalid(vec![FieldError::new("", told)]));
    };
    match &lookup {
        Lookup::Email(address) if !email::is_address(address) => {
            Err(Failure::invalid_one("email", "is not an e-mail address"))
        }
        Lookup::Phone(number) if !phone::looks_like_phone(number) => {
            Err(Failure::invalid_one("phone", "is not a phone number; use E.164, with its plus as %2B"))
        }
        _ => Ok(lookup),
    }
}

/// `PATCH /v1/customers/{id}`
#[utoipa::path(
    patch, path = "/v1/customers/{id}", operation_id = "update_customer", tag = "customers", summary = "Change a customer",
    params(("id" = String, Path, description = "The customer's id."), schema::Everywhere, ("Prefer" = Option<String>, Header, description = "`loss=reject` or `loss=drop`: what becomes of fields that the provider cannot hold."), schema::Repeated),
    request_body(content = schema::CustomerFields, content_type = "application/json"),
    responses((status = 200, description = "The customer as it is now.", body = schema::Customer), schema::Problems),
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: CustomerPath,
    JsonBody(body): JsonBody,
) -> Result<Response, Failure> {
    let call = caller.call(Operation::Update, &[])?;
    let id = call.id(id)?;
    let fields = input::fields(&body, call.merchant.region).map_err(|error| call.failure(&error))?;
    let command = UpdateCustomer { id, fields };
    let plan = call.judge(prepare::update(call.provider(), &command).map_err(|error| call.failure(&error))?)?;
    match call.explain {
        true => explained(&call, plan),
        false => call.write(&app, Command::Update(command)).await,
    }
}

/// `DELETE /v1/customers/{id}`
#[utoipa::path(
    delete, path = "/v1/customers/{id}", operation_id = "delete_customer", tag = "customers", summary = "Delete a customer",
    params(("id" = String, Path, description = "The customer's id."), schema::Everywhere, schema::Repeated),
    responses((status = 200, description = "Deleted.", body = schema::Deleted), schema::Problems),
)]
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::Delete, &[])?;
    let id = call.id(id)?;
    match call.explain {
        true => explained(&call, call.provider().plan_delete(&id).map_err(|error| call.failure(&error))?),
        false => call.write(&app, Command::Delete(id)).await,
    }
}

/// `POST /v1/customers/{id}/block`
#[utoipa::path(
    post, path = "/v1/customers/{id}/block", operation_id = "block_customer", tag = "customers", summary = "Refuse a customer's payments",
    params(("id" = String, Path, description = "The customer's id."), schema::Everywhere, schema::Repeated),
    responses((status = 200, description = "The customer as it is now.", body = schema::Customer), schema::Problems),
)]
pub async fn block(State(app): State<Arc<App>>, caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::Block, &[])?;
    let id = call.id(id)?;
    match call.explain {
        true => explained(&call, call.provider().plan_block(&id).map_err(|error| call.failure(&error))?),
        false => call.write(&app, Command::Block(id)).await,
    }
}

/// `POST /v1/customers/{id}/unblock`
#[utoipa::path(
    post, path = "/v1/customers/{id}/unblock", operation_id = "unblock_customer", tag = "customers", summary = "Accept a customer's payments again",
    params(("id" = String, Path, description = "The customer's id."), schema::Everywhere, schema::Repeated),
    responses((status = 200, description = "The customer as it is now.", body = schema::Customer), schema::Problems),
)]
pub async fn unblock(State(app): State<Arc<App>>, caller: Caller, id: CustomerPath) -> Result<Response, Failure> {
    let call = caller.call(Operation::Unblock, &[])?;
    let id = call.id(id)?;
    match call.explain {
        true => explained(&call, call.provider().plan_unblock(&id).map_err(|error| call.failure(&error))?),
        false => call.write(&app, Command::Unblock(id)).await,
    }
}

/// Answers with what a plan would send.
fn explained<T>(call: &Call, plan: Plan<T>) -> Result<Response, Failure> {
    let requests: Vec<Request> = std::iter::once(plan.request).chain(plan.later).collect();
    call.explanation(&requests, &plan.fidelity)
}

fn customer_answer(call: &Call, performed: &Performed<Customer>) -> Response {
    let view = CustomerView { customer: &performed.value, origin: call.origin() };
    call.answer(StatusCode::OK, &view, performed.raw.as_deref(), USUAL_SIZE)
}
