//! Who may call, and what a request says: its key, its host, its parameters and its JSON body.

use std::{future::Future, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts, Path},
};
use http::{HeaderMap, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::requests::read_object;
use crate::{
    body::{BodyLimits, read_body},
    http::{query::Query, request::bearer},
    merchant::Gateway,
    problem::{Code, Problem},
    state::{App, BodyOwner},
    switch::acting_as,
};

/// How many entries a page has if the request does not say it.
const DEFAULT_LIMIT: u16 = 20;

/// A request to the operator's listener by one of its names.
#[derive(Debug)]
pub(crate) struct Addressed;

/// A request with a key of the operator.
#[derive(Debug)]
pub(super) struct Authorized {
    /// The name of the key.
    name: String,
    query: Option<String>,
    headers: HeaderMap,
    limits: BodyLimits,
    app: Arc<App>,
}

impl<S> FromRequestParts<S> for Addressed
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = Arc::<App>::from_ref(state);
        let access = &app.gateway.load().operator;
        let host = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| parts.headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
        if !access.is_named_by(host) {
            let detail = "the `Host` header does not name this listener; call it by its address, or add the name to \
                          `operator.hosts`";
            return Err(Problem::new(Code::WrongHost, detail));
        }
        if !access.has_key() {
            let detail = "the operator's API is not served, because `operator.keys` is empty: make a key with \
                          `passerelle keys new`, write `keys = [{ sha256 = \"…\" }]` with its digest below `[operator]`, \
                          and reload the configuration (SIGHUP)";
            return Err(Problem::new(Code::NotFound, detail));
        }
        Ok(Self)
    }
}

impl<S> FromRequestParts<S> for Authorized
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Addressed::from_request_parts(parts, state).await?;
        let app = Arc::<App>::from_ref(state);
        let gateway = app.gateway.load_full();
        let key = bearer(&parts.headers).ok_or_else(|| {
            Problem::new(Code::Unauthorized, "send the operator's key as `Authorization: Bearer <key>`")
        })?;
        let name = gateway.operator_named(key, &parts.headers)?;
        Ok(Self {
            name,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.clone(),
            limits: BodyLimits::of(&gateway),
            app,
        })
    }
}

impl Gateway {
    /// The name of the operator's key that a request has. A wrong key is refused, and counts for the address of its client.
    pub(crate) fn operator_named(&self, key: &str, headers: &HeaderMap) -> Result<String, Problem> {
        if let Some(name) = self.operator.name_of(key) {
            return Ok(name.to_owned());
        }
        let detail = match self.client(key) {
            Some(_) => "this is the key of a merchant's client; the operator's API needs one of `operator.keys`",
            None => "the key is not one of `operator.keys`",
        };
        self.wrong_keys.count(headers)?;
        Err(Problem::new(Code::Unauthorized, detail))
    }
}

impl Authorized {
    /// Executes a command in the name of this operator, which the audit keeps.
    pub(super) async fn acting<F: Future>(&self, command: F) -> F::Output {
        acting_as(self.name.clone(), command).await
    }

    /// The parameters of the request.
    pub(super) fn query(&self, known: &[&'static str]) -> Result<Query, Problem> {
        Query::read(self.query.as_deref().unwrap_or_default(), &[known])
    }

    /// The headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What a body may be.
    pub(super) fn limits(&self) -> BodyLimits {
        self.limits
    }

    /// Whether the body is declared as this media type.
    pub(super) fn has_body_of(&self, media_type: &str) -> bool {
        self.headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type))
    }

    /// Reads a JSON body.
    pub(super) async fn body<T: DeserializeOwned>(&self, body: Body) -> Result<T, Problem> {
        if !self.has_body_of("application/json") {
            return Err(Problem::new(Code::UnsupportedMediaType, "send JSON, with `Content-Type: application/json`"));
        }
        let bytes =
            read_body(&self.headers, body, self.limits, self.app.bodies.reservation(BodyOwner::Operator)).await?;
        let text: &RawValue = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::new(Code::MalformedRequest, format!("the body is not JSON: {error}")))?;
        if has_nul(text.get()) {
            let detail = "a string contains U+0000, which not every database can store; remove it";
            return Err(Problem::new(Code::MalformedRequest, detail));
        }
        read_object(text).map_err(|error: serde_json::Error| {
            Problem::new(Code::InvalidRequest, format!("the body is wrong: {error}"))
        })
    }
}

/// The size of a page, and the position after which it begins.
pub(super) fn page(query: &Query) -> Result<(usize, Option<&str>), Problem> {
    Ok((usize::from(query.limit()?.unwrap_or(DEFAULT_LIMIT)), query.text("cursor")?))
}

/// A part of the path, decoded.
#[derive(Debug)]
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) if !name.contains('\0') => Ok(Self(name)),
            _ => Err(Problem::new(Code::MalformedRequest, "the path must be UTF-8 text without U+0000")),
        }
    }
}

/// Whether a string in JSON contains U+0000. JSON can only write it as an escape.
fn has_nul(json: &str) -> bool {
    let mut rest = json;
    while let Some((_, escape)) = rest.split_once('\\') {
        if escape.starts_with("u0000") {
            return true;
        }
        // What is escaped can be a backslash itself.
        let mut after = escape.chars();
        after.next();
        rest = after.as_str();
    }
    false
}
