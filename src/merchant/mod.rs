//! The configuration as requests need it: merchants by their keys, and connections that can be called. [`Gateway`] is
//! one snapshot of it in memory. A reload replaces the snapshot as a whole; a request keeps the one that it began with.

mod carries;
mod client;
mod cursor;
mod homes;
mod keys;
mod listeners;
mod mask;
mod middleware;
mod operator;
mod public_key;
mod resolve;
mod scope;
mod secrets;
mod traces;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;
use passerelle_providers::{
    CustomerProvider,
    api::{JsonLimits, view::Origin},
    model::{
        IdPattern, LossPolicy,
        auth::{AuthScheme, Credentials},
        manifest::Manifest,
    },
    text::country::Region,
};

pub use client::{Client, Key, LacksScope};
pub use cursor::{Cursor, CursorKey, NotThisList};
pub use homes::{Homes, connection, held};
pub use keys::is_name;
pub use middleware::{Home, Middleware};
pub use operator::{OperatorAccess, SANDBOX_OPERATOR_KEY};
pub use scope::{Action, Scope, Scopes};
pub use traces::Traces;

use crate::{
    admission::{OfMerchant, RequestRate, WrongKeys},
    config::{HeadLimits, Http2, OnAmbiguous},
    metrics::Histogram,
    store::Carried,
    tls::Served,
    upstream::Upstream,
};

/// A snapshot of everything that requests need.
#[derive(Clone)]
pub struct Gateway {
    /// The clients of merchants by the digests of their keys.
    by_key: BTreeMap<[u8; 32], Client>,
    by_name: BTreeMap<String, Arc<Merchant>>,
    signers: Vec<Signer>,
    /// Who may use the operator's API.
    pub operator: OperatorAccess,
    /// The key of a sandbox that the API reference shows. It is public.
    pub public_key: Option<String>,
    /// Limits the wrong keys of an address.
    pub wrong_keys: Arc<WrongKeys>,
    /// How long a whole request may take.
    pub deadline: Duration,
    /// How long writes to one customer may wait while it moves to another connection.
    pub hold: Duration,
    /// How large a request body may be, in bytes.
    pub max_body: usize,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// How many bytes of it must arrive in a second. 0 for any number.
    pub min_body_rate: u32,
    /// How large the structure of its JSON may be.
    pub json: JsonLimits,
    /// How long connections are accepted after the signal to stop.
    pub stop_notice: Duration,
    /// How long requests in flight may take after that.
    pub stop_timeout: Duration,
    /// How much memory all request bodies may occupy together, in bytes. Only the snapshot of the start decides.
    pub max_bodies: usize,
    /// How many requests are answered at once in the beginning. Only the snapshot of the start decides.
    pub places: usize,
    /// How long everything that is ready to run may wait for a core. Only the snapshot of the start decides.
    pub overload_wait: Duration,
    /// How large the head of a request may be. Only the snapshot of the start decides.
    pub head: HeadLimits,
    /// Whether answers have a `Server-Timing` header.
    pub server_timing: bool,
    /// The TLS of new connections of clients. `None` for connections without TLS.
    pub tls: Option<Served>,
    /// Where clients may use HTTP/2.
    pub http2: Http2,
    /// Which requests are sampled for traces, and where their spans are sent. `None`: there are no traces.
    pub traces: Option<Arc<Traces>>,
}

/// A merchant.
#[derive(Debug, Clone)]
pub struct Merchant {
    /// The name in the configuration.
    pub name: String,
    /// The home region, for phone numbers without a country code.
    pub region: Option<Region>,
    /// What happens to fields that the provider has no place for, unless the request says otherwise.
    pub on_loss: LossPolicy,
    /// Whether the gateway may keep fields that the provider has no place for.
    pub allows_carry: bool,
    /// How many requests of its clients are being answered. After a reload, those from before count for the process alone.
    pub places: OfMerchant,
    /// Limits how many requests its clients may send. `None` for no limit.
    pub request_rate: Option<Arc<RequestRate>>,
    /// Where a customer has the merchant's own reference: `metadata.KEY`.
    pub reference: Option<String>,
    /// Every connection by name, active or not: a write is reconciled at the connection that sent it.
    pub connections: BTreeMap<String, Arc<Connection>>,
    /// The connection that serves the merchant's requests.
    pub active: Arc<Connection>,
    /// Translates between the merchant and its connections. `None` as long as the merchant has no routing row.
    pub middleware: Option<Arc<dyn Middleware>>,
    /// What the gateway keeps of the merchant's customers. `None` as long as it keeps nothing and may keep nothing.
    pub carried: Option<Carried>,
    /// The sizes of the bodies of its clients' requests.
    pub body_bytes: Histogram,
}

/// Names a signer in the records of signatures. It stays the same over a reload.
pub type SignerId = [u8; 32];

/// A drop-in client that signs its requests, as configured under `ingress`.
#[derive(Debug, Clone)]
pub struct Signer {
    /// Its name in the records of signatures.
    pub id: SignerId,
    /// The provider that is imitated for it.
    provider: &'static str,
    /// The name that it sends; `None` where clients of the provider send none.
    name: Option<String>,
    /// The credentials that verify its signatures.
    pub credentials: Credentials,
    /// The merchant that it belongs to.
    pub merchant: Arc<Merchant>,
}

