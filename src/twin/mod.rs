//! Twins: sandbox vendors that remember. A twin is a vendor's server side over a store in memory, served
//! over real HTTP, so that everything between a merchant's code and a vendor can be tried without one.

mod store;

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, response::Response};
use http::{StatusCode, Uri, request::Parts};
use jiff::Timestamp;
use passerelle_providers::{
    ImitatesVendor, Settings, Vendor,
    error::{Error, Kind},
    imitate::base_path,
    manifest::Manifest,
    model::{Command, Reply},
    plan::Request,
    sign::Credentials,
};

use store::Store;

/// A sandbox vendor.
#[derive(Debug)]
pub struct Twin {
    vendor: Arc<dyn ImitatesVendor>,
    manifest: &'static Manifest,
    credentials: Credentials,
    store: Mutex<Store>,
}

impl Twin {
    /// A twin with the sample customers. Without credentials, it takes any key, but insists on one.
    pub fn new(vendor: &Vendor, settings: Settings, credentials: Credentials) -> Self {
        let imitated = (vendor.imitate)(settings);
        let manifest = imitated.manifest();
        let store = Mutex::new(Store::with_samples(&*imitated));
        Self { vendor: imitated, manifest, credentials, store }
    }

    /// The twin as a router that serves every path.
    pub fn router(self) -> Router {
        Router::new().fallback(handle).with_state(Arc::new(self))
    }

    /// Answers one request as the vendor does.
    fn respond(&self, mut request: Request, now: Timestamp, random: [u8; 16]) -> http::Response<Bytes> {
        let authorized = self.authorize(&request, now);
        below_base(&mut request, base_path(self.manifest));
        let outcome = authorized.and_then(|()| {
            let command = self.vendor.accept(&request)?;
            let mut store = self.store.lock().map_err(|_| Error::new(Kind::ProviderFailed, "the store is broken"))?;
            let reply = match store.carry_out(&*self.vendor, &command, now, random) {
                Err(error) if error.kind == Kind::NotFound && self.forgives(&command) => Reply::Deleted,
                other => other?,
            };
            self.vendor.answer(&command, &reply)
        });
        outcome.unwrap_or_else(|error| self.vendor.refuse(&request, &error, now))
    }

    fn forgives(&self, command: &Command) -> bool {
        matches!(command, Command::Delete(_)) && self.vendor.deletes_unknown()
    }

    /// Any of the vendor's ways to authorize will do.
    fn authorize(&self, request: &Request, now: Timestamp) -> Result<(), Error> {
        let mut refused = Error::new(Kind::Unauthorized, "no key was presented");
        for scheme in self.manifest.auth {
            match scheme.verify(request, &self.credentials, now.as_second()) {
                Ok(()) => return Ok(()),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

async fn handle(State(twin): State<Arc<Twin>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let Parts { method, uri, headers, .. } = parts;
    let Ok(body) = axum::body::to_bytes(body, 1 << 20).await else {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return response;
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let random = *uuid::Uuid::new_v4().as_bytes();
    twin.respond(request, Timestamp::now(), random).map(axum::body::Body::from)
}

/// Cuts the vendor's base off a path. A path without it is taken as it is: clients differ.
fn below_base(request: &mut Request, base: &str) {
    let path_and_query = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let below = path_and_query.strip_prefix(base).filter(|rest| rest.starts_with('/')).unwrap_or(path_and_query);
    if let Ok(uri) = Uri::try_from(below) {
        *request.uri_mut() = uri;
    }
}
