//! What the configuration means: keys that name merchants, and connections that can be called. Everything
//! a request needs is in memory, in one snapshot that a reload replaces whole.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest;
use passerelle_providers::{
    CustomerProvider, Settings, VENDORS, Vendor,
    kit::{Endpoint, server},
    model::{
        auth::{AuthScheme, Credentials, Ingress},
        manifest::Manifest,
    },
    text::country::Region,
    vendor,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    config::{self, ApiKey, ConfigError, Loaded, OnAmbiguous, OnLoss, nearest},
    http::cursor::CursorKey,
    store,
    upstream::{ClientSettings, HttpClient, Upstream, UpstreamSettings, check_base_url, http_client},
};

/// How long an attempt may take where a connection does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a provider may take to show what was written, where a connection does not say.
const USUAL_LAG: Duration = Duration::from_secs(2);

/// A snapshot of everything that requests need.
pub struct Gateway {
    merchants: HashMap<[u8; 32], Arc<Merchant>>,
    signers: Vec<Signer>,
    /// Every connection, active or not, with its merchant: writes that were begun end where they were begun.
    connections: BTreeMap<(String, String), (Arc<Merchant>, Arc<Connection>)>,
    /// How long a request may take in all.
    pub deadline: Duration,
    /// How large a request body may be, in bytes.
    pub max_body: usize,
}

/// A merchant, ready to be served.
#[derive(Debug)]
pub struct Merchant {
    /// The name in the configuration.
    pub name: String,
    /// The home region.
    pub region: Option<Region>,
    /// What becomes of fields that the provider cannot hold.
    pub on_loss: OnLoss,
    /// The connection that answers.
    pub active: Arc<Connection>,
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
        formatter.debug_list().entries(self.merchants.values()).finish()
    }
}

/// A configuration that was understood: the snapshot, and what an operator should be told.
#[derive(Debug)]
pub struct Understood {
    /// The snapshot.
    pub gateway: Gateway,
    /// What is allowed but unwise.
    pub warnings: Vec<String>,
}

impl Gateway {
    /// The merchant that a key names.
    pub fn merchant(&self, key: &str) -> Option<&Arc<Merchant>> {
        self.merchants.get(&digest_of(key))
    }

    /// A connection of a merchant by their names, active or not.
    pub fn connection(&self, merchant: &str, connection: &str) -> Option<(&Merchant, &Connection)> {
        let found = self.connections.get(&(merchant.to_owned(), connection.to_owned()))?;
        Some((&*found.0, &*found.1))
    }

    /// Every connection by the names of its merchant and its own, in order.
    pub fn connections(&self) -> impl ExactSizeIterator<Item = (&str, &Connection)> {
        self.connections.iter().map(|((merchant, _), (_, connection))| (merchant.as_str(), &**connection))
    }

    /// The clients of a provider that may be the one which names itself so.
    pub fn signers(&self, provider: &str, name: &str) -> impl Iterator<Item = &Signer> {
        let is_named = move |signer: &&Signer| signer.name.as_deref().is_none_or(|known| known == name);
        self.signers.iter().filter(move |signer| signer.provider == provider).filter(is_named)
    }

