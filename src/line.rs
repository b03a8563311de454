//! A line to a connection's provider: it keeps one deadline for all that is sent, and remembers the answers where
//! they are to be shown.

use std::sync::Mutex;

use async_trait::async_trait;
use passerelle_providers::{
    error::{Error, Kind},
    plan::{Request, Response, Transport},
    render,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

use crate::merchant::Connection;

/// One answer of the provider, as it was given.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    status: u16,
    headers: std::collections::BTreeMap<String, String>,
    body: Box<RawValue>,
}

/// The headers of a provider's answer that say something.
const SHOWN_HEADERS: &[&str] = &[
    "content-type",
    "date",
    "retry-after",
    "x-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// A line to a provider.
#[derive(Debug)]
pub struct Line<'c> {
    connection: &'c Connection,
    deadline: Instant,
    exchanges: Option<Mutex<Vec<Exchange>>>,
}

impl<'c> Line<'c> {
    /// A line on which nothing is waited for after the deadline.
    pub fn new(connection: &'c Connection, deadline: Instant, remembers: bool) -> Self {
        Self { connection, deadline, exchanges: remembers.then(Mutex::default) }
    }

    /// What was remembered.
    pub fn exchanges(&self) -> Option<Vec<Exchange>> {
        let mut exchanges = self.exchanges.as_ref()?.lock().ok()?;
        Some(std::mem::take(&mut exchanges))
    }

    fn exchange(&self, response: &Response) -> Exchange {
        let text = self.connection.redacted(String::from_utf8_lossy(response.body()).into_owned());
        let body = serde_json::from_str::<Box<RawValue>>(&text).or_else(|_| to_raw_value(&text));
        let headers = render::text_headers(response.headers());
        Exchange {
            status: response.status().as_u16(),
            headers: headers.filter(|(name, _)| SHOWN_HEADERS.contains(&name.as_str())).collect(),
            body: body.unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }
}

#[async_trait]
impl Transport for Line<'_> {
    async fn send(&self, request: Request, writes: bool) -> Result<Response, Error> {
        if Instant::now() >= self.deadline {
            // Whoever stood still until now may have lost the write to somebody else.
            return Err(Error::new(Kind::Unreachable, "no time was left to send anything"));
        }
        let response = self.connection.upstream.send(request, writes, self.deadline).await?;
        if let Some(exchanges) = &self.exchanges
            && let Ok(mut exchanges) = exchanges.lock()
        {
            exchanges.push(self.exchange(&response));
        }
        Ok(response)
    }
}
