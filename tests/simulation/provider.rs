//! The provider of a run: a twin, and the log of what it did.

use std::net::SocketAddr;

use bytes::Bytes;
use jiff::Timestamp;
use passerelle::twin::{
    Twin,
    faults::FaultPlan,
    log::{self, Applied, Log},
};
use passerelle_providers::{Settings, kit::server::base_path, model::auth::Credentials, text::country::Region, vendor};
use tempfile::NamedTempFile;

/// The providers whose creates can be repeated with a key. PaymentKit has none.
pub(crate) const PROVIDERS: [(&str, &str); 5] =
    [("bitnob", "v1"), ("bitnob", "v2"), ("lomi", "v1"), ("modempay", "v1"), ("notchpay", "v1")];

/// The providers of a switch: the source and the target. Bitnob's first generation has no deletion.
pub(crate) const PAIRS: [[(&str, &str); 2]; 5] = [
    [("notchpay", "v1"), ("bitnob", "v2")],
    [("bitnob", "v2"), ("notchpay", "v1")],
    [("modempay", "v1"), ("bitnob", "v2")],
    [("lomi", "v1"), ("notchpay", "v1")],
    [("notchpay", "v1"), ("modempay", "v1")],
];

/// The port of the provider that is active at first. That of the other one is the next.
const FIRST_PORT: u16 = 9;

/// A twin.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) generation: Option<&'static str>,
    twin: Twin,
    log: NamedTempFile,
}

impl Provider {
    /// `list_lag`: how late its lists show a change. Empty: at once.
    pub(crate) fn new((name, generation): (&'static str, &'static str), list_lag: &str) -> Self {
        let vendor = vendor(name).expect("a provider");
        let generation = Some(generation).filter(|_| vendor.manifests.len() > 1);
        let manifest = vendor.manifest(generation).expect("a generation");
        let settings = Settings { generation: manifest.generation, region: Region::parse("SN"), livemode: true };
        let log = NamedTempFile::new().expect("a file");
        let plan = if list_lag.is_empty() { String::new() } else { format!("search_lag = \"{list_lag}\"\n") };
        let twin = Twin::new(vendor, settings, Credentials::default())
            .with_faults(FaultPlan::read(&plan, "faults.toml").expect("a plan"))
            .with_log(Log::open(log.path()).expect("a log"));
        Self { name, generation, twin, log }
    }

    /// Where the gateway sends the requests to the provider of a connection. Nothing listens there.
    pub(crate) fn address(side: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], if side == 0 { FIRST_PORT } else { FIRST_PORT + 1 }))
    }

    /// The provider to which a request goes.
    pub(crate) fn side(request: &http::Request<Bytes>) -> usize {
        usize::from(request.uri().port_u16() != Some(FIRST_PORT))
    }

    /// Answers a request as it arrives over a connection: without the origin in its URL.
    pub(crate) fn answer(
        &self,
        mut request: http::Request<Bytes>,
        now: Timestamp,
        random: [u8; 16],
    ) -> http::Response<Bytes> {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        *request.uri_mut() = path.parse().expect("a path");
        self.twin.answer(request, now, random)
    }

    /// Whether a request is a create: it is about no customer yet.
    pub(crate) fn is_create(&self, request: &http::Request<Bytes>) -> bool {
        let vendor = vendor(self.name).expect("a provider");
        let base = base_path(vendor.manifest(self.generation).expect("a generation"));
        let path = request.uri().path().strip_prefix(base).unwrap_or(request.uri().path());
        request.method() == http::Method::POST && path.ends_with("/customers")
    }

    /// Whether a request may be executed late. A create that is sent again at once, because addresses are unique, must not:
    /// docs/reliability.md says what happens where its customer was deleted meanwhile.
    pub(crate) fn may_be_late(&self, request: &http::Request<Bytes>) -> bool {
        self.is_create(request) && self.name != "bitnob"
    }

    /// What it changed, in this order.
    pub(crate) fn effects(&self) -> Vec<Applied> {
        log::effects(&log::read(self.log.path()).expect("a log")).cloned().collect()
    }
}
