//! A line to a connection's provider: it keeps one deadline for all that is sent, changes nothing that somebody else
//! may have taken over, and remembers the answers where they are to be shown.

use std::sync::Mutex;

use async_trait::async_trait;
use passerelle_providers::{
    kit::{Transport, render},
    model::{Error, Request, Response},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

use crate::{merchant::Connection, store::Lease, upstream::Times};

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
    lease: Option<Lease>,
    exchanges: Option<Mutex<Vec<Exchange>>>,
}

impl<'c> Line<'c> {
    /// A line on which nothing is waited for after the deadline.
    pub fn new(connection: &'c Connection, deadline: Instant, remembers: bool) -> Self {
        Self { connection, deadline, lease: None, exchanges: remembers.then(Mutex::default) }
    }

    /// The same line for a write: what changes something is sent while its lease holds, or not at all.
    #[must_use]
    pub fn under(self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self }
    }

    fn times(&self, writes: bool) -> Times {
        let lease = self.lease.as_ref().filter(|_| writes);
        let begun = lease.map_or(self.deadline, |lease| lease.send_until().min(self.deadline));
        Times { begun, answered: self.deadline }
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
        let response = self.connection.upstream.send(request, writes, self.times(writes)).await?;
        if let Some(exchanges) = &self.exchanges
            && let Ok(mut exchanges) = exchanges.lock()
        {
            exchanges.push(self.exchange(&response));
        }
        Ok(response)
    }
}
