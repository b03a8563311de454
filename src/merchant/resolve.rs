//! Makes sense of a configuration: resolves secrets, checks every name, builds every connection.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use passerelle_providers::{
    Settings, VENDORS, Vendor,
    kit::{Endpoint, server},
    model::{LossPolicy, manifest::Manifest},
    text::country::Region,
    vendor,
};

use super::{Connection, CursorKey, Gateway, Merchant, Resolved, Signer, Twins};
use crate::{
    config::{self, ConfigError, Loaded, nearest},
    store,
    upstream::{ClientSettings, HttpClient, Proxy, Upstream, UpstreamSettings, check_base_url, http_client},
};

/// How long an attempt may take where a connection does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a provider may take to show what was written, where a connection does not say.
const USUAL_LAG: Duration = Duration::from_secs(2);

impl Gateway {
    /// Makes sense of a configuration: resolves secrets, checks every name, builds every connection.
    /// All mistakes are told at once. Without `twins`, the configuration is only checked, and sandbox
    /// connections lead nowhere.
    pub fn resolve(loaded: &Loaded, twins: Option<&Twins>) -> Result<Resolved, ConfigError> {
        let config = &loaded.config;
        let mut resolver = Resolver {
            loaded,
            twins,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            clients: Clients::default(),
            proxy: None,
        };
        resolver.proxy = resolver.proxy();
        let mut by_key = HashMap::new();
        let mut by_name = BTreeMap::new();
        let mut signers = Vec::new();
        if config.merchants.is_empty() {
            resolver.mistakes.push(format!("{}: no merchant is configured; see config/example.toml", loaded.name()));
        }
        for (name, typed) in &config.merchants {
            let ingress = resolver.ingress(name, typed);
            let Some((keys, merchant)) = resolver.merchant(name, typed) else { continue };
            signers.extend(ingress.into_iter().map(|(provider, name, credentials)| Signer {
                provider,
                name,
                credentials,
                merchant: Arc::clone(&merchant),
            }));
            by_name.insert(name.clone(), Arc::clone(&merchant));
            for key in keys {
                if by_key.insert(key, Arc::clone(&merchant)).is_some() {
                    resolver.mistake(&format!("merchants.{name}.api_keys"), "has a key that another merchant has, too");
                }
            }
        }
        // It may be longer than `store.lease`, which is renewed while a write is under way, but only for so long.
        if config.server.deadline > store::LONGEST_ATTEMPT {
            resolver.mistake(
                "server.deadline",
                "must not be longer than \"5m\": a write that lasts longer is taken for lost",
            );
        }
        if let Err(error) = store::Settings::from(config.store.as_ref()) {
            let told = error.to_string();
            // Most of them name the key.
            let key = told.split('`').find(|word| word.starts_with("store.")).unwrap_or("store");
            resolver.mistakes.push(loaded.at(key, &told));
        }
        if config.store.as_ref().is_some_and(|typed| store::is_literal(&typed.url)) {
            resolver.warn("store.url", "holds a password; use { env = \"NAME\" } or { file = \"PATH\" }");
        }
        if config.server.metrics_listen.is_some() {
            resolver.warn("server.metrics_listen", "is not used yet: this version serves no metrics");
        }
        match resolver.mistakes.is_empty() {
            true => Ok(Resolved {
                gateway: Self {
                    by_key,
                    by_name,
                    signers,
                    deadline: config.server.deadline,
                    max_body: config.server.max_body,
                },
                warnings: resolver.warnings,
            }),
            false => Err(ConfigError { mistakes: resolver.mistakes }),
        }
    }
}

/// The outbound clients: one for providers, one for the twins in this process.
#[derive(Default)]
struct Clients {
    providers: Option<HttpClient>,
    twins: Option<HttpClient>,
}

/// The digests of a merchant's keys, and the merchant.
type Built = (Vec<[u8; 32]>, Arc<Merchant>);

/// Reads a configuration, and gathers its mistakes.
pub(super) struct Resolver<'c> {
    pub(super) loaded: &'c Loaded,
    twins: Option<&'c Twins>,
    mistakes: Vec<String>,
    warnings: Vec<String>,
    clients: Clients,
    proxy: Option<Arc<Proxy>>,
}

impl Resolver<'_> {
    pub(super) fn mistake(&mut self, key: &str, what: impl fmt::Display) {
        self.mistakes.push(self.loaded.mistake(key, what));
    }

    pub(super) fn warn(&mut self, key: &str, what: impl fmt::Display) {
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
        if typed.on_loss == LossPolicy::Carry {
            self.mistake(&format!("{at}.on_loss"), "cannot be \"carry\" yet; use \"reject\" or \"drop\"");
        }
        let mut connections = BTreeMap::new();
        for (connection_name, connection) in &typed.connections {
            if let Some(built) = self.connection(name, connection_name, connection, region, &keys) {
                connections.insert(connection_name.clone(), built);
            }
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
        let active = connections.get(&typed.active).cloned()?;
        let merchant =
            Merchant { name: name.to_owned(), region, on_loss: typed.on_loss, connections, active, middleware: None };
        Some((keys, Arc::new(merchant)))
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
            proxy: if sandbox { None } else { self.proxy.clone() },
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
