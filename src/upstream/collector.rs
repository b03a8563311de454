//! Sends spans to the collector that the operator configured. `merchant` makes a [`Collector`] from the configuration, and
//! `telemetry` calls it. It uses the client of `client` with its proxy, but no circuit breaker and no places: no request of
//! a merchant waits for it.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::timeout;
use url::Url;

use super::HttpClient;

/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes. It says how many spans were rejected.
const MAX_ANSWER: usize = 16 * 1024;

/// A collector of traces, which takes OTLP over HTTP.
pub struct Collector {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
}

/// Without the headers, which may have a key.
impl fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Collector({})", self.name())
    }
}

impl Collector {
    /// A collector at this URL. Every request has these headers.
    pub fn new(client: HttpClient, url: Url, mut headers: HeaderMap) -> Self {
        let (client, _) = client.for_host(url.host());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/x-protobuf"));
        Self { client, url, headers }
    }

    /// Checks the URL of a collector, and parses it. The error says what to write instead.
    pub fn parse_url(text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("must begin with http:// or https:// and a host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "must not contain a user, a password, a query or a fragment; send secrets in `headers`".to_owned()
            );
        }
        match url.path() {
            "" | "/" => Err("has no path; most collectors take traces at /v1/traces".to_owned()),
            _ => Ok(url),
        }
    }

    /// Its origin, for messages.
    pub fn name(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Sends a body, and returns that of the answer. The error says what went wrong, and repeats nothing of the URL.
    pub async fn send(&self, body: Vec<u8>) -> Result<Bytes, String> {
        let mut request = reqwest::Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = Some(body.into());
        match timeout(TIMEOUT, self.exchange(request)).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(format!("it did not answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Bytes, String> {
        let mut response = self.client.execute(request).await.map_err(|error| match error.is_connect() {
            true => "it cannot be reached; check that it runs, and `telemetry.traces.endpoint`".to_owned(),
            false => "the connection to it broke".to_owned(),
        })?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let mut answer = BytesMut::new();
        // An answer that cannot be read says nothing about the spans, which it has accepted.
        while let Ok(Some(chunk)) = response.chunk().await {
            answer.extend_from_slice(&chunk);
            if answer.len() > MAX_ANSWER {
                return Ok(Bytes::new());
            }
        }
        Ok(answer.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_a_collectors_is_refused_with_what_to_write() {
        for url in ["http://127.0.0.1:4318/v1/traces", "https://collector.example/otlp/v1/traces"] {
            assert_eq!(Collector::parse_url(url).map(String::from).as_deref(), Ok(url));
        }
        for (url, why) in [
            ("collector:4318/v1/traces", "must begin with http"),
            ("/v1/traces", "is not a URL"),
            ("grpc://collector.example:4317", "must begin with http"),
            ("http://user:hush@collector.example/v1/traces", "send secrets in `headers`"),
            ("https://collector.example/v1/traces?key=hush", "send secrets in `headers`"),
            ("https://collector.example:4318", "/v1/traces"),
        ] {
            let refused = Collector::parse_url(url).expect_err(url);
            assert!(refused.contains(why) && !refused.contains("hush"), "{url}: {refused}");
        }
    }
}