    /// Makes sense of a configuration: resolves secrets, checks every name, builds every connection.
    /// All mistakes are told at once. Without `twins`, the configuration is only checked, and sandbox
    /// connections lead nowhere.
    pub fn understand(loaded: &Loaded, twins: Option<&Twins>) -> Result<Understood, ConfigError> {
        let config = &loaded.config;
        let mut reader =
            Reader { loaded, twins, mistakes: Vec::new(), warnings: Vec::new(), clients: Clients::default() };
        let mut merchants = HashMap::new();
        let mut connections = BTreeMap::new();
        let mut signers = Vec::new();
        if config.merchants.is_empty() {
            reader.mistakes.push(format!("{}: no merchant is configured; see config/example.toml", loaded.name()));
        }
        for (name, typed) in &config.merchants {
            let ingress = reader.ingress(name, typed);
            let Some((keys, merchant, all)) = reader.merchant(name, typed) else { continue };
            signers.extend(ingress.into_iter().map(|(provider, name, credentials)| Signer {
                provider,
                name,
                credentials,
                merchant: Arc::clone(&merchant),
            }));
            connections.extend(
                all.into_iter()
                    .map(|connection| ((name.clone(), connection.name.clone()), (Arc::clone(&merchant), connection))),
            );
            for key in keys {
                if merchants.insert(key, Arc::clone(&merchant)).is_some() {
                    reader.mistake(&format!("merchants.{name}.api_keys"), "has a key that another merchant has, too");
                }
            }
        }
        // It may be longer than `store.lease`, which is renewed while a write is under way, but only for so long.
        if config.server.deadline > store::LONGEST_ATTEMPT {
            reader.mistake(
                "server.deadline",
                "must not be longer than \"5m\": a write that lasts longer is taken for lost",
            );
        }
        if let Err(error) = store::Settings::from(config.store.as_ref()) {
            let told = error.to_string();
            // Most of them name the key.
            let key = told.split('`').find(|word| word.starts_with("store.")).unwrap_or("store");
            reader.mistakes.push(loaded.at(key, &told));
        }
        if config.store.as_ref().is_some_and(|typed| store::is_literal(&typed.url)) {
            reader.warn("store.url", "holds a password; use { env = \"NAME\" } or { file = \"PATH\" }");
        }
        if config.server.metrics_listen.is_some() {
            reader.warn("server.metrics_listen", "is not used yet: this version serves no metrics");
        }
        match reader.mistakes.is_empty() {
            true => Ok(Understood {
                gateway: Self {
                    merchants,
                    signers,
                    connections,
                    deadline: config.server.deadline,
                    max_body: config.server.max_body,
                },
                warnings: reader.warnings,
            }),
            false => Err(ConfigError { mistakes: reader.mistakes }),
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

/// How a provider's clients sign, where they do.
fn signing(vendor: &Vendor) -> Option<&'static Ingress> {
    vendor.manifests.iter().flat_map(|manifest| manifest.auth).find_map(|scheme| match scheme {
        AuthScheme::Signed { ingress, .. } => Some(ingress),
        AuthScheme::Header { .. } => None,
    })
}

/// The SHA-256 digest under which a key is known.
pub fn digest_of(key: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// The outbound clients: one for providers, one for the twins in this process.
#[derive(Default)]
struct Clients {
    providers: Option<HttpClient>,
    twins: Option<HttpClient>,
}

type Built = (Vec<[u8; 32]>, Arc<Merchant>, Vec<Arc<Connection>>);

struct Reader<'c> {
    loaded: &'c Loaded,
    twins: Option<&'c Twins>,
    mistakes: Vec<String>,
    warnings: Vec<String>,
    clients: Clients,
}

impl Reader<'_> {
    fn mistake(&mut self, key: &str, what: impl fmt::Display) {
        self.mistakes.push(self.loaded.mistake(key, what));
    }

    fn warn(&mut self, key: &str, what: impl fmt::Display) {
        self.warnings.push(self.loaded.mistake(key, what));
    }

    fn merchant(&mut self, name: &str, typed: &config::Merchant) -> Option<Built> {
        let at = format!("merchants.{name}");
        let keys = self.keys(&at, typed);
        let region = typed.region.as_deref().and_then(|code| {
            let region = Region::parse(code);
            if region.is_none() {
                self.mistake(&format!("{at}.region"), "is no ISO 3166-1 alpha-2 code, such as \"SN\"");
            }
            region
        });
        let mut active = None;
        let mut all = Vec::new();
        for (connection_name, connection) in &typed.connections {
            let built = self.connection(name, connection_name, connection, region, &keys);
            if *connection_name == typed.active {
                active.clone_from(&built);
            }
            all.extend(built);
        }
        if !typed.connections.contains_key(&typed.active) {
            let known: Vec<&str> = typed.connections.keys().map(String::as_str).collect();
            let hint = match nearest(&typed.active, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => "there are none".to_owned(),
                None => format!("the connections are {}", known.join(", ")),
            };
            self.mistake(&format!("{at}.active"), format!("names no connection; {hint}"));
        }
        let merchant = Merchant { name: name.to_owned(), region, on_loss: typed.on_loss, active: active? };
        Some((keys, Arc::new(merchant), all))
    }

    fn keys(&mut self, at: &str, typed: &config::Merchant) -> Vec<[u8; 32]> {
        let at = format!("{at}.api_keys");
        if typed.api_keys.is_empty() {
            self.mistake(&at, "is empty: nobody could call; `passerelle keys new` makes a key");
        }
        let is_sandbox = typed.connections.values().all(|connection| connection.sandbox);
        let mut keys = Vec::new();
        for key in &typed.api_keys {
            match key {
                ApiKey::Sha256(digest) => {
                    let mut bytes = [0; 32];
                    for (byte, digits) in bytes.iter_mut().zip(digest.as_bytes().chunks(2)) {
                        let digits = str::from_utf8(digits).unwrap_or_default();
                        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
                    }
                    keys.push(bytes);
                }
                ApiKey::Key(secret) => {
                    if secret.is_literal() && !is_sandbox {
                        self.warn(&at, "holds a key itself; use { sha256 = \"…\" } or { env = \"NAME\" }");
                    }
                    match secret.resolve() {
                        Ok(key) => keys.push(digest_of(key.expose_secret())),
                        Err(error) => self.mistake(&at, error),
                    }
                }
            }
        }
        keys
    }

    fn connection(
        &mut self,
        merchant: &str,
        name: &str,
        typed: &config::Connection,
        region: Option<Region>,
        keys: &[[u8; 32]],
    ) -> Option<Arc<Connection>> {
        let at = format!("merchants.{merchant}.connections.{name}");
        let vendor = self.vendor(&at, &typed.provider)?;
        let Some(manifest) = vendor.manifest(typed.generation.as_deref()) else {
            let known: Vec<&str> = vendor.manifests.iter().map(|manifest| manifest.generation).collect();
            self.mistake(&format!("{at}.generation"), format!("is none of {}: {}", vendor.name(), known.join(", ")));
            return None;
        };
        let (scheme, secrets) = self.credentials(&at, typed, manifest)?;
        let endpoint = self.endpoint(&at, merchant, name, typed, manifest)?;
        let client = self.client(typed.sandbox)?;
        let outbound = &self.loaded.config.outbound;
        let settings = Settings { generation: manifest.generation, region, livemode: typed.livemode.unwrap_or(true) };
        let upstream = Upstream::new(
            client,
            UpstreamSettings {
                endpoint,
                scheme,
                credentials: secrets.clone(),
                timeout: typed.timeout.unwrap_or(USUAL_TIMEOUT),
                rate_limit: typed.rate_limit,
                max_in_flight: outbound.max_in_flight,
                max_reply: outbound.max_reply,
            },
        );
        let upstream = match upstream {
            Ok(upstream) => upstream,
            Err(wrong) => {
                self.mistake(&at, wrong);
                return None;
            }
        };
        Some(Arc::new(Connection {
            name: name.to_owned(),
            provider: (vendor.connect)(settings),
            manifest,
            scheme,
            upstream,
            on_ambiguous: typed.on_ambiguous,
            visibility_lag: typed.visibility_lag.unwrap_or(USUAL_LAG),
            livemode: settings.livemode,
            cursor_key: CursorKey::derive(merchant, name, &secrets, keys),
            secrets,
        }))
    }

    /// How a merchant's signed drop-in clients are known: the provider, the client's name, what verifies.
    fn ingress(
        &mut self,
        merchant: &str,
        typed: &config::Merchant,
    ) -> Vec<(&'static str, Option<String>, Credentials)> {
        let mut signers = Vec::new();
        for (provider, typed) in &typed.ingress {
            let at = format!("merchants.{merchant}.ingress.{provider}");
            let signed = VENDORS.iter().filter_map(|vendor| Some((vendor.name(), signing(vendor)?)));
            let Some((name, ingress)) = signed.clone().find(|(name, _)| name == provider) else {
                let known: Vec<&str> = signed.map(|(name, _)| name).collect();
                let hint = match nearest(provider, &known) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("those that do are {}", known.join(", ")),
                };
                self.mistake(&at, format!("is no provider whose clients sign their requests; {hint}"));
                continue;
            };
            let mut named: Vec<(String, String)> = Vec::new();
            let mut is_complete = true;
            for (key, secret) in typed {
                let at = format!("{at}.{key}");
                let known = [ingress.signer, ingress.key];
                if !known.contains(&key.as_str()) {
                    let hint = match nearest(key, &known) {
                        Some(nearest) => format!("did you mean `{nearest}`?"),
                        None => format!("the keys here are {}", known.join(", ")),
                    };
                    self.mistake(&at, format!("is not a key; {hint}"));
                    is_complete = false;
                    continue;
                }
                if secret.is_literal() && ingress.key_is_secret && key == ingress.key {
                    self.warn(&at, "is a literal; use { env = \"NAME\" } or { file = \"PATH\" }");
                }
                match secret.resolve() {
                    Ok(secret) => named.push((key.clone(), secret.expose_secret().to_owned())),
                    Err(error) => {
                        self.mistake(&at, error);
                        is_complete = false;
                    }
                }
            }
            let credentials = Credentials::new(named);
            if let Some(mistake) = credentials.get(ingress.key).and_then(ingress.key_mistake) {
                self.mistake(&format!("{at}.{}", ingress.key), mistake);
            }
            let missing = [(ingress.signer, ingress.signer_is_optional), (ingress.key, false)]
                .into_iter()
                .find(|(key, is_optional)| !is_optional && credentials.get(key).is_none());
            if let (Some((key, _)), true) = (missing, is_complete) {
                self.mistake(&at, format!("is incomplete: it needs `{key}`"));
            }
            signers.push((name, credentials.get(ingress.signer).map(str::to_owned), credentials));
        }
        signers
    }

