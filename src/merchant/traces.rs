//! The traces of a configuration: which requests are sampled, and the collector. `resolve` calls it. No message contains a
//! secret.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::ExposeSecret;

use super::resolve::Resolver;
use crate::{
    config::{ConnectionConfig, TracesConfig},
    traces::{SampleRatio, SpanQueue},
    upstream::{ClientSettings, Collector, Connects, http_client, is_loopback},
};

/// Where the traces of a configuration go.
#[derive(Debug)]
pub struct Traces {
    /// The part of requests that are sampled.
    pub ratio: SampleRatio,
    /// The queue of the process for spans.
    pub queue: SpanQueue,
    /// Where the spans are sent.
    pub collector: Collector,
    /// The name of the gateway in traces.
    pub service_name: String,
}

/// Headers that the gateway sets itself.
const OWN_HEADERS: [HeaderName; 5] =
    [header::ACCEPT, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::HOST, header::TRANSFER_ENCODING];

impl Resolver<'_> {
    /// The collector, if one is configured.
    pub(super) fn traces(&mut self) -> Option<Arc<Traces>> {
        let typed = self.loaded.config.telemetry.as_ref()?.traces.as_ref()?;
        if typed.service_name.is_empty() {
            self.mistake("telemetry.traces.service_name", "is empty; write a name, such as \"passerelle\"");
        }
        let headers = self.collector_headers(typed);
        let url = Collector::parse_url(&typed.endpoint);
        let url = url.map_err(|wrong| self.mistake("telemetry.traces.endpoint", wrong)).ok()?;
        if url.scheme() == "http" && !headers.is_empty() && !is_loopback(url.host()) {
            self.warn("telemetry.traces.endpoint", "begins with http://, so its headers are sent without encryption");
        }
        // The operator chose the collector, so it may have a private address and no TLS.
        let settings = ClientSettings {
            allow_insecure: true,
            connect_timeout: self.loaded.config.outbound.connect_timeout,
            max_idle: self.loaded.config.outbound.max_idle_per_host,
            idle_timeout: self.loaded.config.outbound.idle_timeout,
            // Without TLS, no certificate authority is needed.
            without_tls: url.scheme() == "http" && self.proxy.is_none(),
            proxy: self.proxy.clone(),
            connects: Connects::default(),
        };
        let client = http_client(settings).map_err(|error| self.mistake("telemetry.traces", error)).ok()?;
        Some(Arc::new(Traces {
            ratio: SampleRatio(typed.sample_ratio),
            queue: self.shared.spans().clone(),
            collector: Collector::new(client, url, headers),
            service_name: typed.service_name.clone(),
        }))
    }

    /// Warns about a connection that would send the context of traces, where there are none.
    pub(super) fn send_traceparent(&mut self, at: &str, typed: &ConnectionConfig) {
        let has_traces = self.loaded.config.telemetry.as_ref().is_some_and(|telemetry| telemetry.traces.is_some());
        if typed.send_traceparent && !has_traces {
            self.warn(&format!("{at}.send_traceparent"), "is not used, because `telemetry.traces` is not set");
        }
    }

    fn collector_headers(&mut self, typed: &TracesConfig) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, secret) in &typed.headers {
            let at = format!("telemetry.traces.headers.{name}");
            let Ok(name) = HeaderName::try_from(name) else {
                self.mistake(&at, "is not the name of a header, such as `authorization`");
                continue;
            };
            if OWN_HEADERS.contains(&name) {
                self.mistake(&at, "is set by the gateway itself; remove it");
                continue;
            }
            if secret.is_literal() {
                self.warn(&at, "is a literal; use { env = \"NAME\" } or { file = \"PATH\" }");
            }
            match secret.resolve(self.loaded.folder()).map(|secret| HeaderValue::try_from(secret.expose_secret())) {
                Ok(Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                Ok(Err(_)) => self.mistake(&at, "has characters that a header cannot have"),
                Err(error) => self.mistake(&at, error),
            }
        }
        headers
    }
}
