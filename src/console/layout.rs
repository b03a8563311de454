//! What all pages share: the frame with the navigation, the headers of every answer, and problems as pages.

use askama::Template;
use axum::{
    body::Body,
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::PathAndQuery};

use super::{
    assets::{Asset, HTMX, ICON, STYLE},
    login,
    session::NewCookie,
};
use crate::{
    http::accept::Preference,
    problem::{AlreadyWritten, Code, Problem},
};

/// A section of the console, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Merchants,
    Customers,
    Operations,
    Switches,
    Providers,
    Problems,
}

impl Section {
    const ALL: [Self; 7] = [
        Self::Overview,
        Self::Merchants,
        Self::Customers,
        Self::Operations,
        Self::Switches,
        Self::Providers,
        Self::Problems,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Merchants => "Merchants",
            Self::Customers => "Customers",
            Self::Operations => "Operations",
            Self::Switches => "Switches",
            Self::Providers => "Providers",
            Self::Problems => "Problems",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console",
            Self::Merchants => "/console/merchants",
            Self::Customers => "/console/customers",
            Self::Operations => "/console/operations",
            Self::Switches => "/console/switches",
            Self::Providers => "/console/providers",
            Self::Problems => "/console/problems",
        }
    }
}

/// The frame of every page.
#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a> {
    title: &'a str,
    section: Option<Section>,
    sections: [Section; 7],
    /// The name of the operator's key, after login.
    operator: Option<&'a str>,
    /// The page, which its own template has written.
    content: &'a str,
    style: &'static Asset,
    htmx: &'static Asset,
    icon: String,
}

/// A problem as a page.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    status: u16,
    code: &'static str,
    detail: &'a str,
}

/// Everything comes from the listener itself, and nothing of a page is executed or styled inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A part of a page, or a whole one that is written already.
pub(super) fn html(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// A whole page: the frame around its content.
pub(super) fn page(
    status: StatusCode,
    title: &str,
    section: Option<Section>,
    operator: Option<&str>,
    content: String,
) -> Result<Response, Problem> {
    let layout = Layout {
        title,
        section,
        sections: Section::ALL,
        operator,
        content: &content,
        style: &STYLE,
        htmx: &HTMX,
        icon: ICON.url(),
    };
    let text = layout.render().map_err(|error| {
        tracing::error!("a page of the console cannot be written: {error}");
        Problem::fault(&Method::GET)
    })?;
    Ok(html(status, text))
}

/// The layer of every route: shows problems as pages to people, and adds the headers that every answer has, and the new
/// cookie of the session.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    let cookie = NewCookie::default();
    request.extensions_mut().insert(cookie.clone());
    let is_browser = Preference::of(request.headers()).is_of_browser();
    let is_refresh = request.headers().contains_key("hx-request");
    let asked = Asked::of(&request);
    // PostgreSQL cannot store U+0000, so nothing has a name with it.
    let mut response = match request.uri().path().contains("%00") {
        true => Problem::new(Code::MalformedRequest, "the path contains U+0000 (%00)").into_response(),
        false => next.run(request).await,
    };
    if is_browser && let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let has_ended = is_refresh && problem.code() == Code::Unauthorized;
        response = problem_page(&problem, &asked).unwrap_or_else(|| problem.clone().into_response());
        if has_ended {
            // The session has ended under an open page. htmx loads it again, which shows the login.
            response.headers_mut().insert(HeaderName::from_static("hx-refresh"), HeaderValue::from_static("true"));
        }
        if response.extensions().get::<Problem>().is_none() {
            response.extensions_mut().insert(AlreadyWritten(problem));
        }
    }
    add_headers(response.headers_mut());
    cookie.add_to(response.headers_mut());
    response
}

/// What a request asked for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The page to show after login.
    pub(super) page: String,
    /// Whether a link of another site led here. Browsers then leave out the cookie of the session.
    pub(super) is_from_elsewhere: bool,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let is_read = request.method() == Method::GET;
        let page = request.uri().path_and_query().map(PathAndQuery::as_str).filter(|_| is_read).unwrap_or("/console");
        let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_from_elsewhere = is_read && matches!(site, Some(b"cross-site" | b"same-site"));
        Self { page: page.to_owned(), is_from_elsewhere }
    }
}

fn problem_page(problem: &Problem, asked: &Asked) -> Option<Response> {
    let status = problem.status_code();
    let code = problem.code();
    let mut response = if code == Code::Unauthorized {
        login::asked_for(status, problem, asked)?
    } else {
        let page = ProblemPage { status: status.as_u16(), code: code.name(), detail: problem.detail() };
        self::page(status, code.title(), None, None, page.render().ok()?).ok()?
    };
    response.headers_mut().extend(problem.headers());
    Some(response)
}

fn add_headers(headers: &mut HeaderMap) {
    const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE, HeaderValue::from_static("same-origin"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, cookie, hx-request"));
}
