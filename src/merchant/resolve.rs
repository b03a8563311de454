//! Resolves a configuration into a [`Gateway`]: fetches the secrets, checks every name, and builds every connection.
//! `serve` calls it at the start and at every reload, `check` only to find mistakes. It collects all mistakes, so that
//! the operator sees them at once.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use passerelle_providers::{
    Settings, VENDORS, Vendor,
    kit::{Endpoint, server},
    model::{
        LossPolicy,
        manifest::{ListCoverage, Manifest},
    },
    text::country::Region,
    vendor,
};

use super::{
    Client, Connection, CursorKey, Gateway, Merchant, Resolved, Signer, Twins, client::Key, digest_of, public_key,
};
use crate::{
    admission::{OfMerchant, RequestRate, WrongKeys},
    config::{self, ConfigError, Loaded, OnAmbiguous, nearest},
    store,
    upstream::{
        ClientSettings, ConnectionName, Connects, HttpClient, LARGEST_REPLY, MaxInFlight, Proxy, RetryLimits, Shared,
        Upstream, UpstreamSettings, check_base_url, http_client,
    },
};

/// The default of a connection's `timeout`: how long one attempt may take.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The default of a connection's `visibility_lag`: how long the provider may take until its reads show a write.
const DEFAULT_VISIBILITY_LAG: Duration = Duration::from_secs(2);

impl Gateway {
    /// Resolves a configuration. The error has all mistakes. Without `twins`, the configuration is only checked:
    /// sandbox connections get an address where nothing listens. `shared` is what the connections share with those of
    /// the configuration before.
    pub fn resolve(loaded: &Loaded, twins: Option<&Twins>, shared: &Shared) -> Result<Resolved, ConfigError> {
        let config = &loaded.config;
        let mut resolver = Resolver {
            loaded,
            twins,
            shared,
            mistakes: Vec::new(),
            warnings: loaded.warnings.clone(),
            clients: Clients::default(),
            proxy: None,
        };
        resolver.proxy = resolver.proxy();
        let mut by_key = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        let mut signers = Vec::new();
        if config.merchants.is_empty() {
            resolver.mistakes.push(format!("{}: no merchant is configured; see config/example.toml", loaded.name()));
        }
        for (name, typed) in &config.merchants {
            let ingress = resolver.ingress(name, typed);
            let Some((keys, merchant)) = resolver.merchant(name, typed) else { continue };
            signers.extend(ingress.into_iter().map(|(provider, signer, credentials)| Signer {
                id: digest_of(&format!("{provider}\n{name}")),
                provider,
                name: signer,
                credentials,
                merchant: Arc::clone(&merchant),
            }));
            by_name.insert(name.clone(), Arc::clone(&merchant));
            for (digest, key) in keys {
                let client = Client { merchant: Arc::clone(&merchant), key: Arc::new(key) };
                let Some(other) = by_key.insert(digest, client) else { continue };
                let at = format!("merchants.{name}.api_keys");
                resolver.mistake(
                    &at,
                    match other.merchant.name == *name {
                        true => "has a key twice; remove one of them",
                        false => {
                            "has a key that another merchant has as well; make a new one with `passerelle keys new`"
                        }
                    },
                );
            }
        }
        let operator = resolver.operator(|key| by_key.contains_key(key));
        resolver.listeners();
        let tls = resolver.tls();
        let traces = resolver.traces();
        // It may be longer than `store.lease`, because the lease is renewed, but only for `LONGEST_ATTEMPT`.
        if config.server.deadline > store::LONGEST_ATTEMPT {
            resolver.mistake(
                "server.deadline",
                "must not be longer than \"5m\": the lease on a write is not renewed for longer",
            );
        }
        let outbound = &config.outbound;
        if outbound.max_in_flight_per_host >= outbound.max_in_flight_total {
            resolver.mistake(
                "outbound.max_in_flight_per_host",
                "must be smaller than `outbound.max_in_flight_total`: a provider that hangs must leave places for others",
            );
        }
        if outbound.max_reply > LARGEST_REPLY {
            let most =
                format!("must be at most {LARGEST_REPLY}: larger replies do not fit into the memory for replies");
            resolver.mistake("outbound.max_reply", most);
        }
        // Signing clients have half of it, and one of them half of that.
        if config.server.max_bodies / 4 < config.server.max_body {
            let what = "must be at least four times `server.max_body`, otherwise the largest bodies are always refused";
            resolver.mistake("server.max_bodies", what);
        }
        if let Err(error) = store::Settings::of(loaded) {
            let message = error.to_string();
            // Most messages name the setting. It gives the line in the file.
            let key = message.split('`').find(|word| word.starts_with("store.")).unwrap_or("store");
            resolver.mistakes.push(loaded.at(key, &message));
        }
        if config.store.as_ref().and_then(|typed| typed.url.as_ref()).is_some_and(store::is_literal) {
            resolver.warn("store.url", "holds a password; use { env = \"NAME\" } or { file = \"PATH\" }");
        }
        if config.server.metrics_listen.is_some() {
            let what = "is not used; `operator.listen` is the address of the operator's listener";
            resolver.warn("server.metrics_listen", what);
        }
        match resolver.mistakes.is_empty() {
            true => Ok(Resolved {
                gateway: Self {
                    by_key,
                    by_name,
                    signers,
                    operator,
                    public_key: public_key::of(config),
                    wrong_keys: Arc::new(WrongKeys::new(
                        config.server.wrong_keys_per_address,
                        config.server.trusted_proxies.clone(),
                    )),
                    deadline: config.server.deadline,
                    hold: config.switch.hold,
                    max_body: config.server.max_body,
                    body_timeout: config.server.body_timeout,
                    min_body_rate: config.server.min_body_rate,
                    json: config.server.json(),
                    stop_notice: config.server.stop_notice,
                    stop_timeout: config.server.stop_timeout,
                    max_bodies: config.server.max_bodies,
                    places: outbound.max_in_flight_total,
                    overload_wait: config.server.overload_wait,
                    head: config.server.head(),
                    server_timing: config.server.server_timing,
                    tls,
                    http2: config.server.http2,
                    traces,
                },
                warnings: resolver.warnings,
            }),
            false => Err(ConfigError { mistakes: resolver.mistakes }),
        }
    }
}

