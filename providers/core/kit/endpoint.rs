//! The address of a provider, which turns a plan's request into a full HTTP request.

use http::{HeaderValue, Uri, header};

use crate::model::{Error, Kind, Request};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The address of a provider: its base URL without a slash at the end.
#[derive(Debug, Clone)]
pub struct Endpoint(String);

impl Endpoint {
    /// An endpoint at a base URL.
    pub fn new(base_url: &str) -> Self {
        Self(base_url.trim_end_matches('/').to_owned())
    }

    /// The base URL.
    pub fn base_url(&self) -> &str {
        &self.0
    }

    /// Completes a plan's request with the full URL and the usual headers of a JSON request.
    pub fn finish(&self, mut request: Request) -> Result<Request, Error> {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut url = String::with_capacity(self.0.len() + path.len());
        url.push_str(&self.0);
        url.push_str(path);
        *request.uri_mut() = Uri::try_from(url).map_err(|_| {
            Error::new(Kind::Invalid, "the connection's `base_url` and the path do not form a valid URL")
        })?;
        let has_body = !request.body().is_empty();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, JSON);
        if has_body {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        Ok(request)
    }
}
