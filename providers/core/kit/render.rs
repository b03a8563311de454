//! Renders the requests of a plan: as HTTP text for snapshots and the terminal, or as JSON for `explain`. Both name the
//! headers that will have secrets. A plan contains no secrets, so neither can show one.

use http::HeaderMap;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::{
    kit::Endpoint,
    model::{Error, Request, auth::AuthScheme},
};

/// Stands in an explained body for a value of the customer's record, or for a part of one. As a name of a member of the
/// metadata, it stands for all keys of the record that the update does not mention.
pub const FROM_RECORD: &str = "<from the record>";

/// The members of an explained body that hold [`FROM_RECORD`], as JSON Pointers. It is an extension of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromRecord(pub Vec<String>);

/// A request as the gateway will send it, with masked secrets.
#[derive(Debug, Serialize)]
pub struct RenderedRequest {
    /// The method.
    pub method: String,
    /// The full URL.
    pub url: String,
    /// The headers, with masked secrets.
    #[serde(serialize_with = "as_map")]
    pub headers: Vec<(String, String)>,
    /// The JSON body, or `null`.
    pub body: Option<Box<RawValue>>,
    /// Whether the answer of an earlier request decides about this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub depends_on_previous: bool,
    /// The members of the body whose values come from the customer's record, as JSON Pointers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from_record: Vec<String>,
}

/// Renders a plan's request at an endpoint.
pub fn request(request: &Request, endpoint: &Endpoint, auth: &AuthScheme) -> Result<RenderedRequest, Error> {
    let finished = endpoint.finish(request.clone())?;
    let mut headers: Vec<(String, String)> =
        auth.masked().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    headers.extend(text_headers(finished.headers()));
    headers.sort();
    Ok(RenderedRequest {
        method: finished.method().to_string(),
        url: finished.uri().to_string(),
        headers,
        body: serde_json::from_slice(finished.body()).ok(),
        depends_on_previous: false,
        from_record: request.extensions().get().map(|FromRecord(pointers)| pointers.clone()).unwrap_or_default(),
    })
}

/// Renders the requests of a plan in order. Whether and how a later one is sent depends on the earlier answers.
pub fn requests(requests: &[&Request], endpoint: &Endpoint, auth: &AuthScheme) -> Result<Vec<RenderedRequest>, Error> {
    let rendered = requests.iter().enumerate().map(|(index, planned)| {
        let mut rendered = request(planned, endpoint, auth)?;
        rendered.depends_on_previous = index > 0;
        Ok(rendered)
    });
    rendered.collect()
}

/// The headers whose values are text and not sensitive.
pub fn text_headers(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers
        .iter()
        .filter(|(_, value)| !value.is_sensitive())
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
}

impl RenderedRequest {
    /// The request as HTTP text.
    pub fn http_text(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("\n{}\n", body.get()));
        }
        text
    }
}

fn as_map<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, value) in pairs {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
