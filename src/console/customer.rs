//! One customer: the answer that the merchant's client gets, with its fidelity, the payment methods, and every id that the
//! person ever had. Personal data is masked. A POST shows it once, and the audit then has the name of the operator's key.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use http::StatusCode;
use jiff::Timestamp;
use passerelle_providers::model::Operation;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Console,
    customers::{document, path_of, text},
    layout::Section,
    login::read_form,
    masking::mask,
    refusal::Refusal,
    viewer::{Page, Viewer},
};
use crate::{
    http::in_name,
    operator::answer::store_unavailable,
    problem::Problem,
    state::App,
    store::{CommandRecord, Deletion, Event, IdOrigin, OperationId},
};

/// The page of one customer.
#[derive(Debug, Template, Serialize)]
#[template(path = "customer.html")]
struct Customer {
    merchant: String,
    id: String,
    /// `masked` or `shown`.
    personal_data: &'static str,
    /// The customer as the merchant's client gets it. `null` if there is none, or if it cannot be read now.
    customer: Option<Value>,
    problem: Option<Refusal>,
    ids: Vec<KnownId>,
    /// How far the deletion of the customer has come.
    deletion: Option<&'static str>,
    payment_methods: PaymentMethods,
}

/// An id of the customer.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct KnownId {
    /// The connection where it is the customer's id. `null` for the id that the merchant knows.
    connection: Option<String>,
    id: String,
    /// How it came to be.
    origin: &'static str,
    /// When a switch made it.
    copied_at: Option<String>,
    /// Whether the customer lives at this connection.
    is_home: bool,
}

/// The first payment methods of a customer.
#[derive(Debug, Serialize)]
struct PaymentMethods {
    is_supported: bool,
    data: Vec<Value>,
    has_more: bool,
    /// Why they are not shown.
    problem: Option<Refusal>,
}

/// A value of the customer with what the translation did to it.
struct Field<'a> {
    name: String,
    value: String,
    fidelity: Vec<&'a Value>,
}

impl Page for Customer {
    const SECTION: Option<Section> = Some(Section::Customers);

    fn title(&self) -> String {
        format!("Customer {}", self.id)
    }
}

impl Customer {
    /// The values of the customer in the order of the API, without those that it lacks.
    fn fields(&self) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        let Some(customer) = &self.customer else { return fields };
        let names = [
            "name",
            "first_name",
            "last_name",
            "email",
            "phone",
            "whatsapp",
            "address",
            "type",
            "did",
            "balance",
            "delinquent",
            "blocked",
            "livemode",
            "metadata",
            "created_at",
            "updated_at",
        ];
        let entries = customer["fidelity"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut values = Vec::new();
        for name in names {
            flattened(name, &customer[name], &mut values);
        }
        flattened("provider.extra", &customer["provider"]["extra"], &mut values);
        for entry in entries {
            // A field that the provider lost has no value, and is shown all the same.
            let name = entry["field"].as_str().unwrap_or_default();
            if !values.iter().any(|(field, _)| field == name) {
                values.push((name.to_owned(), "–".to_owned()));
            }
        }
        for (name, value) in values {
            let fidelity = entries.iter().filter(|entry| entry["field"].as_str() == Some(name.as_str())).collect();
            fields.push(Field { name, value, fidelity });
        }
        fields
    }

    fn path(&self) -> String {
        path_of(&self.merchant, &self.id)
    }
}

/// The values of a document, each with the names that lead to it.
fn flattened(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (member, value) in members {
                flattened(&format!("{name}.{member}"), value, into);
            }
        }
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        other => into.push((name.to_owned(), other.to_string())),
    }
}

