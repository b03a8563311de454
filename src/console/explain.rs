//! Explains a write before it is sent: the requests that the provider would get, and what becomes of each field. Nothing is
//! sent. The fields come in a form, so that they are in no URL.

use askama::Template;
use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use passerelle_providers::model::LossPolicy;
use serde::Serialize;
use serde_json::Value;

use super::{
    Console,
    customers::{document, text},
    layout::Section,
    login::read_form,
    refusal::Refusal,
    viewer::{Page, Viewer},
};
use crate::{http::in_name, problem::Problem};

/// What the form begins with.
const EXAMPLE: &str =
    "{\n  \"name\": \"Awa Diop\",\n  \"email\": \"awa@example.com\",\n  \"phone\": \"+221771234567\"\n}";

/// The page that explains a write.
#[derive(Debug, Template, Serialize)]
#[template(path = "explain.html")]
struct Explain {
    merchant: String,
    /// The customer that would be changed. `null`: one would be created.
    id: Option<String>,
    /// What happens to fields that the provider cannot store. `null`: as the configuration says.
    on_loss: Option<String>,
    /// The fields, as JSON.
    fields: String,
    explanation: Option<Value>,
    problem: Option<Refusal>,
}

/// A request of an explanation, as the page shows it.
struct Sent<'a> {
    method: &'a str,
    url: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: Option<String>,
    depends_on_previous: bool,
}

impl Page for Explain {
    const SECTION: Option<Section> = Some(Section::Customers);

    fn title(&self) -> String {
        match &self.id {
            Some(id) => format!("Explain a change of {id}"),
            None => format!("Explain a new customer of {}", self.merchant),
        }
    }
}

impl Explain {
    fn requests(&self) -> Vec<Sent<'_>> {
        let requests = self.explanation.as_ref().and_then(|explanation| explanation["requests"].as_array());
        let sent = |request| Sent {
            method: text(request, "method"),
            url: text(request, "url"),
            headers: request["headers"].as_object().map_or_else(Vec::new, |headers| {
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect()
            }),
            body: Some(&request["body"])
                .filter(|body| !body.is_null())
                .and_then(|body| serde_json::to_string_pretty(body).ok()),
            depends_on_previous: request["depends_on_previous"].as_bool().unwrap_or_default(),
        };
        requests.map_or_else(Vec::new, |requests| requests.iter().map(sent).collect())
    }

    fn fidelity(&self) -> &[Value] {
        let entries = self.explanation.as_ref().and_then(|explanation| explanation["fidelity"].as_array());
        entries.map(Vec::as_slice).unwrap_or_default()
    }

    fn is_policy(&self, policy: &str) -> bool {
        self.on_loss.as_deref() == Some(policy)
    }
}

/// `GET /console/explain`
pub(super) async fn form(viewer: Viewer) -> Result<Response, Problem> {
    let query = viewer.query(&["merchant", "id"])?;
    let merchant = query.text("merchant")?.unwrap_or_default();
    if viewer.gateway.merchant_named(merchant).is_none() {
        return Err(in_name::unknown_merchant());
    }
    let id = query.text("id")?.map(str::to_owned);
    let fields = if id.is_some() { "{\n  \"name\": \"Awa Diop\"\n}" } else { EXAMPLE }.to_owned();
    let merchant = merchant.to_owned();
    viewer.show(&Explain { merchant, id, on_loss: None, fields, explanation: None, problem: None })
}

/// `POST /console/explain`
pub(super) async fn explain(
    viewer: Viewer,
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = read_form(&console, &parts.headers, body, &["merchant", "id", "on_loss", "fields"]).await?;
    let given = |name| form.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let on_loss = given("on_loss");
    let policy = match on_loss.as_deref().map(LossPolicy::parse) {
        None => None,
        Some(Some(policy)) => Some(policy),
        Some(None) => return Err(Problem::invalid_one("on_loss", "must be `reject`, `carry` or `drop`")),
    };
    let (merchant, id, fields) =
        (given("merchant").unwrap_or_default(), given("id"), given("fields").unwrap_or_default());
    let mut page = Explain { merchant, id, on_loss, fields, explanation: None, problem: None };
    let answer = in_name::explain(&console.app, &page.merchant, page.id.as_deref(), &page.fields, policy).await;
    let status = match answer {
        Ok(answer) => {
            page.explanation = Some(document(answer).await?);
            StatusCode::OK
        }
        Err(problem) => {
            let mut refusal = Refusal::from(&problem);
            for (pointer, detail) in problem.fields() {
                refusal.detail.push_str(&format!("; {pointer}: {detail}"));
            }
            page.problem = Some(refusal);
            problem.status_code()
        }
    };
    viewer.show_with(status, &page)
}
