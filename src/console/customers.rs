//! The customers of a merchant: the list, and the search by id, e-mail address or phone number. The search is a POST, so that
//! what identifies a person is in no URL, and so in no history, no log of a proxy and no shared link. It leads to the page of
//! the customer, whose URL has the id alone.

use askama::Template;
use axum::{
    body::to_bytes,
    extract::{Request, State},
    response::Response,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Console, encoded,
    layout::Section,
    login::{read_form, redirect},
    masking::mask,
    refusal::Refusal,
    viewer::{Page, Viewer},
};
use crate::{
    http::in_name,
    problem::{Code, Problem},
    state::App,
};

/// How many customers a page has.
const LIMIT: u16 = 50;
/// The largest document that is read from the API's own handlers: a page of 100 customers.
const LARGEST: usize = 64 << 20;

/// The page of a merchant's customers.
#[derive(Debug, Template, Serialize)]
#[template(path = "customers.html")]
struct Customers {
    /// The merchant. `null` if the operator has to choose one.
    merchant: Option<String>,
    /// The merchants to choose from.
    merchants: Vec<String>,
    /// The customers, as the merchant's client gets them, with masked values.
    customers: Vec<Value>,
    /// How many there are, where the provider says it.
    total_count: Option<u64>,
    next_cursor: Option<String>,
    personal_data: &'static str,
    /// Why no customers are shown.
    problem: Option<Refusal>,
    /// The customers who match, if there are several.
    matching: Vec<String>,
    /// Whether this is the first page.
    #[serde(skip)]
    is_first: bool,
}

impl Page for Customers {
    const SECTION: Option<Section> = Some(Section::Customers);

    fn title(&self) -> String {
        self.merchant.as_ref().map_or_else(|| "Customers".to_owned(), |merchant| format!("Customers of {merchant}"))
    }
}

impl Customers {
    fn of(viewer: &Viewer, merchant: Option<String>) -> Self {
        Self {
            merchant,
            merchants: viewer.gateway.merchants().map(|merchant| merchant.name.clone()).collect(),
            customers: Vec::new(),
            total_count: None,
            next_cursor: None,
            personal_data: "masked",
            problem: None,
            matching: Vec::new(),
            is_first: true,
        }
    }

    fn path(&self, id: &str) -> String {
        path_of(self.merchant.as_deref().unwrap_or_default(), id)
    }
}

/// The path of a customer's page.
pub(super) fn path_of(merchant: &str, id: &str) -> String {
    format!("/console/customers/{}/{}", encoded(merchant), encoded(id))
}

/// A text of a document, or a dash.
pub(super) fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or("–")
}

/// Who answers for a customer.
pub(super) fn provider(customer: &Value) -> &Value {
    customer.get("provider").unwrap_or(&Value::Null)
}

/// The document in an answer of the API's own handlers.
pub(super) async fn document(answer: Response) -> Result<Value, Problem> {
    let unreadable = || Problem::new(Code::Internal, "an answer of the gateway cannot be read");
    let bytes = to_bytes(answer.into_body(), LARGEST).await.map_err(|_| unreadable())?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable())
}

/// `GET /console/customers`
pub(super) async fn page(viewer: Viewer, State(console): State<Console>) -> Result<Response, Problem> {
    let query = viewer.query(&["merchant", "cursor"])?;
    let mut merchant = query.text("merchant")?.map(str::to_owned);
    if merchant.is_none() {
        let mut all = viewer.gateway.merchants();
        merchant = all.next().filter(|_| all.next().is_none()).map(|only| only.name.clone());
    }
    let mut page = Customers::of(&viewer, merchant);
    let Some(merchant) = page.merchant.clone() else { return viewer.show(&page) };
    if viewer.gateway.merchant_named(&merchant).is_none() {
        return Err(in_name::unknown_merchant());
    }
    let cursor = query.text("cursor")?;
    page.is_first = cursor.is_none();
    let answer = match in_name::list(&console.app, &merchant, LIMIT, cursor).await {
        Ok(answer) => answer,
        Err(problem) => {
            page.problem = Some(Refusal::from(&problem));
            return viewer.show_with(problem.status_code(), &page);
        }
    };
    let mut list = document(answer).await?;
    page.total_count = list["total_count"].as_u64();
    page.next_cursor = list["next_cursor"].as_str().map(str::to_owned);
    mask(&mut list["data"]);
    if let Value::Array(customers) = list["data"].take() {
        page.customers = customers;
    }
    viewer.show(&page)
}

/// `POST /console/customers`: finds a customer, and leads to its page.
pub(super) async fn find(
    viewer: Viewer,
    State(console): State<Console>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = read_form(&console, &parts.headers, body, &["merchant", "find"]).await?;
    let (Some(merchant), Some(wanted)) = (form.text("merchant")?, form.text("find")?) else {
        return Err(Problem::invalid_one("find", "send the merchant, and an id, an e-mail address or a phone number"));
    };
    match found(&console.app, merchant, wanted.trim()).await {
        Ok(id) => Ok(redirect(&path_of(merchant, &id), None)),
        Err(problem) => {
            let mut page = Customers::of(&viewer, Some(merchant.to_owned()));
            page.matching = problem.matching().to_vec();
            page.problem = Some(Refusal::from(&problem));
            viewer.show_with(problem.status_code(), &page)
        }
    }
}

/// The id of the customer that a text means.
async fn found(app: &App, merchant: &str, wanted: &str) -> Result<String, Problem> {
    let by_phone = is_phone(wanted);
    let answer = if wanted.contains('@') {
        in_name::find(app, merchant, "email", wanted).await
    } else if by_phone {
        in_name::find(app, merchant, "phone", wanted).await
    } else {
        in_name::retrieve(app, merchant, wanted).await
    };
    let answer = match answer {
        // A provider can have ids that look like phone numbers.
        Err(problem) if by_phone && problem.code() == Code::NotFound => {
            in_name::retrieve(app, merchant, wanted).await.map_err(|_| problem)?
        }
        answer => answer?,
    };
    let customer = document(answer).await?;
    let id = customer["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Problem::new(Code::Internal, "the customer has no id"))
}

fn is_phone(text: &str) -> bool {
    const FEWEST_DIGITS: usize = 7;
    let mut digits = 0;
    text.chars().all(|character| {
        digits += usize::from(character.is_ascii_digit());
        character.is_ascii_digit() || matches!(character, '+' | ' ' | '-' | '(' | ')' | '.')
    }) && digits >= FEWEST_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_are_told_from_ids() {
        for phone in ["+221771234567", "77 123 45 67", "(0)77-123.45.67"] {
            assert!(is_phone(phone), "{phone}");
        }
        for id in ["cus_12345678", "0198f1aa-0000-7000-8000-000000000001", "12345", ""] {
            assert!(!is_phone(id), "{id}");
        }
    }

    #[test]
    fn an_id_with_special_characters_stays_one_part_of_the_path() {
        assert_eq!(path_of("acme", "a/b?c-1"), "/console/customers/acme/a%2Fb%3Fc-1");
    }
}
