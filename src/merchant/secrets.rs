//! Resolves the secrets of a configuration: the operator's keys, connections' credentials, the credentials that verify
//! signed drop-in clients, and the proxy. `resolve` calls it. No message contains a secret.

use std::sync::Arc;

use passerelle_providers::{
    VENDORS, Vendor,
    model::{
        auth::{AuthScheme, Credentials, Ingress},
        manifest::Manifest,
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::{OperatorAccess, SANDBOX_OPERATOR_KEY, digest_of, resolve::Resolver};
use crate::{
    config::{self, ApiKey, nearest},
    upstream::{Exception, Proxy},
};

/// How the clients of a provider sign their requests. `None` if they do not.
fn ingress_of(vendor: &Vendor) -> Option<&'static Ingress> {
    vendor.manifests.iter().flat_map(|manifest| manifest.auth).find_map(|scheme| match scheme {
        AuthScheme::Signed { ingress, .. } => Some(ingress),
        AuthScheme::Header { .. } => None,
    })
}

impl Resolver<'_> {
    /// The keys of the operator's API, and the names by which its listener is called. The public key `op_sandbox` is one
    /// of them where every connection is a sandbox, and refused everywhere else.
    pub(super) fn operator(&mut self, is_merchants_key: impl Fn(&[u8; 32]) -> bool) -> OperatorAccess {
        const AT: &str = "operator.keys";
        let config = &self.loaded.config;
        let Some(typed) = &config.operator else { return OperatorAccess::default() };
        let is_sandbox = config.is_sandbox();
        let named = |key: &ApiKey, digest| (digest, key.name(&digest));
        let typed_keys = typed.keys.iter().enumerate();
        let keys =
            typed_keys.filter_map(|(index, key)| self.key(AT, index, key, is_sandbox).map(|digest| named(key, digest)));
        let mut keys: Vec<([u8; 32], String)> = keys.collect();
        if keys.iter().any(|(digest, _)| is_merchants_key(digest)) {
            let what = "has a key of a merchant's client, which could then switch providers; make a new one with \
                        `passerelle keys new`";
            self.mistake(AT, what);
        }
        let public = digest_of(SANDBOX_OPERATOR_KEY);
        match (is_sandbox, keys.iter().any(|(digest, _)| *digest == public)) {
            (true, false) => keys.push((public, SANDBOX_OPERATOR_KEY.to_owned())),
            (false, true) => {
                self.mistake(AT, "has `op_sandbox`, which is public; make a key with `passerelle keys new`");
            }
            _ => {}
        }
        OperatorAccess::new(keys, &typed.listen, &typed.hosts)
    }

    /// The signed drop-in clients of a merchant: for each the imitated provider, the name that the client sends, and
    /// the credentials that verify its signatures.
    pub(super) fn ingress(
        &mut self,
        merchant: &str,
        typed: &config::MerchantConfig,
    ) -> Vec<(&'static str, Option<String>, Credentials)> {
        let mut signers = Vec::new();
        for (provider, typed) in &typed.ingress {
            let at = format!("merchants.{merchant}.ingress.{provider}");
            let signed = VENDORS.iter().filter_map(|vendor| Some((vendor.name(), ingress_of(vendor)?)));
            let Some((name, ingress)) = signed.clone().find(|(name, _)| name == provider) else {
                let known: Vec<&str> = signed.map(|(name, _)| name).collect();
                let hint = match nearest(provider, &known) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("those providers are {}", known.join(", ")),
                };
                self.mistake(&at, format!("is not a provider whose clients sign their requests; {hint}"));
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
                match secret.resolve(self.loaded.folder()) {
                    Ok(secret) => named.push((key.clone(), secret.expose_secret().to_owned())),
                    Err(error) => {
                        self.mistake(&at, error);
                        is_complete = false;
                    }
                }
            }
            let credentials = Credentials::new(named);
            if let Some(mistake) = credentials.get(ingress.key).and_then(ingress.key_error) {
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

    pub(super) fn credentials(
        &mut self,
        at: &str,
        typed: &config::ConnectionConfig,
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
                    None => format!("its credentials are {}", known.join(", ")),
                };
                self.mistake(&format!("{at}.{name}"), format!("is not a credential of {}; {hint}", manifest.name));
                complete = false;
                continue;
            }
            if secret.is_literal() && !typed.sandbox {
                self.warn(&format!("{at}.{name}"), "is a literal; use { env = \"NAME\" } or { file = \"PATH\" }");
            }
            match secret.resolve(self.loaded.folder()) {
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

    /// The proxy for calls to providers, if one is configured.
    pub(super) fn proxy(&mut self) -> Option<Arc<Proxy>> {
        let outbound = &self.loaded.config.outbound;
        let mut exceptions = Vec::new();
        for text in &outbound.no_proxy {
            match Exception::read(text) {
                Ok(exception) => exceptions.push(exception),
                Err(wrong) => {
                    // An operator may have written a URL with a password here. The message must not repeat it.
                    let host = text.rsplit('@').next().unwrap_or_default();
                    self.mistake("outbound.no_proxy", format!("`{host}` {wrong}"));
                }
            }
        }
        let Some(secret) = &outbound.proxy else {
            if !outbound.no_proxy.is_empty() {
                self.warn("outbound.no_proxy", "is not used, because `outbound.proxy` is not set");
            }
            return None;
        };
        let proxy = secret.resolve(self.loaded.folder()).map_err(|error| error.to_string());
        match proxy.and_then(|url| Proxy::new(url.expose_secret(), exceptions)) {
            Ok(proxy) => {
                if secret.is_literal() && proxy.has_password() {
                    self.warn("outbound.proxy", "holds a password; use { env = \"NAME\" } or { file = \"PATH\" }");
                }
                Some(Arc::new(proxy))
            }
            Err(wrong) => {
                self.mistake("outbound.proxy", wrong);
                None
            }
        }
    }
}