/// The outbound HTTP clients for connections: one for providers, one for the twins in this process. Each is built when it is
/// first needed.
#[derive(Default)]
struct Clients {
    providers: Option<HttpClient>,
    twins: Option<HttpClient>,
}

/// The keys of a merchant's clients by their digests, and the merchant.
type MerchantWithKeys = (Vec<([u8; 32], Key)>, Arc<Merchant>);

/// Resolves a configuration, and collects its mistakes and warnings.
pub(super) struct Resolver<'c> {
    pub(super) loaded: &'c Loaded,
    twins: Option<&'c Twins>,
    pub(super) shared: &'c Shared,
    mistakes: Vec<String>,
    warnings: Vec<String>,
    clients: Clients,
    pub(super) proxy: Option<Arc<Proxy>>,
}

impl Resolver<'_> {
    /// Adds a mistake. `what` continues the sentence that begins with the key.
    pub(super) fn mistake(&mut self, key: &str, what: impl fmt::Display) {
        self.mistakes.push(self.loaded.mistake(key, what));
    }

    pub(super) fn warn(&mut self, key: &str, what: impl fmt::Display) {
        self.warnings.push(self.loaded.mistake(key, what));
    }

    fn merchant(&mut self, name: &str, typed: &config::MerchantConfig) -> Option<MerchantWithKeys> {
        let at = format!("merchants.{name}");
        let keys = self.keys(name, typed);
        let digests: Vec<[u8; 32]> = keys.iter().map(|(digest, _)| *digest).collect();
        let region = typed.region.as_deref().and_then(|code| {
            let region = Region::parse(code);
            if region.is_none() {
                self.mistake(&format!("{at}.region"), "is not an ISO 3166-1 alpha-2 code, such as \"SN\"");
            }
            region
        });
        let mut connections = BTreeMap::new();
        for (connection_name, connection) in &typed.connections {
            if let Some(built) = self.connection(name, connection_name, connection, region, &digests) {
                connections.insert(connection_name.clone(), built);
            }
        }
        if !typed.connections.contains_key(&typed.active) {
            let known: Vec<&str> = typed.connections.keys().map(String::as_str).collect();
            let hint = match nearest(&typed.active, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => "the merchant has no connections".to_owned(),
                None => format!("the connections are {}", known.join(", ")),
            };
            self.mistake(&format!("{at}.active"), format!("names no connection; {hint}"));
        }
        let reference = typed.switch.reference.clone();
        let is_key = |text: &String| text.strip_prefix("metadata.").is_some_and(|key| !key.is_empty());
        if reference.as_ref().is_some_and(|reference| !is_key(reference)) {
            let what = "must name a metadata key, such as \"metadata.user_id\"".to_owned();
            self.mistake(&format!("{at}.switch.reference"), what);
        }
        let active = connections.get(&typed.active).cloned()?;
        let merchant = Merchant {
            name: name.to_owned(),
            region,
            on_loss: typed.on_loss,
            places: OfMerchant::new(self.shared.metrics().merchant_requests_refused(name)),
            request_rate: typed.rate_limit.map(|rate| Arc::new(RequestRate::new(rate))),
            reference,
            allows_carry: typed.allow_carry || typed.on_loss == LossPolicy::Carry,
            connections,
            active,
            middleware: None,
            carried: None,
            body_bytes: self.shared.metrics().body_bytes(name),
        };
        Some((keys, Arc::new(merchant)))
    }

    fn connection(
        &mut self,
        merchant: &str,
        name: &str,
        typed: &config::ConnectionConfig,
        region: Option<Region>,
        keys: &[[u8; 32]],
    ) -> Option<Arc<Connection>> {
        let at = format!("merchants.{merchant}.connections.{name}");
        let vendor = self.vendor(&at, &typed.provider)?;
        let Some(manifest) = vendor.manifest(typed.generation.as_deref()) else {
            let known: Vec<&str> = vendor.manifests.iter().map(|manifest| manifest.generation).collect();
            let (name, generation) = (vendor.name(), typed.generation.as_deref().unwrap_or_default());
            let known = known.join(", ");
            self.mistake(
                &format!("{at}.generation"),
                format!("is not known: {name} has no generation `{generation}`; known: {known}"),
            );
            return None;
        };
        self.on_ambiguous(&at, typed.on_ambiguous, manifest);
        self.send_traceparent(&at, typed);
        let (scheme, secrets) = self.credentials(&at, typed, manifest)?;
        let endpoint = self.endpoint(&at, merchant, name, typed, manifest)?;
        let client = self.client(typed.sandbox)?;
        let outbound = &self.loaded.config.outbound;
        let settings = Settings { generation: manifest.generation, region, livemode: typed.livemode.unwrap_or(true) };
        let upstream = Upstream::new(
            client,
            self.shared,
            UpstreamSettings {
                name: ConnectionName { merchant, connection: name },
                provider: manifest.name,
                endpoint,
                scheme,
                credentials: secrets.clone(),
                timeout: typed.timeout.unwrap_or(DEFAULT_TIMEOUT),
                rate_limit: typed.rate_limit,
                max_in_flight: MaxInFlight {
                    per_connection: outbound.max_in_flight,
                    per_host: outbound.max_in_flight_per_host,
                    total: outbound.max_in_flight_total,
                },
                max_reply: outbound.max_reply,
                breaker: outbound.breaker,
                retries: RetryLimits { max_retries: outbound.max_retries, share: outbound.max_retry_share },
                sends_traceparent: typed.send_traceparent,
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
            merchant: merchant.to_owned(),
            name: name.to_owned(),
            provider: (vendor.connect)(settings),
            manifest,
            scheme,
            upstream,
            on_ambiguous: typed.on_ambiguous,
            visibility_lag: typed.visibility_lag.unwrap_or(DEFAULT_VISIBILITY_LAG),
            livemode: settings.livemode,
            cursor_key: CursorKey::derive(merchant, name, &secrets, keys),
            secrets,
        }))
    }

    /// Refuses to send creates again where their absence from the provider's list proves nothing.
    fn on_ambiguous(&mut self, at: &str, policy: OnAmbiguous, manifest: &Manifest) {
        if let (OnAmbiguous::ResendAfterLag, ListCoverage::Only(shown)) = (policy, manifest.lists) {
            self.mistake(
                &format!("{at}.on_ambiguous"),
                format!(
                    "cannot be \"resend_after_lag\" at {}: its list shows only {shown}, so a create that the list does \
                     not show may have been executed, and would be executed twice; use \"hold\"",
                    manifest.name
                ),
            );
        }
    }

    fn vendor(&mut self, at: &str, name: &str) -> Option<&'static Vendor> {
        let found = vendor(name);
        if found.is_none() {
            let known: Vec<&str> = VENDORS.iter().map(|vendor| vendor.name()).collect();
            let hint = match nearest(name, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the providers are {}", known.join(", ")),
            };
            self.mistake(&format!("{at}.provider"), format!("is not a provider; {hint}"));
        }
        found
    }

    fn endpoint(
        &mut self,
        at: &str,
        merchant: &str,
        name: &str,
        typed: &config::ConnectionConfig,
        manifest: &Manifest,
    ) -> Option<Endpoint> {
        if typed.sandbox {
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
            let twin = self.twins.map(|twins| twins.get(&(merchant.to_owned(), name.to_owned())));
            let Some(address) = twin.unwrap_or(Some(&nowhere)) else {
                self.mistake(
                    &format!("{at}.sandbox"),
                    "has no twin: a twin is started only with the gateway; restart it",
                );
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
                let why = "every installation of it has its own origin and path";
                self.mistake(at, format!("needs a `base_url` for {}: {why}", manifest.name));
                None
            }
        }
    }

    fn client(&mut self, sandbox: bool) -> Option<HttpClient> {
        let outbound = &self.loaded.config.outbound;
        let settings = ClientSettings {
            allow_insecure: outbound.allow_insecure || sandbox,
            connect_timeout: outbound.connect_timeout,
            max_idle: outbound.max_idle_per_host,
            idle_timeout: outbound.idle_timeout,
            without_tls: sandbox,
            proxy: if sandbox { None } else { self.proxy.clone() },
            connects: if sandbox { Connects::default() } else { Connects::of_providers(self.shared.metrics()) },
        };
        let built = if sandbox { &mut self.clients.twins } else { &mut self.clients.providers };
        if built.is_none() {
            match http_client(settings) {
                Ok(client) => *built = Some(client),
                Err(error) => self.mistakes.push(error),
            }
        }
        built.clone()
    }
}
