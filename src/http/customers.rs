//! The handlers for one customer: create, retrieve, look up, update, delete, block, unblock. Each reads the request into a
//! command; [`super::answer`] and [`super::writes`] execute it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use passerelle_providers::{
    api::input,
    model::{Command, CreateCustomer, FieldError, Lookup, Operation, UpdateCustomer},
    text::{Text, email, phone},
};

use super::{
    erasure,
    request::{Call, Caller, CustomerPath},
    schema,
};
use crate::{problem::Problem, state::App};

/// `POST /v1/customers`
#[utoipa::path(
    post, path = "/v1/customers", operation_id = "create_customer", tag = "customers", summary = "Create a customer",
    description = "Creates a customer at the merchant's provider. Send what its provider requires: `GET /v1/merchant` lists the fields that it stores. Send an `Idempotency-Key`, so that a repetition after a lost answer does not create a second customer.",
    params(("distinct" = Option<bool>, Query, description = "`true`: if the customer exists already, answer with it instead of creating a second one. It is matched by `email`, otherwise by `phone`; one of them is required. If several match: 409 `lookup_ambiguous`."), schema::CommonParameters, ("Prefer" = Option<String>, Header, description = "`loss=reject`, `loss=carry` or `loss=drop`: whether the request is refused, the gateway keeps the fields, or they are left out, if the provider cannot store them. `carry` must be allowed by the merchant's configuration."), schema::IdempotencyHeaders),
    request_body(content = schema::CustomerFields, content_type = "application/json"),
    responses((status = 201, description = "Created.", body = schema::Customer), (status = 200, description = "The customer that exists already: with `distinct=true`, or where the provider answered its own record, which `fidelity` says; with `explain=true`, an explanation.", body = schema::Customer), schema::Problems),
)]
pub async fn create(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let body = caller.json_body(Operation::Create, &app, request).await?;
    let call = caller.call(Operation::Create, &["distinct"])?;
    let fields = call.fields(&body)?;
    let distinct = call.query.flag("distinct")?.unwrap_or_default();
    let command = CreateCustomer { fields: fields.without_clears(), distinct, existing: None };
    call.write(&app, Command::Create(command), Some(body)).await
}

/// `GET /v1/customers/{id}`
#[utoipa::path(
    get, path = "/v1/customers/{id}", operation_id = "retrieve_customer", tag = "customers", summary = "Retrieve a customer",
    description = "Reads a customer from the provider. Nothing is cached.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::CommonParameters),
    responses((status = 200, description = "The customer.", body = schema::Customer), schema::Problems),
)]
pub async fn retrieve(caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::Retrieve, &[])?;
    let id = call.id(id)?;
    call.read(Command::Retrieve(id)).await
}

/// `GET /v1/customers/lookup?email=`, `phone=`, `did=` or `reference=`
#[utoipa::path(
    get, path = "/v1/customers/lookup", operation_id = "lookup_customer", tag = "customers", summary = "Find one customer",
    description = "Finds the only customer with an e-mail address, a phone number, a decentralised identifier or your own reference. Several matches are 409 `lookup_ambiguous`. Without any, the answer is 404 `customer_not_found`. `GET /v1/merchant` lists the look-ups that the provider has.",
    params(schema::LookupParameters, schema::CommonParameters),
    responses((status = 200, description = "The customer. Where the provider's lists are partial (`lists` in `GET /v1/providers`), customers that were created or changed through the gateway are found as well.", body = schema::Customer), schema::Problems),
)]
pub async fn lookup(caller: Caller) -> Result<Response, Problem> {
    find(caller.call(Operation::Find, &["email", "phone", "did", "reference"])?).await
}

/// Finds the customer that the parameters of a call name.
pub(super) async fn find(call: Call) -> Result<Response, Problem> {
    let lookup = read_lookup(&call)?;
    call.read(Command::Find(lookup)).await
}

