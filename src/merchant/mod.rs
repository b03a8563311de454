//! What the configuration means: keys that name merchants, and connections that can be called. Everything
//! a request needs is in memory, in one snapshot that a reload replaces whole.

mod cursor;
mod middleware;
mod resolve;
mod secrets;

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
    model::{
        IdPattern, LossPolicy,
        auth::{AuthScheme, Credentials},
        manifest::Manifest,
    },
    text::country::Region,
};

pub use cursor::{Cursor, CursorKey, NotThisList};
pub use middleware::Middleware;

use crate::{config::OnAmbiguous, upstream::Upstream};

/// A snapshot of everything that requests need.
pub struct Gateway {
    /// By the digests of their keys.
    by_key: HashMap<[u8; 32], Arc<Merchant>>,
    by_name: BTreeMap<String, Arc<Merchant>>,
    signers: Vec<Signer>,
    /// How long a request may take in all.
    pub deadline: Duration,
    /// How large a request body may be, in bytes.
    pub max_body: usize,
}

/// A merchant, ready to be served.
#[derive(Debug, Clone)]
pub struct Merchant {
    /// The name in the configuration.
    pub name: String,
    /// The home region.
    pub region: Option<Region>,
    /// What becomes of fields that the provider cannot hold.
    pub on_loss: LossPolicy,
    /// Every connection, active or not, by name: a write ends at the connection where it began.
    pub connections: BTreeMap<String, Arc<Connection>>,
    /// The connection that answers.
    pub active: Arc<Connection>,
    /// What stands between the merchant and its connections; `None` as long as the merchant has not switched.
    pub middleware: Option<Arc<dyn Middleware>>,
}

/// A drop-in client that signs its requests.
#[derive(Debug)]
pub struct Signer {
    /// The provider whose client it is.
    provider: &'static str,
    /// How it names itself; `None` where its key decides alone.
    name: Option<String>,
    /// What verifies its signatures.
    pub credentials: Credentials,
    /// Whose it is.
    pub merchant: Arc<Merchant>,
}

/// A connection, ready to be called.
#[derive(Debug)]
pub struct Connection {
    /// The name in the configuration.
    pub name: String,
    /// The adapter.
    pub provider: Arc<dyn CustomerProvider>,
    /// What the provider can do.
    pub manifest: &'static Manifest,
    /// How requests are authorized.
    pub scheme: &'static AuthScheme,
    /// The way out.
    pub upstream: Upstream,
    /// What becomes of creates whose outcome cannot be found out.
    pub on_ambiguous: OnAmbiguous,
    /// How long the provider may take to show what was written.
    pub visibility_lag: Duration,
    /// Whether live records are meant.
    pub livemode: bool,
    /// What must not be shown.
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

/// A configuration that was understood: the snapshot, and what an operator should be told.
#[derive(Debug)]
pub struct Resolved {
    /// The snapshot.
    pub gateway: Gateway,
    /// What is allowed but unwise.
    pub warnings: Vec<String>,
}

impl Gateway {
    /// The merchant that a key names.
    pub fn merchant(&self, key: &str) -> Option<&Arc<Merchant>> {
        self.by_key.get(&digest_of(key))
    }

    /// A connection of a merchant by their names, active or not.
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

    /// The same snapshot, in which a middleware stands between merchants and their connections. It is asked once for each
    /// merchant.
    #[must_use]
    pub fn with_middleware(mut self, middleware: impl Fn(&Merchant) -> Option<Arc<dyn Middleware>>) -> Self {
        for merchant in self.by_name.values_mut() {
            let middleware = middleware(merchant);
            Arc::make_mut(merchant).middleware = middleware;
        }
        let by_name = &self.by_name;
        let signing = self.signers.iter_mut().map(|signer| &mut signer.merchant);
        for merchant in self.by_key.values_mut().chain(signing) {
            if let Some(wrapped) = by_name.get(&merchant.name) {
                *merchant = Arc::clone(wrapped);
            }
        }
        self
    }

    /// The clients of a provider that may be the one which names itself so.
    pub fn signers(&self, provider: &str, name: &str) -> impl Iterator<Item = &Signer> {
        let is_named = move |signer: &&Signer| signer.name.as_deref().is_none_or(|known| known == name);
        self.signers.iter().filter(move |signer| signer.provider == provider).filter(is_named)
    }
}

impl Merchant {
    /// The form of the ids that the merchant may send. Without a middleware, they are those of the active connection's
    /// provider.
    pub fn id_pattern(&self) -> &IdPattern {
        match &self.middleware {
            Some(_) => &IdPattern::PUBLIC,
            None => &self.active.manifest.id,
        }
    }
}

impl Connection {
    /// A text of the provider's without this connection's secrets.
    pub fn redacted(&self, mut text: String) -> String {
        for secret in self.secrets.secrets().filter(|secret| !secret.is_empty()) {
            if text.contains(secret) {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

/// The SHA-256 digest under which a key is known.
pub fn digest_of(key: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
