//! Reads in the name of a merchant, for the operator's console: it shows what the merchant's own client would get, by the same
//! code. They need no key of the merchant and have no place among the requests of its clients. The limits, the breaker and the
//! deadline of the connection hold for them too.

use std::sync::Arc;

use axum::response::Response;
use passerelle_providers::{
    model::{Command, CreateCustomer, LossPolicy, Operation, UpdateCustomer},
    text::Source,
};

use super::{
    customers, lists,
    query::Query,
    request::{Call, CustomerPath, refusal},
};
use crate::{
    merchant::Gateway,
    problem::{Code, Problem},
    state::App,
    writes::Idempotency,
};

impl Call {
    fn in_name_of(app: &App, merchant: &str, operation: Operation, query: Query) -> Result<Self, Problem> {
        let gateway: Arc<Gateway> = app.gateway.load_full();
        let Some(merchant) = gateway.merchant_named(merchant).map(Arc::clone) else {
            return Err(unknown_merchant());
        };
        let (connection, on_loss) = (Arc::clone(&merchant.active), merchant.on_loss);
        if refusal(&merchant, operation, on_loss).is_some() {
            return Err(Problem::not_supported(connection.manifest, operation, connection.failed_connection()));
        }
        Ok(Self {
            gateway,
            merchant,
            key_name: None,
            contacts: app.store.contacts().clone(),
            connection,
            operation,
            query,
            explain: false,
            include_raw: false,
            on_loss,
            preferred_loss: None,
            idempotency: Ok(Idempotency::default()),
            request_id: None,
            may_repeat: false,
            refusal: None,
        })
    }
}

/// The problem of a name that no merchant has.
pub fn unknown_merchant() -> Problem {
    Problem::new(Code::NotFound, "the configuration has no merchant with this name")
}

/// A page of a merchant's customers.
pub async fn list(app: &App, merchant: &str, limit: u16, cursor: Option<&str>) -> Result<Response, Problem> {
    let limit = limit.to_string();
    let query = query([("limit", limit.as_str())].into_iter().chain(cursor.map(|cursor| ("cursor", cursor))))?;
    lists::of_customers(Call::in_name_of(app, merchant, Operation::List, query)?).await
}

/// A customer of a merchant, by any id that the merchant was ever given.
pub async fn retrieve(app: &App, merchant: &str, id: &str) -> Result<Response, Problem> {
    let mut call = Call::in_name_of(app, merchant, Operation::Retrieve, Query::default())?;
    let id = call.id(CustomerPath(id.to_owned()))?;
    call.read(Command::Retrieve(id)).await
}

/// The one customer with an e-mail address or a phone number. `by` is `email` or `phone`.
pub async fn find(app: &App, merchant: &str, by: &str, value: &str) -> Result<Response, Problem> {
    customers::find(Call::in_name_of(app, merchant, Operation::Find, query([(by, value)])?)?).await
}

/// Parameters, as a client would send them.
fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Query, Problem> {
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Query::read(&text, &[&["limit", "cursor", "email", "phone"]])
}

/// The first payment methods of a customer.
pub async fn payment_methods(app: &App, merchant: &str, id: &str) -> Result<Response, Problem> {
    let mut call = Call::in_name_of(app, merchant, Operation::PaymentMethods, Query::default())?;
    let id = call.id(CustomerPath(id.to_owned()))?;
    lists::of_payment_methods(call, id).await
}

/// What a write would send, and what becomes of its fields. Nothing is sent. Without an `id`, it is a create.
pub async fn explain(
    app: &App,
    merchant: &str,
    id: Option<&str>,
    fields: &str,
    on_loss: Option<LossPolicy>,
) -> Result<Response, Problem> {
    let operation = if id.is_some() { Operation::Update } else { Operation::Create };
    let mut call = Call::in_name_of(app, merchant, operation, Query::default())?;
    call.explain = true;
    if let Some(policy) = on_loss {
        if policy == LossPolicy::Carry && !call.merchant.allows_carry {
            let detail = "`carry` is not allowed by the merchant's configuration, which has `allow_carry`";
            return Err(Problem::invalid_one("on_loss", detail));
        }
        call.on_loss = policy;
    }
    let Some(body) = Source::new(&bytes::Bytes::copy_from_slice(fields.as_bytes())) else {
        return Err(Problem::new(Code::MalformedRequest, "the fields are not UTF-8 text"));
    };
    let fields = call.fields(&body)?;
    let command = match id {
        None => Command::Create(CreateCustomer { fields: fields.without_clears(), distinct: false, existing: None }),
        Some(id) => Command::Update(UpdateCustomer { id: call.id(CustomerPath(id.to_owned()))?, fields }),
    };
    call.write(app, command, Some(body)).await
}