fn read_lookup(call: &Call) -> Result<Lookup, Problem> {
    let text = |name: &'static str| Ok::<_, Problem>(call.query.text(name)?.map(Text::from));
    let given = [
        text("email")?.map(Lookup::Email),
        text("phone")?.map(|phone| Lookup::Phone(input::phone_query(&phone, call.merchant.region))),
        text("did")?.map(Lookup::Did),
        text("reference")?.map(Lookup::Reference),
    ];
    let mut given = given.into_iter().flatten();
    let (Some(lookup), None) = (given.next(), given.next()) else {
        let message = "send exactly one of `email`, `phone`, `did` and `reference`";
        return Err(Problem::invalid(vec![FieldError::new("", message)]));
    };
    match &lookup {
        Lookup::Email(address) if !email::is_address(address) => {
            Err(Problem::invalid_one("email", "is not an e-mail address"))
        }
        Lookup::Phone(number) if !phone::looks_like_phone(number) => {
            Err(Problem::invalid_one("phone", "is not a phone number; use E.164, with the plus written as %2B"))
        }
        _ => Ok(lookup),
    }
}

/// `PATCH /v1/customers/{id}`
#[utoipa::path(
    patch, path = "/v1/customers/{id}", operation_id = "update_customer", tag = "customers", summary = "Change a customer",
    description = "Changes the fields that are sent (JSON merge patch, RFC 7396), and leaves all others.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::CommonParameters, ("Prefer" = Option<String>, Header, description = "`loss=reject`, `loss=carry` or `loss=drop`: whether the request is refused, the gateway keeps the fields, or they are left out, if the provider cannot store them. `carry` must be allowed by the merchant's configuration."), schema::IdempotencyHeaders),
    request_body(content = schema::CustomerFields, content_type = "application/json"),
    responses((status = 200, description = "The customer as it is now.", body = schema::Customer), schema::Problems),
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: CustomerPath,
    request: Request,
) -> Result<Response, Problem> {
    let body = caller.json_body(Operation::Update, &app, request).await?;
    let mut call = caller.call(Operation::Update, &[])?;
    let id = call.id(id)?;
    let fields = call.fields(&body)?;
    call.write(&app, Command::Update(UpdateCustomer { id, fields }), Some(body)).await
}

/// `DELETE /v1/customers/{id}`
#[utoipa::path(
    delete, path = "/v1/customers/{id}", operation_id = "delete_customer", tag = "customers", summary = "Delete a customer",
    description = "Deletes a customer at the provider, and what the gateway has stored of them.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::ErasureParameters, schema::CommonParameters, schema::IdempotencyHeaders),
    responses((status = 200, description = "Deleted. After a switch of providers, `receipts` says what happens at each connection that holds the customer.", body = schema::Deleted), schema::Problems),
)]
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::Delete, &["elsewhere"])?;
    let id = call.id(id)?;
    if call.query.flag("elsewhere")?.unwrap_or_default() {
        return erasure::erase_elsewhere(&app, &call, id).await;
    }
    call.write(&app, Command::Delete(id), None).await
}

/// `POST /v1/customers/{id}/block`
#[utoipa::path(
    post, path = "/v1/customers/{id}/block", operation_id = "block_customer", tag = "customers", summary = "Refuse a customer's payments",
    description = "From now on the provider refuses this customer's payments. A customer who is blocked already stays blocked.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::CommonParameters, schema::IdempotencyHeaders),
    responses((status = 200, description = "The customer as it is now.", body = schema::Customer), schema::Problems),
)]
pub async fn block(State(app): State<Arc<App>>, caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::Block, &[])?;
    let id = call.id(id)?;
    call.write(&app, Command::Block(id), None).await
}

/// `POST /v1/customers/{id}/unblock`
#[utoipa::path(
    post, path = "/v1/customers/{id}/unblock", operation_id = "unblock_customer", tag = "customers", summary = "Accept a customer's payments again",
    description = "The provider accepts this customer's payments again.",
    params(("id" = String, Path, pattern = "^[!-.0-~]{1,255}$", description = "The customer's id."), schema::CommonParameters, schema::IdempotencyHeaders),
    responses((status = 200, description = "The customer as it is now.", body = schema::Customer), schema::Problems),
)]
pub async fn unblock(State(app): State<Arc<App>>, caller: Caller, id: CustomerPath) -> Result<Response, Problem> {
    let mut call = caller.call(Operation::Unblock, &[])?;
    let id = call.id(id)?;
    call.write(&app, Command::Unblock(id), None).await
}