/// `GET /console/customers/{merchant}/{id}`
pub(super) async fn page(
    viewer: Viewer,
    State(console): State<Console>,
    Path((merchant, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    viewer.query(&[])?;
    let (status, mut page) = read(&console.app, merchant, id).await?;
    mask_page(&mut page);
    viewer.show_with(status, &page)
}

/// `POST /console/customers/{merchant}/{id}`: shows the personal data in this one answer.
pub(super) async fn show(
    viewer: Viewer,
    State(console): State<Console>,
    Path((merchant, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    read_form(&console, &parts.headers, body, &[]).await?;
    let (status, mut page) = read(&console.app, merchant, id).await?;
    if page.customer.is_none() {
        return viewer.show_with(status, &page);
    }
    // The audit comes first: what cannot be recorded is not shown.
    let connection = page.customer.as_ref().map(|customer| text(&customer["provider"], "connection").to_owned());
    let record = CommandRecord {
        id: OperationId::now(),
        event: Event::Done,
        merchant: page.merchant.clone(),
        connection: connection.unwrap_or_default(),
        command: "console.show_personal_data".to_owned(),
        detail: json!({ "by": viewer.name, "customer": page.id }).to_string(),
    };
    console.app.store.audit().command(record).await.map_err(store_unavailable)?;
    page.personal_data = "shown";
    viewer.show(&page)
}

fn mask_page(page: &mut Customer) {
    page.customer.iter_mut().for_each(mask);
    page.payment_methods.data.iter_mut().for_each(mask);
}

/// Reads a customer by any of its ids. Nothing is masked yet.
async fn read(app: &App, merchant: String, id: String) -> Result<(StatusCode, Customer), Problem> {
    let none = PaymentMethods { is_supported: false, data: Vec::new(), has_more: false, problem: None };
    let (ids, deletion) = known_ids(app, &merchant, &id).await?;
    let mut page = Customer {
        merchant,
        id,
        personal_data: "masked",
        customer: None,
        problem: None,
        ids,
        deletion,
        payment_methods: none,
    };
    let answer = match in_name::retrieve(app, &page.merchant, &page.id).await {
        Ok(answer) => answer,
        Err(problem) => {
            page.problem = Some(Refusal::from(&problem));
            return Ok((problem.status_code(), page));
        }
    };
    let customer = document(answer).await?;
    text(&customer, "id").clone_into(&mut page.id);
    if page.ids.is_empty() {
        let provider = &customer["provider"];
        page.ids.push(KnownId {
            connection: Some(text(provider, "connection").to_owned()),
            id: text(provider, "id").to_owned(),
            origin: "the provider's own",
            copied_at: None,
            is_home: true,
        });
    }
    page.payment_methods = payment_methods(app, &page, text(&customer["provider"], "connection")).await;
    page.customer = Some(customer);
    Ok((StatusCode::OK, page))
}

/// Every id of a customer, and how far its deletion has come. There are none of a merchant who never switched.
async fn known_ids(app: &App, merchant: &str, id: &str) -> Result<(Vec<KnownId>, Option<&'static str>), Problem> {
    let ids = app.store.ids();
    if !ids.is_routed(merchant) {
        return Ok((Vec::new(), None));
    }
    let Some(resolved) = ids.resolve(merchant, Some(id)).await.map_err(store_unavailable)? else {
        return Ok((Vec::new(), None));
    };
    let mut known = Vec::new();
    let Some(customer) = resolved.customers.first() else { return Ok((known, None)) };
    known.push(KnownId {
        connection: None,
        id: customer.public_id.clone(),
        origin: "the id that the merchant knows",
        copied_at: None,
        is_home: false,
    });
    let home = customer.home(&resolved.routing);
    for (connection, at) in customer.at.iter().collect::<BTreeMap<_, _>>() {
        known.push(KnownId {
            is_home: connection == home,
            connection: Some(connection.clone()),
            id: at.provider_id.clone(),
            origin: match at.origin {
                IdOrigin::First => "known before any copy",
                IdOrigin::Created => "created by a switch",
                IdOrigin::Linked => "matched by a switch",
            },
            copied_at: at.copied_at.and_then(|at| Timestamp::from_millisecond(at).ok()).map(super::time),
        });
    }
    let deletion = customer.deletion.map(|deletion| match deletion {
        Deletion::Claimed => "begun",
        Deletion::Confirmed => "done",
    });
    Ok((known, deletion))
}

async fn payment_methods(app: &App, page: &Customer, connection: &str) -> PaymentMethods {
    let mut methods = PaymentMethods { is_supported: false, data: Vec::new(), has_more: false, problem: None };
    let gateway = app.gateway.load_full();
    let manifest = gateway.connection(&page.merchant, connection).map(|(_, connection)| connection.manifest);
    methods.is_supported =
        manifest.is_some_and(|manifest| manifest.operation(Operation::PaymentMethods).is_supported());
    if !methods.is_supported {
        return methods;
    }
    let list = match in_name::payment_methods(app, &page.merchant, &page.id).await {
        Ok(answer) => document(answer).await,
        Err(problem) => Err(problem),
    };
    match list {
        Ok(mut list) => {
            methods.has_more = list["has_more"].as_bool().unwrap_or_default();
            if let Value::Array(data) = list["data"].take() {
                methods.data = data;
            }
        }
        Err(problem) => methods.problem = Some(Refusal::from(&problem)),
    }
    methods
}
