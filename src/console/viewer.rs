//! Who looks at a page, and what is shown of it: HTML for people, or JSON of the same values. A page's handler takes a
//! [`Viewer`] as its argument, so no page is served without a key or a session.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, request::Parts};
use serde::Serialize;

use super::{Console, layout, session::NewCookie};
use crate::{
    http::{accept::Preference, answer, query::Query, request::bearer},
    merchant::Gateway,
    operator::Addressed,
    problem::{Code, Problem},
    state::App,
    switch::acting_as,
};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Html,
    /// For programs.
    Json,
}

impl Form {
    /// The form that a request prefers. A program says that it prefers JSON; everybody else gets HTML.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Preference { html, json } = Preference::of(headers);
        if json > html { Self::Json } else { Self::Html }
    }
}

/// An operator who looks at a page of the console.
#[derive(Debug)]
pub(super) struct Viewer {
    /// The name of the operator's key.
    pub(super) name: String,
    /// The snapshot of the configuration. A request uses one snapshot from its start to its end.
    pub(super) gateway: Arc<Gateway>,
    form: Form,
    /// Whether the request is one of htmx, which asks for a part of the page again.
    is_refresh: bool,
    method: Method,
    /// The path and the query of the page.
    url: String,
    query: Option<String>,
}

impl FromRequestParts<Console> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Problem> {
        Addressed::from_request_parts(parts, console).await?;
        let gateway = Arc::<App>::from_ref(console).gateway.load_full();
        let name = if let Some(key) = bearer(&parts.headers) {
            gateway.operator_named(key, &parts.headers)?
        } else {
            Self::of_session(parts, console, &gateway).await?
        };
        let path_and_query = parts.uri.path_and_query().map_or("/console", |path| path.as_str());
        Ok(Self {
            name,
            gateway,
            form: Form::of(&parts.headers),
            is_refresh: is_refresh(&parts.headers),
            method: parts.method.clone(),
            url: path_and_query.to_owned(),
            query: parts.uri.query().map(str::to_owned),
        })
    }
}

/// Whether a request is one of htmx. An open page sends it by itself, so it does not show that a person is there.
fn is_refresh(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

impl Viewer {
    /// The name of the key of the request's session, which is used by it.
    async fn of_session(parts: &Parts, console: &Console, gateway: &Gateway) -> Result<String, Problem> {
        let session = console.sessions.of(&parts.headers).await.map_err(|error| {
            tracing::error!("the store does not say whether a session of the console has ended: {error}");
            let detail = "the store cannot be read now, so it is not known whether this session was logged out of; the \
                          operator's key as `Authorization: Bearer <key>` needs no session";
            Problem::new(Code::StoreUnavailable, detail)
        })?;
        let named = session.and_then(|session| Some((session, gateway.operator.name_of_digest(&session.key)?)));
        let Some((session, name)) = named else {
            let detail = "log in with the operator's key, or send it as `Authorization: Bearer <key>`";
            return Err(Problem::new(Code::Unauthorized, detail));
        };
        if let (false, Some(cookie)) = (is_refresh(&parts.headers), parts.extensions.get::<NewCookie>()) {
            cookie.set(console.sessions.renewed(session, &parts.headers));
        }
        Ok(name.to_owned())
    }

    /// The parameters of the page. One that it does not know is refused.
    pub(super) fn query(&self, known: &[&'static str]) -> Result<Query, Problem> {
        Query::read(self.query.as_deref().unwrap_or_default(), &[known])
    }

    /// The path and the query of the page, as its live part asks for it again.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Executes a command in the name of this operator, which the audit keeps.
    pub(super) async fn acting<F: Future>(&self, command: F) -> F::Output {
        acting_as(self.name.clone(), command).await
    }

    /// Shows a page in the form that the request prefers.
    pub(super) fn show<P: Page>(&self, page: &P) -> Result<Response, Problem> {
        self.show_with(StatusCode::OK, page)
    }

    /// Shows a page with another status.
    pub(super) fn show_with<P: Page>(&self, status: StatusCode, page: &P) -> Result<Response, Problem> {
        if self.form == Form::Json {
            return Ok(answer::json(status, page, 4096));
        }
        let content = page.render().map_err(|error| {
            tracing::error!("a page of the console cannot be written: {error}");
            Problem::fault(&self.method)
        })?;
        match self.is_refresh {
            true => Ok(layout::html(status, content)),
            false => layout::page(status, &page.title(), P::SECTION, Some(&self.name), content),
        }
    }
}

/// A page: a template that is rendered for people, and the same values for programs.
pub(super) trait Page: askama::Template + Serialize {
    /// The section of the console that it belongs to.
    const SECTION: Option<layout::Section>;

    /// The title of the page, which is also its first heading.
    fn title(&self) -> String;
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn browsers_get_html_and_programs_that_ask_for_json_get_json() {
        let form = |accept: &'static str| {
            Form::of(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/json",
            "application/json;q=0.5, text/html",
            "application/json;q=x",
        ] {
            assert_eq!(form(accept), Form::Html, "{accept}");
        }
        for accept in ["application/json", "Application/JSON; q=0.4, */*", "text/html;q=0.1, application/json"] {
            assert_eq!(form(accept), Form::Json, "{accept}");
        }
    }
}
