//! Login with a key of the operator, and logout.

use askama::Template;
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    Console,
    layout::{self, Asked},
    session::{self, NewCookie},
};
use crate::{
    body::{BodyLimits, read_body},
    http::query::Query,
    merchant::digest_of,
    operator::Addressed,
    problem::{AlreadyWritten, Code, Problem},
    state::BodyOwner,
};

/// The largest form, in bytes.
const LARGEST_FORM: usize = 16 << 10;

/// The page with the form.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    /// What was wrong with the key.
    mistake: Option<&'a str>,
    /// The page to show then.
    next: &'a str,
}

/// A page that loads again the page that a link of another site led to.
#[derive(Template)]
#[template(path = "onward.html")]
struct Onward<'a> {
    next: &'a str,
}

/// `GET /console/login`
pub(super) async fn form(_: Addressed) -> Result<Response, Problem> {
    let page = LoginPage { mistake: None, next: "/console" };
    shown(StatusCode::OK, &page).ok_or_else(|| Problem::fault(&http::Method::GET))
}

fn shown(status: StatusCode, page: &LoginPage<'_>) -> Option<Response> {
    layout::page(status, "Log in", None, None, page.render().ok()?).ok()
}

/// The answer to a person who asks for a page without a session.
pub(super) fn asked_for(status: StatusCode, problem: &Problem, asked: &Asked) -> Option<Response> {
    if asked.is_from_elsewhere {
        // The browser has left out the cookie (`SameSite=Strict`). It sends it when the page loads itself again.
        return Some(layout::html(status, Onward { next: &asked.page }.render().ok()?));
    }
    let mistake = problem.detail();
    let is_wrong_key = !mistake.starts_with("log in");
    shown(status, &LoginPage { mistake: is_wrong_key.then_some(mistake), next: &asked.page })
}

/// `POST /console/login`
pub(super) async fn log_in(
    State(console): State<Console>,
    _: Addressed,
    request: Request,
) -> Result<Response, Problem> {
    let gateway = console.app.gateway.load_full();
    let (parts, body) = request.into_parts();
    let form = read_form(&console, &parts.headers, body, &["key", "next"]).await?;
    let next = form.get("next").filter(|next| is_page(next)).unwrap_or("/console");
    let key = form.get("key").map(str::trim).unwrap_or_default();
    if let Err(refused) = gateway.operator_named(key, &parts.headers) {
        if refused.code() != Code::Unauthorized {
            return Err(refused);
        }
        let page = LoginPage { mistake: Some(refused.detail()), next };
        let mut response = shown(StatusCode::UNAUTHORIZED, &page).ok_or_else(|| refused.clone())?;
        response.headers_mut().extend(refused.headers());
        response.extensions_mut().insert(AlreadyWritten(refused));
        return Ok(response);
    }
    let cookie = console.sessions.cookie(digest_of(key), &parts.headers);
    let cookie = cookie.ok_or_else(|| Problem::fault(&parts.method))?;
    Ok(redirect(next, Some(cookie)))
}

/// `POST /console/logout`
pub(super) async fn log_out(
    State(console): State<Console>,
    _: Addressed,
    Extension(cookie): Extension<NewCookie>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    cookie.set(session::removed(&headers));
    console.sessions.end(&headers).await.map_err(|error| {
        tracing::error!("a logout of the console is known to this process alone: {error}");
        let detail = "this gateway has ended the session, but the store cannot record it now: another replica accepts a copy of the \
                      cookie until it has not been used for 30 minutes, or the session is eight hours old. Remove the key from \
                      `operator.keys` and reload to end all of its sessions";
        Problem::new(Code::StoreUnavailable, detail)
    })?;
    Ok(redirect("/console/login", None))
}

/// Reads a form. A field that it does not know is refused.
pub(super) async fn read_form(
    console: &Console,
    headers: &HeaderMap,
    body: Body,
    known: &[&'static str],
) -> Result<Query, Problem> {
    let is_form = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        let detail = "send a form, with `Content-Type: application/x-www-form-urlencoded`";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let limits = BodyLimits { size: LARGEST_FORM, ..BodyLimits::of(&console.app.gateway.load()) };
    let bytes = read_body(headers, body, limits, console.app.bodies.reservation(BodyOwner::Operator)).await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Problem::new(Code::MalformedRequest, "the form is not UTF-8 text"))?;
    Query::read(text, &[known])
}

/// Whether a text is the path of a page of the console. Nothing else is shown after login, so no link can lead to another
/// site through it.
fn is_page(text: &str) -> bool {
    let is_below = text.strip_prefix("/console").is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    is_below && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Leads the browser to a page.
pub(super) fn redirect(page: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let page = HeaderValue::try_from(page).unwrap_or(HeaderValue::from_static("/console"));
    response.headers_mut().insert(header::LOCATION, page);
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_login_only_a_page_of_the_console_is_shown() {
        for page in ["/console", "/console/merchants?against=notchpay", "/console?refresh=off", "/console/a%20b"] {
            assert!(is_page(page), "{page}");
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/console",
            "/consoles",
            "/console/\\evil",
            "/console/\r\nx: y",
        ] {
            assert!(!is_page(other), "{other}");
        }
    }
}