/// A connection: one provider with credentials, ready to be called.
#[derive(Debug)]
pub struct Connection {
    /// The name of its merchant.
    pub merchant: String,
    /// The name in the configuration.
    pub name: String,
    /// The adapter.
    pub provider: Arc<dyn CustomerProvider>,
    /// What the provider can do.
    pub manifest: &'static Manifest,
    /// How requests are authorized.
    pub scheme: &'static AuthScheme,
    /// The HTTP client of this connection.
    pub upstream: Upstream,
    /// What to do with a create that may have happened, and of which the provider shows no trace.
    pub on_ambiguous: OnAmbiguous,
    /// How long the provider may take until its reads show a write.
    pub visibility_lag: Duration,
    /// Whether the provider is asked for live records, or for test records.
    pub livemode: bool,
    /// The credentials, which must not appear in answers or logs.
    pub secrets: Credentials,
    /// Seals the cursors of its lists.
    pub cursor_key: CursorKey,
}

/// The addresses of the twins of sandbox connections, by merchant and connection.
pub type Twins = HashMap<(String, String), SocketAddr>;

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.by_name.values()).finish()
    }
}

/// A valid configuration: the snapshot, and warnings for the operator.
#[derive(Debug)]
pub struct Resolved {
    /// The snapshot.
    pub gateway: Gateway,
    /// Settings that are allowed but unwise.
    pub warnings: Vec<String>,
}

impl Gateway {
    /// The client that has a key, if the key is accepted now.
    pub fn client(&self, key: &str) -> Option<&Client> {
        self.by_key.get(&digest_of(key)).filter(|client| client.key.is_accepted())
    }

    /// Like [`Self::client`], for a request that is answered with what it returns: the use of a key outside of its time is
    /// counted.
    pub fn authenticate(&self, key: &str) -> Option<&Client> {
        self.by_key.get(&digest_of(key)).filter(|client| client.key.is_accepted_for_use())
    }

    /// The merchant with a name.
    pub fn merchant_named(&self, name: &str) -> Option<&Arc<Merchant>> {
        self.by_name.get(name)
    }

    /// Every merchant, in the order of their names.
    pub fn merchants(&self) -> impl Iterator<Item = &Arc<Merchant>> {
        self.by_name.values()
    }

    /// A connection and its merchant by their names, active or not.
    pub fn connection(&self, merchant: &str, connection: &str) -> Option<(&Arc<Merchant>, &Arc<Connection>)> {
        let merchant = self.by_name.get(merchant)?;
        Some((merchant, merchant.connections.get(connection)?))
    }

    /// Every connection with its merchant, in the order of their names.
    pub fn connections(&self) -> impl Iterator<Item = (&Merchant, &Connection)> {
        self.by_name
            .values()
            .flat_map(|merchant| merchant.connections.values().map(move |connection| (&**merchant, &**connection)))
    }

    /// The same snapshot with a middleware between merchants and their connections. `middleware` is called once for each
    /// merchant.
    #[must_use]
    pub fn with_middleware(mut self, middleware: impl Fn(&Merchant) -> Option<Arc<dyn Middleware>>) -> Self {
        self.change_merchants(|merchant| merchant.middleware = middleware(merchant));
        self
    }

    /// Changes every merchant, once.
    fn change_merchants(&mut self, change: impl Fn(&mut Merchant)) {
        for merchant in self.by_name.values_mut() {
            change(Arc::make_mut(merchant));
        }
        let by_name = &self.by_name;
        let signing = self.signers.iter_mut().map(|signer| &mut signer.merchant);
        let with_keys = self.by_key.values_mut().map(|client| &mut client.merchant);
        for merchant in with_keys.chain(signing) {
            if let Some(wrapped) = by_name.get(&merchant.name) {
                *merchant = Arc::clone(wrapped);
            }
        }
    }

    /// The signed clients of an imitated provider that may send this name.
    pub fn signers(&self, provider: &str, name: &str) -> impl Iterator<Item = &Signer> {
        let is_named = move |signer: &&Signer| signer.name.as_deref().is_none_or(|known| known == name);
        self.signers.iter().filter(move |signer| signer.provider == provider).filter(is_named)
    }
}

impl Merchant {
    /// The rows of the merchant's customers. `None` as long as the merchant has no routing row.
    pub fn homes(&self) -> Option<&Homes> {
        self.middleware.as_ref()?.homes()
    }

    /// Whether an answer has the customers as the provider answered them, with the same ids.
    pub const fn passes_through(&self) -> bool {
        self.middleware.is_none() && self.carried.is_none()
    }

    /// The pattern of the customer ids that the merchant may send. Without a middleware, it is that of the active
    /// connection's provider.
    pub fn id_pattern(&self) -> &IdPattern {
        match &self.middleware {
            Some(_) => &IdPattern::PUBLIC,
            None => &self.active.manifest.id,
        }
    }
}

impl Connection {
    /// The provider and the connection, as answers name them.
    pub fn origin(&self) -> Origin<'_> {
        Origin { provider: self.manifest.name, connection: &self.name }
    }

    /// A text from the provider, with this connection's secrets replaced by `***`.
    pub fn redacted(&self, text: String) -> String {
        self.secrets.secrets().filter(|secret| !secret.is_empty()).fold(text, mask::masked)
    }
}

/// The SHA-256 digest by which a key is looked up.
pub fn digest_of(key: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