    fn vendor(&mut self, at: &str, name: &str) -> Option<&'static Vendor> {
        let found = vendor(name);
        if found.is_none() {
            let known: Vec<&str> = VENDORS.iter().map(|vendor| vendor.name()).collect();
            let hint = match nearest(name, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the providers are {}", known.join(", ")),
            };
            self.mistake(&format!("{at}.provider"), format!("is no provider; {hint}"));
        }
        found
    }

    fn credentials(
        &mut self,
        at: &str,
        typed: &config::Connection,
        manifest: &'static Manifest,
    ) -> Option<(&'static AuthScheme, Credentials)> {
        let at = format!("{at}.credentials");
        let known: Vec<&str> = manifest.auth.iter().flat_map(AuthScheme::credentials).copied().collect();
        let mut resolved: Vec<(String, SecretString)> = Vec::new();
        let mut complete = true;
        for (name, secret) in &typed.credentials {
            if !known.contains(&name.as_str()) {
                let hint = match nearest(name, &known) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("{} takes {}", manifest.name, known.join(", ")),
                };
                self.mistake(&format!("{at}.{name}"), format!("is no credential; {hint}"));
                complete = false;
                continue;
            }
            if secret.is_literal() && !typed.sandbox {
                self.warn(&format!("{at}.{name}"), "is a literal; use { env = \"NAME\" } or { file = \"PATH\" }");
            }
            match secret.resolve() {
                Ok(secret) => resolved.push((name.clone(), secret)),
                Err(error) => {
                    self.mistake(&format!("{at}.{name}"), error);
                    complete = false;
                }
            }
        }
        if typed.sandbox && resolved.is_empty() {
            let names = manifest.auth.first()?.credentials();
            resolved = names.iter().map(|name| ((*name).to_owned(), SecretString::from("sandbox"))).collect();
        }
        let credentials =
            Credentials::new(resolved.into_iter().map(|(name, secret)| (name, secret.expose_secret().to_owned())));
        let scheme = manifest.scheme_for(&credentials);
        if scheme.is_none() && complete {
            let ways: Vec<String> = manifest.auth.iter().map(|scheme| scheme.credentials().join(" + ")).collect();
            self.mistake(&at, format!("is incomplete: {} needs {}", manifest.name, ways.join(", or ")));
        }
        Some((scheme.filter(|_| complete)?, credentials))
    }

    fn endpoint(
        &mut self,
        at: &str,
        merchant: &str,
        name: &str,
        typed: &config::Connection,
        manifest: &Manifest,
    ) -> Option<Endpoint> {
        if typed.sandbox {
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
            let twin = self.twins.map(|twins| twins.get(&(merchant.to_owned(), name.to_owned())));
            let Some(address) = twin.unwrap_or(Some(&nowhere)) else {
                self.mistake(&format!("{at}.sandbox"), "has no twin yet: twins are started with the gateway");
                return None;
            };
            return Some(Endpoint::new(&format!("http://{address}{}", server::base_path(manifest))));
        }
        let allow_insecure = self.loaded.config.outbound.allow_insecure;
        match (&typed.base_url, manifest.base_url) {
            (Some(typed), _) => match check_base_url(typed, allow_insecure) {
                Ok(()) => Some(Endpoint::new(typed)),
                Err(wrong) => {
                    self.mistake(&format!("{at}.base_url"), wrong);
                    None
                }
            },
            (None, Some(documented)) => Some(Endpoint::new(documented)),
            (None, None) => {
                let needs = "needs a `base_url`: every installation has its own origin and mount point";
                self.mistake(at, format!("{} {needs}", manifest.name));
                None
            }
        }
    }

    fn client(&mut self, sandbox: bool) -> Option<HttpClient> {
        let outbound = &self.loaded.config.outbound;
        let settings = ClientSettings {
            allow_insecure: outbound.allow_insecure || sandbox,
            connect_timeout: outbound.connect_timeout,
            loopback_only: sandbox,
        };
        let held = if sandbox { &mut self.clients.twins } else { &mut self.clients.providers };
        if held.is_none() {
            match http_client(settings) {
                Ok(client) => *held = Some(client),
                Err(error) => self.mistakes.push(error),
            }
        }
        held.clone()
    }
}
